"""AES-128-CTR with HMAC-SHA-256 and a tag of T bytes (RFC 9605, 4.5.1; PROTOCOL.md 3.4)."""

import struct
from hmac import compare_digest

from .aes import counter_mode
from .kdf import hmac_sha256


def _tag(key: bytes, nonce: bytes, ad: bytes, ciphertext: bytes, tag_bytes: int) -> bytes:
    lengths = struct.pack(">QQQ", len(ad), len(ciphertext), tag_bytes)
    return hmac_sha256(key[16:], lengths + nonce + ad + ciphertext)[:tag_bytes]


def seal(key: bytes, nonce: bytes, ad: bytes, text: bytes, tag_bytes: int) -> bytes:
    ciphertext = counter_mode(key[:16], nonce, 0, text)
    return ciphertext + _tag(key, nonce, ad, ciphertext, tag_bytes)


def unseal(key: bytes, nonce: bytes, ad: bytes, sealed: bytes, tag_bytes: int) -> bytes | None:
    """The text, or None if the tag is wrong."""
    if len(sealed) < tag_bytes:
        return None
    ciphertext, tag = sealed[: len(sealed) - tag_bytes], sealed[len(sealed) - tag_bytes :]
    if not compare_digest(tag, _tag(key, nonce, ad, ciphertext, tag_bytes)):
        return None
    return counter_mode(key[:16], nonce, 0, ciphertext)
