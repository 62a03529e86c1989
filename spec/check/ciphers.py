"""The packet ciphers (PROTOCOL.md 3.4) behind two functions."""

from .primitives import chacha, gcm, gcm_sst

AES_128_GCM, CHACHA20_POLY1305, AES_128_GCM_SST = 1, 2, 3
NAMES = {1: "AES-128-GCM", 2: "ChaCha20-Poly1305", 3: "AES-128-GCM-SST"}
KEY_LENGTH = {1: 16, 2: 32, 3: 16}


def tag_length(cipher: int, packet_type: str, tag_bytes: int) -> int:
    """The length of the tag on a packet of this type, tag_bytes being what was negotiated."""
    if cipher == AES_128_GCM_SST and packet_type in ("data", "report"):
        return tag_bytes
    return 16


def seal(cipher: int, key: bytes, nonce: bytes, ad: bytes, text: bytes, tag: int) -> bytes:
    if cipher == AES_128_GCM_SST:
        return gcm_sst.seal(key, nonce, ad, text, tag)
    return (gcm if cipher == AES_128_GCM else chacha).seal(key, nonce, ad, text)


def unseal(cipher: int, key: bytes, nonce: bytes, ad: bytes, sealed: bytes, tag: int) -> bytes | None:
    """The text, or None if the tag is wrong."""
    if cipher == AES_128_GCM_SST:
        return gcm_sst.unseal(key, nonce, ad, sealed, tag)
    return (gcm if cipher == AES_128_GCM else chacha).unseal(key, nonce, ad, sealed)
