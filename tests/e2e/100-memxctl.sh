#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# memxctl on a pool of three servers: volumes from create to delete, what it
# prints, and what it says to nonsense.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tools.sh"
need_tools

pool_start 3 64M

gives 0 "s1
s2
s3" "servers are listed" ctl servers
equal "servers --json: all are up" "$(ctl servers --json | jq -r '[.[].state] | unique | join(",")')" up
equal "servers --json: capacity" "$(ctl servers --json | jq '[.[].capacity_bytes] | add')" \
	$((3 * 64 << 20))
gives 0 "created volume vm1/disk" "create" ctl volume create vm1/disk 100M
gives 0 "vm1/disk" "list" ctl volume list
equal "list --json" "$(ctl volume list --json | jq -r '.[0] | "\(.name) \(.size_bytes) \(.owner)"')" \
	"vm1/disk 104857600 null"
equal "info --json" "$(ctl volume info vm1/disk --json |
	jq -r '"\(.name) \(.size_bytes) \(.health) \(.lost_extents) \(.mapped_bytes) \(.holders | length)"')" \
	"vm1/disk 104857600 ok 0 0 3"
gives 0 "health    ok
used by   nobody" "info" ctl volume info vm1/disk
gives 0 "has 200 MiB now" "grow" ctl volume resize vm1/disk 200M
gives 2 "--shrink" "shrinking wants --shrink" ctl volume resize vm1/disk 50M
gives 0 "has 50.0 MiB now" "shrink" ctl volume resize --shrink vm1/disk 50M
equal "the size is as said" "$(ctl volume info vm1/disk --json | jq .size_bytes)" $((50 << 20))
gives 0 "pool      ok
when a server crashes, what it held is lost
volumes   1" "status says that nothing is kept twice" ctl status
equal "status --json" "$(ctl status --json | jq -r '"\(.health) \(.copies) \(.volumes | length)"')" "ok 1 1"
gives 0 'memx_server_up{server="s1"
memx_volume_size_bytes{volume="vm1/disk"} 52428800
# TYPE memx_server_reads_total counter' "metrics" ctl metrics
gives 0 "READS/S" "top" ctl top --count 1 --interval 0.2

# Nonsense
gives 1 "vm1/disk" "creating a name twice" ctl volume create vm1/disk 10M
gives 2 "size 0" "size 0" ctl volume create a 0
gives 2 "multiple of 512" "a size that is no multiple of 512" ctl volume create a 1000
gives 2 "expected a number of bytes" "a size that is no number" ctl volume create a ten
gives 2 "unit that is not known" "a unit nobody knows" ctl volume create a 10Q
gives 2 "more than" "an absurd size" ctl volume create a 9000P
gives 2 "more than a volume may have" "a size above the limit" ctl volume create a 2048T
gives 2 "not a volume's name" "a name with odd characters" ctl volume create 'a b$' 10M
gives 2 "not a volume's name" "a name that is too long" ctl volume create "$(printf 'x%.0s' {1..64})" 10M
gives 2 "not a volume's name" "a name with dots at its start" ctl volume info ../etc
gives 3 "nosuch" "info of a volume there is not" ctl volume info nosuch
gives 3 "nosuch" "delete of a volume there is not" ctl volume delete nosuch
gives 3 "nosuch" "resize of a volume there is not" ctl volume resize nosuch 10M
gives 2 "takes 2 arguments" "an argument is missing" ctl volume create a
gives 2 "there is no command" "a command there is not" ctl frobnicate
gives 2 "there is no command" "a volume command there is not" ctl volume frobnicate
gives 2 "nknown option" "an option there is not" ctl volume info vm1/disk --frob
gives 2 "" "no command at all" ctl
gives 6 "no memory server answered
127.0.0.1:9" "an address nobody listens on" "$pool_memxctl" --server 127.0.0.1:9 --timeout 1 servers
gives 2 "cannot find the address" "a server's name that nobody knows" \
	"$pool_memxctl" --server no-such-host.invalid servers
gives 2 "not a port" "a port that is none" "$pool_memxctl" --server 127.0.0.1:99999 servers
gives 2 "there is no network interface" "an interface there is not" \
	"$pool_memxctl" --interface nosuch0 servers
gives 0 "Usage" "help" ctl --help
gives 0 "--shrink" "help of a command" ctl volume resize --help

# A volume in use
use() {
	run_tied env MEMX_SERVERS="$pool_seeds" "$tool_bench" --op randrw --seconds 60 "$1" \
		>"$work/bench.log" 2>&1
	bench_pid=$tied_pid
	check "its user is shown" within 10 ctl_owned "$1"
}
ctl_owned() { ctl volume info "$1" --json | jq -e .owner; }
use vm1/disk
gives 4 "vm1/disk" "delete of a volume in use" ctl volume delete vm1/disk
gives 4 "vm1/disk" "resize of a volume in use" ctl volume resize vm1/disk 80M
kill -KILL "$bench_pid"
wait "$bench_pid" 2>/dev/null || :
gives 0 "deleted volume vm1/disk" "delete --force, its user being dead" ctl volume delete --force vm1/disk
equal "nothing is left" "$(ctl volume list --json | jq length)" 0
gives 0 "created" "its name is free again" ctl volume create vm1/disk 10M
use vm1/disk
gives 2 "32 hexadecimal digits" "delete --uuid of what is none" ctl volume delete --uuid 12-zz vm1/disk
gives 3 "vm1/disk" "delete --uuid of another" ctl volume delete --uuid "$(printf %032d 7)" vm1/disk
gives 0 "deleted" "delete --force, although its user lives" ctl volume delete --force vm1/disk
bench_ended() { ! kill -0 "$bench_pid" 2>/dev/null || [ "$(ps -o stat= -p "$bench_pid")" = Z ]; }
check "its user's requests fail" within 15 bench_ended
sleep 2
equal "and it does not come back" "$(ctl volume list --json | jq length)" 0
tap_done
