"""A whole handshake from its secrets and random draws: what each side sends, and how the other checks it."""

from dataclasses import dataclass

from . import codes, handshake, identity, layouts, puzzle, settings, tokens
from .introduced import IntroducedKeys, introduced_keys
from .errors import Refused, require
from .keys import answer_key, make_prk, make_prk0, traffic_secret
from .primitives import ed25519, x25519

ANSWERS = ("accept", "refuse", "pending")


@dataclass(frozen=True)
class Inputs:
    """Everything that is chosen or drawn; the keys of the dicts are those of handshake.json."""

    application_id: bytes
    initiator: dict
    host: dict
    # Of an introduced handshake: the two requests' nonces, the introduced secret, the host's data for this introduction.
    introduction: dict | None = None

    @property
    def introduced(self) -> IntroducedKeys | None:
        """The keys that both parties have."""
        if self.introduction is None:
            return None
        told = self.introduction
        return introduced_keys(self.initiator["introduction_id"].to_bytes(8, "big"), told["secret"],
                               told["initiator_nonce"], told["host_nonce"],
                               ed25519.public_key(self.initiator["seed"]), ed25519.public_key(self.host["seed"]))


def challenge_request(inputs: Inputs) -> bytes:
    i = inputs.initiator
    return layouts.encode_challenge_request({
        "version": layouts.VERSION, "initiator_nonce": i["initiator_nonce"],
        "application_tag": tokens.application_tag(inputs.application_id), "ciphers_offered": i["ciphers_offered"],
        "introduction_id": i["introduction_id"]})


def challenge_response(inputs: Inputs, request: dict) -> bytes:
    """The host's answer to the fields of a challenge_request."""
    i, host = inputs.initiator, inputs.host
    require(request["application_tag"] == tokens.application_tag(inputs.application_id), "application_tag")
    cipher = layouts.choose_cipher(request["ciphers_offered"], host["ciphers_allowed"])
    require(cipher is not None, "no_common_cipher")
    token = tokens.identity_token(host["token_secret"], request["version"], tokens.address_bytes(i["address"]),
                                  request["initiator_nonce"], host["difficulty"], cipher, request["ciphers_offered"])
    fields = {"version": request["version"], "initiator_nonce": request["initiator_nonce"],
              "epoch_start": host["epoch_start"], "epoch_key": x25519.public_key(host["epoch_secret"]),
              "identity_token": token, "difficulty": host["difficulty"], "cipher": cipher,
              "key_type": identity.KEY_TYPE,
              "host_public_key": ed25519.public_key(host["seed"]),
              "challenge_response_data": host["challenge_response_data"]}
    fields["signature"] = ed25519.sign(host["seed"], handshake.epoch_text(fields))
    if inputs.introduction is not None:
        require(request.get("introduction_id") == i["introduction_id"], "introduction_id")
        fields["introduced_data"] = inputs.introduced.seal(inputs.introduction["introduced_data"])
    return layouts.encode_challenge_response(fields)


def check_challenge_response(inputs: Inputs, response: dict) -> None:
    """What the initiator checks (5.5)."""
    i = inputs.initiator
    require(response["initiator_nonce"] == i["initiator_nonce"], "initiator_nonce")
    require(response["cipher"] in layouts.check_ciphers_offered(i["ciphers_offered"]), "cipher", "was not offered")
    identity.check_public_key(response["host_public_key"])
    require(ed25519.verify(response["host_public_key"], handshake.epoch_text(response), response["signature"]),
            "bad_signature")
    if inputs.introduction is not None:
        require(response["host_public_key"] == ed25519.public_key(inputs.host["seed"]), "key_mismatch", "was not named")
        inputs.introduced.open(response["introduced_data"])


def _psk_and_data(inputs: Inputs, response: dict) -> tuple[bytes | None, bytes | None]:
    """The psk, and introduced data in plain."""
    keys = inputs.introduced
    return (None, None) if keys is None else (keys.psk, keys.open(response["introduced_data"]))


def request_payload(inputs: Inputs) -> bytes:
    i = inputs.initiator
    return layouts.encode_request_payload({
        "initial_sequence": i["initial_sequence"], "settings": i["settings"],
        "flags": identity.sign_bit(ed25519.public_key(i["seed"])), "connect_data": i["connect_data"],
        "extensions": i["extensions"]})


def connect_request(inputs: Inputs, response: dict, x: bytes) -> tuple[handshake.Noise, bytes, bytes]:
    """The initiator's Noise state, the prologue and the datagram with the solution x."""
    i = inputs.initiator
    psk, data = _psk_and_data(inputs, response)
    prologue = handshake.make_prologue(inputs.application_id, i["ciphers_offered"], response, i["introduction_id"], data)
    noise, e, sealed_s, sealed_p = handshake.initiator_noise(
        prologue, response["epoch_key"], response["host_public_key"], i["seed"], i["ephemeral_secret"],
        request_payload(inputs), psk)
    datagram = layouts.encode_connect_request({
        "version": response["version"], "initiator_nonce": i["initiator_nonce"],
        "epoch_tag": response["epoch_key"][:4], "identity_token": response["identity_token"],
        "difficulty": response["difficulty"], "cipher": response["cipher"],
        "ciphers_offered": i["ciphers_offered"], "introduction_id": i["introduction_id"], "e": e, "sealed_s": sealed_s,
        "sealed_p": sealed_p, "x": x})
    return noise, prologue, datagram


@dataclass(frozen=True)
class Admitted:
    """What a host knows of a connect_request that passed."""

    noise: handshake.Noise
    e: bytes
    initiator_x25519: bytes
    initiator_public_key: bytes
    payload: dict


def admit(inputs: Inputs, response: dict, datagram: bytes) -> Admitted:
    """The host's checks of a connect_request (5.4)."""
    i, host = inputs.initiator, inputs.host
    request = layouts.decode_connect_request(datagram)
    require(request["epoch_tag"] == response["epoch_key"][:4], "stale_epoch")
    token = tokens.identity_token(host["token_secret"], request["version"], tokens.address_bytes(i["address"]),
                                  request["initiator_nonce"], request["difficulty"], request["cipher"],
                                  request["ciphers_offered"])
    require(request["identity_token"] == token, "identity_token")
    require(puzzle.is_solved(datagram, request["difficulty"]), "puzzle")
    # The prologue as the host knows it: its own challenge_response, with what the request echoes of it.
    known = response | {"version": request["version"], "initiator_nonce": request["initiator_nonce"],
                        "identity_token": request["identity_token"], "difficulty": request["difficulty"],
                        "cipher": request["cipher"]}
    psk, data = _psk_and_data(inputs, response)
    require((request["introduction_id"] == 0) == (psk is None), "introduction_id")
    prologue = handshake.make_prologue(inputs.application_id, request["ciphers_offered"], known,
                                       request["introduction_id"], data)
    noise, initiator_x25519, payload = handshake.host_noise(
        prologue, host["epoch_secret"], host["seed"], request["e"], request["sealed_s"], request["sealed_p"],
        psk)
    fields = layouts.decode_request_payload(payload)
    public_key = identity.from_x25519(initiator_x25519, fields["flags"] & 1)
    if psk is not None:
        require(public_key == ed25519.public_key(i["seed"]), "key_mismatch", "not the one that the introducer named")
    return Admitted(noise, request["e"], initiator_x25519, public_key, fields)


@dataclass(frozen=True)
class Secrets:
    """What the first step gives, and the second one."""

    prk0: bytes
    e2: bytes
    dh_e_e2: bytes
    dh_s_e2: bytes

    @property
    def prk(self) -> bytes:
        return make_prk(self.prk0, self.e2, self.dh_e_e2, self.dh_s_e2)

    def key(self, name: str) -> bytes:
        """The key of an answer. Those of refuse and pending come from the first step alone."""
        return answer_key(self.prk if name == "accept" else self.prk0, name)


def host_secrets(inputs: Inputs, admitted: Admitted) -> Secrets:
    host = inputs.host
    prk0 = make_prk0(admitted.noise.ck, admitted.noise.h, host["host_salt"])
    agreed = handshake.host_second(host["e2_secret"], admitted.e, admitted.initiator_x25519)
    return Secrets(prk0, x25519.public_key(host["e2_secret"]), *agreed)


def initiator_secrets(inputs: Inputs, noise: handshake.Noise, accept: dict) -> Secrets:
    """`accept` are the outer fields of a connect_accept."""
    i = inputs.initiator
    prk0 = make_prk0(noise.ck, noise.h, accept["host_salt"])
    agreed = handshake.initiator_second(i["ephemeral_secret"], i["seed"], accept["e2"])
    return Secrets(prk0, accept["e2"], *agreed)


def answers(inputs: Inputs, admitted: Admitted, cipher: int) -> dict[str, tuple[bytes, bytes]]:
    """The host's three possible answers: name to (text, datagram)."""
    host, secrets = inputs.host, host_secrets(inputs, admitted)
    texts = {
        "accept": layouts.encode_accept_payload({
            "initial_sequence": host["initial_sequence"],
            "settings": settings.outcome(admitted.payload["settings"], host["settings"], cipher),
            "connection_id": host["connection_id"],
            "reset_token": tokens.reset_token(host["seed"], host["connection_id"]),
            "accept_data": host["accept_data"]}),
        "refuse": layouts.encode_refuse_payload({"close_code": host["close_code"], "reason": host["reason"]}),
        "pending": b"",
    }
    outer = {"initiator_nonce": inputs.initiator["initiator_nonce"], "host_salt": host["host_salt"], "e2": secrets.e2}
    out = {}
    for name, text in texts.items():
        head = layouts.answer_head(outer, f"connect_{name}")
        out[name] = text, head + handshake.seal_answer(secrets.key(name), head, text)
    return out


def open_answer(inputs: Inputs, noise: handshake.Noise, name: str, datagram: bytes, cipher: int) -> dict:
    """What the initiator reads in an answer, after every check.

    Refused as `protocol_violation` the attempt ends (4.5); for any other reason the datagram is dropped.
    """
    kind = f"connect_{name}"
    outer = layouts.decode_answer(datagram, kind)
    require(outer["initiator_nonce"] == inputs.initiator["initiator_nonce"], "initiator_nonce")
    if name == "accept":
        key = initiator_secrets(inputs, noise, outer).key(name)
    else:
        key = answer_key(make_prk0(noise.ck, noise.h, outer["host_salt"]), name)
    text = handshake.open_answer(key, layouts.answer_head(outer, kind), outer["sealed"])
    try:
        return _read_answer(inputs, name, text, cipher)
    except Refused as refused:
        raise Refused("protocol_violation", str(refused)) from refused


def _read_answer(inputs: Inputs, name: str, text: bytes, cipher: int) -> dict:
    if name == "pending":
        return {}
    if name == "refuse":
        fields = layouts.decode_refuse_payload(text)
        return fields | {"close_code": codes.close_code_told(fields["close_code"])}
    fields = layouts.decode_accept_payload(text)
    settings.check_answer(inputs.initiator["settings"], fields["settings"], cipher)
    return fields


@dataclass(frozen=True)
class Outcome:
    datagrams: dict[str, bytes]
    noise: handshake.Noise
    prologue: bytes
    payloads: dict[str, bytes]
    dh: dict[str, bytes]
    keys: dict
    result: dict


def run(inputs: Inputs, x: bytes | None = None) -> Outcome:
    """Both sides of a complete handshake, each checking the other. `x` None: the puzzle is solved here."""
    i, host = inputs.initiator, inputs.host
    datagrams = {"challenge_request": challenge_request(inputs)}
    asked = layouts.decode_challenge_request(datagrams["challenge_request"])
    datagrams["challenge_response"] = challenge_response(inputs, asked)
    response = layouts.decode_challenge_response(datagrams["challenge_response"], inputs.introduction is not None)
    check_challenge_response(inputs, response)

    noise, prologue, datagram = connect_request(inputs, response, x or bytes(8))
    if x is None:
        datagram = datagram[:-8] + puzzle.solve(datagram[:-8], response["difficulty"])
    datagrams["connect_request"] = datagram
    admitted = admit(inputs, response, datagram)
    if (admitted.noise.h, admitted.noise.ck, admitted.noise.trace) != (noise.h, noise.ck, noise.trace):
        raise Refused("noise", "the two sides differ")

    cipher = response["cipher"]
    payloads = {"request_payload": request_payload(inputs)}
    for name, (text, answer) in answers(inputs, admitted, cipher).items():
        datagrams[f"connect_{name}"] = answer
        if name != "pending":
            payloads[f"{name}_payload"] = text
        opened = open_answer(inputs, noise, name, answer, cipher)
        if name == "accept":
            accepted = opened

    secrets = initiator_secrets(inputs, noise, layouts.decode_answer(datagrams["connect_accept"], "connect_accept"))
    if secrets != host_secrets(inputs, admitted):
        raise Refused("noise", "the two sides differ after the second step")
    own, epoch_key = identity.x25519_secret(i["seed"]), response["epoch_key"]
    host_x25519 = identity.to_x25519(response["host_public_key"])
    limit = min(i["settings"]["max_packet_size"], accepted["settings"]["max_packet_size"])
    return Outcome(
        datagrams, noise, prologue, payloads,
        dh={"ee": x25519.diffie_hellman(i["ephemeral_secret"], epoch_key),
            "se": x25519.diffie_hellman(i["ephemeral_secret"], host_x25519),
            "es": x25519.diffie_hellman(own, epoch_key),
            "e_e2": secrets.dh_e_e2, "s_e2": secrets.dh_s_e2},
        keys={"prk0": secrets.prk0, "e2": secrets.e2, "prk": secrets.prk,
              **{f"{name}_key": secrets.key(name) for name in ANSWERS},
              "traffic": {side: traffic_secret(secrets.prk, side, 0) for side in ("initiator", "host")}},
        result={"cipher": cipher, "initiator_public_key": admitted.initiator_public_key,
                "host_public_key": response["host_public_key"],
                "application_tag": asked["application_tag"], "packet_window": accepted["settings"]["packet_window"],
                "tag_bytes": accepted["settings"]["tag_bytes"],
                "header_size": settings.header_size(accepted["settings"]["packet_window"]),
                "max_payload": {"initiator": limit, "host": limit}, "reset_token": accepted["reset_token"]})
