#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU 7.2's own block tests on memx, raw: see tests/iotests/run.
exec "$(dirname "$0")/../iotests/run" raw
