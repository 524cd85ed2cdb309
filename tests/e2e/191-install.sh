#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# make install into a folder; its script as a user without rights; again; and over a
# configuration that was changed.
set -eu
. "$(dirname "$0")/lib.sh"
need setpriv:util-linux
for file in "$pool_memxd" "$pool_memxctl"; do
	[ -x "$file" ] || skip_all "$file is not built (make builds it)"
done

# What a newly cloned tree would be made to do. (B: nothing is built there, but the
# library, which a plan of the driver's own Makefile cannot do without.)
driver_is_made_first() {
	mkdir -p "$work/none"
	touch "$work/none/libmemx.a"
	make -n -C "$pool_top" B="$work/none" DESTDIR="$work/made" "$@" install >"$work/plan" || return 1
	grep -nE 'block-memx.so|tools/install-files' "$work/plan" | tail -n 5
	sed '/tools\/install-files/q' "$work/plan" | grep -q -- '-o .*/block-memx.so'
}

not_made_first() {
	! driver_is_made_first "$@" && grep -q 'DRIVER="no" tools/install-files' "$work/plan"
}

# What README.md speaks of, and the driver for this release's QEMU.
all_is_installed() {
	local file
	make -s -C "$pool_top" DESTDIR="$work/made" PREFIX=/usr/local install >"$work/log" 2>&1 ||
		{ cat "$work/log" && return 1; }
	for file in sbin/memxd bin/memxctl bin/memx-run lib/memx/memxd-stop lib/memx/qemu/memx-preload.so \
		lib/sysctl.d/50-memxd.conf lib/sysctl.d/50-qemu-block-memx.conf \
		lib/systemd/system/memxd.service share/man/man8/memxd.8; do
		[ -s "$work/made/usr/local/$file" ] || { echo "no $file" && return 1; }
	done
	ls "$work"/made/usr/local/lib/memx/qemu/*/block-memx.so
}

if ls "$pool_top"/build/qemu/*/block-memx.so >/dev/null 2>&1; then
	check "make install builds the QEMU driver before" driver_is_made_first
	check "and not with DRIVER=no" not_made_first DRIVER=no
	check "make install installs all that README.md speaks of" all_is_installed
else
	ok "make install installs all that README.md speaks of # SKIP the driver is not built"
	export DRIVER=no
fi

dest=$work/dest
mkdir "$dest"
user=()
if [ "$(id -u)" = 0 ]; then
	user=(setpriv --reuid 65534 --regid 65534 --clear-groups)
	chmod 755 "$work"
	chown 65534:65534 "$dest"
fi

# A user without rights may not get at the tree of another: it is copied for him.
copy_what_is_installed() {
	mkdir "$work/tree"
	(cd "$pool_top" && tar -c --ignore-failed-read tools packaging docs README.md \
		qemu-block-memx/memx-run "${pool_memxd#"$pool_top/"}" "${pool_memxctl#"$pool_top/"}" \
		$(ls build/qemu/*/block-memx.so build/qemu/memx-preload.so 2>/dev/null)) |
		tar -x -C "$work/tree"
}

# install_as PREFIX: all of its output is in $work/log.
install_as() {
	"${user[@]}" env PREFIX="$1" DESTDIR="$dest" B=build "$work/tree/tools/install-files" \
		>"$work/log" 2>&1 || { cat "$work/log" && return 1; }
}

listing() {
	find "$dest" -printf '%m %P\n' | sort
}

refuses() {
	local text=$1 output
	shift
	if output=$(env "$@" 2>&1); then return 1; fi
	echo "$output"
	grep -q "$text" <<<"$output"
}

runs() {
	"$dest/opt/memx/sbin/memxd" --version | grep -q '^memxd [0-9]' &&
		"$dest/opt/memx/bin/memxctl" --version | grep -q '^memxctl [0-9]'
}

changed_again() {
	echo "memory = 5G" >>"$dest/etc/memx/memxd.conf"
	install_as /opt/memx && grep -q '^memory = 5G$' "$dest/etc/memx/memxd.conf" &&
		grep -q 'KEEP.*/etc/memx/memxd.conf' "$work/log"
}

same_again() {
	install_as /opt/memx && listing | diff "$work/first" -
}

driver_is_found() {
	local output
	output=$("$dest/opt/memx/bin/memx-run" --which qemu-img)
	echo "$output"
	[[ $output == "$dest/opt/memx/lib/memx/qemu/"*/block-memx.so || $output == "built in"* ]]
}

copy_what_is_installed
mkdir "$work/tree/programs"
cp "$pool_memxd" "$pool_memxctl" "$work/tree/programs/"
check "installs without rights" install_as /opt/memx
listing >"$work/first"
check "what was installed runs" runs
check "the unit names the installed program" \
	grep -q '^ExecStart=/opt/memx/sbin/memxd ' "$dest/opt/memx/lib/systemd/system/memxd.service"
check "volumes' keys lie where only the owner looks" grep -qx '700 etc/memx/keys' "$work/first"
check "nobody else may write any of it" [ -z "$(find "$dest" ! -type l -perm /022)" ]
check "a second time leaves the same" same_again
check "a changed configuration is kept" changed_again
if [ -e "$dest/opt/memx/bin/memx-run" ] && command -v qemu-img >/dev/null; then
	check "the launcher finds the installed driver" driver_is_found
else
	ok "the launcher finds the installed driver # SKIP the driver is not built, or no qemu-img"
fi
check "a PREFIX that is no absolute path is refused" refuses "must be an absolute path" \
	PREFIX=opt DESTDIR="$dest" B=build "$work/tree/tools/install-files"
check "what is not built is named" refuses "memxd is missing" \
	PREFIX=/usr DESTDIR="$work/other" B=nowhere "$work/tree/tools/install-files"
check "a driver that is not built is named, and how to do without" refuses "leave it out: DRIVER=no" \
	PREFIX=/usr DESTDIR="$work/other" B=programs "$work/tree/tools/install-files"
check "a place where one may not write is named" refuses "cannot write to /proc/memx" \
	PREFIX=/memx DESTDIR=/proc B=build "$work/tree/tools/install-files"
tap_done
