/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/common/rtas.h"

#include <endian.h>
#include <time.h>

#include "base/guest_abi.h"
#include "base/num.h"
#include "memory/guestmem.h"

#define NS_PER_S     INT64_C(1000000000)
#define DAY_S	     INT64_C(86400)
#define REAL_ADDRESS ((UINT64_C(1) << 60) - 1) /* what MMUs look at */

/* The block: a header of three cells, then arguments, then results. */
enum { TOKEN, NARGS, NRETS, HEADER };

struct call {
	uint32_t arg[RTAS_CELLS_MAX], ret[RTAS_CELLS_MAX];
	const struct rtas_host *host;
	enum rtas_then then;
};

static int32_t power_off(struct call *c)
{
	c->then = RTAS_THEN_POWER_OFF;
	return RTAS_SUCCESS;
}

static int32_t reboot(struct call *c)
{
	c->then = RTAS_THEN_REBOOT;
	return RTAS_SUCCESS;
}

static int32_t time_of_day(struct call *c)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	rtas_time(now.tv_sec * NS_PER_S + now.tv_nsec, &c->ret[1]);
	return RTAS_SUCCESS;
}

static int32_t start_cpu(struct call *c)
{
	int32_t ret = c->host->start_cpu(c->host->opaque, c->arg[0], c->arg[1],
					 c->arg[2]);

	if (ret == RTAS_SUCCESS)
		c->then = RTAS_THEN_STARTED;
	return ret;
}

static int32_t stop_self(struct call *c)
{
	c->then = RTAS_THEN_STOP_SELF;
	return RTAS_SUCCESS;
}

static int32_t cpu_state(struct call *c)
{
	return c->host->cpu_state(c->host->opaque, c->arg[0], &c->ret[1]);
}

/* What each call takes and gives, the status included. */
static const struct service {
	const char *name;
	uint32_t args, rets;
	int32_t (*answer)(struct call *c);
} services[MOTE_RTAS_END - MOTE_RTAS_FIRST] = {
	[MOTE_RTAS_POWER_OFF - MOTE_RTAS_FIRST] = {"power-off", 2, 1,
						   power_off},
	[MOTE_RTAS_SYSTEM_REBOOT -
		MOTE_RTAS_FIRST] = {"system-reboot", 0, 1, reboot},
	[MOTE_RTAS_GET_TIME_OF_DAY -
		MOTE_RTAS_FIRST] = {"get-time-of-day", 0, 8, time_of_day},
	[MOTE_RTAS_START_CPU -
		MOTE_RTAS_FIRST] = {"start-cpu", 3, 1, start_cpu},
	[MOTE_RTAS_STOP_SELF -
		MOTE_RTAS_FIRST] = {"stop-self", 0, 1, stop_self},
	[MOTE_RTAS_QUERY_CPU -
		MOTE_RTAS_FIRST] = {"query-cpu-stopped-state", 1, 2, cpu_state},
	[MOTE_RTAS_SET_XIVE - MOTE_RTAS_FIRST] = {"ibm,set-xive", 3, 1, NULL},
	[MOTE_RTAS_GET_XIVE - MOTE_RTAS_FIRST] = {"ibm,get-xive", 1, 3, NULL},
	[MOTE_RTAS_INT_ON - MOTE_RTAS_FIRST] = {"ibm,int-on", 1, 1, NULL},
	[MOTE_RTAS_INT_OFF - MOTE_RTAS_FIRST] = {"ibm,int-off", 1, 1, NULL},
};

static const struct service *find(uint32_t token)
{
	return token >= MOTE_RTAS_FIRST && token < MOTE_RTAS_END
		       ? &services[token - MOTE_RTAS_FIRST]
		       : NULL;
}

const char *rtas_name(uint32_t token)
{
	const struct service *s = find(token);

	return s ? s->name : NULL;
}

static int32_t answer(const struct service *s, struct call *c, uint32_t args,
		      uint32_t rets)
{
	if (!s || !s->answer)
		return RTAS_HARDWARE_ERROR;
	if (args != s->args || rets != s->rets)
		return RTAS_PARAMETER_ERROR;
	return s->answer(c);
}

/*
 * Cells behind gpa into native order, or back: one copy each, so that what
 * was checked is what is used whatever other vCPUs write there meanwhile.
 */
static bool read_cells(struct memslot_table *slots, uint64_t gpa,
		       uint32_t *cell, uint32_t n)
{
	if (guest_read(slots, gpa, cell, n * sizeof(*cell)) < 0)
		return false;
	for (uint32_t i = 0; i < n; i++)
		cell[i] = be32toh(cell[i]);
	return true;
}

static bool write_cells(struct memslot_table *slots, uint64_t gpa,
			const uint32_t *cell, uint32_t n)
{
	uint32_t out[RTAS_CELLS_MAX];

	for (uint32_t i = 0; i < n; i++)
		out[i] = htobe32(cell[i]);
	return guest_write(slots, gpa, out, n * sizeof(*out)) == 0;
}

bool rtas_call(struct memslot_table *slots, uint64_t gpa,
	       const struct rtas_host *host, enum rtas_then *then)
{
	struct call c = {.host = host, .then = RTAS_THEN_RETURN};
	uint32_t head[HEADER], args, rets;
	uint64_t arg_gpa, ret_gpa;

	*then = RTAS_THEN_RETURN;
	gpa &= REAL_ADDRESS;
	if (!read_cells(slots, gpa, head, HEADER))
		return false;
	args = head[NARGS];
	rets = head[NRETS];
	if (args > RTAS_CELLS_MAX || rets > RTAS_CELLS_MAX - args)
		return false;
	arg_gpa = gpa + HEADER * sizeof(uint32_t);
	ret_gpa = arg_gpa + args * sizeof(uint32_t);
	/* All of it, before anything happens. */
	if (!guest_is_ram(slots, gpa, (HEADER + args + rets) * sizeof(*head)) ||
	    (args && !read_cells(slots, arg_gpa, c.arg, args)))
		return false;
	c.ret[0] = (uint32_t)answer(find(head[TOKEN]), &c, args, rets);
	*then = c.then;
	return rets == 0 || write_cells(slots, ret_gpa, c.ret, rets);
}

/* Days since 1970 into a date of the proleptic Gregorian calendar. */
static void date_of(int64_t days, uint32_t *year, uint32_t *month,
		    uint32_t *day)
{
	/* Years begin in March here, so that the odd day comes last. */
	int64_t n = days + 719468; /* since 0000-03-01 */
	int64_t era = n / 146097, of_era = n % 146097;
	int64_t y =
		(of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) /
		365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;

	*day = (uint32_t)(of_year - (153 * m + 2) / 5 + 1);
	*month = (uint32_t)(m < 10 ? m + 3 : m - 9);
	*year = (uint32_t)(y + era * 400 + (*month <= 2));
}

void rtas_time(int64_t ns, uint32_t cell[7])
{
	int64_t s = ns < 0 ? 0 : ns / NS_PER_S;

	date_of(s / DAY_S, &cell[0], &cell[1], &cell[2]);
	cell[3] = (uint32_t)(s % DAY_S / 3600);
	cell[4] = (uint32_t)(s % 3600 / 60);
	cell[5] = (uint32_t)(s % 60);
	cell[6] = ns < 0 ? 0 : (uint32_t)(ns % NS_PER_S);
}
