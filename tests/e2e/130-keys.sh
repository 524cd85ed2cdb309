#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A pool with a key: who has it, who has another, who has none, who has the key
# of one volume; each cipher; and what memxd refuses to do without a key.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tools.sh"
need_tools
umask 077

"$pool_memxctl" keygen >"$work/key"
"$pool_memxctl" keygen >"$work/other"
equal "a key is 64 hex digits" "$(grep -cE '^[0-9a-f]{64}$' "$work/key")" 1
if cmp -s "$work/key" "$work/other"; then not_ok "keys differ"; else ok "keys differ"; fi

start_pair() {
	port=$(pool_free_port)
	pool_seeds=127.0.0.1:$port
	daemon "$1-a" --memory 64M --listen "127.0.0.1:$port" --key-file "$work/key" "${@:2}"
	daemon "$1-b" --memory 64M --listen "127.0.0.1:$(pool_free_port)" --join "127.0.0.1:$port" \
		--key-file "$work/key" "${@:2}"
}
two_up() { [ "$(ctl --key-file "$work/key" servers --json | jq '[.[] | select(.state == "up")] | length')" = 2 ]; }

suites=chacha20-poly1305
grep -qw aes /proc/cpuinfo && grep -qw pclmulqdq /proc/cpuinfo && suites="$suites aes256-gcm"
for suite in $suites; do
	start_pair "$suite" --suite "$suite"
	check "$suite: both servers are in the pool" within 10 two_up
	gives 0 "created" "$suite: create" ctl --key-file "$work/key" volume create v 32M
	gives 0 '"wrong": 0' "$suite: data, verified" \
		bench --key-file "$work/key" --verify --op randrw --depth 16 --seconds 1 v
	gives 0 "deleted" "$suite: delete" ctl --key-file "$work/key" volume delete v
	daemon_end "$suite-a" TERM 3
	daemon_end "$suite-b" TERM 3
done

start_pair pool
within 10 two_up || :
ctl --key-file "$work/key" volume create mine 16M >/dev/null
ctl --key-file "$work/key" volume create yours 16M >/dev/null
gives 7 "does not accept the key" "another pool's key is refused, and that is said" \
	ctl --key-file "$work/other" servers
gives 7 "wants a key" "no key is refused, and that is said" ctl servers
gives 0 "mine:" "a volume's key is made from the pool's" ctl --key-file "$work/key" volume key mine
"$pool_memxctl" --key-file "$work/key" volume key mine >"$work/mine.key"
gives 0 '"wrong": 0' "the volume's key opens the volume" \
	bench --key-file "$work/mine.key" --verify --op randrw --depth 4 --seconds 1 mine
gives 1 "key is another volume's" "it opens no other, and that is said" timeout 40 "$tool_bench" --server "$pool_seeds" --quiet \
	--key-file "$work/mine.key" --count 1 yours
gives 7 "key is another volume's" "... nor tells of it" ctl --key-file "$work/mine.key" volume info yours
gives 7 "no other can be made" "it makes no other key" ctl --key-file "$work/mine.key" volume key yours
sed 's/^mine/yours/' "$work/mine.key" >"$work/forged.key"
gives 7 "does not accept the key" "renamed it is refused" ctl --key-file "$work/forged.key" servers
gives 2 "needs the pool's key" "memxd does not take a volume's key" "$pool_memxd" --memory 64M \
	--key-file "$work/mine.key"

# Key files
echo "not a key" >"$work/bad"
gives 2 "64 hex digits" "a file that is no key" ctl --key-file "$work/bad" servers
gives 2 "there is no key file" "a key file there is not" ctl --key-file "$work/nosuch" servers
chmod 644 "$work/other"
gives 2 "chmod o=" "a key file everybody may read" ctl --key-file "$work/other" servers

# Without a key
gives 2 "refusing to listen on 0.0.0.0 without a key
--trusted-interface" "no listening on all addresses without a key" "$pool_memxd" --memory 64M --listen 0.0.0.0
gives 2 "refusing to listen" "nor on *" "$pool_memxd" --memory 64M --listen '*'
gives 2 "--key-file" "nor on raw Ethernet" "$pool_memxd" --memory 64M --interface raw:lo
gives 2 "there is no network interface" "a trusted interface must exist" \
	"$pool_memxd" --memory 64M --trusted-interface nosuch0
tap_done
