/* SPDX-License-Identifier: Apache-2.0 */
/*
 * native.c - the same parser as a program that reads one input from a file:
 * what a fuzzer without virtual machines starts anew for each input.
 */
#include <stdio.h>

#include "../../guests/parse/parse.h"
#include "../../guests/parse/parser.h"

int main(int argc, char **argv)
{
	static uint8_t input[PARSE_INPUT_MAX];
	FILE *f = argc > 1 ? fopen(argv[1], "re") : stdin;
	size_t len;

	if (!f)
		return 2;
	len = fread(input, 1, sizeof(input), f);
	return parse(input, len) < 0 ? 1 : 0;
}
