# SPDX-License-Identifier: Apache-2.0
#
# attack.mk - the sandbox proved by attack: rules that nothing needs.
#
#   make audit     which rules of the filters does the suite use?

AUDIT_B := build/audit-rules
$(AUDIT_B)/audit: tests/attack/audit.c vmm/sandbox/policy.c vmm/sandbox/policy.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu11 -O2 $(WARN) -o $@ $(filter %.c,$^)

.PHONY: audit
audit: guests $(AUDIT_B)/audit ## does the suite use each rule of the seccomp filters?
	$(Q)$(MAKE) --no-print-directory B=$(AUDIT_B) AUDIT=1 \
		$(AUDIT_B)/mote $(AUDIT_B)/mote-oci $(AUDIT_B)/unit-tests
	@tests/attack/audit.sh $(AUDIT_B) '$(AUDIT_ONLY)'
