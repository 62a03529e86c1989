"""A whole handshake from its secrets and random draws: what each side sends, and how the other checks it."""

from dataclasses import dataclass

from . import handshake, identity, layouts, puzzle, settings, tokens
from .errors import Refused, require
from .keys import answer_keys, make_prk, traffic_secret
from .primitives import ed25519, x25519

ANSWERS = ("accept", "refuse", "pending")


@dataclass(frozen=True)
class Inputs:
    """Everything that is chosen or drawn; the keys of the dicts are those of handshake.json."""

    application_id: bytes
    initiator: dict
    host: dict


def challenge_request(inputs: Inputs) -> bytes:
    i = inputs.initiator
    return layouts.encode_challenge_request({
        "version": layouts.VERSION, "initiator_nonce": i["initiator_nonce"],
        "application_tag": tokens.application_tag(inputs.application_id), "ciphers_offered": i["ciphers_offered"]})


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
    return layouts.encode_challenge_response(fields)


def check_challenge_response(inputs: Inputs, response: dict) -> None:
    """What the initiator checks (5.5)."""
    i = inputs.initiator
    require(response["initiator_nonce"] == i["initiator_nonce"], "initiator_nonce")
    require(response["cipher"] in layouts.check_ciphers_offered(i["ciphers_offered"]), "cipher", "was not offered")
    identity.check_public_key(response["host_public_key"])
    require(ed25519.verify(response["host_public_key"], handshake.epoch_text(response), response["signature"]),
            "bad_signature")


def request_payload(inputs: Inputs) -> bytes:
    i = inputs.initiator
    return layouts.encode_request_payload({
        "initial_sequence": i["initial_sequence"], "settings": i["settings"],
        "flags": identity.sign_bit(ed25519.public_key(i["seed"])), "connect_data": i["connect_data"],
        "extensions": i["extensions"]})


def connect_request(inputs: Inputs, response: dict, x: bytes) -> tuple[handshake.Noise, bytes, bytes]:
    """The initiator's Noise state, the prologue and the datagram with the solution x."""
    i = inputs.initiator
    prologue = handshake.make_prologue(inputs.application_id, i["ciphers_offered"], response, i["introduction_id"])
    noise, e, sealed_s, sealed_p = handshake.initiator_noise(
        prologue, response["epoch_key"], response["host_public_key"], i["seed"], i["ephemeral_secret"],
        request_payload(inputs))
    datagram = layouts.encode_connect_request({
        "version": response["version"], "initiator_nonce": i["initiator_nonce"],
        "epoch_tag": response["epoch_key"][:4], "identity_token": response["identity_token"],
        "difficulty": response["difficulty"], "cipher": response["cipher"],
        "ciphers_offered": i["ciphers_offered"], "introduction_id": i["introduction_id"], "e": e, "sealed_s": sealed_s,
        "sealed_p": sealed_p, "x": x})
    return noise, prologue, datagram


def admit(inputs: Inputs, response: dict, datagram: bytes) -> tuple[handshake.Noise, bytes, dict]:
    """The host's checks of a connect_request (5.4): its Noise state, the initiator's key, the payload's fields."""
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
    prologue = handshake.make_prologue(inputs.application_id, request["ciphers_offered"], known,
                                       request["introduction_id"])
    noise, initiator_x25519, payload = handshake.host_noise(
        prologue, host["epoch_secret"], host["seed"], request["e"], request["sealed_s"], request["sealed_p"])
    fields = layouts.decode_request_payload(payload)
    return noise, identity.from_x25519(initiator_x25519, fields["flags"] & 1), fields


def answers(inputs: Inputs, noise: handshake.Noise, asked: dict, cipher: int) -> dict[str, tuple[bytes, bytes]]:
    """The host's three possible answers: name to (text, datagram)."""
    host = inputs.host
    keys = answer_keys(make_prk(noise.ck, noise.h, host["host_salt"]))
    texts = {
        "accept": layouts.encode_accept_payload({
            "initial_sequence": host["initial_sequence"],
            "settings": settings.outcome(asked["settings"], host["settings"], cipher),
            "connection_id": host["connection_id"],
            "reset_token": tokens.reset_token(host["seed"], host["connection_id"]),
            "accept_data": host["accept_data"]}),
        "refuse": layouts.encode_refuse_payload({"close_code": host["close_code"], "reason": host["reason"]}),
        "pending": b"",
    }
    out = {}
    for name, text in texts.items():
        head = bytes([layouts.FIRST_BYTE[f"connect_{name}"]]) + inputs.initiator["initiator_nonce"] + host["host_salt"]
        out[name] = text, head + handshake.seal_answer(keys[f"{name}_key"], head, text)
    return out


def open_answer(inputs: Inputs, noise: handshake.Noise, name: str, datagram: bytes, cipher: int) -> dict:
    """What the initiator reads in an answer, after every check."""
    outer = layouts.decode_answer(datagram, f"connect_{name}")
    require(outer["initiator_nonce"] == inputs.initiator["initiator_nonce"], "initiator_nonce")
    key = answer_keys(make_prk(noise.ck, noise.h, outer["host_salt"]))[f"{name}_key"]
    text = handshake.open_answer(key, datagram)
    if name == "pending":
        return {}
    if name == "refuse":
        return layouts.decode_refuse_payload(text)
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
    response = layouts.decode_challenge_response(datagrams["challenge_response"])
    check_challenge_response(inputs, response)

    noise, prologue, datagram = connect_request(inputs, response, x or bytes(8))
    if x is None:
        datagram = datagram[:-8] + puzzle.solve(datagram[:-8], response["difficulty"])
    datagrams["connect_request"] = datagram
    host_state, initiator_key, payload = admit(inputs, response, datagram)
    if (host_state.h, host_state.ck, host_state.trace) != (noise.h, noise.ck, noise.trace):
        raise Refused("noise", "the two sides differ")

    cipher = response["cipher"]
    payloads = {"request_payload": request_payload(inputs)}
    for name, (text, answer) in answers(inputs, host_state, payload, cipher).items():
        datagrams[f"connect_{name}"] = answer
        if name != "pending":
            payloads[f"{name}_payload"] = text
        opened = open_answer(inputs, noise, name, answer, cipher)
        if name == "accept":
            accepted = opened

    prk = make_prk(noise.ck, noise.h, host["host_salt"])
    own, epoch_key = identity.x25519_secret(i["seed"]), response["epoch_key"]
    host_x25519 = identity.to_x25519(response["host_public_key"])
    limit = min(i["settings"]["max_packet_size"], accepted["settings"]["max_packet_size"])
    return Outcome(
        datagrams, noise, prologue, payloads,
        dh={"ee": x25519.diffie_hellman(i["ephemeral_secret"], epoch_key),
            "se": x25519.diffie_hellman(i["ephemeral_secret"], host_x25519),
            "es": x25519.diffie_hellman(own, epoch_key)},
        keys={"prk": prk, **answer_keys(prk),
              "traffic": {side: traffic_secret(prk, side, 0) for side in ("initiator", "host")}},
        result={"cipher": cipher, "initiator_public_key": initiator_key, "host_public_key": response["host_public_key"],
                "application_tag": asked["application_tag"], "packet_window": accepted["settings"]["packet_window"],
                "tag_bytes": accepted["settings"]["tag_bytes"],
                "header_size": settings.header_size(accepted["settings"]["packet_window"]),
                "max_payload": {"initiator": limit, "host": limit}, "reset_token": accepted["reset_token"]})
