"""What an introducer that lies can have one client send, and what that leaves to honest use."""

import random

from schedule import HARD_PUNCHES, PUNCH_AT, Budget

CANDIDATES, UPDATES = 8, 4          # for each introduction; `candidates` messages a second
NEW_A_MINUTE, UNDER_WAY = 64, 32


def lies(rules, victims, seconds=600, introducers=1):
    """Every second each introducer names candidates at its victims, as many as the protocol lets it. Returns what arrives, by second and address."""
    budget = Budget(rules)
    queue = []
    addresses = [f"victim {i}" for i in range(victims)]
    turn = 0
    for second in range(seconds):
        for introducer in range(introducers):
            for message in range(UPDATES):
                for _ in range(CANDIDATES):
                    turn += 1
                    begin = 1000 * second + 250 * message
                    queue += [(begin + at, addresses[turn % victims], introducer) for at in PUNCH_AT]
    by_second, by_address = {}, {}
    for at, address, introducer in sorted(queue):
        if at < 1000 * seconds and budget.allows(at, address, introducer):
            by_second[at // 1000] = by_second.get(at // 1000, 0) + 1
            by_address.setdefault(address, []).append(at)
    busiest = max(by_address.values(), key=len)
    ten_seconds = max(sum(t <= s < t + 10_000 for s in busiest) for t in range(0, 1000 * seconds, 10_000))
    return {"all a second": sum(by_second.values()) / seconds, "most in a second": max(by_second.values()),
            "to one a second": len(busiest) / seconds, "to one in 10 s": ten_seconds, "addresses": len(by_address)}


def lobby(rules, seed, players=16, to_a_site=1, loss=0.1):
    """A lobby begins: one client is introduced to all others at once, so many of them behind one public address.

    Each has that address and another that never answers. How many punches are refused, and how many does the peer get that gets fewest?
    """
    rng, budget, queue = random.Random(seed), Budget(rules), []
    for player in range(players - 1):
        start, rtt = rng.uniform(0, 200), rng.uniform(20, 200)
        answered = start + rtt + (rng.expovariate(1 / 100) if rng.random() < 2 * loss else 0)    # then nothing more is sent
        for i, address in enumerate((f"site {player // to_a_site}", f"v6 {player}")):
            queue += [(start + at + 10 * i, address, player) for at in PUNCH_AT if start + at < answered]
    refused, of = 0, {}
    for at, address, player in sorted(queue):
        if not budget.allows(at, address, "introducer"):
            refused += 1
        elif address.startswith("site"):
            of[player] = of.get(player, 0) + 1
    return {"punches": len(queue), "refused": refused, "least for one peer": min(of.get(p, 0) for p in range(players - 1))}


def hard_nat(seconds=600, victims=1):
    """`always`: 4,096 punches in 30 s, one such attempt at a time, one to an address in ten minutes."""
    last, sent, at = {}, 0, 0
    while at < seconds:
        free = [v for v in range(victims) if at - last.get(v, -600) >= 600]
        if free:
            last[free[0]] = at
            sent += HARD_PUNCHES
        at += 30
    return {"all in ten minutes": sent, "to one": min(sent, HARD_PUNCHES * ((seconds + 599) // 600))}
