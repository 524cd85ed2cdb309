#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The packages of Debian 13 in a clean root of it: installed, used with the QEMU that
# it ships, upgraded under a running server, removed.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/packages.sh"

packages_test trixie 10.0
