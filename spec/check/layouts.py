"""The handshake's datagrams, the payloads sealed in them (PROTOCOL.md 2 and 4), those of PATHS.md 2 and INTRODUCTIONS.md 2.

Every layout has a decoder (bytes to a dict of fields, or Refused) and an encoder. Byte strings stay bytes.
"""

from . import codes, introductions, settings
from .errors import Refused, require
from .reader import Reader

VERSION = 1
MAGIC = b"TorqueSk"
KINDS = {1: "challenge_request", 2: "challenge_response", 3: "connect_request", 4: "connect_accept",
         5: "connect_refuse", 6: "connect_pending", 7: "reject", 8: "punch", 9: "who_are_you", 10: "reset",
         11: "probe", 12: "probe_echo", 13: "observe", 14: "relayed"}
FIRST_BYTE = {name: number for number, name in KINDS.items()}
# Least and greatest size. connect_request: 132 + (29 to 1,029) + 8. challenge_response: with introduced data.
SIZES = {"challenge_request": (768, 768), "challenge_response": (175, 1184), "connect_request": (169, 1169),
         "connect_accept": (117, 628), "connect_refuse": (53, 564), "connect_pending": (49, 49), "reject": (19, 19),
         "punch": (42, 42), "who_are_you": (1, 1), "reset": (17, 17), "probe": (17, 17), "probe_echo": (17, 17),
         "observe": (17, 17), "relayed": (6, 1232)}
GREATEST_PLAIN_RESPONSE = 686
MAX_INITIAL_SEQUENCE = 4095
MAX_DATA = 511
MAX_CONNECT_DATA = 1000
NOTHING = bytes(8)  # an id, number or echo that is none


def classify(datagram: bytes) -> str:
    """The kind of a datagram by its first byte, and of those below 0x20 by their size too."""
    require(datagram != b"", "empty")
    first = datagram[0]
    if first >= 0x80:
        return "packet"
    if first >= 0x20:
        return "info"
    if first not in KINDS:
        raise Refused("reserved", f"first byte 0x{first:02x}")
    kind = KINDS[first]
    least, greatest = SIZES[kind]
    require(least <= len(datagram) <= greatest, "size", f"{kind} of {len(datagram)} bytes, not {least} to {greatest}")
    return kind


def _open(datagram: bytes, kind: str) -> Reader:
    require(datagram != b"", "empty")
    require(datagram[0] == FIRST_BYTE[kind], "kind", f"first byte 0x{datagram[0]:02x} is not {kind}")
    classify(datagram)
    reader = Reader(datagram)
    reader.take(1)
    return reader


def check_ciphers_offered(offered: bytes) -> list[int]:
    """Cipher numbers in order of preference; unknown ones included."""
    numbers = list(offered.rstrip(b"\0"))
    require(numbers != [], "ciphers", "none offered")
    require(0 not in numbers, "ciphers", "a number after a zero")
    require(len(set(numbers)) == len(numbers), "ciphers", "a number twice")
    return numbers


def choose_cipher(offered: bytes, allowed: list[int]) -> int | None:
    """The first one offered that the host allows."""
    return next((number for number in check_ciphers_offered(offered) if number in allowed), None)


def decode_challenge_request(datagram: bytes) -> dict:
    r = _open(datagram, "challenge_request")
    require(r.take(8) == MAGIC, "magic")
    fields = {"version": r.number(1), "initiator_nonce": r.take(16)}
    # Of another version no more is promised, so it is recognised before the zeros are looked at.
    require(fields["version"] == VERSION, "version", f"version {fields['version']}: a host answers with a reject")
    fields["application_tag"] = r.take(8)
    fields["ciphers_offered"] = r.take(4)
    introduction_id = r.number(8)
    if introduction_id != 0:
        fields["introduction_id"] = introduction_id
    require(not any(r.rest()), "zeros")
    check_ciphers_offered(fields["ciphers_offered"])
    return fields


def encode_challenge_request(f: dict) -> bytes:
    head = b"\x01" + MAGIC + bytes([f["version"]]) + f["initiator_nonce"] + f["application_tag"] + f["ciphers_offered"]
    head += f.get("introduction_id", 0).to_bytes(8, "big")
    return head + bytes(768 - len(head))


def decode_challenge_response(datagram: bytes, introduced: bool = False) -> dict:
    """`introduced`: the request had an introduction's id, so introduced data must be there; otherwise there are none."""
    r = _open(datagram, "challenge_response")
    if not introduced:
        require(len(datagram) <= GREATEST_PLAIN_RESPONSE, "size", f"{len(datagram)} bytes, not 175 to 686")
    fields = {"version": r.number(1)}
    require(fields["version"] == VERSION, "version")
    fields |= {"initiator_nonce": r.take(16), "epoch_start": r.number(8), "epoch_key": r.take(32),
               "signature": r.take(64), "identity_token": r.take(16), "difficulty": r.number(1),
               "cipher": r.number(1), "key_type": r.number(1)}
    require(fields["key_type"] == 1, "key_type", f"key type {fields['key_type']}: the rest cannot be read")
    fields["host_public_key"] = r.take(32)
    length = r.number(2)
    require(length <= MAX_DATA, "length", "challenge_response_data above 511")
    fields["challenge_response_data"] = r.take(length, "challenge_response_data")
    if introduced:
        length = r.number(2, "length of introduced data")
        require(16 <= length <= 496, "length", f"sealed introduced data of {length} bytes, not 16 to 496")
        fields["introduced_data"] = r.take(length, "introduced data")
    r.end("length")
    return fields


def encode_challenge_response(f: dict) -> bytes:
    return (b"\x02" + bytes([f["version"]]) + f["initiator_nonce"] + f["epoch_start"].to_bytes(8, "big")
            + f["epoch_key"] + f["signature"] + f["identity_token"]
            + bytes([f["difficulty"], f["cipher"], f["key_type"]]) + f["host_public_key"]
            + _with_length(f["challenge_response_data"])
            + (_with_length(f["introduced_data"]) if "introduced_data" in f else b""))


def decode_connect_request(datagram: bytes) -> dict:
    r = _open(datagram, "connect_request")
    fields = {"version": r.number(1)}
    require(fields["version"] == VERSION, "version")
    fields |= {"initiator_nonce": r.take(16), "epoch_tag": r.take(4), "identity_token": r.take(16),
               "difficulty": r.number(1), "cipher": r.number(1), "ciphers_offered": r.take(4),
               "introduction_id": r.number(8), "e": r.take(32), "sealed_s": r.take(48)}
    check_ciphers_offered(fields["ciphers_offered"])
    fields["sealed_p"] = r.take(len(datagram) - 132 - 8)
    fields["x"] = r.take(8)
    return fields


def encode_connect_request(f: dict) -> bytes:
    return (b"\x03" + bytes([f["version"]]) + f["initiator_nonce"] + f["epoch_tag"] + f["identity_token"]
            + bytes([f["difficulty"], f["cipher"]]) + f["ciphers_offered"] + f["introduction_id"].to_bytes(8, "big")
            + f["e"] + f["sealed_s"] + f["sealed_p"] + f["x"])


def decode_request_payload(payload: bytes) -> dict:
    r = Reader(payload)
    fields = {"initial_sequence": _initial_sequence(r), "settings": settings.decode(r.take(8)), "flags": r.number(1)}
    length = r.number(2)
    fields["connect_data"] = r.take(length, "connect_data")
    require(len(payload) - 13 <= MAX_CONNECT_DATA, "length", "connect_data and extensions above 1,000")
    fields["extensions"] = []
    while r.offset < len(payload):
        number, size = r.number(1), r.number(2, "extension head")
        fields["extensions"].append({"type": number, "body": r.take(size, "extension")})
    return fields


def encode_request_payload(f: dict) -> bytes:
    out = f["initial_sequence"].to_bytes(2, "big") + settings.encode(f["settings"]) + bytes([f["flags"]])
    out += _with_length(f["connect_data"])
    for extension in f["extensions"]:
        out += bytes([extension["type"]]) + _with_length(extension["body"])
    return out


def decode_answer(datagram: bytes, kind: str) -> dict:
    """connect_accept, connect_refuse and connect_pending, from outside."""
    r = _open(datagram, kind)
    fields = {"initiator_nonce": r.take(16), "host_salt": r.take(16)}
    if kind == "connect_accept":
        fields["e2"] = r.take(32)
    return fields | {"sealed": r.rest()}


def answer_head(f: dict, kind: str) -> bytes:
    """What comes before the sealed text, and is authenticated with it."""
    e2 = f["e2"] if kind == "connect_accept" else b""
    return bytes([FIRST_BYTE[kind]]) + f["initiator_nonce"] + f["host_salt"] + e2


def encode_answer(f: dict, kind: str) -> bytes:
    return answer_head(f, kind) + f["sealed"]


def decode_accept_payload(payload: bytes) -> dict:
    r = Reader(payload)
    fields = {"initial_sequence": _initial_sequence(r), "settings": settings.decode(r.take(8)),
              "connection_id": r.take(8), "reset_token": r.take(16), "accept_data": _data(r, "accept_data")}
    r.end()
    return fields


def encode_accept_payload(f: dict) -> bytes:
    return (f["initial_sequence"].to_bytes(2, "big") + settings.encode(f["settings"]) + f["connection_id"]
            + f["reset_token"] + _with_length(f["accept_data"]))


def decode_refuse_payload(payload: bytes) -> dict:
    r = Reader(payload)
    fields = {"close_code": r.number(2), "reason": _data(r, "reason")}
    r.end()
    return fields


def encode_refuse_payload(f: dict) -> bytes:
    return f["close_code"].to_bytes(2, "big") + _with_length(f["reason"])


def decode_reject(datagram: bytes) -> dict:
    r = _open(datagram, "reject")
    fields = {"version": r.number(1), "initiator_nonce": r.take(16), "reject_code": r.number(1)}
    require(fields["reject_code"] in codes.REJECT, "range", f"reject code {fields['reject_code']} is unknown")
    return fields


def encode_reject(f: dict) -> bytes:
    return b"\x07" + bytes([f["version"]]) + f["initiator_nonce"] + bytes([f["reject_code"]])


def decode_probe(datagram: bytes, kind: str) -> dict:
    """A probe or its echo."""
    return {"nonce": _open(datagram, kind).take(16)}


def encode_probe(f: dict, kind: str) -> bytes:
    return bytes([FIRST_BYTE[kind]]) + f["nonce"]


def decode_punch(datagram: bytes) -> dict:
    r = _open(datagram, "punch")
    flags = r.number(1, "flags")
    require(flags <= 3, "zeros", f"flags 0x{flags:02x}: only bits 0 and 1 have a meaning")
    fields = {"from": "host" if flags & 1 else "initiator", "key": "connection" if flags & 2 else "introduction",
              "id": r.take(8), "number": r.take(8), "echo": r.take(8), "tag": r.take(16)}
    require(fields["id"] != NOTHING, "range", "id 0")
    require((fields["number"], fields["echo"]) != (NOTHING, NOTHING), "range", "neither number nor echo")
    return fields


def encode_punch(f: dict) -> bytes:
    """What the tag is over, if there is no tag yet."""
    flags = (f["from"] == "host") | (f["key"] == "connection") << 1
    return b"\x08" + bytes([flags]) + f["id"] + f["number"] + f["echo"] + f.get("tag", b"")


def decode_who_are_you(datagram: bytes) -> dict:
    _open(datagram, "who_are_you")
    return {}


def decode_reset(datagram: bytes) -> dict:
    return {"reset_token": _open(datagram, "reset").take(16)}


def decode_path_id(body: bytes) -> dict:
    """The body of the reliable message of this name (PATHS.md 3)."""
    require(len(body) == 24, "size", f"path_id of {len(body)} bytes, not 24")
    r = Reader(body)
    fields = {"id": r.take(8), "reset_token": r.take(16)}
    require(fields["id"] != NOTHING, "range", "id 0")
    return fields


def _initial_sequence(r: Reader) -> int:
    value = r.number(2, "initial_sequence")
    require(value <= MAX_INITIAL_SEQUENCE, "range", f"initial_sequence {value} is above 4,095")
    return value


def _data(r: Reader, what: str) -> bytes:
    length = r.number(2, f"length of {what}")
    require(length <= MAX_DATA, "length", f"{what} above 511")
    return r.take(length, what)


def _with_length(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _answer(kind: str):
    return (lambda data: decode_answer(data, kind)), (lambda fields: encode_answer(fields, kind))


def _probe(kind: str):
    return (lambda data: decode_probe(data, kind)), (lambda fields: encode_probe(fields, kind))


def _message(name: str):
    return (lambda data: introductions.decode(name, data)), (lambda fields: introductions.encode(name, fields))


# name: (decoder, encoder)
LAYOUTS = {
    "challenge_request": (decode_challenge_request, encode_challenge_request),
    "challenge_response": (decode_challenge_response, encode_challenge_response),
    "connect_request": (decode_connect_request, encode_connect_request),
    "request_payload": (decode_request_payload, encode_request_payload),
    "connect_accept": _answer("connect_accept"),
    "connect_refuse": _answer("connect_refuse"),
    "connect_pending": _answer("connect_pending"),
    "accept_payload": (decode_accept_payload, encode_accept_payload),
    "refuse_payload": (decode_refuse_payload, encode_refuse_payload),
    "reject": (decode_reject, encode_reject),
    "probe": _probe("probe"),
    "probe_echo": _probe("probe_echo"),
    "punch": (decode_punch, encode_punch),
    "who_are_you": (decode_who_are_you, lambda fields: b"\x09"),
    "reset": (decode_reset, lambda fields: b"\x0a" + fields["reset_token"]),
    "path_id": (decode_path_id, lambda fields: fields["id"] + fields["reset_token"]),
    "settings": (settings.decode, settings.encode),
    "observe": (introductions.decode_observe, introductions.encode_observe),
    "relayed": (introductions.decode_relayed, introductions.encode_relayed),
} | {name: _message(name) for name in introductions.MESSAGES}
