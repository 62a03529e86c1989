"""Ed25519 (RFC 8032), with the strict rules for keys and signatures of PROTOCOL.md 3.1."""

import hashlib

from ..errors import Refused, require
from .x25519 import P, clamp

L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]  # x, y, z, t with x = X/Z, y = Y/Z, xy = T/Z
IDENTITY: Point = (0, 1, 1, 0)


def add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar: int, point: Point) -> Point:
    total = IDENTITY
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point = add(point, point)
        scalar >>= 1
    return total


def equal(p: Point, q: Point) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def recover_x(y: int, sign: int) -> int | None:
    """The x of the point with this y and sign, or None if there is none."""
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if x * x % P != xx:
        x = x * ROOT_OF_MINUS_ONE % P
    if x * x % P != xx or (x == 0 and sign):
        return None
    return P - x if x % 2 != sign else x


def encode(point: Point) -> bytes:
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE: Point = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def decode_strictly(encoding: bytes) -> Point:
    """The point, refused unless it is canonical, of no small order and in the prime-order subgroup."""
    number = int.from_bytes(encoding, "little")
    y, sign = number & (2**255 - 1), number >> 255
    require(y < P, "not_canonical", "y is not reduced")
    require(not (sign and y in (1, P - 1)), "not_canonical", "sign bit set though x is 0")
    x = recover_x(y, sign)
    if x is None:
        raise Refused("not_on_curve")
    point = (x, y, 1, x * y % P)
    require(not equal(multiply(8, point), IDENTITY), "small_order")
    require(equal(multiply(L, point), IDENTITY), "torsion")
    return point


def secret_halves(seed: bytes) -> tuple[bytes, bytes]:
    """The clamped scalar and the prefix of RFC 8032, 5.1.5."""
    digest = hashlib.sha512(seed).digest()
    return clamp(digest[:32]), digest[32:]


def public_key(seed: bytes) -> bytes:
    return encode(multiply(int.from_bytes(secret_halves(seed)[0], "little"), BASE))


def _challenge(r: bytes, public: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + public + message).digest(), "little") % L


def sign(seed: bytes, message: bytes) -> bytes:
    scalar, prefix = secret_halves(seed)
    public = public_key(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    r = encode(multiply(nonce, BASE))
    s = (nonce + _challenge(r, public, message) * int.from_bytes(scalar, "little")) % L
    return r + s.to_bytes(32, "little")


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Strict, cofactorless verification."""
    if len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    try:
        a, r = decode_strictly(public), decode_strictly(signature[:32])
    except Refused:
        return False
    k = _challenge(signature[:32], public, message)
    return equal(multiply(s, BASE), add(r, multiply(k, a)))
