/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/stress.h"
#include "doctor.h"

#define TRAPS_MAX 64

struct list {
	char name[TRAPS_MAX][128];
	char detail[TRAPS_MAX][224];
	enum doctor_verdict verdict[TRAPS_MAX];
	int n;
};

static void note(void *opaque, const struct doctor_trap *t)
{
	struct list *l = opaque;

	cr_assert_lt(l->n, TRAPS_MAX);
	strncpy(l->name[l->n], t->name, sizeof(l->name[0]) - 1);
	strncpy(l->detail[l->n], t->detail, sizeof(l->detail[0]) - 1);
	l->verdict[l->n++] = t->verdict;
}

static struct list list;

Test(doctor_uapi, each_trap_is_told_once_and_with_words)
{
	bool ok = doctor_uapi(note, &list);
	bool differs = false;

	cr_assert_gt(list.n, 12);
	for (int i = 0; i < list.n; i++) {
		cr_expect_neq(list.detail[i][0], 0, "%s", list.name[i]);
		differs = differs || list.verdict[i] == DOCTOR_DIFFERS;
		for (int k = 0; k < i; k++)
			cr_expect_str_neq(list.name[i], list.name[k]);
	}
	cr_expect_eq(ok, !differs);
}

Test(doctor_uapi, nothing_is_left_behind)
{
	int maps = map_live();
	int fds = live_fds();
	sigset_t before, after;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	doctor_uapi(note, &list);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	cr_expect_eq(map_live(), maps);
	cr_expect_eq(live_fds(), fds);
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		cr_expect_eq(sigismember(&before, sig),
			     sigismember(&after, sig), "signal %d", sig);
}

Test(doctor_uapi, nothing_differs_in_a_lab)
{
	if (!getenv("MOTE_LAB"))
		cr_skip_test("not in a lab");
	doctor_uapi(note, &list);
	for (int i = 0; i < list.n; i++) {
		fprintf(stderr, "%d %s: %s\n", (int)list.verdict[i],
			list.name[i], list.detail[i]);
		cr_expect_neq(list.verdict[i], DOCTOR_DIFFERS, "%s: %s",
			      list.name[i], list.detail[i]);
	}
}
