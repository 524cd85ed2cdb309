#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU 10.0 of Debian 13 rebuilt with the driver, its packages installed in a clean root:
# what needs the schema works. (The rebuild is long the first time.)
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/packages.sh"
. "$(dirname "$0")/rebuilt.sh"

rebuilt_test trixie 10.0
