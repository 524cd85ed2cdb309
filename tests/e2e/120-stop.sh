#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Asking servers to stop: one that holds nothing ends, one that holds the only
# copy of something says so and serves it until it is asked again.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tools.sh"
need_tools

port=$(pool_free_port)
pool_seeds=127.0.0.1:$port

daemon one --memory 64M --listen "127.0.0.1:$port"
daemon_end one TERM 3
equal "a server that holds nothing ends at once" "$daemon_status" 0
check "and says so" grep -q "nothing is lost" "$work/one.log"

daemon two --memory 64M --listen "127.0.0.1:$port"
ctl volume create v 32M >/dev/null
bench --op write --bytes 128K --count 128 --quiet v >/dev/null
daemon_end two TERM 1
equal "one that holds data does not end" "$daemon_status" ""
check "it says what would be lost" grep -q "only copy of 16 extents of 1 volumes (16.0 MiB)" "$work/two.log"
leaving() { [ "$(ctl servers --json | jq -r '.[0].state')" = leaving ]; }
check "it is shown as leaving" within 5 leaving
gives 0 "" "it serves what it has" bench --op read --bytes 128K --count 128 --quiet v
gives 0 "leaving" "status says so, too" ctl status
gives 1 "no server has room" "it takes nothing new" bench --op write --bytes 128K --count 256 --quiet v
other=$(pool_free_port)
daemon other --memory 64M --listen "127.0.0.1:$other" --join "127.0.0.1:$port"
two_are_seen() { [ "$(ctl servers --json | jq length)" = 2 ]; }
check "another server joins" within 10 two_are_seen
gives 0 "" "which takes what is new" bench --op write --bytes 128K --count 256 --quiet v
equal "all of it" "$(pool_held v other)" "16 16777216"
equal "and the one that leaves has what it had" "$(pool_held v two)" "16 16777216"
daemon_end other KILL 3
daemon_end two TERM 3
equal "a second signal ends it, with exit status 3" "$daemon_status" 3
check "and it says what is lost" grep -q "16 extents of 1 volumes (16.0 MiB) are lost" "$work/two.log"

daemon three --memory 64M --listen "127.0.0.1:$port"
ctl volume create w 16M >/dev/null
bench --op write --bytes 128K --count 128 --quiet w >/dev/null
daemon_end three TERM 1
equal "a third one stays, too" "$daemon_status" ""
ctl volume delete w >/dev/null
daemon_end three 0 5
equal "and ends by itself when its data is deleted" "$daemon_status" 0

daemon four --memory 64M --listen "127.0.0.1:$port"
gives 1 "another program has this port" "a second server on the same port is refused" \
	"$pool_memxd" --memory 64M --listen "127.0.0.1:$port"
kill -USR1 "${daemon_pid[four]}"
check "SIGUSR1 logs figures" within 3 grep -q "memxd: requests:" "$work/four.log"
daemon_end four INT 3
equal "SIGINT is as SIGTERM" "$daemon_status" 0
# kill -SEGV, with nothing in the way of a core file: "core" or "none".
cat >"$work/core.py" <<'PYTHON'
import os, resource, signal, subprocess, sys, time
os.chdir(sys.argv[1])
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
time.sleep(0.5)
os.kill(pid, signal.SIGSEGV)
print("core" if os.WCOREDUMP(os.waitpid(pid, 0)[1]) else "none")
PYTHON
cores() { python3 "$work/core.py" "$work" "$@" 2>>"$work/core.log" || :; }
if [ "$(cores sleep 60)" = core ]; then
	equal "a memxd that crashes leaves no core file" \
		"$(cores "$pool_memxd" --memory 64M --listen "127.0.0.1:$port")" none
else
	ok "a memxd that crashes leaves no core file # SKIP nothing leaves any on this machine"
fi
tap_done
