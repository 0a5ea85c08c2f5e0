/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "snapshot/plan.h"

static const struct mote_err no_uffd = {
	.code = EACCES,
	.exit_class = ERR_CLASS_UNAVAILABLE,
	.msg = "userfaultfd: no",
};

static int plan(enum restore_memory memory, enum restore_verify verify,
		const struct mote_err *refused, struct restore_plan *p,
		struct mote_err *err)
{
	static struct vm_config cfg; /* of which only [restore] is read */

	cfg.restore.memory = memory;
	cfg.restore.verify = verify;
	memset(err, 0, sizeof(*err));
	return restore_plan(&cfg, refused, false, p, err);
}

static void expect(enum restore_memory memory, enum restore_verify verify,
		   const struct mote_err *refused, enum restore_memory is,
		   enum restore_verify when)
{
	struct restore_plan p;
	struct mote_err err;

	cr_assert_eq(plan(memory, verify, refused, &p, &err), 0, "%s", err.msg);
	cr_expect_str_eq(restore_memory_name(p.memory),
			 restore_memory_name(is));
	cr_expect_str_eq(restore_verify_name(p.verify),
			 restore_verify_name(when));
	cr_expect_gt(strlen(p.memory_why), 10);
	cr_expect_gt(strlen(p.verify_why), 10);
}

Test(restore_plan, auto_maps_and_trusts)
{
	expect(RESTORE_AUTO, VERIFY_AUTO, NULL, RESTORE_COW, VERIFY_OFF);
	expect(RESTORE_COPY, VERIFY_AUTO, NULL, RESTORE_COPY, VERIFY_OFF);
	expect(RESTORE_AUTO, VERIFY_ONCE, NULL, RESTORE_COW, VERIFY_ONCE);
	expect(RESTORE_UFFD, VERIFY_AUTO, NULL, RESTORE_UFFD, VERIFY_OFF);
}

Test(restore_plan, lazy_takes_a_userfaultfd_or_is_once)
{
	struct restore_plan p;
	struct mote_err err;

	expect(RESTORE_AUTO, VERIFY_LAZY, NULL, RESTORE_UFFD, VERIFY_LAZY);
	expect(RESTORE_AUTO, VERIFY_LAZY, &no_uffd, RESTORE_COW, VERIFY_ONCE);
	plan(RESTORE_AUTO, VERIFY_LAZY, &no_uffd, &p, &err);
	cr_expect_str_eq(p.memory_why, "userfaultfd: no");
}

Test(restore_plan, uffd_by_name_is_refused_where_there_is_none)
{
	struct restore_plan p;
	struct mote_err err;

	cr_expect_eq(plan(RESTORE_UFFD, VERIFY_LAZY, &no_uffd, &p, &err),
		     -EACCES);
	cr_expect_str_eq(err.msg, "restore.memory: userfaultfd: no");
	cr_expect_eq(err_exit_code(&err), 69);
}

Test(restore_plan, lazy_excludes_mapping_and_copying)
{
	struct restore_plan p;
	struct mote_err err;

	cr_expect_eq(plan(RESTORE_COW, VERIFY_LAZY, NULL, &p, &err), -EINVAL);
	cr_expect_str_eq(err.msg,
			 "restore.verify: found lazy with restore.memory = "
			 "cow, expected uffd or auto");
	cr_expect_eq(plan(RESTORE_COPY, VERIFY_LAZY, NULL, &p, &err), -EINVAL);
	cr_expect_eq(err_exit_code(&err), 65);
}

Test(restore_plan, a_userfaultfd_is_opened_only_where_it_would_be_used)
{
	static const struct {
		enum restore_memory memory;
		enum restore_verify verify;
		bool wants;
	} of[] = {
		{RESTORE_AUTO, VERIFY_AUTO, false},
		{RESTORE_AUTO, VERIFY_LAZY, true},
		{RESTORE_UFFD, VERIFY_OFF, true},
		{RESTORE_COW, VERIFY_LAZY, false},
		{RESTORE_COPY, VERIFY_ONCE, false},
	};

	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		static struct vm_config cfg;

		cfg.restore.memory = of[i].memory;
		cfg.restore.verify = of[i].verify;
		cr_expect_eq(restore_wants_uffd(&cfg), of[i].wants, "%zu", i);
	}
}
