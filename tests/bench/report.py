#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""From runs to medians, ratios, bars, results.json and results.md.

    tests/bench/report.py [build/bench/results.json]

prints the short table of docs/bench.md from what `make bench` has written.
"""
import json
import os
import statistics
import sys
from collections import namedtuple

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from measure import CASES, SERVER_CPU              # noqa: E402
from subjects import KINDS, MEMX, PLAIN_NBD         # noqa: E402

DISTURBED = 0.10

# One thing that is compared: `get` takes it from a Run of the case `source`.
Spec = namedtuple("Spec", "case metric better source group get")

# group, subject -> (against whom, how many times); for server CPU, at most.
BARS = {
    ("qd1", "memx-udp"): [("best", 1.5)],
    ("qd1", "memx-udp-poll"): [("best", 3)],
    ("qd1", "memx-udp-aead"): [("best", 1.2)],
    ("qd32", "memx-udp"): [("best", 3)],
    ("qd32", "memx-udp-poll"): [("best", 3)],
    ("qd32", "memx-udp-aead"): [("best", 1.5), ("tls", 3)],
    ("seq", "memx-udp"): [("best", 1.2)],
    ("seq", "memx-udp-poll"): [("best", 1.2)],
    ("seq", "memx-udp-aead"): [("tls", 2)],
    ("cpu", "memx-udp"): [("nbdkit", 0.5)],
}
AGAINST = {"best": PLAIN_NBD, "tls": ["nbdkit-tls"], "nbdkit": ["nbdkit-unix", "nbdkit-tcp"]}


def specs():
    out = []
    for c in CASES:
        if c.size > 4096:
            out.append(Spec(c.name, "MB/s", "higher", c, "seq",
                            lambda r, c=c: r.value * c.size / 1e6))
        else:
            out.append(Spec(c.name, "iops", "higher", c, f"qd{c.depth}", lambda r: r.value))
    for c in CASES:
        if c.depth == 32:
            out.append(Spec(SERVER_CPU, "us/write" if c.write else "us/read", "lower", c, "cpu",
                            lambda r: r.server_us))
    return out


class Results:
    """Every Run, by case, subject and (for the limit) variant, in order of rounds."""

    def __init__(self, rounds):
        self.rounds = rounds
        self.runs = {}
        self.idle = {}          # servers that used CPU while others were measured

    def add(self, case, subject, variant, run):
        self.runs.setdefault((case.name, subject), {}).setdefault(variant, []).append(run)

    def variants(self, spec, subject):
        return {v: [spec.get(r) for r in runs]
                for v, runs in self.runs.get((spec.source.name, subject), {}).items()}

    def values(self, spec, subject):
        """(variant, values of each round); of a limit, its fastest way without checksum."""
        return self.fastest(spec, subject, lambda v: "crc" not in v)

    def checked_values(self, spec, subject):
        """The same for a limit's fastest way with a checksum."""
        return self.fastest(spec, subject, lambda v: "crc" in v)

    def fastest(self, spec, subject, wanted):
        ways = {v: x for v, x in self.variants(spec, subject).items() if wanted(v)}
        if not ways:
            return None, []
        best = max if spec.better == "higher" else min
        way = best(ways, key=lambda v: statistics.median(ways[v]))
        return way, ways[way]

    def median(self, spec, subject):
        values = self.values(spec, subject)[1]
        return statistics.median(values) if values else None

    def subjects(self, spec):
        return [s for s in KINDS if (spec.source.name, s) in self.runs]

    def best(self, spec, names):
        """Who of `names` is hardest to beat; None when none was measured."""
        known = [n for n in names if self.median(spec, n)]
        best = max if spec.better == "higher" else min
        return best(known, key=lambda n: self.median(spec, n)) if known else None


def spread(values):
    quarter = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 \
        else [values[0]] * 3
    return {"min": round(min(values), 3), "max": round(max(values), 3),
            "q1": round(quarter[0], 3), "q3": round(quarter[2], 3)}


def bars_for(results, spec, subject, peer):
    """Bars of `subject` that are measured against this very peer."""
    return [factor for against, factor in BARS.get((spec.group, subject), [])
            if results.best(spec, AGAINST[against]) == peer]


def row(results, spec, subject, peer):
    way, values = results.values(spec, subject)
    peer_way, peer_values = results.values(spec, peer)
    value, peer_value = statistics.median(values), statistics.median(peer_values)
    r = {
        "case": spec.case, "subject": subject, "peer": peer, "metric": spec.metric,
        "value": round(value, 3), "peer_value": round(peer_value, 3),
        "ratio": round(value / peer_value, 4) if peer_value else None,
        "better": spec.better, "best_peer": peer == results.best(spec, PLAIN_NBD),
        "rounds": len(values), "spread": spread(values), "peer_spread": spread(peer_values),
    }
    r["disturbed_rounds"] = sum(a.others > DISTURBED or b.others > DISTURBED for a, b in zip(
        results.runs[spec.source.name, subject][way],
        results.runs[spec.source.name, peer][peer_way]))
    pairs = [a / b for a, b in zip(values, peer_values) if b]
    if pairs:
        r["ratio_by_round"] = round(statistics.median(pairs), 4)
    if peer_way:
        r["peer_variant"] = peer_way
    crc = results.checked_values(spec, peer)[1]
    if crc:
        r["peer_value_crc"] = round(statistics.median(crc), 3)
        r["ratio_crc"] = round(value / statistics.median(crc), 4)
    bars = bars_for(results, spec, subject, peer)
    if bars and r["ratio"] is not None:
        r["bar"] = bars[0]
        r["met"] = bool(r["ratio"] >= bars[0] if spec.better == "higher"
                        else r["ratio"] <= bars[0])
    return r


def rows(results):
    """Each MemX subject against each other; without MemX, the peers against the limit."""
    out = []
    for spec in specs():
        names = results.subjects(spec)
        ours = [n for n in names if n in MEMX]
        peers = [n for n in names if n not in MEMX]
        if not ours:
            ours = [n for n in peers if KINDS[n].kind == "nbd"]
            peers = [n for n in peers if KINDS[n].kind == "limit"]
        out += [row(results, spec, s, p) for s in ours for p in peers]
    return out


def write_json(path, all_rows):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(all_rows, f, indent=1)
        f.write("\n")


def show(metric, v):
    if metric == "MB/s":
        return f"{v / 1000:.2f} GB/s" if v >= 1000 else f"{v:.0f} MB/s"
    if metric.startswith("us/"):
        return f"{v:.2f} us"
    return f"{v / 1000:.1f}k" if v >= 1000 else f"{v:.0f}"


def rate(case, value):
    if case.size > 4096:
        return show("MB/s", value * case.size / 1e6)
    return show("iops", value) + "/s"


def bars_table(all_rows):
    lines = ["| case | subject | wanted | reached | against | |", "|---|---|---|---|---|---|"]
    some = [r for r in all_rows if "bar" in r]
    for r in some:
        word = "at least" if r["better"] == "higher" else "at most"
        case = r["case"] + (f" ({r['metric']})" if r["case"] == SERVER_CPU else "")
        lines.append(f"| {case} | {r['subject']} | {word} {r['bar']:g} times | "
                     f"{r['ratio']:.2f} times | {r['peer']} | "
                     f"{'met' if r['met'] else '**NOT met**'} |")
    met = sum(r["met"] for r in some)
    if not some:
        return ["No bar applies: MemX was not measured, or not beside what it is compared with."]
    return lines + ["", f"{met} of {len(some)} bars met."]


def reached(some):
    """What was reached of each bar of one case and subject."""
    return "; ".join(
        f"{'against TLS ' if r['peer'] == 'nbdkit-tls' else ''}{r['ratio']:.2f} of {r['bar']:g}: "
        f"{'met' if r['met'] else '**not met**'}" for r in some) or "-"


def short_table(all_rows):
    """A line for each case, from the rows of results.json."""
    lines = ["| case | plain | polling | encrypted | plain, but neither end ever polls |",
             "|---|---|---|---|---|"]
    some = [r for r in all_rows if "bar" in r]
    for c in CASES:
        cells = [reached([r for r in some if r["case"] == c.name and r["subject"] == s])
                 for s in ("memx-udp", "memx-udp-poll", "memx-udp-aead")]
        sleeps = [f"{r['ratio']:.2f}" for r in all_rows if r["case"] == c.name
                  and r["subject"] == "memx-udp-sleep" and r["best_peer"]]
        lines.append(f"| {c.size // 1024} KiB {'write' if c.write else 'read'}, depth {c.depth} | "
                     + " | ".join(cells + (sleeps or ["-"])) + " |")
    for metric in ("us/read", "us/write"):
        cell = reached([r for r in some if r["case"] == SERVER_CPU and r["metric"] == metric])
        lines.append(f"| server CPU for a {metric[3:]}, depth 32, against nbdkit | {cell} | | | |")
    return lines + ["", f"{sum(r['met'] for r in some)} of {len(some)} bars met."]


def ratio_cell(results, spec, subject, names):
    best = results.best(spec, names)
    mine = results.median(spec, subject)
    return f"{mine / results.median(spec, best):.2f}" if best and mine else "-"


def limit_for(subject):
    return ["limit-udp-poll"] if subject.endswith("-poll") else ["limit-udp"]


def spec_table(results, spec):
    title = spec.case + (f", {spec.metric}" if spec.case == SERVER_CPU else "")
    lines = [f"### {title}", "",
             "| subject | median | lowest to highest | middle half | server CPU | client CPU | "
             "times best NBD | share of limit |", "|---|---|---|---|---|---|---|---|"]
    for s in results.subjects(spec):
        chosen = results.values(spec, s)[0]
        for way, values in results.variants(spec, s).items():
            runs = results.runs[spec.source.name, s][way]
            sp = spread(values)
            name = s + (f" ({way.replace(' ', ', ')}{', the limit' if way == chosen else ''})"
                        if way else "")
            mine = way in ("", chosen)
            lines.append(
                "| " + " | ".join([
                    name, show(spec.metric, statistics.median(values)),
                    f"{show(spec.metric, sp['min'])} to {show(spec.metric, sp['max'])}",
                    f"{show(spec.metric, sp['q1'])} to {show(spec.metric, sp['q3'])}",
                    f"{statistics.median(r.server_us for r in runs):.2f} us",
                    f"{statistics.median(r.client_us for r in runs):.2f} us",
                    ratio_cell(results, spec, s, PLAIN_NBD) if mine else "-",
                    ratio_cell(results, spec, s, limit_for(s))
                    if mine and spec.better == "higher" else "-"]) + " |")
    return lines + [""]


def notes(results):
    out = []
    all_runs = [r for ways in results.runs.values() for runs in ways.values() for r in runs]
    disturbed = sum(r.others > DISTURBED for r in all_runs)
    out.append(f"{disturbed} of {len(all_runs)} runs were disturbed (more than "
               f"{DISTURBED:.0%} of a CPU went to other programs meanwhile)"
               + ("; do not trust the numbers of this run." if disturbed * 10 > len(all_runs)
                  else "."))
    if any(n == "nbdkit-tls-chacha" for _, n in results.runs):
        out.append("nbdkit-tls is told to use AES-128-GCM; nbdkit-tls-chacha is what QEMU and "
                   "nbdkit agree on by themselves.")
    lost = sum(r.retries for r in all_runs)
    if lost:
        out.append(f"The bare exchange lost {lost} datagrams: its numbers are no limit.")
    for name, share in results.idle.items():
        out.append(f"{name}'s server used up to {share:.0%} of a CPU while others were measured.")
    return out


def scale_markdown(all_rows):
    """The table of a simulated cluster; nothing without one."""
    if not all_rows:
        return ""
    lines = ["", "## Scale", "", f"Simulated: {all_rows[0]['link']}.", "",
             "| case | | value |", "|---|---|---|"]
    for r in all_rows:
        value = f"{r['value']:,.0f}" if r["value"] >= 1000 else f"{r['value']:.3g}"
        lines.append(f"| `{r['case']}` | {r['what']} | {value} {r['metric']} |")
    return "\n".join(lines) + "\n"


def markdown(results, all_rows, about):
    lines = ["# MemX benchmark", "", about, ""]
    lines += ["- " + n for n in notes(results)] + ["", "## Bars", ""]
    lines += bars_table(all_rows)
    if any("bar" in r for r in all_rows):
        lines += ["", "In short, ratios to what each bar is against:", ""] + short_table(all_rows)
    lines += ["", "## Results", "",
              "Medians over the rounds; CPU is for each request, in user space and kernel. "
              "`limit` is the bare UDP exchange of the same size and depth: its two processes on "
              "a CPU each (`apart`) or where the scheduler puts them (`free`), with "
              "segmentation offload (`gso`), or with CRC32C of the data as well (`crc`; with "
              "offload at depth 32).", ""]
    for spec in specs():
        if results.subjects(spec) and (spec.better == "higher" or results.values(
                spec, results.subjects(spec)[0])[1]):
            lines += spec_table(results, spec)
    return "\n".join(lines)


def main():
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(top, "build/bench/results.json")
    try:
        with open(path, encoding="utf-8") as f:
            print("\n".join(short_table(json.load(f))))
    except (OSError, ValueError, KeyError) as e:
        print(f"tests/bench/report.py: {path}: {e}; `make bench` writes it", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
