"""Boxes between networks: NATs of every kind, Linux masquerading, and a firewall.

A kind is (mapping, filtering, ports). Mapping and filtering are EI (the same for all destinations), AD (by address) or APD (by address and port); ports are
"rand", "seq" (each the one after the last) or "preserve".
"""

LOWEST, HIGHEST = 1024, 65535
PORT_COUNT = HIGHEST - LOWEST + 1
BLAMED_FOR = 30_000         # how long a rejecting Linux router remembers what it did not expect


def port_after(port, steps):
    return LOWEST + (port + steps - LOWEST) % PORT_COUNT


class Nat:
    def __init__(self, world, kind, inside, outside, ip, hairpin=False, noise=2.0, timeout=60_000, life=None):
        self.world, self.inside, self.outside, self.ip = world, inside, outside, ip
        self.life = life                # a mapping ends after so long, whatever passes
        self.mapping, self.filtering, self.allocation = kind
        self.hairpin, self.noise, self.timeout = hairpin, noise, timeout      # noise: ports that others take, a second
        self.maps, self.ports = {}, {}
        self.next, self.noise_at = world.rng.randint(LOWEST, HIGHEST), 0.0
        inside.out, outside.at[ip] = self, self

    def forget(self):
        """Restarts: every mapping is gone, and new ones get other ports."""
        self.maps, self.ports = {}, {}
        self.next = self.world.rng.randint(LOWEST, HIGHEST)
        self.allocation = "rand" if self.allocation == "preserve" else self.allocation

    def ended(self, entry):
        now = self.world.now
        return now - entry[2] > self.timeout or self.life is not None and now - entry[4] > self.life

    def new_port(self, wanted):
        if self.allocation == "preserve" and wanted not in self.ports:
            return wanted
        if self.allocation in ("seq", "preserve"):
            passed = self.world.now - self.noise_at
            self.noise_at = self.world.now
            self.next += self.world.poisson(self.noise * passed / 1000)
            while True:
                self.next = port_after(self.next, 1)
                if self.next not in self.ports:
                    return self.next
        while True:
            port = self.world.rng.randint(LOWEST, HIGHEST)
            if port not in self.ports:
                return port

    def outward(self, source, to):
        key = (source,) if self.mapping == "EI" else (source, to[0]) if self.mapping == "AD" else (source, to)
        entry = self.maps.get(key)
        if entry is not None and self.ended(entry):
            del self.ports[entry[1]]
            entry = None
        if entry is None:
            entry = [source, self.new_port(source[1]), 0.0, {}, self.world.now]     # inside, port, last used, let in, born
            self.maps[key] = self.ports[entry[1]] = entry
        entry[2] = self.world.now
        entry[3][to[0] if self.filtering == "AD" else to] = self.world.now
        return (self.ip, entry[1])

    def inward(self, source, port):
        entry = self.ports.get(port)
        if entry is None or self.ended(entry):
            return None
        if self.filtering != "EI":
            seen = entry[3].get(source[0] if self.filtering == "AD" else source)
            if seen is None or self.world.now - seen > self.timeout:
                return None
        return entry[0]


class Linux:
    """Masquerading as Linux does it: the port is kept, entries are for both ends.

    One that rejects what nobody asked for remembers an early punch: it finds the port taken when the answer leaves, and chooses another.
    """

    hairpin = False

    def __init__(self, world, inside, outside, ip, rejects=False, timeout=60_000):
        self.world, self.inside, self.outside, self.ip = world, inside, outside, ip
        self.rejects, self.timeout = rejects, timeout
        self.maps, self.back, self.blamed = {}, {}, {}
        inside.out, outside.at[ip] = self, self

    def outward(self, source, to):
        entry = self.maps.get((source, to))
        if entry is None or self.world.now - entry[1] > self.timeout:
            port = source[1]
            taken = self.back.get((port, to), source) != source
            if taken or self.world.now - self.blamed.get((port, to), -1e9) < BLAMED_FOR:
                port = self.world.rng.randint(LOWEST, HIGHEST)
            entry = self.maps[(source, to)] = [port, 0.0]
            self.back[(port, to)] = source
        entry[1] = self.world.now
        return (self.ip, entry[0])

    def inward(self, source, port):
        to = self.back.get((port, source))
        if to is None and self.rejects:
            self.blamed[(port, source)] = self.world.now
        if to is not None and self.world.now - self.maps[(to, source)][1] > self.timeout:
            return None
        return to


class Firewall:
    """Lets in what answers; translates nothing (IPv6). Its host's address is seen from outside."""

    hairpin = False

    def __init__(self, world, inside, outside, ip, timeout=60_000):
        self.world, self.inside, self.outside, self.ip, self.timeout = world, inside, outside, ip, timeout
        self.maps = {}
        inside.out = self

    def outward(self, source, to):
        self.maps[(source, to)] = self.world.now
        return source

    def lets_in(self, to, source):
        return self.world.now - self.maps.get((to, source), -1e9) <= self.timeout
