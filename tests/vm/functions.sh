# SPDX-License-Identifier: GPL-2.0-or-later
# Functions for the roles of a case (busybox sh). fd 3 is the report port.

# A line for the host, shown on the console as well.
report() {
	echo "$*" >&3
	echo "== $*"
}

fail() {
	report "error $*"
	exit 1
}

# The address of a guest by its place in the case's list, from 1.
address() {
	echo "10.77.0.$1"
}

# await WORD: until another guest tells it.
await() {
	heard=
	until [ "$heard" = "$1" ]; do
		heard=$(nc -l -p 9900) || sleep 1
	done
}

# tell N WORD: repeats until guest N has heard it.
tell() {
	until echo "$2" | nc -w 5 "$(address "$1")" 9900 2>/dev/null; do
		sleep 0.2
	done
}

# Until TCP port $2 of guest $1 is open.
await_port() {
	until nc -w 2 "$(address "$1")" "$2" </dev/null 2>/dev/null; do
		sleep 0.2
	done
}

# value N: a number of fio's terse output (version 3), by field.
fio_field() {
	echo "$1" | cut -d';' -f"$2"
}
