/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sigbus.c - guest RAM whose file was cut short: an access fails, or
 * finds zeros; one that nobody watches is not ours.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/event.h"
#include "base/map.h"
#include "memory/guestmem.h"
#include "memory/memslot.h"
#include "memory/sigbus.h"

#define PAGES 4

static volatile sig_atomic_t not_ours;
static sigjmp_buf out;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (sigbus_handle(info))
		return;
	not_ours++;
	siglongjmp(out, 1);
}

struct cut {
	int fd;
	size_t page;
	uint8_t *ram;
	atomic_bool lost;
	struct event_queue events;
	int number;
	uint64_t dirty[1];
	struct memslot_table slots;
};

/* RAM of four pages of the byte 7, of which the last two are gone. */
static void cut_init(struct cut *c)
{
	struct sigaction sa = {.sa_sigaction = on_sigbus,
			       .sa_flags = SA_SIGINFO | SA_NODEFER};

	*c = (struct cut){.page = host_page_size(),
			  .fd = memfd_create("cut", MFD_CLOEXEC)};
	cr_assert_eq(ftruncate(c->fd, (off_t)(PAGES * c->page)), 0);
	c->ram = mmap(NULL, PAGES * c->page, PROT_READ | PROT_WRITE, MAP_SHARED,
		      c->fd, 0);
	memset(c->ram, 7, PAGES * c->page);
	munmap(c->ram, PAGES * c->page);
	c->ram = mmap(NULL, PAGES * c->page, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE, c->fd, 0);
	cr_assert_neq((void *)c->ram, MAP_FAILED);
	cr_assert_eq(event_init(&c->events, NULL), 0);
	memslot_init(&c->slots, -1);
	c->slots.slot[0] = (struct memslot){
		.ram = {.addr = c->ram, .size = PAGES * c->page},
		.dirty = c->dirty,
		.fd = -1};
	c->number = sigbus_watch(c->ram, PAGES * c->page, &c->lost, &c->events);
	cr_assert_geq(c->number, 0);
	sigaction(SIGBUS, &sa, NULL);
	cr_assert_eq(ftruncate(c->fd, (off_t)(2 * c->page)), 0);
}

static void cut_fini(struct cut *c)
{
	sigbus_unwatch(c->number);
	event_fini(&c->events);
	munmap(c->ram, PAGES * c->page);
	close(c->fd);
}

Test(sigbus, a_guarded_access_fails)
{
	uint8_t byte = 0, page[65536];
	struct cut c;

	cut_init(&c);
	cr_expect_eq(guest_read(&c.slots, c.page, &byte, 1), 0);
	cr_expect_eq(byte, 7);
	cr_expect_not(atomic_load(&c.lost));
	cr_expect_eq(guest_read(&c.slots, 2 * c.page, &byte, 1), -EFAULT);
	cr_expect(atomic_load(&c.lost) && atomic_load(&c.events.over));
	cr_expect_eq(event_take(&c.events), EVENT_CRASH);
	cr_expect_eq(guest_write(&c.slots, 3 * c.page, &byte, 1), -EFAULT);
	/* One that begins before it; and it goes on as before. */
	cr_expect_eq(guest_read(&c.slots, 2 * c.page - 8, page, 16), -EFAULT);
	cr_expect_eq(guest_read(&c.slots, 2 * c.page - 8, page, 8), 0);
	cr_expect_eq(page[7], 7);
	cut_fini(&c);
}

Test(sigbus, another_access_finds_zeros)
{
	struct cut c;

	cut_init(&c);
	cr_expect_eq(((volatile uint8_t *)c.ram)[2 * c.page + 5], 0);
	cr_expect(atomic_load(&c.lost));
	cr_expect_eq(((volatile uint8_t *)c.ram)[2 * c.page - 1], 7);
	cr_expect_eq(((volatile uint8_t *)c.ram)[3 * c.page], 0);
	cut_fini(&c);
}

Test(sigbus, what_nobody_watches_is_not_ours)
{
	struct cut c;

	cut_init(&c);
	sigbus_unwatch(c.number);
	if (sigsetjmp(out, 0) == 0) {
		cr_expect_eq(((volatile uint8_t *)c.ram)[2 * c.page], 0);
		cr_assert(false, "the access came to its end");
	}
	cr_expect_eq(not_ours, 1);
	cr_expect_not(atomic_load(&c.lost));
	c.number = -1;
	cut_fini(&c);
}
