"""An established connection: packets with verdicts, pings and probes (PROTOCOL.md 7, 9), moves, ids, closing.

A packet is ("packet", secret, side, number, kind, body, report). Verdicts are as in the protocol: what came in order was delivered, what came late or
never was dropped, and the sender is told which.
"""

from connection_paths import ConnectionPaths
from paths import is_circuit
from schedule import ACK_DELAY, FLOW, FLOW_SILENT, PING, PING_WITH_DATA, PINGS, WINDOW

TICK = 10


class Connection:
    def __init__(self, socket, side, secret, ident, port):
        self.socket, self.world, self.rules = socket, socket.world, socket.world.rules
        self.side, self.secret, self.port, self.other = side, secret, port, None
        self.ids, self.present_id, self.spare = [ident], ident, None
        socket.ids[ident] = self
        socket.connections.append(self)
        self.over, self.reason = False, None
        self.srtt, self.rttvar = 333.0, 166.0
        # sending
        self.sequence, self.unsettled, self.verdicts = 0, {}, {}
        self.interval = None
        self.heard_at = self.ping_sent_at = 0.0
        self.ping_open = None                   # when the oldest unanswered ping was sent
        self.pings = 0
        self.probe_at, self.probe_pause = None, None
        self.last_data = 0.0
        self.outstanding, self.counter = {}, 0
        # receiving
        self.newest, self.bits, self.newest_at = 0, 0, 0.0
        self.ack_due = None
        self.arrived, self.taken, self.taken_at = set(), set(), []
        self.data_at, self.in_flow = -1e9, False        # in a flow: the last two data packets came close together
        self.controls_seen = set()
        self.on_control = lambda body: None
        self.on_path_changed = lambda path: None
        self.who_answered = -1e9
        self.relayed = 0                        # datagrams of circuits that were sent, copies included
        # closing
        self.closing = None
        self.worst_srtt = 0.0
        self.paths = ConnectionPaths(self)
        self.world.at(self.world.rng.random() * TICK, self.tick)

    def start(self, port, remote, rtt):
        self.srtt, self.rttvar = rtt, rtt / 2
        self.heard_at = self.world.now
        self.paths.start(port, remote, rtt)
        if self.side == "H" and "spare-id" in self.rules:
            self.offer_id()

    def end(self, reason):
        if not self.over:
            self.over, self.reason = True, reason

    # Sending
    def send_every(self, interval):
        self.interval = interval
        if interval is not None:
            self.world.at(interval * self.world.rng.random(), self.send_data, interval)

    def send_data(self, interval):
        if self.over or self.closing or self.interval != interval:
            return
        if not self.paths.starved() and len(self.unsettled) < WINDOW:
            self.sequence += 1
            now = self.world.now
            self.unsettled[self.sequence] = now
            self.last_data = now
            if self.probe_at is None:
                self.probe_pause = self.probe_time()
            self.probe_at = now + self.probe_pause
            self.transmit(self.sequence, "data")
        self.world.at(interval, self.send_data, interval)

    def transmit(self, number, kind, body=None):
        """Seals, and sends on the active path; in doubt the same bytes on a standby as well."""
        self.ack_due = None
        report = (self.newest, self.bits, self.world.now - self.newest_at)
        packet = ("packet", self.secret, self.side, number, kind, body, report)
        for path in self.paths.carriers():
            self.socket.transmit(path.port, path.remote, packet)

    def relay(self, datagram):
        """Passes a datagram of a circuit to or from the introducer."""
        carriers = self.paths.carriers()
        single = "single-relayed" in self.rules and not (self.side == "H" and "introducer-doubles" in self.rules)
        for path in carriers[:1] if single else carriers:
            self.relayed += 1
            self.socket.transmit(path.port, path.remote, datagram)

    def next_number(self):
        self.counter += 1
        return self.counter

    def ping(self):
        now = self.world.now
        if self.ping_open is None:
            self.ping_open = now
        self.transmit(self.next_number(), "ping", (now, self.sequence))

    def control(self, body):
        number = self.next_number()
        self.outstanding[number] = body
        self.repeat_control(number, 250, self.world.now + (1e12 if body[0] == "path_id" else 10_000))
        return number

    def repeat_control(self, number, pause, until):
        if number in self.outstanding and not self.over and self.world.now < until:
            self.transmit(number, "control", self.outstanding[number])
            self.world.at(pause, self.repeat_control, number, min(2 * pause, 2000), until)

    # Receiving
    def punched(self, port, source, datagram):
        new_source = (port, source) not in self.paths.paths
        self.paths.punched(port, source, datagram)
        path = self.paths.paths.get((port, source))
        if path is None:
            return
        if new_source and not path.valid:
            others = [c for c in self.socket.owners(path.key()) if c is not self]
            if not others:
                self.socket.own(path.key(), self)
            elif "owned-address" not in self.rules:         # taken at once, and the owner is asked
                self.socket.own(path.key(), self, first=True)
                for other in others:
                    other.paths.prove_owner(path.key())
        self.paths.answered_from(path)
        if datagram[1] == self.spare:
            self.spare_used()

    def opened(self, port, source, packet):
        """A packet of ours, from a source that may send them."""
        now = self.world.now
        _, _, _, number, kind, body, report = packet
        self.heard_at, self.pings = now, 0
        path = self.paths.paths.get((port, source))
        self.paths.answered_from(path)
        if kind == "data":
            fresh = self.take(number)
        else:
            fresh = (kind, number) not in self.controls_seen
            self.controls_seen.add((kind, number))
            if kind == "ping":
                self.close_book(body[1])
        self.read_report(report)
        if fresh and path is not None and not path.valid and "packet-vouches" in self.rules:
            self.paths.vouch(path)
        if self.over:
            if kind == "close":
                self.transmit(number, "close_ack")
            return
        if kind == "ping" and fresh:
            self.transmit(number, "pong", body)
        elif kind == "pong":
            self.ping_open = None
            self.sample(now - body[0], body[0])
        elif kind == "control":
            self.transmit(number, "taken", None)
            if fresh:
                self.controlled(body)
        elif kind == "taken":
            self.outstanding.pop(number, None)
        elif kind == "close":
            self.transmit(number, "close_ack")
            self.end("closed by the other side")
        elif kind == "close_ack":
            self.end("closed")

    def take(self, sequence):
        now = self.world.now
        self.in_flow = now - self.data_at < FLOW
        self.data_at = now
        if self.ack_due is None:
            self.ack_due = now + ACK_DELAY
        if sequence <= self.newest:
            return False                # late or twice
        self.bits = (self.bits << (sequence - self.newest) | 1) & ((1 << WINDOW) - 1)
        self.newest, self.newest_at = sequence, now
        self.taken.add(sequence)
        self.taken_at.append(now)
        return True

    def close_book(self, sequence):
        """A ping says how far the other side has sent: what has not come by now is reported as dropped."""
        if sequence > self.newest:
            self.bits = (self.bits << (sequence - self.newest)) & ((1 << WINDOW) - 1)
            self.newest = sequence

    def read_report(self, report):
        newest, bits, held = report
        now, settled = self.world.now, False
        for sequence in [s for s in self.unsettled if s <= newest]:
            sent = self.unsettled.pop(sequence)
            self.verdicts[sequence] = newest - sequence < WINDOW and bool(bits >> (newest - sequence) & 1)
            settled = True
            if sequence == newest and self.verdicts[sequence]:
                self.sample(now - sent - held, sent)
        if settled:
            self.probe_pause = self.probe_time()
            self.probe_at = now + self.probe_pause if self.unsettled else None

    def sample(self, rtt, sent):
        paths = self.paths
        if "clean-rtt" in self.rules and (paths.doubt_at is not None or sent < paths.settled_at):
            return
        if rtt > 0:
            self.rttvar = 0.75 * self.rttvar + 0.25 * abs(self.srtt - rtt)
            self.srtt = 0.875 * self.srtt + 0.125 * rtt
            self.worst_srtt = max(self.worst_srtt, self.srtt)

    def path_changed(self, old, new):
        self.srtt, self.rttvar = new.srtt, new.rttvar
        self.on_path_changed(new)
        if "spare-id" not in self.rules and self.side == "H" and old is not None and not is_circuit(new.remote) and new.remote != old.remote:
            self.offer_id()

    # Moving
    def asked_who(self, port, source):
        if self.world.now - self.who_answered >= 1000 and not self.over:
            self.who_answered = self.world.now
            self.paths.ask(port, source)

    def network_changed(self):
        """The driver reports another network."""
        if self.side == "I" and self.spare is not None and "spare-id" in self.rules:
            self.present_id, self.spare = self.spare, None
        for path in self.paths.paths.values():
            path.id = None
        self.paths.doubt_at = None
        self.paths.doubt()

    def offer_id(self):
        self.spare = f"{self.secret} {self.world.rng.getrandbits(32):x}"
        self.ids.append(self.spare)
        self.socket.ids[self.spare] = self
        self.spare_control = self.control(("path_id", self.spare))

    def spare_arrived(self):
        return self.spare is not None and self.spare_control not in self.outstanding

    def spare_used(self):
        self.present_id, self.spare = self.spare, None
        if self.side == "H" and "spare-id" in self.rules:
            self.offer_id()

    def controlled(self, body):
        if body[0] == "path_id":
            self.ids.append(body[1])
            self.socket.ids[body[1]] = self
            if "spare-id" in self.rules:
                self.spare = body[1]
            else:
                self.present_id = body[1]
        else:
            self.on_control(body)

    # Time
    def unanswered_for(self):
        """How long the oldest data packet or ping that went out since doubt last ended has waited for an answer."""
        settled = self.paths.settled_at
        sent = [next((t for t in self.unsettled.values() if t >= settled), None), self.ping_open]
        if sent == [None, None]:
            return 0.0
        oldest = min(t for t in sent if t is not None)
        return self.world.now - (oldest if "progress" in self.rules else max(oldest, self.heard_at))

    def doubt_ended(self):
        """What was under way is not waited for; a probe tells at once what came of it."""
        self.ping_open = None
        if "probe-after-doubt" in self.rules:
            if self.unsettled:
                self.probe_pause = self.probe_time()
                self.probe_at = self.world.now + self.probe_pause
            self.ping()

    def probe_time(self):
        return min(self.srtt + max(4 * self.rttvar, 1), 1000) + ACK_DELAY

    def tick(self):
        if self.over:
            return
        now = self.world.now
        self.paths.tick()
        if self.ack_due is not None and now >= self.ack_due:
            self.transmit(self.next_number(), "ack")
        if self.probe_at is not None and self.unsettled and now >= self.probe_at:
            self.probe_pause = min(2 * self.probe_pause, max(2000, self.probe_time()))
            self.probe_at = now + self.probe_pause
            self.ping()
        interval = PING_WITH_DATA if self.unsettled else PING
        if now - max(self.heard_at, self.ping_sent_at) >= interval:
            if self.pings >= PINGS:
                self.end("timed_out")
                return
            self.ping_sent_at, self.pings = now, self.pings + 1
            self.ping()
        if "receiver-asks" in self.rules and self.in_flow and now - self.heard_at > max(2 * self.probe_time(), FLOW_SILENT):
            self.in_flow = False
            self.paths.doubt(self.heard_at)
        unanswered = self.unanswered_for()
        if self.paths.doubt_at is None and unanswered > 2 * self.probe_time():
            self.paths.doubt(now - unanswered)
        self.world.at(TICK, self.tick)

    # Closing
    def close(self):
        self.closing, self.interval = self.world.now, None
        if "close-doubts" in self.rules:
            self.paths.doubt()
        self.repeat_close(self.probe_time())

    def repeat_close(self, pause):
        if self.over:
            return
        if self.world.now - self.closing > 3000:
            self.end("close unanswered")
            return
        self.transmit(self.next_number(), "close")
        self.world.at(pause, self.repeat_close, min(2 * pause, 2000))

    # For the counts
    def false_verdicts(self):
        return sum(told != (sequence in self.other.taken) for sequence, told in self.verdicts.items())

    def lost_though_arrived(self):
        """Packets that reached this socket and were not taken."""
        return len(self.arrived - self.taken)


def connect(initiator, host, ports, remotes, secret, rtt):
    """Two ends of a connection whose handshake is over. `remotes` is where each sends."""
    one, other = Connection(initiator, "I", secret, secret, ports[0]), Connection(host, "H", secret, secret, ports[1])
    one.other, other.other = other, one
    one.start(ports[0], remotes[0], rtt)
    other.start(ports[1], remotes[1], rtt)
    return one, other
