#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# memxctl host, as far as it goes without the kernel module: what is typed wrong is said
# before anything is asked of the kernel, and man page and --help agree. (With the
# module: tests/vm/cases/060-host.)
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tools.sh"
need_tools
man=$pool_top/docs/man/memxctl.1

host=("$pool_memxctl" host)

gives 2 "expected status, start, set or stop" "no command" "${host[@]}"
gives 2 'no command "frobnicate"' "one that there is not" "${host[@]}" frobnicate
gives 2 "how much memory" "start without --memory" "${host[@]}" start
gives 2 "unit that is not known" "a size that is none" "${host[@]}" start --memory 1x --trusted-interface lo
gives 2 "unit that is not known" "a floor that is none" "${host[@]}" start --memory 1G --floor 1x --trusted-interface lo
gives 2 "without a key" "no key and no trusted network" "${host[@]}" start --memory 1G
gives 2 "without a key" "a network that is not called trusted" \
	"$pool_memxctl" --interface eth0 host start --memory 1G
gives 2 "give one of them" "two networks that are each the only one" \
	"$pool_memxctl" --interface lo host start --memory 1G --trusted-interface lo
gives 2 "names are 1 to" "a name that cannot be" "${host[@]}" start --memory 1G --trusted-interface lo --name "a b"
gives 2 "from 1 to 65535" "a port that cannot be" "${host[@]}" start --memory 1G --trusted-interface lo --port 70000
gives 2 "from 1 to 65535" "port 0" "${host[@]}" start --memory 1G --trusted-interface lo --port 0
gives 2 "--join: " "a server that cannot be found" \
	"${host[@]}" start --memory 1G --trusted-interface lo --join "no such host"
gives 2 "takes no argument" "an argument too many" "${host[@]}" start --memory 1G --trusted-interface lo now
printf '%s\n' "# none" "" "memory = 1G" "nonsense = 1" >"$work/conf"
gives 2 'no setting "nonsense"' "a file with a setting that there is not" "${host[@]}" start --config "$work/conf"
printf '%s\n' "memory = 1G" "key-file" >"$work/conf"
gives 2 "line 2 is not understood" "a file with a line that is none" "${host[@]}" start --config "$work/conf"
printf 'port=0' >"$work/conf"
gives 2 "port must be from 1" "a file with a port that cannot be" "${host[@]}" start --config "$work/conf"
gives 1 "No such file" "a file that is not there" "${host[@]}" start --config "$work/none"
gives 2 "how much memory" "the packaged file, in which nothing is set" "${host[@]}" start \
	--config "$pool_top/packaging/memx-server.conf"
printf '%s\n' "memory = 1x" "trusted-interface=lo" >"$work/conf"
gives 2 "unit that is not known" "a size that is none, from a file" "${host[@]}" start --config "$work/conf"
gives 2 "without a key" "what is typed counts more" "${host[@]}" start --config <(echo "memory = 1x") --memory 1G
gives 2 "what is to be set" "set without anything" "${host[@]}" set
gives 2 "is not a size" "set to a size that is none" "${host[@]}" set --memory many
if [ -e /sys/module/memx_server ]; then
	ok "the module is missing # SKIP it is loaded here"
else
	gives 0 "state      stopped" "status without the module" "${host[@]}" status
	gives 0 '"state" : "stopped"' "status --json without the module" "$pool_memxctl" --json host status
	for command in stop "set --memory 1G"; do
		# shellcheck disable=SC2086
		gives 3 "does not serve" "$command without the module" "${host[@]}" $command
	done
	gives 1 "modprobe memx-server loads it" "start without the module" \
		"${host[@]}" start --memory 1G --trusted-interface lo
fi
for command in status start set stop; do
	for option in $("${host[@]}" $command --help | grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
		[ "$option" = --help ] || grep -q -- "Fl ${option#-}\b" "$man" ||
			not_ok "memxctl.1 has $option of \"host $command\""
	done
	grep -q "^\.It Cm host.*\b$command\b" "$man" || not_ok "memxctl.1 has host $command"
	"$pool_memxctl" --help | grep -q "^  host $command\b" || not_ok "memxctl --help has host $command"
done
ok "memxctl.1 and --help were searched for host's commands and options"
tap_done
