# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Debian's kernels and their headers, unpacked and not installed, for sourcing by
# bash scripts under set -eu that have set $top (the tree).
#
#   vm_kernel 6.1|6.12|debug     prints a folder with
#                            boot/vmlinuz-RELEASE, lib/modules/RELEASE/
#                            build -> what modules are built against
#   vm_modules 6.1|6.12|debug    builds MemX's modules for it and prints their folder
#
# Cached by version. The apt entry is derived from the one this machine uses, with
# the suite exchanged; a newer kernel is looked for once a week.

vm_cache=${MEMX_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/memx}/kernel

vm_suite() {
	case $1 in
	6.1)	echo bookworm ;;
	6.12)	echo trixie ;;
	*)	echo "vm: no kernel \"$1\"; there are 6.1, 6.12 and debug" >&2
		return 1 ;;
	esac
}

# vm_apt SUITE TOOL...: apt with a state of its own for that suite.
vm_apt() {
	local state=$vm_cache/apt-$1 tool=$2
	shift 2
	"$tool" -o "Dir::Etc::SourceList=$state/sources.list" -o "Dir::Etc::SourceParts=/dev/null" \
		-o "Dir::Etc::Preferences=/dev/null" -o "Dir::Etc::PreferencesParts=/dev/null" \
		-o "Dir::State=$state" -o "Dir::State::Lists=$state/lists" \
		-o "Dir::State::Status=/dev/null" -o "Dir::Cache=$state/cache" \
		-o "APT::Sandbox::User=" -o "Debug::NoLocking=1" "$@"
}

vm_apt_update() {
	local suite=$1 state=$vm_cache/apt-$1 uri ring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -z "$(find "$state/updated" -mtime -7 2>/dev/null)" ] || return 0
	uri=$("$top/tools/debian-source" --uri)
	mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
	[ ! -r "$ring" ] || ring="[signed-by=$ring] "
	[ -n "${ring##/*}" ] || ring=
	echo "deb $ring$uri $suite main" >"$state/sources.list"
	vm_apt "$suite" apt-get -qq update >&2 || return 1
	touch "$state/updated"
}

# Headers name their own place in absolute paths.
vm_relocate() {
	local root=$1 to=$2 release=$3 f
	for f in "$root/usr/src/linux-headers-$release/Makefile" \
		"$root"/usr/src/linux-headers-*-common/Makefile; do
		sed -i "s,/usr/src/,$to/usr/src/,g" "$f"
	done
	[ -d "$root/lib/modules" ] || { mkdir -p "$root/lib" && ln -s ../usr/lib/modules "$root/lib/modules"; }
	ln -s "usr/src/linux-headers-$release" "$root/build"
}

vm_kernel() {
	local suite image release version dir tmp headers
	if [ "$1" = debug ] && [ -n "${MEMX_DEBUG_KERNEL-}" ]; then
		echo "$MEMX_DEBUG_KERNEL"
		return
	elif [ "$1" = debug ]; then
		"$top/tests/vm/debug-kernel"
		return
	fi
	suite=$(vm_suite "$1") || return 1
	mkdir -p "$vm_cache"
	exec 8>"$vm_cache/$suite.lock"
	flock 8
	vm_apt_update "$suite" || return 1
	image=$(vm_apt "$suite" apt-cache depends linux-image-amd64 | awk '$1 == "Depends:" { print $2; exit }')
	release=${image#linux-image-}
	version=$(vm_apt "$suite" apt-cache show --no-all-versions "$image" | awk '$1 == "Version:" { print $2 }')
	dir=$vm_cache/vm-$release-${version//:/_}
	if [ ! -d "$dir" ]; then
		echo "vm: fetching the kernel $release $version and its headers (unpacked only)" >&2
		headers=$(vm_apt "$suite" apt-cache depends "linux-headers-$release" |
			sed -n 's/^ *Depends: \(linux-\(headers\|kbuild\).*\)/\1/p')
		tmp=$(mktemp -d "$vm_cache/unpack.XXXXXX")
		# shellcheck disable=SC2086
		(cd "$tmp" && vm_apt "$suite" apt-get -qq download "$image" "linux-headers-$release" $headers >&2 &&
			for d in *.deb; do dpkg-deb -x "$d" root; done) || {
			rm -rf "$tmp"
			return 1
		}
		vm_relocate "$tmp/root" "$dir" "$release"
		chmod 755 "$tmp/root"
		mv "$tmp/root" "$dir"
		rm -rf "$tmp"
	fi
	exec 8>&-
	echo "$dir"
}

# The headers of a release want its compiler: another release's builds in a root.
vm_modules() {
	local suite=bookworm dir out=$top/build/kmod/$1 root here
	[ "$1" = debug ] || suite=$(vm_suite "$1") || return 1
	dir=$(vm_kernel "$1") || return 1
	# shellcheck disable=SC1091
	here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	if [ "$here" = "$suite" ]; then
		"$top/tools/build-kmod" "$dir/build" "$out"
		return
	fi
	cache=${vm_cache%/kernel}
	# shellcheck source=tools/roots.sh
	. "$top/tools/roots.sh"
	# shellcheck disable=SC2086
	root=$(root_build "$suite" $roots_build_packages) || return 1
	mkdir -p "$out"
	root_run "$root" "$top:$top" "$vm_cache:$vm_cache" -- "$top/tools/build-kmod" "$dir/build" "$out"
}
