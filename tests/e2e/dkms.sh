# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# memx-dkms in a clean root of a release: the kernel modules are built for the kernel
# whose headers are there, built anew by an upgrade, and gone when the package is. For
# sourcing by numbered scripts after lib.sh and packages.sh, which then call
# dkms_test RELEASE. No module is loaded.

modules=(memx-core memx-server memx)
kernel=

# The newest kernel with headers in the root; there is one.
find_kernel() {
	kernel=$(box_sh 'cd /lib/modules && ls' | sort -V | tail -n 1)
	echo "kernel $kernel"
	[ -n "$kernel" ]
}

the_source_package() {
	local out=build/deb
	[ "$1" = "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" ] || out=build/deb/$1
	debs=("$top/$out"/dkms/memx-dkms_*.deb)
	[ "${#debs[@]}" = 1 ] && [ -e "${debs[0]}" ] && echo "${debs[0]}"
}

module_version() {
	sed -n 's/^VERSION *:= *//p' "$top/Makefile"
}

# dkms_says STATE: of this version, for the kernel, and nothing else of memx.
dkms_says() {
	local out
	out=$(box dkms status)
	echo "$out"
	[ "$(grep -c '^memx[/,]' <<<"$out")" = 1 ] &&
		grep -q "^memx[/,] *$(module_version), $kernel, x86_64: $1\$" <<<"$out"
}

no_tree_is_left() {
	local left
	left=$(box dkms status; find "$root/usr/src" "$root/var/lib/dkms" "$root/lib/modules" \
		-name '*memx*' 2>/dev/null)
	[ -z "$left" ] || { echo "left: $left" && return 1; }
}

# Where depmod put it, as modprobe would find it.
module_is_found() {
	box modinfo -k "$kernel" -F filename "$1" | grep "/updates/dkms/$1\.ko" &&
		box modinfo -k "$kernel" -F vermagic "$1" | grep "^$kernel " &&
		[ -n "$(box modinfo -k "$kernel" -F description "$1")" ]
}

# Every parameter says what it is for.
parameters_are_described() {
	local m p
	for m in "${modules[@]}"; do
		while IFS=: read -r p what; do
			[ -n "${what%%(*}" ] || { echo "$m: $p is not described" && return 1; }
		done < <(box modinfo -k "$kernel" -F parm "$m")
	done
	box modinfo -k "$kernel" -F parm memx-server | grep '^memory:'
}

needs_the_core() {
	box modinfo -k "$kernel" -F depends "$1" | grep -E '(^|,)memx[-_]core(,|$)'
}

# A module that goes takes data with it: no script may ask for that.
scripts_unload_nothing() {
	rm -rf "$work/control"
	dpkg-deb -e "${debs[0]}" "$work/control"
	! grep -nE 'rmmod|modprobe|insmod|systemctl|invoke' "$work"/control/*
}

has_a_manual_page() {
	dpkg-deb -c "${debs[0]}" | grep ' ./usr/share/man/man4/memx.4.gz$'
}

# A higher version of the package, of which a source file differs.
newer_package() {
	local tree=$work/newer
	rm -rf "$tree"
	dpkg-deb -R "${debs[0]}" "$tree" &&
		sed -i 's/^Version: .*/&+newer/' "$tree/DEBIAN/control" &&
		sed -i 's/MODULE_DESCRIPTION("MemX: /&newer: /' "$tree"/usr/src/memx-*/server-kmod/main.c &&
		mkdir -p "$root/newer" &&
		dpkg-deb -Zgzip -z1 --root-owner-group -b "$tree" "$root/newer/memx-dkms.deb"
}

is_built_anew() {
	box modinfo -k "$kernel" -F description memx-server | grep newer
}

dkms_use() {
	local m
	check "it installs, with the headers of a kernel" apt_install linux-headers-amd64 '/debs/*.deb'
	check "there is a kernel to build for" find_kernel
	# Not in check's subshell, which would keep it.
	find_kernel >/dev/null || return 0
	check "dkms has installed the modules for it" dkms_says installed
	for m in "${modules[@]}"; do
		check "modprobe finds $m, built for that kernel" module_is_found "$m"
	done
	check "memx-server stands on memx-core" needs_the_core memx-server
	check "memx stands on memx-core" needs_the_core memx
	check "their parameters are described" parameters_are_described
	check "a newer package is made" newer_package
	check "it is upgraded" apt_install '/newer/*.deb'
	check "and the modules are installed again" dkms_says installed
	check "from the new source" is_built_anew
	check "the package is removed" box apt-get -qq -y -o Dpkg::Use-Pty=0 purge memx-dkms
	check "and no module and no source of it is left" no_tree_is_left
}

dkms_test() {
	local release=$1
	packages_need
	if packages_built "$release"; then
		check "one of them has the modules' source" the_source_package "$release"
		the_source_package "$release" >/dev/null
		check "its scripts unload nothing" scripts_unload_nothing
		check "the modules' manual page is in it" has_a_manual_page
		if step "there is a clean root of $release" "$work/root.log" \
			prepare_root "$release" linux-headers-amd64; then
			box_start_plain "$release"
			dkms_use
		fi
	fi
	tap_done
}
