# SPDX-License-Identifier: GPL-2.0-or-later
"""results.svg: one panel for each comparison, one bar for each subject."""
import statistics
from html import escape

from measure import SERVER_CPU
from report import AGAINST, BARS, show, specs
from subjects import KINDS

COLOUR = {"memx": "#1f6feb", "nbd": "#8c959f", "limit": "#ffffff"}
TITLE = {
    "qemu-read-4k-qd1": "4 KiB reads, one at a time",
    "qemu-write-4k-qd1": "4 KiB writes, one at a time",
    "qemu-read-4k-qd32": "4 KiB reads, 32 at a time",
    "qemu-write-4k-qd32": "4 KiB writes, 32 at a time",
    "qemu-seqread-128k-qd4": "128 KiB sequential reads, 4 at a time",
    "qemu-seqwrite-128k-qd4": "128 KiB sequential writes, 4 at a time",
}
UNIT = {"iops": "requests a second", "MB/s": "data rate",
        "us/read": "microseconds", "us/write": "microseconds"}
CPU_TITLE = {"us/read": "Server CPU for each 4 KiB read, 32 at a time",
             "us/write": "Server CPU for each 4 KiB write, 32 at a time"}
PANEL_W, LABEL_W, NUMBER_W, ROW_H, HEAD_H, GAP = 570, 132, 74, 22, 46, 18


def text(x, y, content, size=12, anchor="start", colour="#1f2328", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{colour}" font-weight="{weight}">{escape(content)}</text>')


def marks(results, spec, subject):
    """Where this subject has to get to, on the panel's scale."""
    out = []
    for against, factor in BARS.get((spec.group, subject), []):
        peer = results.best(spec, AGAINST[against])
        if peer:
            out.append(factor * results.median(spec, peer))
    return out


def scale_end(results, spec, names):
    """The limit may lie far off; the others' bars should not shrink for it."""
    ends = [0.0]
    for n in names:
        if KINDS[n].kind != "limit":
            ends += [max(results.values(spec, n)[1]), *marks(results, spec, n)]
    limits = [results.median(spec, n) for n in names if KINDS[n].kind == "limit"]
    others = max(ends)
    if limits and (not others or max(limits) < 1.6 * others):
        others = max([others, *limits])
    return 1.06 * others or 1.0


def bar(results, spec, name, x, y, width, end):
    values = results.values(spec, name)[1]
    value, kind = statistics.median(values), KINDS[name].kind
    px = lambda v: x + min(v, end) / end * width        # noqa: E731
    h, mid = ROW_H - 7, y + (ROW_H - 7) / 2
    dash = ' stroke="#57606a" stroke-dasharray="3 2"' if kind == "limit" else ""
    out = [f'<rect x="{x:.1f}" y="{y:.1f}" width="{px(value) - x:.1f}" height="{h}" '
           f'fill="{COLOUR[kind]}"{dash}/>']
    if value > end:         # torn edge: the bar is longer than the panel
        for k in (0, 5):
            ex = x + width - 12 + k
            out.append(f'<path d="M{ex:.1f} {y - 2:.1f} l4 {h / 3:.1f} l-4 {h / 3:.1f} '
                       f'l4 {h / 3 + 3:.1f}" stroke="#57606a" fill="none"/>')
    else:
        lo, hi = px(min(values)), px(max(values))
        out.append(f'<path d="M{lo:.1f} {mid:.1f} H{hi:.1f} M{lo:.1f} {mid - 3:.1f} v6 '
                   f'M{hi:.1f} {mid - 3:.1f} v6" stroke="#1f2328" fill="none"/>')
    for m in marks(results, spec, name):
        out.append(f'<path d="M{px(m):.1f} {y - 3:.1f} v{h + 6}" stroke="#cf222e" '
                   'stroke-width="2.5"/>')
    out.append(text(x - 6, mid + 4, name, anchor="end",
                    weight="bold" if kind == "memx" else "normal"))
    out.append(text(x + width + 6, mid + 4, show(spec.metric, value)))
    return out


def panel(results, spec, x, y):
    names = results.subjects(spec)
    end = scale_end(results, spec, names)
    title = TITLE[spec.case] if spec.case != SERVER_CPU else CPU_TITLE[spec.metric]
    unit = UNIT[spec.metric]
    word = "more is better" if spec.better == "higher" else "less is better"
    out = [text(x, y + 14, title, 14, weight="bold"),
           text(x, y + 31, f"{unit}, {word}", 11, colour="#57606a")]
    for i, n in enumerate(names):
        out += bar(results, spec, n, x + LABEL_W, y + HEAD_H + i * ROW_H,
                   PANEL_W - LABEL_W - NUMBER_W, end)
    base = y + HEAD_H + len(names) * ROW_H
    out.append(f'<path d="M{x + LABEL_W} {y + HEAD_H - 4} V{base - 2}" stroke="#57606a"/>')
    return out, HEAD_H + len(names) * ROW_H


def wrap(about, width):
    lines, line = [], ""
    for word in about.split():
        if len(line) + len(word) + 1 > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return lines + [line]


def draw(results, about):
    shown = [s for s in specs() if results.subjects(s)]
    width = 2 * PANEL_W + 3 * GAP
    body, y = [text(GAP, 34, "MemX beside NBD and a bare UDP exchange", 20, weight="bold")], 54
    for line in wrap(about, 170):
        body.append(text(GAP, y, line, 11, colour="#57606a"))
        y += 15
    legend = (("memx", "MemX"), ("nbd", "QEMU's NBD driver"), ("limit", "bare UDP exchange"))
    x = GAP
    for kind, name in legend:
        body.append(f'<rect x="{x}" y="{y - 2}" width="14" height="11" fill="{COLOUR[kind]}" '
                    'stroke="#57606a"/>')
        body.append(text(x + 20, y + 8, name, 11))
        x += 50 + 7 * len(name)
    body.append(f'<path d="M{x + 4} {y - 3} v13" stroke="#cf222e" stroke-width="2.5"/>')
    body.append(text(x + 12, y + 8, "where MemX is meant to get; thin lines: lowest to highest "
                     "round; a torn bar goes beyond its panel", 11))
    y += 30
    for i in range(0, len(shown), 2):
        tallest = 0
        for k, spec in enumerate(shown[i:i + 2]):
            part, height = panel(results, spec, GAP + k * (PANEL_W + GAP), y)
            body += part
            tallest = max(tallest, height)
        y += tallest + 24
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y}" '
            f'viewBox="0 0 {width} {y}" font-family="DejaVu Sans, Verdana, sans-serif">\n'
            f'<rect width="{width}" height="{y}" fill="#ffffff"/>\n'
            + "\n".join(body) + "\n</svg>\n")
