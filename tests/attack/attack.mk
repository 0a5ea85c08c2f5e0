# SPDX-License-Identifier: Apache-2.0
#
# attack.mk - the sandbox proved by attack.
#
#   make audit     which rules of the filters does the suite use?
#   make probe     does anything get out of the jail? PROBES="name..." for some
#   make faults    every system call fails once; FAULTS_ONLY='restore': those scenes
#   make soak      20 minutes of it; SOAK_SECONDS=120
#   make storm     a timer interrupts every thread

AUDIT_B := build/audit-rules
$(AUDIT_B)/audit: tests/attack/audit.c vmm/sandbox/policy.c vmm/sandbox/policy.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 -O2 -static $(WARN) -o $@ $(filter %.c,$^)

.PHONY: audit
audit: guests $(AUDIT_B)/audit ## does the suite use each rule of the seccomp filters?
	$(Q)$(MAKE) --no-print-directory B=$(AUDIT_B) LAB_B=$(AUDIT_B) AUDIT=1 \
		$(AUDIT_B)/mote $(AUDIT_B)/mote-oci $(AUDIT_B)/unit-tests \
		$(AUDIT_B)/requests $(AUDIT_B)/trip $(AUDIT_B)/lab-tests
	@tests/attack/audit.sh $(AUDIT_B) '$(AUDIT_ONLY)'

# mote with its jail attacked from inside: hook.c.
PROBE_B := $(B)/attack
PROBE_WRAP := -Wl,--wrap=mote_jail_lock,--wrap=kvm_run,--wrap=jail_new_root,--wrap=caps_bound,--wrap=caps_drop,--wrap=setrlimit,--wrap=fd_room_fill,--wrap=getrlimit,--wrap=prctl,--wrap=syscall
$(PROBE_B)/%.o: tests/attack/%.c tests/attack/probe.h Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(TEST_INC) $(filter-out -fcf-protection%,$(CFLAGS)) -c -o $@ $<

$(PROBE_B)/mote-probe: $(PROBE_B)/hook.o $(PROBE_B)/probes.o $(call obj,$(CLI_SRC) $(LAUNCH_SRC)) $(B)/libmote-int.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(STATIC) $(PROBE_WRAP) $(LDPATH) -o $@ $(filter %.o %.a,$^) $(LIBS)

.PHONY: probe
probe: guests $(PROBE_B)/mote-probe ## attack the jail from inside, with each layer left out in turn
	@tests/attack/probe.sh $(PROBE_B)/mote-probe $(PROBES)

.PHONY: probe-doc
probe-doc: guests $(PROBE_B)/mote-probe ## docs/PROBES.md anew, of this host
	@PROBE_MATRIX=$(PROBE_B)/matrix tests/attack/probe.sh $(PROBE_B)/mote-probe >$(PROBE_B)/probe.log; \
		tail -n 1 $(PROBE_B)/probe.log; \
		tests/attack/matrix.sh $(PROBE_B) >docs/PROBES.md
# Every system call fails once: tests/cli/faults.sh, a slice of it in make test.
$(B)/faults: tests/attack/faults.c tests/attack/stumble.c tests/attack/stumble.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 $(WARN) -Itests -o $@ $(filter %.c,$^)

.PHONY: faults
faults: guests $(B)/mote $(B)/mote-oci $(B)/requests $(FAULTS) ## every system call of every scene fails once; a signal at every thread
	@MOTE_BIN=$(CURDIR)/$(B)/mote MOTE_OCI=$(CURDIR)/$(B)/mote-oci MOTE_GUESTS=$(CURDIR)/$(B)/guests \
		MOTE_LONG=1 tests/cli/faults.sh '$(FAULTS_ONLY)'

# What a process holds after many machines: 20 minutes; CI does two.
SOAK_SECONDS ?= 1200
$(B)/soak: tests/attack/soak.c $(B)/libmote.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -no-pie $(LDPATH) -o $@ $^ $(LIBS)

.PHONY: soak
soak: guests $(B)/mote $(B)/soak ## machines that snapshot, restore, rewind, start and stop, and what stays held
	@tests/attack/soak.sh $(B) $(SOAK_SECONDS)

# A timer interrupts each thread 10,000 times a second: tests/cli/storm.sh.
STORM_B := $(B)/storm
STORM_WRAP := -Wl,--wrap=fork,--wrap=pthread_sigmask,--wrap=sigprocmask,--wrap=sandbox_filter_load
$(STORM_B)/storm.o: tests/attack/storm.c Makefile
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(TEST_INC) $(CFLAGS) -c -o $@ $<

$(STORM_B)/mote: $(STORM_B)/storm.o $(call obj,$(CLI_SRC) $(LAUNCH_SRC)) $(B)/libmote-int.a
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(STATIC) $(STORM_WRAP) $(LDPATH) -o $@ $(filter %.o %.a,$^) $(LIBS)

.PHONY: storm
storm: guests $(STORM_B)/mote $(B)/requests ## the command line's tests, interrupted 10,000 times a second
	@MOTE_LONG=1 MOTE_BIN=$(CURDIR)/$(B)/mote MOTE_OCI=$(CURDIR)/$(B)/mote-oci \
		MOTE_GUESTS=$(CURDIR)/$(B)/guests tests/cli/storm.sh
