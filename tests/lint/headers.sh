#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# headers.sh - each header compiles alone; each C file names its licence;
# each script too.
set -u

bad=
for h in $(git ls-files --cached --others --exclude-standard 'vmm/*.h' \
	'config/*.h' 'cli/*.h' 'launch/*.h' 'oci/*.h' 'guests/include/*.h' | grep -v 'arch/arm64\|arch/ppc64le'); do
	# The generator's private header wants host libraries only it has.
	gcc -std=gnu11 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Werror \
		-Ivmm -I. -Ivmm/arch/x86_64 -Iguests/include -Ibuild/gen \
		-x c "$h" 2>/dev/null || bad="$bad $h"
done
[ -z "$bad" ] && echo "ok headers compile alone" ||
	echo "FAIL headers compile alone:$bad"

bad=
for f in $(git ls-files --cached --others --exclude-standard '*.c' '*.h' \
	'*.S' '*.sh' '*.mk' '*.ld' '*.ini' Makefile); do
	head -n 3 "$f" | grep -q 'SPDX-License-Identifier: ' || bad="$bad $f"
done
[ -z "$bad" ] && echo "ok every source names its licence" ||
	echo "FAIL every source names its licence:$bad"
