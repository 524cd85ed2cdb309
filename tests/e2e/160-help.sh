#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The man pages and --help say the same options; man pages are well formed;
# options may come from a file; a key from systemd.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tools.sh"
need_tools
man=$pool_top/docs/man

# Long options that a --help text on standard input lists.
helped() { grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u; }
# Those a man page has a paragraph for.
paged() { grep '^\.It Fl' "$1" | grep -oE -- ' -[a-z][a-z-]+' | sed 's/ -/--/' | sort -u; }

equal "memxd --help and its man page have the same options" \
	"$("$pool_memxd" --help | helped)" "$(paged "$man/memxd.8")"
for command in "" "top" "volume resize" "volume delete"; do
	# shellcheck disable=SC2086
	for option in $("$pool_memxctl" $command --help | helped); do
		grep -q -- "Fl .*${option#-}\b\|, ${option#-}\b" "$man/memxctl.1" ||
			not_ok "memxctl.1 has $option of \"$command\""
	done
done
ok "memxctl.1 was searched for the options that --help lists"
for word in servers status top metrics keygen create list info resize delete recover key; do
	grep -q "^\.It Cm.*\b$word\b" "$man/memxctl.1" || not_ok "memxctl.1 has the command $word"
	"$pool_memxctl" --help | grep -q "\b$word\b" || not_ok "memxctl --help has the command $word"
done
ok "memxctl.1 and --help were searched for all commands"
if command -v mandoc >/dev/null; then
	for page in "$man"/*.[1-8]; do
		check "$(basename "$page") is well formed" mandoc -T lint -W warning "$page"
	done
else
	ok "man pages are well formed # SKIP mandoc is not installed (Debian package mandoc)"
fi

# A configuration file
umask 077
port=$(pool_free_port)
pool_seeds=127.0.0.1:$port
"$pool_memxctl" keygen >"$work/key"
cat >"$work/memxd.conf" <<CONF
# as packaged
memory = 64M

listen=127.0.0.1:$port
key-file = $work/key
CONF
daemon conf --config "$work/memxd.conf"
gives 0 "conf" "options from a file" ctl --key-file "$work/key" servers
equal "the file's memory" "$(ctl --key-file "$work/key" servers --json | jq '.[0].capacity_bytes')" $((64 << 20))
daemon_end conf TERM 3
daemon over --config "$work/memxd.conf" --memory 32M
equal "the command line goes before it" \
	"$(ctl --key-file "$work/key" servers --json | jq '.[0].capacity_bytes')" $((32 << 20))
daemon_end over TERM 3
echo "memory 64M" >"$work/bad.conf"
gives 2 "line 1 of" "a line that is not understood" "$pool_memxd" --config "$work/bad.conf"
echo "frobnicate = 1" >"$work/bad.conf"
gives 2 "frobnicate" "an option that there is not" "$pool_memxd" --config "$work/bad.conf"
gives 2 "cannot read the configuration" "a file that there is not" "$pool_memxd" --config "$work/nosuch"

# A key handed over by systemd, whose path root alone can read
mkdir "$work/credentials"
cp "$work/key" "$work/credentials/memx_e2e-key"
CREDENTIALS_DIRECTORY=$work/credentials daemon cred --memory 64M --listen "127.0.0.1:$port" \
	--key-file /etc/memx/e2e-key
gives 0 "cred" "the key comes from systemd's credentials" ctl --key-file "$work/key" servers
daemon_end cred TERM 3

# What systemd is told
if command -v python3 >/dev/null; then
	run_tied python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
while True:
    print(s.recv(4096).decode(), flush=True)
' "$work/notify" >"$work/notified" 2>&1
	within 5 test -S "$work/notify" || :
	NOTIFY_SOCKET=$work/notify daemon told --memory 64M --listen "127.0.0.1:$port"
	check "systemd is told when it is ready" within 5 grep -q "READY=1" "$work/notified"
	check "and how much is in use" within 5 grep -q "STATUS=.* of 64.0 MiB in use" "$work/notified"
	daemon_end told TERM 3
	check "and that it stops" within 5 grep -q "STOPPING=1" "$work/notified"
else
	ok "what systemd is told # SKIP python3 is not installed"
fi
tap_done
