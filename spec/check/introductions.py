"""The messages of introductions, and relayed datagrams (INTRODUCTIONS.md 2 and 3).

A message is read without attempt and serial. Who may send it is told by `sent_by`, a party or an introducer.
"""

import ipaddress

from .errors import Refused, require
from .reader import Reader

PARTY, INTRODUCER = "party", "introducer"
ROLES = frozenset((PARTY, INTRODUCER))
HOST_IS_PARTY = 1 << 31                     # bit 31 of attempt
MAX_CANDIDATES = 8
CANDIDATE_KINDS = {0: "observed", 1: "interface", 2: "mapped", 3: "newest"}
OF_A_PARTY = frozenset(("interface", "mapped"))
FLAGS = ("is_host", "takes_circuit", "circuit_at_once", "takes_direct", "opens_ports", "webrtc")     # from bit 0 on
STATUS = {0: "ready", 1: "waiting_for_party", 2: "waiting_for_application"}
RESULTS = {0: "direct", 1: "relayed", 2: "became_direct", 255: "failed"}
CIRCUIT_STATES = {1: "throttled", 2: "used_up", 3: "ended"}
MAX_INNER = 1227


def party_of(attempt: int) -> str:
    """The side of the connection with the introducer that is the party."""
    require(attempt & ~HOST_IS_PARTY != 0, "range", "attempt 0")
    return "host" if attempt & HOST_IS_PARTY else "initiator"


def named(names: dict[int, str], number: int, what: str) -> str:
    require(number in names, "range", f"{what} {number}")
    return names[number]


def number_of(names: dict[int, str], name: str) -> bytes:
    return bytes([next(number for number, known in names.items() if known == name)])


def read_address(r: Reader) -> dict:
    return _rest_of_address(r, r.number(1, "family"))


def _rest_of_address(r: Reader, family: int) -> dict:
    require(family in (4, 6), "range", f"family {family}")
    ip = ipaddress.ip_address(r.take(4 if family == 4 else 16, "address"))
    return {"ip": str(ip), "port": r.number(2, "port")}


def write_address(address: dict) -> bytes:
    """IPv4-mapped as IPv4, without a scope."""
    ip = ipaddress.ip_address(address["ip"].partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return bytes([ip.version]) + ip.packed + address["port"].to_bytes(2, "big")


def read_candidates(r: Reader, sent_by: str) -> list[dict]:
    count = r.number(1, "number of candidates")
    require(count <= MAX_CANDIDATES, "range", f"{count} candidates")
    out = []
    for _ in range(count):
        kind = named(CANDIDATE_KINDS, r.number(1, "kind of candidate"), "kind of candidate")
        require(sent_by == INTRODUCER or kind in OF_A_PARTY, "range", f"{kind} from a party")
        out.append({"kind": kind, "address": read_address(r)})
    return out


def write_candidates(candidates: list[dict]) -> bytes:
    return bytes([len(candidates)]) + b"".join(
        number_of(CANDIDATE_KINDS, c["kind"]) + write_address(c["address"]) for c in candidates)


def read_flags(number: int) -> dict:
    """Bits that nobody knows are left out."""
    return {name: bool(number >> bit & 1) for bit, name in enumerate(FLAGS)}


def write_flags(flags: dict) -> bytes:
    return bytes([sum(flags[name] << bit for bit, name in enumerate(FLAGS))])


def _id(r: Reader) -> bytes:
    value = r.take(8, "introduction id")
    require(value != bytes(8), "range", "id 0")
    return value


def _circuit(r: Reader) -> int:
    value = r.number(4, "circuit")
    require(value != 0, "range", "circuit 0")
    return value


def _u32(number: int) -> bytes:
    return number.to_bytes(4, "big")


def read_request(r: Reader, sent_by: str) -> dict:
    return {"remote": r.number(4), "flags": read_flags(r.number(1)), "nonce": r.take(16),
            "candidates": read_candidates(r, sent_by)}


def write_request(f: dict) -> bytes:
    return _u32(f["remote"]) + write_flags(f["flags"]) + f["nonce"] + write_candidates(f["candidates"])


def read_introduction(r: Reader, sent_by: str) -> dict:
    status = named(STATUS, r.number(1, "status"), "status")
    if status != "ready":
        return {"status": status}
    fields = {"status": status, "introduction_id": _id(r), "flags": read_flags(r.number(1))}
    key_type = r.number(1)
    require(key_type == 1, "key_type", f"key type {key_type}")
    fields |= {"public_key": r.take(32), "nonce": r.take(16), "secret": r.take(32), "circuit": r.number(4),
               "circuit_rate": r.number(4), "nat": r.number(1)}
    fields["stride"] = int.from_bytes(r.take(1), "big", signed=True)
    fields["own_nat"] = r.number(1)
    family = r.number(1, "family")
    fields["observed"] = None if family == 0 else _rest_of_address(r, family)
    return fields | {"candidates": read_candidates(r, sent_by)}


def write_introduction(f: dict) -> bytes:
    out = number_of(STATUS, f["status"])
    if f["status"] != "ready":
        return out
    observed = b"\0" if f["observed"] is None else write_address(f["observed"])
    return (out + f["introduction_id"] + write_flags(f["flags"]) + b"\1" + f["public_key"] + f["nonce"] + f["secret"]
            + _u32(f["circuit"]) + _u32(f["circuit_rate"]) + bytes([f["nat"], f["stride"] & 0xFF, f["own_nat"]])
            + observed + write_candidates(f["candidates"]))


def read_outcome(r: Reader, sent_by: str) -> dict:
    """The close code of an outcome that did not fail is not looked at."""
    fields = {"introduction_id": _id(r), "result": named(RESULTS, r.number(1, "result"), "result")}
    code = r.number(2)
    return fields | {"close_code": code if fields["result"] == "failed" else 0, "milliseconds": r.number(4)}


def write_outcome(f: dict) -> bytes:
    return (f["introduction_id"] + number_of(RESULTS, f["result"]) + f["close_code"].to_bytes(2, "big")
            + _u32(f["milliseconds"]))


def read_circuit(r: Reader, sent_by: str) -> dict:
    return {"circuit": _circuit(r), "state": named(CIRCUIT_STATES, r.number(1, "state"), "state")}


# kind: (name, who sends it, reader, writer)
MESSAGES = {
    5: ("request", {PARTY}, read_request, write_request),
    6: ("introduction", {INTRODUCER}, read_introduction, write_introduction),
    7: ("outcome", {PARTY}, read_outcome, write_outcome),
    8: ("candidates", ROLES, lambda r, by: {"candidates": read_candidates(r, by)},
        lambda f: write_candidates(f["candidates"])),
    9: ("withdraw", ROLES, lambda r, by: {"close_code": r.number(2)}, lambda f: f["close_code"].to_bytes(2, "big")),
    14: ("circuit", {INTRODUCER}, read_circuit,
         lambda f: _u32(f["circuit"]) + number_of(CIRCUIT_STATES, f["state"])),
}
PLANNED = {10: "tokens", 11: "observed", 12: "forward"}
KIND_OF = {name: kind for kind, (name, *_) in MESSAGES.items()}


def decode(kind: int, content: bytes, sent_by: str) -> dict:
    """The content of the reliable message of this kind."""
    if kind not in MESSAGES:
        raise Refused("kind", f"{PLANNED.get(kind, 'unknown')}: kind {kind}")
    name, senders, read, _ = MESSAGES[kind]
    require(sent_by in senders, "side", f"{name} from the {sent_by}")
    r = Reader(content)
    fields = read(r, sent_by)
    r.end()
    return fields


def encode(kind: int, fields: dict) -> bytes:
    return MESSAGES[kind][3](fields)


def is_relayable(inner: bytes) -> bool:
    """What may be in a relayed datagram, by size and first byte."""
    return 1 <= len(inner) <= MAX_INNER and (1 <= inner[0] <= 8 or inner[0] >= 0x80)


def decode_relayed(datagram: bytes) -> dict:
    require(datagram != b"", "empty")
    require(datagram[0] == 0x0E, "kind", f"first byte 0x{datagram[0]:02x} is not relayed")
    require(6 <= len(datagram) <= 5 + MAX_INNER, "size", f"relayed of {len(datagram)} bytes")
    r = Reader(datagram[1:])
    fields = {"circuit": _circuit(r), "inner": r.rest()}
    require(is_relayable(fields["inner"]), "range", f"first byte inside 0x{fields['inner'][0]:02x}")
    return fields


def encode_relayed(f: dict) -> bytes:
    return b"\x0e" + _u32(f["circuit"]) + f["inner"]
