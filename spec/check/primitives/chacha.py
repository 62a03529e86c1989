"""ChaCha20-Poly1305 (RFC 8439)."""

import struct
from hmac import compare_digest


def _quarter(x, a, b, c, d):
    for first, second, third, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        x[first] = (x[first] + x[second]) & 0xFFFFFFFF
        mixed = x[third] ^ x[first]
        x[third] = ((mixed << turn) | (mixed >> (32 - turn))) & 0xFFFFFFFF


def chacha20_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    start += struct.unpack("<8L", key) + (counter,) + struct.unpack("<3L", nonce)
    x = list(start)
    for _ in range(10):
        _quarter(x, 0, 4, 8, 12)
        _quarter(x, 1, 5, 9, 13)
        _quarter(x, 2, 6, 10, 14)
        _quarter(x, 3, 7, 11, 15)
        _quarter(x, 0, 5, 10, 15)
        _quarter(x, 1, 6, 11, 12)
        _quarter(x, 2, 7, 8, 13)
        _quarter(x, 3, 4, 9, 14)
    return struct.pack("<16L", *((a + b) & 0xFFFFFFFF for a, b in zip(x, start)))


def chacha20(key: bytes, counter: int, nonce: bytes, text: bytes) -> bytes:
    out = bytearray()
    for offset in range(0, len(text), 64):
        block = chacha20_block(key, counter + offset // 64, nonce)
        out += bytes(a ^ b for a, b in zip(text[offset : offset + 64], block))
    return bytes(out)


def poly1305(key: bytes, message: bytes) -> bytes:
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    s = int.from_bytes(key[16:], "little")
    total = 0
    for offset in range(0, len(message), 16):
        total = (total + int.from_bytes(message[offset : offset + 16] + b"\1", "little")) * r % (2**130 - 5)
    return ((total + s) & (2**128 - 1)).to_bytes(16, "little")


def _tag(key: bytes, nonce: bytes, ad: bytes, ciphertext: bytes) -> bytes:
    def padded(data):
        return data + bytes(-len(data) % 16)

    one_time_key = chacha20_block(key, 0, nonce)[:32]
    lengths = struct.pack("<QQ", len(ad), len(ciphertext))
    return poly1305(one_time_key, padded(ad) + padded(ciphertext) + lengths)


def seal(key: bytes, nonce: bytes, ad: bytes, text: bytes) -> bytes:
    ciphertext = chacha20(key, 1, nonce, text)
    return ciphertext + _tag(key, nonce, ad, ciphertext)


def unseal(key: bytes, nonce: bytes, ad: bytes, sealed: bytes) -> bytes | None:
    """The text, or None if the tag is wrong."""
    if len(sealed) < 16:
        return None
    ciphertext, tag = sealed[:-16], sealed[-16:]
    if not compare_digest(tag, _tag(key, nonce, ad, ciphertext)):
        return None
    return chacha20(key, 1, nonce, ciphertext)
