/* SPDX-License-Identifier: Apache-2.0 */
/*
 * criterion.h - the part of Criterion's interface that mote's tests use.
 *
 * Criterion does not exist for every architecture that the labs boot, so the
 * same test sources also compile against this header and runner.c: put
 * -Itests/runner before the system's include path.  Names and meaning follow
 * Criterion 2.4; what is not here (parameterized tests, theories, redirects,
 * criterion/new) is not to be used in tests that run in a lab.
 *
 * Each test runs in a process of its own.  cr_assert_* ends the test at the
 * first failure, cr_expect_* records it and goes on.  An assertion that fails
 * in a forked child ends that child with status 1; one that fails in another
 * thread ends the whole test.
 */
#ifndef TESTS_RUNNER_CRITERION_H
#define TESTS_RUNNER_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct criterion_test_extra_data {
	int sentinel_;
	void (*init)(void);
	void (*fini)(void);
	int signal;	/* the test must die of this signal */
	int exit_code;	/* the test must exit with this status, if not 0 */
	bool disabled;	/* neither run nor counted */
	double timeout; /* seconds; 0: the suite's or the runner's limit */
	const char *description;
	void *data;
};

struct criterion_test {
	const char *category;
	const char *name;
	const char *file;
	int line;
	void (*test)(void);
	struct criterion_test_extra_data data;
	struct criterion_test *next;
	double seconds; /* that it took, once it ran */
};

struct criterion_suite {
	const char *name;
	struct criterion_test_extra_data data;
	struct criterion_suite *next;
};

void cr_register_test_(struct criterion_test *test);
void cr_register_suite_(struct criterion_suite *suite);

/* Report in three steps, so that the message may be left out. */
void cr_fail_begin_(const char *file, int line, const char *what);
void cr_fail_note_(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void cr_fail_end_(bool fatal);
void cr_abort_(void) __attribute__((noreturn));
void cr_skip_(const char *fmt, ...)
	__attribute__((format(printf, 1, 2), noreturn));
void cr_log_(const char *level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define Test(Suite, Name, ...)                                                 \
	static void Suite##_##Name##_test_(void);                              \
	static struct criterion_test Suite##_##Name##_info_ = {                \
		.category = #Suite,                                            \
		.name = #Name,                                                 \
		.file = __FILE__,                                              \
		.line = __LINE__,                                              \
		.test = Suite##_##Name##_test_,                                \
		.data = {.sentinel_ = 0, ##__VA_ARGS__}};                      \
	__attribute__((constructor)) static void Suite##_##Name##_reg_(void)   \
	{                                                                      \
		cr_register_test_(&Suite##_##Name##_info_);                    \
	}                                                                      \
	static void Suite##_##Name##_test_(void)

/* As in Criterion a suite's init and fini run around each of its tests. */
#define TestSuite(Name, ...)                                                   \
	static struct criterion_suite Name##_suite_info_ = {                   \
		.name = #Name, .data = {.sentinel_ = 0, ##__VA_ARGS__}};       \
	__attribute__((constructor)) static void Name##_suite_reg_(void)       \
	{                                                                      \
		cr_register_suite_(&Name##_suite_info_);                       \
	}                                                                      \
	extern int Name##_suite_end_

#define CR_CHECK_(Fatal, Cond, What, ...)                                      \
	do {                                                                   \
		if (!(Cond)) {                                                 \
			cr_fail_begin_(__FILE__, __LINE__, What);              \
			__VA_OPT__(cr_fail_note_(__VA_ARGS__);)                \
			cr_fail_end_(Fatal);                                   \
			if (Fatal)                                             \
				cr_abort_();                                   \
		}                                                              \
	} while (0)

#define CR_OP_(Fatal, A, Op, B, ...)                                           \
	CR_CHECK_(Fatal, (A)Op(B), "(" #A ") " #Op " (" #B ")", ##__VA_ARGS__)

#define CR_STR_OP_(Fatal, A, Op, B, ...)                                       \
	do {                                                                   \
		const char *cr_a_ = (A), *cr_b_ = (B);                         \
		if (!cr_str_cmp_(cr_a_, cr_b_, #Op)) {                         \
			cr_fail_begin_(__FILE__, __LINE__,                     \
				       #A " " #Op " " #B " as strings");       \
			cr_fail_note_("\"%s\" against \"%s\"",                 \
				      cr_a_ ? cr_a_ : "(null)",                \
				      cr_b_ ? cr_b_ : "(null)");               \
			__VA_OPT__(cr_fail_note_(__VA_ARGS__);)                \
			cr_fail_end_(Fatal);                                   \
			if (Fatal)                                             \
				cr_abort_();                                   \
		}                                                              \
	} while (0)

static inline bool cr_str_cmp_(const char *a, const char *b, const char *op)
{
	int d;

	if (!a || !b)
		return false;
	d = strcmp(a, b);
	if (op[0] == '=')
		return d == 0;
	if (op[0] == '!')
		return d != 0;
	if (d == 0)
		return op[1] == '=';
	return (op[0] == '<') == (d < 0);
}

#define cr_assert_fail(...)                                                    \
	CR_CHECK_(true, false, "cr_assert_fail", ##__VA_ARGS__)
#define cr_expect_fail(...)                                                    \
	CR_CHECK_(false, false, "cr_expect_fail", ##__VA_ARGS__)
#define cr_skip(...)	  cr_skip_("" __VA_ARGS__)
#define cr_skip_test(...) cr_skip_("" __VA_ARGS__)

#define cr_log_info(...)  cr_log_("info", __VA_ARGS__)
#define cr_log_warn(...)  cr_log_("warn", __VA_ARGS__)
#define cr_log_error(...) cr_log_("error", __VA_ARGS__)

#define cr_assert(C, ...)     CR_CHECK_(true, C, #C, ##__VA_ARGS__)
#define cr_expect(C, ...)     CR_CHECK_(false, C, #C, ##__VA_ARGS__)
#define cr_assert_not(C, ...) CR_CHECK_(true, !(C), "!(" #C ")", ##__VA_ARGS__)
#define cr_expect_not(C, ...) CR_CHECK_(false, !(C), "!(" #C ")", ##__VA_ARGS__)

#define cr_assert_eq(A, B, ...)	 CR_OP_(true, A, ==, B, ##__VA_ARGS__)
#define cr_expect_eq(A, B, ...)	 CR_OP_(false, A, ==, B, ##__VA_ARGS__)
#define cr_assert_neq(A, B, ...) CR_OP_(true, A, !=, B, ##__VA_ARGS__)
#define cr_expect_neq(A, B, ...) CR_OP_(false, A, !=, B, ##__VA_ARGS__)
#define cr_assert_lt(A, B, ...)	 CR_OP_(true, A, <, B, ##__VA_ARGS__)
#define cr_expect_lt(A, B, ...)	 CR_OP_(false, A, <, B, ##__VA_ARGS__)
#define cr_assert_leq(A, B, ...) CR_OP_(true, A, <=, B, ##__VA_ARGS__)
#define cr_expect_leq(A, B, ...) CR_OP_(false, A, <=, B, ##__VA_ARGS__)
#define cr_assert_gt(A, B, ...)	 CR_OP_(true, A, >, B, ##__VA_ARGS__)
#define cr_expect_gt(A, B, ...)	 CR_OP_(false, A, >, B, ##__VA_ARGS__)
#define cr_assert_geq(A, B, ...) CR_OP_(true, A, >=, B, ##__VA_ARGS__)
#define cr_expect_geq(A, B, ...) CR_OP_(false, A, >=, B, ##__VA_ARGS__)

#define cr_assert_null(P, ...)	   CR_OP_(true, P, ==, NULL, ##__VA_ARGS__)
#define cr_expect_null(P, ...)	   CR_OP_(false, P, ==, NULL, ##__VA_ARGS__)
#define cr_assert_not_null(P, ...) CR_OP_(true, P, !=, NULL, ##__VA_ARGS__)
#define cr_expect_not_null(P, ...) CR_OP_(false, P, !=, NULL, ##__VA_ARGS__)

#define cr_assert_str_eq(A, B, ...)  CR_STR_OP_(true, A, ==, B, ##__VA_ARGS__)
#define cr_expect_str_eq(A, B, ...)  CR_STR_OP_(false, A, ==, B, ##__VA_ARGS__)
#define cr_assert_str_neq(A, B, ...) CR_STR_OP_(true, A, !=, B, ##__VA_ARGS__)
#define cr_expect_str_neq(A, B, ...) CR_STR_OP_(false, A, !=, B, ##__VA_ARGS__)
#define cr_assert_str_lt(A, B, ...)  CR_STR_OP_(true, A, <, B, ##__VA_ARGS__)
#define cr_expect_str_lt(A, B, ...)  CR_STR_OP_(false, A, <, B, ##__VA_ARGS__)
#define cr_assert_str_leq(A, B, ...) CR_STR_OP_(true, A, <=, B, ##__VA_ARGS__)
#define cr_expect_str_leq(A, B, ...) CR_STR_OP_(false, A, <=, B, ##__VA_ARGS__)
#define cr_assert_str_gt(A, B, ...)  CR_STR_OP_(true, A, >, B, ##__VA_ARGS__)
#define cr_expect_str_gt(A, B, ...)  CR_STR_OP_(false, A, >, B, ##__VA_ARGS__)
#define cr_assert_str_geq(A, B, ...) CR_STR_OP_(true, A, >=, B, ##__VA_ARGS__)
#define cr_expect_str_geq(A, B, ...) CR_STR_OP_(false, A, >=, B, ##__VA_ARGS__)
#define cr_assert_str_empty(A, ...)  CR_STR_OP_(true, A, ==, "", ##__VA_ARGS__)
#define cr_expect_str_empty(A, ...)  CR_STR_OP_(false, A, ==, "", ##__VA_ARGS__)
#define cr_assert_str_not_empty(A, ...)                                        \
	CR_STR_OP_(true, A, !=, "", ##__VA_ARGS__)
#define cr_expect_str_not_empty(A, ...)                                        \
	CR_STR_OP_(false, A, !=, "", ##__VA_ARGS__)

/* Size is in bytes. */
#define CR_ARR_OP_(Fatal, A, Op, B, Size, ...)                                 \
	CR_CHECK_(Fatal, memcmp(A, B, Size) Op 0,                              \
		  #A " " #Op " " #B " over " #Size " bytes", ##__VA_ARGS__)
#define cr_assert_arr_eq(A, B, S, ...)                                         \
	CR_ARR_OP_(true, A, ==, B, S, ##__VA_ARGS__)
#define cr_expect_arr_eq(A, B, S, ...)                                         \
	CR_ARR_OP_(false, A, ==, B, S, ##__VA_ARGS__)
#define cr_assert_arr_neq(A, B, S, ...)                                        \
	CR_ARR_OP_(true, A, !=, B, S, ##__VA_ARGS__)
#define cr_expect_arr_neq(A, B, S, ...)                                        \
	CR_ARR_OP_(false, A, !=, B, S, ##__VA_ARGS__)

#endif
