# SPDX-License-Identifier: Apache-2.0
#
# Seccomp filters are made at build time, for the target, on this machine:
# gen_consts.c is compiled to assembly by the target's compiler (and never
# run), gen_filter runs here.  Needs libseccomp for the build machine only.

$(B)/gen/consts.s: vmm/sandbox/gen_consts.c vmm/base/scan.h Makefile
	$(call say,CONSTS,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 -O1 -S -o $@ $<

$(B)/gen/gen_filter: vmm/sandbox/gen_filter.c vmm/sandbox/policy.c \
		vmm/sandbox/policy.h vmm/sandbox/sandbox.h
	$(call say,HOSTCC,$@)
	@mkdir -p $(@D)
	$(Q)$(HOSTCC) -D_GNU_SOURCE -std=gnu11 -O1 -Wall -Wextra -Ivmm -I. \
		-o $@ $(filter %.c,$^) -lseccomp

$(B)/gen/filters.h: $(B)/gen/gen_filter $(B)/gen/consts.s
	$(call say,GEN,$@)
	$(Q)$(B)/gen/gen_filter $(if $(SAN),--sanitizer,$(if $(AUDIT),--audit)) $(ARCH) \
		$(B)/gen/consts.s >$@.tmp && mv $@.tmp $@

# The policy as a table, for docs/THREATS.md.
$(B)/gen/policy.md: $(B)/gen/gen_filter
	$(call say,GEN,$@)
	$(Q)$(B)/gen/gen_filter --doc >$@.tmp && mv $@.tmp $@

$(B)/obj/vmm/sandbox/filter.o $(B)/pic/vmm/sandbox/filter.o \
	$(B)/obj/tests/sandbox/test_filter.o \
	$(B)/lab/tests/sandbox/test_filter.o: $(B)/gen/filters.h

# What libcap-ng drags into a static link and nobody calls.  In the tools
# only: a test or an embedder may want the real ones.
ifeq ($(SAN),)
$(B)/mote $(B)/mote-oci: $(B)/obj/tools/slim.o
endif
