/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_guest.h - Debian's kernel as a guest of mote run, in the labs' sets
 * named linux, which bring kernel and initrd (lab/linux-init says the lines).
 */
#ifndef TESTS_KVM_LINUX_GUEST_H
#define TESTS_KVM_LINUX_GUEST_H

#define LINUX_KERNEL  "/lib/mote/linux/vmlinuz"
#define LINUX_VMLINUX "/lib/mote/linux/vmlinux"
#define LINUX_INITRD  "/lib/mote/linux/initrd"

/* Skips the test where the lab brought no kernel. */
/* ACPI's event device is in each kernel; a driver for device trees in none. */
#ifdef __x86_64__
#define LINUX_TELLS_CLONES 1
#else
#define LINUX_TELLS_CLONES 0
#endif

void linux_need(const char *kernel);

/* The number behind the words, -1: they are not there. */
long linux_number(const char *out, const char *words);

/*
 * Run it to its end with these words after mote (up to 20), showing what it
 * says as it comes; *status: mote's.  The text is good until the next call.
 */
const char *linux_run(const char *const words[], int *status);

/* What each boot with that many CPUs must say. */
void linux_expect(const char *out, int cpus);

/*
 * With two disks, entropy and a network card on a tap: it finds them by its
 * tables, what it reads and writes is right, it pings and talks TCP with the
 * host.  The test has its folder.
 */
void linux_devices(const char *cmdline);

/* With that "vm.cmdline=", mote.echo in it: a line is typed and heard. */
void linux_echo(const char *cmdline);

/*
 * With that "vm.cmdline=", mote.ticks in it: a snapshot while two CPUs
 * compute and write blocks to a disk that they read back.  It goes on, and so
 * does what is restored from it, which is told of its new generation where
 * there is an interrupt for that.  The test has its folder (cli/command.h).
 */
void linux_snapshot(const char *cmdline);

/*
 * With that "vm.cmdline=", mote.virtio in it: two disks and a source of entropy
 * are found and work.  The test has its folder.
 */
void linux_virtio(const char *cmdline);

#endif
