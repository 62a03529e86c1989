"""Origin tokens (GATEWAY.md 5)."""

import ipaddress

from .errors import require
from .identity import check_public_key
from .primitives import ed25519
from .reader import Reader

VERSION = 1
LABEL = b"TorqueSocket origin v1"
MAX_AHEAD = 120


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    ip = ipaddress.ip_address(text.partition("%")[0])
    return ip.ipv4_mapped if ip.version == 6 and ip.ipv4_mapped else ip


def address_bytes(address: dict) -> bytes:
    ip = _ip(address["ip"])
    return bytes([ip.version]) + ip.packed + address["port"].to_bytes(2, "big")


def check_origin(origin: bytes) -> None:
    require(1 <= len(origin) <= 255, "origin", "1 to 255 bytes")
    require(all(0x21 <= byte <= 0x7E for byte in origin), "origin", "visible ASCII only")
    require(origin != b"null", "origin", "null is none")


def make(seed: bytes, expires: int, address: dict, origin: str, initiator: bytes, host: bytes) -> bytes:
    """The token that the gateway with this secret seed signs."""
    text = origin.encode()
    check_origin(text)
    token = (bytes([VERSION]) + ed25519.public_key(seed) + expires.to_bytes(8, "big") + address_bytes(address)
             + bytes([len(text)]) + text)
    return token + ed25519.sign(seed, LABEL + token + initiator + host)


def judge(token: bytes, initiator: bytes, host: bytes, address: dict, now: int) -> dict:
    """Gateway and origin, or why the token counts as none. Whether the gateway is trusted is the host's to know."""
    r = Reader(token)
    version = r.number(1)
    require(version == VERSION, "version", str(version))
    gateway = r.take(32)
    check_public_key(gateway)
    expires = r.number(8)
    family = r.number(1)
    require(family in (4, 6), "length", f"family {family}")
    ip = ipaddress.ip_address(r.take(4 if family == 4 else 16))
    require(ip == _ip(str(ip)), "length", "a mapped IPv4 address is written as IPv4")
    made_for = bytes([family]) + ip.packed + r.take(2)
    origin = r.take(r.number(1))
    signed = token[: r.offset]
    signature = r.take(64)
    r.end("length")
    check_origin(origin)
    require(made_for == address_bytes(address), "other_address", "made for another address")
    require(now < expires, "expired")
    require(expires - now <= MAX_AHEAD, "too_far_ahead")
    require(ed25519.verify(gateway, LABEL + signed + initiator + host, signature), "signature")
    return {"gateway_public_key": gateway, "origin": origin.decode()}
