#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes inputs for fuzz_client to begin with to a folder: each is a story that leads to
another part of the client. Steps, rules and recipes are those of fuzz_client.c and
hostile.h."""
import os
import sys

ALWAYS, BOTH, RAW, CRC, CLIENTS = 8, 16, 32, 64, 128
LOOKUP, LIST, PREPARE, ACCEPT, LEASE, BITS_SET, BITS_GET, SEAL, LIST_EXTENTS = \
    3, 4, 6, 7, 8, 9, 10, 11, 12
DROP_EXTENT, DROP_VOLUME, FORGET, RECOVER_LIST, COMMIT_EXTENT = 13, 14, 15, 16, 17
READ_DATA, WRITE_ACK, BLKSTAT_DATA, ANNOUNCE = 21, 22, 23, 20
TIMES = [0, 3, 12, 30, 100, 400, 2000, 7000]        # ms


def u16(x):
    return bytes([x & 255, x >> 8])


def step(kind, ms, *args, vol=0):
    what = next(b for b in range(kind * 8, kind * 8 + 8) if b % 3 == vol)
    return bytes([what]) + b"".join(a if isinstance(a, bytes) else bytes([a]) for a in args) + \
        (b"" if ms is None else bytes([TIMES.index(ms)]))


# Recipes
def status(x): return bytes([0, x])
def cut(at): return bytes([1]) + u16(at)
def longer(eights, byte): return bytes([2, eights, byte])
def put(at, v): return bytes([3]) + u16(at) + v.to_bytes(4, "little")
def over(at, b): return bytes([4]) + u16(at) + bytes([len(b)]) + b
def add(at, n): return bytes([5]) + u16(at) + bytes([n & 255])
def former(k): return bytes([7, k])


# Steps
def rule(what, how, recipe): return step(0, None, what, how, len(recipe), recipe)
def write(at, n=0, vol=0): return step(4, 30, u16(at | n << 11), vol=vol)
def read(at, n=0, vol=0): return step(5, 12, u16(at | n << 11), vol=vol)
def zero(at): return step(6, 12, u16(at))
def discard(at): return step(7, 30, u16(at))
def blkstat(at): return step(9, 12, u16(at))
def reopen(how, vol=0, ms=400): return step(10, ms, how, vol=vol)
def close(vol=0): return step(12, 400, vol=vol)
def by_name(what, how, ms=400): return step(13 + what, ms, how)
def move(how): return step(20, 400, how)
def resize(how): return step(21, 400, how)
def shed(n, *changes): return step(22, 400, n - 1, len(changes) // 2, bytes(changes))
def server(what, i, ms=100): return step(23 + what, ms, i)
def calm(): return step(29, 400)
def wait(ms): return step(31, ms)


CREATE, DELETE, RESIZE, RECOVER, INFO, LISTING, STATS = range(7)
KILL, RESTART, SILENCE, LEAVE, CEILING = range(5)
THREE, THREE_LIVE, TWO, SMALL_MTU, EMPTY = (bytes([x]) for x in (4, 20, 2, 5, 12))
C = CLIENTS

SEEDS = {
    "io": [THREE, rule(READ_DATA, CRC | C, add(0, 1)), read(0, 4),
           rule(WRITE_ACK, C, put(0, 0xffff0000)), write(32, 3),
           rule(BLKSTAT_DATA, C, over(8, bytes(8))), blkstat(0), zero(0x1020), discard(0x2000),
           read(0x20, 8), blkstat(256)],
    "io-refused": [THREE] + [rule(t, C, status(s)) + f(1, 1) for s in (2, 5, 6, 7, 8, 9, 4, 1)
                             for t, f in ((READ_DATA, read), (WRITE_ACK, write))],
    "open": [EMPTY, by_name(CREATE, 40), rule(LOOKUP, C, add(88, 1)), rule(PREPARE, C, cut(100)),
             rule(ACCEPT, C, status(15)), reopen(0), write(0, 2), read(0, 2), close(), reopen(1),
             reopen(8, 2)],
    "reopen": [THREE, close(), rule(LIST_EXTENTS, C, put(8, 16)), rule(BITS_GET, C, put(0, 3)),
               rule(SEAL, C, status(4)), reopen(0, 0, 2000), read(0, 2), write(64), close(),
               reopen(4, 0, 2000)],
    "names": [THREE, by_name(LISTING, 0), rule(LIST, C | ALWAYS, put(4, 1)), by_name(LISTING, 0),
              by_name(INFO, 0), by_name(STATS, 0), by_name(RESIZE, 0xb0), by_name(RESIZE, 0x3c),
              by_name(CREATE, 41), by_name(DELETE, 1), by_name(RECOVER, 0, 2000),
              by_name(DELETE, 64, 2000)],
    "move": [THREE, move(0), rule(COMMIT_EXTENT, C, status(4)), move(1),
             rule(BLKSTAT_DATA, C, over(8, b"\xff" * 8)), move(2), rule(READ_DATA, C, add(8, 1)),
             move(0x30), shed(4), shed(2, 5, 5, 9, 9)],
    "resize": [THREE, resize(15), resize(2), write(96), resize(1), by_name(RESIZE, 0x3c),
               rule(BITS_SET, C, status(21)), write(200), write(66)],
    "rebuild": [THREE, close(), server(RESTART, 1), reopen(0, 0, 2000), read(33, 1), write(33, 1),
                server(KILL, 2, 400), read(66, 1), server(SILENCE, 0, 2000),
                server(SILENCE, 0, 400), write(66)],
    "caretaker": [THREE_LIVE, close(), server(KILL, 0, 7000), rule(LOOKUP, ALWAYS, put(4, 2)),
                  wait(7000), wait(7000), server(RESTART, 0, 7000), wait(7000),
                  by_name(DELETE, 64, 2000), wait(7000)],
    "caretaker-deleted": [THREE, close(), server(SILENCE, 0, 30), by_name(DELETE, 64, 7000),
                          server(SILENCE, 0, 7000), rule(DROP_VOLUME, 0, status(4)),
                          rule(FORGET, 0, status(16)), wait(7000), wait(7000)],
    "recover": [THREE, close(), server(KILL, 0), server(KILL, 1), server(RESTART, 3, 2000),
                rule(RECOVER_LIST, C, cut(200)), by_name(RECOVER, 0, 7000),
                by_name(RECOVER, 0, 7000), reopen(4, 0, 7000), read(0)],
    "bits": [THREE, write(160), server(SILENCE, 1), write(192), server(SILENCE, 1, 400),
             rule(BITS_SET, C | ALWAYS, status(21)), write(224), calm(), close(),
             rule(BITS_GET, C, put(4, 0)), rule(BITS_GET, C | 2, put(8, 99)), reopen(0, 0, 2000),
             read(160)],
    "fragments": [SMALL_MTU, rule(LOOKUP, C | RAW, put(4, 5000)), by_name(INFO, 0), write(0, 31),
                  rule(READ_DATA, C, cut(40)), read(0, 31), rule(READ_DATA, C | BOTH, add(0, 8)),
                  read(0, 30), rule(WRITE_ACK, C, status(1) + put(4, 0x55)), write(1, 20)],
    "two": [THREE, reopen(0, 2), reopen(4, 2, 2000), write(0, 1), read(0, 1, 2),
            rule(LEASE, C, status(4)), wait(2000), read(0), reopen(8, 2, 7000)],
    "sealed-again": [THREE, rule(WRITE_ACK, C, status(5)), write(0), rule(SEAL, C, status(10)),
                     write(0), rule(LIST_EXTENTS, C, put(0, 0xffffff)), close(),
                     reopen(0, 0, 2000), rule(LIST_EXTENTS, C, longer(3, 1)), server(LEAVE, 1),
                     read(0)],
    "full": [THREE, server(CEILING, 4), server(CEILING, 5), write(224), write(225), wait(2000),
             read(0), server(CEILING, 0xfc), move(0)],
    "dropped": [THREE, rule(DROP_EXTENT, C, status(7)), discard(0), discard(0x4000),
                rule(DROP_EXTENT, C, status(5)), discard(0), write(0), move(0x30), move(0x50),
                rule(COMMIT_EXTENT, C | ALWAYS, status(5)), move(1)],
    "former": [THREE, by_name(CREATE, 41), rule(LOOKUP, C, former(6)), by_name(INFO, 0),
               rule(PREPARE, C, former(6)), reopen(1, 1), rule(ACCEPT, C, status(15) + former(12)),
               close(1), reopen(1, 1, 2000), rule(LIST, C, former(7)), by_name(LISTING, 0)],
    "announced": [THREE, rule(ANNOUNCE, ALWAYS, add(0, 1)), wait(7000),
                  rule(ANNOUNCE, ALWAYS, over(8, bytes(8))), server(RESTART, 1), wait(7000),
                  by_name(LISTING, 0)],
}

for name, parts in SEEDS.items():
    with open(os.path.join(sys.argv[1], name), "wb") as f:
        f.write(b"".join(parts))
