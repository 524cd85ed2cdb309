# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2154
#
# Guests whose root is Debian's, with systemd as their init; sourced by tests/vm/image.
#
#   debian_tree NAME DIR     makes the root of guest NAME in DIR
#
# A case says debian="NAME...", debian_packages (Debian's packages in these roots) and
# own_debs (packages of this tree, built for that release and installed by dpkg as a user
# would; what they depend on is there), and has a function
# setup_NAME ROOT, run here, that writes what an administrator would. The kernel's and
# MemX's modules are those of the other guests, the latter where DKMS puts them. In the
# guest tests/vm/debian-role plays role_NAME once all is up; then the machine is switched
# off by systemd, and at the very end of that debian-down calls down_NAME, if the case has
# it, and reports the result.

debian_base="systemd-sysv udev kmod iproute2"

# The release that the kernel is of.
debian_suite() {
	[ "$kernel" = debug ] && vm_suite 6.1 || vm_suite "$kernel"
}

# Packages of this tree for that release: paths.
debian_own() {
	local deb suite release
	suite=$(debian_suite)
	release="--release $suite"
	[ "$suite" != "$(. /etc/os-release && echo "$VERSION_CODENAME")" ] || release=
	# shellcheck disable=SC2086
	"$top/tools/build-deb" $release | while read -r deb; do
		case " $own_debs " in
		*" $(dpkg-deb -f "$top/$deb" Package) "*) echo "$top/$deb" ;;
		esac
	done
}

# Names of Debian's packages that they depend on.
debian_depends() {
	local deb
	for deb in $(debian_own); do
		dpkg-deb -f "$deb" Depends | tr ',' '\n' | sed 's/[(|:].*//'
	done | sort -u
}

debian_install() {
	local root=$1 deb
	mkdir -p "$root/debs"
	for deb in $(debian_own); do cp "$deb" "$root/debs/"; done
	ls "$root"/debs/*.deb >/dev/null || return 1
	root_run "$root" -- sh -c 'dpkg -i /debs/*.deb' >"$out.new/log" 2>&1 || {
		tail -n 20 "$out.new/log" >&2
		return 1
	}
	rm -r "$root/debs"
}

debian_modules() {
	local root=$1 to=$1/lib/modules/$release m
	mkdir -p "$root/lib/modules"
	cp -r "$tree/lib/modules/$release" "$root/lib/modules/"
	mkdir -p "$to/updates/dkms"
	for m in $own; do mv "$to/$m.ko" "$to/updates/dkms/"; done
	depmod -b "$root" "$release"
}

# The network as an administrator sets it up who has systemd-networkd.
debian_network() {
	local root=$1 name=$2 i=0 g
	for g in $guests; do
		i=$((i + 1))
		[ "$g" != "$name" ] || break
	done
	printf '[Match]\nName=eth0\n[Network]\nAddress=10.77.0.%d/24\n' "$i" >"$root/etc/systemd/network/eth0.network"
	echo "$name" >"$root/etc/hostname"
	printf '127.0.0.1 localhost\n10.77.0.%d %s\n' "$i" "$name" >"$root/etc/hosts"
	printf '%032x\n' "$((i + 16))" >"$root/etc/machine-id"
	root_run "$root" -- systemctl enable systemd-networkd.service >"$out.new/log" 2>&1
}

# What plays the role: at the end of PATH there is busybox, for what Debian's root lacks.
debian_role() {
	local root=$1 applet
	mkdir -p "$root/vm/bin"
	cp "$tree/bin/busybox" "$root/vm/bin/"
	for applet in $(busybox --list); do
		[ -e "$root/vm/bin/$applet" ] || ln -s busybox "$root/vm/bin/$applet"
	done
	cp "$here/functions.sh" "$root/lib/functions.sh"
	cp "$case_file" "$root/case"
	install -m 755 "$here/debian-role" "$root/vm/role"
	install -D -m 755 "$here/debian-down" "$root/usr/lib/systemd/system-shutdown/vm-down"
	cat >"$root/etc/systemd/system/vm-role.service" <<-END
		[Unit]
		Description=The role of this guest
		Wants=network-online.target
		After=network-online.target remote-fs.target swap.target systemd-user-sessions.service
		[Service]
		ExecStart=/vm/role
		TimeoutStopSec=10
		[Install]
		WantedBy=multi-user.target
	END
	root_run "$root" -- sh -c 'systemctl enable vm-role.service &&
		systemctl mask getty@tty1.service serial-getty@ttyS0.service systemd-logind.service \
			e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer' >"$out.new/log" 2>&1
	ln -s lib/systemd/systemd "$root/init"
}

debian_tree() {
	local name=$1 root=$2 suite base
	suite=$(debian_suite)
	cache=${vm_cache%/kernel}
	# shellcheck source=tools/roots.sh
	. "$top/tools/roots.sh"
	# shellcheck disable=SC2086
	base=$(root_small "$suite" $debian_base $debian_packages $(debian_depends)) || return 1
	cp -a "$base" "$root"
	chmod 755 "$root"
	[ -z "$own_debs" ] || debian_install "$root" || return 1
	debian_modules "$root"
	debian_network "$root" "$name"
	debian_role "$root"
	"setup_$name" "$root"
	rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
}
