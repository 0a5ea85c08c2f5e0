# SPDX-License-Identifier: Apache-2.0
#
# lab.mk - targets of the labs; included at the end of the Makefile.
#
#   make lab-x86 LAB_TESTS='kvm_smoke snapshot/*'    other tests than the set
#   LAB_VARIANT=powernv8 make lab-ppc64              one of the set's machines

# A file lab/x86/tests.full makes the target lab-x86-full.

LABS := x86 arm64 ppc64 vfio
LAB_SETS := $(subst /tests.,-,$(patsubst lab/%,%,$(wildcard lab/*/tests.*)))

.PHONY: $(LABS:%=lab-%) $(LAB_SETS:%=lab-%) labs lab-selftest

$(LABS:%=lab-%) $(LAB_SETS:%=lab-%):
	@$(CURDIR)/lab/run.sh $(@:lab-%=%) $(foreach t,$(LAB_TESTS),'$(t)')

# All of them even if one fails; the last line sums them up.
labs:
	@$(CURDIR)/lab/all.sh $(LABS)

lab-selftest:
	@$(CURDIR)/lab/selftest.sh
