"""The client puzzle (PROTOCOL.md 5.3)."""

from .primitives.kdf import sha256


def leading_zero_bits(digest: bytes) -> int:
    return 8 * len(digest) - int.from_bytes(digest, "big").bit_length()


def digest(request: bytes) -> bytes:
    """Of a whole connect_request, its solution included."""
    return sha256(sha256(request[:-8]) + request[-8:])


def is_solved(request: bytes, difficulty: int) -> bool:
    return leading_zero_bits(digest(request)) >= difficulty


def solve(body: bytes, difficulty: int, start: int = 0) -> bytes:
    """The solution, counted up from `start`, for a request without its last 8 bytes."""
    body_hash, x = sha256(body), start
    while leading_zero_bits(sha256(body_hash + x.to_bytes(8, "big"))) < difficulty:
        x = (x + 1) % 2**64
    return x.to_bytes(8, "big")
