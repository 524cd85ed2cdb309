# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# memxd as a service of a running systemd, in a box with a Debian release of its own.
# For sourcing by numbered scripts after packages.sh, which call systemd_test RELEASE.

# Fails when it is not running.
main_pid() {
	local pid
	pid=$(box systemctl show -P MainPID memxd.service)
	[ -n "$pid" ] && [ "$pid" != 0 ] && echo "$pid"
}

is_main_pid() {
	local pid
	pid=$(main_pid) && echo "it was $1, is $pid" && [ "$pid" = "$1" ]
}

# property NAME VALUE: of the service.
property() {
	local value
	value=$(box systemctl show -P "$1" memxd.service)
	echo "$1 is $value"
	[ "$value" = "$2" ]
}

is_off() {
	local enabled
	enabled=$(box systemctl is-enabled memxd.service) || :
	echo "$enabled"
	[ "$enabled" = disabled ] && property ActiveState inactive
}

# A start that fails once and for all, with the reason in the log.
start_says() {
	local output
	box systemctl reset-failed memxd.service
	! box systemctl start memxd.service || return 1
	sleep 2
	output=$(box journalctl --no-pager -o cat -u memxd.service)
	echo "$output"
	grep -q -- "$1" <<<"$output" && property ActiveState failed && property NRestarts 0
}

has_no_rights() {
	local status
	status=$(box cat "/proc/$(main_pid)/status")
	grep -E '^(Uid|Cap|NoNewPrivs|Seccomp:)' <<<"$status"
	! grep -q '^Uid:.*\b0\b' <<<"$status" && grep -q '^NoNewPrivs:.1' <<<"$status" &&
		grep -q '^Seccomp:.2' <<<"$status" && grep -q '^CapBnd:.0*$' <<<"$status"
}

# What it says of itself in `systemctl status`.
status_text() {
	local text deadline=$((SECONDS + 15))
	while :; do
		text=$(box systemctl show -P StatusText memxd.service)
		echo "$text"
		! grep -q "$1" <<<"$text" || return 0
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.5
	done
}

# kill -9, as a crash: systemd starts another, which holds nothing.
comes_back() {
	local pid=$1 now deadline=$((SECONDS + 15))
	box systemctl kill --signal=KILL memxd.service
	while [ "$SECONDS" -lt "$deadline" ]; do
		now=$(main_pid) || now=$pid
		[ "$now" = "$pid" ] || ! server_is_seen || return 0
		sleep 0.2
	done
	box systemctl status --no-pager memxd.service
	return 1
}

test_start() {
	check "the packages install while systemd runs" installs_quietly
	check "memxd is neither enabled nor started" is_off
	check "told nothing it does not start, and is not tried again" start_says '--memory'
	check "keys and configuration are written" configure
	check "it is enabled and started" box systemctl enable --now --quiet memxd.service
	check "and serves, with the key that only root can read" server_seen_soon
	check "it has a user of its own, and no rights" has_no_rights
	check "its figures are in its status" status_text ' in use, 0 volumes$'
	if box sh -c 'ulimit -l unlimited' 2>/dev/null; then
		check "its memory is locked" box grep 'VmLck:.*[1-9][0-9]* kB' "/proc/$(main_pid)/status"
	else
		ok "its memory is locked # SKIP root may not raise the limit of locked memory here"
	fi
	check "a volume is made" volume_is_made
	check "QEMU's own qemu-io writes to it" qemu_io "write -P 0x5a 0 1M" "write -P 0xc3 20M 68k" flush
}

installs_quietly() {
	apt_install '/debs/*.deb' && box dpkg --audit
}

server_seen_soon() {
	local deadline=$((SECONDS + 15))
	until server_is_seen; do
		[ "$SECONDS" -lt "$deadline" ] || { box systemctl status --no-pager memxd.service; return 1; }
		sleep 0.2
	done
}

test_service_upgrade() {
	local pid
	pid=$(main_pid) || pid=none
	make_newer
	check "the packages are upgraded" apt_install '/newer/*.deb'
	check "to the new version" version_is memxd +newer
	check "the running server still runs" is_main_pid "$pid"
	check "with all it held" qemu_io "${pattern[@]}"
	check "and systemd knows the new unit" property NeedDaemonReload no
	check "a library of its is replaced" replace_library
	check "which it goes on to use" old_library_is_used
	check "needrestart looks for such" needrestart_runs
	check "and leaves memxd running" is_main_pid "$pid"
	check "with all it held" qemu_io "${pattern[@]}"
	box systemctl stop --no-block memxd.service
	check "asked to stop it says what would be lost" status_text 'only copy of 1.1 MiB in 1 volumes'
	check "and goes on until it is asked again" qemu_io "${pattern[@]}"
	box systemctl kill memxd.service
	check "then it ends, which is no failure" ends_well
}

# As apt does after an upgrade: all that runs with replaced libraries is restarted.
replace_library() {
	# shellcheck disable=SC2016
	apt_install --reinstall "$(box_sh 'dpkg-query -W -f "\${Package}\n" "libglib2.0-0*" | head -n 1')"
}

old_library_is_used() {
	box sh -c 'grep "libglib.*(deleted)" "/proc/$1/maps"' sh "$(main_pid)"
}

needrestart_runs() {
	box env DEBIAN_FRONTEND=noninteractive needrestart -v -r a -l 2>&1
}

# A test of the test: without our file memxd is restarted.
needrestart_restarts() {
	local pid
	pid=$(main_pid)
	box mv /etc/needrestart/conf.d/memxd.conf /root/
	needrestart_runs
	box mv /root/memxd.conf /etc/needrestart/conf.d/
	! is_main_pid "$pid"
}

ends_well() {
	local deadline=$((SECONDS + 10))
	until property ActiveState inactive >/dev/null; do
		[ "$SECONDS" -lt "$deadline" ] || break
		sleep 0.2
	done
	property ActiveState inactive && property Result success
}

test_service_end() {
	check "it starts again, empty" box systemctl start memxd.service
	check "after a crash another is started" comes_back "$(main_pid)"
	check "a library is replaced once more" replace_library
	check "without our file needrestart restarts memxd" needrestart_restarts
	check "the packages are removed" removed remove memxd memxctl qemu-block-memx
	check "which ended the server" property ActiveState inactive
	check "the packages are purged" removed purge memxd memxctl qemu-block-memx
	box rm -rf /etc/memx/key /newer
	box rmdir /etc/memx 2>/dev/null || :
	check "nothing of them is left" left_behind
	check "systemd does not know of memxd any more" property LoadState not-found
}

systemd_test() {
	local release=$1
	packages_need
	if packages_built "$release" &&
		step "there is a root of $release" "$work/root.log" prepare_root "$release" systemd needrestart; then
		box_start_plain "$release"
		step "systemd is installed in it" "$work/install.log" apt_install systemd needrestart || { tap_done && return; }
		box_stop
		if box_start_systemd "$release" >"$work/systemd.log" 2>&1; then
			ok "systemd of $release runs"
			test_start
			test_service_upgrade
			test_service_end
		else
			ok "systemd of $release runs # SKIP not in namespaces here: $(tail -n 1 "$work/systemd.log")"
		fi
	fi
	tap_done
}
