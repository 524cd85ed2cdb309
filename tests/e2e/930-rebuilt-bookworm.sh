#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU 7.2 of Debian 12 rebuilt with the driver, its packages installed in a clean root:
# what needs the schema works. (The rebuild is long the first time.)
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/packages.sh"
. "$(dirname "$0")/rebuilt.sh"

rebuilt_test bookworm 7.2
