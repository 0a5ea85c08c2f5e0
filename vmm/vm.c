/* SPDX-License-Identifier: Apache-2.0 */
#include "vm.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/guest_abi.h"
#include "base/num.h"
#include "base/timeline.h"
#include "devices/event.h"
#include "devices/hvt.h"
#include "devices/vfio/passthrough.h"
#include "devices/virtio/io.h"
#include "memory/guestmem.h"
#include "memory/ring.h"
#include "memory/sigbus.h"

#define PARTIAL_LINE_MS 2 /* how long a line without its end may wait */
#define NS_PER_MS	1000000u
#define TIMEOUT_MAX_MS	60000

struct vcpu *vm_vcpu_get(struct vm *vm, uint32_t id)
{
	struct vcpu *found = NULL;

	pthread_mutex_lock(&vm->table_lock);
	for (uint32_t i = 0; i < vm->vcpus && !found; i++)
		if (vm->vcpu[i]->id == id && vcpu_get(vm->vcpu[i]))
			found = vm->vcpu[i];
	pthread_mutex_unlock(&vm->table_lock);
	return found;
}

/*
 * Make this instance unlike any other that came from the same snapshot:
 * before its first instruction the generation page gets a new id and seed.
 */
static int new_generation(struct vm *vm, struct mote_err *err)
{
	struct mote_generation gen;
	struct timespec now;
	uint64_t wall;
	int ret = 0;
	uint8_t *page = guest_map_write(&vm->slots, arch_generation_page(),
					sizeof(gen));

	clock_gettime(CLOCK_REALTIME, &now);
	wall = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (!page)
		ret = -EFAULT;
	if (ret == 0) {
		/* A write first: one that follows a read is two faults. */
		__atomic_fetch_or(page, 0, __ATOMIC_RELAXED);
		memcpy(&gen, page, sizeof(gen));
		gen.count++;
		gen.wall_delta_ns =
			vm->loaded ? (int64_t)(wall - gen.wall_clock_ns) : 0;
		gen.wall_clock_ns = wall;
		if (getrandom(gen.id, sizeof(gen.id), 0) < 0 ||
		    getrandom(gen.seed, sizeof(gen.seed), 0) < 0)
			return err_set(err, errno, "getrandom: %s",
				       strerror(errno));
		memcpy(page, &gen, sizeof(gen));
		explicit_bzero(&gen, sizeof(gen));
	}
	if (ret < 0)
		return err_set(err, -ret, "generation page: %s",
			       strerror(-ret));
	if (vm->loaded && vm->event_device)
		event_device_raise(vm->event_device, MOTE_EVENT_NEWGEN);
	if (vm->loaded && vm->generation_fd >= 0)
		event_signal(vm->generation_fd);
	return 0;
}

/* Just before the first instruction: what was held as saved goes live. */
static int commit(struct vm *vm, struct mote_err *err)
{
	int ret;

	if (vm->committed)
		return 0;
	ret = arch_vm_commit(&vm->arch, err);
	for (uint32_t i = 0; ret == 0 && i < vm->vcpus; i++)
		ret = arch_vcpu_commit(&vm->vcpu[i]->arch, err);
	if (ret == 0 && vm->passthrough)
		ret = passthrough_run(vm->passthrough, err);
	for (uint32_t i = 0; ret == 0 && vm->loaded && i < vm->devices; i++)
		if (vm->device[i]->ops->reraise)
			vm->device[i]->ops->reraise(vm->device[i]);
	/* Last: once more after a failure it would count twice. */
	if (ret == 0 && vm->identity)
		ret = new_generation(vm, err);
	vm->committed = ret == 0;
	if (ret == 0 && vm->env.trigger && vm->after_ms >= 0)
		vm->due_at_ns =
			timeline_now() + (uint64_t)vm->after_ms * NS_PER_MS;
	return ret;
}

static void stop_vcpus(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpus; i++)
		vcpu_park_request(vm->vcpu[i]);
	for (uint32_t i = 0; i < vm->vcpus; i++)
		vcpu_stop(vm->vcpu[i]);
	for (uint32_t i = 0; i < vm->unpluggeds; i++)
		vcpu_stop(vm->unplugged[i]);
	vm->threads = false;
}

/*
 * All but the last start parked: no instruction runs before every thread
 * exists, so that a start that failed can be tried again.
 */
static int start_vcpus(struct vm *vm, bool paused, struct mote_err *err)
{
	for (uint32_t i = 0; i < vm->vcpus; i++) {
		bool park = paused || i + 1 < vm->vcpus;
		int ret = vcpu_start(vm->vcpu[i], park, err);

		if (ret < 0) {
			stop_vcpus(vm);
			for (uint32_t k = 0; k < i; k++)
				vcpu_join(vm->vcpu[k]);
			return ret;
		}
	}
	for (uint32_t i = 0; !paused && i + 1 < vm->vcpus; i++)
		vcpu_unpark(vm->vcpu[i]);
	return 0;
}

/* What devices do by themselves: none of it while vCPUs are parked. */
static int quiesce(struct vm *vm, struct mote_err *err)
{
	for (uint32_t i = 0; i < vm->devices; i++) {
		struct device *dev = vm->device[i];
		int ret = dev->ops->quiesce ? dev->ops->quiesce(dev, err) : 0;

		if (ret < 0)
			return err_wrap(err, ret, "%s", dev->ops->name);
	}
	return 0;
}

static void resume_devices(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->devices; i++)
		if (vm->device[i]->ops->resume)
			vm->device[i]->ops->resume(vm->device[i]);
}

int vm_start(struct vm *vm, bool paused, struct mote_err *err)
{
	int ret = 0;

	assert(vm->state == VM_BUILT);
	if (!paused)
		ret = commit(vm, err);
	timeline_mark(vm->timeline, "state committed");
	if (ret == 0)
		ret = start_vcpus(vm, paused, err);
	if (ret < 0)
		return ret;
	vm->threads = true;
	if (!paused)
		resume_devices(vm);
	vm->state = paused ? VM_PAUSED : VM_RUNNING;
	timeline_mark(vm->timeline, "vCPUs started");
	log_info(&vm->log, "vm: started: vcpus=%u paused=%d", vm->vcpus,
		 paused);
	return 0;
}

static void park_all(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpus; i++)
		vcpu_park_request(vm->vcpu[i]);
	for (uint32_t i = 0; i < vm->vcpus; i++)
		vcpu_park_wait(vm->vcpu[i]);
}

int vm_pause(struct vm *vm, struct mote_err *err)
{
	if (vm->state == VM_PAUSED || vm->state == VM_BUILT)
		return 0;
	if (vm->state != VM_RUNNING)
		return err_set(err, ESRCH, "the guest has ended");
	vm->snapshots.paused_at = timeline_now();
	park_all(vm);
	trigger_release(vm->env.trigger);
	/* It ended meanwhile, and the event is still to be taken. */
	if (atomic_load(&vm->events.over))
		return err_set(err, ESRCH, "the guest has ended");
	vm->state = VM_PAUSED;
	log_info(&vm->log, "vm: paused");
	/* Who asked for the pause finds all that the guest has said. */
	vm->console_blocked = chardev_flush(&vm->console, false);
	return quiesce(vm, err);
}

static void end_pause(struct vm_snapshots *s)
{
	/* A machine that began paused stood still since nobody knows when. */
	if (s->in_this_pause && s->paused_at)
		s->last.pause_ns = (int64_t)(timeline_now() - s->paused_at);
	s->in_this_pause = false;
	s->paused_at = 0;
}

int vm_resume(struct vm *vm, struct mote_err *err)
{
	int ret;

	if (vm->state == VM_RUNNING)
		return 0;
	if (vm->state != VM_PAUSED)
		return err_set(err, ESRCH, "the guest has ended");
	ret = commit(vm, err);
	if (ret < 0)
		return ret;
	resume_devices(vm);
	for (uint32_t i = 0; i < vm->vcpus; i++)
		vcpu_unpark(vm->vcpu[i]);
	vm->state = VM_RUNNING;
	end_pause(&vm->snapshots);
	log_info(&vm->log, "vm: resumed");
	return 0;
}

/* Move the vCPU with that id from one list to the other. */
static struct vcpu *move_vcpu(struct vm *vm, uint32_t id, struct vcpu **from,
			      uint32_t *n_from, struct vcpu **to,
			      uint32_t *n_to)
{
	struct vcpu *v = NULL;

	pthread_mutex_lock(&vm->table_lock);
	for (uint32_t i = 0; i < *n_from && !v; i++) {
		if (from[i]->id != id)
			continue;
		v = from[i];
		from[i] = from[--*n_from];
		to[(*n_to)++] = v;
	}
	pthread_mutex_unlock(&vm->table_lock);
	return v;
}

int vm_vcpu_unplug(struct vm *vm, uint32_t id, struct mote_err *err)
{
	struct vcpu *v = vm_vcpu_get(vm, id);

	if (!v)
		return err_set(err, ENOENT, "no vCPU %u", id);
	if (vm->vcpus == 1 || !vm->threads) {
		vcpu_put(&v);
		return err_set(err, EBUSY, "vCPU %u: %s", id,
			       vm->threads ? "it is the last one"
					   : "the VM has not started");
	}
	/* Safe first, gone after: nobody finds one that still runs. */
	vcpu_park_request(v);
	vcpu_park_wait(v);
	move_vcpu(vm, id, vm->vcpu, &vm->vcpus, vm->unplugged, &vm->unpluggeds);
	vcpu_set_plugged(v, false);
	vcpu_put(&v);
	return 0;
}

int vm_vcpu_replug(struct vm *vm, uint32_t id, struct mote_err *err)
{
	struct vcpu *v = move_vcpu(vm, id, vm->unplugged, &vm->unpluggeds,
				   vm->vcpu, &vm->vcpus);

	if (!v)
		return err_set(err, ENOENT, "no unplugged vCPU %u", id);
	vcpu_set_plugged(v, true);
	if (vm->state == VM_RUNNING)
		vcpu_unpark(v);
	return 0;
}

int vm_rewind_begin(struct vm *vm, bool *crashed, struct mote_err *err)
{
	int ret = 0;

	if (!vm->threads)
		return err_set(err, ESRCH, "the VM %s",
			       vm->state == VM_BUILT ? "has not run"
						     : "was killed");
	park_all(vm);
	if (vm->state == VM_RUNNING)
		vm->state = VM_PAUSED;
	while (ret == 0 && vm->unpluggeds)
		ret = vm_vcpu_replug(vm, vm->unplugged[0]->id, err);
	if (ret == 0)
		ret = quiesce(vm, err);
	if (ret < 0)
		return ret;
	chardev_flush(&vm->console, false);
	*crashed = vm->end == VM_END_CRASH;
	for (uint32_t i = 0; i < vm->vcpus; i++)
		*crashed |= vcpu_rewind(vm->vcpu[i]);
	event_rewind(&vm->events);
	return 0;
}

void vm_rewind_end(struct vm *vm, const struct mote_err *failed)
{
	vm->end = failed ? VM_END_CRASH : VM_END_NONE;
	vm->state = failed ? VM_ENDED : VM_PAUSED;
	vm->err.code = 0;
	if (failed)
		vm->err = *failed;
	vm->exit_code = 0;
	vm->ready = vm->committed = vm->console_blocked = false;
	vm->dispatch_again_ms = -1;
	vm->due = false;
	vm->due_at_ns = 0;
	trigger_rearm(vm->env.trigger);
}

void vm_nudge(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpus; i++)
		vcpu_nudge(vm->vcpu[i]);
}

void vm_ask_stop(struct vm *vm)
{
	if (vm->state == VM_ENDED)
		return;
	if (!vm->event_device) { /* the contract has no way to ask */
		vm_kill(vm);
		return;
	}
	event_device_raise(vm->event_device, MOTE_EVENT_STOP);
	vm_nudge(vm);
}

/* Why, and where the vCPU that it ended stands. */
static void explain_crash(struct vm *vm)
{
	const char *name;
	uint64_t pc;

	if (vm->hvt && !vm->err.code)
		hvt_error(vm->hvt, &vm->err);
	for (uint32_t i = 0; i < vm->vcpus; i++) {
		size_t len = strlen(vm->err.msg);

		/* An hvt guest's only one does not enter KVM_RUN again. */
		if ((!vm->hvt && !vcpu_ended(vm->vcpu[i], NULL)) ||
		    arch_vcpu_pc(&vm->vcpu[i]->arch, &pc, &name) < 0)
			continue;
		snprintf(vm->err.msg + len, sizeof(vm->err.msg) - len,
			 ": %s=0x%" PRIx64, name, pc);
		break;
	}
}

void vm_watch_memory(struct vm *vm)
{
	for (int i = 0; i < MEMSLOT_MAX; i++) {
		const struct map *ram = &vm->slots.slot[i].ram;

		vm->watched[i] = ram->addr
					 ? sigbus_watch(ram->addr, ram->size,
							&vm->lost, &vm->events)
					 : -1;
	}
}

void vm_add_file(struct vm *vm, int fd, uint64_t len)
{
	assert(vm->files < VM_FILES_MAX);
	if (len > 0)
		vm->file[vm->files++] = (struct vm_file){fd, len};
}

static bool is_cut(const struct vm_file *f)
{
	char last;

	return pread(f->fd, &last, 1, (off_t)(f->len - 1)) == 0;
}

int vm_memory_lost(struct vm *vm, struct mote_err *err)
{
	for (int i = 0; i < vm->files && !atomic_load(&vm->lost); i++)
		if (is_cut(&vm->file[i])) {
			atomic_store(&vm->lost, true);
			event_end(&vm->events, EVENT_CRASH, 0);
		}
	if (atomic_load(&vm->lost))
		return err_set_class(err, EIO, ERR_CLASS_IO,
				     "guest memory: the file that it is mapped "
				     "from was cut short");
	if (vm->pager && pager_failed(vm->pager, err))
		return -EIO;
	return 0;
}

static void set_ended(struct vm *vm, enum vm_end end)
{
	struct mote_err own = {0};
	uint64_t dropped, pending;

	vm->console_blocked = chardev_flush(&vm->console, false);
	vm->end = end;
	vm->exit_code = atomic_load(&vm->events.exit_code);
	for (uint32_t i = 0; i < vm->vcpus; i++)
		vcpu_ended(vm->vcpu[i], &vm->err);
	/* What a vCPU says then only follows from it. */
	if (end == VM_END_CRASH && vm_memory_lost(vm, &own) < 0) {
		err_set_class(&vm->err, own.code, ERR_CLASS_GUEST, "%s",
			      own.msg);
	} else if (end == VM_END_CRASH && atomic_load(&vm->io_failed)) {
		err_set(&vm->err, EPERM,
			"I/O thread: its seccomp filter can't be loaded");
	} else if (end == VM_END_CRASH) {
		explain_crash(vm);
	}
	vm->state = VM_ENDED;
	log_info(&vm->log, "vm: ended: how=%d code=%d", end, vm->exit_code);
	chardev_counts(&vm->console, &dropped, &pending);
	if (dropped)
		log_warn(&vm->log, "console: output lost: bytes=%llu",
			 (unsigned long long)dropped);
}

void vm_pager_failed(void *opaque)
{
	struct vm *vm = opaque;

	event_end(&vm->events, EVENT_CRASH, 0);
	pthread_mutex_lock(&vm->table_lock);
	for (uint32_t i = 0; i < vm->vcpus; i++)
		vcpu_interrupt(vm->vcpu[i]);
	pthread_mutex_unlock(&vm->table_lock);
}

void vm_kill(struct vm *vm)
{
	if (vm->state == VM_ENDED)
		return;
	stop_vcpus(vm);
	set_ended(vm, VM_END_KILLED);
}

void vm_console_attach(struct vm *vm, int in_fd, int out_fd)
{
	chardev_attach(&vm->console, in_fd, out_fd);
	vm->console_blocked = chardev_flush(&vm->console, false);
}

/* Bytes for the console: wait a moment for the end of a line. */
static void dispatch_console(struct vm *vm, unsigned int events)
{
	vm->dispatch_again_ms = -1;
	if ((events & EVENT_CONSOLE) && !(events & EVENT_LINE) &&
	    vm->state == VM_RUNNING)
		vm->dispatch_again_ms = PARTIAL_LINE_MS;
	else
		vm->console_blocked = chardev_flush(&vm->console, false);
}

int vm_timeout(const struct vm *vm)
{
	uint64_t now, left;

	if (!vm->due_at_ns)
		return vm->dispatch_again_ms;
	now = timeline_now();
	left = vm->due_at_ns > now ? vm->due_at_ns - now : 0;
	left = num_min((left + NS_PER_MS - 1) / NS_PER_MS, TIMEOUT_MAX_MS);
	if (vm->dispatch_again_ms >= 0)
		left = num_min(left, (uint64_t)vm->dispatch_again_ms);
	return (int)left;
}

/* Has the moment of [snapshot] ready come? */
static void dispatch_due(struct vm *vm, unsigned int events)
{
	bool over = vm->due_at_ns && timeline_now() >= vm->due_at_ns;

	if (over)
		vm->due_at_ns = 0;
	if (over || (events & EVENT_TRIGGER))
		vm->due = true;
}

int vm_settle(struct vm *vm, struct mote_err *err)
{
	assert(vm->state == VM_ENDED);
	if (!vm->env.finish || vm->end != VM_END_EXIT)
		return err_set(err, ESRCH, "the guest has ended");
	if (vm->env.keep) /* it may be rewound after it */
		park_all(vm);
	else
		stop_vcpus(vm);
	return quiesce(vm, err);
}

void vm_dispatch(struct vm *vm)
{
	unsigned int events = event_take(&vm->events);

	dispatch_console(vm, events);

	if (events & EVENT_READY) {
		if (!vm->ready)
			timeline_mark(vm->timeline, "guest ready");
		vm->ready = true;
	}
	dispatch_due(vm, events);
	/* A vCPU whose ring stays full would wait for ever. */
	if ((events & EVENT_RING) && ring_collect(&vm->slots, &vm->err) < 0)
		event_end(&vm->events, EVENT_CRASH, 0);
	if (vm->state != VM_ENDED && (events & EVENT_EXIT))
		set_ended(vm, VM_END_EXIT);
	else if (vm->state != VM_ENDED && (events & EVENT_RESET))
		set_ended(vm, VM_END_RESET);
	else if (vm->state != VM_ENDED && (events & EVENT_CRASH))
		set_ended(vm, VM_END_CRASH);
	if (vm->state == VM_ENDED)
		vm->console_blocked = chardev_flush(&vm->console, false);
	for (uint32_t i = 0; (events & EVENT_OTHERS) && i < vm->vcpus; i++)
		vcpu_kick(vm->vcpu[i]);
}

void vm_destroy(struct vm *vm)
{
	if (!vm)
		return;
	stop_vcpus(vm);
	virtio_io_end(vm->virtio);
	pager_end(vm->pager);
	virtio_io_join(vm->virtio); /* it may have waited for a page */
	pager_destroy(vm->pager);
	track_fini(&vm->track);
	free(vm->brought_in);
	free(vm->hot_rest);
	/* The I/O APIC goes last: the others drive its pins. */
	for (uint32_t i = 0; i < vm->devices; i++)
		if (vm->device[i] != vm->ioapic)
			device_destroy(vm->device[i]);
	device_destroy(vm->ioapic);
	virtio_io_destroy(vm->virtio);
	passthrough_destroy(vm->passthrough);
	irqroutes_fini(&vm->irqroutes);
	for (int i = 0; i < vm->irq_fds; i++)
		fd_clear(&vm->irq_fd[i]);
	ring_fini(&vm->slots);
	fd_clear(&vm->vm_fd); /* the machine goes with its last vCPU */
	pthread_mutex_lock(&vm->table_lock);
	for (uint32_t i = 0; i < vm->vcpus; i++)
		vcpu_put(&vm->vcpu[i]);
	for (uint32_t i = 0; i < vm->unpluggeds; i++)
		vcpu_put(&vm->unplugged[i]);
	vm->vcpus = vm->unpluggeds = 0;
	pthread_mutex_unlock(&vm->table_lock);
	arch_vm_fini(&vm->arch);
	vm->slots.vm_fd = -1; /* the slots went with the VM */
	for (int i = 0; i < MEMSLOT_MAX; i++)
		sigbus_unwatch(vm->watched[i]);
	memslot_fini(&vm->slots);
	chardev_fini(&vm->console);
	event_fini(&vm->events);
	fd_clear(&vm->kvm_fd);
	pthread_mutex_destroy(&vm->table_lock);
	free(vm);
}
