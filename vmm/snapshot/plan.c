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

bool restore_wants_uffd(const struct vm_config *cfg)
{
	return cfg->restore.memory == RESTORE_UFFD ||
	       (cfg->restore.memory == RESTORE_AUTO &&
		(cfg->restore.verify == VERIFY_LAZY || cfg->restore.record));
}

static void plan_verify(struct restore_plan *p, const struct mote_err *refused)
{
	p->verify_why = CONFIGURED;
	if (p->verify == VERIFY_AUTO) {
		p->verify = VERIFY_OFF;
		p->verify_why = "one machine, which trusts the file system";
	} else if (p->verify == VERIFY_LAZY && refused) {
		p->verify = VERIFY_ONCE;
		p->verify_why = "lazy would take a userfaultfd";
	}
}

static void plan_memory(struct restore_plan *p, const struct vm_config *cfg,
			const struct mote_err *refused)
{
	bool wanted = restore_wants_uffd(cfg);

	p->memory_why = CONFIGURED;
	if (p->memory != RESTORE_AUTO)
		return;
	if (cfg->passthrough_count) {
		p->memory = RESTORE_COPY;
		p->memory_why = "devices pin all of it";
		return;
	}
	p->memory = RESTORE_COW;
	p->memory_why = "mapping is the fastest way";
	if (!wanted)
		return;
	if (refused) {
		p->memory_why = refused->msg;
	} else {
		p->memory = RESTORE_UFFD;
		p->memory_why =
			p->verify == VERIFY_LAZY
				? "memory is verified when it is touched"
				: "what is touched is recorded page by page";
	}
}

static void plan_hotset(struct restore_plan *p, const struct vm_config *cfg,
			bool rewind)
{
	p->hotset_why = CONFIGURED;
	if (p->hotset == HOTSET_OFF)
		return;
	if (cfg->restore.record)
		p->hotset_why = "it is recorded";
	else if (p->memory != RESTORE_COW)
		p->hotset_why = "memory is not mapped";
	else if (cfg->memory.lock)
		p->hotset_why = "memory is locked";
	else if (p->hotset != HOTSET_AUTO)
		return;
	else if (rewind)
		p->hotset_why = "a rewind would copy all of it";
	else {
		p->hotset = HOTSET_PRIVATE_THP;
		p->hotset_why = "one machine";
		return;
	}
	p->hotset = HOTSET_OFF;
}

int restore_plan(const struct vm_config *cfg, const struct mote_err *refused,
		 bool rewind, struct restore_plan *plan, struct mote_err *err)
{
	*plan = (struct restore_plan){.memory = cfg->restore.memory,
				      .verify = cfg->restore.verify,
				      .hotset = cfg->restore.hotset};
	if (plan->verify == VERIFY_LAZY && !restore_wants_uffd(cfg))
		return err_set_class(err, EINVAL, ERR_CLASS_DATA,
				     "restore.verify: found lazy with "
				     "restore.memory = %s, expected uffd or "
				     "auto",
				     restore_memory_name(plan->memory));
	if (plan->memory == RESTORE_UFFD && refused) {
		if (err)
			*err = *refused;
		return err_wrap(err, -refused->code, "restore.memory");
	}
	plan_memory(plan, cfg, refused);
	plan_verify(plan, refused);
	plan_hotset(plan, cfg, rewind);
	return 0;
}
