#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What user space has for the kernel modules, without one: memxctl's errors, completion, the
# units that attach at boot, what is installed. (With one: tests/vm/cases/040-attach.)
set -eu
cd "$(dirname "$0")/../.."
. tests/e2e/lib.sh
. tests/e2e/completion.sh
[ -x "$pool_memxctl" ] || skip_all "memxctl is not built (make builds it)"

# gives STATUS WORDS COMMAND...
gives() {
	local want=$1 words=$2 output status=0
	shift 2
	output=$("$@" 2>&1) || status=$?
	echo "status $status: $output"
	[ "$status" = "$want" ] && grep -q -- "$words" <<<"$output"
}

memxctl() {
	case $* in
	attached) printf '%s\n' "DEVICE VOLUME SIZE" "memxblk0 vm1 1G" ;;
	*) printf '%s\n' "NAME SIZE" "vm1 1G" "vm2 1G" ;;
	esac
}

test_without_module() {
	check "nothing is attached without the module" gives 1 "modprobe memx" "$pool_memxctl" attached
	check "nor can it be detached" gives 1 "module memx is not loaded" "$pool_memxctl" detach v1
	check "a name that cannot be" gives 2 "is not a volume's name" "$pool_memxctl" attach ./v1
	check "no name" gives 2 "takes 1 argument (NAME), but 0 were given" "$pool_memxctl" attach
	check "too many queues" gives 2 "--queues must be from 1 to 64" "$pool_memxctl" attach --queues 65 v1
	check "a time that cannot be" gives 2 "--fail-after must be" "$pool_memxctl" attach --fail-after=-1 v1
	check "a size that cannot be" gives 2 "multiple of 512" "$pool_memxctl" resize v1 1000
}

test_table() {
	export MEMX_VOLUMES=$work/volumes
	check "no table" gives 1 "No such file" "$pool_memxctl" attach --table
	echo "v1 swop" >"$work/volumes"
	check "a volume is given back whatever the table says" gives 0 "\"v1\" is not attached here" \
		"$pool_memxctl" detach --table v1
	check "an option that there is not" gives 2 "volumes, line 1: there is no option" "$pool_memxctl" attach --table v1
	echo v2 >>"$work/volumes"
	check "which is said and does not matter to others" gives 1 "volumes, line 1: there is no option" \
		"$pool_memxctl" attach --table v2
	check "they go on" gives 1 "kernel module memx is not loaded" "$pool_memxctl" attach --table v2
	check "a volume that is not there" gives 2 "\"v3\" is not in" "$pool_memxctl" attach --table v3
	check "options stand in the table" gives 2 "the file says" "$pool_memxctl" attach --table --queues=2 v2
	check "waiting is for one" gives 2 "goes with --table NAME" "$pool_memxctl" attach --table --wait
	cp packaging/volumes "$work/volumes"
	check "the packaged table is understood and empty" gives 1 "module memx" "$pool_memxctl" detach --table
}

generated() {
	local root=$work/root
	rm -rf "$root"
	mkdir -p "$root"
	sed "s|@PREFIX@|/usr|" packaging/memx-generator.in >"$work/generator"
	printf '%s\n' "# none" "" "vm1-swap swap=5" "  a/b	server=10.0.0.1" "off read-only,noauto" >"$work/volumes"
	printf 'last' >>"$work/volumes"
	MEMX_VOLUMES=$work/volumes sh "$work/generator" "$root" "$root" "$root" || return 1
	(cd "$root" && find . -type l -printf '%P %l\n' | sort) | tee "$work/links"
	diff - "$work/links" <<'LINKS'
remote-fs.target.wants/memx-volume@a-b.service /usr/lib/systemd/system/memx-volume@.service
remote-fs.target.wants/memx-volume@last.service /usr/lib/systemd/system/memx-volume@.service
remote-fs.target.wants/memx-volume@vm1\x2dswap.service /usr/lib/systemd/system/memx-volume@.service
LINKS
}

# keyctl_pl CODE ARGUMENT...: perl with the system call.
keyctl_pl() {
	perl -e 'sub keyctl { my @a = @_; push @a, 0 while @a < 5; syscall(250, @a) } '"$1" -- "${@:2}"
}

# In a session without a link to the user's keyring, as a service of systemd has.
loaded_in_a_session() {
	(umask 077; "$pool_memxctl" keygen >"$work/key")
	keyctl_pl '
		my ($desc, $found) = ("memx:test-$$", "");
		my ($JOIN, $UNLINK, $SEARCH, %ring) = (1, 9, 10, "session", -3, "user", -4);
		keyctl($JOIN, 0) >= 0 or die "no session: $!";
		system($ARGV[0], "--key-file", $ARGV[1], "key", "load", "test-$$") == 0 or exit 1;
		for my $r (sort keys %ring) {
			my $id = keyctl($SEARCH, $ring{$r}, "logon", $desc, 0);
			$found .= "$r " if $id >= 0;
			keyctl($UNLINK, $id, $ring{$r}) if $id >= 0;
		}
		print "found in: $found\n";
		exit($found ne "session user ");
	' "$pool_memxctl" "$work/key"
}

test_key() {
	if keyctl_pl 'exit(keyctl(0, -4, 1) < 0)'; then
		check "a key is loaded for this session and others" loaded_in_a_session
	else
		ok "a key is loaded # SKIP no keyrings here"
	fi
}

# Lines as Windows ends them, and a name that is too long when it is escaped.
odd_lines() {
	local root=$work/odd long
	long=$(printf '+%.0s' {1..62})
	printf '%s\r\n' "off noauto" "" "v1 swap" "v2" >"$work/volumes"
	printf '%s\n' "x$long swap" "v3" >>"$work/volumes"
	mkdir -p "$root"
	MEMX_VOLUMES=$work/volumes sh "$work/generator" "$root" "$root" "$root" 2>"$work/complaint" || return 1
	cat "$work/complaint"
	(cd "$root" && find . -type l -printf '%f ') | tee "$work/links"
	[ "$(tr ' ' '\n' <"$work/links" | sort | xargs)" = \
		"memx-volume@v1.service memx-volume@v2.service memx-volume@v3.service" ] &&
		grep -q "\"x$long\" .* too long" "$work/complaint"
}

no_table_no_units() {
	MEMX_VOLUMES=$work/nothing sh "$work/generator" "$work/none" "$work/none" "$work/none" && [ ! -e "$work/none" ]
}

# With the program where the unit says, and the units that it names.
unit_is_valid() {
	local units=$work/units output
	mkdir -p "$units" "$work/bin"
	printf '#!/bin/sh\n' >"$work/bin/memxctl"
	chmod 755 "$work/bin/memxctl"
	sed "s|@PREFIX@|$work|" "packaging/$1.service.in" >"$units/$1.service"
	output=$(systemd-analyze verify --man=no "$units/${1/@/@vm1}.service" 2>&1) || {
		echo "$output"
		return 1
	}
	echo "$output"
	! grep "${1%@}" <<<"$output"
}

test_units() {
	if ! command -v systemd-escape >/dev/null; then
		ok "units # SKIP systemd is not installed"
		return
	fi
	check "a unit for each line but noauto's" generated
	check "odd lines make no odd units" odd_lines
	check "no table, no unit" no_table_no_units
	check "the volumes' unit is valid" unit_is_valid memx-volume@
	check "the unit of what is attached by hand is valid" unit_is_valid memx-attached@
	check "the server's unit is valid" unit_is_valid memx-server
}

test_completion() {
	# shellcheck source=packaging/completions/memxctl
	. packaging/completions/memxctl
	export MEMX_MODULE_DIR=/ MEMX_VOLUMES=$work/volumes
	printf '%s\n' "# of boot" "t1 swap" "  t2" "u" >"$MEMX_VOLUMES"
	check "commands with a module" completes "memxctl a" attach attached
	check "volumes to attach" completes "memxctl attach v" vm1 vm2
	check "what can be detached" completes "memxctl detach " vm1 memxblk0
	check "options of host stop" completes "memxctl host stop --w" --wait
	check "options of attach" completes "memxctl attach --f" --fail-after --force
	check "not of others" completes "memxctl attached --f" ""
	check "volumes of the table" completes "memxctl attach --table t" t1 t2
	check "the kernel knows what can be detached" completes "memxctl detach --table " vm1 memxblk0
	check "options of top" completes "memxctl top --c" --count
	check "options of volume delete" completes "memxctl volume delete vm1 --f" --force
	check "a size is not a word" completes "memxctl host --memory 1G st" start status stop
	check "a value is not a word" completes "memxctl attach --queues 2 vm2" vm2
	MEMX_MODULE_DIR=/nothing
	if ! modinfo -n memx >/dev/null 2>&1; then
		check "none without" completes "memxctl a" ""
	fi
}

installed() {
	local dest=$work/dest f
	PREFIX=/usr DESTDIR=$dest B=build DRIVER=no tools/install-files >"$work/install.log" 2>&1 || {
		cat "$work/install.log"
		return 1
	}
	for f in etc/memx/{volumes,memx-server.conf} usr/lib/systemd/system/memx-{volume@,attached@,server}.service \
		usr/lib/udev/rules.d/65-memx.rules; do
		[ -r "$dest/$f" ] || { echo "no $f"; return 1; }
	done
	[ -x "$dest/usr/lib/systemd/system-generators/memx-generator" ] &&
		! grep -r '@[A-Z]*@' "$dest/usr/lib/systemd" &&
		grep -q '^ExecStart=/usr/bin/memxctl .*attach' "$dest/usr/lib/systemd/system/memx-volume@.service"
}

# DKMS matches a kernel's release so.
built_for() {
	local BUILD_EXCLUSIVE_KERNEL release
	eval "$(grep '^BUILD_EXCLUSIVE_KERNEL=' packaging/debian/memx-dkms.dkms)"
	for release in 6.1.0-41-amd64 6.12.57+deb13-amd64 6.9.7 6.14-rt; do
		[[ $release =~ $BUILD_EXCLUSIVE_KERNEL ]] || { echo "not for $release"; return 1; }
	done
	for release in 5.10.0-30-amd64 6.0.12 6.15.1 6.16.3+deb13-amd64 6.19.0 7.0.1 6.100.1 16.1.0; do
		[[ ! $release =~ $BUILD_EXCLUSIVE_KERNEL ]] || { echo "for $release"; return 1; }
	done
}

# Every parameter, attribute and trace point of the modules is in memx(4).
page_is_whole() {
	local name names
	names=$(sed -n 's/^module_param\(_array\)\?(\([a-z_]*\),.*/Cm \2=/p' net/linux/*.c server-kmod/*.c guest-module/*.c
		sed -n 's/^\(FIGURE\|ATTR\)(\([a-z_]*\),.*/\2\\>/p; s/^static DEVICE_ATTR_RO(\([a-z]*\)).*/\1\\>/p' \
			server-kmod/main.c guest-module/sysfs.c
		sed -n 's/^\(TRACE_EVENT(\|DEFINE_EVENT([a-z_]*, \)\([a-z_]*\),.*/\2\\>/p' guest-module/trace.h)
	[ "$(wc -l <<<"$names")" -ge 45 ] || { echo "only found: $names"; return 1; }
	while read -r name; do
		grep -q "^\.It .*\<$name" docs/man/memx.4 || { echo "no $name"; return 1; }
	done <<<"$names"
}

test_without_module
test_table
test_key
test_units
test_completion
check "all of it is installed" installed
check "memx(4) has all parameters, attributes and trace points" page_is_whole
check "DKMS builds for kernels that are known, and no others" built_for
tap_done
