"""Who copies, replays or claims: what an attacker in the network gains, and what a victim receives."""

from connection import connect
from endpoint import Endpoint
from meeting import PORT, Scene, gap
from network import Host
from roaming import EVERY, talk


class Copier(Host):
    """Sends copies of Alice's punches from its own address, and passes on what comes back: a way that seems to work, both ways.

    It cannot drop anything. Its way may be the faster one.
    """

    def __init__(self, scene, delay, packets):
        super().__init__(scene.world, scene.world.core, "X", delay)
        self.scene, self.packets = scene, packets
        self.got = 0
        scene.world.taps.append(self.copy)

    def copy(self, source, to, datagram):
        if source[0].startswith("alice") and to[0].startswith("bob") and (datagram[0] == "punch" or self.packets):
            self.scene.world.inject(("X", 7), to, datagram, self.delay)

    def receive(self, port, source, datagram):
        self.got += datagram[0] == "packet"
        self.scene.world.inject(("X", 7), self.scene.address("alice"), datagram, self.delay)


def copied_punches(seed, rules, rtt, loss, packets=False):
    """A minute with a copier whose way is faster than the direct one."""
    scene = Scene(seed, rules, rtt, loss, alice_nat=False)
    talk(scene)
    copier = Copier(scene, 1.0, packets)
    start, captured = scene.world.now, 0
    for _ in range(600):
        scene.run(0.1)
        captured += scene.b.paths.active.remote[0] == "X"
    return {"gaps": [gap(scene.a, start, scene.world.now), gap(scene.b, start, scene.world.now)], "held by the copier": captured / 600,
            "packets through it": copier.got / (scene.b.sequence or 1), "punches": scene.b.paths.punches,
            "false": scene.a.false_verdicts() + scene.b.false_verdicts(), "alive": not scene.a.over and not scene.b.over}


def copied_everything(seed, rules, rtt, loss):
    return copied_punches(seed, rules, rtt, loss, packets=True)


def replayed(seed, rules, rtt, loss, rate=200, captured=1, genuine="port change", garbage=False):
    """Captured punches come from ever new addresses while Alice's NAT restarts."""
    scene = Scene(seed, rules, rtt, loss)
    talk(scene, alice=None if genuine == "receives only" else EVERY)
    punches = [("punch", scene.a.present_id, "I", scene.rng.getrandbits(63) | 1, 0) for _ in range(captured)]
    victim = Host(scene.world, scene.world.core, "victim", 5.0)
    received = []
    victim.receive = lambda port, source, datagram: received.append(scene.world.now)
    sent = 0

    def replay():
        nonlocal sent
        for _ in range(max(1, rate // 100)):
            source = ("victim", 1 + sent % 60_000)
            if garbage:         # so that who_are_you goes there
                scene.world.inject(source, ("bob 2", PORT), ("packet", "none", "I", 0, "data", None, (0, 0, 0.0)), 5.0)
            scene.world.inject(source, ("bob 2", PORT), punches[sent % captured], 5.5)
            sent += 1
        scene.world.at(10 if rate >= 100 else 1000 / rate, replay)
    replay()
    scene.run(5)
    start = scene.world.now
    scene.rebind("alice")
    scene.run(20)
    seconds = 25
    return {"gaps": [gap(scene.a, start, scene.world.now)], "sent a second": sent / seconds, "received a second": len(received) / seconds,
            "received for each sent": len(received) / sent, "alive": not scene.a.over and not scene.b.over,
            "false": scene.a.false_verdicts() + scene.b.false_verdicts()}


def claimed_address(seed, rules, rtt, loss):
    """Mallory has a connection too, and sends its punches with Alice's address as source."""
    scene = Scene(seed, rules, rtt, loss)
    mallory = Endpoint(scene.world, scene.world.core, "mallory", 10.0, "mallory")
    mine, at_bob = connect(mallory, scene.bob, (PORT, PORT), (("bob 2", PORT), ("mallory", PORT)), "mallory", 40)
    talk(scene)
    alice = scene.address("alice")
    start = scene.world.now
    for i in range(100):
        punch = ("punch", mine.present_id, "I", scene.rng.getrandbits(63) | 1, 0)
        scene.world.at(100 * i, scene.world.inject, alice, ("bob 2", PORT), punch, 5.0)
    scene.run(12)
    return {"gaps": [gap(scene.a, start, scene.world.now), gap(scene.b, start, scene.world.now)],
            "alive": not scene.a.over and not scene.b.over and not at_bob.over,
            "false": scene.a.false_verdicts() + scene.b.false_verdicts(), "late": scene.b.lost_though_arrived()}


def inherited_address(seed, rules, rtt, loss, alice_lives=True):
    """Alice's NAT restarts and gives her port to Carol, who has a connection with Bob as well."""
    scene = Scene(seed, rules, rtt, loss)
    carol = Endpoint(scene.world, scene.alice.net, "10.0.0.9", scene.alice.delay, "carol")
    box = scene.boxes["alice"]
    old = scene.address("alice")
    carols = box.outward(("10.0.0.9", PORT), ("bob 2", PORT))
    hers, at_bob = connect(carol, scene.bob, (PORT, PORT), (("bob 2", PORT), carols), "carol", rtt)
    hers.other, at_bob.other = at_bob, hers
    talk(scene)
    hers.send_every(EVERY)
    at_bob.send_every(EVERY)
    scene.run(3)
    start = scene.world.now
    box.forget()
    original = box.new_port
    box.new_port = lambda wanted: old[1] if old[1] not in box.ports else original(wanted)
    box.outward(("10.0.0.9", PORT), ("bob 2", PORT))
    box.new_port = original
    if not alice_lives:
        scene.a.end("gone")
    scene.run(15)
    return {"gaps": [gap(hers, start, scene.world.now), gap(at_bob, start, scene.world.now)] + ([gap(scene.a, start, scene.world.now)] if alice_lives else []),
            "alive": not hers.over and not at_bob.over and (not alice_lives or not scene.a.over and not scene.b.over),
            "ended": scene.b.reason, "false": sum(c.false_verdicts() for c in (scene.a, scene.b, hers, at_bob))}


def inherited_from_the_dead(seed, rules, rtt, loss):
    return inherited_address(seed, rules, rtt, loss, alice_lives=False)


def relayed_move(seed, rules, rtt, loss):
    """Alice moves while a circuit is the only path. How many copies does the introducer send beyond what came?"""
    scene = Scene(seed, rules, rtt, loss, bob_nat=True, circuit=True)
    scene.world.dead.update((("alice 1", "bob 2"), ("bob 2", "alice 1")))
    talk(scene, seconds=8)
    ends = [ends[1] for ends in scene.signalling.values()]
    forwarded, sent, start = scene.introducer.forwarded, sum(c.relayed for c in ends), scene.world.now
    scene.move("alice")
    scene.world.dead.update((("alice 3", "bob 2"), ("bob 2", "alice 3")))
    scene.run(8)
    copies = sum(c.relayed for c in ends) - sent - (scene.introducer.forwarded - forwarded)
    return {"gaps": [gap(scene.a, start, scene.world.now), gap(scene.b, start, scene.world.now)], "alive": not scene.a.over and not scene.b.over,
            "copies": copies, "false": scene.a.false_verdicts() + scene.b.false_verdicts()}
