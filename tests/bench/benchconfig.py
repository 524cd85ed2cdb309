# SPDX-License-Identifier: GPL-2.0-or-later
"""What run and explain share: folders, sizes, and the two small C helpers."""
import os
import subprocess
import tempfile

from subjects import HERE, TOP, Failure


class Config:
    """What the subjects need to know of this run."""

    def __init__(self, seconds, size_mib, rounds=1, pin=None):
        self.build = os.path.join(os.environ.get("MEMX_BUILD", os.path.join(TOP, "build")),
                                  "bench")
        os.makedirs(self.build, exist_ok=True)
        self.work = tempfile.mkdtemp(prefix="memx-bench-")
        self.size = size_mib << 20
        self.seconds = seconds
        self.rounds = rounds
        self.pin = pin              # [client CPU, server CPU], or None


def compile_helpers(config):
    """The yardstick and the preload: small, and of no use outside the benchmark."""
    cc = os.environ.get("CC", "cc")
    for target, flags, sources in (
            ("limit-udp", [], ["limit-udp.c", "limit-options.c", "limit-crc.c"]),
            ("qemu-object.so", ["-shared", "-fPIC"], ["qemu-object.c"])):
        paths = [os.path.join(HERE, s) for s in sources]
        out = os.path.join(config.build, target)
        newest = max(os.path.getmtime(p) for p in paths)
        if os.path.exists(out) and os.path.getmtime(out) >= newest:
            continue
        done = subprocess.run([cc, "-O2", "-std=gnu11", "-Wall", "-Wextra", *flags, "-o", out,
                               *paths], check=False)
        if done.returncode:
            raise Failure(f"cannot compile tests/bench/{sources[0]} with {cc}")
