#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The launcher: which module a QEMU gets, that nobody else gets it, and its errors.
set -eu
. "$(dirname "$0")/lib.sh"
need qemu-img:qemu-utils gcc:gcc
launcher=$pool_launcher
[ -x "$launcher" ] || skip_all "no $launcher (make qemu-module builds it)"

# fails STATUS PATTERN COMMAND...: ends with that status, says something like it.
fails() {
	local want=$1 pattern=$2 status=0 output
	shift 2
	output=$("$@" 2>&1) || status=$?
	[ "$status" = "$want" ] && grep -qE -- "$pattern" <<<"$output" && return
	echo "status $status, wanted $want; wanted '$pattern'; said: $output"
	return 1
}

says() {
	local pattern=$1 output
	shift
	output=$("$@" 2>&1) || { echo "status $?: $output" && return 1; }
	grep -qE -- "$pattern" <<<"$output" && return
	echo "wanted '$pattern'; said: $output"
	return 1
}

# A program that claims to be QEMU version $2.
fake_qemu() {
	printf '#!/bin/sh\necho "QEMU emulator version %s (fake)"\n' "$2" >"$work/$1"
	chmod +x "$work/$1"
}

version=$(qemu-img --version | sed -nE '1s/.*version ([0-9]+\.[0-9]+).*/\1/p')
check "--which names the module of this version" \
	says "/$version/block-memx.so\$" "$launcher" --which qemu-img
check "the driver is there" fails 1 "'memx:' names no volume" "$launcher" qemu-img info memx:
check "without the launcher it is not" fails 1 "Unknown protocol 'memx'" qemu-img info memx:x
check "a program that is not there" fails 127 "'no-such-qemu' not found" "$launcher" no-such-qemu
check "a program that is not QEMU" fails 126 "is not a QEMU program" "$launcher" ls
check "no program" fails 2 "Usage:" "$launcher"
check "an unknown option" fails 126 "unknown option '--wich'" "$launcher" --wich qemu-img
fake_qemu qemu-system-x86_64 6.1.0
check "a QEMU there is no module for" \
	fails 126 "no memx driver for QEMU 6.1.*there is one for: .*$version" \
	bash -c '"$@" 2>&1 | tr "\n" " "; exit "${PIPESTATUS[0]}"' \
	bash "$launcher" "$work/qemu-system-x86_64" -S
check "the modules are missing" fails 126 "modules are not installed" \
	bash -c 'cp "$1" "$2/alone" && "$2/alone" qemu-img --version' bash "$launcher" "$work"

# A module for another QEMU: symbols that this one does not have.
mkdir -p "$work/modules/$version"
cp "$(dirname "$("$launcher" --which qemu-img)")/../memx-preload.so" "$work/modules/"
echo 'extern int no_such_function(void); int x(void) { return no_such_function(); }' |
	gcc -shared -fPIC -x c -o "$work/modules/$version/block-memx.so" -
check "a module that does not fit" fails 126 "built for another QEMU" \
	env MEMX_QEMU_MODULES="$work/modules" "$launcher" qemu-img info /dev/null

# The environment behind the preload is the caller's. qemu-nbd --fork and helpers
# would inherit it; here a wrapper in QEMU's place prints what QEMU would pass on.
cat >"$work/env.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
void register_module_init(void (*fn)(void), int type) { (void)fn; (void)type; }
int main(int argc, char **argv)
{
	const char *p = getenv("LD_PRELOAD"), *m = getenv("MEMX_RUN_MODULE");
	if (argc > 1 && !strcmp(argv[1], "--version"))
		puts("QEMU emulator version VERSION.0 (fake)");
	else
		printf("preload=%s module=%s\n", p ? p : "unset", m ? m : "unset");
	return 0;
}
END
sed -i "s/VERSION/$version/" "$work/env.c"
gcc -rdynamic -o "$work/qemu-env" "$work/env.c"
gcc -shared -fPIC -x c -o "$work/modules/$version/block-memx.so" - </dev/null
gcc -shared -fPIC -x c -o "$work/other.so" - </dev/null
check "QEMU's children get no preload" says '^preload=unset module=unset$' \
	env MEMX_QEMU_MODULES="$work/modules" "$launcher" "$work/qemu-env"
check "a preload of the caller's stays" says "^preload=$work/other.so module=unset\$" \
	env MEMX_QEMU_MODULES="$work/modules" LD_PRELOAD="$work/other.so" \
	"$launcher" "$work/qemu-env"
check "a QEMU with the driver built in is run as it is" says '^built in: ' \
	bash -c 'printf "#!/bin/sh\necho \"QEMU emulator version 7.2.1 (Debian 1:7.2+memx0.1)\"\n" \
		>"$1/q" && chmod +x "$1/q" && "$2" --which "$1/q"' bash "$work" "$launcher"
tap_done
