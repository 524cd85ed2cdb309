# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2034
#
# Two network namespaces, $a and $b, joined by a veth pair va - vb that is up. For
# sourcing by numbered scripts after lib.sh; they end with what is put in netns_stop
# (a command) and the namespaces gone.

need ip:iproute2
a=memx-$$-a b=memx-$$-b
netns_stop=:

netns_end() {
	local status=$?
	$netns_stop
	ip netns del "$a" 2>/dev/null || :
	ip netns del "$b" 2>/dev/null || :
	(exit "$status") || :
	[ "$status" = 0 ] || tap_failed=1
	e2e_cleanup
}

ip netns add "$a" 2>/dev/null || skip_all "network namespaces cannot be made here (root can)"
trap netns_end EXIT
ip netns add "$b"
ip -n "$a" link add va type veth peer name vb netns "$b" 2>/dev/null ||
	skip_all "veth interfaces cannot be made here"
ip -n "$a" link set va up
ip -n "$b" link set vb up

in_a() { ip netns exec "$a" "$@"; }
in_b() { ip netns exec "$b" "$@"; }
