#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes inputs for fuzz_inspect to begin with to a folder: one for each reply that
memxctl reads, honest, cut and changed."""
import os
import sys

LOOKUP, LIST, BITS_GET, LIST_EXTENTS = 3, 4, 10, 12


def rule(op, how, recipe):
    return bytes([0x80 | op & 31, 0x80 | how, len(recipe)]) + recipe


def put(at, v):
    return bytes([3, at & 255, at >> 8]) + v.to_bytes(4, "little")


N = 0
for how in (4, 4 | 8, 5 | 8, 4 | 16, 4 | 16 | 128):     # three servers; one killed, or restarted
    for op in (LOOKUP, LIST, BITS_GET, LIST_EXTENTS):
        for recipe in (b"", bytes([1, 9, 0]), put(0, 2) + put(4, 1), put(4, 7), put(8, 3),
                       bytes([0, 5]), bytes([2, 3, 1])):
            N += 1
            with open(os.path.join(sys.argv[1], f"seed{N}"), "wb") as f:
                f.write(bytes([how, 0x5f]) + rule(op, 0, recipe) + rule(op, 8, recipe))
