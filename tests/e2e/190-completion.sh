#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion of memxctl: commands, options, and the volumes of the pool that the
# words before name. (memxctl itself is played by a function here.)
set -eu
. "$(dirname "$0")/lib.sh"

. "$(dirname "$0")/completion.sh"
. "$pool_top/packaging/completions/memxctl"

# Lists two volumes, and how it was called as a third.
memxctl() {
	printf '%s\n' "NAME SIZE" "vm1 1G" "vm2 1G" "called$(printf '/%s' "$@")"
}

# Every command in the program's own help, and no other.
commands_agree() {
	local help
	# "  volume create NAME SIZE     make a volume"
	help=$("$pool_memxctl" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z].*[^ ]\)  .*/\1/p')
	diff <(awk '{ print $1 }' <<<"$help" | sort -u) <(completions "memxctl ") &&
		diff <(awk '$1 == "volume" { print $2 }' <<<"$help" | sort -u) \
			<(completions "memxctl volume ")
}

completions() {
	completes "$1" >/dev/null || :
	printf '%s\n' "${COMPREPLY[@]}" | sort
}

check "commands" completes "memxctl " servers status top metrics volume keygen
check "the rest of one" completes "memxctl vol" volume
check "what to do with volumes" completes "memxctl volume " create list info resize delete recover key
check "after options with values" completes "memxctl -s 10.0.0.1 --timeout = 2 volume i" info
check "after an address with a port" completes "memxctl --server = 10.0.0.1 : 7770 volume r" resize recover
check "options" completes "memxctl --s" --server
check "options of one command" completes "memxctl volume resize vm1 4G --s" --server --shrink
check "interfaces" completes "memxctl --interface l" lo
check "volumes" completes "memxctl volume delete v" vm1 vm2
check "volumes of the pool that is named" completes "memxctl -s 10.0.0.1 : 7 -k = /a/key volume info c" \
	"called/-s/10.0.0.1:7/-k//a/key/--timeout/1/volume/list"
check "nothing where a new name is wanted" completes "memxctl volume create " ""
if [ -x "$pool_memxctl" ]; then
	check "memxctl has these commands and no others" commands_agree
else
	ok "memxctl has these commands and no others # SKIP memxctl is not built"
fi
tap_done
