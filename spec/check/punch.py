"""The key of punches, and their tag (PATHS.md 2.1 and 3); the budget of those that a party sends (INTRODUCTIONS.md 12)."""

import hmac
import ipaddress

from .layouts import decode_punch, encode_punch
from .primitives.kdf import expand, hmac_sha256


def punch_key(prk: bytes) -> bytes:
    """One key for both directions: the flags under the tag tell them apart."""
    return expand(prk, b"TorqueSocket punch", 32)


def seal(key: bytes, fields: dict) -> bytes:
    """The datagram, with its tag; `fields` without one."""
    text = encode_punch(fields)
    return text + hmac_sha256(key, text)[:16]


def is_authentic(key: bytes, datagram: bytes) -> bool:
    """Refused, if it is no punch at all."""
    tag = decode_punch(datagram)["tag"]
    return hmac.compare_digest(tag, hmac_sha256(key, datagram[:26])[:16])


class Budget:
    """Of what an introducer's word makes a party send: that of one network. Eight candidates never reach the others."""

    def __init__(self):
        self.sent: dict[str, list[float]] = {}   # network: when

    def takes(self, host: str, now: float) -> bool:
        network = str(ipaddress.ip_interface(f"{host}/{64 if ':' in host else 32}").network)
        sent = self.sent.setdefault(network, [])
        if sum(now - at < 10 for at in sent) >= 40 or sum(now - at < 60 for at in sent) >= 80:
            return False
        sent.append(now)
        return True
