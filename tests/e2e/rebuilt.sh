# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# QEMU's packages rebuilt with the driver, in a clean root of a release. For sourcing
# by numbered scripts after packages.sh, which call rebuilt_test RELEASE SERIES.

# Of the folder that rebuild.sh prints last: what emulator and tools consist of.
rebuild_qemu() {
	local folder name
	folder=$("$top/qemu-block-memx/rebuild.sh" "$1" | tail -n 1)
	[ -d "$folder" ] || return 1
	for name in qemu-utils qemu-system-x86 qemu-system-common qemu-block-extra; do
		debs+=("$folder/$name"_*.deb)
	done
}

installs_rebuilt() {
	apt_install '/debs/memx*.deb' '/debs/qemu-[us]*.deb' '/debs/qemu-block-extra_*.deb' && box dpkg --audit && box dpkg --verify
}

is_rebuilt() {
	box qemu-img --version | tee "$work/version"
	grep -q "+memx" "$work/version"
}

# Without memx-run, by the schema.
opens_by_itself() {
	box timeout 60 qemu-img info --output=json memx:disk | jq -es '.[0] | ."virtual-size" == 48 * 1048576'
}

blockdev='{"driver": "memx", "node-name": "m", "volume": "disk"}'

writes_by_schema() {
	box timeout 60 qemu-io --image-opts -c "write -P 0x5a 0 1M" -c "write -P 0xc3 20M 68k" -c flush \
		driver=memx,volume=disk
}

storage_daemon_exports() {
	# shellcheck disable=SC2016
	box_sh 'qemu-storage-daemon --blockdev "$1" --nbd-server addr.type=unix,addr.path=/run/nbd \
			--export type=nbd,id=e,node-name=m,name=disk,writable=off --pidfile /run/qsd.pid &
		for i in 1 2 3 4 5 6 7 8 9 10; do
			[ ! -s /run/qsd.pid ] || break
			sleep 1
		done
		timeout 30 qemu-io -r -f raw -c "read -P 0x5a 0 1M" -c "read -P 0xc3 20M 68k" \
			"nbd+unix:///disk?socket=/run/nbd"
		kill "$(cat /run/qsd.pid)"
		wait' "$blockdev"
}

# An emulator with -blockdev, asked over QMP what it has.
system_has_blockdev() {
	local output
	# shellcheck disable=SC2016
	output=$(box_sh 'printf "%s\n" "{\"execute\": \"qmp_capabilities\"}" \
			"{\"execute\": \"query-named-block-nodes\"}" "{\"execute\": \"quit\"}" |
		timeout 60 qemu-system-x86_64 -M none -nodefaults -display none -qmp stdio \
			-blockdev "$1"' "$blockdev")
	echo "$output"
	grep -q '"drv": "memx"' <<<"$output"
}

works_beside() {
	apt_install '/debs/qemu-block-memx_*.deb' && box memx-run --which qemu-img | grep -q '^built in' &&
		box timeout 60 memx-run qemu-img info memx:disk
}

rebuilt_test() {
	local release=$1 series=$2
	packages_need
	if packages_built "$release" &&
		step "QEMU $series of $release is rebuilt" "$work/rebuild.log" rebuild_qemu "$series" &&
		step "there is a clean root of $release" "$work/root.log" prepare_root "$release"; then
		box_start_plain "$release"
		install_systemctl
		check "the packages install with what they depend on" installs_rebuilt
		check "QEMU says that it is rebuilt" is_rebuilt
		check "keys and configuration are written" configure
		check "memxd runs" server_runs
		check "a volume is made" volume_is_made
		check "qemu-img opens it by itself" opens_by_itself
		check "qemu-io writes to it" writes_by_schema
		check "qemu-storage-daemon exports it" storage_daemon_exports
		check "qemu-system-x86_64 has it by -blockdev" system_has_blockdev
		check "the package for stock QEMU does not disturb" works_beside
		check "all of it is removed" removed purge memxd memxctl \
			qemu-block-memx qemu-utils qemu-system-x86 qemu-system-common
		box rm -rf /etc/memx/key
		box rmdir /etc/memx 2>/dev/null || :
		check "nothing of memx is left" left_behind
	fi
	tap_done
}
