/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/uapi.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void uapi_answer(struct uapi_answer *a, enum uapi_verdict verdict,
		 const char *fmt, ...)
{
	va_list ap;

	a->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(a->detail, sizeof(a->detail), fmt, ap);
	va_end(ap);
}

void uapi_expect(struct uapi_answer *a, const char *what, int got, int want)
{
	const char *seen = got < 0 ? strerrorname_np(-got) : "success";

	if (got == want || (want == 0 && got > 0))
		uapi_answer(a, UAPI_AS_EXPECTED, "%s: %s", what, seen);
	else
		uapi_answer(a, UAPI_DIFFERS, "%s: %s, expected %s", what, seen,
			    want < 0 ? strerrorname_np(-want) : "success");
}
