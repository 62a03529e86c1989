"""identity.json"""

from .. import identity
from ..primitives import ed25519, x25519
from .vector import Mismatch, Vector


def check_identity(vector: Vector) -> None:
    seed = vector.bytes("seed")
    public, secret = ed25519.public_key(seed), identity.x25519_secret(seed)
    vector.expect("public_key", public)
    vector.expect("x25519_secret", secret)
    vector.expect("x25519_public", x25519.public_key(secret))
    vector.expect("sign_bit", identity.sign_bit(public))
    vector.expect("text_public", identity.to_text(public, identity.PUBLIC))
    vector.expect("text_secret", identity.to_text(seed, identity.SECRET))
    if identity.to_x25519(public) != x25519.public_key(secret):
        raise Mismatch("the map of the public key and that of the secret differ")
    if identity.from_x25519(x25519.public_key(secret), identity.sign_bit(public)) != public:
        raise Mismatch("the way back from the X25519 form gives another key")


def _result_or_refused(vector: Vector, name: str, attempt) -> None:
    if vector.has("refused"):
        vector.expect_refused(attempt)
    else:
        vector.expect(name, attempt())


def check_from_x25519(vector: Vector) -> None:
    u, sign = vector.bytes("x25519_public"), vector.int("sign_bit")
    _result_or_refused(vector, "public_key", lambda: identity.from_x25519(u, sign))


def check_public_key(vector: Vector) -> None:
    public = vector.bytes("public_key")
    if vector.has("refused"):
        vector.expect_refused(lambda: identity.check_public_key(public))
    else:
        identity.check_public_key(public)


def check_signature(vector: Vector) -> None:
    public, message, signature = vector.bytes("public_key"), vector.bytes("message"), vector.bytes("signature")
    vector.expect("valid", ed25519.verify(public, message, signature))


def check_public_text(vector: Vector) -> None:
    text = vector.text("text")
    _result_or_refused(vector, "public_key", lambda: identity.public_from_text(text))


def check_secret_text(vector: Vector) -> None:
    text = vector.text("text")
    _result_or_refused(vector, "seed", lambda: identity.secret_from_text(text))


KINDS = {"identity": check_identity, "from_x25519": check_from_x25519, "public_key": check_public_key,
         "signature": check_signature, "public_text": check_public_text, "secret_text": check_secret_text}
