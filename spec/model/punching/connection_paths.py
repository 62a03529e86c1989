"""The paths of an established connection: choice, liveness, doubt, standbys, upgrades, moves, ids."""

from paths import PathSet, is_circuit
from schedule import (BETTER_BY, BETTER_PART, DOUBLING, KEEP, KEEP_RETRIES, MOVE_WAIT, PACE, PATH_LIFE, PUNCH_AT, ROUND_AGAIN, STANDBYS,
                      STRANGER_LIFE, STRANGER_LIFE_BEFORE, UPGRADES, VOUCHED_AT)


class ConnectionPaths(PathSet):
    """`active` is where this side sends; the other side chooses for itself."""

    def __init__(self, connection):
        super().__init__(connection.socket, connection.side)
        self.connection = connection
        self.active = None
        self.doubt_at = None            # when doubt began
        self.doubt_since = 0.0          # a number that was sent later decides
        self.round_at = -1e9
        self.checking = None            # a new valid source, because of which the active path is asked
        self.check_at = 0.0
        self.changed_at = self.settled_at = 0.0     # the last change of path; the last end of doubt
        self.upgrades = list(UPGRADES)
        self.changes = self.doubts = self.starvations = 0
        self.was_starved = False

    # Beginning
    def start(self, port, remote, rtt):
        """The handshake's path is the first one."""
        path = self.paths.get((port, remote)) or self.new_source(port, remote)
        path.candidate = path.valid = True
        path.sample(rtt)
        path.echo_at = path.heard_at = path.asked_at = self.world.now
        path.id = self.connection.ids[-1]
        self.active = path
        self.changed_at = self.world.now
        self.socket.own(path.key(), self.connection)
        if "round-at-start" in self.rules:
            self.round()

    def add_candidates(self, candidates):
        """Candidates of the other side, replacing the earlier ones."""
        new = [c for c in candidates if c not in self.candidates]
        self.candidates = candidates
        for path in self.paths.values():
            path.candidate = path.candidate or path.remote in candidates
        if new and (self.doubt_at is not None or self.active is None or is_circuit(self.active.remote) or any(map(is_circuit, new))):
            self.round()

    # Ids
    def present_id(self, path):
        connection = self.connection
        if "id-per-path" in self.rules:
            if path is not None and path.id is not None:
                return path.id
            if connection.side == "H" and connection.spare_arrived():
                return connection.spare
        return connection.present_id

    # What paths there are
    def valid(self):
        return [p for p in self.paths.values() if p.valid]

    def standbys(self):
        """The best first: direct before circuit, then by round-trip time; in doubt, those that have answered since it began."""
        since = self.doubt_at if self.doubt_at is not None else 1e18
        return sorted((p for p in self.valid() if p is not self.active),
                      key=lambda p: (p.echo_at < since, not self.may_lead(p), is_circuit(p.remote), p.srtt))

    def may_lead(self, path):
        """A source that was no candidate replaces a direct path only when that is doubtful."""
        return path.candidate or self.active is None or is_circuit(self.active.remote)

    def better(self, path):
        active = self.active
        if is_circuit(path.remote) != is_circuit(active.remote):
            return is_circuit(active.remote)
        return path.srtt < active.srtt * BETTER_PART and path.srtt < active.srtt - BETTER_BY

    def carriers(self):
        """Where a datagram goes now: the active path, and in doubt the best standby as well."""
        if self.active is None:
            return []
        now = self.world.now
        paths = [self.active]
        if self.checking is not None and "move-doubles" in self.rules:
            paths.append(self.checking)
        elif self.doubt_at is not None and now - self.doubt_at <= DOUBLING:
            paths += self.standbys()[:1]
        return paths

    def starved(self):
        """The last path has not echoed for 30 s: only punches and pings go there."""
        return "echo-liveness" in self.rules and self.active is not None and self.world.now - self.active.echo_at > PATH_LIFE

    # Echoes
    def became_valid(self, path):
        self.socket.own(path.key(), self.connection)
        for other in self.socket.owners(path.key()):
            if other is not self.connection and "owned-address" in self.rules:
                other.paths.prove_owner(path.key())
        if path.candidate or self.doubt_at is not None or path is self.active or self.active is None or is_circuit(self.active.remote):
            return
        if "move-check" in self.rules and self.checking is None:
            self.check_active(path)

    def was_echoed(self, path, sent_at):
        now = self.world.now
        if self.active is None or self.active not in self.paths.values():
            self.choose(path)
        elif self.doubt_at is not None and sent_at >= (self.doubt_since if "since-unanswered" in self.rules else self.doubt_at):
            self.decide(path)
        elif path is self.active:
            if self.checking is not None and sent_at >= self.check_at:
                self.checking = None
        elif self.may_lead(path) and self.better(path) and now - path.echo_at < 1000:
            self.choose(path)

    def choose(self, path):
        doubted = self.doubt_at is not None
        if path is not self.active:
            self.changes += 1
            self.changed_at = self.world.now
            self.connection.path_changed(self.active, path)
        self.active, self.doubt_at, self.checking = path, None, None
        self.settled_at = self.world.now
        path.candidate = True
        if doubted:
            self.connection.doubt_ended()

    def decide(self, path):
        """An echo came in doubt."""
        now, active = self.world.now, self.active
        if path is active or "active-stays" not in self.rules:
            self.choose(path)
            return
        left = self.doubt_at + 2 * active.srtt + 100 - now
        if left <= 0:
            self.choose(path)
        else:
            self.world.at(min(left, max(0.0, self.doubt_at + DOUBLING - now)), self.decide_late, self.doubt_at)

    def decide_late(self, doubt_at):
        if self.doubt_at == doubt_at:
            answered = [p for p in self.standbys() if p.echo_at >= doubt_at]
            if answered:
                self.choose(answered[0])

    def vouch(self, path):
        """A packet opened that came from a source which is not valid: it is asked, outside the strangers' share."""
        now = self.world.now
        if not path.vouched or now - path.vouched_at > 1000:
            path.vouched, path.vouched_at = True, now
            for at in VOUCHED_AT:
                self.world.at(at, self.ask_vouched, path)

    def ask_vouched(self, path):
        if not path.valid and self.paths.get(path.key()) is path:
            self.ask(*path.key())

    # Doubt
    def doubt(self, since=None):
        """`since`: when the oldest thing that is unanswered was sent."""
        if self.doubt_at is None and self.active is not None:
            self.doubts += 1
            self.doubt_at, self.checking = self.world.now, None
            self.doubt_since = self.world.now if since is None else since
            self.round()

    def check_active(self, path):
        self.checking, self.check_at = path, self.world.now
        wait = max(3 * self.active.srtt, MOVE_WAIT)
        for part in (0, 1 / 3, 2 / 3):
            self.world.at(part * wait, self.ask_checked, self.check_at)
        self.world.at(wait, self.checked, self.check_at)

    def ask_checked(self, check_at):
        if self.checking is not None and self.check_at == check_at:
            self.ask(*self.active.key())

    def checked(self, check_at):
        if self.checking is not None and self.check_at == check_at:
            self.doubt(check_at)

    def answered_from(self, path):
        """Something authentic came from the path's address: what counts without `echo-liveness`."""
        if "echo-liveness" not in self.rules and path is not None and path.valid:
            path.echo_at = self.world.now
            if self.doubt_at is not None:
                self.choose(path)

    # Rounds
    def round(self):
        """Punches everything by the schedule: the active path, standbys, candidates."""
        self.round_at = self.world.now
        keys = [self.active.key()] if self.active is not None else []
        keys += [p.key() for p in self.standbys()]
        ports = sorted({k[0] for k in keys if k[0]}) or [self.connection.port]
        keys += [(0 if is_circuit(c) else ports[-1], c) for c in self.candidates]
        keys = list(dict.fromkeys(keys))
        for i, key in enumerate(keys):
            for at in PUNCH_AT:
                few = at == 0 and "hop-limit" in self.rules and not (key in self.paths and self.paths[key].valid)
                self.world.at(at + i * PACE, self.punch_in_round, key, self.round_at, few)

    def punch_in_round(self, key, round_at, few_hops):
        if self.round_at != round_at or self.connection.over:
            return
        path = self.paths.get(key)
        echoed = path is not None and path.echoed_number_at >= round_at        # an older number proves nothing now
        if not echoed and (self.doubt_at is not None or path is None or not path.valid or "round-at-start" in self.rules):
            if self.socket.has_path(key):
                self.ask(*key, few_hops=few_hops)

    # Time
    def tick(self):
        now, by_echo = self.world.now, "echo-liveness" in self.rules
        life = STRANGER_LIFE if "stranger-limits" in self.rules else STRANGER_LIFE_BEFORE
        for path in list(self.paths.values()):
            if path is self.active:
                continue
            if path.valid and now - path.echo_at > PATH_LIFE or not path.valid and not path.candidate and now - path.born > life:
                self.forget(path)
        starved = self.starved()
        self.starvations += starved and not self.was_starved
        self.was_starved = starved
        if self.active is not None:
            kept = ([self.active] if by_echo else []) + self.standbys()[:STANDBYS]
            for path in kept:
                self.keep(path)
            if by_echo and now - self.active.echo_at > PATH_LIFE and self.standbys():
                gone = self.active
                self.doubt()
                if self.active is gone:
                    self.choose(self.standbys()[0])
                    self.forget(gone)
            if self.doubt_at is not None and now - self.round_at > ROUND_AGAIN:
                self.round()
            if is_circuit(self.active.remote) and self.upgrades and now - self.changed_at > self.upgrades[0]:
                due = self.upgrades[0] if len(self.upgrades) == 1 else self.upgrades.pop(0)
                self.upgrades[0] = max(self.upgrades[0], now - self.changed_at + due)
                self.round()

    def keep(self, path):
        now, pause = self.world.now, KEEP
        if "keep-retries" in self.rules and 0 < path.unechoed <= len(KEEP_RETRIES):
            pause = KEEP_RETRIES[path.unechoed - 1]
        if now - path.asked_at >= pause and self.doubt_at is None and self.socket.has_path(path.key()):
            self.ask(*path.key())

    def forget(self, path):
        self.socket.disown(path.key(), self.connection)
        super().forget(path)

    # Addresses in use
    def prove_owner(self, key):
        """Another connection proved this address: is it still ours?"""
        asked = self.world.now
        wait = max(3 * (self.paths[key].srtt or 0), MOVE_WAIT) if key in self.paths else 0
        for part in (0, 1 / 3, 2 / 3):
            self.world.at(part * wait, self.ask_if_owned, key, asked)
        self.world.at(wait, self.lose_if_silent, key, asked)

    def ask_if_owned(self, key, asked):
        path = self.paths.get(key)
        if path is not None and (path.echo_at is None or path.echo_at <= asked):
            self.ask(*key)

    def lose_if_silent(self, key, asked):
        path = self.paths.get(key)
        if path is None or path.echo_at is not None and path.echo_at > asked:
            return
        others = [p for p in self.valid() if p is not path]
        if not others:
            self.connection.end("replaced")
        else:
            if path is self.active:
                self.active = None
                self.choose(sorted(others, key=lambda p: (is_circuit(p.remote), p.srtt))[0])
            self.forget(path)
