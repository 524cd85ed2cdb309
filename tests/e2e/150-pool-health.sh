#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What memxctl says of a pool that is not well: full, servers that ended or came
# back empty, a server of another version.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tools.sh"
need_tools

# A full pool
pool_start 2 16M
ctl volume create big 64M >"$work/create.log" 2>&1
check "create says that the volume is larger than what is free" grep -q "larger" "$work/create.log"
gives 1 "no server has room" "writing more than there is fails" \
	bench --op write --bytes 128K --depth 4 --count 512 big
gives 0 '"wrong": 0' "what fitted in can be read" \
	bench --op read --bytes 128K --depth 4 --range 8M --count 64 big
gives 0 "" "memory is used up, and that is no fault" ctl status
pool_memory=128M
pool_server_start s3
pool_names+=(s3)
pool_seeds+=" 127.0.0.1:${pool_port[s3]}"
three() { [ "$(ctl servers --json | jq length)" = 3 ]; }
check "a third server joins" within 10 three
gives 0 '"failed": 0' "writing goes on there" \
	bench --op write --bytes 128K --depth 4 --count 512 big

# Servers that end
victim=s3
pool_server_kill "$victim"
gives 5 "unreachable" "a server that ended without a word is missed" ctl status
equal "status --json" "$(ctl status --json | jq -r .health)" unreachable
pool_server_start "$victim"
within 10 three || :
gives 5 "lost" "it came back empty: what it held is lost" ctl status
lost=$(ctl volume info big --json | jq .lost_extents)
check "info counts what is lost ($lost extents)" [ "$lost" -gt 0 ]
gives 1 "lost" "reading them is an error" bench --op read --bytes 128K --count 512 big
gives 0 "" "they can be written anew" bench --op write --bytes 128K --depth 4 --count 512 big
equal "then none is lost" "$(ctl volume info big --json | jq .lost_extents)" 0
pool_stop

# A holder that ended without data
pool_memory=64M
pool_start 3
ctl volume create kept 16M >/dev/null
equal "all is well while three servers keep the descriptor" \
	"$(ctl volume info kept --json | jq -r '"\(.health) \(.holders | length)"')" "ok 3"
pool_server_kill s2
gives 5 "pool      degraded
2 of 3 holders answer" "without one of them it is degraded" ctl status
equal "in JSON, too" "$(ctl status --json | jq -r '.health, .volumes[0].health' | paste -sd ' ')" \
	"degraded degraded"
gives 0 "health    degraded" "and so is the volume" ctl volume info kept
gives 0 '"failed": 0' "which can be used" bench --op write --bytes 128K --count 16 kept
pool_stop

# Another version
cat >"$work/other.py" <<'PYTHON'
import socket, struct, sys

def crc32c(crc, data):
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", int(sys.argv[1])))
while True:
    hello, peer = s.recvfrom(65536)
    tag, random = hello[24 + 8:24 + 12], hello[24 + 96:24 + 128]
    head = struct.pack("<HHI4sHBB32sHHI", 4, 56, 0, tag, 0, 0, 73, random, 2, 0, 0)
    outer = struct.pack("<BBBBHHIIQ", 0x4d, 1, 2, 0, len(head), 0, 0, 0, 0)
    crc = crc32c(0xffffffff, outer + head)
    s.sendto(outer[:12] + struct.pack("<I", crc) + outer[16:] + head, peer)
PYTHON
port=$(pool_free_port)
run_tied python3 "$work/other.py" "$port"
other=$tied_pid
check "a server of another version runs" within 20 grep -q "$(printf ':%04X ' "$port")" /proc/net/udp
gives 1 "another version" "it is told apart" \
	"$pool_memxctl" --server "127.0.0.1:$port" --timeout 20 servers
kill "$other"
tap_done
