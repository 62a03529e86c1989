"""The introducer, which looks at NATs, and a party: punching, and the handshake over the first path."""

from hard import HardNat
from network import Host
from paths import PathSet
from schedule import (APPLICATION_WAIT, FRESH_PACE, FRESH_PORTS, GIVE_UP, HARD_AT, HOLD_PATH, LOOK, OBSERVE_AT, PACE, PUNCH_AT, REPEAT,
                      REPEAT_MOST, STEP, Budget)

BOUND = 1000                    # the port that a socket is bound to
FIRST, SECOND = ("N", 1), ("N", 2)      # two ports of the introducer
OTHER_IP = ("N2", 1)                    # and its second IP address, where it has one
UNKNOWN = ("unknown", 0)                # a NAT, and its stride if it is sequential
EPHEMERAL = (32_768, 60_999)            # where an operating system takes fresh ports from


class Introducer(Host):
    """Concludes from `observe` datagrams how parties' NATs behave, and tells both parties (INTRODUCTIONS.md 9.1)."""

    def __init__(self, world):
        super().__init__(world, world.core, "N", world.rng.uniform(2, 20))
        self.second = Host(world, world.core, "N2", self.delay)
        self.second.receive = self.receive
        self.looks, self.nats = {}, {}      # party -> where its tokens came from; what was concluded
        self.rounds = set()                 # (party, token) of those that were asked for and came
        self.serial = 0                     # of *nats*

    def receive(self, port, source, datagram):
        if datagram[0] == "connected":
            datagram[1].observed_at = source
        elif datagram[0] == "observe":
            self.observe(*datagram[1:], source)

    def observe(self, party, token, source):
        """A token counts once. Those of a look have names, those that were asked for are rounds."""
        if token in self.looks[party]:
            if self.looks[party][token] is None:
                self.looks[party][token] = source
                self.conclude(party)
        elif (party, token) not in self.rounds:
            self.rounds.add((party, token))
            for one in (party, party.peer):
                self.world.at(self.way(one), one.hard.observed, one is party, token, source)

    def look(self, party, second):
        self.looks[party] = dict.fromkeys(("first", "second", *range(-FRESH_PORTS, 0)))
        self.world.at(self.way(party), party.send_tokens, second)
        self.world.at(LOOK, self.conclude, party, True)

    def conclude(self, party, is_over=False):
        """As soon as it can: from the first two tokens if they show one port, else from all six, or when the look's time is over."""
        look = self.looks[party]
        first, second = look["first"], look["second"]
        fresh = sorted(look[k][1] for k in range(-FRESH_PORTS, 0) if look[k] is not None)
        if party in self.nats:
            return
        if first is None or second is None:
            if not is_over:
                return
            nat = UNKNOWN
        elif first == second:
            nat = ("independent", 0)
        elif len(fresh) < FRESH_PORTS and not is_over:
            return
        else:
            steps = [b - a for a, b in zip(fresh, fresh[1:])]
            is_sequence = len(fresh) == FRESH_PORTS and all(1 <= s <= STEP for s in steps)
            nat = ("sequential", min(steps)) if is_sequence else ("unpredictable", 0)
        self.nats[party] = nat
        self.serial += 1
        for one in (party, party.peer):
            self.world.at(self.way(one), one.nats_came, self.serial, *self.known(one))

    def known(self, party):
        """What a party is told: its own NAT, and the other's."""
        return self.nats.get(party, UNKNOWN), self.nats.get(party.peer, UNKNOWN)

    def way(self, party):
        """A control message to a party, or from it."""
        return self.delay + party.delay + self.repeats()

    def repeats(self):
        """What the losses of a control message cost: it is repeated after 250 ms, doubling to 2 s."""
        extra, pause = 0.0, 250.0
        while self.world.rng.random() < self.world.loss:
            extra, pause = extra + pause, min(pause * 2, 2000)
        return extra


class Party(Host):
    """One side. `passive`: a web page, which never punches first."""

    def __init__(self, world, net, ip, delay, side, firewall=None, passive=False):
        super().__init__(world, net, ip, delay, firewall)
        self.side, self.initiator, self.passive = side, side == "I", passive
        self.peer = self.introducer = self.observed_at = None
        self.nat = self.its_nat = UNKNOWN               # as far as this party was told
        self.nats_serial = 0
        self.ports = set()
        self.budget = Budget(world.rules)
        self.paths = Introduction(self)
        self.hard = HardNat(self)
        self.state, self.began = "asking", 0.0          # then punching, handshake, established; or ended
        self.established_at = self.path_at = None
        self.handshake = None                           # [path, step, repeats]
        self.decides_at = {"I": 0.0, "H": 0.0}          # ms that each application thinks
        self.asked_at = None

    def fresh_port(self):
        while (port := self.world.rng.randint(*EPHEMERAL)) in self.ports:
            pass
        self.ports.add(port)
        return port

    def transmit(self, port, remote, datagram, few_hops=False):
        self.world.send(self, port, remote, datagram, few_hops)

    def asked_lately(self, source):
        return False

    # What the NAT does
    def send_tokens(self, second):
        """The bound port to two places of the introducer, and four fresh ones to one of them."""
        for at in OBSERVE_AT:
            self.world.at(at, self.observe, BOUND, FIRST, "first")
            self.world.at(at, self.observe, BOUND, second, "second")
        for k in range(FRESH_PORTS):
            port = self.fresh_port()
            for at in OBSERVE_AT:
                self.world.at(FRESH_PACE * k + at, self.observe, port, FIRST, k - FRESH_PORTS)

    def observe(self, port, to, token):
        self.transmit(port, to, ("observe", self, token))

    def nats_came(self, serial, mine, its):
        """Status 0 (serial 0), or *nats*: an older one is out of date."""
        if serial >= self.nats_serial:
            self.nats_serial, self.nat, self.its_nat = serial, mine, its
            self.hard.learned()

    # Punching
    def go(self, candidates, mine, its):
        """The introduction came."""
        if self.state != "asking":
            return
        self.nats_came(0, mine, its)
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
