"""The figures of the design, in milliseconds where nothing else is said, and the budgets that follow from them."""

# Punching
PUNCH_AT = (0, 30, 100, 200, 400, 800, 1600, 2400, 3200, 4000)      # for each candidate; the first with few hops
PACE = 10                   # between candidates
NUMBER_LIFE = 5000          # an echo counts for so long
ANSWERS = 16                # a second, for each connection
STRANGER_ANSWERS = 4        # of these, for all sources that are neither candidates nor proven
STRANGERS = 8               # such sources at a time
STRANGER_LIFE = 5000
STRANGER_LIFE_BEFORE = 30_000
NUMBERS_KEPT = 256          # numbers of strangers that are remembered, so that replays are known
GIVE_UP = 25_000            # without a circuit

# Handshake
REPEAT, REPEAT_MOST = 250, 2000
PENDING = 2000              # connect_pending while the host's application decides
APPLICATION_WAIT = 120_000
HOLD_PATH = 5000            # both punch the valid path so often until established

# A look at a NAT
OBSERVE_AT = (0, 100, 300, 700)     # for each token
FRESH_PORTS, FRESH_PACE = 4, 20
LOOK = 2000                 # at the latest the introducer concludes
STEP = 200                  # between ports that are a sequence, at most

# Hard NATs
HARD_AT = 1000
NATS_WAIT = 1500            # for a NAT that is unknown then
RUN = 30_000
HARD_PUNCHES = 4096         # of one attempt, at each side
SHY, SHY_AND_SPRAYING = 5, 2     # punches of each open port that have few hops: as long as the other party sprays; fewer if this one sprays, too
SOCKETS, SOCKET_PACE, SOCKET_REPEAT = 256, 4, 3000
SPRAY, SPRAY_RATE, SPRAY_NEAR = 3072, 250, 256
PREDICT, PREDICT_SOCKETS = 128, 16
BURST = 64
ROUNDS = 4

# Paths of a connection
KEEP = 15_000               # active path and two standbys
KEEP_RETRIES = (1000, *(2000,) * 6)          # pauses while no echo comes
PATH_LIFE = 30_000          # without an echo
STANDBYS = 2
DOUBLING = 1000             # so long in doubt
ROUND_AGAIN = 5000          # while nothing answers
MOVE_WAIT = 250             # least time for the active path to answer when a new source is valid
UPGRADES = (5000, 15_000, 60_000)
BETTER_PART, BETTER_BY = 0.8, 5.0

# Connection (PROTOCOL.md 9)
ACK_DELAY = 50
PING, PING_WITH_DATA = 5000, 1500
PINGS = 5
FLOW, FLOW_SILENT = 250, 500        # data packets that close together are a flow; its receiver asks after so long a silence
WINDOW = 256                # packets without a verdict
VOUCHED_AT = (0, 100, 300)  # punches to a source from which a packet opened
WHO_A_SECOND, WHO_EACH, WHO_EXPECTED = 64, 1000, 2000


class Bucket:
    """So many a second, and at most as many at once."""

    def __init__(self, rate, burst=None):
        self.rate, self.most = rate, burst or rate
        self.left, self.at = float(self.most), 0.0

    def refill(self, now):
        self.left = min(self.most, self.left + (now - self.at) * self.rate / 1000)
        self.at = now

    def take(self, now):
        self.refill(now)
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Window:
    """At most so many in a time that slides."""

    def __init__(self, most, span):
        self.most, self.span, self.times = most, span, []

    def free(self, now):
        if self.times and self.times[0] <= now - self.span:
            self.times = [t for t in self.times if t > now - self.span]
        return len(self.times) < self.most

    def take(self, now):
        if not self.free(now):
            return False
        self.times.append(now)
        return True


class Budget:
    """What one socket's punches to candidates may be. Answers to authentic punches count elsewhere."""

    ALL, TO_ONE, TO_ONE_SPAN = 500, 40, 10_000
    TO_ONE_MINUTE, MINUTE = 80, 60_000
    ADDRESSES = 64               # different IP addresses a minute, for each introducer

    def __init__(self, rules):
        self.rules = rules
        self.all = Bucket(self.ALL)
        self.of_introducer = {}
        self.to_ip, self.to_ip_minute = {}, {}
        self.addresses = {}
        self.refused = 0

    def allows(self, now, ip, introducer):
        """Whether a punch may go to this IP address because this introducer named it."""
        known = self.addresses.setdefault(introducer, {})
        if ip not in known or now - known[ip] > self.MINUTE:
            for old in [k for k, t in known.items() if now - t > self.MINUTE]:
                del known[old]
            if len(known) >= self.ADDRESSES:
                return self.refuse()
            known[ip] = now
        near = self.to_ip.setdefault(ip, Window(self.TO_ONE, self.TO_ONE_SPAN))
        far = self.to_ip_minute.setdefault(ip, Window(self.TO_ONE_MINUTE, self.MINUTE))
        share = self.of_introducer.setdefault(introducer, Bucket(self.ALL // 2))
        if not near.free(now) or "minute-budget" in self.rules and not far.free(now):
            return self.refuse()
        if "half-budget" in self.rules and not share.take(now):
            return self.refuse()
        if not self.all.take(now):
            return self.refuse()
        near.take(now)
        far.take(now)
        return True

    def refuse(self):
        self.refused += 1
        return False
