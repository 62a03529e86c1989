"""Moves, rebinding NATs, half-dead paths: how long is a connection interrupted, and what is lost for it?

Every scenario takes a seed, rules, round-trip time and loss, and returns what was counted. `gaps` are the longest times without a packet, at
Alice (what Bob sends) and at Bob.
"""

from meeting import Scene, gap

EVERY = 20.0                # ms between packets


def counts(scene, since, until, sides="ab"):
    connections = {"a": scene.a, "b": scene.b}
    return {
        "gaps": [gap(connections[s], since, until) for s in sides],
        "alive": not scene.a.over and not scene.b.over,
        "false": scene.a.false_verdicts() + scene.b.false_verdicts(),
        "late": scene.a.lost_though_arrived() + scene.b.lost_though_arrived(),
        "doubts": scene.a.paths.doubts + scene.b.paths.doubts,
        "changes": scene.a.paths.changes + scene.b.paths.changes,
        "linked": scene.linked(),
        "punches": scene.a.paths.punches + scene.b.paths.punches,
        "srtt": max(scene.a.worst_srtt, scene.b.worst_srtt) / scene.rtt,
    }


def talk(scene, alice=EVERY, bob=EVERY, seconds=6):
    """Traffic, until figures are settled."""
    scene.a.send_every(alice)
    scene.b.send_every(bob)
    scene.run(seconds)


def moved(scene, change, seconds=8, sides="ab"):
    start = scene.world.now
    scene.a.worst_srtt = scene.b.worst_srtt = 0.0
    change()
    scene.run(seconds)
    return counts(scene, start, scene.world.now, sides)


def address_change_reported(seed, rules, rtt, loss):
    scene = Scene(seed, rules, rtt, loss)
    talk(scene)
    return moved(scene, lambda: scene.move("alice"))


def address_change_unreported(seed, rules, rtt, loss):
    scene = Scene(seed, rules, rtt, loss)
    talk(scene)
    return moved(scene, lambda: scene.move("alice", reported=False))


def port_change(seed, rules, rtt, loss):
    """Alice's NAT restarts."""
    scene = Scene(seed, rules, rtt, loss)
    talk(scene)
    return moved(scene, lambda: scene.rebind("alice"))


def both_behind_nats(seed, rules, rtt, loss):
    """Bob's NAT lets nobody in whom he did not write to: it goes through the circuit, until Bob knows the new address."""
    scene = Scene(seed, rules, rtt, loss, bob_nat=True, circuit=True)
    talk(scene)
    result = moved(scene, lambda: scene.move("alice"), 12)
    result["direct again"] = scene.a.paths.active.remote[0] != "circuit" and scene.b.paths.active.remote[0] != "circuit"
    return result


def receives_only(seed, rules, rtt, loss):
    """Alice's NAT restarts while she only receives."""
    scene = Scene(seed, rules, rtt, loss)
    talk(scene, alice=None)
    return moved(scene, lambda: scene.rebind("alice"), 12, "a")


def idle(seed, rules, rtt, loss):
    """Nobody sends when Alice moves; Bob begins ten seconds later."""
    scene = Scene(seed, rules, rtt, loss)
    scene.run(20)
    scene.move("alice")
    scene.run(10)
    start = scene.world.now
    talk(scene, alice=None, seconds=6)
    return counts(scene, start, scene.world.now, "a")


def idle_port_change(seed, rules, rtt, loss):
    """Nobody sends when Alice's NAT restarts; Bob begins ten seconds later."""
    scene = Scene(seed, rules, rtt, loss)
    scene.run(20)
    scene.rebind("alice")
    scene.run(10)
    start = scene.world.now
    talk(scene, alice=None, seconds=8)
    return counts(scene, start, scene.world.now, "a")


def both_at_once(seed, rules, rtt, loss):
    """Both move in the same moment; the introducer stays."""
    scene = Scene(seed, rules, rtt, loss, bob_nat=True, circuit=True)
    talk(scene)
    result = moved(scene, lambda: (scene.move("alice"), scene.move("bob")), 12)
    result["direct again"] = scene.a.paths.active.remote[0] != "circuit" and scene.b.paths.active.remote[0] != "circuit"
    return result


def back_within_a_second(seed, rules, rtt, loss):
    scene = Scene(seed, rules, rtt, loss)
    talk(scene)

    def there_and_back():
        home = scene.move("alice")
        scene.world.at(800, scene.move_back, "alice", home)
    return moved(scene, there_and_back)


def rebinds_every_10_s(seed, rules, rtt, loss):
    scene = Scene(seed, rules, rtt, loss)
    talk(scene)
    for i in range(12):
        scene.world.at(10_000 * i, scene.rebind, "alice")
    return moved(scene, lambda: None, 125)


def mappings_end_after_50_s(seed, rules, rtt, loss):
    """A carrier's NAT ends mappings after 50 s whatever passes."""
    scene = Scene(seed, rules, rtt, loss, life=50_000)
    talk(scene)
    return moved(scene, lambda: None, 300)


def dead_outward(seed, rules, rtt, loss):
    """Nothing of Alice's arrives any more; what Bob sends does. There is a circuit."""
    scene = Scene(seed, rules, rtt, loss, alice_nat=False, circuit=True)
    talk(scene, seconds=10)
    return moved(scene, lambda: scene.world.dead.add((scene.alice.ip, scene.bob.ip)), 40)


def dead_both_ways(seed, rules, rtt, loss):
    """The direct path dies; there is a circuit."""
    scene = Scene(seed, rules, rtt, loss, alice_nat=False, circuit=True)
    talk(scene, seconds=10)
    pair = (scene.alice.ip, scene.bob.ip)
    return moved(scene, lambda: scene.world.dead.update((pair, pair[::-1])), 20)


def circuit_becomes_direct(seed, rules, rtt, loss):
    """Nothing happens but that a direct path is better than the circuit on which it began."""
    scene = Scene(seed, rules, rtt, loss, alice_nat=False, circuit=True)
    for connection in (scene.a, scene.b):
        path = next(p for p in connection.paths.paths.values())
        circuit = next(c for c in connection.paths.candidates if c[0] == "circuit")
        connection.paths.paths.clear()
        connection.paths.start(0, circuit, rtt + 20)
        connection.direct = path.remote
    start = scene.world.now
    talk(scene, seconds=10)
    result = counts(scene, start, scene.world.now)
    result["direct again"] = scene.a.paths.active.remote[0] != "circuit" and scene.b.paths.active.remote[0] != "circuit"
    return result


def nothing_happens(seed, rules, rtt, loss):
    """Twenty minutes without traffic."""
    scene = Scene(seed, rules, rtt, loss, circuit=True)
    scene.run(1200)
    result = counts(scene, scene.world.now, scene.world.now, "")
    result["paths lost"] = (scene.a.paths.starvations + scene.b.paths.starvations)
    return result


def little_traffic(seed, rules, rtt, loss):
    """Ten minutes with a packet each half second, a circuit standing by."""
    scene = Scene(seed, rules, rtt, loss, circuit=True)
    talk(scene, 500.0, 500.0, 600)
    result = counts(scene, scene.world.now, scene.world.now, "")
    result["paths lost"] = (scene.a.paths.starvations + scene.b.paths.starvations)
    return result


def stalls(seed, rules, rtt, loss):
    """Alice's radio stands still for 250 ms every two seconds; nothing is lost. A circuit stands by, slower by half."""
    scene = Scene(seed, rules, rtt, loss, circuit=True)
    talk(scene)

    def stall():
        for box in ("alice 1", "alice 3"):
            scene.world.stalled_until[box] = scene.world.now + 250
        scene.world.at(2000, stall)
    result = moved(scene, stall, 60)
    result["gaps"] = []
    return result


def close_on_dead_path(seed, rules, rtt, loss):
    """Alice closes in the moment in which the path dies; does Bob hear it?"""
    scene = Scene(seed, rules, rtt, loss, alice_nat=False, circuit=True)
    talk(scene, seconds=6)
    pair = (scene.alice.ip, scene.bob.ip)
    scene.world.dead.update((pair, pair[::-1]))
    scene.a.close()
    start = scene.world.now
    scene.world.run(start + 5000, lambda: scene.b.over)
    return {"gaps": [scene.world.now - start if scene.b.over else float("inf")], "alive": scene.a.reason is None or scene.a.reason == "closed",
            "false": scene.a.false_verdicts() + scene.b.false_verdicts(), "late": 0, "doubts": 0, "changes": 0, "linked": 0, "punches": 0}


SCENARIOS = {f.__name__: f for f in (
    address_change_reported, address_change_unreported, port_change, both_behind_nats, receives_only, idle, idle_port_change, both_at_once,
    back_within_a_second, rebinds_every_10_s, mappings_end_after_50_s, dead_outward, dead_both_ways, circuit_becomes_direct, nothing_happens,
    little_traffic, stalls, close_on_dead_path)}
for slow in (rebinds_every_10_s, mappings_end_after_50_s, nothing_happens, little_traffic):
    slow.long = True        # a tenth of the seeds
