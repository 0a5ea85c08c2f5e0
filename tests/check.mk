# SPDX-License-Identifier: Apache-2.0
#
# check.mk - the tests under sanitizers, and the fuzz targets; included at
# the end of the Makefile.  Each has a build folder of its own.
#
#   make check-asan CHECK_FILTER='elf/*'     one suite only
#   make fuzz FUZZ_SECONDS=600 FUZZ=stream   one target, longer
#   make test-long LONG='stress_kick/*'      one suite of them
#   make test-long LONG=crash                writers of snapshots that crash

SAN_ASAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
SAN_TSAN := -fsanitize=thread
CHECK_FILTER ?=
# The runtimes of two compilers do not mix: make check-tsan CC=clang.
SAN_CC := $(if $(findstring clang,$(CC)),-clang)

.PHONY: check-asan check-tsan fuzz
check-asan: guests ## the tests under AddressSanitizer and UBSan
	$(Q)$(MAKE) --no-print-directory B=build/asan$(SAN_CC) SAN="$(SAN_ASAN)" \
		build/asan$(SAN_CC)/mote build/asan$(SAN_CC)/mote-oci build/asan$(SAN_CC)/unit-tests \
		$(FAKE_BIN:$(B)/%=build/asan$(SAN_CC)/%)
	@tests/sanitize.sh asan build/asan$(SAN_CC) '$(CHECK_FILTER)'

check-tsan: guests ## threads of vCPUs, machines and devices under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory B=build/tsan$(SAN_CC) SAN="$(SAN_TSAN)" \
		build/tsan$(SAN_CC)/run-unit-tests $(FAKE_BIN:$(B)/%=build/tsan$(SAN_CC)/run-%)
	@tests/sanitize.sh tsan build/tsan$(SAN_CC) '$(CHECK_FILTER)'

.PHONY: test-long
test-long: guests $(B)/mote $(B)/unit-tests $(TRIP) ## the stress tests at full length, references under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory B=build/tsan$(SAN_CC) SAN="$(SAN_TSAN)" \
		build/tsan$(SAN_CC)/run-unit-tests
	@tests/long.sh $(B) build/tsan$(SAN_CC) "$(LONG)"

.PHONY: golden
golden: $(B)/mote $(FAKE_BIN) guests ## new golden snapshots, for a new format; GOLDEN=x86, arm64 or ppc64: by that lab
	@tests/golden/make.sh $(B) $(GOLDEN)

# Criterion's arena and ThreadSanitizer want the same addresses: the runner
# of the labs takes its place.
run_obj = $(patsubst tests/%.c,$(B)/lab/tests/%.o,$(1) tests/runner/runner.c)
$(B)/run-unit-tests: $(call run_obj,$(TEST_SRC)) $(call obj,$(LAUNCH_SRC)) $(B)/libmote-int.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -no-pie $(TEST_LD) $(LDPATH) -o $@ $^ $(LIBS)

$(B)/run-fake-tests: $(call run_obj,$(FAKE_TESTS) $(FAKE_SRC)) $(call obj,$(filter-out vmm/kvm/kvm.c,$(LIB_SRC)))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) -no-pie -Wl,--wrap=vfio_ioctl $(LDPATH) -o $@ $^ $(LIBS)

# --- fuzzing --------------------------------------------------------------------
# The library once, with clang's sanitizers and counters, in a folder of its
# own; each target (tests/fuzz/fuzz_NAME.c) is linked with it, and with a KVM
# and a VFIO that are models.
FUZZ_SECONDS ?= 60
FUZZ_JOBS ?= 2
FUZZ ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
comma := ,
FUZZ_B := build/fuzz
SAN_FUZZ := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_MAKE = $(MAKE) --no-print-directory B=$(FUZZ_B) CC=clang OPT=-O1 SAN="$(SAN_FUZZ)" \
	TEST_INC="-Itests/runner -Itests"
FUZZ_OBJ := $(call obj,tests/fake/fake_kvm.c tests/fake/fakevm.c tests/fake/elfimg.c \
	tests/devices/fake_vfio.c $(wildcard tests/fuzz/support/*.c))
# What a harness compares is no news to libFuzzer, and half of the time.
ifeq ($(B),$(FUZZ_B))
$(B)/obj/tests/%.o: CFLAGS += -fno-sanitize-coverage=trace-cmp
endif
FUZZ_LD = -Wl,--wrap=vfio_ioctl $(if $(filter %_oci,$@),-Wl$(comma)--wrap=open)

$(B)/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(FUZZ_OBJ) $(call obj,oci/bundle.c $(LAUNCH_SRC)) $(B)/libmote-int.a
	$(call say,FUZZ,$@)
	$(Q)$(CC) -fsanitize=fuzzer,address,undefined -no-pie $(FUZZ_LD) $(LDPATH) -o $@ $^ $(LIBS)
.SECONDARY: $(patsubst tests/fuzz/%.c,$(B)/obj/tests/fuzz/%.o,$(wildcard tests/fuzz/fuzz_*.c)) $(FUZZ_OBJ)

.PHONY: fuzz-bin
fuzz-bin:
	@tests/deps.sh clang libclang-rt-14-dev
	+$(Q)$(FUZZ_MAKE) $(FUZZ:%=$(FUZZ_B)/fuzz_%)

# The numbers of a release: hours; the last lines say how many runs there were.
FUZZ_LONG_SECONDS ?= 3600
.PHONY: fuzz-long
fuzz-long: guests fuzz-bin ## the same for FUZZ_LONG_SECONDS (3600) each, and the count
	@tests/fuzz/run.sh $(FUZZ_B) $(FUZZ_LONG_SECONDS) $(FUZZ_JOBS) $(FUZZ)

# Do the targets live?  tests/fuzz/planted has a bug for each.
PLANTED_SECONDS ?= 600
.PHONY: fuzz-planted
fuzz-planted: guests ## plant bugs in a copy of the tree: each must be found; PLANTED='04 17'
	@tests/deps.sh clang libclang-rt-14-dev patch
	+@tests/fuzz/planted.sh $(PLANTED_SECONDS) $(PLANTED)

fuzz: fuzz-bin ## build the fuzz targets and run each FUZZ_SECONDS (60), FUZZ_JOBS (2) at a time
	@tests/fuzz/run.sh $(FUZZ_B) $(FUZZ_SECONDS) $(FUZZ_JOBS) $(FUZZ)
