/* SPDX-License-Identifier: Apache-2.0 */
#include "vfio/edurun.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "vfio/labdev.h"

struct edurun edurun;

void edurun_setup(void)
{
	command_setup();
	if (!lab_edu(edurun.address))
		cr_skip_test("no edu device with an IOMMU group on this host");
	lab_pci(0x1af4, 0x1044, edurun.rng);
	snprintf(edurun.out, sizeof(edurun.out), "%s", command_path("out"));
}

char *edurun_ini(const char *more)
{
	char *path = command_path("edu.ini");
	FILE *f = fopen(path, "w");

	cr_assert_not_null(f);
	fprintf(f,
		"[vm]\nkernel = %s\nmemory = 32M\n"
		"[passthrough.edu]\npci = %s\n%s",
		command_guest("edu"), edurun.address, more);
	fclose(f);
	return path;
}

long edurun_number(const char *words)
{
	const char *out = command_text(edurun.out), *at = strstr(out, words);

	cr_assert_not_null(at, "no \"%s\" in: %s", words, out);
	return strtol(at + strlen(words), NULL, 10);
}

long edurun_pinned(void)
{
	char line[256];
	long acquired = -1, released = 0, v;
	FILE *f;

	lab_put("/proc/sys/vm/stat_refresh", "1");
	f = fopen("/proc/vmstat", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "nr_foll_pin_acquired %ld", &v) == 1)
			acquired = v;
		if (sscanf(line, "nr_foll_pin_released %ld", &v) == 1)
			released = v;
	}
	if (f)
		fclose(f);
	return acquired < 0 ? -1 : acquired - released;
}
