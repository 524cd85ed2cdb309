#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU 10.0's own block tests on memx, raw: see tests/iotests/run.
exec "$(dirname "$0")/../iotests/run" --series 10.0 raw
