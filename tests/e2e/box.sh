# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Some variables are shared with the sourcing script.
# shellcheck disable=SC2154,SC2034
#
# A clean root of a Debian release, and a place to run things in it: namespaces of
# its own for mounts, processes and network. For sourcing after lib.sh.
#
#   debs=(FILE...)                 our packages, copied to /debs in the root
#   prepare_root SUITE [PACKAGE..] makes $root, and fills apt's cache with what our
#                                  packages and these need
#   box_start_plain SUITE          starts the box; box_stop ends it
#   box_start_systemd SUITE        with systemd, which the root must have
#   box COMMAND..., box_sh TEXT    runs that in it
#   apt_install PACKAGE...         by apt, which has its cache and no network
#
# The root goes when the script ends.

top=$pool_top
cache=${MEMX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/memx}
. "$top/tools/roots.sh"

root=
box_holder=
box_pid=

box_end() {
	box_stop
	[ -z "$root" ] || rm -rf --one-file-system "$root"
}
e2e_at_end=box_end

# box_start SUITE COMMAND...: with that as its first process.
box_start() {
	local archives=$cache/roots/archives-$1
	shift
	mkdir -p "$root/var/cache/apt/archives" "$root/sys/fs/cgroup"
	touch "$root/.test-box"
	# systemd wants the mounts shared, to hand credentials to services.
	# shellcheck disable=SC2016
	unshare --mount --net --pid --uts --ipc --cgroup --fork --kill-child \
		--propagation private bash -c '
		set -eu
		root=$1
		mount --bind "$root" "$root"
		mount --bind "$2" "$root/var/cache/apt/archives"
		mount -t proc proc "$root/proc"
		mount -t sysfs -o ro sysfs "$root/sys"
		mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" || :
		# systemd would mount the devices of this machine: its terminals, its log.
		mount -t tmpfs -o mode=755 tmpfs "$root/dev"
		mkdir "$root/dev/shm" "$root/dev/pts"
		for device in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do
			mknod -m 666 "$root/dev/${device% *}" c 1 "${device#* }"
		done
		mknod -m 666 "$root/dev/tty" c 5 0
		mount -t devpts -o newinstance,mode=620,ptmxmode=666,gid=5 devpts "$root/dev/pts"
		ln -s pts/ptmx "$root/dev/ptmx"
		ln -s /proc/self/fd "$root/dev/fd"
		for stream in 0:stdin 1:stdout 2:stderr; do
			ln -s "fd/${stream%:*}" "$root/dev/${stream#*:}"
		done
		for folder in dev/shm run tmp; do
			mount -t tmpfs -o mode=1777 tmpfs "$root/$folder"
		done
		PATH=$PATH:/usr/sbin:/sbin
		ip link set lo up
		shift 2
		cd "$root"
		mount --move . /
		mount --make-rshared .
		exec chroot . env -i container=memx PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
	' bash "$root" "$archives" "$@" </dev/null >"$work/box.log" 2>&1 &
	box_holder=$!
	until box true 2>/dev/null; do
		kill -0 "$box_holder" 2>/dev/null || { cat "$work/box.log" && return 1; }
		sleep 0.1
		box_pid=$(cat "/proc/$box_holder/task/$box_holder/children" 2>/dev/null) || :
		# A process that has not yet changed its root would let us into ours.
		box_pid=${box_pid%% *}
		[ -e "/proc/${box_pid:-none}/root/.test-box" ] || box_pid=
	done
}

box_stop() {
	[ -n "$box_holder" ] || return 0
	kill -KILL "$box_holder" 2>/dev/null || :
	wait "$box_holder" 2>/dev/null || :
	box_holder=''
	box_pid=''
}

# Takes in orphans, so that a server that ended is gone.
box_start_plain() {
	# shellcheck disable=SC2016
	box_start "$1" /bin/bash -c 'while :; do sleep 3600 & wait $!; done'
}

box_start_systemd() {
	local state deadline=$((SECONDS + 30))
	box_start "$1" /lib/systemd/systemd --system --unit=multi-user.target
	while [ "$SECONDS" -lt "$deadline" ]; do
		# It says "degraded" when a service failed that cannot run here.
		state=$(box systemctl is-system-running 2>&1) || :
		case $state in
		running | degraded) return 0 ;;
		esac
		sleep 0.2
	done
	echo "systemd is not running after 30 seconds: $state"
	return 1
}

box() {
	[ -n "$box_pid" ] || return 1
	nsenter --target "$box_pid" --mount --net --pid --uts --ipc --cgroup --root --wd \
		env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@" </dev/null
}

# box_sh TEXT [ARGUMENT...]
box_sh() {
	local text=$1
	shift
	box sh -euc "$text" sh "$@"
}

# Packages, and patterns of files in the root. The root is the box's alone; the
# archives are not, but are only read: no locks.
apt_install() {
	# shellcheck disable=SC2016
	box_sh 'exec apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 \
		-o APT::Sandbox::User=root -o Debug::NoLocking=1 install $*' "$@"
}

# Fetches what installing $@ in the root needs, by this machine's apt and its
# configuration (a proxy, say), into the folder $1.
fetch_needed() {
	local archives=$1
	shift
	mkdir -p "$archives/partial"
	apt-get -qq -y --no-install-recommends --download-only -o "Dir=$root" \
		-o "Dir::State::status=$root/var/lib/dpkg/status" \
		-o "Dir::Cache::archives=$archives" -o APT::Sandbox::User=root \
		-o Acquire::Retries=3 -o Debug::NoLocking=1 install "$@" >"$work/fetch.log" 2>&1
}

unpack_root() {
	local tar
	[ -z "$root" ] || rm -rf --one-file-system "$root"
	tar=$(root_base "$1")
	# What a script that was killed left behind.
	find "$cache/roots" -maxdepth 1 -name 'test-*' -mtime +1 -exec rm -rf --one-file-system {} +
	root=$(mktemp -d "$cache/roots/test-XXXXXX")
	chmod 755 "$root"
	tar -x -C "$root" -f "$tar"
	# Nobody needs this root after a power cut.
	echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/fast"
	mkdir -p "$root/debs"
	cp "${debs[@]}" "$root/debs/"
}

# prepare_root RELEASE [PACKAGE...]: a clean root, and in apt's cache what our packages
# and these need. The base's package lists may name what the archive no longer has:
# then once more with a new base.
prepare_root() {
	local release=$1 archives=$cache/roots/archives-$1
	shift
	unpack_root "$release"
	if ! fetch_needed "$archives" "$@" "$root"/debs/*.deb; then
		rm -f "$cache/roots/base-$release.tar"
		unpack_root "$release"
		fetch_needed "$archives" "$@" "$root"/debs/*.deb || {
			tail -n 5 "$work/fetch.log"
			return 1
		}
	fi
}
