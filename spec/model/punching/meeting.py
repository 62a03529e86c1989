"""A scene for scenarios: two parties with an established connection, an introducer, and a circuit if one is granted."""

import random

from connection import connect
from endpoint import Endpoint
from nats import Nat
from network import Network, World

PORT = 1000
HOME = ("EI", "APD", "rand")


class Scene:
    """Alice is the initiator, Bob the host."""

    def __init__(self, seed, rules, rtt=60.0, loss=0.0, jitter=3.0, alice_nat=True, bob_nat=False, circuit=False, life=None, timeout=60_000):
        self.rng = random.Random(seed)
        self.world = World(self.rng, rules, loss, jitter)
        self.rtt, self.networks = rtt, 0
        # the round-trip time is divided between the two sides, and the introducer is near the middle
        part = self.rng.uniform(0.3, 0.7)
        self.delays = {"alice": rtt / 2 * part, "bob": rtt / 2 * (1 - part)}
        self.boxes = {}
        self.alice = self.place("alice", alice_nat, life, timeout)
        self.bob = self.place("bob", bob_nat, None, timeout)
        addresses = {name: self.address(name) for name in ("alice", "bob")}
        self.rules = rules
        self.introducer, self.signalling = None, {}
        if circuit:
            self.add_introducer()
        self.a, self.b = connect(self.alice, self.bob, (PORT, PORT), (addresses["bob"], addresses["alice"]), "pair", rtt + 2)
        self.a.paths.candidates, self.b.paths.candidates = [addresses["bob"]], [addresses["alice"]]
        if circuit:
            self.add_circuit()
        self.ids_seen = {}          # address of Alice in the core -> connection ids that passed there in the clear
        self.world.taps.append(self.observe_ids)

    def place(self, name, behind_nat, life=None, timeout=60_000):
        if not behind_nat:
            return Endpoint(self.world, self.world.core, self.new_ip(name), self.delays[name], name)
        inside = Network(name)
        self.boxes[name] = Nat(self.world, HOME, inside, self.world.core, self.new_ip(name), timeout=timeout, life=life)
        return Endpoint(self.world, inside, "10.0.0.1", self.delays[name], name)

    def new_ip(self, name):
        self.networks += 1
        return f"{name} {self.networks}"

    def address(self, name):
        """As the introducer sees it."""
        host = getattr(self, name)
        box = self.boxes.get(name)
        return box.outward((host.ip, PORT), ("N", 1)) if box else (host.ip, PORT)

    def add_introducer(self):
        self.introducer = Endpoint(self.world, self.world.core, "N", 3.0, "introducer")
        for name in ("alice", "bob"):
            host = getattr(self, name)
            one, other = connect(host, self.introducer, (PORT, 1), (("N", 1), self.address(name)), f"{name} and introducer", 2 * host.delay + 8)
            self.signalling[name] = (one, other)

    def add_circuit(self):
        (alice, at_alice), (bob, at_bob) = self.signalling["alice"], self.signalling["bob"]
        self.alice.circuits[71], self.bob.circuits[72] = alice, bob
        self.introducer.relays = {71: (at_bob, 72), 72: (at_alice, 71)}
        for connection, circuit, own, other in ((self.a, 71, alice, at_bob), (self.b, 72, bob, at_alice)):
            address = connection.paths.candidates[0]
            connection.paths.add_candidates([address, ("circuit", circuit)])
            own.on_control = lambda body, c=connection, n=circuit: c.paths.add_candidates(body[1] + [("circuit", n)])
        at_alice.on_path_changed = lambda path: at_bob.control(("candidates", [path.remote]))
        at_bob.on_path_changed = lambda path: at_alice.control(("candidates", [path.remote]))

    def observe_ids(self, source, to, datagram):
        if datagram[0] == "punch":
            for end in (source, to):
                if end[0].startswith("alice"):
                    self.ids_seen.setdefault(end[0], set()).add(datagram[1])

    def linked(self):
        """Pairs of networks in which the same id of Alice's connection was seen."""
        seen = list(self.ids_seen.values())
        return sum(bool(a & b) for i, a in enumerate(seen) for b in seen[i + 1:])

    # What happens to a party
    def move(self, name, reported=True, behind_nat=True):
        """To another network, with another address."""
        host = getattr(self, name)
        if behind_nat:
            net, ip = Network(name + " elsewhere"), "10.0.0.2"
            self.boxes[name] = Nat(self.world, HOME, net, self.world.core, self.new_ip(name))
        else:
            net, ip = self.world.core, self.new_ip(name)
        home = (host.net, host.ip)
        host.move(net, ip)
        if reported:
            for connection in list(host.connections):
                connection.network_changed()
        return home

    def move_back(self, name, home, reported=True):
        host = getattr(self, name)
        host.move(*home)
        if reported:
            for connection in list(host.connections):
                connection.network_changed()

    def rebind(self, name):
        self.boxes[name].forget()

    def run(self, seconds):
        self.world.run(self.world.now + 1000 * seconds)


def gap(connection, since, until):
    """The longest time in which this side took no data packet, beyond the usual interval. Infinite if none came at the end."""
    times = [t for t in connection.taken_at if since <= t <= until]
    if not times or until - times[-1] > 2000:
        return float("inf")
    earlier = [t for t in connection.taken_at if t < since]
    times = ([earlier[-1]] if earlier else [since]) + times
    longest = max(b - a for a, b in zip(times, times[1:])) if len(times) > 1 else 0.0
    return max(0.0, longest - (connection.other.interval or 0))
