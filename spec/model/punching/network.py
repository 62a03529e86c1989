"""The network: a clock, a queue of events, and hosts behind networks.

Time is virtual and counted in milliseconds. Datagrams are tuples; the first element tells the kind. The core network loses, delays and
jitters; an access network only delays. Nothing here touches a real network.
"""

import heapq
import itertools
import math

INSIDE_DELAY = 1.0      # through a box at home, or a carrier's
LOCAL_DELAY = 0.3       # between two hosts of one access network


class Network:
    """A set of addresses that reach each other, and the box that leads out of it."""

    def __init__(self, name):
        self.name, self.at, self.out = name, {}, None


class World:
    def __init__(self, rng, rules, loss=0.0, jitter=0.0):
        self.rng, self.rules, self.loss, self.jitter = rng, rules, loss, jitter
        self.now, self.queue, self.order = 0.0, [], itertools.count()
        self.core = Network("core")
        self.dead = set()          # pairs (from, to) of core addresses between which nothing passes, in this direction
        self.stalled_until = {}    # address in the core -> what comes from or goes to it waits until then
        self.taps = []             # who reads what crosses the core: functions of (source, destination, datagram)
        self.sent = self.missed = 0

    def at(self, delay, function, *arguments):
        heapq.heappush(self.queue, (self.now + delay, next(self.order), function, arguments))

    def run(self, until, stop=lambda: False):
        while self.queue and self.queue[0][0] <= until and not stop():
            self.now, _, function, arguments = heapq.heappop(self.queue)
            function(*arguments)
        if not stop():
            self.now = max(self.now, until)

    def poisson(self, mean):
        if mean <= 0:
            return 0
        if mean > 30:
            return max(0, int(self.rng.gauss(mean, math.sqrt(mean)) + 0.5))
        count, product, limit = 0, 1.0, math.exp(-mean)
        while True:
            product *= self.rng.random()
            if product <= limit:
                return count
            count += 1

    def send(self, host, port, to, datagram, few_hops=False):
        """Sends from a host's port: outward through its boxes, then inward to the host that has the address.

        A datagram with few hops opens the boxes on its way out and dies in the core.
        """
        net, source = host.net, (host.ip, port)
        delay = host.delay if net is self.core else LOCAL_DELAY
        self.sent += 1
        while True:
            there = net.at.get(to[0])
            if there is not None and not (net.out is not None and there is net.out):
                break
            box = net.out
            if box is None:
                self.missed += 1
                return
            source = box.outward(source, to)
            if to[0] == box.ip:
                if not box.hairpin:
                    self.missed += 1
                    return
                there = box
                break
            net = box.outside
            delay += host.delay if net is self.core else INSIDE_DELAY
        if net is self.core:
            if few_hops:
                return
            self.cross(source, to, datagram, delay, there)
        else:
            self.at(delay, self.inward, there, source, to, datagram)

    def cross(self, source, to, datagram, delay, there):
        for tap in self.taps:
            tap(source, to, datagram)
        if (source[0], to[0]) in self.dead or self.rng.random() < self.loss:
            return
        waits = max(self.stalled_until.get(source[0], 0.0), self.stalled_until.get(to[0], 0.0)) - self.now
        later = delay + self.rng.random() * self.jitter
        self.at(max(later, waits), self.inward, there, source, to, datagram)

    def inject(self, source, to, datagram, delay):
        """A datagram that an attacker puts into the core, with any source that it likes."""
        there = self.core.at.get(to[0])
        if there is not None:
            self.at(delay, self.inward, there, source, to, datagram)

    def inward(self, there, source, to, datagram):
        extra = 0.0
        while hasattr(there, "inward"):
            inner = there.inward(source, to[1])
            if inner is None:
                self.missed += 1
                return
            to, there = inner, there.inside.at.get(inner[0])
            extra += INSIDE_DELAY
        if there is None:
            self.missed += 1
            return
        if there.firewall is not None and not there.firewall.lets_in(to, source):
            self.missed += 1
            return
        self.at(there.delay + extra, self.arrive, there, to, source, datagram)

    def arrive(self, host, to, source, datagram):
        if host.ip == to[0] or not host.moved:      # whoever has moved meanwhile is not there any more
            host.receive(to[1], source, datagram)


class Host:
    """A machine in a network. `delay` is one way, from it to the core."""

    def __init__(self, world, net, ip, delay, firewall=None):
        self.world, self.net, self.ip, self.delay, self.firewall = world, net, ip, delay, firewall
        self.moved = False
        net.at[ip] = self

    def move(self, net, ip, delay=None, firewall=None):
        """Leaves its network for another; what is under way to the old address is lost."""
        if self.net.at.get(self.ip) is self:
            del self.net.at[self.ip]
        self.net, self.ip, self.firewall, self.moved = net, ip, firewall, True
        self.delay = self.delay if delay is None else delay
        net.at[ip] = self

    def receive(self, port, source, datagram):
        raise NotImplementedError
