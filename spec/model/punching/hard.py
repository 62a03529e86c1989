"""NATs that depend on the destination: predicting, spraying, opening many ports, bursts."""

from nats import HIGHEST, LOWEST, port_after
from schedule import (BURST, GIVE_UP, HARD_PUNCHES, PREDICT, PREDICT_SOCKETS, ROUNDS, SOCKET_PACE, SOCKET_REPEAT, SOCKETS, SPRAY, SPRAY_NEAR, SPRAY_RATE)

BOUND, OBSERVED_AT = 1000, ("N", 1)


class HardNat:
    """What a party tries when no candidate answered in a second."""

    def __init__(self, party):
        self.party, self.world = party, party.world
        self.predicting = False             # sprays where the other's NAT will be next
        self.mine, self.theirs, self.burst_done = {}, {}, set()
        self.punched = 0

    def begin(self):
        party, peer = self.party, self.party.peer
        if self.over() or party.passive or party.seen["first"][0] == peer.seen["first"][0]:
            return                          # behind one NAT no tactic helps
        mine, its = party.nat, peer.nat
        if "unknown" in (mine, its) or mine == its == "independent":
            self.open_many()                # somebody's NAT was misjudged
            self.spray()
        elif (mine, its) == ("independent", "unpredictable"):
            self.spray()
        elif (mine, its) == ("unpredictable", "independent"):
            self.open_many()
        elif (mine, its) == ("sequential", "independent"):
            self.predict_round(0)
        elif (mine, its) == ("independent", "sequential"):
            self.predicting = True
        elif (mine, its) == ("sequential", "sequential"):
            self.burst_round(0)
        # sequential × unpredictable would meet in 4.7 %, both unpredictable in 0.2 %: not tried

    def over(self):
        party = self.party
        return party.state != "punching" or party.paths.any_valid() or self.world.now - party.began > GIVE_UP

    def ask(self, port, remote, few_hops=False):
        if not self.over() and self.punched < HARD_PUNCHES:
            self.punched += 1
            self.party.paths.ask(port, remote, few_hops)

    # Unpredictable: many ports here, many tries there
    def open_many(self):
        for k in range(SOCKETS):
            self.world.at(k * SOCKET_PACE, self.keep_open, self.party.fresh_port(), self.party.peer.seen["first"], 0)

    def keep_open(self, port, remote, count):
        if not self.over():
            self.ask(port, remote, "hop-limit" in self.world.rules and count < 2)
            self.world.at(SOCKET_REPEAT, self.keep_open, port, remote, count + 1)

    def spray(self):
        ip, base = self.party.peer.seen["first"]
        near = [p for p in range(base - SPRAY_NEAR, base + SPRAY_NEAR + 1) if LOWEST <= p <= HIGHEST and p != base]
        self.world.rng.shuffle(near)
        far = self.world.rng.sample(range(LOWEST, HIGHEST + 1), SPRAY)
        ports = [port for pair in zip(near, far) for port in pair] + far[len(near):]
        for i, port in enumerate(ports[:SPRAY]):
            self.world.at(i * 1000 / SPRAY_RATE, self.ask, BOUND, (ip, port))

    # Sequential here, independent there
    def predict_round(self, number):
        if self.over() or number >= ROUNDS:
            return
        party, token = self.party, f"predict {number}"

        def observed(address):
            self.world.at(party.introducer.between(party, party.peer), party.peer.hard.spray_after, address, number)
            for k in range(PREDICT_SOCKETS):
                port = party.fresh_port()
                for at in (0, 150, 300, 500, 800, 1200, 2000):
                    self.world.at(k + at, self.ask, port, party.peer.seen["first"])

        self.observe_fresh(token, observed, 3)
        self.world.at(3000, self.predict_round, number + 1)

    def observe_fresh(self, token, observed, times):
        port = self.party.fresh_port()
        self.party.told[token] = observed
        for i in range(times):
            self.world.at(i * 200, self.party.observe, port, OBSERVED_AT, token)
        return port

    def spray_after(self, address, number):
        if self.predicting:
            for k in range(1, PREDICT * (number + 1) + 1):
                self.world.at(k * 2, self.ask, BOUND, (address[0], port_after(address[1], k)))

    # Both sequential
    def burst_round(self, number):
        if self.over() or number >= ROUNDS:
            return
        party, token = self.party, f"burst {number}"

        def observed(address):
            self.mine[number] = port
            self.world.at(party.introducer.between(party, party.peer), party.peer.hard.peer_is_at, number, address)
            self.burst(number)

        port = self.observe_fresh(token, observed, 2)
        self.world.at(2000, self.burst_round, number + 1)

    def peer_is_at(self, number, address):
        self.theirs[number] = address
        self.burst(number)

    def burst(self, number):
        if number not in self.mine or number not in self.theirs or number in self.burst_done or self.over():
            return
        self.burst_done.add(number)
        ip, base = self.theirs[number]
        for k in range(1, BURST + 1):
            steps = k if self.party.initiator else 2 * k - 1
            for at in (0, 150, 400):
                self.world.at(at + k * 0.5, self.ask, self.mine[number], (ip, port_after(base, steps)))
