#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# 263, live migration, with QEMU 10.0.
set -eu
. "$(dirname "$0")/qemu-10.0.sh"

folder=$(mktemp -d "${TMPDIR:-/tmp}/memx-943.XXXXXX")
trap 'rm -rf "$folder"' EXIT
qemu_10_path "$folder"
"$(dirname "$0")/263-migration.sh"
