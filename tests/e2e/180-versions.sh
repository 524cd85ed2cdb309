#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Mixed versions: the newest client with each earlier release's servers, and the
# other way round. tests/compat/releases records the releases by commit; each is
# built from the history once, in build/compat.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tools.sh"
need_tools
need git:git

new_memxd=$pool_memxd new_memxctl=$pool_memxctl new_bench=$tool_bench

# The release's programs in $old.
build_old() {
	local version=$1 commit=$2 old
	old=$pool_top/build/compat/$version-${commit:0:12}
	if [ ! -x "$old/build/memx-bench" ]; then
		rm -rf "$old"
		mkdir -p "$old"
		git -C "$pool_top" archive "$commit" | tar -x -C "$old"
		make -s -j2 -C "$old" build/memxd build/memxctl build/memx-bench
	fi
}

round_trip() {	# WHAT: a volume made, written, checked, found again, deleted
	local what=$1 output
	if output=$(bench --create 64M --op randrw --depth 32 --count 20000 --verify --quiet v 2>&1) &&
		[ "$(jq '.failed + .wrong' <<<"$output")" = 0 ] &&
		output=$(ctl volume list 2>&1) && [[ "$output" == *v* ]] &&
		output=$(ctl volume delete v 2>&1); then
		ok "$what"
	else
		not_ok "$what" "$output"
	fi
}

any=0
while read -r version commit; do
	case $version in ''|'#'*) continue ;; esac
	any=1
	if ! git -C "$pool_top" cat-file -e "$commit^{commit}" 2>/dev/null; then
		ok "release $version # SKIP this clone has no commit $commit (a shallow clone?)"
		continue
	fi
	if ! output=$(build_old "$version" "$commit" 2>&1); then
		not_ok "release $version builds" "$output"
		continue
	fi
	old=$pool_top/build/compat/$version-${commit:0:12}
	pool_memxd=$old/build/memxd pool_memxctl=$new_memxctl tool_bench=$new_bench
	pool_start 3 128M
	round_trip "the newest client with servers of $version"
	pool_stop
	pool_memxd=$new_memxd pool_memxctl=$old/build/memxctl tool_bench=$old/build/memx-bench
	pool_start 3 128M
	round_trip "a client of $version with the newest servers"
	pool_stop
done <"$pool_top/tests/compat/releases"
[ "$any" = 1 ] || skip_all "no release is recorded in tests/compat/releases yet"
tap_done
