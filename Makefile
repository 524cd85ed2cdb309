# SPDX-License-Identifier: GPL-2.0-or-later
# MemX: builds and tests everything. `make help` lists the targets.

VERSION  := 0.1.0
B        := build
CC       := gcc
CLANG    := clang
PREFIX   ?= /usr/local
DESTDIR  ?=
SEEDS    ?= 1-20000
TIME     ?= 60

WARN     := -Wall -Wextra -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wno-unused-parameter
CFLAGS   ?= -O2 -g
STD      := -std=gnu11 -I. -DMEMX_VERSION='"$(VERSION)"' $(WARN)
ALLFLAGS  = $(STD) $(CFLAGS) -fPIC -fno-strict-aliasing -MMD -MP
SAN      := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -fno-strict-aliasing

CORE     := $(wildcard core/*.c)
POSIX    := $(wildcard net/posix/*.c)
TOOLS    := memxd memxctl
UNITS    := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
FUZZERS  := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
SIM      := $(wildcard tests/sim/*.c)

PKG       = pkg-config
# Asked for only by the rules that need them, after deps-build.
GCRYPT    = $(shell $(PKG) --libs libgcrypt)
GLIB_C    = $(shell $(PKG) --cflags glib-2.0 gio-unix-2.0 json-glib-1.0)
NL_C      = $(shell $(PKG) --cflags libnl-genl-3.0)
NL_L      = $(shell $(PKG) --libs libnl-genl-3.0)
GLIB_L    = $(shell $(PKG) --libs glib-2.0 gio-unix-2.0 json-glib-1.0)

.PHONY: all help deps-% kmod demo demo-kernel check check-quick check-long check-vm-long check-debug-kernel sim fuzz bench bench-vm install deb \
	qemu-module units unit-check freestanding clean
.DELETE_ON_ERROR:
.SECONDARY:

all: deps-build $(B)/memxd $(B)/memxctl $(B)/memx-bench

help:
	@sed -n 's/^#: //p' Makefile

#: make            build memxd, memxctl and the client library
#: make demo       a guest with disk and swap in pooled memory (KEEP=1: leave it running)
#: make demo-kernel   three virtual machines: two donate memory, one swaps to them, all in their kernels
#: make check      everything a change must pass; make check-quick: the part under 2 minutes
#: make check-long what does not fit: QEMU 10.0's tests, long simulations, long fuzzing (SEEDS=a-b TIME=s)
#: make check-vm-long       every case of tests/vm, in full; check-debug-kernel: small, on a kernel with checkers
#:                          (PART=2/4: the second of four parts, for whoever has no day)
#: make sim SEED=n | SEEDS=a-b   replay one simulated cluster life with its trace; run a range
#: make fuzz TIME=s              every decoder's fuzzer for that long
#: make bench      measurements beside NBD and the bare exchange
#: make bench-vm   the kernel modules beside NVMe/TCP, nbd, AoE (ROUNDS=n; needs a quiet machine)
#: make kmod       the kernel modules, for the newest kernel whose headers are here (KDIR=: another)
#: make install PREFIX= DESTDIR= (DRIVER=no: without the QEMU driver) ; make deb

deps-%:
	@tools/install-deps $*

# ---- library and programs ----
LIBOBJ := $(patsubst %.c,$(B)/obj/%.o,$(CORE) $(POSIX))
$(B)/obj/%.o: %.c | deps-build
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(ALLFLAGS) $(EXTRA_C) -c -o $@ $<
$(B)/obj/tools/%.o: EXTRA_C = $(GLIB_C)
$(B)/obj/tools/memxctl_nl.o $(B)/obj/tools/memxctl_host.o $(B)/obj/tools/memxctl_kernel.o \
$(B)/obj/tools/memxctl_attach.o: EXTRA_C = $(GLIB_C) $(NL_C)
$(B)/memxctl: EXTRA_L = $(NL_L)

$(B)/libmemx.a: $(LIBOBJ)
	@echo "  AR      $@"
	@rm -f $@; ar rcs $@ $^

# A program is tools/NAME.c and, where that grew too long, tools/NAME_*.c.
$(B)/memxd: $(patsubst %.c,$(B)/obj/%.o,$(wildcard tools/memxd.c tools/memxd_*.c))
$(B)/memxctl: $(patsubst %.c,$(B)/obj/%.o,$(wildcard tools/memxctl.c tools/memxctl_*.c))
$(B)/memxd $(B)/memxctl: $(B)/libmemx.a
	@echo "  LD      $@"
	@$(CC) $(CFLAGS) -o $@ $(filter %.o,$^) $(B)/libmemx.a $(GLIB_L) $(GCRYPT) $(EXTRA_L)
$(B)/memx-bench $(B)/crypto-cost: $(B)/%: $(B)/obj/tests/bench/%.o $(B)/libmemx.a
	@echo "  LD      $@"
	@$(CC) $(CFLAGS) -o $@ $^ $(GCRYPT)

# ---- sanitized objects: unit tests and the simulator's checked build ----
SANOBJ := $(patsubst %.c,$(B)/san/%.o,$(CORE) $(POSIX))
$(B)/san/%.o: %.c | deps-build deps-test
	@mkdir -p $(@D)
	@echo "  CC san  $<"
	@$(CC) $(STD) $(SAN) -MMD -MP -c -o $@ $<
$(B)/san/libmemx.a: $(SANOBJ)
	@rm -f $@; ar rcs $@ $^
$(B)/tests/test_%: $(B)/san/tests/unit/test_%.o $(B)/san/libmemx.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(SAN) -o $@ $^ -lcmocka $(GCRYPT)
# Parts of the tools.
TOOLTESTS := $(patsubst tests/tools/%.c,%,$(wildcard tests/tools/test_*.c))
$(B)/san/tools/%.o $(B)/san/tests/tools/%.o: STD += $(GLIB_C)
$(B)/tests/test_table: $(B)/san/tests/tools/test_table.o $(B)/san/tools/memxctl_table.o $(B)/san/libmemx.a
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CC) $(SAN) -o $@ $^ $(GLIB_L) -lcmocka $(GCRYPT)
units: $(addprefix $(B)/tests/,$(UNITS) $(TOOLTESTS))
unit-check: units
	@tests/run-tap $(addprefix $(B)/tests/,$(UNITS))

# ---- the core without a surrounding ----
freestanding: deps-build
	@tests/freestanding

# ---- simulator ----
# -O2 with no libraries below it; cryptography is the simulator's own stand-in,
# except in sim-crypto, which links the real one.
SIMOBJ := $(patsubst %.c,$(B)/sim-obj/%.o,$(CORE) $(SIM))
$(B)/sim-obj/%.o: %.c | deps-build
	@mkdir -p $(@D)
	@$(CC) $(STD) -O2 -g -fno-strict-aliasing $(SIM_C) -MMD -MP -c -o $@ $<
$(B)/sim: $(SIMOBJ)
	@echo "  LD      $@"
	@$(CC) -O2 -o $@ $^
# The same lives with real cryptography, and with sanitizers looking on.
$(B)/sim-crypto: $(filter-out %/port-fast.o,$(SIMOBJ)) $(addprefix $(B)/obj/net/posix/,crypto.o crc32c_hw.o crc32c_wide.o)
	@echo "  LD      $@"
	@$(CC) -O2 -o $@ $^ $(GCRYPT)
$(B)/sim-san-obj/%.o: %.c | deps-build
	@mkdir -p $(@D)
	@$(CC) $(STD) $(SAN) -DSIM_EXACT_RX -MMD -MP -c -o $@ $<
$(B)/sim-san: $(SIMOBJ:$(B)/sim-obj/%=$(B)/sim-san-obj/%)
	@echo "  LD      $@"
	@$(CC) $(SAN) -o $@ $^
sim: $(B)/sim
	$(B)/sim $(if $(SEED),--seed $(SEED) --trace,--seeds $(SEEDS) -j 2)

# ---- fuzzers ----
FUZZ_C   := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZOBJ  := $(patsubst %.c,$(B)/fuzz-obj/%.o,$(CORE) $(POSIX))
$(B)/fuzz-obj/%.o: %.c | deps-build deps-fuzz
	@mkdir -p $(@D)
	@echo "  FUZZ CC $<"
	@$(CLANG) $(STD) $(FUZZ_C) -fsanitize=fuzzer-no-link $(EXTRA_C) -MMD -MP -c -o $@ $<
$(B)/fuzz-obj/tests/fuzz/fuzz_inspect.o: EXTRA_C = $(GLIB_C)
$(B)/fuzz/fuzz_inspect: EXTRA_L = $(GLIB_L)
$(B)/fuzz/%: $(B)/fuzz-obj/tests/fuzz/%.o $(FUZZOBJ)
	@mkdir -p $(@D)
	@echo "  LD      $@"
	@$(CLANG) $(FUZZ_C) -fsanitize=fuzzer -o $@ $^ $(EXTRA_L) $(GCRYPT)
fuzz: $(addprefix $(B)/fuzz/,$(FUZZERS))
	@tests/fuzz/run $(TIME) $^

# ---- QEMU driver for the QEMU of this machine's release ----
SERIES    = $(or $(shell . qemu-block-memx/series.sh; . /etc/os-release; for s in $$all_series; do \
	    [ "$$(series_suite $$s)" != "$$VERSION_CODENAME" ] || echo $$s; done),7.2)
qemu-module: deps-build deps-module $(B)/libmemx.a
	@$(MAKE) -s -C qemu-block-memx B=$(abspath $(B)) VERSION=$(VERSION) module-$(SERIES)

# ---- kernel modules ----
kmod: deps-kmod
	@tools/build-kmod $(KDIR)

# ---- the commands of the README ----
demo: deps-build deps-demo all qemu-module
	@tools/demo $(if $(KEEP),--keep)

demo-kernel: deps-build deps-demo deps-vm all
	@tools/demo-kernel

check-quick: deps-build deps-test
	@tests/check quick
check: deps-build deps-test
	@tests/check full
# Both have other defaults there.
given = $(if $(filter command environment,$(firstword $(origin $1))),$($1))
check-long: deps-build deps-test
	@SEEDS="$(call given,SEEDS)" TIME="$(call given,TIME)" tests/check long
check-vm-long: deps-build deps-test all
	@VM_SUITE=long PART="$(PART)" tests/vm/suite
check-debug-kernel: deps-build deps-test all
	@VM_SUITE=debug PART="$(PART)" tests/vm/suite
bench: deps-build deps-bench all qemu-module $(B)/sim
	@tests/bench/run
bench-vm: deps-build deps-bench-vm all
	@tests/vm/bench $(if $(ROUNDS),--rounds $(ROUNDS))

install: all $(if $(filter no,$(DRIVER)),,qemu-module)
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" B="$(B)" DRIVER="$(DRIVER)" tools/install-files
deb: deps-build deps-module deps-deb
	@VERSION=$(VERSION) tools/build-deb

clean:
	rm -rf $(B)

# build/deb has copies of the tree, and a folder conf.d.
-include $(shell [ -d $(B) ] && find $(B) -path $(B)/deb -prune -o -type f -name '*.d' -print 2>/dev/null)
