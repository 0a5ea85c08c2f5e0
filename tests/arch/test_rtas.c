/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arch/common/rtas.h"
#include "base/guest_abi.h"
#include "memory/memslot.h"

#define RAM  0x1000u
#define GPA  0x100u
#define NONE 0xabcdabcdu

struct machine {
	struct memslot_table slots;
	uint64_t dirty[1];
	uint8_t *ram;
	struct rtas_host host;
	enum rtas_then then;
	/* what start_cpu was given */
	uint32_t cpu;
	uint64_t entry, arg;
	int starts;
};

static int32_t start(void *opaque, uint32_t cpu, uint64_t entry, uint64_t arg)
{
	struct machine *m = opaque;

	m->starts++;
	m->cpu = cpu;
	m->entry = entry;
	m->arg = arg;
	return cpu == 1 ? RTAS_SUCCESS : RTAS_PARAMETER_ERROR;
}

static int32_t state(void *opaque, uint32_t cpu, uint32_t *out)
{
	(void)opaque;
	*out = RTAS_CPU_RUNNING;
	return cpu == 1 ? RTAS_SUCCESS : RTAS_PARAMETER_ERROR;
}

static void init(struct machine *m)
{
	memset(m, 0, sizeof(*m));
	m->ram = calloc(1, RAM);
	for (int i = 0; i < MEMSLOT_MAX; i++)
		m->slots.slot[i].fd = -1;
	m->slots.slot[0].ram.addr = m->ram;
	m->slots.slot[0].ram.size = RAM;
	m->slots.slot[0].dirty = m->dirty;
	m->host = (struct rtas_host){start, state, m};
}

static void put(struct machine *m, uint64_t gpa, int i, uint32_t v)
{
	v = htobe32(v);
	memcpy(m->ram + gpa + i * 4, &v, 4);
}

static uint32_t get(struct machine *m, uint64_t gpa, int i)
{
	uint32_t v;

	memcpy(&v, m->ram + gpa + i * 4, 4);
	return be32toh(v);
}

/* The call with args; results and what follows them are NONE before. */
static bool call(struct machine *m, uint32_t token, uint32_t nargs,
		 uint32_t nrets, const uint32_t *args)
{
	for (int i = 0; i < 24; i++)
		put(m, GPA, i, NONE);
	put(m, GPA, 0, token);
	put(m, GPA, 1, nargs);
	put(m, GPA, 2, nrets);
	for (uint32_t i = 0; args && i < nargs; i++)
		put(m, GPA, 3 + (int)i, args[i]);
	return rtas_call(&m->slots, GPA, &m->host, &m->then);
}

Test(rtas, a_call_answers_behind_its_arguments)
{
	const uint32_t args[] = {1, 0xfffffff0, 0x80000001};
	struct machine m;

	init(&m);
	cr_expect(call(&m, MOTE_RTAS_START_CPU, 3, 1, args));
	cr_expect_eq(m.then, RTAS_THEN_STARTED);
	cr_expect_eq(m.cpu, 1);
	cr_expect_eq(m.entry, 0xfffffff0ull);
	cr_expect_eq(m.arg, 0x80000001ull);
	cr_expect_eq(get(&m, GPA, 6), 0);
	cr_expect_eq(get(&m, GPA, 7), NONE, "written behind the results");
	cr_expect_eq(get(&m, GPA, 3), 1, "an argument was written");
	cr_expect_neq(m.dirty[0], 0, "the page is not marked");
	cr_expect(call(&m, MOTE_RTAS_QUERY_CPU, 1, 2, args));
	cr_expect_eq(get(&m, GPA, 4), 0);
	cr_expect_eq(get(&m, GPA, 5), RTAS_CPU_RUNNING);
	free(m.ram);
}

Test(rtas, a_refused_start_is_no_start)
{
	const uint32_t args[] = {2, 0, 0};
	struct machine m;

	init(&m);
	cr_expect(call(&m, MOTE_RTAS_START_CPU, 3, 1, args));
	cr_expect_eq(m.then, RTAS_THEN_RETURN);
	cr_expect_eq((int32_t)get(&m, GPA, 6), RTAS_PARAMETER_ERROR);
	free(m.ram);
}

Test(rtas, each_end_is_told_to_the_caller)
{
	static const struct {
		uint32_t token, args;
		enum rtas_then then;
	} ends[] = {
		{MOTE_RTAS_POWER_OFF, 2, RTAS_THEN_POWER_OFF},
		{MOTE_RTAS_SYSTEM_REBOOT, 0, RTAS_THEN_REBOOT},
		{MOTE_RTAS_STOP_SELF, 0, RTAS_THEN_STOP_SELF},
	};
	struct machine m;

	init(&m);
	for (int i = 0; i < 3; i++) {
		cr_expect(call(&m, ends[i].token, ends[i].args, 1, NULL));
		cr_expect_eq(m.then, ends[i].then);
		/* With one argument more it is another call: none. */
		cr_expect(call(&m, ends[i].token, ends[i].args + 1, 1, NULL));
		cr_expect_eq(m.then, RTAS_THEN_RETURN);
	}
	free(m.ram);
}

Test(rtas, unknown_tokens_fail_and_change_nothing_else)
{
	static const uint32_t tokens[] = {
		0,
		MOTE_RTAS_FIRST - 1,
		MOTE_RTAS_END,
		MOTE_RTAS_SET_XIVE,
		MOTE_RTAS_INT_OFF,
		0x80000000,
		UINT32_MAX,
	};
	struct machine m;

	init(&m);
	for (size_t i = 0; i < sizeof(tokens) / sizeof(*tokens); i++) {
		cr_expect(call(&m, tokens[i], 3, 1, NULL));
		cr_expect_eq((int32_t)get(&m, GPA, 6), RTAS_HARDWARE_ERROR);
		cr_expect_eq(m.then, RTAS_THEN_RETURN);
	}
	cr_expect_eq(m.starts, 0);
	cr_expect(call(&m, 1, 0, 0, NULL), "a call without results");
	cr_expect_eq(get(&m, GPA, 3), NONE);
	free(m.ram);
}

Test(rtas, counts_that_do_not_fit_are_no_call)
{
	static const uint32_t counts[][2] = {
		{17, 0},
		{0, 17},
		{16, 1},
		{9, 8},
		{UINT32_MAX, 1},
		{1, UINT32_MAX},
		{0x3ffffffd, 0x3ffffffd},
		{0x80000000, 0},
	};
	struct machine m;

	init(&m);
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		cr_expect(!call(&m, MOTE_RTAS_START_CPU, counts[i][0],
				counts[i][1], NULL));
		cr_expect_eq(get(&m, GPA, 3), NONE);
		cr_expect_eq(m.then, RTAS_THEN_RETURN);
	}
	cr_expect_eq(m.starts, 0);
	cr_expect(call(&m, 1, 15, 1, NULL), "16 cells are fine");
	cr_expect(call(&m, 1, 0, 16, NULL));
	cr_expect_eq(get(&m, GPA, 19), NONE);
	free(m.ram);
}

Test(rtas, a_block_must_lie_in_ram)
{
	const uint64_t bad[] = {
		RAM,
		RAM - 4,
		RAM - 11,
		RAM - 12,
		RAM - 24,
		UINT64_MAX,
		UINT64_MAX - 15,
		1ull << 59,
		(1ull << 60) - 8,
	};
	struct machine m;

	init(&m);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		/* A whole start-cpu where RAM holds it: 28 bytes. */
		for (int k = 0; k < 7; k++) {
			static const uint32_t cell[] = {
				MOTE_RTAS_START_CPU, 3, 1, 1, 0, 0, 0};
			uint32_t v = htobe32(cell[k]);

			if (bad[i] < RAM && bad[i] + 4u * k + 4 <= RAM)
				memcpy(m.ram + bad[i] + 4 * k, &v, 4);
		}
		cr_expect(!rtas_call(&m.slots, bad[i], &m.host, &m.then));
		cr_expect_eq(m.then, RTAS_THEN_RETURN);
	}
	cr_expect_eq(m.starts, 0);
	free(m.ram);
}

/* The four bits above a real address are not looked at, nor is alignment. */
Test(rtas, any_alignment_and_the_top_bits_are_taken)
{
	const uint32_t args[] = {1, 2, 3};
	struct machine m;

	init(&m);
	call(&m, MOTE_RTAS_START_CPU, 3, 1, args);
	cr_expect(rtas_call(&m.slots, GPA | 0xc000000000000000, &m.host,
			    &m.then));
	cr_expect_eq(m.then, RTAS_THEN_STARTED);
	memmove(m.ram + GPA + 0x41, m.ram + GPA, 28);
	cr_expect(rtas_call(&m.slots, GPA + 0x41, &m.host, &m.then));
	cr_expect_eq(m.then, RTAS_THEN_STARTED);
	free(m.ram);
}

Test(rtas, names_are_those_of_the_device_tree)
{
	cr_expect_str_eq(rtas_name(MOTE_RTAS_START_CPU), "start-cpu");
	cr_expect_str_eq(rtas_name(MOTE_RTAS_INT_OFF), "ibm,int-off");
	cr_expect_null(rtas_name(MOTE_RTAS_END));
	cr_expect_null(rtas_name(0));
	for (uint32_t t = MOTE_RTAS_FIRST; t < MOTE_RTAS_END; t++)
		cr_expect_not_null(rtas_name(t));
}

/* Against the C library's, every week or so until nanoseconds overflow. */
Test(rtas, dates_are_those_of_gmtime)
{
	for (int64_t s = 0; s < 9200000000; s += 86399 * 7 + 1) {
		time_t t = (time_t)s;
		struct tm tm;
		uint32_t c[7];

		gmtime_r(&t, &tm);
		rtas_time(s * 1000000000 + 7, c);
		cr_assert_eq(c[0], tm.tm_year + 1900u);
		cr_assert_eq(c[1], tm.tm_mon + 1u);
		cr_assert_eq(c[2], (uint32_t)tm.tm_mday);
		cr_assert_eq(c[3], (uint32_t)tm.tm_hour);
		cr_assert_eq(c[4], (uint32_t)tm.tm_min);
		cr_assert_eq(c[5], (uint32_t)tm.tm_sec);
		cr_assert_eq(c[6], 7);
	}
}

Test(rtas, the_clock_is_now)
{
	struct machine m;
	time_t now = time(NULL);
	struct tm tm;

	init(&m);
	cr_expect(call(&m, MOTE_RTAS_GET_TIME_OF_DAY, 0, 8, NULL));
	gmtime_r(&now, &tm);
	cr_expect_eq(get(&m, GPA, 3), 0);
	cr_expect_geq(get(&m, GPA, 4), tm.tm_year + 1900u);
	free(m.ram);
}
