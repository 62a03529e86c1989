"""A real UDP socket, the initiator's handshake over it, and a connection with its timers, for `party.py`.

Blocking and small. Left out, as a side may: answers from an address that was not asked (PROTOCOL.md 5.5), several responses to one
request and the pause after `busy` (5.5), report packets (7.2), acknowledgments of W/2 packets at once (7.4), surprising samples and samples
from verdicts (9.1), and moves (PATHS.md), but that punches are answered.
"""

import secrets
import socket
import time
from dataclasses import dataclass

from . import codes, control, identity, layouts, punch, puzzle, run_handshake, settings
from .connection import Connection
from .errors import Refused, require
from .introduced import IntroducedKeys
from .primitives import ed25519

OFFERED = bytes([2, 1, 0, 0])            # ChaCha20-Poly1305 first
TICK = 0.005
LONGEST_PAUSE = 2.0
RELIABLE = {*range(5, 13), 14, *range(16, 22)}
RECEIVED, STATES = 13, {6, 8, 14, 21}      # kinds; those that describe a state
FIRST_ANSWER = {"challenge_response": 2, "reject": 2, "connect_accept": 1, "connect_refuse": 1, "connect_pending": 1}


class Ended(Exception):
    """An attempt or a connection came to an end that was not asked for."""


class Endpoint:
    """The socket, and those who get what it receives: each has take(datagram, source) -> whether it was theirs, and tick(now)."""

    def __init__(self, family: int):
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind(("", 0))
        self.udp.settimeout(TICK)
        self.seed = secrets.token_bytes(32)
        self.public_key = ed25519.public_key(self.seed)
        self.users: list = []
        self.dropped: list[str] = []
        self.budget = punch.Budget()

    def fresh_port(self) -> socket.socket:
        """Another port of the same machine, which nobody reads."""
        udp = socket.socket(self.udp.family, socket.SOCK_DGRAM)
        udp.bind(("", 0))
        return udp

    def send(self, datagram: bytes, address: tuple, hops: int = 64, udp: socket.socket | None = None) -> None:
        udp = udp or self.udp
        level, option = ((socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if udp.family == socket.AF_INET6
                         else (socket.IPPROTO_IP, socket.IP_TTL))
        udp.setsockopt(level, option, hops)
        try:
            udp.sendto(datagram, address)
        except OSError as error:  # as if it had been lost on the way
            self.dropped.append(f"not sent to {address}: {error}")

    def wait(self, done, seconds: float):
        """Serves everybody until done() is true, and returns that; None if the time passes."""
        end = time.monotonic() + seconds
        while not (result := done()):
            now = time.monotonic()
            if now >= end:
                return None
            for user in list(self.users):
                user.tick(now)
            try:
                datagram, source = self.udp.recvfrom(65535)
            except (TimeoutError, ConnectionError):
                continue
            try:
                if not any(user.take(datagram, source[:2]) for user in list(self.users)):
                    raise Refused("nobody's", f"{layouts.classify(datagram)}, {len(datagram)} bytes, from {source}")
            except Refused as refused:  # dropped and counted (12)
                self.dropped.append(str(refused))
        return result


class Repeat:
    """Times at once, then after the first pause, twice that and so on up to the longest (5.5, 8.1, 9.2, 10)."""

    def __init__(self, first: float = 0.25, longest: float = LONGEST_PAUSE):
        self.pause, self.longest, self.next = first, longest, 0.0

    def is_due(self, now: float) -> bool:
        if now < self.next:
            return False
        self.next, self.pause = now + self.pause, min(2 * self.pause, max(self.longest, self.pause))
        return True


class Asking:
    """One request, repeated byte for byte, and what comes back to its nonce from the address that was asked (5.5)."""

    def __init__(self, endpoint: Endpoint, address: tuple, nonce: bytes, request: bytes):
        self.endpoint, self.address, self.nonce, self.request = endpoint, address, nonce, request
        self.repeat, self.sent, self.answers = Repeat(), [], []

    def tick(self, now: float) -> None:
        if self.repeat.is_due(now):
            self.sent.append(now)
            self.endpoint.send(self.request, self.address)

    def take(self, datagram: bytes, source: tuple) -> bool:
        at = FIRST_ANSWER.get(layouts.classify(datagram))
        if at is None or datagram[at : at + 16] != self.nonce or source != self.address:
            return False
        self.answers.append(datagram)
        return True

    def first(self, judge):
        """The first answer of which judge() makes something. What it refuses is a reason to report if nothing better comes."""
        self.endpoint.users.append(self)
        reason, limit, began = "no_answer", 10.0, time.monotonic()
        try:
            while self.endpoint.wait(lambda: self.answers, began + limit - time.monotonic()):
                try:
                    result = judge(self.answers.pop(0))
                except Refused as refused:
                    if refused.reason == "protocol_violation":
                        raise Ended(str(refused)) from refused
                    reason = str(refused)
                    continue
                if result == "pending":  # the host's application is thinking
                    limit, self.repeat.pause = 120.0, LONGEST_PAUSE
                elif result is not None:
                    return result
            raise Ended(reason)
        finally:
            self.endpoint.users.remove(self)


@dataclass(frozen=True)
class Asked(run_handshake.Inputs):
    """What an initiator chose and drew; the keys of an introduction, if there is one."""

    keys: IntroducedKeys | None = None

    @property
    def introduced(self) -> IntroducedKeys | None:
        return self.keys


def connect(endpoint: Endpoint, address: tuple, pinned: bytes | None, connect_data: bytes,
            keys: IntroducedKeys | None = None, say=print) -> "Live":
    """PROTOCOL.md 3 to 5, or with keys INTRODUCTIONS.md 7: three fresh beginnings at most (5.5)."""
    for _ in range(4):
        live = _attempt(endpoint, address, pinned, connect_data, keys, say)
        if live is not None:
            return live
    raise Ended("stale_challenge")


def _attempt(endpoint, address, pinned, connect_data, keys, say) -> "Live | None":
    asked = Asked(b"", {
        "seed": endpoint.seed, "initiator_nonce": secrets.token_bytes(16), "ephemeral_secret": secrets.token_bytes(32),
        "ciphers_offered": OFFERED, "initial_sequence": secrets.randbelow(layouts.MAX_INITIAL_SEQUENCE + 1),
        "settings": settings.DEFAULTS, "connect_data": connect_data, "extensions": [],
        "introduction_id": 0 if keys is None else int.from_bytes(keys.introduction_id, "big")}, {}, keys=keys)
    nonce = asked.initiator["initiator_nonce"]

    def judge_challenge(datagram: bytes):
        if layouts.classify(datagram) == "reject":
            raise Refused(codes.REJECT[layouts.decode_reject(datagram)["reject_code"]], "a hint that nothing authenticates")
        response = layouts.decode_challenge_response(datagram, introduced=keys is not None)
        run_handshake.check_challenge_response(asked, response)
        require(pinned in (None, response["host_public_key"]), "key_mismatch")
        require(response["difficulty"] <= 22, "difficulty_too_high")
        if keys is not None:
            response["data"] = keys.open(response["introduced_data"])
        return response

    asking = Asking(endpoint, address, nonce, run_handshake.challenge_request(asked))
    response = asking.first(judge_challenge)
    round_trip = time.monotonic() - asking.sent[0]
    say(f"challenge_response: key {identity.to_text(response['host_public_key'], identity.PUBLIC)[:16]}…, cipher "
        f"{response['cipher']}, difficulty {response['difficulty']}, data {response['challenge_response_data']!r}"
        + (f", introduced data {response['data']!r}" if keys else ""))

    noise, _, request = run_handshake.connect_request(asked, response, bytes(8))
    request = request[:-8] + puzzle.solve(request[:-8], response["difficulty"], secrets.randbits(64))

    def judge_answer(datagram: bytes):
        kind = layouts.classify(datagram)
        if kind == "reject":
            name = codes.REJECT[layouts.decode_reject(datagram)["reject_code"]]
            if name in ("stale_epoch", "difficulty_too_low"):
                return "again"
            raise Refused(name, "a hint that nothing authenticates")
        if not kind.startswith("connect_"):
            raise Refused("late", kind)
        fields = run_handshake.open_answer(asked, noise, kind.removeprefix("connect_"), datagram, response["cipher"])
        if kind == "connect_refuse":
            raise Ended(f"{codes.CLOSE_ON_THE_WIRE[fields['close_code']]}: {fields['reason']!r}")
        return "pending" if kind == "connect_pending" else (fields, layouts.decode_answer(datagram, kind))

    answer = Asking(endpoint, address, nonce, request).first(judge_answer)
    if answer == "again":
        return None
    accepted, outer = answer
    prk = run_handshake.initiator_secrets(asked, noise, outer).prk
    live = Live(endpoint, address, response["cipher"], prk, asked.initiator["initial_sequence"], accepted,
                response["host_public_key"], round_trip if round_trip < 0.25 else None)
    if not endpoint.wait(lambda: live.heard, 10):
        raise Ended("timed_out: accepted, and nothing heard")
    return live


class Live:
    """An established connection at its initiator."""

    def __init__(self, endpoint: Endpoint, address: tuple, cipher: int, prk: bytes, initial_sequence: int, accepted: dict,
                 other_key: bytes, round_trip: float | None):
        told = accepted["settings"]
        self.endpoint, self.address, self.other_key, self.accept_data = endpoint, address, other_key, accepted["accept_data"]
        self.numbers = Connection(cipher, told["tag_bytes"], told["packet_window"], prk,
                                  {"initiator": initial_sequence, "host": accepted["initial_sequence"]})
        self.side = self.numbers.sides["initiator"]
        self.punch_key, self.id = punch.punch_key(prk), accepted["connection_id"]
        self.max_packet = min(told["max_packet_size"], settings.DEFAULTS["max_packet_size"])
        self.ack_delay, self.other_ack_delay = settings.DEFAULTS["ack_delay"] / 1000, told["ack_delay"] / 1000
        self.srtt, self.rttvar = (round_trip, round_trip / 2) if round_trip else (0.333, 0.1665)
        self.heard, self.heard_at, self.unanswered, self.pings = False, time.monotonic(), 0, {}
        self.next_ping, self.unheard, self.probe, self.ack_at = 0.0, Repeat(), None, None
        self.punches_answered: list[float] = []
        self.packets: list[bytes] = []          # that the application may take
        self.verdicts: dict[int, bool] = {}     # sequence: delivered?
        self.outgoing: dict[tuple, dict] = {}   # (attempt, serial): a reliable message on its way (8.1)
        self.serials: dict[int, int] = {}       # attempt: the last one given
        self.handled: set[tuple] = set()        # (attempt, serial)
        self.states: dict[tuple, int] = {}      # (kind, attempt): the highest serial
        self.messages: list[tuple] = []         # (kind, attempt, content), for the application
        self.close_repeat, self.close_code, self.close_done, self.closed_there = None, 0, False, None
        self.lingered_at, self.close_reached = 0.0, (-1, -1)
        endpoint.users.append(self)

    # Sending.

    @property
    def probe_time(self) -> float:
        """p of 9.3; that of 10 has no limit of 1 s inside, which makes no difference below it."""
        return min(self.srtt + max(4 * self.rttvar, 0.001), 1.0) + self.other_ack_delay

    def _send(self, packet_type: str, payload: bytes = b"") -> int:
        sent = self.numbers.send("initiator", packet_type, payload)
        if not self.side.ack_due:
            self.ack_at = None
        self.endpoint.send(sent.datagram, self.address)
        return sent.sequence

    def send(self, payload: bytes) -> int:
        require(not self.side.window_full and len(payload) <= self.max_packet, "window", "full, or the packet too large")
        self.probe = self._new_probe()
        return self._send("data", payload)

    def _new_probe(self) -> Repeat:
        probe = Repeat(self.probe_time, max(LONGEST_PAUSE, self.probe_time))
        probe.is_due(time.monotonic())  # the first pause runs from now
        return probe

    def _control(self, *messages: dict) -> None:
        self._send("control", control.encode(list(messages)))

    def _ping(self, now: float) -> None:
        number = secrets.randbits(32)
        self.pings[number] = now
        self._control({"message": "ping", "id": number, "settled": self.side.a_last})

    def send_reliable(self, attempt: int, kind: int, content: bytes) -> tuple:
        """8.1. `key in outgoing` tells whether it is still on its way."""
        serial = self.serials[attempt] = self.serials.get(attempt, 0) + 1
        body = attempt.to_bytes(4, "big") + serial.to_bytes(2, "big") + content
        self.outgoing[attempt, serial] = {"message": {"message": "reliable", "number": kind, "body": body},
                                          "repeat": Repeat(), "until": time.monotonic() + 10}
        return attempt, serial

    # Time.

    def tick(self, now: float) -> None:
        if self.close_done or self.closed_there:
            return
        if self.close_repeat:
            if self.close_repeat.is_due(now):
                # A report of at most 255 bytes reaches R, as the window is 128: so it is always final.
                self._control({"message": "close", "flags": control.FINAL, "settled": self.side.a_last,
                               "close_code": self.close_code, "reason": b""})
            return
        if not self.heard:  # pings until the host is heard (9.2)
            if self.unheard.is_due(now):
                self._ping(now)
            return
        for key, message in list(self.outgoing.items()):
            if now > message["until"]:
                raise Ended("a reliable message was not received for 10 s")
            if message["repeat"].is_due(now):
                self._control(message["message"])
        if self.ack_at is not None and now >= self.ack_at:
            self._send("ack")
        data_open = any(kind == "data" for kind, _ in self.side.unsettled.values())
        if data_open and self.probe.is_due(now):
            self._ping(now)
        interval = 1.5 if data_open else 5.0
        if now >= max(self.heard_at, self.next_ping) + interval:
            if self.unanswered == 5:
                raise Ended("timed_out")
            self.unanswered, self.next_ping = self.unanswered + 1, now
            self._ping(now)

    # Receiving.

    def take(self, datagram: bytes, source: tuple) -> bool:
        if source != self.address:
            return False
        kind = layouts.classify(datagram)
        if kind == "punch":
            return self._take_punch(datagram)
        if kind != "packet":
            return False
        settled_before = self.side.a_last
        took = not self.close_repeat and self._fits(datagram)
        opened, _, verdicts = self.numbers.receive("initiator", datagram, took)
        now = time.monotonic()
        self.heard, self.heard_at, self.unanswered = True, now, 0
        self.verdicts |= dict(verdicts)
        self.side.untaken.clear()
        if self.side.a_last > settled_before and self.probe:
            self.probe = self._new_probe()
        if opened.type == "data":
            if took:
                self.packets.append(opened.payload)
            self.ack_at = self.ack_at or now + self.ack_delay
        if opened.type == "control":
            self._read_control(control.that_count(control.decode(opened.payload)[0]), now)
        elif self.close_done and opened.type != "ack":
            self._linger([], now)
        return True

    def _fits(self, datagram: bytes) -> bool:
        return len(datagram) <= self.max_packet or len(self.numbers.open("initiator", datagram).payload) <= self.max_packet

    def _linger(self, answers: list[dict], now: float) -> None:
        """A side that has ended by close says so to whoever still asks, once each 50 ms (10)."""
        if now >= self.lingered_at + 0.05:
            self.lingered_at = now
            self._control(*(answers or [self._close_ack()]))

    def _read_control(self, messages: list[dict], now: float) -> None:
        answers, ping = [], None
        for m in messages:
            name = m["message"]
            if name == "ping":
                ping = m["id"]
            elif name == "pong" and m["id"] in self.pings:  # a sample, as RFC 6298 has it (9.1)
                sample = now - self.pings.pop(m["id"])
                self.rttvar += (abs(self.srtt - sample) - self.rttvar) / 4
                self.srtt += (sample - self.srtt) / 8
            elif name == "close":
                self.closed_there = self.closed_there or (codes.close_code_told(m["close_code"]), m["reason"])
                answers.append(self._close_ack())
            elif name == "close_ack" and self.close_repeat:
                self.close_done = self.close_done or not self.side.unsettled and m["settled"] >= self.side.r
                self.lingered_at = now
                if (reached := (self.side.a_last, m["settled"])) > self.close_reached:  # further: at once, pauses anew
                    self.close_reached, self.close_repeat = reached, Repeat(self.probe_time)
            elif name == "unknown" and m["number"] == RECEIVED and len(m["body"]) == 6:
                self.outgoing.pop((int.from_bytes(m["body"][:4], "big"), int.from_bytes(m["body"][4:], "big")), None)
            elif name == "unknown" and m["number"] in RELIABLE and len(m["body"]) >= 6:
                self._handle(m["number"], m["body"])
                answers.append({"message": "received", "number": RECEIVED, "body": m["body"][:6]})
        if self.close_done:
            if ping is not None or answers:
                self._linger([one for one in answers if one["message"] == "close_ack"], now)
            return
        if ping is not None:
            answers.append({"message": "pong", "id": ping, "settled": self.side.a_last})
        if answers:
            self._control(*answers)

    def _close_ack(self) -> dict:
        return {"message": "close_ack", "flags": control.FINAL, "settled": self.side.a_last}

    def _handle(self, kind: int, body: bytes) -> None:
        """Each message once, and of those that describe a state no older one (8.1)."""
        attempt, serial = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:6], "big")
        if (attempt, serial) in self.handled or serial == 0 or self.close_repeat:
            return
        self.handled.add((attempt, serial))
        if kind in STATES and serial < self.states.get((kind, attempt), 0):
            return
        self.states[kind, attempt] = serial
        self.messages.append((kind, attempt, body[6:]))

    def _take_punch(self, datagram: bytes) -> bool:
        """A punch of this connection on its only path: answered, or the host would think that it is lost (PATHS.md 4)."""
        fields = layouts.decode_punch(datagram)
        if (fields["key"], fields["from"], fields["id"]) != ("connection", "host", self.id):
            return False
        require(punch.is_authentic(self.punch_key, datagram), "forged", "a punch")
        now = time.monotonic()
        self.punches_answered = [at for at in self.punches_answered if now - at < 1]
        if fields["number"] != layouts.NOTHING and len(self.punches_answered) < 16:
            self.punches_answered.append(now)
            self.endpoint.send(punch.seal(self.punch_key, {"from": "initiator", "key": "connection", "id": self.id,
                                                           "number": layouts.NOTHING, "echo": fields["number"]}), self.address)
        return True

    # Close (10).

    def close(self, code: int = codes.CLOSED) -> bool:
        """Exchanges the last reports. True: both sides have everything settled. Linger afterwards."""
        self.close_code, self.close_repeat = code, Repeat(self.probe_time)
        return bool(self.endpoint.wait(lambda: self.close_done or self.closed_there, 3))

    @property
    def linger_time(self) -> float:
        return max(3.0, 3 * self.probe_time)
