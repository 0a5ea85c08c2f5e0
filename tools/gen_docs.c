/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_docs.c - mote.ini(5) and shell completion out of the one key table.
 *
 *   gen_docs man|bash|zsh|fish     (build time; part of no tool)
 */
#include <stdio.h>
#include <string.h>

#include "mote.h"

static const char *const commands[] = {
	"run",	   "check",  "restore", "ctl",	  "snapshot",
	"inspect", "verify", "compat",	"doctor",
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char *const options[] = {
	"--set",   "--timeline", "--json", "--kernel",	 "--memory",
	"--vcpus", "--cmdline",	 "--name", "--protocol", "--stop-timeout",
	"--disk",  "--net",	 "--help",
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

/* A '-' that is no hyphen, and nothing that roff takes as its own. */
static void roff(const char *s)
{
	for (; *s; s++) {
		if (*s == '-' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
}

static void man_key(const struct mote_key_info *k)
{
	printf(".TP\n.B ");
	roff(k->key[0] ? k->key : "(section)");
	printf("\n");
	roff(k->help);
	printf(".\nType: ");
	roff(k->type);
	if (k->unit && k->unit[0]) {
		printf(", ");
		roff(k->unit);
	}
	if (k->range && k->range[0]) {
		printf("; ");
		roff(k->range);
	}
	if (k->def && k->def[0]) {
		printf("; default ");
		roff(k->def);
	}
	if (k->since)
		printf("; since ");
	else
		printf("; not in this version yet");
	if (k->since)
		roff(k->since);
	printf(".\n");
}

static void man(void)
{
	struct mote_key_info k;
	char section[64] = "";

	printf(".\\\" SPDX-License-Identifier: Apache-2.0\n"
	       ".\\\" Generated from the key table: do not edit.\n"
	       ".TH MOTE.INI 5 \"\" \"mote %s\"\n"
	       ".SH NAME\nmote.ini \\- configuration of one mote VM\n"
	       ".SH DESCRIPTION\n"
	       "Sections in brackets, lines \"key = value\", comment lines "
	       "that "
	       "begin with # or ;.\n"
	       "An indented line continues the value before it, joined by one "
	       "space; a line that ends in a backslash is joined without one.\n"
	       "Sizes take K, M, G, T (binary); times ms, s, m; yes/no, "
	       "true/false, on/off.\n"
	       "Paths are relative to the file.\n"
	       "An unknown or repeated section or key is an error, and all "
	       "errors are told at once.\n",
	       mote_version());
	for (size_t i = 0; mote_config_key(i, &k); i++) {
		if (strcmp(section, k.section) != 0) {
			snprintf(section, sizeof(section), "%s", k.section);
			printf(".SH [");
			roff(k.section);
			printf("]\n");
		}
		man_key(&k);
	}
	printf(".SH SEE ALSO\n.BR mote (1)\n");
}

/* "section.key=" of every key that works here, for --set. */
static void keys(const char *before, const char *after)
{
	struct mote_key_info k;

	for (size_t i = 0; mote_config_key(i, &k); i++)
		if (k.since && k.here && k.key[0])
			printf("%s%s.%s=%s", before, k.section, k.key, after);
}

static void words(const char *const list[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%s%s", i ? " " : "", list[i]);
}

static void bash(void)
{
	printf("# SPDX-License-Identifier: Apache-2.0\n"
	       "# Generated from the key table: do not edit.\n"
	       "_mote()\n{\n"
	       "\tlocal cur=${COMP_WORDS[COMP_CWORD]}\n"
	       "\tlocal prev=${COMP_WORDS[COMP_CWORD-1]}\n"
	       "\tlocal keys=\"");
	keys("", " ");
	printf("\"\n\tif [ \"$COMP_CWORD\" = 1 ]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W '");
	words(commands, COMMANDS);
	printf(" --help --version' -- \"$cur\"))\n"
	       "\telif [ \"$prev\" = --set ]; then\n"
	       "\t\tcompopt -o nospace\n"
	       "\t\tCOMPREPLY=($(compgen -W \"$keys\" -- \"$cur\"))\n"
	       "\telif [[ $cur == -* ]]; then\n"
	       "\t\tCOMPREPLY=($(compgen -W '");
	words(options, OPTIONS);
	printf("' -- \"$cur\"))\n\telse\n"
	       "\t\tCOMPREPLY=($(compgen -f -- \"$cur\"))\n\tfi\n}\n"
	       "complete -F _mote mote\n");
}

static void zsh(void)
{
	printf("#compdef mote\n"
	       "# SPDX-License-Identifier: Apache-2.0\n"
	       "# Generated from the key table: do not edit.\n"
	       "if (( CURRENT == 2 )); then\n\tcompadd -- ");
	words(commands, COMMANDS);
	printf(" --help --version\n"
	       "elif [[ $words[CURRENT-1] == --set ]]; then\n"
	       "\tcompadd -S '' --");
	keys(" '", "'");
	printf("\nelif [[ $PREFIX == -* ]]; then\n\tcompadd -- ");
	words(options, OPTIONS);
	printf("\nelse\n\t_files\nfi\n");
}

static void fish(void)
{
	printf("# SPDX-License-Identifier: Apache-2.0\n"
	       "# Generated from the key table: do not edit.\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("complete -c mote -n __fish_use_subcommand -f -a %s\n",
		       commands[i]);
	printf("complete -c mote -l set -x -a '");
	keys("", " ");
	printf("'\n");
	for (size_t i = 1; i < OPTIONS; i++)
		printf("complete -c mote -l %s%s\n", options[i] + 2,
		       strcmp(options[i], "--json") &&
				       strcmp(options[i], "--prometheus") &&
				       strcmp(options[i], "--help")
			       ? " -r"
			       : "");
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} form[] = {{"man", man}, {"bash", bash}, {"zsh", zsh}, {"fish", fish}};

	for (size_t i = 0; argc == 2 && i < sizeof(form) / sizeof(form[0]); i++)
		if (!strcmp(form[i].name, argv[1])) {
			form[i].print();
			return fflush(stdout) != 0;
		}
	fprintf(stderr, "usage: gen_docs man|bash|zsh|fish\n");
	return 64;
}
