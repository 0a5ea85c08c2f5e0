/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshot/plan.h"

#include <errno.h>

#include "base/err.h"

#define CONFIGURED "the configuration says so"

const char *restore_memory_name(enum restore_memory memory)
{
	static const char *const name[] = {"auto", "cow", "uffd", "copy"};

	return name[memory];
}

const char *restore_verify_name(enum restore_verify verify)
{
	static const char *const name[] = {"auto", "off", "once", "eager",
					   "lazy"};

	return name[verify];
}

static void plan_verify(struct restore_plan *p)
{
	p->verify_why = CONFIGURED;
	if (p->verify != VERIFY_AUTO)
		return;
	p->verify = VERIFY_OFF;
	p->verify_why = "one machine, which trusts the file system";
}

static void plan_memory(struct restore_plan *p)
{
	p->memory_why = CONFIGURED;
	if (p->memory != RESTORE_AUTO)
		return;
	p->memory = RESTORE_COW;
	p->memory_why = "mapping is the fastest way";
}

int restore_plan(const struct vm_config *cfg, struct restore_plan *plan,
		 struct mote_err *err)
{
	*plan = (struct restore_plan){.memory = cfg->restore.memory,
				      .verify = cfg->restore.verify};
	(void)err;
	plan_verify(plan);
	plan_memory(plan);
	return 0;
}
