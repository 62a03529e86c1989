"""NATs that depend on the destination: predicting, spraying, opening many ports, bursts."""

from nats import HIGHEST, LOWEST, port_after
from schedule import (BURST, HARD_PUNCHES, NATS_WAIT, PREDICT, PREDICT_SOCKETS, ROUNDS, RUN, SHY, SHY_AND_SPRAYING, SOCKET_PACE, SOCKET_REPEAT, SOCKETS, SPRAY,
                      SPRAY_NEAR, SPRAY_RATE)

BOUND, OBSERVED_AT = 1000, ("N", 1)
# My NAT and the other's to what is tried; an unknown one counts as independent. Sequential and unpredictable would meet in 4.7 %, both
# unpredictable in 0.2 %: not tried.
TACTICS = {("independent", "independent"): ("open", "spray"), ("independent", "sequential"): ("follow",), ("independent", "unpredictable"): ("spray",),
           ("sequential", "independent"): ("predict",), ("sequential", "sequential"): ("burst",), ("unpredictable", "independent"): ("open",)}


class HardNat:
    """A run: what a party tries when no candidate answered in a second."""

    def __init__(self, party):
        self.party, self.world = party, party.world
        self.waits = False                  # for a NAT that is unknown
        self.began, self.tactics = None, ()
        self.mine, self.theirs, self.burst_done = {}, {}, set()     # round -> my port, or the other's address; rounds that have met
        self.punched = 0

    def begin(self):
        """Now, or when the NATs are known, or 1,500 ms later."""
        if self.knows_both():
            self.run()
        else:
            self.waits = True
            self.world.at(NATS_WAIT, self.run)

    def knows_both(self):
        return "unknown" not in (self.party.nat[0], self.party.its_nat[0])

    def learned(self):
        if self.waits and self.knows_both():
            self.run()

    def run(self):
        party = self.party
        if self.began is not None:
            return
        self.began = self.world.now
        if self.over() or party.passive or party.observed_at[0] == party.peer.observed_at[0]:
            return                          # behind one NAT no tactic helps
        mine, its = (kind.replace("unknown", "independent") for kind in (party.nat[0], party.its_nat[0]))
        self.tactics = TACTICS.get((mine, its), ())
        self.stride = party.its_nat[1]
        if "open" in self.tactics:
            self.open_many()
        if "spray" in self.tactics:
            self.spray()
        if "predict" in self.tactics or "burst" in self.tactics:
            there_and_back = party.introducer.way(party) + party.introducer.way(party)
            self.world.at(there_and_back, self.predict_round if "predict" in self.tactics else self.burst_round, 0)

    def over(self):
        party = self.party
        return party.state != "punching" or party.paths.any_valid() or self.world.now - self.began > RUN

    def ask(self, port, remote, few_hops=False):
        if not self.over() and self.punched < HARD_PUNCHES:
            self.punched += 1
            self.party.paths.ask(port, remote, few_hops)

    # Unpredictable: many ports here, many tries there
    def open_many(self):
        for k in range(SOCKETS):
            self.world.at(k * SOCKET_PACE, self.keep_open, self.party.fresh_port(), self.party.peer.observed_at, 0)

    def keep_open(self, port, remote, count):
        if not self.over():
            self.ask(port, remote, "hop-limit" in self.world.rules and count < (SHY_AND_SPRAYING if "spray" in self.tactics else SHY))
            self.world.at(SOCKET_REPEAT, self.keep_open, port, remote, count + 1)

    def spray(self):
        ip, base = self.party.peer.observed_at
        near = [p for p in range(base - SPRAY_NEAR, base + SPRAY_NEAR + 1) if LOWEST <= p <= HIGHEST and p != base]
        self.world.rng.shuffle(near)
        known = {base, *near}
        far = [p for p in self.world.rng.sample(range(LOWEST, HIGHEST + 1), SPRAY + len(known)) if p not in known]
        ports = [port for pair in zip(near, far) for port in pair] + far[len(near):]
        for i, port in enumerate(ports[:SPRAY]):
            self.world.at(i * 1000 / SPRAY_RATE, self.ask, BOUND, (ip, port))

    # What the introducer saw of a token that was asked for
    def observed(self, is_mine, number, address):
        if self.began is None or self.over():
            return                          # what is told before the run begins is lost for it
        if "predict" in self.tactics and is_mine:
            self.predict()
        if "follow" in self.tactics and not is_mine:
            self.follow(address, number)
        if "burst" in self.tactics:
            if not is_mine:
                self.theirs[number] = address
            elif number in self.mine:
                self.mine[number][1] = True
            self.burst(number)

    def observe_fresh(self, number, times):
        port = self.party.fresh_port()
        for i in range(times):
            self.world.at(i * 200, self.party.observe, port, OBSERVED_AT, number)
        return port

    # Sequential here, independent there
    def predict_round(self, number):
        if not self.over() and number < ROUNDS:
            self.observe_fresh(number, 3)
            self.world.at(3000, self.predict_round, number + 1)

    def predict(self):
        for k in range(PREDICT_SOCKETS):
            port = self.party.fresh_port()
            for at in (0, 150, 300, 500, 800, 1200, 2000):
                self.world.at(k + at, self.ask, port, self.party.peer.observed_at)

    def follow(self, address, number):
        for k in range(1, PREDICT * (number + 1) + 1):
            self.world.at(k * 2, self.ask, BOUND, (address[0], port_after(address[1], k * self.stride)))

    # Both sequential
    def burst_round(self, number):
        if not self.over() and number < ROUNDS:
            self.mine[number] = [self.observe_fresh(number, 2), False]      # the port, and whether its token came
            self.world.at(2000, self.burst_round, number + 1)

    def burst(self, number):
        port, has_come = self.mine.get(number, (None, False))
        if not has_come or number not in self.theirs or number in self.burst_done:
            return
        self.burst_done.add(number)
        ip, base = self.theirs[number]
        for k in range(1, BURST + 1):
            steps = k if self.party.initiator else 2 * k - 1
            for at in (0, 150, 400):
                self.world.at(at + k * 0.5, self.ask, port, (ip, port_after(base, steps * self.stride)))
