/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_event.c - any accesses to the event device of the mote contract, by
 * ports, MMIO or hypercalls, through the bus and the lock as a vCPU makes
 * them; between them bits are raised, the state is saved and loaded, and any
 * bytes are loaded as a state.  A model of a few words says what each answer
 * must be, and the boot page is the only thing that may change.
 */
#include "base/err.h"
#include "base/event.h"
#include "base/guest_abi.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/trigger.h"
#include "devices/device.h"
#include "devices/event.h"
#include "fuzz/support/fuzz.h"
#include "memory/bus.h"
#include "memory/memslot.h"
#include "snapshot/stream.h"

#define RAM	  4096u
#define BOOT_PAGE 0x10000u
#define BASE	  0x600u
#define SPAN	  MOTE_REG_SPAN
#define ALL	  (MOTE_EVENT_STOP | MOTE_EVENT_NEWGEN)
#define AT	  offsetof(struct mote_boot, events)

static struct {
	uint8_t *ram;
	struct memslot_table slots;
	struct event_queue events;
	struct trigger trigger;
	struct bus bus;
	struct device *dev[BUS_SPACES];
	enum bus_space space;
} g;

/* What the device must be. */
static struct {
	uint32_t events, ready;
	unsigned int posted;
	bool over, fired, published;
	int code;
} m;

static struct device *dev(void)
{
	return g.dev[g.space];
}

static void make(void)
{
	struct memslot *s = &g.slots.slot[0];
	struct mote_err err = {0};

	g.ram = calloc(1, RAM);
	g.slots.vm_fd = -1;
	s->gpa = BOOT_PAGE;
	s->ram = (struct map){.addr = g.ram, .size = RAM};
	s->fd = -1;
	s->dirty = calloc(1, sizeof(uint64_t));
	require(g.ram && s->dirty, "memory");
	require(event_init(&g.events, &err) == 0, err.msg);
	for (int i = 0; i < BUS_SPACES; i++) {
		struct device_config cfg = {
			.space = (enum bus_space)i,
			.base = i == BUS_HCALL ? MOTE_HCALL_READ : BASE,
			.size = i == BUS_HCALL ? 5 : SPAN,
			.events = &g.events,
			.slots = &g.slots,
			.boot_page = BOOT_PAGE,
			.trigger = &g.trigger,
		};

		require(device_create(&g.dev[i], "event", (uint32_t)i, &cfg,
				      &g.bus, &err) == 0,
			err.msg);
	}
}

static void power_on(uint8_t how)
{
	g.space = (enum bus_space)(how % BUS_SPACES);
	trigger_init(&g.trigger, (enum trigger_on)(how / 4 % 4), NULL,
		     &g.events);
	event_rewind(&g.events);
	dev()->ops->reset(dev());
	memset(&m, 0, sizeof(m));
}

/* --- the model --------------------------------------------------------------
 */

static uint32_t model_read(uint64_t reg)
{
	switch (reg) {
	case MOTE_REG_MAGIC:
		return MOTE_EVENT_MAGIC;
	case MOTE_REG_VERSION:
		return MOTE_ABI_VERSION;
	case MOTE_REG_EVENTS:
		return m.events;
	default:
		return UINT32_MAX;
	}
}

static void model_fire(enum trigger_on what)
{
	if (g.trigger.on != what || m.fired)
		return;
	m.fired = true;
	m.posted |= EVENT_TRIGGER;
}

/* The milliseconds that the vCPU shall wait. */
static uint32_t model_write(uint64_t reg, uint32_t val)
{
	switch (reg) {
	case MOTE_REG_READY:
		m.posted |= EVENT_READY;
		if (m.ready++ == 0)
			model_fire(TRIGGER_MARK);
		break;
	case MOTE_REG_EXIT:
		if (!m.over) {
			m.over = true;
			m.code = (int)(val & 0xff);
			m.posted |= EVENT_EXIT;
		}
		break;
	case MOTE_REG_EVENTS:
		m.events &= ~val;
		m.published = true;
		break;
	case MOTE_REG_WAIT:
		if (m.events)
			break;
		if (val)
			model_fire(TRIGGER_IDLE);
		return val;
	default:
		break;
	}
	return 0;
}

/* --- steps ------------------------------------------------------------------
 */

/* Around the registers, most often one. */
static uint64_t take_offset(struct input *in)
{
	uint64_t v = take(in, 1);

	return v < 0xe0 ? v % (SPAN / 4) * 4 : v % 0x40;
}

static void access_bus(struct input *in, bool write)
{
	uint64_t off = take_offset(in), val = 0, want;
	int len = take_width(in);
	bool answered, inside = off + (uint64_t)len <= SPAN;
	uint32_t wait = 0, expected = 0;

	fuzz_calls++;
	if (!write) {
		want = inside && len == 4 && off % 4 == 0 ? model_read(off)
							  : ones(len);
		answered = bus_read(&g.bus, g.space, BASE + off, len, &val);
		require(val == want, "another value than the model's");
		require(answered == inside, "who answers");
		return;
	}
	val = take(in, 4);
	if (inside && len == 4 && off % 4 == 0)
		expected = model_write(off, (uint32_t)val);
	answered = bus_write(&g.bus, g.space, BASE + off, len, val, &wait);
	require(answered == inside, "who answers");
	require(wait == expected, "another wait than the model's");
}

static void hypercall(struct input *in)
{
	static const uint64_t numbers[] = {MOTE_HCALL_READ, MOTE_HCALL_WRITE};
	uint64_t nr = numbers[take(in, 1) % 2] + take(in, 1) / 192;
	uint64_t args[BUS_HCALL_ARGS] = {take_offset(in), take(in, 4)};
	uint64_t off = args[0], was = off;
	uint32_t wait = 0, expected = 0;
	bool read = nr == MOTE_HCALL_READ, known, inside;
	int64_t status = 0;

	if (take(in, 1) > 250)
		args[0] = off = was = take(in, 8);
	inside = off < SPAN && off % 4 == 0;
	known = nr >= MOTE_HCALL_READ && nr < MOTE_HCALL_READ + 5;
	if (inside && nr == MOTE_HCALL_WRITE)
		expected = model_write(off, (uint32_t)args[1]);
	fuzz_calls++;
	require(bus_hcall(&g.bus, nr, args, &status, &wait) == known,
		"who answers");
	if (!known)
		return;
	inside = inside && (read || nr == MOTE_HCALL_WRITE);
	require((status == 0) == inside, "a status");
	require(wait == expected, "another wait than the model's");
	require(args[0] == (inside && read ? model_read(off) : was),
		"another answer than the model's");
}

static void raise_bits(struct input *in)
{
	uint32_t bits = (uint32_t)take(in, 1) & ALL;

	event_device_raise(dev(), bits);
	m.events |= bits;
	m.published = true;
}

static struct snap_reader reader;

static int load(const void *payload, size_t len)
{
	struct mote_err err = {0};
	struct snap_writer w;
	int ret;

	snap_writer_init(&w);
	snap_section_begin(&w, "event", (uint32_t)g.space, 1, SNAP_REQUIRED);
	snap_put_bytes(&w, payload, len);
	snap_section_end(&w);
	require(snap_writer_finish(&w, NULL) == 0, "no state file");
	require(snap_reader_init(&reader, w.buf, w.len, NULL) == 0, "reader");
	ret = device_load(dev(), &reader, &err);
	require((ret < 0) == (err.msg[0] != 0), "result and message differ");
	snap_writer_fini(&w);
	return ret;
}

static void save_and_load(void)
{
	uint32_t state[2];
	struct snap_writer w;

	snap_writer_init(&w);
	require(device_save(dev(), &w, NULL) == 0, "a save");
	require(w.len >= sizeof(state), "a short state");
	memcpy(state, w.buf + w.len - sizeof(state), sizeof(state));
	snap_writer_fini(&w);
	require(state[0] == m.events && state[1] == m.ready, "a state");
	dev()->ops->reset(dev());
	require(load(state, sizeof(state)) == 0, "its own state");
}

/* What is refused ends the machine; what is taken is a state like others. */
static bool load_any(struct input *in)
{
	uint8_t payload[12];
	size_t len = 8;
	uint32_t state[2];

	if (take(in, 1) > 200)
		len = take(in, 1) % sizeof(payload);
	take_bytes(in, payload, len);
	if (load(payload, len) < 0)
		return false;
	require(len == 8, "a state of another length");
	memcpy(state, payload, sizeof(state));
	require((state[0] & ~ALL) == 0, "unknown bits were taken");
	m.events = state[0];
	m.ready = state[1];
	m.published = false;
	return true;
}

static bool step(struct input *in)
{
	uint64_t what = take(in, 1) % 16;

	/* A state costs as much as ten accesses. */
	if (what == 15)
		return load_any(in);
	if (what == 14)
		save_and_load();
	else if (what >= 12)
		raise_bits(in);
	else if (g.space == BUS_HCALL)
		hypercall(in);
	else
		access_bus(in, what < 5);
	return true;
}

static void check(void)
{
	uint32_t shown;

	memcpy(&shown, g.ram + AT, sizeof(shown));
	require(!m.published || shown == m.events, "the boot page's events");
	memset(g.ram + AT, 0, sizeof(shown));
	require(mem_is_zero(g.ram, RAM), "the boot page");
	require(atomic_load(&g.events.over) == m.over, "over");
	require(!m.over || atomic_load(&g.events.exit_code) == m.code, "code");
	require(event_take(&g.events) == m.posted, "what was posted");
	require(trigger_holds(&g.trigger) == m.fired, "the trigger");
	require(dev()->wait_ms == 0, "a wait that nobody took");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};

	if (!g.ram)
		make();
	power_on((uint8_t)take(&in, 1));
	while (in.at < in.end && step(&in))
		;
	check();
	return 0;
}
