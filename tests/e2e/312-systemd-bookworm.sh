#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# memxd as a service of Debian 12's systemd: started, upgraded, stopped, crashed,
# removed.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/packages.sh"
. "$(dirname "$0")/systemd.sh"

systemd_test bookworm
