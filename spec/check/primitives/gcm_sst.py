"""AES-128-GCM-SST with a 12-byte nonce and a tag of T bytes (PROTOCOL.md 3.4)."""

import struct
from hmac import compare_digest

from .aes import counter_mode

MODULUS = 1 << 128 | 1 << 127 | 1 << 126 | 1 << 121 | 1
TEXT_COUNTER = 3  # blocks 0 to 2 of the key stream are the hash keys and the mask of the tag


def _dot(x: int, y: int) -> int:
    """x · y / x^128 in POLYVAL's field: bit i is the coefficient of x^i."""
    product = 0
    for i in range(128):  # Horner from the lowest bit: each step divides by x, and so needs an even number
        if x >> i & 1:
            product ^= y
        if product & 1:
            product ^= MODULUS
        product >>= 1
    return product


def polyval(hash_key: bytes, data: bytes) -> bytes:
    h, total = int.from_bytes(hash_key, "little"), 0
    for offset in range(0, len(data), 16):
        total = _dot(total ^ int.from_bytes(data[offset : offset + 16], "little"), h)
    return total.to_bytes(16, "little")


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b))


def _tag(key: bytes, nonce: bytes, ad: bytes, ciphertext: bytes, tag_bytes: int) -> bytes:
    def padded(data):
        return data + bytes(-len(data) % 16)

    stream = counter_mode(key, nonce, 0, bytes(48))
    hash_key, last_hash_key, mask = stream[:16], stream[16:32], stream[32:]
    lengths = struct.pack("<QQ", 8 * len(ciphertext), 8 * len(ad))
    total = polyval(hash_key, padded(ad) + padded(ciphertext))
    return _xor(polyval(last_hash_key, _xor(total, lengths)), mask)[:tag_bytes]


def seal(key: bytes, nonce: bytes, ad: bytes, text: bytes, tag_bytes: int) -> bytes:
    ciphertext = counter_mode(key, nonce, TEXT_COUNTER, text)
    return ciphertext + _tag(key, nonce, ad, ciphertext, tag_bytes)


def unseal(key: bytes, nonce: bytes, ad: bytes, sealed: bytes, tag_bytes: int) -> bytes | None:
    """The text, or None if the tag is wrong."""
    if len(sealed) < tag_bytes:
        return None
    ciphertext, tag = sealed[: len(sealed) - tag_bytes], sealed[len(sealed) - tag_bytes :]
    if not compare_digest(tag, _tag(key, nonce, ad, ciphertext, tag_bytes)):
        return None
    return counter_mode(key, nonce, TEXT_COUNTER, ciphertext)
