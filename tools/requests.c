/* SPDX-License-Identifier: Apache-2.0 */
/*
 * requests.c - for make demo-serverless and the tests of mote pool: send one
 * line to each of many connections, one after the other, read the answers to
 * their ends, and say how long that took.
 *
 *   requests unix:PATH|tcp:ADDRESS:PORT COUNT [TITLE]
 *
 * The answers' last words ("clone ID") must all differ.  Prints the first
 * answer and a row of the table; ends with 1 when an answer is missing, wrong
 * or repeats.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 100000
#define ID_MAX	  16

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int dial(const char *where)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in in = {.sin_family = AF_INET};
	const struct sockaddr *sa = (const struct sockaddr *)&un;
	socklen_t len = sizeof(un);
	char host[64];
	int port, fd;

	if (sscanf(where, "tcp:%63[0-9.]:%d", host, &port) == 2) {
		in.sin_port = htons((uint16_t)port);
		if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
			return -1;
		sa = (const struct sockaddr *)&in;
		len = sizeof(in);
	} else if (!strncmp(where, "unix:", 5)) {
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", where + 5);
	} else {
		return -1;
	}
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, sa, len) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* One request; its answer, whole, in buf. */
static int ask(const char *where, int number, char *buf, size_t size)
{
	char line[64];
	size_t n = 0;
	ssize_t got;
	int len = snprintf(line, sizeof(line), "request %d\n", number);
	int fd = dial(where);

	if (fd < 0 || send(fd, line, (size_t)len, MSG_NOSIGNAL) != len)
		return -1;
	while (n < size - 1 && (got = read(fd, buf + n, size - 1 - n)) > 0)
		n += (size_t)got;
	buf[n] = 0;
	close(fd);
	snprintf(line, sizeof(line), "[request %d] ", number);
	return strncmp(buf, line, strlen(line)) ? -1 : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void take_id(const char *answer, char *id)
{
	const char *at = strstr(answer, " clone ");

	snprintf(id, ID_MAX, "%.8s", at ? at + strlen(" clone ") : "");
}

int main(int argc, char **argv)
{
	static double ms[COUNT_MAX];
	static char id[COUNT_MAX][ID_MAX];
	char answer[512];
	int count = argc > 2 ? atoi(argv[2]) : 0;
	double all;

	if (argc < 3 || count < 1 || count > COUNT_MAX) {
		fprintf(stderr, "usage: requests unix:PATH|tcp:ADDRESS:PORT "
				"COUNT [TITLE]\n");
		return 64;
	}
	all = now_ms();
	for (int i = 0; i < count; i++) {
		double began = now_ms();

		if (ask(argv[1], i, answer, sizeof(answer)) < 0) {
			fprintf(stderr, "requests: %s: request %d: \"%s\"\n",
				argv[1], i, answer);
			return 1;
		}
		ms[i] = now_ms() - began;
		take_id(answer, id[i]);
		if (i == 0)
			printf("first answer: %s", answer);
	}
	all = now_ms() - all;
	qsort(ms, (size_t)count, sizeof(ms[0]), by_value);
	qsort(id, (size_t)count, sizeof(id[0]), by_text);
	for (int i = 0; i < count; i++)
		if (!id[i][0] || (i && !strcmp(id[i], id[i - 1]))) {
			fprintf(stderr,
				"requests: clone \"%s\" answered "
				"twice\n",
				id[i]);
			return 1;
		}
	printf("%-28s %6d requests  p50 %8.3f ms  p90 %8.3f ms  p99 %8.3f ms  "
	       "%7.1f a second\n",
	       argc > 3 ? argv[3] : argv[1], count, ms[count / 2],
	       ms[count * 9 / 10], ms[count * 99 / 100], count / all * 1e3);
	return 0;
}
