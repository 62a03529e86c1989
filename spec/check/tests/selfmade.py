"""Vectors made by this implementation itself, from one seed, so that the whole path of checking can be exercised.

They say nothing about the protocol: only vectors made by another implementation do.
"""

import random

from .. import ciphers, control, identity, introduced, layouts, origin, punch, puzzle, settings, tokens
from ..connection import OTHER, Connection
from ..errors import Refused
from ..golden.packets_vectors import state_of
from ..golden.vector import to_json
from ..keys import DIRECTIONS, answer_key, generation_keys, make_prk, make_prk0, traffic_secret
from ..packets import Header
from ..primitives import ed25519, x25519
from ..primitives.kdf import sha256
from ..run_handshake import Inputs, run


def make_all(seed: int) -> dict[str, dict]:
    """File name without `.json` to its content."""
    makers = {"layouts": make_layouts, "keys": make_keys, "puzzle": make_puzzle, "token": make_token,
              "identity": make_identity, "origin": make_origin, "handshake": make_handshakes, "packets": make_packets}
    files = {}
    for file, make in makers.items():
        vectors = to_json(make(random.Random(f"{seed} {file}")))
        files[file] = {"format": 1, "file": file,
                       "vectors": [{"name": f"{v['kind']}_{n}"} | v for n, v in enumerate(vectors)]}
    return files


def make_layouts(rng: random.Random) -> list[dict]:
    own = {"packet_window": 512, "tag_bytes": 8, "ack_delay": 40, "max_packet_size": 1150}
    b = rng.randbytes
    answer = {"initiator_nonce": b(16), "host_salt": b(16)}
    good = {
        "challenge_request": {"version": 1, "initiator_nonce": b(16), "application_tag": b(8),
                              "ciphers_offered": bytes([3, 1, 0, 0]), "introduction_id": 2**63},
        "challenge_response": {"version": 1, "initiator_nonce": b(16), "epoch_start": 2**40, "epoch_key": b(32),
                               "signature": b(64), "identity_token": b(16), "difficulty": 9, "cipher": 3, "key_type": 1,
                               "host_public_key": b(32), "challenge_response_data": b(20)},
        "connect_request": {"version": 1, "initiator_nonce": b(16), "epoch_tag": b(4), "identity_token": b(16),
                            "difficulty": 9, "cipher": 3, "ciphers_offered": bytes([3, 1, 0, 0]), "introduction_id": 7,
                            "e": b(32), "sealed_s": b(48), "sealed_p": b(60), "x": b(8)},
        "request_payload": {"initial_sequence": 4095, "settings": own, "flags": 1, "connect_data": b(5),
                            "extensions": [{"type": 200, "body": b(3)}, {"type": 1, "body": b""}]},
        "connect_accept": answer | {"e2": b(32), "sealed": b(60)}, "connect_refuse": answer | {"sealed": b(30)},
        "connect_pending": answer | {"sealed": b(16)},
        "accept_payload": {"initial_sequence": 0, "settings": own, "connection_id": b(8), "reset_token": b(16),
                           "accept_data": b""},
        "refuse_payload": {"close_code": 1, "reason": b"full"},
        "reject": {"version": 1, "initiator_nonce": b(16), "reject_code": 6},
        "punch": {"from": "host", "key": "connection", "id": b(8), "number": b(8), "echo": bytes(8), "tag": b(16)},
        "who_are_you": {}, "reset": {"reset_token": b(16)}, "path_id": {"id": b(8), "reset_token": b(16)},
        "probe": {"nonce": b(16)}, "probe_echo": {"nonce": b(16)},
        "settings": own,
        "observe": {"token": b(16)}, "relayed": {"circuit": 7, "inner": b"\x80" + b(20)},
        "request": {"remote": 9, "flags": 0x3F, "nonce": b(16), "candidates": [
            {"kind": 1, "ip": b(4), "port": 1}, {"kind": 2, "ip": b(16), "port": 65535}]},
        "introduction": {"status": 0, "introduction_id": 2**63, "flags": 8, "key_type": 1, "public_key": b(32),
                         "nonce": b(16), "secret": b(32), "circuit": 0, "circuit_rate": 0, "nat": 2, "stride": 200,
                         "own_nat": 1, "observed": {"ip": b(4), "port": 5},
                         "candidates": [{"kind": 0, "ip": b(4), "port": 6}]},
        "outcome": {"introduction_id": 3, "result": 255, "close_code": 47, "milliseconds": 2**32 - 2},
        "candidates": {"candidates": []}, "withdraw": {"close_code": 11}, "circuit": {"circuit": 4, "state": 2},
        "tokens_wanted": {"wanted": 4},
        "tokens": {"second_address": {"ip": b(16), "port": 8}, "tokens": [b(16) for _ in range(6)]},
        "observed": {"whose": 1, "round": 7, "address": {"ip": b(4), "port": 9}},
        "nats": {"nat": 2, "stride": 1, "own_nat": 3, "observed": {"ip": b(4), "port": 10}},
    }
    vectors = [{"kind": kind, "hex": layouts.LAYOUTS[kind][1](fields), "fields": fields}
               for kind, fields in good.items()]
    wrong = layouts.encode_challenge_request(good["challenge_request"])
    vectors += [{"kind": "challenge_request", "hex": wrong[:-1] + b"\1", "refused": "zeros"},
                {"kind": "datagram", "hex": b"\x20", "fields": {"kind": "info"}},
                {"kind": "datagram", "hex": b"\x0f", "refused": "reserved"},
                {"kind": "settings_text", "text": "window=64;tag=4", "fields": settings.from_text("tag=4;window=64")},
                {"kind": "settings_text", "text": "speed=1", "refused": "text_setting"},
                {"kind": "packet_header", "packet_window": 128, "hex": Header("ack", 1, 2, 3, 4).encode(128),
                 "fields": {"type": "ack", "sequence_low": 1, "ack_low": 2, "ack_form": 3, "counter_low": 4}},
                {"kind": "ack_bytes", "packet_type": "data", "ack_form": 1, "ack": 100, "hex": b"\x81xyz",
                 "fields": {"delivered": [93, 100], "rest": b"xyz"}}]
    messages = [{"message": "ping", "id": 7, "settled": 98}, {"message": "close", "flags": 1, "settled": 99, "close_code": 0,
                                               "reason": b"bye"}, {"message": "unknown", "number": 9, "body": b"\0"}]
    vectors.append({"kind": "control_messages", "hex": control.encode(messages),
                    "fields": {"messages": messages, "violation": False}})
    return vectors


def make_keys(rng: random.Random) -> list[dict]:
    ck, h, salt = rng.randbytes(32), rng.randbytes(32), rng.randbytes(16)
    secrets = {name: rng.randbytes(32) for name in ("e_secret", "s_secret", "e2_secret")}
    e2 = x25519.public_key(secrets["e2_secret"])
    agreed = {f"dh_{name}_e2": x25519.diffie_hellman(secrets[f"{name}_secret"], e2) for name in ("e", "s")}
    prk0 = make_prk0(ck, h, salt)
    prk = make_prk(prk0, e2, **agreed)
    generations, nonces = [], []
    for cipher in ciphers.NAMES:
        for direction in DIRECTIONS:
            for generation in range(3):
                traffic = traffic_secret(prk, direction, generation)
                keys = generation_keys(traffic, cipher)
                line = {"cipher": cipher, "direction": direction, "generation": generation}
                generations.append(line | {"traffic": traffic} | vars(keys))
                domain, counter = rng.choice((1, 2)), rng.randrange(2**48)
                nonces.append(line | {"domain": domain, "counter": counter, "nonce": keys.nonce(domain, counter)})
    vectors = [{"kind": "key_schedule", "ck": ck, "h": h, "host_salt": salt, "e2": e2, "prk0": prk0, "prk": prk}
               | secrets | agreed
               | {f"{name}_key": answer_key(secret, name)
                  for name, secret in (("refuse", prk0), ("pending", prk0), ("accept", prk))}
               | {"generations": generations, "nonces": nonces}]
    for cipher, tag in ((1, 16), (2, 16), (3, 4), (3, 8), (3, 16)):
        key, nonce = rng.randbytes(ciphers.KEY_LENGTH[cipher]), rng.randbytes(12)
        ad, text = rng.randbytes(19), rng.randbytes(33)
        vectors.append({"kind": "seal", "cipher": cipher, "tag_bytes": tag, "key": key, "nonce": nonce,
                        "associated_data": ad, "text": text, "sealed": ciphers.seal(cipher, key, nonce, ad, text, tag)})
    for side, number, echo in (("initiator", rng.randbytes(8), bytes(8)), ("host", bytes(8), rng.randbytes(8))):
        key = punch.punch_key(prk)
        fields = {"from": side, "key": "connection", "id": rng.randbytes(8), "number": number, "echo": echo}
        datagram = punch.seal(key, fields)
        vectors.append({"kind": "punch", "prk": prk, "punch_key": key, "fields": fields | {"tag": datagram[26:]},
                        "hex": datagram})
    vectors.append(make_introduced_keys(rng))
    return vectors


def make_introduced_keys(rng: random.Random) -> dict:
    told = {name: rng.randbytes(size) for name, size in (
        ("introduction_id", 8), ("secret", 32), ("initiator_nonce", 16), ("host_nonce", 16),
        ("initiator_public_key", 32), ("host_public_key", 32))}
    keys, data, punches = introduced.introduced_keys(**told), rng.randbytes(50), []
    for side in ("initiator", "host"):
        fields = {"from": side, "key": "introduction", "id": told["introduction_id"], "number": rng.randbytes(8),
                  "echo": rng.randbytes(8)}
        datagram = punch.seal(keys.punch_key, fields)
        punches.append({"fields": fields | {"tag": datagram[26:]}, "hex": datagram})
    return {"kind": "introduced_keys", "psk": keys.psk, "punch_key": keys.punch_key, "data_key": keys.data_key,
            "introduced_data": data, "sealed_data": keys.seal(data), "punches": punches} | told


def make_puzzle(rng: random.Random) -> list[dict]:
    vectors = []
    for difficulty in (0, 1, 7, 8, 9, 12):
        body = rng.randbytes(170)
        request = body + puzzle.solve(body, difficulty, rng.randrange(2**64))
        vectors.append({"kind": "puzzle", "request": request, "body_hash": sha256(body), "x": request[-8:],
                        "digest": puzzle.digest(request), "difficulty": difficulty, "solved": True})
    bits = puzzle.leading_zero_bits(puzzle.digest(request))
    vectors.append(vectors[-1] | {"difficulty": bits + 1, "solved": False})
    return vectors


def make_token(rng: random.Random) -> list[dict]:
    vectors = []
    for address in ({"ip": "192.0.2.7", "port": 27015}, {"ip": "::ffff:192.0.2.7", "port": 27015},
                    {"ip": "fe80::1%3", "port": 1}, {"carrier": 2**64 - 1}):
        secret, nonce, offered = rng.randbytes(32), rng.randbytes(16), bytes([2, 1, 0, 0])
        packed = tokens.address_bytes(address)
        vectors.append({"kind": "identity_token", "token_secret": secret, "version": 1, "address": address,
                        "initiator_nonce": nonce, "difficulty": 4, "cipher": 2, "ciphers_offered": offered,
                        "address_bytes": packed,
                        "identity_token": tokens.identity_token(secret, 1, packed, nonce, 4, 2, offered)})
    seed, connection_id = rng.randbytes(32), rng.randbytes(8)
    vectors.append({"kind": "reset_token", "seed": seed, "connection_id": connection_id,
                    "reset_key": tokens.reset_key(seed), "reset_token": tokens.reset_token(seed, connection_id)})
    vectors.append({"kind": "application_tag", "application_id": b"game 1",
                    "application_tag": tokens.application_tag(b"game 1")})
    return vectors


def make_identity(rng: random.Random) -> list[dict]:
    vectors = []
    for _ in range(4):
        seed = rng.randbytes(32)
        public, secret = ed25519.public_key(seed), identity.x25519_secret(seed)
        u, sign = x25519.public_key(secret), identity.sign_bit(public)
        text = identity.to_text(public, identity.PUBLIC)
        vectors += [
            {"kind": "identity", "seed": seed, "public_key": public, "x25519_secret": secret, "x25519_public": u,
             "sign_bit": sign, "text_public": text, "text_secret": identity.to_text(seed, identity.SECRET)},
            {"kind": "from_x25519", "x25519_public": u, "sign_bit": sign, "public_key": public},
            {"kind": "public_text", "text": text.upper(), "public_key": public},
        ]
    vectors += [{"kind": "public_key", "public_key": bytes(32), "refused": "small_order"},
                {"kind": "public_key", "public_key": public},
                {"kind": "from_x25519", "x25519_public": b"\2" + bytes(31), "sign_bit": 0, "refused": "not_on_curve"},
                {"kind": "public_text", "text": text[:-1] + ("a" if text[-1] != "a" else "b"), "refused": "text_check"},
                {"kind": "secret_text", "text": identity.to_text(seed, identity.SECRET), "seed": seed}]
    signature = ed25519.sign(seed, b"hello")
    for message in (b"hello", b"hallo"):
        vectors.append({"kind": "signature", "public_key": public, "message": message, "signature": signature,
                        "valid": message == b"hello"})
    return vectors


def make_origin(rng: random.Random) -> list[dict]:
    vectors = []
    for ip, text in (("192.0.2.7", "https://game.example"), ("2001:db8::7", "http://localhost:8080")):
        seed, host, now = rng.randbytes(32), rng.randbytes(32), rng.randrange(2**32)
        initiator, address = rng.randbytes(32), {"ip": ip, "port": rng.randrange(1, 2**16 - 1)}
        token = origin.make(seed, now + 60, address, text, initiator, host)
        keys = {"initiator_public_key": initiator, "host_public_key": host}
        gateway = {"gateway_public_key": ed25519.public_key(seed)}
        judged = {"kind": "origin_judged", "token": token, "address": address, "now": now + 59} | keys
        vectors += [{"kind": "origin_token", "seed": seed, "expires": now + 60, "address": address, "origin": text,
                     "token": token} | keys | gateway,
                    judged | gateway | {"origin": text},
                    judged | {"initiator_public_key": host, "refused": "signature"},
                    judged | {"now": now + 60, "refused": "expired"},
                    judged | {"now": now - 61, "refused": "too_far_ahead"},
                    judged | {"address": address | {"port": address["port"] + 1}, "refused": "other_address"},
                    judged | {"token": token[:-1], "refused": "length"}]
    return vectors


def make_handshakes(rng: random.Random) -> list[dict]:
    vectors = []
    for cipher, most, introduced_too in ((1, False, False), (2, False, True), (3, False, False), (3, True, True)):
        b = rng.randbytes
        own = {"packet_window": rng.choice((128, 2048, 32768)), "tag_bytes": rng.randrange(4, 17), "ack_delay": 50,
               "max_packet_size": 1150}
        initiator = {"seed": b(32), "initiator_nonce": b(16), "ephemeral_secret": b(32),
                     "ciphers_offered": bytes([cipher, 9, 0, 0]), "initial_sequence": rng.randrange(4096),
                     "settings": own, "introduction_id": 0, "connect_data": b(900 if most else 0),
                     "extensions": [{"type": 9, "body": b(97)}] if most else [],
                     "address": {"ip": "198.51.100.1", "port": 40000}}
        host = {"seed": b(32), "epoch_secret": b(32), "epoch_start": 1700000000000, "token_secret": b(32),
                "challenge_response_data": b(511 if most else 0), "difficulty": 6, "ciphers_allowed": [3, 2, 1],
                "host_salt": b(16), "e2_secret": b(32), "initial_sequence": rng.randrange(4096),
                "settings": own | {"packet_window": 256, "tag_bytes": 8, "max_packet_size": 1400},
                "connection_id": b(8), "accept_data": b(511 if most else 0), "close_code": 1,
                "reason": b(511 if most else 0)}
        introduction = {}
        if introduced_too:
            initiator["introduction_id"] = rng.randrange(1, 2**64 - 1)
            introduction = {"secret": b(32), "initiator_nonce": b(16), "host_nonce": b(16),
                            "introduced_data": b(480 if most else 0)}
        inputs = Inputs(b"game 1", initiator, host, introduction or None)
        done = run(inputs)
        if introduced_too:
            keys = inputs.introduced
            introduction = {"introduction": introduction | {"psk": keys.psk, "data_key": keys.data_key}}
        initiator["x"] = done.datagrams["connect_request"][-8:]
        vectors.append({"kind": "handshake", "application_id": b"game 1", "initiator": initiator, "host": host,
                        "datagrams": done.datagrams, "noise": done.noise.trace, "dh": done.dh,
                        "prologue": done.prologue} | done.payloads | introduction
                       | {"keys": done.keys, "result": done.result})
    return vectors


class Network:
    """Sends packets in both directions over a bad network and writes down what happens."""

    def __init__(self, rng: random.Random, connection: Connection):
        self.rng, self.connection, self.events = rng, connection, []
        self.count = 0
        self.under_way: list[tuple[int, str, bytes]] = []

    def send(self, sender: str, packet_type: str, messages: list | None = None) -> None:
        side = self.connection.sides[sender]
        event = {"event": "send", "from": sender, "datagram": self.count, "type": packet_type}
        if packet_type in ("data", "report") and side.window_full:
            self.events.append({"event": "window_full", "from": sender})
            return
        payload = b""
        if packet_type == "data":
            payload = event["payload"] = self.rng.randbytes(self.rng.randrange(40))
        elif packet_type == "control":
            event["messages"] = messages or [{"message": "ping", "id": self.count, "settled": side.a_last}]
            payload = control.encode(event["messages"])
        sent = self.connection.send(sender, packet_type, payload)
        event |= {} if sent.counter is None else {"counter": sent.counter}
        self.events.append(event | {"sequence": sent.sequence, "ack": sent.ack, "ack_form": sent.ack_form,
                                    "ack_bytes": sent.ack_bytes, "hex": sent.datagram})
        self.under_way.append((self.count, sender, sent.datagram))
        self.count += 1

    def send_close(self, sender: str, message: str) -> None:
        side = self.connection.sides[sender]
        ack, _, _ = side.write_report("control")  # that of the packet to come
        fields = {"message": message, "flags": int(ack == side.r), "settled": side.a_last}
        if message == "close":
            fields |= {"close_code": 0, "reason": b""}
        self.send(sender, "control", [fields])

    def receive(self, index: int, keep: bool = False, taken: bool = True, tampered: bool = False) -> None:
        number, sender, datagram = self.under_way[index] if keep else self.under_way.pop(index)
        receiver = OTHER[sender]
        side = self.connection.sides[receiver]
        event = {"event": "receive", "at": receiver, "datagram": number}
        if tampered:
            datagram = datagram[:-1] + bytes([datagram[-1] ^ 1])
            event["hex"] = datagram
        try:
            opened = self.connection.open(receiver, datagram)
            taken = taken or opened.type != "data"
            _, report, verdicts = self.connection.receive(receiver, datagram, taken)
            event |= {"result": "taken" if taken else "not_taken", "report": report,
                      "verdicts": [{"sequence": s, "delivered": d} for s, d in verdicts]}
        except Refused as refused:
            event |= {"result": "dropped", "reason": refused.reason}
        self.events.append(event | {"state": state_of(side)})
        waiting = len(side.untaken)
        if waiting and self.rng.random() < 0.8:
            side.take_verdicts(waiting)
            self.events.append({"event": "take_verdicts", "at": receiver, "count": waiting, "open": side.open})

    def lose(self, index: int) -> None:
        self.events.append({"event": "lost", "datagram": self.under_way.pop(index)[0]})

    def change_generation(self, sender: str) -> None:
        """Sends up to the change of generation; an ack packet of the old one arrives after it."""
        self.lose_all()
        side = self.connection.sides[sender]
        held = 0
        while side.sent < 65536:
            if not held and side.sent >= 65533:
                self.send(sender, "ack")
                held = 1
            for one in (sender, OTHER[sender]):
                self.send(one, "data")
                if len(self.under_way) > held:
                    self.receive(held)
        if held:
            self.receive(0)

    def lose_all(self) -> None:
        while self.under_way:
            self.lose(0)

    def step(self, loss: float) -> None:
        rng = self.rng
        if rng.random() < 0.5 or not self.under_way:
            self.send(rng.choice(("initiator", "initiator", "host")),
                      rng.choices(("data", "report", "ack", "control"), (12, 1, 2, 2))[0])
        elif rng.random() < loss:
            self.lose(rng.randrange(len(self.under_way)))
        else:
            index = 0 if rng.random() < 0.8 else rng.randrange(len(self.under_way))
            self.receive(index, keep=rng.random() < 0.05, taken=rng.random() < 0.9, tampered=rng.random() < 0.05)


def make_packets(rng: random.Random) -> list[dict]:
    vectors = []
    for cipher, tag, window in ((1, 16, 128), (2, 16, 2048), (3, 8, 32768), (3, 4, 8), (3, 16, 100)):
        prk = rng.randbytes(32)
        start = {"initiator": 65536 - (250 if cipher == 1 else rng.randrange(10, 60)), "host": rng.randrange(4096)}
        network = Network(rng, Connection(cipher, tag, window, prk, start))
        for loss in (0.1, 0.6):
            for _ in range(200):
                network.step(loss)
        network.change_generation("initiator")
        network.lose_all()
        for _ in range(70):  # a one-way stretch with losses, so that the ack bytes become many
            network.send("initiator", "data")
            if network.under_way:
                network.receive(0) if rng.random() < 0.5 else network.lose(0)
        for packet_type in ("data", "control", "report"):
            network.send("host", packet_type)
        while network.under_way:
            network.receive(0)
        network.send("initiator", "data")
        network.send_close("host", "close")
        network.receive(len(network.under_way) - 1)
        network.send_close("initiator", "close_ack")
        while network.under_way:
            network.receive(0, taken=False)
        vectors.append({"kind": "packets", "cipher": cipher, "tag_bytes": tag, "packet_window": window,
                        "header_size": settings.header_size(window), "prk": prk, "initial_sequence": start,
                        "events": network.events})
    return vectors
