# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# The emulator of rebuild.sh's tree of QEMU 10.0 as qemu-system-x86_64 in PATH, for
# sourcing by numbered scripts. The tree is built in a root of Debian 13, whose loader
# and libraries run it here. It stays locked for others while the script runs.

qemu_10_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "$qemu_10_top/qemu-block-memx/series.sh"

qemu_10_tree=$("$qemu_10_top/qemu-block-memx/rebuild.sh" --tree 10.0 | tail -n 1)
exec 8>>"$qemu_10_tree/../.lock"
flock -s 8

# qemu_10_path FOLDER: puts the emulator there, and the folder first in PATH.
qemu_10_path() {
	local root="" run=()

	if [ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" != "$(series_suite 10.0)" ]; then
		root=$qemu_10_tree/../../$(series_root 10.0)
		run=("$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu")
	fi
	mkdir -p "$1"
	{
		echo '#!/bin/bash'
		echo "export QEMU_MODULE_DIR=$qemu_10_tree"
		echo "exec ${run[*]} $qemu_10_tree/qemu-system-x86_64 \"\$@\""
	} >"$1/qemu-system-x86_64"
	chmod +x "$1/qemu-system-x86_64"
	PATH=$1:$PATH
}
