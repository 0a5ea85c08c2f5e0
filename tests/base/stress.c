/* SPDX-License-Identifier: Apache-2.0 */
#include "base/stress.h"

#include <criterion/criterion.h>

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/map.h"

static bool set(const char *name)
{
	const char *value = getenv(name);

	return value && value[0];
}

bool stress_long(void)
{
	return set("MOTE_LONG");
}

long stress_count(long slice, long whole)
{
	if (stress_long())
		return whole;
	return set("MOTE_SLOW") ? slice / 10 : slice;
}

static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	cr_assert_not_null(d, "%s", path);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* A joined thread may still be on its way out of the kernel. */
static int threads(void)
{
	int least = entries("/proc/self/task");

	for (int i = 0; i < 50; i++) {
		int n;

		usleep(1000);
		n = entries("/proc/self/task");
		if (n < least) {
			least = n;
			i = 0;
		}
	}
	return least;
}

int live_fds(void)
{
	return entries("/proc/self/fd");
}

struct live live_now(void)
{
	return (struct live){
		.fds = live_fds(),
		.threads = threads(),
		.maps = map_live(),
	};
}

void expect_live(const struct live *before, const char *when)
{
	struct live now = live_now();

	for (int i = 0; i < 20 && now.threads > before->threads; i++)
		now = live_now();
	cr_expect_eq(now.fds, before->fds, "%s: descriptors %d, were %d", when,
		     now.fds, before->fds);
	cr_expect_eq(now.threads, before->threads, "%s: threads %d, were %d",
		     when, now.threads, before->threads);
	cr_expect_eq(now.maps, before->maps, "%s: mappings %d, were %d", when,
		     now.maps, before->maps);
}
