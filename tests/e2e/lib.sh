# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# For the numbered end-to-end scripts (NNN-name.sh), which start with
#
#   #!/bin/bash
#   # SPDX-License-Identifier: GPL-2.0-or-later
#   # What is shown.
#   set -eu
#   . "$(dirname "$0")/lib.sh"
#
# and end with tap_done. Gives them TAP lines, a folder ($work), the pool
# (pool.sh) and guests (../guest/lib.sh); whatever was started ends with them.

e2e_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
e2e_name=$(basename "$0" .sh)
. "$e2e_here/../guest/lib.sh"
. "$e2e_here/pool.sh"

tap_count=0
tap_failed=0
tap_finished=0
# A command for the end, whatever the way out.
e2e_at_end=:
work=$(mktemp -d "${TMPDIR:-/tmp}/memx-$e2e_name.XXXXXX")
guest_work=$work
pool_work=$work

ok() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $e2e_name: $1"
}

# not_ok WHAT [WHY...]: each further word is a line of explanation.
not_ok() {
	local line
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $e2e_name: $1"
	shift
	for line in "$@"; do
		echo "${line//$'\n'/$'\n'# }" | sed '1s/^/# /'
	done
}

# check WHAT COMMAND...: ok when the command succeeds; its output explains a failure.
check() {
	local what=$1 output status=0
	shift
	output=$("$@" 2>&1) || status=$?
	if [ "$status" = 0 ]; then
		ok "$what"
	else
		not_ok "$what" "status $status of: $*" "$output"
	fi
}

skip_all() {
	tap_finished=1
	echo "ok 1 - $e2e_name # SKIP $*"
	echo "1..1"
	exit 0
}

# need PROGRAM:PACKAGE...: skips the script when one is not installed.
need() {
	local pair
	for pair in "$@"; do
		# tests/needs looks whether check installs it.
		[ -z "${MEMX_NEEDS:-}" ] || echo "$e2e_name $pair" >>"$MEMX_NEEDS"
		PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null ||
			skip_all "${pair%%:*} is not installed (Debian package ${pair#*:})"
	done
}

# Skips the script when there is no pool to run it on.
need_pool() {
	local missing
	missing=$(pool_missing)
	[ -z "$missing" ] || skip_all "no $missing"
	need jq:jq
}

need_memx() {
	[ "$pool_backend" = memx ] || skip_all "says nothing about $pool_backend"
	need_pool
}

need_guest() {
	need qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio depmod:kmod \
		mke2fs:e2fsprogs fio:fio mkfs.xfs:xfsprogs setpriv:util-linux
}

# Waits for guest $1, which must say "result ok" within $2 seconds: that is test $3.
guest_test() {
	local name=$1 seconds=$2 what=$3
	shift 3
	if guest_wait "$name" "$seconds" "$@"; then
		ok "$what"
	else
		not_ok "$what" "$guest_why" "the console's last lines:" \
			"$(tail -n 15 "$guest_work/$name/console.log" | tr -d '\r')"
	fi
}

tap_done() {
	tap_finished=1
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ]
}

e2e_cleanup() {
	local status=$?
	trap '' INT TERM HUP
	if [ "$tap_finished" = 0 ]; then
		not_ok "the script ran to its end" "it ended with status $status"
		echo "1..$tap_count"
		[ "$status" != 0 ] || status=1
	fi
	"$e2e_at_end"
	guest_kill_all
	pool_stop
	if [ "$status" = 0 ]; then
		rm -rf "$work"
	else
		echo "# what the guests and servers wrote is in $work"
	fi
	exit "$status"
}

trap e2e_cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
