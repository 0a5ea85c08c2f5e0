/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <string.h>

bool mem_is_zero(const void *p, size_t len)
{
	const char *c = p;

	return c[0] == 0 && memcmp(c, c + 1, len - 1) == 0;
}
