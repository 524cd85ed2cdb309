# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Roots of a Debian release, by mmdebstrap, for sourcing by bash scripts under
# set -eu that have set $top (the tree) and $cache. Need root.
#
#   root_base SUITE               prints a tar archive: apt and what it needs
#   root_build SUITE PACKAGE...   prints a folder: a root with these packages, to build in
#   root_small SUITE PACKAGE...   the same with little else, without documentation
#   root_run ROOT FROM:TO... -- COMMAND...
#                                 runs it in ROOT with the folders FROM of this
#                                 machine seen as TO; no network but loopback
#
# Both are cached below $cache/roots. The apt entry is derived from the one that
# this machine uses, with the suite exchanged.

# What packages and modules are built with.
# shellcheck disable=SC2034
roots_build_packages="debhelper dh-dkms gcc make libc6-dev pkg-config libgcrypt20-dev
	libglib2.0-dev libjson-glib-dev libnl-genl-3-dev liburing-dev python3 patch dpkg-dev"
# How old a base may be, days: its package lists name versions that leave the archive.
roots_days=14

roots_need() {
	[ "$(id -u)" = 0 ] || {
		echo "a root of Debian $1 can be made by root only; try again as root" >&2
		return 1
	}
	"$top/tools/install-deps" roots >&2
	mkdir -p "$cache/roots"
}

# roots_make SUITE TARGET OPTION...: all output to a log.
roots_make() {
	local suite=$1 target=$2 uri log
	shift 2
	uri=$("$top/tools/debian-source" --uri)
	log=$cache/roots/$(basename "$target").log
	nice mmdebstrap "$@" "$suite" "$target" "deb $uri $suite main" >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		echo "mmdebstrap cannot make a root of $suite; the whole log is $log" >&2
		return 1
	}
}

root_base() {
	local suite=$1 tar=$cache/roots/base-$1.tar
	roots_need "$suite" || return 1
	exec 7>"$tar.lock"
	flock 7
	if [ -z "$(find "$tar" -mtime "-$roots_days" 2>/dev/null)" ]; then
		echo "making a root of Debian $suite (half a minute)" >&2
		rm -f "$tar.new"
		# The lists stay in it: apt in the root has no network.
		roots_make "$suite" "$tar.new" --variant=apt --format=tar \
			--skip=cleanup/apt/lists || return 1
		mv "$tar.new" "$tar"
		# Where tests keep what apt fetched for roots of this release.
		find "$cache/roots" -path "*/archives-$suite/*" -type f -ctime +60 -delete
	fi
	exec 7>&-
	echo "$tar"
}

# Roots that nobody asked for lately: another checkout wants other packages.
roots_sweep() {
	local stamp old
	find "$cache/roots" -maxdepth 1 \( -name 'build-*.complete' -o -name 'small-*.complete' \) \
		-mtime "+$roots_days" |
		while read -r stamp; do
			old=${stamp%.complete}
			flock -n "$old.lock" rm -rf --one-file-system "$stamp" "$old" "$old.log" || :
		done
}

# root_kept KIND SUITE PACKAGES OPTION...: made by mmdebstrap where it is not there.
root_kept() {
	local kind=$1 suite=$2 list root
	list=$(tr -s ' \n\t' ',' <<<"$3" | sed 's/^,//; s/,$//')
	shift 3
	roots_need "$suite" || return 1
	root=$cache/roots/$kind-$suite-$(echo "$list" | sha256sum | cut -c1-12)
	exec 7>"$root.lock"
	flock 7
	if [ ! -e "$root.complete" ]; then
		echo "making a root of Debian $suite (a minute or so)" >&2
		rm -rf --one-file-system "$root"
		roots_make "$suite" "$root" "$@" --format=directory --include="$list" || return 1
	fi
	touch "$root.complete"
	roots_sweep
	exec 7>&-
	echo "$root"
}

root_build() {
	local suite=$1
	shift
	root_kept build "$suite" "$*" --variant=buildd
}

root_small() {
	local suite=$1
	shift
	root_kept small "$suite" "$*" --variant=minbase \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/i18n/*'
}

root_run() {
	local root=$1
	shift
	# shellcheck disable=SC2016
	unshare --mount --net --pid --fork --kill-child --propagation private bash -c '
		set -eu
		root=$1
		shift
		while [ "$1" != -- ]; do
			mkdir -p "$root${1#*:}"
			mount --bind "${1%%:*}" "$root${1#*:}"
			shift
		done
		shift
		mount -t proc proc "$root/proc"
		ip link set lo up
		exec chroot "$root" env -i HOME=/root LC_ALL=C.UTF-8 \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
	' bash "$root" "$@"
}
