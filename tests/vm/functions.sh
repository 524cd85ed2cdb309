# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2154
# Functions for the roles of a case (busybox sh). fd 3 is the report port.

# A line for the host, shown on the console as well.
report() {
	echo "$*" >&3
	echo "== $*"
}

fail() {
	report "error $*"
	exit 1
}

# sized SMALL FULL: what fits the size of this run.
sized() {
	[ "$vm_size" = small ] && echo "$1" || echo "$2"
}

# try COMMAND...: its last lines are the failure.
try() {
	"$@" >/tmp/try 2>&1 || fail "$*: $(tail -n 5 /tmp/try | tr '\n' ' ')"
}

# vm_words: exports what the kernel's command line says to the guests' functions.
vm_words() {
	for word in $(cat /proc/cmdline); do
		case $word in
		vm.*=*)
			word=${word#vm.}
			export "vm_${word%%=*}=${word#*=}"
			;;
		esac
	done
}

# refused STATUS WORDS COMMAND...: it fails with that exit status and says so.
refused() {
	want=$1 words=$2 rc=0
	shift 2
	"$@" >/tmp/out 2>&1 || rc=$?
	[ "$rc" = "$want" ] || fail "$*: status $rc, not $want: $(cat /tmp/out)"
	grep -q "$words" /tmp/out || fail "$*: no \"$words\" in: $(cat /tmp/out)"
	report "step refused: $(tail -n 1 /tmp/out)"
}

# The address of a guest by its place in the case's list, from 1.
address() {
	echo "10.77.0.$1"
}

# The interface of this guest, also after it was plugged in again.
net_up() {
	ip link set eth0 up mtu "$vm_mtu" && ip addr add "10.77.0.$vm_index/24" brd + dev eth0
}

# What the checkers and the kernel itself print when something is wrong. (That ODEBUG is out
# of memory is no wonder where memory is to be used up.)
complaints='WARNING:|BUG:|BUG |Oops|Call Trace|KASAN|hung_task|blocked for more than|possible .* detected'
complaints="$complaints|suspicious RCU|inconsistent lock|ODEBUG: [a-z]|Bad page|corruption|refcount_t"
complaints="$complaints|NETDEV WATCHDOG|soft lockup|detected stall|self-detected|protection fault"

# complains LOG: prints the lines of a kernel log that say so; false if there are none.
complains() {
	grep -E "$complaints" "$1"
}

# The kernel's log from here on; what was in it was in order.
log_anew() {
	dmesg -c >/tmp/log
	! complains /tmp/log >/tmp/bad || fail "the kernel complains: $(head -n 1 /tmp/bad)"
}

# ---- between guests ----

# await WORD: until another guest tells it.
await() {
	heard=
	until [ "$heard" = "$1" ]; do
		heard=$(nc -l -p 9900) || sleep 1
	done
}

# tell N WORD: repeats until guest N has heard it.
tell() {
	until echo "$2" | nc -w 5 "$(address "$1")" 9900 2>/dev/null; do
		sleep 0.2
	done
}

# Until TCP port $2 of guest $1 is open.
await_port() {
	until nc -w 2 "$(address "$1")" "$2" </dev/null 2>/dev/null; do
		sleep 0.2
	done
}

# obey: other guests may run commands here (function on).
obey() {
	nc -ll -p 9902 -e sh -c '. /lib/functions.sh; read -r line; eval "$line" 2>&1; echo "status $?"' &
}

# on N COMMAND: runs it on guest N, which obeys; prints what it prints. Its failure is
# that of the case.
on() {
	on_tries=0
	while :; do
		on_out=$(echo "$2" | nc -w 300 "$(address "$1")" 9902 2>/dev/null) || :
		case $on_out in
		*"status 0") echo "$on_out" | sed '$d'; return 0 ;;
		*"status "*) fail "guest $1: $2: $(echo "$on_out" | tail -n 5 | tr '\n' ' ')" ;;
		esac
		[ $((on_tries += 1)) -lt 30 ] || fail "guest $1 does not run \"$2\""
		sleep 1
	done
}

# host WHAT GUEST: asks the harness (act in tests/vm/run).
host() {
	report "do $1 $2"
}

# reachable N; until_reachable N; until_unreachable N
reachable() {
	ping -c 1 -W 1 "$(address "$1")" >/dev/null 2>&1
}
until_reachable() {
	until reachable "$1"; do sleep 0.3; done
}
until_unreachable() {
	while reachable "$1"; do sleep 0.3; done
}

# (busybox prefers its own tc to the one that knows netem.)
# netem WORDS: what happens to all that this guest sends; none: nothing more.
netem() {
	/bin/tc qdisc del dev eth0 root 2>/dev/null || :
	# A long queue, or what is delayed would be dropped as well.
	[ "$1" = none ] || /bin/tc qdisc add dev eth0 root netem limit 20000 "$@"
}

# ---- memx ----

# With --set key=1 all is sealed, with --set carrier=raw all goes by raw Ethernet: the
# cases that use donate, volume, attach and memxctl need not know it.

# Puts the key where modules find it, and memxctl, which reads client.conf only where
# MEMX_SERVERS is not set.
key_words=
need_key() {
	[ -n "${vm_key-}" ] || return 0
	mkdir -p /etc/memx
	(umask 077; printf '%064d\n' "$vm_key" >/etc/memx/key)
	echo "key-file = /etc/memx/key" >/etc/memx/client.conf
	mkdir -p /run/bin
	cat >/run/bin/memxctl <<-'END'
		#!/bin/sh
		[ ! -e /etc/memx/client.conf ] || set -- -k /etc/memx/key "$@"
		exec /bin/memxctl "$@"
	END
	chmod +x /run/bin/memxctl
	export PATH="/run/bin:$PATH"
	try memxctl key load pool
	key_words=key=memx:pool
}

# donate MIB: this guest is a server.
donate() {
	need_key
	donate_on=${vm_carrier:+raw:}eth0
	# shellcheck disable=SC2086
	try modprobe memx-server memory="$1M" floor=16M ${key_words:-trusted_interface=$donate_on} \
		${vm_carrier:+${key_words:+interface=$donate_on}}
}

# The server goes, and with it all of memx. It stays while it has data, and what was
# deleted is dropped a moment later on some servers.
donate_no_more() {
	gone_tries=0
	until rmmod memx-server 2>/dev/null; do
		[ $((gone_tries += 1)) -lt 60 ] || fail "memx-server does not unload, it holds $(cat \
			/sys/module/memx_server/server/extents) extents"
		sleep 0.5
	done
	try rmmod memx-core
}

# serve MIB: a whole role: a server until it is told "over", which others may command.
serve() {
	donate "$1"
	obey
	await over
	donate_no_more
}

# seeds N...: addresses of these guests, as a list for memx.ko.
seeds() {
	for seed_n in "$@"; do
		if [ -n "${vm_carrier-}" ]; then
			echo "eth:52:54:00:77:00:0$seed_n"
		else
			address "$seed_n"
		fi
	done | paste -s -d ,
}

# pool N...: memxctl works with the pool of these guests.
pool() {
	need_key
	MEMX_SERVERS=$(seeds "$@" | sed 's,eth:,eth:eth0/,g' | tr , ' ')
	export MEMX_SERVERS
}

# volume NAME SIZE N...: creates it in the pool of guests N...
volume() {
	volume_name=$1 volume_size=$2
	shift 2
	pool "$@"
	# Until all have found each other: placement and votes count who is there.
	until [ "$(memxctl -t 60 servers 2>/dev/null | grep -c '10\.77\.\|eth:')" -ge $# ]; do sleep 0.5; done
	try memxctl -t 60 volume create "$volume_name" "$volume_size"
}

# attach VOLUME N...: as /dev/memxblk0, from the pool of guests N..., by the interface
# $attach_on if there is one.
attach_on=
attach() {
	may_attach "$@" || fail "attach $*: $(tail -n 5 /tmp/try | tr '\n' ' ')"
}

# may_attach VOLUME N...: the same, where it may be refused.
may_attach() {
	attach_name=$1
	shift
	need_key
	[ -z "${vm_carrier-}" ] || attach_on=raw:eth0
	# shellcheck disable=SC2086
	modprobe memx volume="$attach_name" servers="$(seeds "$@")" $key_words \
		${attach_on:+interface=$attach_on} >/tmp/try 2>&1
}

detach() {
	try rmmod memx
}

# ---- allocations that fail (debug kernel) ----

# faults NAME VALUE: sets it for both kinds of memory.
faults() {
	echo "$2" >"/sys/kernel/debug/failslab/$1"
	echo "$2" >"/sys/kernel/debug/fail_page_alloc/$1"
}

# inject PERCENT VERBOSE: so many of the allocations made by or for our modules fail. They
# are told by their callers: in the debug kernel nothing else is a module.
inject() {
	faults probability 0
	faults verbose "$2"
	faults stacktrace-depth 32
	faults require-start 0xffffffffa0000000
	faults require-end 0xfffffffffeffffff
	faults ignore-gfp-wait N
	echo N >/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem
	echo 0 >/sys/kernel/debug/fail_page_alloc/min-order
	faults times 1000000
	faults probability "$1"
}

# How many have failed since inject was called.
injected() {
	echo $((2000000 - $(cat /sys/kernel/debug/failslab/times) - $(cat /sys/kernel/debug/fail_page_alloc/times)))
}

# ---- looking ----

# A counter of /proc/vmstat or /proc/meminfo.
counter() {
	awk -v n="$1" '$1 == n || $1 == n ":" { print $2 }' /proc/vmstat /proc/meminfo
}

# Frames for /dev/memxblk0 that came in the kernel's emergency reserves.
from_reserves() {
	cat /sys/block/memxblk0/memx/from_reserves
}

# squeeze_once: for half a second all memory that interrupts may take is taken: what is
# received comes from the emergency reserves, or not at all.
squeeze_once() {
	try modprobe memx-trouble what=hog ms=500
	try rmmod memx-trouble
	sleep 1
}

# squeeze LEAST: at least so often, and until something has come from the reserves.
squeeze() {
	squeezes=0
	until [ "$squeezes" -ge "$1" ] && [ "$(from_reserves)" -gt 0 ]; do
		[ $((squeezes += 1)) -le $(($1 + 40)) ] ||
			fail "squeezed $squeezes times, and nothing came from the emergency reserves"
		squeeze_once
	done
	report "figure frames from the emergency reserves after $squeezes squeezes: $(from_reserves)"
}

# load_start FIO_OPTION...: verified load in the background, one run of fio after the
# other (with loops or a run time, fio takes what an earlier round wrote for wrong).
# load_rounds: how many are over. load_check WHEN: none has failed. load_stop: its end.
load_start() {
	rm -f /tmp/load.*
	: >/tmp/load.rounds
	while [ ! -e /tmp/load.stop ]; do
		fio --name=v --filename=/dev/memxblk0 --direct=1 --ioengine=libaio --verify=crc32c-intel \
			--verify_fatal=1 "$@" >/tmp/load.out 2>&1 || {
			mv /tmp/load.out /tmp/load.failed
			break
		}
		echo . >>/tmp/load.rounds
	done &
	load_pid=$!
}
load_rounds() {
	wc -l </tmp/load.rounds
}
load_check() {
	[ ! -e /tmp/load.failed ] || fail "$1: the load: $(grep -E 'verify|error' /tmp/load.failed | head -n 3 | tr '\n' ';')"
}
load_stop() {
	touch /tmp/load.stop
	wait "$load_pid"
	load_check "in the end"
}

# verify FIO_OPTION...: fio's verified writes and reads of the device.
verify() {
	fio --name=v --filename=/dev/memxblk0 --direct=1 --ioengine=libaio --verify=crc32c-intel \
		--verify_fatal=1 --randseed=1 "$@" >/tmp/out 2>&1 || fail "fio $*: $(grep -E 'verify|err' /tmp/out | head -n 3 | tr '\n' ';')"
	report "step fio $*"
}
