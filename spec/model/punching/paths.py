"""Paths: asking, answering, proving. What an introduction and a connection have in common.

A path is a local port and a remote address. A datagram ("punch", id, side, number, echo) asks if its number is not 0, and answers if its echo is not 0.
"""

from schedule import (ANSWERS, NUMBER_LIFE, NUMBERS_KEPT, STRANGER_ANSWERS, STRANGER_LIFE, STRANGER_LIFE_BEFORE, STRANGERS, Bucket)


def is_circuit(remote):
    return remote[0] == "circuit"


class Path:
    def __init__(self, port, remote, now, candidate):
        self.port, self.remote, self.born, self.candidate = port, remote, now, candidate
        self.valid = False          # an echo came of a number that was sent here
        self.echo_at = None         # when the last one came
        self.echoed_number_at = -1e9        # when the newest number that was echoed had been sent
        self.heard_at = None        # when something authentic last came from here
        self.expected = False       # who_are_you went there
        self.vouched = False        # a packet from here opened
        self.vouched_at = -1e9
        self.id = None              # under which the other side punched here last
        self.srtt = self.rttvar = None
        self.asked_at = -1e9        # the last punch that asked
        self.unechoed = 0           # asked so often since the last echo

    def key(self):
        return (self.port, self.remote)

    def sample(self, rtt):
        if self.srtt is None:
            self.srtt, self.rttvar = rtt, rtt / 2
        else:
            self.rttvar = 0.75 * self.rttvar + 0.25 * abs(self.srtt - rtt)
            self.srtt = 0.875 * self.srtt + 0.125 * rtt

    def stranger(self):
        return not self.candidate and not self.valid


class PathSet:
    """The paths of one introduction or one connection, at one side ("I" or "H")."""

    def __init__(self, socket, side):
        self.socket, self.world, self.rules, self.side = socket, socket.world, socket.world.rules, side
        self.paths = {}             # (port, remote) -> Path
        self.candidates = []        # remote addresses
        self.numbers = {}           # number -> ((port, remote), when)
        self.answers = Bucket(ANSWERS)
        self.stranger_answers, self.expected_answers = Bucket(STRANGER_ANSWERS), Bucket(STRANGER_ANSWERS)
        self.strangers_numbers = {} # a number that came from an unknown source -> how often
        self.punches = 0

    # What the owner adds
    def present_id(self, path):
        raise NotImplementedError

    def became_valid(self, path):
        """An echo came for the first time."""

    def was_echoed(self, path, sent_at):
        """An echo came."""

    def first_heard(self, path):
        """An authentic punch came from a source that was not known."""

    # Asking
    def ask(self, port, remote, few_hops=False, echo=0):
        number = self.world.rng.getrandbits(63) | 1
        now = self.world.now
        while self.numbers and self.numbers[next(iter(self.numbers))][1] < now - NUMBER_LIFE:
            del self.numbers[next(iter(self.numbers))]
        self.numbers[number] = ((port, remote), now)
        path = self.paths.get((port, remote))
        if path is not None:
            path.asked_at = now
            path.unechoed += 1
        self.punch(port, remote, number, echo, few_hops)

    def punch(self, port, remote, number, echo, few_hops=False):
        self.punches += 1
        path = self.paths.get((port, remote))
        self.socket.transmit(port, remote, ("punch", self.present_id(path), self.side, number, echo), few_hops)

    # Being asked
    def punched(self, port, source, datagram):
        """An authentic punch of the other side came."""
        _, ident, side, number, echo = datagram
        if side == self.side:
            return                  # reflected: the other direction's key
        now = self.world.now
        if echo in self.numbers:
            key, at = self.numbers[echo]
            if now - at <= NUMBER_LIFE and ("echo-anywhere" in self.rules or key == (port, source)):
                self.echoed(key, at)
        path = self.paths.get((port, source))
        if (path is None or path.stranger()) and number and self.replayed(source, number):
            return
        if path is None:
            path = self.new_source(port, source)
        if path is None:
            return
        path.heard_at, path.id = now, ident
        if number:
            self.answer(path, number)

    def replayed(self, source, number):
        """A number that comes from unknown sources for the third time: somebody replays it."""
        if source in self.candidates or "third-time" not in self.rules:
            return False
        self.strangers_numbers[number] = self.strangers_numbers.get(number, 0) + 1
        while len(self.strangers_numbers) > NUMBERS_KEPT:
            del self.strangers_numbers[next(iter(self.strangers_numbers))]
        return self.strangers_numbers[number] > 2

    def echoed(self, key, sent_at):
        path = self.paths.get(key)
        if path is None:            # it gave way, but what was sent there counts
            path = self.paths[key] = Path(*key, self.world.now, key[1] in self.candidates)
        path.sample(self.world.now - sent_at)
        path.echo_at, path.unechoed = self.world.now, 0
        path.echoed_number_at = max(path.echoed_number_at, sent_at)
        if not path.valid:
            path.valid = True
            self.became_valid(path)
        self.was_echoed(path, sent_at)

    def new_source(self, port, source):
        now, limits = self.world.now, "stranger-limits" in self.rules
        path = Path(port, source, now, source in self.candidates)
        path.expected = self.socket.asked_lately(source)
        if path.stranger():
            life = STRANGER_LIFE if limits else STRANGER_LIFE_BEFORE
            strangers = [p for p in self.paths.values() if p.stranger()]
            for old in [p for p in strangers if now - p.born > life]:
                self.forget(old)
                strangers.remove(old)
            if len(strangers) >= STRANGERS:
                if not limits:
                    return None
                self.forget(min(strangers, key=lambda p: (p.vouched, "expected-stays" in self.rules and p.expected, p.born)))
        self.paths[(port, source)] = path
        self.first_heard(path)
        return path

    def forget(self, path):
        del self.paths[path.key()]

    def answer(self, path, number):
        now = self.world.now
        if "answer-rate" in self.rules:
            self.answers.refill(now)
            if path.stranger() and not path.vouched:
                expected = path.expected and "expected-stays" in self.rules
                share = self.expected_answers if expected else self.stranger_answers
                if "stranger-limits" in self.rules and not share.take(now):
                    return
            if not self.answers.take(now):
                return
        if path.valid:
            self.punch(path.port, path.remote, 0, number)
        else:
            self.ask(path.port, path.remote, echo=number)
