"""The messages of introductions, and the datagrams observe and relayed (INTRODUCTIONS.md 2 and 3).

A message is read without attempt and serial. Kind, attempt and sender together say which one it is: `message_of`. Numbers are those of the document.
"""

from . import codes
from .errors import Refused, require
from .reader import Reader

PARTY, INTRODUCER = "party", "introducer"
ROLES = frozenset((PARTY, INTRODUCER))
HOST_IS_PARTY = 1 << 31                     # bit 31 of attempt
MAX_CANDIDATES = 8
OBSERVED, OF_INTERFACE, MAPPED = range(3)
KNOWN_FLAGS = 0x3F
READY, FAILED = 0, 255
UNKNOWN, INDEPENDENT, SEQUENTIAL, UNPREDICTABLE = range(4)
NATS = range(4)
MAX_TOKENS = 8
MAX_INNER = 1227
IPV4_MAPPED = bytes(10) + b"\xff\xff"      # the address counts as the IPv4 address behind it


def party_of(attempt: int) -> str:
    """The side of the connection with the introducer that is the party."""
    require(attempt & ~HOST_IS_PARTY != 0, "range", "attempt 0")
    return "host" if attempt & HOST_IS_PARTY else "initiator"


def _one_of(r: Reader, known, what: str) -> int:
    value = r.number(1, what)
    require(value in known, "range", f"{what} {value}")
    return value


def _address(r: Reader, family: int) -> dict:
    require(family in (4, 6), "range", f"family {family}")
    ip = r.take(4 if family == 4 else 16, "address")
    return {"ip": ip.removeprefix(IPV4_MAPPED), "port": r.number(2, "port")}


def _address_or_none(r: Reader, name: str) -> dict:
    """The field of this name, or no field if the family is 0."""
    family = r.number(1, "family")
    return {} if family == 0 else {name: _address(r, family)}


def write_address(address: dict | None) -> bytes:
    if address is None:
        return b"\0"
    return bytes([{4: 4, 16: 6}[len(address["ip"])]]) + address["ip"] + address["port"].to_bytes(2, "big")


def read_candidates(r: Reader) -> list[dict]:
    count = r.number(1, "number of candidates")
    require(count <= MAX_CANDIDATES, "range", f"{count} candidates")
    out = []
    for _ in range(count):
        kind = _one_of(r, (OBSERVED, OF_INTERFACE, MAPPED), "kind of candidate")
        out.append({"kind": kind} | _address(r, r.number(1, "family")))
    return out


def write_candidates(candidates: list[dict]) -> bytes:
    return bytes([len(candidates)]) + b"".join(bytes([c["kind"]]) + write_address(c) for c in candidates)


def _id(r: Reader) -> int:
    value = r.number(8, "introduction id")
    require(value != 0, "range", "id 0")
    return value


def _circuit(r: Reader) -> int:
    value = r.number(4, "circuit")
    require(value != 0, "range", "circuit 0")
    return value


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "big")


def read_request(r: Reader) -> dict:
    return {"remote": r.number(4), "flags": r.number(1) & KNOWN_FLAGS, "nonce": r.take(16),
            "candidates": read_candidates(r)}


def write_request(f: dict) -> bytes:
    return _u32(f["remote"]) + bytes([f["flags"]]) + f["nonce"] + write_candidates(f["candidates"])


def read_introduction(r: Reader) -> dict:
    status = _one_of(r, range(3), "status")
    if status != READY:
        return {"status": status}
    fields = {"status": status, "introduction_id": _id(r), "flags": r.number(1) & KNOWN_FLAGS, "key_type": r.number(1)}
    require(fields["key_type"] == 1, "key_type", f"key type {fields['key_type']}")
    fields |= {"public_key": r.take(32), "nonce": r.take(16), "secret": r.take(32), "circuit": r.number(4),
               "circuit_rate": r.number(4)}
    return fields | _nats(r) | {"candidates": read_candidates(r)}


def write_introduction(f: dict) -> bytes:
    if f["status"] != READY:
        return bytes([f["status"]])
    return (bytes([f["status"]]) + _u64(f["introduction_id"]) + bytes([f["flags"], f["key_type"]]) + f["public_key"]
            + f["nonce"] + f["secret"] + _u32(f["circuit"]) + _u32(f["circuit_rate"])
            + _write_nats(f) + write_candidates(f["candidates"]))


def _nats(r: Reader) -> dict:
    """The end of status 0, and all of *nats*."""
    fields = {"nat": _one_of(r, NATS, "NAT")}
    stride = r.number(1, "stride")
    fields |= {"stride": stride if fields["nat"] == SEQUENTIAL else 0, "own_nat": _one_of(r, NATS, "NAT")}
    return fields | _address_or_none(r, "observed")


def _write_nats(f: dict) -> bytes:
    return bytes([f["nat"], f["stride"], f["own_nat"]]) + write_address(f.get("observed"))


def read_outcome(r: Reader) -> dict:
    fields = {"introduction_id": _id(r), "result": _one_of(r, (0, 1, 2, FAILED), "result")}
    code = r.number(2)
    require(code == 0 or fields["result"] == FAILED, "zeros", "a close code, and nothing failed")
    return fields | {"close_code": code if code in codes.CLOSE else codes.CLOSED, "milliseconds": r.number(4)}


def write_outcome(f: dict) -> bytes:
    return (_u64(f["introduction_id"]) + bytes([f["result"]]) + f["close_code"].to_bytes(2, "big")
            + _u32(f["milliseconds"]))


def read_tokens(r: Reader) -> dict:
    fields = _address_or_none(r, "second_address")
    count = r.number(1, "number of tokens")
    require(1 <= count <= MAX_TOKENS, "range", f"{count} tokens")
    return fields | {"tokens": [r.take(16, "token") for _ in range(count)]}


def write_tokens(f: dict) -> bytes:
    return write_address(f.get("second_address")) + bytes([len(f["tokens"])]) + b"".join(f["tokens"])


def read_observed(r: Reader) -> dict:
    fields = {"whose": _one_of(r, (0, 1), "whose"), "round": _one_of(r, range(MAX_TOKENS), "round")}
    return fields | {"address": _address(r, r.number(1, "family"))}


# name: (kind, who sends it, its only size or None, reader, writer)
MESSAGES = {
    "request": (5, {PARTY}, None, read_request, write_request),
    "introduction": (6, {INTRODUCER}, None, read_introduction, write_introduction),
    "outcome": (7, {PARTY}, 15, read_outcome, write_outcome),
    "candidates": (8, ROLES, None, lambda r: {"candidates": read_candidates(r)}, lambda f: write_candidates(f["candidates"])),
    "withdraw": (9, ROLES, 2, lambda r: {"close_code": codes.close_code_told(r.number(2))},
                 lambda f: f["close_code"].to_bytes(2, "big")),
    "tokens_wanted": (10, {PARTY}, 1, lambda r: {"wanted": _one_of(r, range(MAX_TOKENS + 1), "tokens wanted")},
                      lambda f: bytes([f["wanted"]])),
    "tokens": (10, {INTRODUCER}, None, read_tokens, write_tokens),
    "observed": (11, {INTRODUCER}, None, read_observed,
                 lambda f: bytes([f["whose"], f["round"]]) + write_address(f["address"])),
    "circuit": (14, {INTRODUCER}, 5, lambda r: {"circuit": _circuit(r), "state": _one_of(r, (1, 2, 3), "state")},
                lambda f: _u32(f["circuit"]) + bytes([f["state"]])),
    "nats": (21, {INTRODUCER}, None, _nats, _write_nats),
}
PLANNED = {12: "forward"}
KIND_OF = {name: kind for name, (kind, *_) in MESSAGES.items()}


def message_of(kind: int, attempt: int, sent_by: str) -> str:
    """The name of the message that this side of the connection ("initiator" or "host") says in this attempt."""
    if kind not in KIND_OF.values():
        raise Refused("kind", f"{PLANNED.get(kind, 'unknown')}: kind {kind}")
    role = PARTY if party_of(attempt) == sent_by else INTRODUCER
    for name, (number, senders, *_) in MESSAGES.items():
        if number == kind and role in senders:
            return name
    raise Refused("side", f"kind {kind} from the {role}")


def decode(name: str, content: bytes) -> dict:
    """The content of the message of this name."""
    _, _, size, read, _ = MESSAGES[name]
    require(size in (None, len(content)), "size", f"{name} of {len(content)} bytes, not {size}")
    r = Reader(content)
    fields = read(r)
    r.end()
    return fields


def encode(name: str, fields: dict) -> bytes:
    return MESSAGES[name][4](fields)


def decode_observe(datagram: bytes) -> dict:
    require(datagram != b"", "empty")
    require(datagram[0] == 0x0D, "kind", f"first byte 0x{datagram[0]:02x} is not observe")
    require(len(datagram) == 17, "size", f"observe of {len(datagram)} bytes, not 17")
    return {"token": datagram[1:]}


def encode_observe(f: dict) -> bytes:
    return b"\x0d" + f["token"]


def is_relayable(inner: bytes) -> bool:
    """Whether introducer and party let this through a circuit, by size and first byte."""
    return 1 <= len(inner) <= MAX_INNER and (1 <= inner[0] <= 8 or inner[0] >= 0x80)


def decode_relayed(datagram: bytes) -> dict:
    """From outside: `is_relayable` judges what is inside."""
    require(datagram != b"", "empty")
    require(datagram[0] == 0x0E, "kind", f"first byte 0x{datagram[0]:02x} is not relayed")
    require(6 <= len(datagram) <= 5 + MAX_INNER, "size", f"relayed of {len(datagram)} bytes")
    r = Reader(datagram[1:])
    return {"circuit": _circuit(r), "inner": r.rest()}


def encode_relayed(f: dict) -> bytes:
    return b"\x0e" + _u32(f["circuit"]) + f["inner"]
