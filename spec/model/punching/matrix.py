"""Every kind of access with every other: does a direct path come, when, and at what cost?"""

import itertools
import random
from multiprocessing import Pool

from introduction import BOUND, FIRST, OTHER_IP, SECOND, Introducer
from kinds import INDEPENDENT, KINDS, place, place_together
from network import World
from schedule import GIVE_UP

CONNECTED = 2000            # by then the introducer has heard both
ASKS_LATER = 3000           # at most, the one party than the other


def introduce(kinds, seed, rules, loss, second_ip=False, noise=2.0, together=None, decides=None, timeout=60_000):
    """One introduction. Returns what came of it."""
    rng = random.Random(seed)
    world = World(rng, rules, loss)
    introducer = Introducer(world)
    if together:
        one, other = place_together(world, kinds[0], together["carrier"], together["hairpin"])
    else:
        one, other = (place(world, kind, side, noise, timeout=timeout) for kind, side in zip(kinds, "IH"))
    one.peer, other.peer = other, one
    for party in (one, other):
        party.introducer = introducer
        for at in range(0, 1000, 100):
            world.at(at, party.transmit, BOUND, FIRST, ("connected", party))
        if decides:
            party.decides_at = decides
    world.run(CONNECTED)
    # A look begins with each party's request, the introduction with the second of these.
    later = rng.uniform(0, ASKS_LATER)
    asks = [0, later] if rng.random() < 0.5 else [later, 0]
    for party, at in zip((one, other), asks):
        world.at(at + 100, introducer.look, party, OTHER_IP if second_ip else SECOND)
    world.run(CONNECTED + later)
    world.sent = world.missed = 0
    same = one.observed_at[0] == other.observed_at[0]
    start = world.now + 100
    for party, peer in ((one, other), (other, one)):
        # status 0 goes out so that it arrives at both at once, twice, 20 ms apart; then it is repeated
        late = 0 if rng.random() >= loss else 20 if rng.random() >= loss else 250 + introducer.repeats()
        candidates = ([(peer.ip, BOUND)] if same else []) + [peer.observed_at]
        world.at(100 + rng.uniform(-10, 10) + late, party.go, candidates, *introducer.known(party))
    over = (lambda: one.established_at is not None)
    world.run(start + (GIVE_UP if not decides else 250_000), over)
    took = one.established_at - start if one.established_at else None
    return {
        "direct": took is not None,
        "took": took,
        "extra": took - 3 * 2 * (one.delay + other.delay) if took else None,
        "punches": one.paths.punches + other.paths.punches,
        "refused": one.budget.refused + other.budget.refused,
        "missed": world.missed,
        "nats": (introducer.nats.get(one), introducer.nats.get(other)),
    }


def quantile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))] if values else None


def pair(job):
    """One pair of kinds, each side being the initiator in half of the runs."""
    first, second, runs, rules, loss, options = job
    results = []
    for seed in range(runs):
        order = (first, second) if seed % 2 == 0 else (second, first)
        results.append(introduce(order, seed * 7919 + 13, rules, loss, **options))
    direct = [r for r in results if r["direct"]]
    return {
        "kinds": (first, second), "runs": runs, "direct": len(direct),
        "median": quantile([r["took"] for r in direct], 0.5), "p95": quantile([r["took"] for r in direct], 0.95),
        "extra": quantile([r["extra"] for r in direct], 0.5),
        "punches": sum(r["punches"] for r in results) / runs, "most": max(r["punches"] for r in results),
        "refused": sum(r["refused"] for r in results),
    }


def meets(first, second):
    """Whether a direct path is promised: one side is independent, but two pages need WebRTC."""
    return (first in INDEPENDENT or second in INDEPENDENT) and (first, second) != ("page", "page")


def costly(first, second):
    strict = ("fw6", "EI/APD", "linux", "linux rej", "cgn easy")
    both = (first, second)
    sprays = any(k in strict for k in both) and any(k[:2] in ("AD", "AP") or k == "cgn hard" for k in both)
    return sprays or not meets(first, second)


def run(rules, runs, costly_runs, loss, options=None, only=None, processes=2, report=None):
    pairs = list(itertools.combinations_with_replacement(KINDS, 2))
    if only:
        pairs = [p for p in pairs if only(*p)]
    jobs = [(a, b, costly_runs if costly(a, b) else runs, rules, loss, options or {}) for a, b in pairs]
    jobs.sort(key=lambda job: costly(job[0], job[1]), reverse=True)
    rows = []
    with Pool(processes) as pool:
        for row in pool.imap_unordered(pair, jobs):
            rows.append(row)
            if report:
                report(row)
    order = {p: i for i, p in enumerate(pairs)}
    return sorted(rows, key=lambda row: order[row["kinds"]])
