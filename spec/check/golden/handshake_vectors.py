"""handshake.json"""

from .. import layouts, run_handshake, settings
from ..errors import Refused
from ..run_handshake import ANSWERS, Inputs
from .vector import Mismatch, Vector


def read_settings(v: Vector) -> dict:
    found = {name: v.int(name) for name in settings.FIELDS}
    v.done()
    return settings.decode(settings.encode(found))


def _read(v: Vector, byte_strings: tuple, numbers: tuple) -> dict:
    return {name: v.bytes(name) for name in byte_strings} | {name: v.int(name) for name in numbers}


def read_inputs(vector: Vector) -> tuple[Inputs, bytes]:
    i, host = vector.object("initiator"), vector.object("host")
    initiator = _read(i, ("seed", "initiator_nonce", "ephemeral_secret", "ciphers_offered", "connect_data"),
                      ("initial_sequence", "introduction_id"))
    initiator |= {"settings": read_settings(i.object("settings")), "address": i.raw("address"), "extensions": []}
    for extension in i.objects("extensions"):
        initiator["extensions"].append({"type": extension.int("type"), "body": extension.bytes("body")})
        extension.done()
    x = i.bytes("x")
    i.done()
    hosted = _read(host, ("seed", "epoch_secret", "token_secret", "challenge_response_data", "host_salt",
                          "e2_secret", "connection_id", "accept_data", "reason"),
                   ("epoch_start", "difficulty", "initial_sequence", "close_code"))
    hosted |= {"settings": read_settings(host.object("settings")), "ciphers_allowed": host.list("ciphers_allowed")}
    host.done()
    introduction = None
    if vector.has("introduction"):
        told = vector.object("introduction")
        introduction = _read(told, ("secret", "initiator_nonce", "host_nonce", "introduced_data"), ())
    inputs = Inputs(vector.bytes("application_id"), initiator, hosted, introduction)
    if introduction is not None:
        for name in ("psk", "data_key"):
            told.expect(name, getattr(inputs.introduced, name))
        told.done()
    return inputs, x


def must_be_refused(what: str, attempt, good: bytes) -> None:
    """Some changed copies of a good datagram must all be refused."""
    for i in sorted({*range(0, len(good), 37), 17, 32, 33, 64, len(good) - 1}):
        if i >= len(good):
            continue
        try:
            attempt(good[:i] + bytes([good[i] ^ 1 << i % 8]) + good[i + 1 :])
        except Refused:
            continue
        raise Mismatch(f"{what} is taken with byte {i} changed")


def check_handshake(vector: Vector) -> None:
    inputs, x = read_inputs(vector)
    outcome = run_handshake.run(inputs, x)
    vector.expect("prologue", outcome.prologue)
    vector.expect("dh", outcome.dh)
    lines = vector.objects("noise")
    if len(lines) != len(outcome.noise.trace):
        raise Mismatch(f"noise has {len(lines)} steps, not {len(outcome.noise.trace)}")
    for line, computed in zip(lines, outcome.noise.trace):
        for name, value in computed.items():
            line.expect(name, value)
        line.done()
    for name, payload in outcome.payloads.items():
        vector.expect(name, payload)
    datagrams = vector.object("datagrams")
    for name, datagram in outcome.datagrams.items():
        datagrams.expect(name, datagram)
    datagrams.done()
    vector.expect("keys", outcome.keys)
    vector.expect("result", outcome.result)

    response = layouts.decode_challenge_response(outcome.datagrams["challenge_response"], inputs.introduction is not None)
    # Another X may be right as well, the more likely the less difficult the puzzle is.
    request, x_given = outcome.datagrams["connect_request"][:-8], outcome.datagrams["connect_request"][-8:]
    must_be_refused("connect_request", lambda bad: run_handshake.admit(inputs, response, bad + x_given), request)
    for name in ANSWERS:
        must_be_refused(
            f"connect_{name}",
            lambda bad, name=name: run_handshake.open_answer(inputs, outcome.noise, name, bad, response["cipher"]),
            outcome.datagrams[f"connect_{name}"])


KINDS = {"handshake": check_handshake}
