"""Identities (PROTOCOL.md 3.1): the X25519 form and its sign bit, strict keys, text forms."""

import base64

from .errors import require
from .primitives import ed25519, x25519
from .primitives.kdf import sha256

KEY_TYPE = 1
PUBLIC = (b"TorqueSocket key", "tk1")
SECRET = (b"TorqueSocket secret", "ts1")


def check_public_key(public: bytes) -> None:
    """Refuses what 3.1 refuses."""
    ed25519.decode_strictly(public)


def to_x25519(public: bytes) -> bytes:
    """The Montgomery u = (1 + y) / (1 − y) of a good Ed25519 key."""
    y = int.from_bytes(public, "little") & (2**255 - 1)
    u = (1 + y) * pow(1 - y, x25519.P - 2, x25519.P) % x25519.P
    return u.to_bytes(32, "little")


def from_x25519(u_bytes: bytes, sign_bit: int) -> bytes:
    """The one Ed25519 key with this X25519 form and sign bit, refused as 3.1 says."""
    u = int.from_bytes(u_bytes, "little")
    require(u < x25519.P, "not_canonical", "X25519 form is not reduced")
    require(u != x25519.P - 1, "not_on_curve", "u = -1 has no Edwards point")
    y = (u - 1) * pow(u + 1, x25519.P - 2, x25519.P) % x25519.P
    public = (y | sign_bit << 255).to_bytes(32, "little")
    check_public_key(public)
    return public


def x25519_secret(seed: bytes) -> bytes:
    return ed25519.secret_halves(seed)[0]


def sign_bit(public: bytes) -> int:
    return public[31] >> 7


def to_text(key: bytes, form: tuple[bytes, str]) -> str:
    label, prefix = form
    body = bytes([KEY_TYPE]) + key
    body += sha256(label + body)[:2]
    return prefix + base64.b32encode(body).decode().rstrip("=").lower()


def from_text(text: str, form: tuple[bytes, str]) -> bytes:
    label, prefix = form
    require(text[:3].lower() == prefix, "text_prefix")
    digits = text[3:]
    require(all(c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ234567" for c in digits), "text_base32")
    require(len(digits) == 56, "text_length", "35 bytes are 56 base32 digits")
    body = base64.b32decode(digits.upper())
    require(body[0] == KEY_TYPE, "text_key_type")
    require(sha256(label + body[:33])[:2] == body[33:], "text_check")
    return body[1:33]


def public_from_text(text: str) -> bytes:
    key = from_text(text, PUBLIC)
    check_public_key(key)
    return key


def secret_from_text(text: str) -> bytes:
    return from_text(text, SECRET)
