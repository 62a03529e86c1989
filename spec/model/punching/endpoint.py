"""A socket with connections: which datagram belongs to whom, who_are_you, circuits at both ends."""

from network import Host
from schedule import WHO_A_SECOND, WHO_EACH, WHO_EXPECTED, Bucket


class Endpoint(Host):
    def __init__(self, world, net, ip, delay, name, firewall=None):
        super().__init__(world, net, ip, delay, firewall)
        self.name = name
        self.connections = []
        self.ids = {}               # connection id -> connection
        self.sources = {}           # (port, remote) -> connections whose packets may come from there
        self.false_tags = {}        # (port, remote) -> in a row
        self.who_bucket, self.who_at = Bucket(WHO_A_SECOND), {}
        self.circuits = {}          # party: circuit -> connection with the introducer
        self.relays = {}            # introducer: circuit -> (connection of the other party, its circuit)
        self.forwarded = 0          # introducer: relayed datagrams that came and were passed on

    # Who owns an address
    def owners(self, key):
        return list(self.sources.get(key, ()))

    def own(self, key, connection, first=False):
        owners = self.sources.setdefault(key, [])
        if connection not in owners:
            owners.insert(0, connection) if first else owners.append(connection)

    def disown(self, key, connection):
        owners = self.sources.get(key, [])
        if connection in owners:
            owners.remove(connection)

    # Out
    def has_path(self, key):
        return key[1][0] != "circuit" or key[1][1] in self.circuits

    def transmit(self, port, remote, datagram, few_hops=False):
        if remote[0] == "circuit":
            introducer = self.circuits.get(remote[1])
            if introducer is not None and not introducer.over:
                introducer.relay(("relayed", remote[1], datagram))
        else:
            self.world.send(self, port, remote, datagram, few_hops)

    # In
    def receive(self, port, source, datagram):
        kind = datagram[0]
        if kind == "punch":
            connection = self.ids.get(datagram[1])
            if connection is not None and not connection.over:
                connection.punched(port, source, datagram)
        elif kind == "packet":
            self.packet(port, source, datagram)
        elif kind == "who":
            for connection in self.owners((port, source)):
                connection.asked_who(port, source)
        elif kind == "relayed":
            self.relay(port, source, datagram)

    def packet(self, port, source, datagram):
        key, secret = (port, source), datagram[1]
        for connection in self.connections:         # for the counts alone: what reached this socket
            if connection.secret == secret and datagram[2] != connection.side and datagram[4] == "data":
                connection.arrived.add(datagram[3])
        owners = self.owners(key)
        for connection in owners:
            if connection.secret == secret and datagram[2] != connection.side:
                self.false_tags[key] = 0
                connection.opened(port, source, datagram)
                return
        self.false_tags[key] = self.false_tags.get(key, 0) + 1
        if not owners or self.false_tags[key] >= 3:
            self.false_tags[key] = 0
            self.ask_who(port, source)

    def ask_who(self, port, source):
        now = self.world.now
        if now - self.who_at.get(source, -1e9) >= WHO_EACH and self.who_bucket.take(now):
            self.who_at[source] = now
            self.transmit(port, source, ("who",))

    def asked_lately(self, source):
        """Whether who_are_you went there: then a punch from there is expected."""
        return self.world.now - self.who_at.get(source, -1e9) < WHO_EXPECTED

    def relay(self, port, source, datagram):
        _, circuit, inner = datagram
        owners = self.owners((port, source))
        if circuit in self.circuits:                # a party: inside is a datagram of the other party
            if self.circuits[circuit] in owners:
                self.receive(0, ("circuit", circuit), inner)
        elif circuit in self.relays:
            other, number = self.relays[circuit]
            key = (port, source)
            if any(key in c.paths.paths and c.paths.paths[key].valid for c in owners):
                self.forwarded += 1
                other.relay(("relayed", number, inner))
