#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build QEMU with the memx driver in its schema, so that -blockdev, blockdev-add
# and qemu-storage-daemon know it.
#
#   qemu-block-memx/rebuild.sh 7.2|10.0		Debian packages
#   qemu-block-memx/rebuild.sh --tree 7.2|10.0	a small build for tests
#
# Whoever runs a tree's programs holds a shared lock on FOLDER/../.lock, for the
# next call may replace them.
#
# Both take Debian's source of that series, apply patches/SERIES and add the
# driver. Prints, as the last line, the folder with the .deb files or with the
# programs. All else goes to stderr and a log file.
#
# The packages are built by Debian's own rules with Debian's features, for the
# x86_64 emulator, the tools and their modules only. They are built in a root of
# that Debian release, made by mmdebstrap, as is the tree of a release other than
# this machine's. Results are kept in the cache: by the hash of source version,
# patches, driver and client library for packages; a tree follows changes of the
# driver and the library by itself, and is new when QEMU or the patches change.
#
# JOBS=N (2): how many compilers at a time.

set -eu -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
cache=${MEMX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/memx}/qemu
jobs=${JOBS:-2}
# shellcheck source=series.sh
. "$here/series.sh"

driver_sources=(memx.c memx-create.c memx-wait.c memx-options.c memx.h memx-compat.h memx-options.h)
# What the client library needs, as pkg-config calls it.
library_needs="libgcrypt >= 1.10"
packages="qemu-system-common qemu-system-x86 qemu-system-gui qemu-utils qemu-block-extra"
packages="$packages qemu-system-modules-opengl qemu-system-modules-spice qemu-block-supplemental"
# What the tests of a tree need beyond the emulator and qcow2. Debian's source has
# no firmware blobs: they come from packages.
tree_options=(--target-list=x86_64-softmmu --without-default-features --enable-system
	--enable-tools --enable-tcg --enable-kvm --enable-modules --enable-memx
	--enable-fdt=system --enable-coroutine-pool --enable-avx2 --enable-malloc-trim
	--enable-linux-aio --enable-linux-io-uring --enable-zstd --enable-attr
	--enable-nettle --enable-bochs --enable-fuse --enable-vhost-user --enable-vhost-user-blk-server
	--enable-vhost-kernel --enable-vhost-net --enable-vnc
	--disable-docs --audio-drv-list=
	--firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu)
tree_targets=(qemu-system-x86_64 qemu-img qemu-io qemu-nbd
	storage-daemon/qemu-storage-daemon block-memx.so)
# 10.0 wants pixman to be asked for by name, and firmware not to be installed.
declare -A tree_options_of=([7.2]=""
	[10.0]="--enable-pixman --disable-download --disable-install-blobs")
declare -A tree_targets_of=([7.2]="accel-tcg-x86_64.so accel-qtest-x86_64.so"
	[10.0]="accel-qtest-x86_64.so")

say() {
	printf 'rebuild: %s\n' "$*" >&2
}

die() {
	say "$@"
	exit 1
}

# Runs a command with its output in the log; shows the log's end if it fails.
logged() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 || {
		tail -n 30 "$log" >&2
		die "failed: $1 ...; the whole log is $log"
	}
}

hash_of() {
	sha256sum | cut -c1-12
}

# The patches of this mode: the packaging's only where packages are made.
patches() {
	printf '%s\n' "$here/patches/$series/memx.patch"
	if [ "$mode" = packages ]; then
		printf '%s\n' "$here/patches/$series/debian.patch"
	fi
}

patches_hash() {
	{
		basename "$source"
		patches | xargs -d '\n' cat
		echo "$@"
	} | hash_of
}

inputs_hash() {
	{
		patches_hash packages
		(cd "$here" && cat "${driver_sources[@]}")
		(cd "$top" && cat core/*.[ch] net/posix/*.[ch])
		echo "$version"
	} | hash_of
}

# ---- a root of the Debian release, with QEMU's build dependencies ----

build_root() {
	local root uri

	root=$cache/$(series_root "$series")
	printf '%s\n' "$root"
	[ ! -e "$root.complete" ] || return 0
	[ "$(id -u)" = 0 ] || die "making a Debian root needs root"
	say "making a $suite root with QEMU's build dependencies (a minute or two)"
	"$top/tools/install-deps" roots >&2
	uri=$("$top/tools/debian-source" --uri)
	rm -rf "$root"
	# shellcheck disable=SC2016
	logged "$root.log" mmdebstrap --variant=buildd \
		--include="$series_root_packages" \
		--customize-hook='APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --yes \
			--no-install-recommends --arch-only -oDPkg::Chroot-Directory="$1" \
			build-dep '"$source" \
		"$suite" "$root" "deb $uri $suite main"
	touch "$root.complete"
}

# in_root ROOT COMMAND...: /memx is this tree (read-only), /srv/qemu is $work.
# With ROOT empty the command runs on this machine, with the same two names as
# variables.
in_root() {
	local root=$1
	shift
	if [ -z "$root" ]; then
		env MEMX_TOP="$top" MEMX_WORK="$work" "$@"
		return
	fi
	mkdir -p "$root/memx" "$root/srv/qemu"
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -c '
		set -e
		root=$1 top=$2 work=$3
		shift 3
		mount --bind "$top" "$root/memx"
		mount -o remount,bind,ro "$root/memx"
		mount --bind "$work" "$root/srv/qemu"
		mount -t proc proc "$root/proc"
		mount --bind /dev "$root/dev"
		exec chroot "$root" env MEMX_TOP=/memx MEMX_WORK=/srv/qemu \
			HOME=/root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
	' bash "$root" "$top" "$work" "$@"
}

# Alone in $work. Tests that run a tree's programs hold the lock shared.
lock_work() {
	exec 9>"$work/.lock"
	flock -n 9 && return
	say "waiting for others that use $work"
	flock 9
}

# What nobody asked for in a month: other versions, patches, drivers. A folder that is
# in use is locked.
sweep() {
	local stamp old
	find "$cache" -maxdepth 3 -name .memx-used -mtime +30 | while read -r stamp; do
		old=$(dirname "$stamp")
		say "removing $old, not used for a month"
		flock -n "$old/.lock" rm -rf --one-file-system "$old" || :
	done
}

# ---- the source ----

prepare_source() {
	local p

	[ ! -e "$work/src/.memx-patched" ] || return 0
	say "preparing QEMU $series in $work"
	rm -rf "$work/src"
	cp -a "$source" "$work/src"
	patches | while read -r p; do
		logged "$work/patch.log" patch -d "$work/src" -p1 -N -i "$p"
	done
	touch "$work/src/.memx-patched"
}

# Copies only what changed, so that ninja compiles only that.
add_driver() {
	local f

	for f in "${driver_sources[@]}"; do
		cmp -s "$here/$f" "$work/src/block/$f" || cp "$here/$f" "$work/src/block/$f"
	done
}

# The client library as a package that meson finds. The headers are copied, and
# only when they changed: a tree outlives the checkout it was made from.
add_library() {
	local root=$1 f

	# shellcheck disable=SC2016
	logged "$work/library.log" in_root "$root" sh -c \
		'make -s -C "$MEMX_TOP" -j'"$jobs"' -o deps-build B="$MEMX_WORK/memx-build" \
			"$MEMX_WORK/memx-build/libmemx.a"'
	for f in "$top"/core/*.h "$top"/net/posix/*.h; do
		f=${f#"$top/"}
		mkdir -p "$work/memx/include/$(dirname "$f")"
		cmp -s "$top/$f" "$work/memx/include/$f" ||
			cp "$top/$f" "$work/memx/include/$f"
	done
	# ninja does not know that the module depends on the archive: it is linked
	# anew because it is missing.
	cmp -s "$work/memx-build/libmemx.a" "$work/memx/libmemx.a" || {
		cp "$work/memx-build/libmemx.a" "$work/memx/libmemx.a"
		rm -f "$work/build/block-memx.so" "$work/src/b/qemu/block-memx.so"
	}
	cat >"$work/memx/memx.pc.new" <<'END'
Name: memx
Description: MemX client library
Version: @VERSION@
Requires: @NEEDS@
Cflags: -I${pcfiledir}/include
Libs: -Wl,--exclude-libs,libmemx.a ${pcfiledir}/libmemx.a
END
	sed -i "s/@VERSION@/$version/; s/@NEEDS@/$library_needs/" "$work/memx/memx.pc.new"
	mv "$work/memx/memx.pc.new" "$work/memx/memx.pc"
}

# ---- the small build ----

configure_tree() {
	# shellcheck disable=SC2016,SC2086
	in_root "$1" sh -c 'cd "$MEMX_WORK/build" &&
		PKG_CONFIG_PATH="$MEMX_WORK/memx" ../src/configure "$@"' sh \
		"${tree_options[@]}" ${tree_options_of[$series]} --with-pkgversion="+memx tree"
}

# Run from its build folder, QEMU looks for firmware below qemu-bundle/.
link_firmware() {
	local dir

	for dir in share/qemu share/seabios lib/ipxe; do
		mkdir -p "$work/build/qemu-bundle/usr/$(dirname "$dir")"
		ln -sfn "/usr/$dir" "$work/build/qemu-bundle/usr/$dir"
	done
}

build_tree() {
	local root="" codename

	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	if [ "$codename" = "$suite" ]; then
		"$top/tools/install-deps" build qemu >&2
	else
		root=$(build_root)
	fi
	# ninja would not notice other libraries.
	work=$cache/tree-$series-$(patches_hash "${tree_options[@]}" "$library_needs")
	mkdir -p "$work/build"
	lock_work
	prepare_source
	add_driver
	add_library "$root"
	if [ ! -e "$work/build/build.ninja" ]; then
		say "configuring (half a minute)"
		rm -rf "$work/build"
		mkdir -p "$work/build"
		logged "$work/configure.log" configure_tree "$root"
		link_firmware
	fi
	say "building QEMU $series (the first time some minutes; log: $work/build.log)"
	# shellcheck disable=SC2016,SC2086
	logged "$work/build.log" in_root "$root" sh -c \
		'exec nice ninja -C "$MEMX_WORK/build" -j'"$jobs"' "$@"' sh \
		"${tree_targets[@]}" ${tree_targets_of[$series]}
	touch "$work/.memx-used"
	printf '%s\n' "$work/build"
}

# ---- packages ----

# Only the stanzas of the packages that are built.
reduce_control() {
	local file=$work/src/debian/control

	awk -v RS= -v want=" $packages " '
		NR == 1 || /(^|\n)Source: / { print $0 "\n"; next }
		match($0, /(^|\n)Package: [^\n]*/) {
			name = substr($0, RSTART, RLENGTH)
			sub(/.*Package: /, "", name)
			if (index(want, " " name " "))
				print $0 "\n"
		}' "$file" >"$file.new"
	# Newer than what the rules would make it from.
	mv "$file.new" "$file"
	touch "$file"
}

add_changelog() {
	local file=$work/src/debian/changelog debian date

	debian=$(dpkg-parsechangelog -l "$file" -S Version)
	date=$(dpkg-parsechangelog -l "$file" -S Date)
	cat >"$file.new" - "$file" <<END
qemu ($debian+memx$version) $suite; urgency=medium

  * Add the memx block driver.
  * Build the x86_64 emulator, the tools and their modules only.

 -- MemX <memx@localhost>  $date

END
	mv "$file.new" "$file"
}

# Leaves b/, where QEMU is built, so that a changed driver is a short rebuild.
clean_packaging() {
	(cd "$work/src" && rm -rf debian/.debhelper debian/tmp debian/files \
		debian/*.debhelper debian/*.substvars debian/debhelper-build-stamp \
		b/qemu/built
	for p in $packages; do rm -rf "debian/$p"; done)
	rm -f "$work"/*.deb "$work"/*.buildinfo "$work"/*.changes
}

build_packages() {
	local root out p

	out=$cache/debs/$series-$(inputs_hash)
	if [ -e "$out/complete" ]; then
		touch "$out/.memx-used"
		printf '%s\n' "$out"
		return
	fi
	root=$(build_root)
	work=$cache/deb-$series-$(patches_hash packages "$version" "$library_needs")
	mkdir -p "$work"
	lock_work
	prepare_source
	if [ ! -e "$work/src/.memx-packaging" ]; then
		reduce_control
		add_changelog
		# debhelper refuses to leave out a package that is not there.
		sed -i 's/ -Nqemu-user\>//' "$work/src/debian/rules"
		# A sixth of all that is compiled, and in no package.
		sed -i "s/^subdir('tests')$/# &/" "$work/src/meson.build"
		touch "$work/src/.memx-packaging"
	fi
	add_driver
	add_library "$root"
	clean_packaging
	say "building packages of QEMU $series (the first time 10 minutes or more;" \
		"log: $work/build.log)"
	# shellcheck disable=SC2016
	logged "$work/build.log" in_root "$root" sh -c 'cd "$MEMX_WORK/src" &&
		export PKG_CONFIG_PATH="$MEMX_WORK/memx" &&
		export DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel='"$jobs"'" &&
		exec nice debian/rules binary-arch'
	rm -rf "$out"
	mkdir -p "$out"
	for p in "$work"/*.deb; do
		cp "$p" "$out/"
	done
	touch "$out/complete" "$out/.memx-used" "$work/.memx-used"
	printf '%s\n' "$out"
}

mode=packages
if [ "${1:-}" = --tree ]; then
	mode=tree
	shift
fi
[ $# = 1 ] || die "usage: rebuild.sh [--tree] $(echo "$all_series" | tr ' ' '|')"
series=$1
suite=$(series_suite "$series") || exit 2
version=$(sed -n 's/^VERSION *:= *//p' "$top/Makefile")
[ -n "$version" ] || die "no VERSION in $top/Makefile"
mkdir -p "$cache/debs"
source=$("$top/tools/debian-source" "$suite" qemu)

build_$mode
sweep
