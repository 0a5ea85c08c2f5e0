/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gen_filter.c - turns policy.c into BPF for one architecture, at build
 * time, with libseccomp.
 *
 *   gen_filter [--sanitizer | --audit] ARCH CONSTS.s >filters.h
 *   gen_filter --doc >policy.md
 *
 * ARCH is x86_64, arm64 or ppc64le; CONSTS.s is gen_consts.c compiled for
 * it.  Any doubt (a name that the architecture lacks, a placeholder that is
 * not where the loader can patch it) fails the build.
 *
 * --audit makes filters in which each rule asks a tracer, with its number
 * (POLICY_AUDIT_ID): tests/attack/audit.c counts which are used.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/policy.h"

#define NAME_MAX_LEN 64
#define CONSTS_MAX   256
#define NO_CALL	     0x3fffffffu
#define CALLS_MAX    1024 /* no architecture has so many */

struct target {
	const char *name;
	uint32_t token;
	unsigned int bit;
};

static const struct target targets[] = {
	{"x86_64", SCMP_ARCH_X86_64, POLICY_X86_64},
	{"arm64", SCMP_ARCH_AARCH64, POLICY_ARM64},
	{"ppc64le", SCMP_ARCH_PPC64LE, POLICY_PPC64LE},
};

static const struct {
	const char *name;
	uint32_t value;
} placeholder[] = {
	{"@vcpu", POLICY_AT_VCPU},   {"@events", POLICY_AT_EVENTS},
	{"@pid", POLICY_AT_PID},     {"@kick", POLICY_AT_KICK},
	{"@block", POLICY_AT_BLOCK}, {"@uffd", POLICY_AT_UFFD},
	{"@vm", POLICY_AT_VM},	     {"@irq", POLICY_AT_IRQ},
};

#define PLACEHOLDERS (sizeof(placeholder) / sizeof(placeholder[0]))

static struct {
	char name[NAME_MAX_LEN];
	uint32_t value;
} consts[CONSTS_MAX];
static size_t nconsts;

static void __attribute__((format(printf, 1, 2), noreturn))
die(const char *fmt, ...)
{
	va_list ap;

	fputs("gen_filter: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static void read_consts(const char *path)
{
	FILE *f = fopen(path, "r");
	char line[512];

	if (!f)
		die("%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		const char *mark = strstr(line, "\"->");
		unsigned long long value;

		if (!mark)
			continue;
		if (nconsts == CONSTS_MAX)
			die("%s: more than %d constants", path, CONSTS_MAX);
		if (sscanf(mark, "\"->%63s %*[$#]%llu", consts[nconsts].name,
			   &value) != 2 &&
		    sscanf(mark, "\"->%63s %llu", consts[nconsts].name,
			   &value) != 2)
			die("%s: not understood: %s", path, line);
		consts[nconsts++].value = (uint32_t)value;
	}
	fclose(f);
	if (nconsts == 0)
		die("%s: no constants", path);
}

static uint32_t resolve(const struct policy_rule *r, const char *name)
{
	char *end;
	unsigned long n = strtoul(name, &end, 10);

	if (*name && !*end)
		return (uint32_t)n;
	for (size_t i = 0; i < PLACEHOLDERS; i++)
		if (!strcmp(placeholder[i].name, name))
			return placeholder[i].value;
	for (size_t i = 0; i < nconsts; i++)
		if (!strcmp(consts[i].name, name))
			return consts[i].value;
	die("%s: \"%s\" has no value on this architecture", r->call, name);
}

static int call_number(const struct policy_rule *r, const struct target *t)
{
	int nr = seccomp_syscall_resolve_name_arch(t->token, r->call);
	char name[NAME_MAX_LEN];

	/* Below zero: unknown, or a number that libseccomp made up. */
	snprintf(name, sizeof(name), "call:%s", r->call);
	for (size_t i = 0; nr < 0 && i < nconsts; i++)
		if (!strcmp(consts[i].name, name))
			nr = (int)consts[i].value;
	if (nr < 0)
		die("%s: no such system call on %s", r->call, t->name);
	return nr;
}

static bool applies(const struct policy_rule *r, const struct target *t)
{
	return r->arch == 0 || (r->arch & t->bit);
}

/* --- one filter --------------------------------------------------------------
 */

static int checks_of(const struct policy_rule *r, struct scmp_arg_cmp *cmp)
{
	int n = 0;

	for (; n < POLICY_CHECKS && r->check[n].value; n++) {
		const struct policy_check *c = &r->check[n];
		uint32_t mask = c->mask ? resolve(r, c->mask) : UINT32_MAX;
		uint32_t value = resolve(r, c->value);

		if (value & ~mask)
			die("%s: %s has bits outside its mask", r->call,
			    c->value);
		cmp[n] = SCMP_CMP((unsigned int)c->arg, SCMP_CMP_MASKED_EQ,
				  mask, value);
	}
	return n;
}

static bool same_call_unchecked(const struct policy *p, const char *call,
				const struct target *t)
{
	for (size_t i = 0; i < p->count; i++)
		if (!strcmp(p->rule[i].call, call) && applies(&p->rule[i], t) &&
		    !p->rule[i].check[0].value)
			return true;
	return false;
}

static bool audit;

static uint32_t allow_action(const struct policy *p, size_t rule)
{
	for (unsigned int role = 0; audit && role < SANDBOX_ROLES; role++)
		if (p == policy_of((enum sandbox_role)role))
			return SCMP_ACT_TRACE(
				POLICY_AUDIT_ID(role, (unsigned int)rule));
	return SCMP_ACT_ALLOW;
}

static bool allows(uint32_t action)
{
	return action == SECCOMP_RET_ALLOW ||
	       (audit &&
		(action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE);
}

static void add_rules(scmp_filter_ctx ctx, const struct policy *p,
		      const struct policy *wider, const struct target *t)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct policy_rule *r = &p->rule[i];
		struct scmp_arg_cmp cmp[POLICY_CHECKS];
		int ret, n;

		if (!applies(r, t))
			continue;
		if (r->check[0].value && wider &&
		    same_call_unchecked(wider, r->call, t))
			continue;
		n = checks_of(r, cmp);
		/*
		 * libseccomp wants this machine's number, for any target.
		 * Not "exact", which refuses what ppc64le's socketcall can't
		 * express; verify() looks at the result instead.
		 */
		call_number(r, t);
		ret = seccomp_rule_add_array(
			ctx, allow_action(p, i),
			seccomp_syscall_resolve_name(r->call), (unsigned int)n,
			cmp);
		if (ret < 0 && ret != -EEXIST)
			die("%s: %s", r->call, strerror(-ret));
	}
}

static scmp_filter_ctx build(const struct policy *p, const struct target *t,
			     uint32_t action, bool sanitizer)
{
	scmp_filter_ctx ctx = seccomp_init(action);
	const struct policy *extra = sanitizer ? policy_sanitizer() : NULL;
	int ret;

	if (!ctx)
		die("seccomp_init");
	if (t->token != seccomp_arch_native() &&
	    (seccomp_arch_add(ctx, t->token) < 0 ||
	     seccomp_arch_remove(ctx, SCMP_ARCH_NATIVE) < 0))
		die("%s: libseccomp does not know it", t->name);
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH,
			       SCMP_ACT_KILL_PROCESS);
	/* A binary tree: 80 ns instead of 210 at each KVM_RUN. */
	if (ret == 0)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (ret < 0)
		die("seccomp_attr_set: %s", strerror(-ret));
	add_rules(ctx, p, extra, t);
	if (extra)
		add_rules(ctx, extra, NULL, t);
	return ctx;
}

static int export(scmp_filter_ctx ctx, struct sock_filter *insn)
{
	FILE *tmp = tmpfile();
	size_t n;

	if (!tmp || seccomp_export_bpf(ctx, fileno(tmp)) < 0)
		die("seccomp_export_bpf: %s", strerror(errno));
	rewind(tmp);
	n = fread(insn, sizeof(*insn), POLICY_FILTER_MAX + 1, tmp);
	fclose(tmp);
	if (n == 0 || n > POLICY_FILTER_MAX)
		die("a filter has %zu instructions or more", n);
	return (int)n;
}

/*
 * ppc64le has socketcall(2) beside the calls that it multiplexes, and
 * libseccomp allows both ways.  The arguments of the former are in memory,
 * where no filter sees them, and no C library of today makes it: its number
 * becomes one that does not exist.
 */
static void drop_socketcall(const struct target *t, struct sock_filter *insn,
			    int n)
{
	int nr = seccomp_syscall_resolve_name_arch(t->token, "socketcall");

	for (int i = 0; nr >= 0 && i < n; i++)
		if (insn[i].code == (BPF_JMP | BPF_JEQ | BPF_K) &&
		    insn[i].k == (uint32_t)nr)
			insn[i].k = NO_CALL;
}

/* Every placeholder that the rules name is there to be patched, no other. */
static void check_placeholders(const struct policy *p, const struct target *t,
			       const struct sock_filter *insn, int n)
{
	for (size_t k = 0; k < PLACEHOLDERS; k++) {
		bool named = false, found = false;

		for (size_t i = 0; i < p->count; i++)
			for (int c = 0; c < POLICY_CHECKS; c++)
				if (applies(&p->rule[i], t) &&
				    p->rule[i].check[c].value &&
				    !strcmp(p->rule[i].check[c].value,
					    placeholder[k].name))
					named = true;
		for (int i = 0; i < n; i++) {
			if (insn[i].k != placeholder[k].value)
				continue;
			found = true;
			if (insn[i].code != (BPF_JMP | BPF_JEQ | BPF_K))
				die("%s: %s is not compared for equality",
				    p->name, placeholder[k].name);
		}
		if (named != found)
			die("%s: %s: rules and filter differ", p->name,
			    placeholder[k].name);
	}
}

/* --- what the filter does, against the table --------------------------- */

/* The kernel's view of a filter, for the instructions that occur. */
static uint32_t evaluate(const struct sock_filter *insn, int n,
			 const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (int pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &insn[pc];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)data + i->k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += (int)i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i->k ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			die("instruction 0x%x is not expected", i->code);
		}
	}
	die("a filter has no end");
}

static bool rule_matches(const struct policy_rule *r, const struct target *t,
			 const struct seccomp_data *data)
{
	if (!applies(r, t) || call_number(r, t) != data->nr)
		return false;
	for (int i = 0; i < POLICY_CHECKS && r->check[i].value; i++) {
		const struct policy_check *c = &r->check[i];
		uint32_t mask = c->mask ? resolve(r, c->mask) : UINT32_MAX;

		if (((uint32_t)data->args[c->arg] & mask) !=
		    resolve(r, c->value))
			return false;
	}
	return true;
}

static void expect(const struct policy *p, const struct policy *extra,
		   const struct target *t, const struct sock_filter *insn,
		   int n, const struct seccomp_data *data)
{
	bool want = false;

	for (size_t i = 0; i < p->count && !want; i++)
		want = rule_matches(&p->rule[i], t, data);
	for (size_t i = 0; extra && i < extra->count && !want; i++)
		want = rule_matches(&extra->rule[i], t, data);
	if (allows(evaluate(insn, n, data)) != want)
		die("%s: call %d on %s: the filter is not what the table says",
		    p->name, data->nr, t->name);
}

/*
 * Every number with arguments of no meaning, every rule with arguments that
 * fit, and with each of them off by one bit, and with rubbish in the upper
 * half; a foreign architecture, and x32 numbers.
 */
static void verify(const struct policy *p, const struct policy *extra,
		   const struct target *t, const struct sock_filter *insn,
		   int n)
{
	struct seccomp_data d = {.arch = t->token};

	for (int fill = -1; fill <= 1; fill++) {
		for (int i = 0; i < 6; i++)
			d.args[i] = (uint64_t)fill;
		for (d.nr = 0; d.nr < CALLS_MAX; d.nr++)
			expect(p, extra, t, insn, n, &d);
	}
	for (size_t i = 0; i < p->count; i++) {
		const struct policy_rule *r = &p->rule[i];

		if (!applies(r, t))
			continue;
		d.nr = call_number(r, t);
		for (int c = 0; c < POLICY_CHECKS && r->check[c].value; c++)
			d.args[r->check[c].arg] = 0xabcdef0100000000 |
						  resolve(r, r->check[c].value);
		expect(p, extra, t, insn, n, &d);
		for (int bit = 0; bit < 32 * POLICY_CHECKS; bit++) {
			struct seccomp_data off = d;
			const struct policy_check *c = &r->check[bit / 32];

			if (!c->value)
				break;
			off.args[c->arg] ^= UINT64_C(1) << (bit % 32);
			expect(p, extra, t, insn, n, &off);
		}
		d.arch ^= 1;
		if (evaluate(insn, n, &d) != SECCOMP_RET_KILL_PROCESS)
			die("%s: a foreign architecture gets through", p->name);
		d.arch ^= 1;
		d.nr |= 0x40000000;
		if (allows(evaluate(insn, n, &d)))
			die("%s: an x32 call gets through", p->name);
	}
}

/* --- the header -------------------------------------------------------- */

static void print_filter(const struct policy *p, const struct target *t,
			 bool sanitizer)
{
	struct sock_filter insn[POLICY_FILTER_MAX + 1];
	scmp_filter_ctx ctx = build(p, t, SCMP_ACT_LOG, sanitizer);
	int n = export(ctx, insn);

	seccomp_release(ctx);
	drop_socketcall(t, insn, n);
	verify(p, sanitizer ? policy_sanitizer() : NULL, t, insn, n);
	/* A sanitizer build drops checks, and with them placeholders. */
	if (!sanitizer)
		check_placeholders(p, t, insn, n);
	printf("\nstatic const struct sock_filter filter_%s[] = {\n", p->name);
	for (int i = 0; i < n; i++)
		printf("\t{0x%02x, %u, %u, 0x%08x},\n", insn[i].code,
		       insn[i].jt, insn[i].jf, insn[i].k);
	printf("};\n");
}

/* For the tests: what the table says, as numbers. */
static void print_calls(const struct policy *p, const struct policy *extra,
			const struct target *t)
{
	const struct policy *from[] = {p, extra};

	printf("\nstatic const struct filter_call filter_%s_calls[] = {\n",
	       p->name);
	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; from[k] && i < from[k]->count; i++) {
			const struct policy_rule *r = &from[k]->rule[i];

			if (!applies(r, t))
				continue;
			printf("\t{%d, \"%s\", {", call_number(r, t), r->call);
			for (int c = 0; c < POLICY_CHECKS && r->check[c].value;
			     c++)
				printf("{%d, 0x%xu, 0x%xu}, ", r->check[c].arg,
				       r->check[c].mask
					       ? resolve(r, r->check[c].mask)
					       : UINT32_MAX,
				       resolve(r, r->check[c].value));
			printf("{-1, 0, 0}}},\n");
		}
	}
	printf("\t{-1, NULL, {{-1, 0, 0}}},\n};\n");
}

static void print_header(const struct target *t, bool sanitizer)
{
	printf("/* Generated by gen_filter from policy.c for %s%s. */\n",
	       t->name, sanitizer ? ", with sanitizers" : "");
	printf("#include <linux/filter.h>\n#include <stddef.h>\n");
	for (int r = 0; r < SANDBOX_ROLES; r++)
		print_filter(policy_of((enum sandbox_role)r), t, sanitizer);
	printf("\n#define FILTER(f) {f, sizeof(f) / sizeof((f)[0])}\n"
	       "/* Where none of them allows, each says SECCOMP_RET_LOG. */\n"
	       "static const struct {\n"
	       "\tconst struct sock_filter *insn;\n"
	       "\tunsigned short count;\n"
	       "} filters[%d] = {\n",
	       SANDBOX_ROLES);
	for (int r = 0; r < SANDBOX_ROLES; r++)
		printf("\tFILTER(filter_%s),\n",
		       policy_of((enum sandbox_role)r)->name);
	printf("};\n\n#ifdef FILTERS_WANT_CALLS\n"
	       "struct filter_call {\n"
	       "\tint nr;\n\tconst char *name;\n"
	       "\tstruct {\n\t\tint arg; /* -1: no more */\n"
	       "\t\tunsigned int mask, value;\n\t} check[%d];\n};\n",
	       POLICY_CHECKS + 1);
	for (int r = 0; r < SANDBOX_ROLES; r++)
		print_calls(policy_of((enum sandbox_role)r),
			    sanitizer ? policy_sanitizer() : NULL, t);
	printf("\nstatic const struct filter_call *const filter_calls[] = {\n");
	for (int r = 0; r < SANDBOX_ROLES; r++)
		printf("\tfilter_%s_calls,\n",
		       policy_of((enum sandbox_role)r)->name);
	printf("};\n#endif\n");
}

/* --- the documentation ------------------------------------------------- */

static void doc_arch(unsigned int arch)
{
	const char *sep = " (";

	if (arch == 0)
		return;
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		if (arch & targets[i].bit) {
			printf("%s%s", sep, targets[i].name);
			sep = ", ";
		}
	}
	printf(")");
}

static void doc_checks(const struct policy_rule *r)
{
	if (!r->check[0].value)
		printf("any");
	for (int i = 0; i < POLICY_CHECKS && r->check[i].value; i++) {
		const struct policy_check *c = &r->check[i];

		printf("%sarg%d", i ? ", " : "", c->arg);
		if (c->mask)
			printf(" & %s", c->mask);
		printf(" = %s", c->value);
	}
}

static void print_doc(void)
{
	printf("| Role | System call | Arguments | Reason |\n"
	       "|---|---|---|---|\n");
	for (int role = 0; role < SANDBOX_ROLES; role++) {
		const struct policy *p = policy_of((enum sandbox_role)role);

		for (size_t i = 0; i < p->count; i++) {
			const struct policy_rule *r = &p->rule[i];

			printf("| %s | `%s`", p->name, r->call);
			doc_arch(r->arch);
			printf(" | ");
			doc_checks(r);
			printf(" | %s%s |\n", r->reason,
			       r->rare ? " (rare)" : "");
		}
	}
}

int main(int argc, char **argv)
{
	bool sanitizer = argc > 1 && !strcmp(argv[1], "--sanitizer");
	int at;

	audit = argc > 1 && !strcmp(argv[1], "--audit");
	at = sanitizer || audit ? 2 : 1;

	if (argc == 2 && !strcmp(argv[1], "--doc")) {
		print_doc();
		return 0;
	}
	if (argc != at + 2)
		die("usage: gen_filter [--sanitizer | --audit] ARCH CONSTS.s, "
		    "or --doc");
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		if (strcmp(targets[i].name, argv[at]) != 0)
			continue;
		read_consts(argv[at + 1]);
		print_header(&targets[i], sanitizer);
		if (fflush(stdout) != 0 || ferror(stdout))
			die("write: %s", strerror(errno));
		return 0;
	}
	die("%s: unknown architecture", argv[at]);
}
