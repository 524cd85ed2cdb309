#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sends what nobody should send to the nodes of a pool, for some time.

    spray.py INTERFACE OUR_ADDRESS SECONDS [forge]

Listens to the UDP datagrams of port 7770 that pass INTERFACE, and sends: these
once more as they were; changed, cut, lengthened ones from OUR_ADDRESS; and with
"forge" changed ones in the name of whoever sent them, which sealed sessions must
tell. Prints how many of each.
"""
import random
import socket
import struct
import sys
import time

PORT = 7770


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_of(frame):
    """The IP header's length and the datagram, or None."""
    if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != 17:
        return None
    head = (frame[14] & 15) * 4
    ports = struct.unpack("!HH", frame[14 + head:18 + head])
    if PORT not in ports:
        return None
    length = struct.unpack("!H", frame[16:18])[0]
    return head, frame[14 + head + 8:14 + length]


def rebuild(frame, head, data, source=None):
    """The frame with other data, without a UDP checksum."""
    ip = bytearray(frame[14:14 + head])
    udp = bytearray(frame[14 + head:14 + head + 8])
    ip[2:4] = struct.pack("!H", head + 8 + len(data))
    if source:
        ip[12:16] = socket.inet_aton(source)
    ip[10:12] = b"\0\0"
    ip[10:12] = struct.pack("!H", checksum(bytes(ip)))
    udp[4:6] = struct.pack("!H", 8 + len(data))
    udp[6:8] = b"\0\0"
    return frame[:14] + bytes(ip) + bytes(udp) + data


def change(data, rng):
    data = bytearray(data)
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(data[:rng.randrange(len(data) + 1)])
    if kind == 1:
        return bytes(data + rng.randbytes(rng.randrange(1, 200)))[:1472]
    if kind == 2:
        return rng.randbytes(rng.randrange(1473))
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = min(rng.randrange(len(data)), rng.randrange(len(data)))
        data[at] = rng.choice((0, 255, rng.randrange(256), data[at] ^ 1 << rng.randrange(8)))
    return bytes(data)


def main():
    interface, ours, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
    forge = sys.argv[4:] == ["forge"]
    rng = random.Random(1)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    wire.bind((interface, 0))
    wire.settimeout(0.2)
    kept, sent = [], {"again": 0, "ours": 0, "forged": 0}
    end = time.monotonic() + seconds
    own = set()
    while time.monotonic() < end:
        try:
            frame = wire.recv(2048)
        except socket.timeout:
            frame = b""
        found = udp_of(frame)
        if found and found[1] and frame not in own and frame[26:30] != socket.inet_aton(ours):
            if len(kept) < 2000:
                kept.append(frame)
            else:
                kept[rng.randrange(2000)] = frame
        if not kept:
            continue
        for what in ("again", "ours", "forged"):
            if what == "forged" and not forge:
                continue
            frame = rng.choice(kept)
            head, data = udp_of(frame)
            if what != "again":
                frame = rebuild(frame, head, change(data, rng), ours if what == "ours" else None)
            own.add(frame)
            try:
                wire.send(frame)
                sent[what] += 1
            except OSError:
                pass
        if len(own) > 20000:
            own.clear()
    print(" ".join("%s %d" % item for item in sent.items()))


main()
