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
}

# In namespaces systemd may say that it failed (EIO, auxiliary processes) though memxd has
# the signal, which is looked at by whoever calls this.
kill_service() {
	box systemctl kill memxd.service || :
}

# Lets waiting for data be tested in seconds, and the log outlive systemd.
be_impatient() {
	# shellcheck disable=SC2016
	box_sh 'mkdir -p /etc/systemd/system/memxd.service.d
		printf "%s\n" "[Service]" "TimeoutStopSec=5" ExecStop= \
			"$(sed -n "/^ExecStop=/s/60$/5/p" "$1")" "StandardError=append:/var/log/memxd.log" \
			>/etc/systemd/system/memxd.service.d/test.conf
		systemctl daemon-reload' "$(box systemctl show -P FragmentPath memxd.service)"
	property TimeoutStopUSec 5s && box systemctl show -P ExecStop memxd.service | grep 'memxd-stop 5 '
}

# stop_waits PID: for longer than TimeoutStopSec, and longer than that is renewed for.
stop_waits() {
	local seconds=$SECONDS
	! box timeout 14 systemctl stop memxd.service || return 1
	echo "after $((SECONDS - seconds)) s"
	property ActiveState deactivating && is_main_pid "$1"
}

test_service_stop() {
	local pid
	pid=$(main_pid) || pid=none
	check "a stop may take five seconds, unless there is a reason" be_impatient
	box systemctl stop --no-block memxd.service
	check "asked to stop it says what would be lost" status_text 'only copy of 1.1 MiB in 1 volumes'
	check "and what ends it" status_text 'systemctl kill memxd.* ends it at once'
	check "it is waited for, and asking again changes nothing" stop_waits "$pid"
	check "it goes on with all it held" qemu_io "${pattern[@]}"
	kill_service
	check "what its status named ends it, which is no failure" ends_well
}

still_there() {
	property ActiveState active && is_main_pid "$1" && qemu_io "read -P 0x5a 0 1M"
}

# A signal of the administrator's own, without a stop.
test_service_signal() {
	local pid
	check "it starts again, empty" box systemctl start memxd.service
	check "a volume is made anew" holds_again
	pid=$(main_pid) || pid=none
	kill_service
	sleep 8
	check "one signal ends nothing, also after TimeoutStopSec" still_there "$pid"
	check "its status says so" status_text 'only copy of'
	box systemctl stop --no-block memxd.service
	check "nor does a stop after it, which waits" stop_waits "$pid"
	kill_service
	check "a second one does" ends_well
}

still_waits() {
	sleep 1
	property ActiveState deactivating && [ "$(box systemctl is-system-running)" = stopping ]
}

# What runs still, and the few jobs all others wait for.
why_not_ended() {
	box ps -e -o pid,ppid,etimes,args
	box systemctl list-jobs --no-pager | grep -v ' waiting'
}

# Within $1 seconds.
box_ends() {
	local began=$SECONDS
	while kill -0 "$box_holder" 2>/dev/null; do
		[ $((SECONDS - began)) -lt "$1" ] || { why_not_ended; return 1; }
		sleep 0.2
	done
	echo "after $((SECONDS - began)) s"
}

gave_up_at_shutdown() {
	cat "$root/var/log/memxd.log"
	[ "$(grep -c 'stopping at the second signal: .* are lost' "$root/var/log/memxd.log")" = 1 ]
}

# As test_service_stop, and then the machine is switched off.
test_service_shutdown() {
	local release=$1
	check "it starts again, empty" box systemctl start memxd.service
	check "a volume is made once more" volume_is_made
	check "and written to" qemu_io "write -P 0x5a 0 1M" flush
	: >"$root/var/log/memxd.log"
	box systemctl stop --no-block memxd.service
	sleep 7
	check "a stop waits" property ActiveState deactivating
	check "the machine is switched off" box systemctl --no-block poweroff
	check "which waits for a while" still_waits
	check "and not for ever" box_ends 30
	check "what was lost is said" gave_up_at_shutdown
	box_stop
	rm -r "$root/etc/systemd/system/memxd.service.d" "$root/var/log/memxd.log"
	step "the machine is switched on" "$work/systemd.log" box_start_systemd "$release" || :
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

holds_again() {
	volume_is_made && qemu_io "write -P 0x5a 0 1M" flush
}

within_a_minute() {
	local deadline=$((SECONDS + 60))
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.2
	done
}

# A removal waits, too, and is told how to go on.
removed_when_told() {
	local output killer
	{ within_a_minute property ActiveState deactivating && sleep 4 &&
		kill_service; } >/dev/null 2>&1 &
	killer=$!
	output=$(removed remove memxd memxctl qemu-block-memx 2>&1) || { echo "$output" && return 1; }
	wait "$killer" || return 1
	echo "$output"
	grep -q "memxd is still ending; 'systemctl status memxd' says" <<<"$output"
}

test_service_end() {
	check "it is there again, empty" server_seen_soon
	check "after a crash another is started" comes_back "$(main_pid)"
	check "a library is replaced once more" replace_library
	check "without our file needrestart restarts memxd" needrestart_restarts
	check "a volume is made and written to" holds_again
	check "the packages are removed, which says why that takes long" removed_when_told
	check "and ended the server" has_ended
	check "the packages are purged" removed purge memxd memxctl qemu-block-memx
	box rm -rf /etc/memx/key /newer
	box rmdir /etc/memx 2>/dev/null || :
	check "nothing of them is left" left_behind
	check "systemd does not know of memxd any more" property LoadState not-found
}

# Its unit may be gone by then; what came of it systemd still knows, and the journal.
has_ended() {
	property ActiveState inactive && return
	box systemctl show --no-pager memxd.service | grep -E '^(Result|Exec(Main|Start|Stop)|SuccessExit|Fragment|Job|Load)'
	box journalctl --no-pager -n 60 -u memxd.service
	return 1
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
			check "it has none of this machine's devices" box_sh 'ls /dev; ! [ -e /dev/kmsg ] && ! [ -e /dev/tty0 ]'
			test_start
			test_service_upgrade
			test_service_stop
			test_service_signal
			test_service_shutdown "$release"
			test_service_end
		else
			ok "systemd of $release runs # SKIP not in namespaces here: $(tail -n 1 "$work/systemd.log")"
		fi
	fi
	tap_done
}
