#!/usr/bin/env python3
"""The simulation of introductions, relaying and roaming. See README.md.

  python3 main.py --quick                  less than a minute; exits 1 if a promise fails
  python3 main.py                          everything, three quarters of an hour on two processors; tables on standard output
  python3 main.py --part roaming           one part
  python3 main.py --without move-check     a rule switched off; --designed: without those that were found here; --rules: their names
"""

import argparse
import sys
import time
from multiprocessing import Pool

import attacks
import budgets
import kinds
import matrix
import promises
import report
import roaming
import rules
import waiting

COLUMNS = ["alive", "false", "late", "doubts", "changes", "linked", "punches"]
PARTS = ("matrix", "waiting", "roaming", "attacks", "budgets", "punching-rules", "other-rules")
PUNCHING_RULES = ("hop-limit", "echo-anywhere", "answer-rate", "both-valid", "strangers-answered-only", "stranger-limits", "third-time")


def show_matrix(in_force, a):
    def progress(row):
        print(f"{row['kinds'][0]} × {row['kinds'][1]}: {row['direct']} of {row['runs']}", file=sys.stderr, flush=True)
    rows = matrix.run(in_force, a.runs, a.costly_runs, a.loss, dict(second_ip=a.second_ip), processes=a.processes, report=progress)
    cells = {}
    for row in rows:
        part = 100 * row["direct"] / row["runs"]
        cells[row["kinds"]] = f"{part:.0f} / {row['median']:.0f}" if row["direct"] else "0"
    names = list(kinds.KINDS)
    print(f"## Access kinds: % direct / median ms, {a.loss:.0%} loss\n")
    report.table(["", *names], [[x, *(cells.get((x, y)) or cells.get((y, x)) for y in names)] for x in names])
    promised = [r for r in rows if matrix.meets(*r["kinds"])]
    runs, direct = sum(r["runs"] for r in promised), sum(r["direct"] for r in promised)
    refused = sum(r["refused"] for r in rows)
    print(f"{len(promised)} pairs with an independent side: {direct:,} of {runs:,} runs direct; punches refused by budgets: {refused:,}.\n")
    def both_independent(x, y):
        return {x, y} <= set(kinds.INDEPENDENT) and (x, y) != ("page", "page")
    groups = {"both independent": both_independent,
              "one independent, something open": lambda x, y: matrix.meets(x, y) and not both_independent(x, y) and not matrix.costly(x, y),
              "one independent, strict": lambda x, y: matrix.meets(x, y) and not both_independent(x, y) and matrix.costly(x, y),
              "both dependent": lambda x, y: not matrix.meets(x, y) and (x, y) != ("page", "page")}
    lines = []
    for name, belongs in groups.items():
        mine = [r for r in rows if belongs(*r["kinds"])]
        got = [r for r in mine if r["direct"]]
        direct, runs = sum(r["direct"] for r in mine), sum(r["runs"] for r in mine)
        lines.append([name, str(len(mine)), f"{direct:,} of {runs:,}",
                      report.number(matrix.quantile([r["median"] for r in got], 0.5)), report.number(max(r["p95"] for r in got)),
                      report.number(matrix.quantile([r["extra"] for r in got], 0.5)), report.number(sum(r["punches"] for r in mine) / len(mine)),
                      report.number(max(r["most"] for r in mine))])
    report.table(["pairs", "number", "direct", "median ms", "95 %, worst pair", "beyond 3 round trips", "punches", "most"], lines)


def show_waiting(in_force, a):
    print(f"## While a person decides, {a.loss:.0%} loss\n")
    head = ["", "mappings live", *(" × ".join(k) for k in waiting.KINDS)]
    runs = max(4, a.seeds)
    report.table(head, [[name, f"{timeout // 1000} s", *(f"{waiting.waits(i, k, runs, in_force, a.loss)} of {runs}" for k in waiting.KINDS)]
                        for i, (name, _, timeout) in enumerate(waiting.CASES)])


def show_roaming(in_force, a):
    for loss in (0.0, a.loss):
        print(f"## Moves: ms beyond two round trips (20, 60, 150, 300 ms), {loss:.0%} loss\n")
        rows = report.many({n: (f, {}) for n, f in roaming.SCENARIOS.items()}, a.seeds, in_force, loss, a.processes)
        report.interruptions(rows, [*COLUMNS, "direct again", "paths lost"])


ATTACKS = {"copied punches": (attacks.copied_punches, {}), "copied everything": (attacks.copied_everything, {}),
           **{f"{c:,} captured, {r:,} a second": (attacks.replayed, {"rate": r, "captured": c}) for r in (50, 200, 1000) for c in (1, 16, 1000)},
           "1,000 captured, 1,000 a second, each after a packet": (attacks.replayed, {"rate": 1000, "captured": 1000, "garbage": True}),
           "1 captured, 200 a second, receives only": (attacks.replayed, {"rate": 200, "captured": 1, "genuine": "receives only"}),
           "claimed address": (attacks.claimed_address, {}), "inherited address": (attacks.inherited_address, {}),
           "inherited from the dead": (attacks.inherited_from_the_dead, {}), "relayed move": (attacks.relayed_move, {})}


def show_attacks(in_force, a):
    for loss in (0.0, a.loss):
        print(f"## Attackers, and addresses in use: ms beyond two round trips (60, 150 ms), {loss:.0%} loss\n")
        rows = report.many(ATTACKS, max(2, a.seeds // 4), in_force, loss, a.processes, (60.0, 150.0))
        report.interruptions(rows, ["alive", "false", "held by the copier", "packets through it", "received a second", "received for each sent", "copies"])


def show_budgets(in_force, _):
    print("## What one client sends for introducers that lie, ten minutes\n")
    lines = []
    for introducers in (1, 3):
        for victims in (1, 64, 256):
            r = budgets.lies(in_force, victims, introducers=introducers)
            lines.append([str(introducers), str(victims), *(report.number(r[k]) for k in
                          ("to one in 10 s", "to one a second", "all a second", "most in a second", "addresses"))])
    report.table(["introducers", "addresses named", "to one in 10 s", "to one a second", "all a second", "most in a second", "addresses reached"], lines)
    for victims in (1, 64):
        print(f"Hard NATs *always* allowed, {victims} addresses: {budgets.hard_nat(victims=victims)}\n")
    lines = []
    for players, site in ((16, 1), (16, 15), (33, 1), (33, 32)):
        r = [budgets.lobby(in_force, seed, players, site) for seed in range(20)]
        lines.append([str(players), str(site), *(report.number(sum(x[k] for x in r) / 20) for k in ("punches", "refused")),
                      str(min(x["least for one peer"] for x in r))])
    report.table(["lobby of", "behind one address", "punches", "refused", "least for one peer"], lines)


def show_punching_rules(in_force, a):
    """Pairs of kinds without each rule of punching: part that became direct, median, punches."""
    print(f"## Punching without a rule: % direct / median ms / most punches, {a.loss:.0%} loss\n")
    runs = max(10, a.seeds)
    sets = {"all rules": in_force, **{f"no {name}": in_force - {name} for name in PUNCHING_RULES}}
    jobs = [(*pair, runs, which, a.loss, {}) for pair in promises.PAIRS for which in sets.values()]
    with Pool(a.processes) as pool:
        rows = pool.map(matrix.pair, jobs, chunksize=1)
    cells = [f"{100 * r['direct'] / r['runs']:.0f} / {report.number(r['median'] and round(r['median']))} / {r['most']:,}" for r in rows]
    report.table(["", *sets], [[" × ".join(pair), *cells[k * len(sets):(k + 1) * len(sets)]] for k, pair in enumerate(promises.PAIRS)])


ABLATED_ATTACKS = ("copied punches", "1 captured, 200 a second", "inherited address", "relayed move")
SLOW = ("nothing_happens", "mappings_end_after_50_s", "rebinds_every_10_s", "circuit_becomes_direct", "idle")
# What is compared, and the least difference that is told
MATTERS = {"median": 50, "95 %": 300, "alive": 0.01, "false": 0, "changes": 2, "punches": 60, "linked": 0.2, "paths lost": 0.1, "srtt": 0.5, "copies": 5,
           "received a second": 1}


def show_other_rules(in_force, a):
    """What each of the other rules is good for: everything that changes without it."""
    print(f"## Scenarios without a rule, {a.loss:.0%} loss and none\n")
    scenarios = {n: (f, {}) for n, f in roaming.SCENARIOS.items() if n not in SLOW}
    scenarios.update({n: ATTACKS[n] for n in ABLATED_ATTACKS})
    seeds = max(1, a.seeds // 10)

    def measure(which):
        found = {}
        for loss in (0.0, a.loss):
            for name, rows in report.many(scenarios, seeds, which, loss, a.processes, (60.0, 150.0)).items():
                beyond = report.over(rows)
                found[(name, loss)] = {"median": matrix.quantile(beyond, 0.5), "95 %": matrix.quantile(beyond, 0.95),
                                       **{k: report.mean(rows, k) for k in MATTERS if k not in ("median", "95 %")}}
        return found
    base = measure(in_force)
    lines = []
    for name in rules.ALL:
        if name not in in_force or name in ("hop-limit", "hold-path", "half-budget", "minute-budget", "both-valid", "strangers-answered-only"):
            continue                # these are seen elsewhere
        other, effects = measure(in_force - {name}), []
        for key, before in base.items():
            for what, least in MATTERS.items():
                x, y = before[what], other[key][what]
                if x is not None and y is not None and x != y and (y == report.INFINITE or x == report.INFINITE or abs(y - x) > least):
                    effects.append(f"{key[0].replace('_', ' ')} ({key[1]:.0%}): {what} {report.number(x)} → {report.number(y)}")
        lines.append([name, "; ".join(effects) or "nothing seen"])
        print(f"{name}: {len(effects)}", file=sys.stderr, flush=True)
    report.table(["rule", "without it"], lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="check the promises in less than a minute")
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--without", action="append", default=[], metavar="RULE")
    parser.add_argument("--designed", action="store_true", help="only the rules of the design and its amendments")
    parser.add_argument("--rules", action="store_true", help="list the rules")
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--runs", type=int, default=200, help="of each pair in the matrix")
    parser.add_argument("--costly-runs", type=int, default=60, help="of pairs that send thousands of punches")
    parser.add_argument("--loss", type=float, default=0.1)
    parser.add_argument("--second-ip", action="store_true", help="the introducer has a second IP address")
    parser.add_argument("--processes", type=int, default=2)
    a = parser.parse_args()
    if a.rules:
        report.table(["rule", "about", "says", "without it"], [[n, *r] for n, r in rules.ALL.items()])
        return 0
    in_force = rules.in_force(a.designed, a.without)
    began = time.time()
    if a.quick:
        failed = promises.quick(in_force, a.processes)
        print(f"{failed} of the promises failed" if failed else "all promises hold", f"({time.time() - began:.0f} s)")
        return 1 if failed else 0
    shows = {"matrix": show_matrix, "waiting": show_waiting, "roaming": show_roaming, "attacks": show_attacks, "budgets": show_budgets,
             "punching-rules": show_punching_rules, "other-rules": show_other_rules}
    for part in a.part or PARTS:
        shows[part](in_force, a)
    print(f"{time.time() - began:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
