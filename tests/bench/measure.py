# SPDX-License-Identifier: GPL-2.0-or-later
"""One timed run, and what stands on a volume after it."""
import json
import math
import os
import random
import re
import resource
import subprocess
import time
from collections import namedtuple

from subjects import PATTERN, Failure

STEP = 1064960          # 260 pages: lands in another extent, table and cache line each time

Case = namedtuple("Case", "name size depth step write")
CASES = [
    Case("qemu-read-4k-qd1", 4096, 1, STEP, False),
    Case("qemu-write-4k-qd1", 4096, 1, STEP, True),
    Case("qemu-read-4k-qd32", 4096, 32, STEP, False),
    Case("qemu-write-4k-qd32", 4096, 32, STEP, True),
    Case("qemu-seqread-128k-qd4", 131072, 4, None, False),
    Case("qemu-seqwrite-128k-qd4", 131072, 4, None, True),
]
SERVER_CPU = "server-cpu-4k-qd32"       # taken during the two qd32 runs

# value: requests a second; the others are microseconds of CPU for each request,
# and the share of one CPU that anything else on the machine took meanwhile.
Run = namedtuple("Run", "value seconds server_us client_us others retries")


class Expected:
    """What each page of a volume must hold: the pattern written to it last."""

    def __init__(self, size):
        self.pages = bytearray([PATTERN]) * (size // 4096)
        self.next_pattern = 1

    def pattern(self):
        p = self.next_pattern
        self.next_pattern = p % 250 + 1
        return p + 1 if p == PATTERN else p

    def written(self, case, count, pattern):
        """Returns page numbers that a run of qemu-img bench has written."""
        n = len(self.pages)
        if not case.step:
            end = min(count * case.size // 4096, n)
            self.pages[:end] = bytes([pattern]) * end
            return range(end)
        stride = case.step // 4096
        cycle = n // math.gcd(stride, n)
        touched = [i * stride % n for i in range(min(count, cycle))]
        for page in touched:
            self.pages[page] = pattern
        return touched

    def sample(self, touched, rng):
        """Some pages just written, their neighbours, and some of any kind."""
        n = len(self.pages)
        some = [rng.choice(touched) for _ in range(12)] if touched else []
        some += [(p + 1) % n for p in some[:4]] + [rng.randrange(n) for _ in range(8)]
        return [(p * 4096, self.pages[p]) for p in some]


def busy_seconds():
    """CPU time that anything on this machine has used."""
    with open("/proc/stat", encoding="ascii") as f:
        t = [int(x) for x in f.readline().split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, _steal = t
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def children_seconds():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def run_tool(command, env, who, timeout=120):
    try:
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired as e:
        raise Failure(f"{who}: '{' '.join(command)}' did not end within {timeout} s") from e
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise Failure(f"{who}: '{' '.join(command)}' ended with status {done.returncode}: "
                      + " | ".join(said))
    return done.stdout


def timed(subject, case, count, pattern=PATTERN):
    command, env = subject.bench(count, case.depth, case.size, case.step, case.write, pattern)
    server, client, busy = subject.cpu_seconds(), children_seconds(), busy_seconds()
    began = time.monotonic()
    out = run_tool(command, env, subject.name)
    wall = time.monotonic() - began
    busy = busy_seconds() - busy
    server = subject.cpu_seconds() - server
    client = children_seconds() - client
    match = re.search(r"Run completed in ([0-9.]+) seconds", out)
    if not match or not float(match[1]):
        raise Failure(f"{subject.name}: qemu-img bench did not say how long it ran: {out!r}")
    seconds = float(match[1])
    others = max(0.0, (busy - server - client) / wall)
    return Run(count / seconds, seconds, server * 1e6 / count, client * 1e6 / count, others, 0)


def calibrate(subject, case, seconds):
    """How many requests make a run of about `seconds`; a warm-up as well."""
    count = {1: 1000, 4: 500}.get(case.depth, 4000)
    for _ in range(4):
        run = timed(subject, case, count)
        if run.seconds >= 0.25 * min(seconds, 1):
            break
        count *= 4
    return max(100, int(run.value * seconds))


def prewrite(subject):
    mib = 1 << 20
    command, env = subject.bench(subject.config.size // mib, 4, mib, write=True)
    run_tool(command, env, subject.name, timeout=300)


def verify(subject, places):
    command, env = subject.reads(places)
    try:
        run_tool(command, env, subject.name)
    except Failure as e:
        raise Failure(f"WRONG DATA? {e}") from e


def limit_runs(limit, case, seconds):
    """One run of each variant of the bare exchange: {variant: Run}."""
    runs = {}
    for name, flags in limit.variants(case).items():
        command = limit.exchange(case, seconds, flags)
        client, busy = children_seconds(), busy_seconds()
        began = time.monotonic()
        r = json.loads(run_tool(command, None, limit.name))
        wall = time.monotonic() - began
        others = (busy_seconds() - busy - (children_seconds() - client)) / wall
        runs[name] = Run(r["iops"], r["seconds"], r["server_us_per_request"],
                         r["client_us_per_request"], max(0.0, others), r["retries"])
    return runs


def rng_for(name, round_no):
    return random.Random(f"{name} {round_no}")
