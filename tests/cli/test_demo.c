/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_demo.c - what make demo shows: a guest from the example INI file that
 * prints a number only it can have printed, then the time line.
 *
 * Where this host has no KVM the demo is this test in the x86 lab; the
 * number comes on the kernel's command line (mote.demo=NUMBER).
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_number(char *out, size_t size)
{
	char line[2048] = "";
	FILE *f = fopen("/proc/cmdline", "re");
	const char *p;

	snprintf(out, size, "4711");
	if (!f)
		return;
	if (fgets(line, sizeof(line), f) && (p = strstr(line, "mote.demo=")))
		snprintf(out, size, "%.*s", (int)strcspn(p + 10, " \n"),
			 p + 10);
	fclose(f);
}

Test(demo, hello_from_the_example_file, .timeout = 60)
{
	const char *bin = getenv("MOTE_BIN");
	const char *ini = getenv("MOTE_LAB")
				  ? "/lib/mote/config/examples/hello.ini"
				  : "config/examples/hello.ini";
	char number[64], command[512], want[128], out[16384] = "";
	size_t n;
	FILE *p;

	if (access("/dev/kvm", R_OK | W_OK) < 0)
		cr_skip_test("no usable /dev/kvm: %s", strerror(errno));
	read_number(number, sizeof(number));
	snprintf(command, sizeof(command),
		 "%s run %s --timeline=- -- nonce=%s 2>&1",
		 bin ? bin : "build/mote", ini, number);
	printf("$ %s\n", command);
	fflush(stdout);
	p = popen(command, "r");
	cr_assert_not_null(p);
	n = fread(out, 1, sizeof(out) - 1, p);
	out[n] = 0;
	cr_assert_eq(pclose(p), 0, "%s", out);
	fputs(out, stdout);
	snprintf(want, sizeof(want), "arguments: nonce=%s\n", number);
	cr_assert_not_null(strstr(out, want), "%s", out);
	cr_assert_not_null(strstr(out, "guest ready"), "%s", out);
}
