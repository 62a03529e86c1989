"""A party of an introduction: what its NAT does, punching, and the handshake over the first path."""

from hard import HardNat
from network import Host
from paths import PathSet
from schedule import (APPLICATION_WAIT, GIVE_UP, HARD_AT, HOLD_PATH, PACE, PUNCH_AT, REPEAT, REPEAT_MOST, Budget)

BOUND = 1000                    # the port that a socket is bound to
FIRST, SECOND = ("N", 1), ("N", 2)      # two ports of the introducer
OTHER_IP = ("N2", 1)                    # and its second IP address, where it has one
OBSERVE_SENT, OBSERVE_EVERY = 4, 250
FRESH_SOCKETS = 4


class Introducer(Host):
    """Answers `observe` inside the connection, later by the way to the party. Passes on what parties tell."""

    def __init__(self, world):
        super().__init__(world, world.core, "N", world.rng.uniform(2, 20))
        self.second = Host(world, world.core, "N2", self.delay)
        self.second.receive = self.receive

    def receive(self, port, source, datagram):
        if datagram[0] == "observe":
            _, party, token = datagram
            self.world.at(self.delay + party.delay + self.repeats(), party.observed, token, source)

    def repeats(self):
        """What the losses of a control message cost: it is repeated after 250 ms, doubling to 2 s."""
        extra, pause = 0.0, 250.0
        while self.world.rng.random() < self.world.loss:
            extra, pause = extra + pause, min(pause * 2, 2000)
        return extra

    def between(self, one, other):
        """From one party to the other, as control messages."""
        return one.delay + 2 * self.delay + other.delay + self.repeats() + self.repeats()


class Party(Host):
    """One side. `passive`: a web page, which never punches first."""

    def __init__(self, world, net, ip, delay, side, firewall=None, passive=False):
        super().__init__(world, net, ip, delay, firewall)
        self.side, self.initiator, self.passive = side, side == "I", passive
        self.peer = self.introducer = None
        self.seen, self.nat, self.told = {}, None, {}
        self.next_port = 40_000
        self.budget = Budget(world.rules)
        self.paths = Introduction(self)
        self.hard = HardNat(self)
        self.state, self.began = "asking", 0.0          # then punching, handshake, established; or ended
        self.established_at = self.path_at = None
        self.handshake = None                           # [path, step, repeats]
        self.decides_at = {"I": 0.0, "H": 0.0}          # ms that each application thinks
        self.asked_at = None

    def fresh_port(self):
        self.next_port += 1
        return self.next_port

    def transmit(self, port, remote, datagram, few_hops=False):
        self.world.send(self, port, remote, datagram, few_hops)

    def asked_lately(self, source):
        return False

    # What the NAT does
    def look_at_nat(self, second):
        """The bound port at two places of the introducer, and four fresh ones at one of them."""
        for i in range(OBSERVE_SENT):
            self.world.at(i * OBSERVE_EVERY, self.observe, BOUND, FIRST, "first")
            self.world.at(i * OBSERVE_EVERY, self.observe, BOUND, second, "second")
        for k in range(FRESH_SOCKETS):
            port = self.fresh_port()
            for i in range(3):
                self.world.at(1500 + 40 * k + i * 300, self.observe, port, FIRST, f"fresh {k}")

    def observe(self, port, to, token):
        self.transmit(port, to, ("observe", self, token))

    def observed(self, token, address):
        if token not in self.seen:
            self.seen[token] = address
            if token in self.told:
                self.told[token](address)

    def conclude(self):
        first, second = self.seen.get("first"), self.seen.get("second")
        if first is None or second is None:
            self.nat = "unknown"
        elif first == second:
            self.nat = "independent"
        else:
            ports = [self.seen[f"fresh {k}"][1] for k in range(FRESH_SOCKETS) if f"fresh {k}" in self.seen]
            steps = [b - a for a, b in zip(ports, ports[1:])]
            self.nat = "sequential" if steps and all(0 < s < 200 for s in steps) else "unpredictable"
        self.seen.setdefault("first", second or ("?", 1))

    # Punching
    def go(self, candidates):
        """The introduction came."""
        if self.state != "asking":
            return
        self.state, self.began = "punching", self.world.now
        self.paths.candidates = candidates
        if self.passive:
            return
        for i, remote in enumerate(candidates):
            for at in PUNCH_AT:
                self.world.at(at + i * PACE, self.paths.punch_if_wanted, BOUND, remote, at == 0 and "hop-limit" in self.world.rules)
        self.world.at(HARD_AT, self.hard.begin)
        self.world.at(GIVE_UP, self.give_up)

    def give_up(self):
        """After 25 s; or as long as an application may take, while a path is valid."""
        if self.state == "established":
            return
        since = self.began if self.asked_at is None else self.asked_at
        if "hold-path" in self.world.rules and self.paths.any_valid() and self.world.now - since < APPLICATION_WAIT:
            self.world.at(1000, self.give_up)
        else:
            self.state = "ended"

    def receive(self, port, source, datagram):
        if self.state in ("asking", "ended"):
            return
        if datagram[0] == "punch":
            self.paths.punched(port, source, datagram)
        elif datagram[0] == "handshake":
            self.handshake_came(port, source, datagram[1])

    # Handshake: 1 challenge_request, 2 challenge_response, 3 connect_request, 4 connect_accept, 5 connect_pending
    def handshake_came(self, port, source, step):
        path = self.paths.paths.get((port, source))
        if not self.initiator:
            if path is None:
                return
            self.state = "established" if step == 3 and self.decided() else "handshake"
            answer = 2 if step == 1 else 4 if self.state == "established" else 5
            self.transmit(port, source, ("handshake", answer))
        elif self.handshake and step >= 4 and self.handshake[1] == 3:
            if step == 4:
                self.state, self.established_at = "established", self.world.now
            else:
                self.handshake[2] = 4           # from now on every two seconds
                self.handshake[3] = 0
        elif self.handshake and step == 2 and self.handshake[1] == 1:
            self.handshake[1] = 2
            self.world.at(self.decides_at["I"], self.request)

    def decided(self):
        if self.asked_at is None:
            self.asked_at = self.world.now
        return self.world.now - self.asked_at >= self.decides_at["H"]

    def request(self):
        self.asked_at = self.world.now
        self.handshake[1:] = [3, 0, 0]
        self.repeat(3)

    def begin_handshake(self, path):
        if self.handshake is None:
            self.state, self.handshake = "handshake", [path, 1, 0, 0]       # path, step, repeats, without an answer
            self.repeat(1)

    def repeat(self, step):
        if self.state != "handshake" or self.handshake[1] != step:
            return
        path, _, count, silent = self.handshake
        if silent >= 3:                  # silent: the path's three requests in a row had no answer
            others = [p for p in self.paths.paths.values() if p.valid and p is not path]
            if others:
                path = self.handshake[0] = others[0]
                self.handshake[3] = 0
        self.handshake[2], self.handshake[3] = count + 1, self.handshake[3] + 1
        self.transmit(path.port, path.remote, ("handshake", step))
        self.world.at(min(REPEAT_MOST, REPEAT * 2 ** min(count, 4)), self.repeat, step)


class Introduction(PathSet):
    """The paths of a party before it is connected."""

    def __init__(self, party):
        super().__init__(party, party.side)
        self.party = party

    def present_id(self, path):
        return "introduction"

    def any_valid(self):
        return any(p.valid for p in self.paths.values())

    def wanted(self, port, remote):
        """The initiator punches until a path is valid; the host until the other side showed it too: there, or anywhere while none is valid."""
        if self.party.state != "punching":
            return False
        valid = [p for p in self.paths.values() if p.valid]
        if not valid:
            return True
        path = self.paths.get((port, remote))
        return not self.party.initiator and "both-valid" in self.rules and path is not None and path.valid

    def punch_if_wanted(self, port, remote, few_hops=False):
        if self.wanted(port, remote) and self.party.budget.allows(self.world.now, remote[0], "N"):
            self.ask(port, remote, few_hops)

    def became_valid(self, path):
        if self.party.path_at is None:
            self.party.path_at = self.world.now
            if "hold-path" in self.rules:
                self.world.at(HOLD_PATH, self.hold)
        if self.party.initiator:
            self.party.begin_handshake(path)

    def hold(self):
        """The valid path is punched until established, so that no NAT forgets it while a person decides."""
        if self.party.state in ("punching", "handshake"):
            for path in list(self.paths.values()):
                if path.valid:
                    self.ask(path.port, path.remote)
            self.world.at(HOLD_PATH, self.hold)

    def first_heard(self, path):
        if not self.party.passive and "strangers-answered-only" not in self.rules:
            for at in PUNCH_AT[1:]:
                self.world.at(at, self.punch_if_wanted, path.port, path.remote)
