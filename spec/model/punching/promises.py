"""What must hold; `main.py --quick` fails if it does not. The figures leave room for the few seeds of the quick form."""

import attacks
import budgets
import matrix
import report
import roaming
import waiting
from matrix import quantile

# An interruption may last two round trips and 300 ms. What nobody foresaw costs three round trips at least (a datagram from the new address,
# who_are_you, a punch, its answer, the echo, a packet): three and 100 ms, if that is more.
ALLOWED = 300               # ms beyond two round trips
LOSSY = 2500                # the same where 10 % are lost
# Pairs that stand for all: easy, page, rejecting Linux, predicting, spraying, burst, storms between NATs that filter nothing
PAIRS = [("public", "EI/APD"), ("EI/APD", "EI/APD"), ("page", "EI/AD"), ("linux rej", "linux rej"), ("fw6", "cgn easy"), ("EI/APD", "APD/APD s"),
         ("linux rej", "APD/APD r"), ("cgn easy", "cgn hard"), ("APD/APD s", "APD/APD s"), ("APD/EI r", "APD/EI r"), ("EI/AD", "APD/APD r"),
         ("EI/APD", "AD/APD s")]
MOVES = ("address_change_reported", "address_change_unreported", "port_change", "both_behind_nats", "receives_only", "idle", "both_at_once",
         "back_within_a_second", "dead_outward", "dead_both_ways")


class Promises:
    def __init__(self):
        self.failed = 0

    def check(self, name, holds, found):
        self.failed += not holds
        print(f"{'holds ' if holds else 'FAILS '} {name}: {found}", flush=True)


def quick(rules, processes):
    promises = Promises()
    direct(promises, rules)
    moves(promises, rules, processes)
    hostile(promises, rules, processes)
    limits(promises, rules)
    return promises.failed


def direct(promises, rules):
    for pair in PAIRS:
        row = matrix.pair((*pair, 10, rules, 0.1, {}))
        name = " × ".join(pair)
        promises.check(f"{name} becomes direct", row["direct"] == row["runs"], f"{row['direct']} of {row['runs']}, {row['punches']:.0f} punches")
        promises.check(f"{name} makes no storm", row["most"] < 5000, row["most"])
    for case, (name, _, timeout) in enumerate(waiting.CASES):
        good = sum(waiting.waits(case, kinds, 3, rules, 0.1) for kinds in waiting.KINDS)
        promises.check(f"{name}, mappings of {timeout // 1000} s", good == 3 * len(waiting.KINDS), f"{good} of {3 * len(waiting.KINDS)} connected")


def moves(promises, rules, processes):
    scenarios = {name: (roaming.SCENARIOS[name], {}) for name in MOVES}
    for loss, allowed in ((0.0, ALLOWED), (0.1, LOSSY)):
        for name, rows in report.many(scenarios, 2, rules, loss, processes).items():
            beyond = max(gap - 2 * rtt - max(0.0, rtt - 200) for rtt, counts in rows for gap in counts["gaps"])
            label = f"{name.replace('_', ' ')}, {loss:.0%} loss"
            promises.check(f"{label}: at most 2 round trips and {allowed} ms", beyond <= allowed, report.milliseconds(beyond))
            promises.check(f"{label}: no false verdict, nobody ends", all(c["false"] == 0 and c["alive"] for _, c in rows), len(rows))
    rows = report.many({"reported": (roaming.address_change_reported, {})}, 3, rules, 0.0, processes)["reported"]
    promises.check("a reported move shows no id twice", all(c["linked"] == 0 for _, c in rows), report.mean(rows, "linked"))
    rows = report.many({"little": (roaming.little_traffic, {})}, 10, rules, 0.1, processes, (60.0,))["little"]
    promises.check("no path is lost by loss alone", all(c["paths lost"] == 0 for _, c in rows), report.mean(rows, "paths lost"))


def hostile(promises, rules, processes):
    cases = {"one captured punch": (attacks.replayed, {"rate": 200, "captured": 1}),
             "sixteen captured punches": (attacks.replayed, {"rate": 200, "captured": 16})}
    for name, rows in report.many(cases, 2, rules, 0.0, processes, (60.0, 150.0)).items():
        beyond = quantile(report.over(rows), 1)
        promises.check(f"a move, and {name} from 200 sources a second", beyond <= ALLOWED, report.milliseconds(beyond))
        less = all(c["received for each sent"] <= 1 for _, c in rows)
        promises.check(f"{name}: a victim receives less than was sent", less, report.mean(rows, "received a second"))
    cases = {"copied punches": (attacks.copied_punches, {}), "claimed address": (attacks.claimed_address, {}),
             "inherited address": (attacks.inherited_address, {}),
             "inherited from the dead": (attacks.inherited_from_the_dead, {})}
    for name, rows in report.many(cases, 1, rules, 0.0, processes, (60.0, 150.0)).items():
        good = all(c["alive"] and c["false"] == 0 and c.get("held by the copier", 0) == 0 for _, c in rows)
        promises.check(f"{name}: nobody ends, nothing is believed", good, len(rows))


def limits(promises, rules):
    one, network = budgets.lies(rules, 1, 120), budgets.lies(rules, 64, 120)
    promises.check("a lying introducer, one victim: 40 in 10 s", one["to one in 10 s"] <= 40, one["to one in 10 s"])
    promises.check("one victim: 1.4 a second", one["to one a second"] <= 1.4, one["to one a second"])
    promises.check("a network: 86 a second", network["all a second"] <= 86, network["all a second"])
    honest = budgets.lobby(rules, 1)
    promises.check("a lobby of 16 has room", honest["refused"] == 0, honest["refused"])
