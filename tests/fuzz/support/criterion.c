/* SPDX-License-Identifier: Apache-2.0 */
/*
 * criterion.c - assertions of the tests' helpers (tests/fake) in a fuzz
 * target: one that fails ends the process, which libFuzzer reports.
 */
#include <criterion/criterion.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void cr_fail_begin_(const char *file, int line, const char *what)
{
	fprintf(stderr, "fuzz: broken promise: %s:%d: %s\n", file, line, what);
}

void cr_fail_note_(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void cr_fail_end_(bool fatal)
{
	(void)fatal;
	abort();
}

void cr_abort_(void)
{
	abort();
}
