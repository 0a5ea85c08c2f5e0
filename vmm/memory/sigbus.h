/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigbus.h - guest RAM that is mapped from a file which somebody cuts short.
 *
 * KVM_RUN then fails by itself; an access of ours raises SIGBUS, in whichever
 * thread.  Where the process has a handler that calls sigbus_handle, such an
 * access fails (guestmem.c) or finds zeros, and the machine is over.
 *
 * Threads: any; sigbus_handle is async-signal-safe.  sigbus_watch and
 * sigbus_unwatch of one range do not run beside accesses to it.
 */
#ifndef VMM_MEMORY_SIGBUS_H
#define VMM_MEMORY_SIGBUS_H

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct event_queue;

/*
 * From here on a lost page of the range sets *lost and ends the guest of
 * events.  The range's number for sigbus_unwatch, or -ENOSPC: too many
 * machines in this process, this one is not watched.
 */
int sigbus_watch(void *addr, size_t len, atomic_bool *lost,
		 struct event_queue *events);
void sigbus_unwatch(int number); /* negative: nothing */

/* Was the signal about a range that is watched?  If not it is the caller's. */
bool sigbus_handle(const siginfo_t *info);

/*
 * Where the thread goes on when its next access to a watched range fails:
 *
 *	sigjmp_buf here;
 *
 *	if (sigsetjmp(here, 0) == 0) {
 *		sigbus_jump = &here;
 *		... the access
 *	}
 *	sigbus_jump = NULL;
 */
#define SIGBUS_TLS __attribute__((tls_model("initial-exec"))) /* no malloc */
extern __thread sigjmp_buf *volatile sigbus_jump SIGBUS_TLS;

#endif
