"""AES-128-GCM (NIST SP 800-38D) with a 12-byte nonce and a 16-byte tag."""

import struct
from hmac import compare_digest

from .aes import counter_mode, encrypt_block, expand_key

REDUCTION = 0xE1 << 120


def _multiply(x: int, y: int) -> int:
    """The product in GF(2^128), in GCM's bit order: the top bit is the coefficient of 1."""
    product = 0
    for i in range(127, -1, -1):
        if x >> i & 1:
            product ^= y
        y = (y >> 1) ^ (REDUCTION if y & 1 else 0)
    return product


def ghash(hash_key: bytes, data: bytes) -> bytes:
    h, total = int.from_bytes(hash_key, "big"), 0
    for offset in range(0, len(data), 16):
        total = _multiply(total ^ int.from_bytes(data[offset : offset + 16], "big"), h)
    return total.to_bytes(16, "big")


def _tag(key: bytes, nonce: bytes, ad: bytes, ciphertext: bytes) -> bytes:
    def padded(data):
        return data + bytes(-len(data) % 16)

    hash_key = encrypt_block(expand_key(key), bytes(16))
    lengths = struct.pack(">QQ", 8 * len(ad), 8 * len(ciphertext))
    return counter_mode(key, nonce, 1, ghash(hash_key, padded(ad) + padded(ciphertext) + lengths))


def seal(key: bytes, nonce: bytes, ad: bytes, text: bytes) -> bytes:
    ciphertext = counter_mode(key, nonce, 2, text)
    return ciphertext + _tag(key, nonce, ad, ciphertext)


def unseal(key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
    """The text, or None if the tag is wrong."""
    if len(sealed) < 16:
        return None
    ciphertext, tag = sealed[:-16], sealed[-16:]
    if not compare_digest(tag, _tag(key, nonce, ad, ciphertext)):
        return None
    return counter_mode(key, nonce, 2, ciphertext)
