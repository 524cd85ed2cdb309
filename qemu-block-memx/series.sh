# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The QEMU series the driver is built for and the Debian suite that ships each.
# Sourced by the scripts beside it.

# shellcheck disable=SC2034
all_series="7.2 10.0"

series_suite() {
	case "$1" in
	7.2) echo bookworm ;;
	10.0) echo trixie ;;
	*)
		echo "unknown QEMU series '$1'; known: $all_series" >&2
		return 2
		;;
	esac
}

# The root of that release in which QEMU is built, in the cache: what is in it besides
# QEMU's build dependencies, and its name, another one when that changes.
# shellcheck disable=SC2034
series_root_packages=libgcrypt20-dev,pkg-config,seabios,ipxe-qemu,qemu-system-data
series_root() {
	printf 'root-%s-%s\n' "$1" "$(echo "$series_root_packages" | sha256sum | cut -c1-12)"
}
