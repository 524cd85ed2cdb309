#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The kernel modules' package on Debian 13: DKMS builds them, an upgrade builds them
# anew, a removal leaves nothing.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/packages.sh"
. "$(dirname "$0")/dkms.sh"

dkms_test trixie
