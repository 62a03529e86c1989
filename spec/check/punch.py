"""The key of punches, and their tag (PATHS.md 2.1 and 3)."""

import hmac

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
