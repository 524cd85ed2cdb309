# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2034
#
# For scripts about memxctl's completion in bash, after sourcing packaging/completions/memxctl.

# completes "WORD..." TO...: the words as readline splits them; with a blank at the end, the
# last one is empty.
completes() {
	local want
	# shellcheck disable=SC2086
	mapfile -t COMP_WORDS < <(printf '%s\n' $1)
	[[ $1 != *" " ]] || COMP_WORDS+=("")
	shift
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	want=$*
	# Options of completion cannot be set outside of it.
	_memxctl 2>/dev/null || :
	echo "completes to: ${COMPREPLY[*]}"
	[ "${COMPREPLY[*]}" = "$want" ]
}
