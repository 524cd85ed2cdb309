# SPDX-License-Identifier: GPL-2.0-or-later
# Functions for the guest's init and jobs (busybox sh). fd 3 is the report port.

# A line for the host, shown on the console as well.
report() {
	echo "$*" >&3
	echo "== $*"
}

fail() {
	report "error $*"
	exit 1
}

# load_modules NAME...: each with what it needs, in the order the image was built with.
load_modules() {
	for top in "$@"; do
		while read -r file; do
			name=$(echo "${file%.ko}" | tr - _)
			[ -d "/sys/module/$name" ] || insmod "/lib/modules/$file" || return 1
		done <"/lib/modules/$top.order"
	done
}

# The device node of the disk with this serial number.
disk() {
	for sys in /sys/block/vd*; do
		if [ "$(cat "$sys/serial" 2>/dev/null)" = "$1" ]; then
			echo "/dev/${sys##*/}"
			return 0
		fi
	done
	fail "the guest has no disk with the serial number $1"
}

# Pages moved from and to swap since boot: "IN OUT".
swap_pages() {
	awk '$1 == "pswpin" { i = $2 } $1 == "pswpout" { o = $2 } END { print i, o }' /proc/vmstat
}

seconds() {
	cut -d' ' -f1 /proc/uptime
}

# What is read next comes from the disks.
drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# fs_check DEVICE TYPE: fsck of a file system that is not mounted.
fs_check() {
	report "step fsck"
	case $2 in
	ext4) e2fsck -f -n "$1" ;;
	xfs) xfs_repair -n "$1" ;;
	esac || fail "fsck of $2 finds errors (status $?)"
}

# fs_compare DEVICE TYPE: the files of /dir against the checksums in /sums.
fs_compare() {
	report "step compare"
	mount -t "$2" "$1" /mnt/disk
	(cd /mnt/disk/dir && sha256sum -c ../sums >/tmp/sums.log) ||
		fail "files differ: $(grep -v OK /tmp/sums.log | head -n 3 | tr '\n' ' ')"
	umount /mnt/disk
}
