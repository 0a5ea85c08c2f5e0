# SPDX-License-Identifier: Apache-2.0
#
# The only build file: library, tools, guests, tests, checks, install, help.
# Everything is built under build/; V=1 shows commands; ARCH= and
# CROSS_COMPILE= cross-build into build/ARCH.

VERSION := 0.1.0
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

HOST_ARCH := $(patsubst aarch64,arm64,$(shell uname -m))
ARCH ?= $(HOST_ARCH)
CROSS_COMPILE ?=
SYSROOT ?=
B ?= build$(if $(filter-out $(HOST_ARCH),$(ARCH)),/$(ARCH))
HOSTCC ?= gcc
ifneq ($(CROSS_COMPILE),)
CC := $(CROSS_COMPILE)gcc
else ifeq ($(origin CC),default)
CC := gcc
endif
STRIP := $(CROSS_COMPILE)strip
OBJCOPY := $(CROSS_COMPILE)objcopy
GUEST_CC := $(CROSS_COMPILE)gcc

ifeq ($(V),1)
Q :=
else
Q := @
endif
say = $(if $(Q),@printf '  %-7s %s\n' $(1) $(2))

# Why each dependency: libinih reads the INI (behind our guarded reader);
# libcap-ng drops capabilities and proves it; json-c is the JSON of the
# control socket and of OCI's config.json (crun's choice); libfdt builds the
# device trees of arm64 and ppc64le; xxhash (header only) is the digest of
# snapshots; libseccomp is used at build time only: filters are generated,
# so that a launch does not pay for compiling them.  Criterion: tests.
SYSLIB := $(if $(SYSROOT),$(SYSROOT)/usr/lib/$(shell $(CC) -print-multiarch))
SYSINC := $(if $(SYSROOT),-isystem $(SYSROOT)/usr/include)
LIBS := -linih -lcap-ng -ljson-c $(if $(filter-out x86_64,$(ARCH)),-lfdt) -pthread
LDPATH := $(if $(SYSLIB),-L$(SYSLIB))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wformat=2 -Wno-unused-parameter
# What only clang says of C that we mean: KVM's structs with their array after
# them, and -no-pie beside -static.
ifneq ($(findstring clang,$(CC)),)
WARN += -Wno-gnu-variable-sized-type-not-at-end -Wno-unused-command-line-argument
endif
WERROR ?= $(if $(CI),-Werror)
# Locals begin as zeros, whatever forgets to set them; 4 KiB, and nothing that
# a launch's time shows.  Branch targets and return addresses are marked for
# hardware that checks them (CET; BTI and PAC): 4 KiB.  Debian 12's libc.a is
# not, so it is the library that gains: it is no reason for an embedder's
# program to go without.  tests/lint/binary.sh looks for all of it.
HARDEN := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fno-plt -fPIE
# clang 14 wants another option to be told beside it.
HARDEN += $(if $(findstring clang,$(CC)),,-ftrivial-auto-var-init=zero)
HARDEN += $(if $(filter x86_64,$(ARCH)),-fcf-protection=full)
HARDEN += $(if $(filter arm64,$(ARCH)),-mbranch-protection=standard)
# Nothing unwinds our frames at run time (no exceptions, no pthread_exit), and
# a debugger has -g: the tables would be 24 KiB of the 1 MiB of a tool.
HARDEN += -fno-asynchronous-unwind-tables
OPT ?= -O2
SAN ?=
CPPFLAGS += -D_GNU_SOURCE -DMOTE_VERSION='"$(VERSION)"' -Ivmm -I. \
	-Ivmm/arch/$(ARCH) -I$(B)/gen $(SYSINC)
CFLAGS += -std=gnu11 $(OPT) -g $(WARN) $(WERROR) $(if $(SAN),,$(HARDEN)) \
	-fvisibility=hidden -ffunction-sections -fdata-sections $(SAN)

LIB_SRC := $(wildcard config/*.c vmm/*.c vmm/base/*.c vmm/kvm/*.c \
	vmm/memory/*.c vmm/arch/common/*.c vmm/arch/$(ARCH)/*.c \
	vmm/vcpu/*.c vmm/devices/*.c vmm/devices/*/*.c vmm/snapshot/*.c) \
	$(filter-out vmm/sandbox/gen_%,$(wildcard vmm/sandbox/*.c))
ifeq ($(ARCH),x86_64)
LIB_SRC := $(filter-out vmm/arch/common/fdt.c vmm/arch/common/plain.c vmm/devices/novfio.c,$(LIB_SRC))
else
LIB_SRC := $(filter-out vmm/devices/vfio/%,$(LIB_SRC))
endif
ifeq ($(ARCH),ppc64le)
LIB_SRC := $(filter-out vmm/arch/common/nopapr.c,$(LIB_SRC))
endif
LAUNCH_SRC := $(wildcard launch/*.c)
CLI_SRC := $(wildcard cli/*.c)
OCI_SRC := $(wildcard oci/*.c)
obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

GUESTS := hello counter walk touch sum stale smp echo serve $(if $(filter x86_64 arm64,$(ARCH)),vblk vnet villain) $(if $(filter x86_64 arm64,$(ARCH)),hostile) $(if $(filter x86_64,$(ARCH)),noop exits parse simd simdavx apic edu vrng mtty vent vrace) \
	$(if $(filter arm64,$(ARCH)),psci sve pauth gic) $(if $(filter ppc64le,$(ARCH)),hpt hptsmp papr vsx)
HVT_GUESTS := $(if $(filter x86_64 arm64,$(ARCH)),probe disk echo many)
PC_GUESTS := $(if $(filter x86_64,$(ARCH)),pc.elf pc-flat.img pc-linux32.img pc-linux64.img pc-vmlinux.elf)
GUEST_ELF := $(GUESTS:%=$(B)/guests/%.elf) $(HVT_GUESTS:%=$(B)/guests/hvt-%.elf) $(PC_GUESTS:%=$(B)/guests/%)

.PHONY: all
all: $(B)/mote $(B)/solo5-hvt $(B)/mote-oci $(B)/libmote.a $(B)/libmote.so.0 guests ## build everything

# --- objects ------------------------------------------------------------------
$(B)/obj/%.o: %.c Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/pic/%.o: %.c Makefile
	$(call say,CC,$< [pic])
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -MMD -MP -c -o $@ $<

# What runs once a launch is built for size: the static mote is to stay below
# 1 MiB (tests/lint/binary.sh).  What a guest runs through, and the bulk work
# of a snapshot, stays at OPT.
HOT := vcpu/% devices/hvt devices/chardev devices/device memory/bus \
	memory/guestmem base/event snapshot/ram snapshot/stream \
	$(if $(filter ppc64le,$(ARCH)),arch/ppc64le/kvm_hpt arch/common/hpt_%)
COLD := $(filter-out $(HOT:%=vmm/%.c),$(LIB_SRC) $(LAUNCH_SRC) $(CLI_SRC))
ifeq ($(SAN),)
$(call obj,$(COLD)): OPT := -Os
endif

# --- library ------------------------------------------------------------------
$(B)/libmote-int.a: $(call obj,$(LIB_SRC))
	$(call say,AR,$@)
	@rm -f $@
	$(Q)$(CROSS_COMPILE)ar rcs $@ $^

# What is handed out: the same code with every hidden symbol made local.
$(B)/libmote.a: $(call obj,$(LIB_SRC))
	$(call say,AR,$@)
	$(Q)$(CC) $(filter -Wno-unused-command-line-argument,$(WARN)) -r -nostdlib -no-pie -o $(B)/mote.rel.o $^
	$(Q)$(CROSS_COMPILE)objcopy --localize-hidden $(B)/mote.rel.o
	@rm -f $@
	$(Q)$(CROSS_COMPILE)ar rcs $@ $(B)/mote.rel.o

$(B)/libmote.so.0: $(patsubst %.c,$(B)/pic/%.o,$(LIB_SRC)) vmm/mote.map
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -shared -Wl,-soname,libmote.so.0 \
		-Wl,--version-script=vmm/mote.map -Wl,-z,defs -Wl,--gc-sections \
		-Wl,-z,relro,-z,now $(LDPATH) -o $@ $(filter %.o,$^) $(LIBS)
	@ln -sf libmote.so.0 $(B)/libmote.so

# --- tools: static, no ld.so at start -------------------------------------------
STATIC := -static -no-pie -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,noexecstack
# On x86_64 they are PIE as well: whoever has found a hole does not know where
# the code is.  With packed relocations (DT_RELR) the 2300 of them cost, of
# launches of noop.elf without the jail, 2000 of each kind in turn on the shared
# host that this was written on: 2080 us in the middle, not PIE 2080; the
# fastest of each 1745 and 1724; 5 more page faults (70, 65) and 4 KiB.
# Without packing it would be 2126 us and 60 KiB.  ld of binutils 2.40 packs
# for x86 only, so the others stay as they were.
TOOL := $(STATIC)
ifeq ($(ARCH),x86_64)
TOOL := $(filter-out -static -no-pie,$(STATIC)) -static-pie \
	-Wl,-z,pack-relative-relocs
endif
NOEH := -Wl,-T,tools/noeh.ld
$(B)/mote: $(call obj,$(CLI_SRC) $(LAUNCH_SRC)) $(B)/libmote-int.a tools/noeh.ld
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(if $(SAN),,$(TOOL) $(NOEH)) $(LDPATH) -o $@ $(filter %.o %.a,$^) $(LIBS)

# The same program under the name of Solo5's tender (cli/solo5.c).
$(B)/solo5-hvt: $(B)/mote
	@ln -sf mote $@

$(B)/mote-oci: $(call obj,$(OCI_SRC) $(LAUNCH_SRC)) $(B)/libmote-int.a tools/noeh.ld
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(if $(SAN),,$(TOOL) $(NOEH)) $(LDPATH) -o $@ $(filter %.o %.a,$^) $(LIBS)

# --- guests -------------------------------------------------------------------
GUEST_FLAGS_x86_64 := -mno-red-zone -mgeneral-regs-only -mcmodel=small -fcf-protection=none
GUEST_FLAGS_arm64 := -mgeneral-regs-only -mstrict-align
GUEST_FLAGS_ppc64le := -mno-altivec -mno-vsx -msoft-float
GUEST_CFLAGS := -std=gnu11 -O2 -Wall -Wextra -Werror -ffreestanding -nostdlib \
	-fno-pic -fno-pie -fno-stack-protector -fno-builtin \
	-fno-tree-loop-distribute-patterns \
	-fno-asynchronous-unwind-tables -Iguests/include -Iguests/lib/$(ARCH) -Ivmm $(GUEST_FLAGS_$(ARCH))
GUEST_LD := guests/lib/$(ARCH)/guest.ld
GUEST_LIB := guests/lib/$(ARCH)/start.S guests/lib/$(ARCH)/io.c guests/lib/guest.c guests/lib/note.S \
	$(wildcard guests/lib/$(ARCH)/smp.[Sc])
GUEST_HDR := $(wildcard guests/include/*.h guests/lib/$(ARCH)/*.h) vmm/base/guest_abi.h
GUEST_LINK := -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 -Wl,-T,$(GUEST_LD)

.PHONY: guests
guests: $(GUEST_ELF) ## build the sample and test guests

# Ring 3: there a KVM that interprets ring 0 runs vector code natively.
$(B)/guests/vblk.elf $(B)/guests/villain.elf $(B)/guests/vnet.elf $(B)/guests/simd.elf $(B)/guests/touch.elf $(B)/guests/stale.elf $(B)/guests/serve.elf $(B)/guests/sum.elf $(B)/guests/parse.elf: GUEST_CFLAGS += -DNOTE_FLAGS=1
$(B)/guests/noop.elf: guests/noop/noop.S
$(B)/guests/exits.elf: guests/exits/exits.S
$(B)/guests/noop.elf $(B)/guests/exits.elf: guests/lib/note.S $(GUEST_LD)
	$(call say,GUEST,$@)
	@mkdir -p $(@D)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_LINK) -o $@ $(filter guests/$(basename $(@F))/%,$^)

# Solo5 hvt guests: one file each, with an ABI note and a manifest.
HVT_LIB := guests/lib/hvt/$(ARCH).S guests/lib/hvt/hvt.c
$(B)/guests/hvt-%.elf: guests/hvt/%.c $(HVT_LIB) guests/lib/hvt/hvt.ld guests/include/hvt.h vmm/base/hvt_abi.h Makefile
	$(call say,GUEST,$@)
	@mkdir -p $(@D)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 -Wl,-T,guests/lib/hvt/hvt.ld -o $@ $< $(HVT_LIB)

# The guest pc, in the forms of the others' contracts: an ELF32 file for PVH and
# Multiboot, a flat image for Multiboot, bzImages entered in 32 and in 64 bits,
# and what a bzImage unpacks, a vmlinux.
PC_CFLAGS := $(filter-out -mno-red-zone -mcmodel=small,$(GUEST_CFLAGS)) -m32 -march=i686
PC_LINK := -Wl,--no-warn-rwx-segments -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096
PC_SRC := guests/pc/entry.S guests/pc/pc.c
$(B)/guests/pc.elf: $(PC_SRC) guests/pc/pc.ld Makefile
	$(call say,GUEST,$@)
	@mkdir -p $(@D)
	$(Q)$(GUEST_CC) $(PC_CFLAGS) $(PC_LINK) -Wl,-T,guests/pc/pc.ld -o $@ $(PC_SRC)
$(B)/guests/pc-flat.img: $(PC_SRC) guests/pc/pc.ld Makefile
	$(call say,GUEST,$@)
	@mkdir -p $(@D)
	$(Q)$(GUEST_CC) $(PC_CFLAGS) -DFLAT $(PC_LINK) -Wl,-T,guests/pc/pc.ld -o $@.elf $(PC_SRC)
	$(Q)$(OBJCOPY) -O binary -R .note $@.elf $@ && rm -f $@.elf
$(B)/guests/pc-linux32.img: PC_FLAGS := 0
$(B)/guests/pc-linux64.img: PC_FLAGS := 1
$(B)/guests/pc-linux32.img $(B)/guests/pc-linux64.img: guests/pc/bzimage.S $(B)/guests/pc-flat.img
	$(call say,GUEST,$@)
	$(Q)$(GUEST_CC) -c -DXLOADFLAGS=$(PC_FLAGS) -DFLAT_IMAGE='"$(B)/guests/pc-flat.img"' -o $@.o $<
	$(Q)$(OBJCOPY) -O binary -j .entry $@.o $@ && rm -f $@.o
$(B)/guests/pc-vmlinux.elf: $(B)/guests/pc.elf
	$(call say,GUEST,$@)
	$(Q)$(OBJCOPY) -O elf64-x86-64 --set-start 0x100200 $< $@

$(B)/guests/%.elf: guests/%/*.c $(GUEST_LIB) $(GUEST_HDR) $(GUEST_LD) Makefile
	$(call say,GUEST,$@)
	@mkdir -p $(@D)
	$(Q)$(GUEST_CC) $(GUEST_CFLAGS) $(GUEST_LINK) -o $@ $(filter guests/$*/%.c,$^) $(GUEST_LIB)

# --- tests --------------------------------------------------------------------
# The same sources run under Criterion on this host and under tests/runner in
# the labs (Criterion does not exist for ppc64el).
TEST_DIRS := tests/base tests/config tests/kvm tests/kvm/$(ARCH) tests/memory \
	tests/arch tests/arch/$(ARCH) tests/snapshot tests/sandbox \
	tests/devices tests/vcpu tests/launch tests/cli tests/oci
TEST_SRC := $(filter-out tests/cli/trip.c,$(wildcard $(TEST_DIRS:%=%/*.c)))
ifneq ($(ARCH),x86_64)
TEST_SRC := $(filter-out $(wildcard tests/devices/*vfio*),$(TEST_SRC))
endif
FAKE_SRC := $(wildcard tests/fake/*.c) tests/base/stress.c tests/snapshot/golden.c tests/devices/fake_vfio.c
TEST_INC := -Itests
TEST_LIBS := -lcriterion
# tests/kvm/kvm_hook.c stands between mote and KVM, devices/fake_vfio.c and VFIO.
TEST_LD := -Wl,--wrap=kvm_get_one_reg,--wrap=kvm_set_one_reg,--wrap=kvm_create_device,--wrap=kvm_check_extension,--wrap=kvm_run,--wrap=vfio_ioctl

# Tests that force KVM errors link tests/fake/fake_kvm.c in place of
# vmm/kvm/kvm.c, so they are a program of their own.
$(B)/unit-tests: $(call obj,$(TEST_SRC) $(LAUNCH_SRC)) $(B)/libmote-int.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -no-pie $(TEST_LD) $(LDPATH) -o $@ $^ $(LIBS) $(TEST_LIBS)

FAKE_TESTS := $(wildcard tests/fake/test/*.c)
FAKE_BIN := $(if $(filter x86_64,$(ARCH)),$(B)/fake-tests)
$(B)/fake-tests: $(call obj,$(FAKE_TESTS) $(FAKE_SRC)) $(call obj,$(filter-out vmm/kvm/kvm.c,$(LIB_SRC)))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -no-pie -Wl,--wrap=vfio_ioctl $(LDPATH) -o $@ $^ $(LIBS) $(TEST_LIBS)

# Makes a process stumble at a system call; for tests/cli/crash.sh.
TRIP := $(if $(filter x86_64,$(ARCH)),$(B)/trip)
FAULTS := $(if $(filter x86_64,$(ARCH)),$(B)/faults)
$(B)/trip: tests/cli/trip.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 $(WARN) -o $@ $<

$(B)/obj/tests/%.o: CPPFLAGS += $(TEST_INC)
$(B)/lab/tests/%.o: tests/%.c Makefile
	$(call say,CC,$< [lab])
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -Itests/runner $(TEST_INC) $(CFLAGS) -MMD -MP -c -o $@ $<

LAB_TEST_SRC := $(TEST_SRC) $(if $(filter x86_64,$(ARCH)),$(wildcard tests/vfio/*.c)) tests/golden/print.c tests/runner/runner.c
LAB_B := $(if $(filter $(HOST_ARCH),$(ARCH)),build/lab-x86,$(B))
LABVFIO_SRC :=
$(LAB_B)/lab-tests: $(patsubst tests/%.c,$(B)/lab/tests/%.o,$(LAB_TEST_SRC)) $(call obj,$(LAUNCH_SRC)) $(B)/libmote-int.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(STATIC) $(TEST_LD) $(LDPATH) -o $@ $^ $(LIBS)

.PHONY: deps test unit-test demo
deps: ## install what is missing (Debian 12)
	@tests/deps.sh

test: ## install what is missing, build, run the tests
	@tests/deps.sh
	@$(MAKE) --no-print-directory all bench-bin docs $(B)/requests $(B)/unit-tests $(FAKE_BIN) $(TRIP) $(FAULTS) $(B)/attack/mote-probe
	@tests/run.sh $(B)

unit-test: all $(B)/requests $(B)/unit-tests $(FAKE_BIN) $(TRIP) $(FAULTS) $(B)/attack/mote-probe
	@tests/run.sh $(B)

demo: ## install what is missing, build, run a guest from an INI file
	@tests/deps.sh
	@$(MAKE) --no-print-directory $(B)/mote guests
	@tests/demo.sh $(B)

$(B)/requests: tools/requests.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 $(WARN) $(WERROR) -o $@ $<

.PHONY: demo-serverless
demo-serverless: ## the same, and requests that are answered by VMs nobody used before
	@tests/deps.sh
	@$(MAKE) --no-print-directory $(B)/mote guests $(B)/requests
	@tests/demo-serverless.sh $(B)

# A guest as the target of libFuzzer (clang), rewound for each input.
$(B)/guests/parse.elf: GUEST_CFLAGS += -fsanitize-coverage=trace-pc
$(B)/fuzz-native: examples/fuzz/native.c guests/parse/parser.h guests/parse/parse.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 $(WARN) -o $@ $<
$(B)/fuzz-rewind: examples/fuzz/rewind.c guests/parse/parse.h $(B)/libmote-int.a
	$(call say,CC,$@)
	$(Q)clang -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -fsanitize=fuzzer -Ivmm -o $@ $< $(B)/libmote-int.a -lseccomp $(LIBS)

.PHONY: demo-fuzz
demo-fuzz: ## a guest's parser under libFuzzer, by rewind: finds a planted bug
	@tests/deps.sh
	@$(MAKE) --no-print-directory guests $(B)/fuzz-native $(B)/fuzz-rewind
	@tests/demo-fuzz.sh $(B)

# --- bench --------------------------------------------------------------------
# --wrap: inproc.c sees when the library enters KVM_RUN, restore.c counts its
# other calls of KVM; neither changes anything.
BENCH_HDR := bench/measure.h bench/saved.h cli/svg.h bench/trace.h bench/floor_vm.h
BENCH_SRC := bench/measure.c bench/launch.c bench/inproc.c bench/restore.c bench/clones.c bench/report.c
BENCH_LD := -Wl,--wrap=kvm_run,--wrap=kvm_call,--wrap=kvm_call_value
BENCH_BIN := $(B)/bench/noop $(B)/bench/floor $(B)/bench/floor-nolibc $(B)/bench/floor-jail $(B)/bench/jail-only $(B)/bench/bench
$(B)/bench/noop: bench/noop.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 $(WARN) -static -no-pie -o $@ $<
$(B)/bench/floor: bench/floor.c bench/floor_vm.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 $(WARN) -static -no-pie -o $@ $<

$(B)/bench/floor-jail: bench/floor_jail.c bench/floor_vm.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 $(WARN) -static -no-pie -o $@ $<

$(B)/bench/floor-nolibc: bench/floor.c bench/floor_vm.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -DFLOOR_NOLIBC -O2 $(WARN) -static \
		-no-pie -nostdlib -ffreestanding -fno-stack-protector \
		-Wl,--build-id=none -o $@ $<

$(B)/bench/jail-only: bench/jail_only.c $(B)/obj/tools/slim.o $(B)/libmote-int.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(STATIC) $(LDPATH) -o $@ $^ $(LIBS)

# Everything in one static file, for hardware that we do not have.
.PHONY: bench-kit
bench-kit: $(B)/bench-kit ## the benchmark as one file to run elsewhere
$(B)/bench/kit/mote: $(B)/mote
	@mkdir -p $(@D)
	$(Q)$(STRIP) -o $@ $<
$(B)/bench-kit: bench/kit.c bench/kit_data.S $(BENCH_SRC) $(BENCH_HDR) $(B)/obj/tools/slim.o $(B)/libmote-int.a \
		$(B)/bench/kit/mote $(filter-out %/bench,$(BENCH_BIN)) $(filter %/noop.elf %/exits.elf %/counter.elf,$(GUEST_ELF))
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wa,-I$(B)/bench/kit,-I$(B) $(STATIC) $(BENCH_LD) $(LDPATH) -o $@ $(filter %.c %.S %.o %.a,$^) $(LIBS)
	$(Q)$(STRIP) $@

$(B)/bench/bench: bench/bench.c bench/counts.c bench/trace.c bench/peer_restore.c bench/plot.c $(BENCH_SRC) $(BENCH_HDR) $(B)/libmote-int.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -no-pie $(BENCH_LD) $(LDPATH) -o $@ $(filter %.c %.a,$^) -lseccomp $(LIBS)

.PHONY: bench bench-bin bench-plot
bench-bin: $(BENCH_BIN) ## the benchmark's programs
bench: $(B)/mote guests $(BENCH_BIN) ## measure against the floor program, interleaved
	@$(B)/bench/bench $(B) $(RUNS)

bench-plot: $(B)/mote guests $(BENCH_BIN) ## the same, and pictures of it (SVG)
	@$(B)/bench/bench --plot $(B) $(RUNS)

.PHONY: format
format: ## run clang-format over the tree
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format -i

.PHONY: reachable
reachable: $(B)/gen/filters.h ## the functions that a guest reaches once the jail is closed, and all
	@bench/reach.sh $(B)
	@echo "with the VM thread: $$(bench/reach.sh $(B) --all | tail -n 1)"

# gcc's own analyser.  It does not know __attribute__((cleanup)), and gcc 12
# takes what asprintf or a callee sets by such a variable's address for never
# set: those warnings are off (sanitizers, auto-init and the tests that count
# descriptors look for the same).  In config/section.c it takes an entry of a
# constant table, found by an index below its length, for NULL.
ANALYZE := -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-fd-leak -Wno-analyzer-file-leak \
	-Wno-analyzer-use-of-uninitialized-value
.PHONY: analyze
analyze: $(B)/gen/filters.h ## gcc -fanalyzer over the library and the launcher
	$(call say,LINT,analyzer)
	$(Q)printf '%s\n' $(LIB_SRC) $(LAUNCH_SRC) | xargs -P 2 -I FILE sh -c ' \
		case FILE in config/section.c) not=-Wno-analyzer-null-dereference ;; esac; \
		gcc $(subst ','\'',$(CPPFLAGS)) -std=gnu11 -Os -Werror $(ANALYZE) $$not -c -o /dev/null FILE || exit 255'

# Advice that fails: the analysers over the library and the tools, then the
# scripts of tests/lint.  clang-tidy and cppcheck must be installed; neither
# knows __attribute__((cleanup)), so leaks are the sanitizers' to find.
LINT_SRC := $(LIB_SRC) $(LAUNCH_SRC) $(CLI_SRC) $(OCI_SRC)
.PHONY: lint
lint: all bench-bin docs analyze ## layers, headers, sizes, symbols, clang-tidy, cppcheck
	$(call say,LINT,clang-tidy)
	$(Q)clang-tidy --quiet $(LINT_SRC) -- -std=gnu11 $(CPPFLAGS) 2>$(B)/lint.log || { cat $(B)/lint.log; exit 1; }
	$(call say,LINT,cppcheck)
	$(Q)cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,portability --suppress=missingIncludeSystem \
		--suppress=unknownMacro --suppress=memleak $(filter -I%,$(CPPFLAGS)) $(LINT_SRC)
	$(call say,LINT,clang-format)
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror
	$(call say,LINT,scripts)
	$(Q)bad=0; for t in tests/lint/*.sh; do $$t | grep -v '^ok ' | tee -a $(B)/lint.out; done; \
		! grep -q '^FAIL' $(B)/lint.out; r=$$?; rm -f $(B)/lint.out; exit $$r

# --- documents out of the key table ---------------------------------------------
DOCS := $(B)/man/mote.ini.5 $(B)/completion/mote.bash $(B)/completion/_mote $(B)/completion/mote.fish
$(B)/gen_docs: $(B)/obj/tools/gen_docs.o $(B)/libmote-int.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -no-pie $(LDPATH) -o $@ $^ $(LIBS)

$(B)/man/mote.ini.5: $(B)/gen_docs
	@mkdir -p $(@D)
	$(Q)$< man >$@
$(B)/completion/mote.bash: $(B)/gen_docs
	@mkdir -p $(@D)
	$(Q)$< bash >$@
$(B)/completion/_mote: $(B)/gen_docs
	@mkdir -p $(@D)
	$(Q)$< zsh >$@
$(B)/completion/mote.fish: $(B)/gen_docs
	@mkdir -p $(@D)
	$(Q)$< fish >$@

.PHONY: docs
docs: $(DOCS) ## mote.ini(5) and shell completion

# --- install ------------------------------------------------------------------
DESTDIR ?=
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
.PHONY: install
install: all docs ## install tools, library and header under DESTDIR and PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/share/doc/mote/examples
	install -m 755 $(B)/mote $(B)/mote-oci $(DESTDIR)$(PREFIX)/bin
	ln -sf mote $(DESTDIR)$(PREFIX)/bin/solo5-hvt
	install -m 755 $(B)/libmote.so.0 $(DESTDIR)$(LIBDIR)
	ln -sf libmote.so.0 $(DESTDIR)$(LIBDIR)/libmote.so
	install -m 644 $(B)/libmote.a $(DESTDIR)$(LIBDIR)
	install -m 644 vmm/mote.h $(DESTDIR)$(PREFIX)/include
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,man/man1 man/man3 man/man5 man/man8 bash-completion/completions zsh/site-functions fish/vendor_completions.d)
	install -m 644 docs/man/mote.1 docs/man/solo5-hvt.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 docs/man/libmote.3 $(DESTDIR)$(PREFIX)/share/man/man3
	install -m 644 $(B)/man/mote.ini.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 docs/man/mote-oci.8 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 644 $(B)/completion/mote.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mote
	install -m 644 $(B)/completion/_mote $(DESTDIR)$(PREFIX)/share/zsh/site-functions
	install -m 644 $(B)/completion/mote.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 644 docs/*.md $(DESTDIR)$(PREFIX)/share/doc/mote
	install -m 644 config/examples/*.ini $(DESTDIR)$(PREFIX)/share/doc/mote/examples
	printf 'prefix=%s\nName: libmote\nDescription: a micro-VMM for unikernels\nVersion: %s\nLibs: -L%s -lmote\nLibs.private: %s\nCflags: -I$${prefix}/include\n' \
		'$(PREFIX)' '$(VERSION)' '$(LIBDIR)' '$(LIBS)' >$(DESTDIR)$(LIBDIR)/pkgconfig/mote.pc

.PHONY: clean
clean: ## remove build/
	rm -rf build

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z][a-z0-9_-]*\):.*## /  \1 - /p' Makefile vmm/sandbox/*.mk lab/lab.mk tests/check.mk 2>/dev/null

-include vmm/sandbox/sandbox.mk
-include lab/lab.mk
-include tests/check.mk
-include tests/attack/attack.mk
-include $(shell find $(B) -name '*.d' 2>/dev/null)

# What a build of ARCH links, one a line; for tests/lint/sizes.sh.
.PHONY: print-sources
print-sources:
	@printf '%s\n' $(LIB_SRC)

# What objects are hardened with; for tests/lint/binary.sh.
.PHONY: print-harden
print-harden:
	@echo '$(HARDEN)'
