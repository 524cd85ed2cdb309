#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Most holders of a volume are gone for good: nothing goes on by itself, and
# `volume recover` does with what is left.
set -eu
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tools.sh"
need_tools

pool_start 3 64M
if ctl volume recover v 2>&1 | grep -q "not there yet"; then
	skip_all "memxctl volume recover does nothing yet"
fi
ctl volume create v 30M >/dev/null
bench --op write --bytes 128K --depth 4 --count 240 --quiet v >/dev/null
before=$(ctl volume info v --json | jq -r '.servers[] | select(.name == "s1") | .extents')
check "each server has some of it" [ "$before" -gt 0 ]
pool_server_kill s2
pool_server_kill s3
gives 5 "recover" "status says that most holders do not answer, and the remedy" ctl status
gives 1 "recover" "it cannot be opened, and that is said with the remedy" bench --count 1 v
gives 0 "can be opened again
file system" "recover" ctl volume recover v
after=$(ctl volume info v --json | jq -r '.servers[] | select(.name == "s1") | .extents')
equal "what the last server holds is left" "$after" "$before"
gives 5 "lost" "what the others held is lost" ctl status
gives 1 "lost" "reading it is an error" bench --op read --bytes 128K --count 240 v
gives 0 '"failed": 0' "writing anew works" bench --op write --bytes 128K --count 240 v
gives 0 '"failed": 0' "then all can be read" bench --op read --bytes 128K --count 240 v
gives 3 "nosuch" "a volume there is not" ctl volume recover nosuch
tap_done
