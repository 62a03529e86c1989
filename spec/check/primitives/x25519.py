"""X25519 (RFC 7748)."""

P = 2**255 - 19
BASE = (9).to_bytes(32, "little")


def clamp(secret: bytes) -> bytes:
    out = bytearray(secret)
    out[0] &= 248
    out[31] &= 127
    out[31] |= 64
    return bytes(out)


def x25519(secret: bytes, u: bytes) -> bytes:
    """The Montgomery ladder of RFC 7748, section 5. The result may be all zeros: see `diffie_hellman`."""
    scalar = int.from_bytes(clamp(secret), "little")
    x1 = (int.from_bytes(u, "little") & (2**255 - 1)) % P
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in range(254, -1, -1):
        bit = scalar >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb = a * a % P, b * b % P
        e, da, cb = aa - bb, d * a % P, c * b % P
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def public_key(secret: bytes) -> bytes:
    return x25519(secret, BASE)


def diffie_hellman(secret: bytes, public: bytes) -> bytes | None:
    """The shared secret, or None if it is all zeros."""
    shared = x25519(secret, public)
    return shared if any(shared) else None
