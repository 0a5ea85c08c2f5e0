/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "launch/launch.h"

struct mote_config *launch_numbered(const struct mote_config *from,
				    unsigned int number)
{
	cleanup_free char *text = mote_config_describe(from), *own = NULL;
	struct mote_config *cfg = mote_config_new();
	size_t len = 0;
	FILE *f = text ? open_memstream(&own, &len) : NULL;
	const char *at = text, *mark;

	if (!f || !cfg) {
		mote_config_free(cfg);
		return NULL;
	}
	while ((mark = strstr(at, "%i"))) {
		fprintf(f, "%.*s%u", (int)(mark - at), at, number);
		at = mark + 2;
	}
	fputs(at, f);
	if (fclose(f) == 0 &&
	    mote_config_parse(cfg, "clone", own, len, NULL) == 0)
		return cfg;
	mote_config_free(cfg);
	return NULL;
}
