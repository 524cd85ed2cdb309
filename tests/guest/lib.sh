# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# guest_work and other variables named below belong to the sourcing script as well.
# shellcheck disable=SC2154,SC2034
#
# Booting test guests, for sourcing by bash scripts that run under set -eu.
#
#   guest_start NAME FLAVOUR MEM_MIB WORDS DISK...
#   guest_wait NAME SECONDS [ON_LINE [ON_TICK]]
#   guest_kill NAME
#
# WORDS go on the guest's kernel command line ("memx.jobs=... memx.x=y"); a
# DISK is SERIAL=DRIVE where DRIVE is what stands behind -drive (without if=
# and id=). A guest's files are in $guest_work/NAME: report (what it wrote to
# its second serial port, the only place where success can come from),
# console.log, console.sock, monitor.sock, qemu.log, pid.
#
#   guest_qmp NAME COMMAND     what QEMU's monitor answers to a command without arguments
#
# The caller sets guest_work, and may set guest_launcher (words before qemu),
# guest_keep=1 (leave the guest running when the caller ends), guest_smp,
# guest_args (further words for QEMU), guest_disk_props (appended to each disk's
# -device) and guest_silence (seconds without a line that count as a hang).

guest_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
guest_launcher=()
guest_keep=0
guest_smp=1
guest_args=()
guest_disk_props=
guest_silence=120
guest_why=
declare -A guest_pid=() guest_stays=()

# run_tied COMMAND...: in the background, in a session of its own (so that Ctrl-C
# reaches it through our trap only), killed when this shell goes, even by kill -9.
# Its pid is in $tied_pid. Call it from the main shell, not from a subshell.
run_tied() {
	if [ "$guest_keep" = 1 ]; then
		setsid -- "$@" &
	else
		setsid -- setpriv --pdeathsig KILL -- "$@" &
	fi
	tied_pid=$!
}

guest_qemu() {
	local name=$1 image=$2 mem=$3 words=$4 dir=$5 spec
	local -a args=(
		-nodefaults -no-user-config -display none -no-reboot
		-accel "tcg,thread=single" -cpu max -smp "$guest_smp" -m "$mem"
		-kernel "$image/vmlinuz" -initrd "$image/initramfs"
		-append "console=ttyS0 quiet panic=-1 mitigations=off transparent_hugepage=never $words"
		-chardev "socket,id=con,path=$dir/console.sock,server=on,wait=off,logfile=$dir/console.log"
		-serial chardev:con -serial "file:$dir/report"
		-qmp "unix:$dir/monitor.sock,server=on,wait=off"
		-name "$name"
	)
	shift 5
	for spec in "$@"; do
		args+=(-drive "if=none,id=${spec%%=*},${spec#*=}"
			-device "virtio-blk-pci,drive=${spec%%=*},serial=${spec%%=*}$guest_disk_props")
	done
	run_tied "${guest_launcher[@]}" qemu-system-x86_64 "${args[@]}" "${guest_args[@]}" \
		</dev/null >"$dir/qemu.log" 2>&1
}

guest_start() {
	local name=$1 flavour=$2 mem=$3 words=$4 image dir
	shift 4
	image=$("$guest_here/build-initramfs" "$flavour")
	dir=$guest_work/$name
	rm -rf "$dir"
	mkdir -p "$dir"
	: >"$dir/report"
	guest_qemu "$name" "$image" "$mem" "$words" "$dir" "$@"
	guest_pid[$name]=$tied_pid
	guest_stays[$name]=0
	[[ " $words " != *" memx.keep=1 "* ]] || guest_stays[$name]=1
	echo "$tied_pid" >"$dir/pid"
}

guest_qmp() {
	{
		printf '{"execute":"qmp_capabilities"}\n{"execute":"%s"}\n' "$2"
		sleep 0.5
	} | socat - "unix-connect:$guest_work/$1/monitor.sock" 2>/dev/null |
		grep -E '"(return|error)": ' | sed -n 2p
}

guest_kill() {
	[ -n "${guest_pid[$1]:-}" ] || return 0
	kill -KILL "${guest_pid[$1]}" 2>/dev/null || :
	wait "${guest_pid[$1]}" 2>/dev/null || :
	unset "guest_pid[$1]"
}

guest_kill_all() {
	local name
	for name in "${!guest_pid[@]}"; do
		guest_kill "$name"
	done
}

# Hands what is new in the report to $on_line, line by line. Uses guest_wait's
# variables: fd 9 stands at the place reached, $part is the start of an
# unfinished line, $result the guest's verdict, $heard the time of the last line.
guest_read_report() {
	local line on_line=$1
	while IFS= read -r line <&9 || { part+=$line && false; }; do
		line=$part$line
		part=
		heard=$SECONDS
		case $line in
		"result "*) result=${line#result } ;;
		"error "*) guest_why="the guest says: ${line#error }" ;;
		esac
		"$on_line" "$line"
	done
}

# Waits for the guest's "result ok". With ON_LINE each line of the report goes
# to that function; ON_TICK is called about once a second and ends the wait when
# it fails (it sets guest_why). Returns 0 when the guest said "result ok" and,
# unless memx.keep=1 is on its command line, QEMU ended with status 0. Otherwise
# kills the guest and leaves the reason in $guest_why.
guest_wait() {
	local name=$1 deadline=$((SECONDS + $2)) limit=$2 on_line=${3:-:} on_tick=${4:-:}
	local pid=${guest_pid[$1]} part='' result='' heard=$SECONDS status=0 over=0
	local dir=$guest_work/$1

	guest_why=
	exec 9<"$dir/report"
	while [ "$over" = 0 ]; do
		# What was written before QEMU's end is read after it was seen to end.
		kill -0 "$pid" 2>/dev/null || over=1
		guest_read_report "$on_line"
		if [ "$result" = ok ] && [ "${guest_stays[$name]}" = 1 ]; then
			exec 9<&-
			return 0
		elif [ "$over" = 1 ]; then
			break
		elif [ "$SECONDS" -ge "$deadline" ]; then
			guest_why="the guest was not done after $limit seconds"
		elif [ $((SECONDS - heard)) -ge "$guest_silence" ]; then
			guest_why="the guest was silent for $guest_silence seconds"
		elif "$on_tick"; then
			sleep 1
			continue
		fi
		exec 9<&-
		guest_kill "$name"
		return 1
	done
	exec 9<&-
	wait "$pid" || status=$?
	unset "guest_pid[$name]"
	if [ "$status" = 0 ] && [ "$result" = ok ]; then
		return 0
	elif [ -n "$result" ] && [ "$result" != ok ]; then
		guest_why="${result#fail }${guest_why:+; $guest_why}"
	elif [ "$status" != 0 ]; then
		guest_why="QEMU ended with status $status: $(tail -n 1 "$dir/qemu.log")"
	else
		guest_why="the guest ended without a result (panic or power off): see $dir/console.log"
	fi
	return 1
}

