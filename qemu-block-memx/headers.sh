#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Print the compiler flags with which a block driver is built for the QEMU
# that Debian ships:
#
#   qemu-block-memx/headers.sh 7.2|10.0
#
# QEMU has no development package, so its headers come from Debian's source.
# Nothing is configured or built: of what QEMU's build generates a driver
# needs the QAPI types (made here by QEMU's own generator, about a second)
# and config-host.h (stock/config-host.h stands in for it). The result is
# cached per source version.

set -eu -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${MEMX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/memx}
# shellcheck source=series.sh
. "$here/series.sh"

series=${1:-}
suite=$(series_suite "$series") || exit 2

source=$("$here/../tools/debian-source" "$suite" qemu)
out=$cache/qemu/headers/$(basename "$source")

mkdir -p "$cache/qemu/headers"
exec 9>"$out.lock"
flock 9
if [ ! -e "$out/complete" ]; then
	rm -rf "$out"
	mkdir -p "$out"
	(cd "$source" && PYTHONDONTWRITEBYTECODE=1 python3 scripts/qapi-gen.py \
		-o "$out/qapi" -b qapi/qapi-schema.json)
	cp -a "$source/include" "$out/include"
	touch "$out/complete"
fi

glib=$(pkg-config --cflags glib-2.0) || {
	echo "headers.sh: no GLib headers; apt-get install libglib2.0-dev pkg-config" >&2
	exit 1
}
echo "-I$here/stock -isystem $out -isystem $out/qapi -isystem $out/include" \
	"$glib"
