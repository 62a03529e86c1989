"""SHA-256, HMAC-SHA-256 and HKDF-SHA-256 (RFC 5869), and Noise's HKDF with two and three outputs."""

import hashlib
import hmac as _hmac


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    return _hmac.new(key, data, hashlib.sha256).digest()


def extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac_sha256(salt, ikm)


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    out, block, number = b"", b"", 1
    while len(out) < length:
        block = hmac_sha256(prk, block + info + bytes([number]))
        out += block
        number += 1
    return out[:length]


def hkdf2(chaining_key: bytes, ikm: bytes) -> tuple[bytes, bytes]:
    """Noise's HKDF with two outputs: Extract with the chaining key as salt, Expand with empty info."""
    out = expand(extract(chaining_key, ikm), b"", 64)
    return out[:32], out[32:]


def hkdf3(chaining_key: bytes, ikm: bytes) -> tuple[bytes, bytes, bytes]:
    """The same with three outputs."""
    out = expand(extract(chaining_key, ikm), b"", 96)
    return out[:32], out[32:64], out[64:]
