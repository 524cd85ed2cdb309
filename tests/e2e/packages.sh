# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# shellcheck disable=SC2154
#
# The Debian packages in a clean root of a release, for sourcing by numbered scripts
# after lib.sh, which then call packages_test RELEASE QEMU-SERIES. (systemd.sh has the
# same with systemd running.)
#
# The root is a folder made from a cached archive. What runs in it runs in its own
# mount, process and network namespaces: apt finds all it needs in its cache, filled
# beforehand, and the only network there is loopback.
#
# There is no systemd in such a root. A stand-in for systemctl takes notes of what
# maintainer scripts ask for, and does it to memxd: a script that would end the
# running server ends it here, too.

. "$(dirname "${BASH_SOURCE[0]}")/box.sh"

debs=()
calls=/var/tmp/systemctl.calls

# ---- the stand-in for systemd ----

install_systemctl() {
	box mkdir -p /run/systemd/system
	cat >"$root/usr/bin/systemctl" <<'END'
#!/bin/sh
# Takes notes, and does to memxd what is asked for.
echo "$*" >>/var/tmp/systemctl.calls
pid=$(cat /run/memxd.pid 2>/dev/null)
stop() {
	for try in 1 2 3 4 5 6 7 8; do
		kill -0 "$pid" 2>/dev/null || break
		kill -TERM "$pid"
		sleep 0.5
	done
	kill -KILL "$pid" 2>/dev/null
	rm -f /run/memxd.pid
}
# As the unit says: a user without rights, the files of /etc/memx as credentials.
start() {
	unit=/usr/lib/systemd/system/memxd.service
	[ -e $unit ] || unit=/lib/systemd/system/memxd.service
	command=$(sed -n 's/^ExecStart=//p' $unit)
	id=$(sed -n 's/^LoadCredential=\(.*\):\/etc\/memx$/\1/p' $unit)
	export CREDENTIALS_DIRECTORY=/run/credentials/memxd.service
	rm -rf $CREDENTIALS_DIRECTORY
	mkdir -p $CREDENTIALS_DIRECTORY
	for file in /etc/memx/*; do
		[ ! -f "$file" ] || install -m 400 -o 61234 "$file" \
			"$CREDENTIALS_DIRECTORY/${id}_${file##*/}"
	done
	limit="prlimit --memlock=unlimited"
	$limit true 2>/dev/null || limit=
	$limit setsid setpriv --reuid 61234 --regid 61234 --clear-groups \
		--no-new-privs --bounding-set=-all --inh-caps=-all \
		sh -c 'echo $$ >&3; exec 3>&-; exec '"$command" \
		3>/run/memxd.pid >>/var/log/memxd.log 2>&1 </dev/null &
	until [ -s /run/memxd.pid ]; do sleep 0.1; done
}
verb= units=
for word; do
	case $word in
	-*) ;;
	*) if [ -z "$verb" ]; then verb=$word; else units="$units $word "; fi ;;
	esac
done
case $units in
*" memxd.service "* | *" memxd "*) ;;
*) exit 0 ;;
esac
case $verb in
start) kill -0 "$pid" 2>/dev/null || start ;;
stop) stop ;;
*restart*) stop; start ;;
is-active) kill -0 "$pid" 2>/dev/null || exit 3 ;;
is-enabled) exit 1 ;;
esac
exit 0
END
	chmod 755 "$root/usr/bin/systemctl"
	: >"$root$calls"
}

# Did anybody ask systemd to start, stop or restart memxd (or whatever is said)?
asked_for() {
	grep -E "(^| )($1)( |\$)" "$root$calls" | grep -E '(^| )memxd(\.service)?( |$)'
}

not_asked_for() {
	! asked_for "$1"
}

memxd_pid() {
	local pid
	pid=$(box cat /run/memxd.pid 2>/dev/null) || return 1
	[ -n "$pid" ] && box test -d "/proc/$pid" && echo "$pid"
}

server_is() {
	local pid
	pid=$(memxd_pid) && echo "it was $1, is $pid" && [ "$pid" = "$1" ]
}

server_is_not() {
	local pid
	pid=$(memxd_pid) && echo "it was $1, is $pid" && [ "$pid" != "$1" ]
}

memxd_gone() {
	! memxd_pid
}

# ---- what is in the packages ----

# "MODE OWNER PATH" of each file, for one package file.
contents() {
	dpkg-deb --fsys-tarfile "$1" | tar -tv | awk '{ print $1, $2, $6 }'
}

only_one_owner_each() {
	local deb twice
	twice=$(for deb in "${debs[@]}"; do
		contents "$deb" | awk '$1 !~ /^d/ { print $3 }'
	done | sort | uniq -d)
	[ -z "$twice" ] || { echo "in two packages: $twice" && return 1; }
}

# All is root's, nobody else writes, nothing runs as another user, and it lies where
# packages put things.
modes_are_safe() {
	local deb bad
	for deb in "${debs[@]}"; do
		bad=$(contents "$deb" | awk '
			$2 != "root/root" || $1 ~ /^.....w/ || $1 ~ /^........w/ || $1 ~ /[sStT]/ ||
			($1 !~ /^d/ && $3 !~ /^\.\/(usr\/(s?bin|lib|share)|lib\/systemd\/system|etc)\//) ||
			$3 ~ /\/(local|debug)\//')
		[ -z "$bad" ] || { echo "in $(basename "$deb"): $bad" && return 1; }
	done
}

# has PACKAGE PATH MODE
has() {
	local line
	line=$(contents "$(deb_of "$1")" | awk -v p=".$2" '$3 == p') || return 1
	echo "${line:-$1 has no $2}"
	[ "${line%% *}" = "$3" ]
}

deb_of() {
	printf '%s\n' "${debs[@]}" | grep "/$1_"
}

programs_have_manuals() {
	local deb path name
	for deb in "${debs[@]}"; do
		for path in $(contents "$deb" | awk '$3 ~ /^.\/usr\/s?bin\/[^\/]/ { print $3 }'); do
			name=$(basename "$path")
			contents "$deb" | grep -q "/usr/share/man/man[18]/$name\.[18]\.gz$" ||
				{ echo "no manual page for $name" && return 1; }
		done
	done
}

documents_are_there() {
	local deb file name
	for deb in "${debs[@]}"; do
		name=$(dpkg-deb -f "$deb" Package)
		for file in copyright changelog.gz; do
			contents "$deb" | grep -q " \./usr/share/doc/$name/$file\$" ||
				{ echo "$name has no $file" && return 1; }
		done
	done
}

# Linked for the release, against nothing odd, and hardened.
binaries_are_sound() {
	local deb file found=0
	mkdir -p "$work/files"
	for deb in "${debs[@]}"; do dpkg-deb -x "$deb" "$work/files"; done
	while IFS= read -r file; do
		readelf -h "$file" >/dev/null 2>&1 || continue
		found=$((found + 1))
		file=${file#"$work/files/"}
		(cd "$work/files" && elf_is_sound "$file") || return 1
	done < <(find "$work/files" -type f \( -perm -u+x -o -name '*.so' \))
	[ "$found" = 4 ] || { echo "$found binaries, expected 4" && return 1; }
}

elf_is_sound() {
	local dynamic
	dynamic=$(readelf -dW "$1")
	! grep -E 'RPATH|RUNPATH|TEXTREL' <<<"$dynamic" || { echo "in $1" && return 1; }
	grep -q BIND_NOW <<<"$dynamic" || { echo "$1: not bound at start" && return 1; }
	readelf -lW "$1" | grep -q 'GNU_STACK.* RW ' || { echo "$1: executable stack" && return 1; }
	! readelf -SW "$1" | grep -E '\.(symtab|debug_info)' || { echo "$1: not stripped" && return 1; }
}

scripts_are_sound() {
	local deb script found=0
	for deb in "${debs[@]}"; do
		rm -rf "$work/control"
		dpkg-deb -e "$deb" "$work/control"
		for script in preinst postinst prerm postrm; do
			script=$work/control/$script
			[ -e "$script" ] || continue
			found=$((found + 1))
			sh -n "$script" && grep -q '^set -e' "$script" || return 1
		done
	done
	[ "$found" -gt 0 ]
}

conffiles_are_listed() {
	local deb listed there
	for deb in "${debs[@]}"; do
		listed=$(dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./conffiles 2>/dev/null | sort)
		there=$(contents "$deb" | awk '$1 !~ /^d/ && $3 ~ /^.\/etc\// { print substr($3, 2) }' |
			sort)
		[ "$listed" = "$there" ] || { echo "$deb: listed: $listed; there: $there" && return 1; }
	done
}

unit_is_understood() {
	local output
	mkdir -p "$work/unit"
	find "$work/files" -name memxd.service -exec cp {} "$work/unit/" \;
	sed -i 's,^\(Exec[A-Za-z]*=+*\)[^ ]*,\1/bin/true,' "$work/unit/memxd.service"
	output=$(systemd-analyze verify --man=no "$work/unit/memxd.service" 2>&1) || {
		echo "$output"
		return 1
	}
	# Of an unknown name it only warns.
	! grep 'memxd.service' <<<"$output"
}

# unit_gives_no_rights UNIT: the stand-in for systemctl takes them from memxd whatever
# the unit says.
unit_gives_no_rights() {
	local line
	for line in DynamicUser=yes CapabilityBoundingSet= AmbientCapabilities= LoadCredential=memx:/etc/memx; do
		grep -qxF "$line" "$1" || { echo "the unit lacks $line" && return 1; }
	done
	# Nor does another line, and only what stops it is run as root.
	! grep -E '^((User|Group|SupplementaryGroups|PermissionsStartOnly)=|(CapabilityBoundingSet|AmbientCapabilities)=.|DynamicUser=[^y]|Exec[A-Za-z]*=[-@:]*[+!])' "$1" |
		grep -vx 'ExecStop=+/usr/lib/memx/memxd-stop [0-9]*'
}

needrestart_leaves_it() {
	# shellcheck disable=SC2016
	perl -e 'our %nrconf; my $f = shift; open(F, $f) or die; local $/; eval <F>; die $@ if $@;
		my @r = grep { "memxd.service" =~ /$_/ } keys %{$nrconf{override_rc}};
		exit !(@r == 1 && $nrconf{override_rc}{$r[0]} == 0)' \
		"$work/files/etc/needrestart/conf.d/memxd.conf"
}

# Large socket buffers for programs without privileges, at boot and by the script.
limits_are_raised() {
	local name
	for name in memxd qemu-block-memx; do
		grep -qx 'net.core.rmem_max = 8388608' "$work/files/usr/lib/sysctl.d/50-$name.conf" &&
			grep -qx 'net.core.wmem_max = 8388608' "$work/files/usr/lib/sysctl.d/50-$name.conf" ||
			{ echo "50-$name.conf is not there, or says something else" && return 1; }
		dpkg-deb --ctrl-tarfile "$(deb_of "$name")" | tar -xO ./postinst | grep -q net.core.rmem_max ||
			{ echo "$name's postinst does not set it" && return 1; }
	done
}

test_contents() {
	check "there are three packages" [ "${#debs[@]}" = 3 ]
	check "no file is in two packages" only_one_owner_each
	check "owners, modes and places are right" modes_are_safe
	check "volumes' keys lie where only root looks" has qemu-block-memx /etc/memx/keys/ drwx------
	check "configuration files are marked as such" conffiles_are_listed
	check "copyright and changelog are there" documents_are_there
	check "each program has its manual page" programs_have_manuals
	check "and so has the whole, with memxctl" has memxctl /usr/share/man/man7/memx.7.gz -rw-r--r--
	check "binaries are hardened, stripped and know no paths" binaries_are_sound
	check "maintainer scripts are sound" scripts_are_sound
	if command -v systemd-analyze >/dev/null; then
		check "systemd understands the unit" unit_is_understood
	else
		ok "systemd understands the unit # SKIP no systemd-analyze (Debian package systemd)"
	fi
	check "which gives memxd a user of its own, and no rights" unit_gives_no_rights \
		"$(find "$work/files" -name memxd.service)"
	check "needrestart leaves memxd alone" needrestart_leaves_it
	check "the limits of socket buffers are raised" limits_are_raised
}

# ---- installed, used ----

snapshot() {
	(cd "$root" && find . \( -path ./var/cache -o -path ./var/lib/apt -o -path ./var/lib/dpkg -o \
		-path ./var/log -o -path ./tmp -o -path ./proc -o -path ./debs \) -prune \
		-o -printf '%y %m %u:%g %p\n') | LC_ALL=C sort
	# Users and groups, by name.
	cut -d: -f1 "$root/etc/passwd" "$root/etc/group"
}

installs() {
	apt_install '/debs/*.deb' && box dpkg --audit && box dpkg --verify
}

configure() {
	# shellcheck disable=SC2016
	box_sh '(umask 077; memxctl keygen >/etc/memx/key)
		printf "%s\n" "memory = 64M" "floor = 1M" "listen = 127.0.0.1" "name = box" \
			"key-file = /etc/memx/key" >>/etc/memx/memxd.conf
		echo "key-file = /etc/memx/key" >>/etc/memx/client.conf'
}

refuses_without_memory() {
	local status=0 output
	output=$(box memxd --config /etc/memx/memxd.conf 2>&1) || status=$?
	echo "status $status: $output"
	[ "$status" = 2 ] && grep -q -- --memory <<<"$output"
}

# Started as systemd would, and seen by memxctl.
server_runs() {
	local deadline=$((SECONDS + 20))
	box systemctl start memxd.service
	until server_is_seen; do
		if [ "$SECONDS" -ge "$deadline" ] || ! memxd_pid >/dev/null; then
			cat "$root/var/log/memxd.log"
			box memxctl servers
			return 1
		fi
		sleep 0.2
	done
}

server_is_seen() {
	box memxctl --timeout 2 servers --json 2>/dev/null |
		jq -es '.[0] | length == 1 and .[0].name == "box"' >/dev/null
}

server_is_unprivileged() {
	local status
	status=$(box cat "/proc/$(memxd_pid)/status")
	grep -E '^(Uid|CapEff)' <<<"$status"
	grep -q '^Uid:.61234.61234' <<<"$status" && grep -q '^CapEff:.0*$' <<<"$status"
}

test_locked() {
	if box prlimit --memlock=unlimited true 2>/dev/null; then
		check "its memory locked" box grep 'VmLck:.*[1-9][0-9]* kB' "/proc/$(memxd_pid)/status"
	else
		ok "its memory locked # SKIP root may not raise the limit of locked memory here"
	fi
}

volume_is_made() {
	box memxctl volume create disk 48M && box memxctl volume list | grep -q '^disk '
}

launcher_takes() {
	[ "$(box memx-run --which qemu-img)" = "/usr/lib/memx/qemu/$1/block-memx.so" ]
}

# qemu_io COMMAND...: by the release's own qemu-io, unchanged.
qemu_io() {
	local commands=() c
	for c in "$@"; do commands+=(-c "$c"); done
	box timeout 60 memx-run qemu-io -f raw "${commands[@]}" memx:disk
}

pattern=("read -P 0x5a 0 1M" "read -P 0 1M 3M" "read -P 0xc3 20M 68k" "read -P 0 47M 1M")

wrong_pattern_is_seen() {
	local output
	! output=$(qemu_io "read -P 0x5b 0 4k" 2>&1) || return 1
	echo "$output"
	grep -q "Pattern verification failed" <<<"$output"
}

image_is_seen() {
	box timeout 60 memx-run qemu-img info --output=json memx:disk |
		jq -es '.[0] | ."virtual-size" == 48 * 1048576 and .format == "raw"'
}

image_converts() {
	# shellcheck disable=SC2016
	box_sh 'timeout 60 memx-run qemu-img convert -O qcow2 memx:disk /tmp/copy.qcow2
		timeout 60 memx-run qemu-img compare -F raw /tmp/copy.qcow2 memx:disk
		rm /tmp/copy.qcow2'
}

test_use() {
	local series=$1
	check "they install with what they depend on" installs
	check "the installation starts nothing" not_asked_for 'start|restart'
	check "and enables nothing" [ ! -e "$root/etc/systemd/system/multi-user.target.wants/memxd.service" ]
	check "memxd asks for the memory to donate when told nothing" refuses_without_memory
	check "keys and configuration are written" configure
	check "memxd runs, with the key that only root can read" server_runs
	check "without rights" server_is_unprivileged
	test_locked
	check "memxctl creates a volume" volume_is_made
	check "memx-run takes the driver for QEMU $series" launcher_takes "$series"
	check "the release's qemu-img opens it" image_is_seen
	check "the release's qemu-io writes to it" qemu_io "write -P 0x5a 0 1M" "write -P 0xc3 20M 68k" flush
	check "another reads the same back" qemu_io "${pattern[@]}"
	check "a wrong pattern would be seen" wrong_pattern_is_seen
	check "qemu-img converts and compares it" image_converts
}

# ---- upgraded ----

# make_newer [SCRIPT]: the same packages with a higher version into /newer, memxd's
# with that text at the end of its postinst.
make_newer() {
	local deb tree=$work/newer
	rm -rf "$root/newer"
	mkdir -p "$root/newer"
	for deb in "${debs[@]}"; do
		rm -rf "$tree"
		dpkg-deb -R "$deb" "$tree"
		sed -i 's/^Version: .*/&+newer/' "$tree/DEBIAN/control"
		if [ -n "${1:-}" ] && [[ $deb == */memxd_* ]]; then
			sed -i 's/+newer/+newest/' "$tree/DEBIAN/control"
			echo "$1" >>"$tree/DEBIAN/postinst"
		fi
		dpkg-deb -Zgzip -z1 --root-owner-group -b "$tree" "$root/newer/$(basename "$deb")" >/dev/null
	done
}

version_is() {
	local have
	have=$(box dpkg-query -W -f '${Version}' "$1") && echo "$have" && [[ $have == *"$2" ]]
}

test_upgrade() {
	local pid
	pid=$(memxd_pid) || pid=none
	: >"$root$calls"
	make_newer
	check "they are upgraded, without a question" apt_install '/newer/*.deb'
	check "to the new version" version_is memxd +newer
	check "nothing asked for memxd to be restarted or stopped" \
		not_asked_for '[a-z-]*restart|stop|start|kill|reload'
	check "the running server still runs" server_is "$pid"
	check "with all it held" qemu_io "${pattern[@]}"
	check "and its configuration" grep -q '^memory = 64M$' "$root/etc/memx/memxd.conf"
	make_newer 'deb-systemd-invoke restart memxd.service >/dev/null || true'
	check "a package that restarts it installs" apt_install '/newer/memxd_*.deb'
	check "and is found out: the restart is noted" asked_for restart
	check "and the server is another" server_is_not "$pid"
}

# ---- removed ----

removed() {
	box apt-get -qq -y -o Dpkg::Use-Pty=0 "$@"
}

left_behind() {
	local left
	left=$(find "$root" -xdev \( -path "$root/proc" -o -path "$root/var/cache/apt" -o \
		-path "$root/debs" -o -path "$root/newer" -o -path "$root/var/log" \) -prune -o \
		-iname '*memx*' -printf '/%P\n')
	[ -z "$left" ] || { echo "left: $left" && return 1; }
}

same_as_before() {
	snapshot >"$work/after"
	diff "$work/before" "$work/after"
}

test_removal() {
	local pid
	: >"$root$calls"
	pid=$(memxd_pid) || pid=
	check "memxd runs before its package goes" [ -n "$pid" ]
	check "the packages are removed" removed remove memxd memxctl qemu-block-memx
	check "the server was stopped by that" asked_for stop
	check "and is gone" memxd_gone
	check "its configuration is kept" grep -q '^memory = 64M$' "$root/etc/memx/memxd.conf"
	check "the packages are purged" removed purge memxd memxctl qemu-block-memx
	check "the administrator's key is not the packages' to delete" [ -s "$root/etc/memx/key" ]
	rm -rf "$root/etc/memx/key" "$root/newer" "$root/usr/bin/systemctl" "$root$calls"
	rmdir "$root/etc/memx" 2>/dev/null || :
	check "nothing of them is left" left_behind
	# Also what something else on the root suggests.
	check "what they pulled in is removed" removed autoremove --purge \
		-o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false
	check "the root is as it was" same_as_before
}

# Not inside check: that runs its command in a subshell, and these set variables.
# step WHAT LOG COMMAND...
step() {
	local what=$1 log=$2
	shift 2
	if "$@" >"$log" 2>&1; then
		ok "$what"
	else
		not_ok "$what" "the end of the output of: $*" "$(tail -n 20 "$log")"
		return 1
	fi
}

build_debs() {
	local list deb
	list=$("$top/tools/build-deb" "$@") || return 1
	for deb in $list; do debs+=("$top/$deb"); done
}

packages_need() {
	need mmdebstrap:mmdebstrap unshare:util-linux nsenter:util-linux ip:iproute2 jq:jq readelf:binutils
	[ "$(id -u)" = 0 ] || skip_all "Debian roots need root"
}

# packages_built RELEASE: as the first test.
packages_built() {
	local options=()
	[ "$1" = "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" ] || options=(--release "$1")
	step "the packages for $1 are built" "$work/build-deb.log" build_debs "${options[@]}"
}

packages_test() {
	local release=$1 series=$2
	packages_need
	if packages_built "$release"; then
		test_contents
		if step "there is a clean root of $release" "$work/root.log" prepare_root "$release"; then
			box_start_plain "$release"
			snapshot >"$work/before"
			install_systemctl
			test_use "$series"
			test_upgrade
			test_removal
		fi
	fi
	tap_done
}
