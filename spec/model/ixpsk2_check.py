#!/usr/bin/env python3
"""The handshake of an introduction, Noise_IXpsk2_25519_ChaChaPoly_SHA256, against another library.

The host's first message is never sent: both sides compute it, and so the exchange stays the plain IXpsk2 of the Noise specification. This file computes
the two messages and the transcript hash step by step, with keys that it draws anew each time, and compares with the package `noiseprotocol`, byte by byte.

It needs two packages, and CI does not run it:  pip install noiseprotocol cryptography
(seen with noiseprotocol 0.3.1 and cryptography 48.0.0, Python 3.11)
"""

import hashlib
import hmac
import os
import warnings

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from noise.connection import Keypair, NoiseConnection

NAME = b"Noise_IXpsk2_25519_ChaChaPoly_SHA256"
PROLOGUE, PAYLOAD = b"prologue", b"request payload"


def public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def private(key):
    return key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


def agree(key, other):
    return key.exchange(X25519PublicKey.from_public_bytes(other))


def digest(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def hkdf(chaining_key, secret, outputs):
    pseudorandom, made, last = hmac.new(chaining_key, secret, hashlib.sha256).digest(), [], b""
    for index in range(1, outputs + 1):
        last = hmac.new(pseudorandom, last + bytes([index]), hashlib.sha256).digest()
        made.append(last)
    return made


def seal(key, number, transcript, text):
    return ChaCha20Poly1305(key).encrypt(bytes(4) + number.to_bytes(8, "little"), text, transcript)


def by_the_document(psk, host_public, epoch_public, ephemeral, identity):
    """The initiator's side: the unsent first message, the second one, and the transcript hash."""
    h = ck = digest(NAME)
    h = digest(h, PROLOGUE)
    h = digest(h, epoch_public)
    ck, k = hkdf(ck, epoch_public, 2)           # with a psk, each ephemeral key is mixed as well
    sealed_identity = seal(k, 0, h, host_public)
    h = digest(h, sealed_identity)
    sealed_nothing = seal(k, 1, h, b"")
    h = digest(h, sealed_nothing)
    first = epoch_public + sealed_identity + sealed_nothing

    h = digest(h, public(ephemeral))
    ck, k = hkdf(ck, public(ephemeral), 2)
    ck, k = hkdf(ck, agree(ephemeral, epoch_public), 2)     # ee
    ck, k = hkdf(ck, agree(ephemeral, host_public), 2)      # se
    own_identity = seal(k, 0, h, public(identity))
    h = digest(h, own_identity)
    ck, k = hkdf(ck, agree(identity, epoch_public), 2)      # es
    ck, mixed, k = hkdf(ck, psk, 3)
    h = digest(h, mixed)
    sealed_payload = seal(k, 0, h, PAYLOAD)
    h = digest(h, sealed_payload)
    return first, public(ephemeral) + own_identity + sealed_payload, h


def by_the_library(psk, host_identity, epoch, ephemeral, identity):
    host, initiator = NoiseConnection.from_name(NAME), NoiseConnection.from_name(NAME)
    for side, static, once in ((host, host_identity, epoch), (initiator, identity, ephemeral)):
        side.set_prologue(PROLOGUE)
        side.set_psks(psk)
        side.set_keypair_from_private_bytes(Keypair.STATIC, private(static))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")     # it warns that an ephemeral key is given
            side.set_keypair_from_private_bytes(Keypair.EPHEMERAL, private(once))
    host.set_as_initiator()                     # in Noise's terms the host begins
    initiator.set_as_responder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        host.start_handshake()
        initiator.start_handshake()
    first = bytes(host.write_message())
    initiator.read_message(first)
    second = bytes(initiator.write_message(PAYLOAD))
    if bytes(host.read_message(second)) != PAYLOAD:
        raise SystemExit("the library does not open its own message")
    return first, second, host.get_handshake_hash()


def main():
    psk = os.urandom(32)
    host_identity, epoch, ephemeral, identity = (X25519PrivateKey.generate() for _ in range(4))
    mine = by_the_document(psk, public(host_identity), public(epoch), ephemeral, identity)
    theirs = by_the_library(psk, host_identity, epoch, ephemeral, identity)
    for name, one, other in zip(("the first message, never sent", "the second message", "the transcript hash"), mine, theirs):
        if one != other:
            raise SystemExit(f"{name} differs: {one.hex()} and {other.hex()}")
        print(f"{name}: equal")


if __name__ == "__main__":
    main()
