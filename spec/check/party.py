"""A party that is introduced as initiator: INTRODUCTIONS.md from the party's side, in the order of its sections.

It asks a lobby (docs/introductions.md, "A lobby for the command line") for a name, is introduced, punches, connects, sends one packet
to a host that echoes, and closes. A demonstration and a test tool: one connection each, no circuits, no moves.
"""

import ipaddress
import secrets
import socket
import time
from urllib.parse import urlsplit

from . import codes, identity, introductions, layouts, punch
from .errors import Refused, require
from .introduced import IntroducedKeys, introduced_keys
from .live import Ended, Endpoint, Live, connect
from .looks import Looks, is_destination, nats_in_words

SCHEDULE = (0, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 2.4, 3.2, 4.0)  # 8.2
SHARED = ipaddress.ip_network("100.64.0.0/10")
ATTEMPT = 1                  # bit 31 is 0: this side began the connection with the lobby (3)
TAKES_DIRECT_PATHS, OPENS_PORTS = 8, 16  # of a request's flags
BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"{time.monotonic() - BEGAN:7.3f}  {text}", flush=True)


class Punching:
    """Section 8: candidates are punched, punches answered, until a path is valid at both sides."""

    def __init__(self, endpoint: Endpoint, keys: IntroducedKeys, candidates: list[dict]):
        self.endpoint, self.keys, self.began = endpoint, keys, time.monotonic()
        self.plan: list[tuple] = []             # (when, address, hop limit)
        self.candidates: set[tuple] = set()
        self.numbers: dict[bytes, tuple] = {}   # number of mine: (the address that it was sent to, when)
        self.strange: dict[bytes, float] = {}   # number that came from where no path is: when it first came
        self.paths: list[tuple] = []            # valid here, in the order in which they became so
        self.valid_there = False
        self.answers: list[tuple] = []          # (when, whether to a source)
        self.kept_at = self.began
        self.use(candidates)

    def use(self, candidates: list[dict]) -> None:
        """The list of the introduction, or a later one in its place; private addresses first (8.2), none of those of 8.1, 3."""
        wanted = []
        for candidate in candidates:
            ip = ipaddress.ip_address(candidate["ip"])
            if is_destination(ip, candidate["port"]) and (ip.version == 6) == (self.endpoint.udp.family == socket.AF_INET6):
                wanted.append((not (ip.is_private or ip in SHARED), (str(ip), candidate["port"])))
        wanted = [address for _, address in sorted(wanted, key=lambda one: one[0])]
        self.plan = [one for one in self.plan if one[1] in wanted]
        for place, address in enumerate(one for one in wanted if one not in self.candidates):
            self.plan += [(time.monotonic() + 0.01 * place + at, address, 5 if at == 0 else 64) for at in SCHEDULE]
        self.candidates = set(wanted)

    def _send(self, address: tuple, asks: bool, echo: bytes = layouts.NOTHING, hops: int = 64) -> None:
        number = secrets.token_bytes(8) if asks else layouts.NOTHING
        if asks:
            self.numbers[number] = address, time.monotonic()
        self.endpoint.send(punch.seal(self.keys.punch_key, {"from": "initiator", "key": "introduction",
                                                            "id": self.keys.introduction_id, "number": number, "echo": echo}),
                           address, hops)

    def tick(self, now: float) -> None:
        for one in sorted(one for one in self.plan if one[0] <= now):
            self.plan.remove(one)
            if not self.paths or one[1] == self.paths[0] and not self.valid_there:  # 8.1, 1
                self._unasked(one[1], now, one[2])
        if self.paths and now >= self.kept_at + 5:  # while the host decides (7)
            self.kept_at = now
            self._unasked(self.paths[0], now, 64)

    def _unasked(self, address: tuple, now: float, hops: int) -> None:
        if self.endpoint.budget.takes(address[0], now):
            self._send(address, True, hops=hops)

    def take(self, datagram: bytes, source: tuple) -> bool:
        """PATHS.md 4, with the id and key of the introduction. Only a punch with number 0 is taken to show that a path is valid there."""
        if layouts.classify(datagram) != "punch":
            return False
        fields = layouts.decode_punch(datagram)
        if (fields["key"], fields["from"], fields["id"]) != ("introduction", "host", self.keys.introduction_id):
            return False
        require(punch.is_authentic(self.keys.punch_key, datagram), "forged", "a punch")
        now, number = time.monotonic(), fields["number"]
        awaited = self.numbers.get(fields["echo"])
        if source not in self.paths:
            if number == layouts.NOTHING:
                require(awaited is not None, "replayed", "a punch that asks nothing, and answers nothing")
            elif now - self.strange.setdefault(number, now) > 1:
                raise Refused("replayed", "a number that is more than 1 s old")
            while len(self.strange) > 64:
                del self.strange[next(iter(self.strange))]
        if awaited and self.numbers.pop(fields["echo"]) and now - awaited[1] <= 5 and awaited[0] not in self.paths:
            say(f"path {awaited[0]} is valid here")
            self.paths.append(awaited[0])
        if number == layouts.NOTHING:
            self.valid_there = True
            return True
        to_source = source not in self.paths and source not in self.candidates
        self.answers = [one for one in self.answers if now - one[0] < 1]
        if len(self.answers) < 16 and not (to_source and sum(one[1] for one in self.answers) >= 4):
            self.answers.append((now, to_source))
            self._send(source, source not in self.paths, fields["number"])
        return True


class Introducer:
    """The connection with the introducer: what it says in the attempt, and the looks that it takes."""

    def __init__(self, endpoint: Endpoint, live: Live):
        self.endpoint, self.live, self.looks = endpoint, live, Looks(endpoint, live.address)
        self.nonce = secrets.token_bytes(16)
        self.answered = False
        self.introduction: dict | None = None   # of status 0
        self.withdrawn: int | None = None
        self.on_candidates = lambda candidates: None
        self.nats: dict | None = None           # the newest
        endpoint.users += [self, self.looks]

    def say(self, name: str, fields: dict) -> tuple:
        return self.live.send_reliable(ATTEMPT, introductions.KIND_OF[name], introductions.encode(name, fields))

    def take(self, datagram: bytes, source: tuple) -> bool:
        return False

    def tick(self, now: float) -> None:
        """One that is malformed, of another attempt, or from the wrong side is ignored; it was answered with *received* (3)."""
        while self.live.messages:
            kind, attempt, content = self.live.messages.pop(0)
            try:
                name = introductions.message_of(kind, attempt, "host")
                fields = introductions.decode(name, content)
                require(attempt == ATTEMPT, "range", "another attempt")
                self._hear(name, fields)
            except Refused as refused:
                say(f"ignored: message {kind}: {refused}")

    def _hear(self, name: str, fields: dict) -> None:
        if name == "introduction":
            require(self.introduction is None, "late", "this attempt has had its status 0")
            say(f"introduction, status {fields['status']}")
            self.answered = True
            if fields["status"] == introductions.READY:
                self.introduction = fields
                say(nats_in_words(fields))
        elif name == "withdraw":
            self.withdrawn = fields["close_code"]
        elif name == "candidates":
            self.on_candidates(fields["candidates"])
        elif name == "tokens":
            require("second_address" in fields, "unwanted", "tokens for rounds, and none were asked for")
            say(f"a look: {self.looks.begin(fields)} tokens; second address {self.looks.second}")
        elif name == "nats":
            self.nats = fields
            say(nats_in_words(fields))
        else:
            say(f"{name}: {fields}")

    def wait(self, done, seconds: float):
        result = self.endpoint.wait(lambda: done() or self.withdrawn is not None or self.live.closed_there, seconds)
        if self.withdrawn is not None:
            raise Ended(f"the lobby withdraws: {codes.CLOSE_ON_THE_WIRE[self.withdrawn]}")
        if self.live.closed_there:
            raise Ended("introducer_gone")
        return result


def connect_to_lobby(endpoint: Endpoint, url: str, wish: str) -> Live:
    """An ordinary connection with the lobby. The wish is the connect data that docs/introductions.md says."""
    parts = urlsplit(url)
    pinned = identity.public_from_text(parts.username) if parts.username else None
    address = socket.getaddrinfo(parts.hostname, parts.port or 28000, endpoint.udp.family, socket.SOCK_DGRAM)[0][4][:2]
    return connect(endpoint, address, pinned, f"torque lobby 1 {wish}".encode(), say=say)


def be_introduced(lobby: Introducer, remote: int, expected: bytes) -> IntroducedKeys:
    """Sections 3, 5 and 6: request, and introduction of status 0 within the introducer's 30 s."""
    lobby.say("request", {"remote": remote, "flags": TAKES_DIRECT_PATHS | OPENS_PORTS, "nonce": lobby.nonce, "candidates": []})
    say("request sent")
    if not lobby.wait(lambda: lobby.answered, 10) or not lobby.wait(lambda: lobby.introduction, 40):
        raise Ended("no_answer")
    told = lobby.introduction
    identity.check_public_key(told["public_key"])
    require(told["public_key"] == expected, "key_mismatch", "introduced to somebody else than the lobby said")
    return introduced_keys(told["introduction_id"].to_bytes(8, "big"), told["secret"], lobby.nonce, told["nonce"],
                           lobby.endpoint.public_key, told["public_key"])


def new_endpoint(url: str) -> Endpoint:
    endpoint = Endpoint(socket.getaddrinfo(urlsplit(url).hostname, None, type=socket.SOCK_DGRAM)[0][0])
    say(f"I am {identity.to_text(endpoint.public_key, identity.PUBLIC)[:16]}…")
    return endpoint


def look_at_nat(url: str) -> int:
    """Asks a lobby for a look at this machine's NAT, as a host that nobody knows."""
    endpoint = new_endpoint(url)
    try:
        lobby = Introducer(endpoint, connect_to_lobby(endpoint, url, f"host look-{secrets.token_hex(8)}"))
        lobby.say("tokens_wanted", {"wanted": 0})
        say("look wanted")
        if not lobby.wait(lambda: lobby.nats, 4):  # 9.1
            raise Ended("no_answer: the lobby says nothing of this NAT")
        if lobby.nats["own_nat"] == introductions.UNKNOWN:
            say("unknown: perhaps the lobby has no second port, or a firewall keeps it shut")
        lobby.live.close()
        endpoint.wait(lambda: False, lobby.live.linger_time)
    except (Ended, Refused, ValueError) as error:
        say(f"failed: {error}")
        return 1
    finally:
        for text in endpoint.dropped:
            say(f"dropped: {text}")
    return 0


def run(url: str, name: str) -> int:
    endpoint = new_endpoint(url)
    try:
        lobby = Introducer(endpoint, connect_to_lobby(endpoint, url, f"ask {name}"))
        number, key = lobby.live.accept_data.decode("ascii").split(" ")
        say(f"the lobby says: {number} {key}")
        asked_at, expected = time.monotonic(), identity.public_from_text(key)
        keys = be_introduced(lobby, int(number), expected)
        candidates = lobby.introduction["candidates"]
        say(f"candidates: {[(c['kind'], str(ipaddress.ip_address(c['ip'])), c['port']) for c in candidates]}")

        punching = Punching(endpoint, keys, candidates)
        endpoint.users.append(punching)
        lobby.on_candidates = punching.use
        if not endpoint.wait(lambda: punching.paths, 25):
            raise Ended("no_path")
        host = connect(endpoint, punching.paths[0], expected, b"", keys, say)
        endpoint.users.remove(punching)  # only the connection's own punches count now (8.1, 4)
        say(f"established, and heard; accept data {host.accept_data!r}")
        outcome = lobby.say("outcome", {
            "introduction_id": int.from_bytes(keys.introduction_id, "big"), "result": 0, "close_code": 0,
            "milliseconds": int(1000 * (time.monotonic() - asked_at))})

        for _ in range(8):  # what is lost, here or on the way back, stays lost: it is said again
            sequence = host.send(b"hello from a second implementation")
            endpoint.wait(lambda: sequence in host.verdicts, 20)
            delivered = host.verdicts.get(sequence, False)
            say(f"verdict: {'delivered' if delivered else 'dropped'}")
            if delivered and endpoint.wait(lambda: host.packets, 1):
                break
        say(f"echo: {host.packets}")
        endpoint.wait(lambda: outcome not in lobby.live.outgoing, 10)
        say("the lobby has the outcome")
        closed = [("host", host.close()), ("lobby", lobby.live.close())]
        say(", ".join(f"{side}: {'closed' if good else 'no answer to the close'}" for side, good in closed))
        endpoint.wait(lambda: False, max(host.linger_time, lobby.live.linger_time))
    except (Ended, Refused, ValueError) as error:
        say(f"failed: {error}")
        return 1
    finally:
        for text in endpoint.dropped:
            say(f"dropped: {text}")
    return 0 if delivered and host.packets and all(good for _, good in closed) else 1
