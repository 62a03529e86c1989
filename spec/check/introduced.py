"""The keys of an introduction, and introduced data (INTRODUCTIONS.md 6 and 7)."""

from dataclasses import dataclass

from .errors import Refused, require
from .handshake import noise_nonce
from .primitives import chacha
from .primitives.kdf import expand, extract

MAX_INTRODUCED_DATA = 480


@dataclass(frozen=True)
class IntroducedKeys:
    """What both parties derive; `introduction_id` is its 8 bytes."""

    introduction_id: bytes
    psk: bytes
    punch_key: bytes
    data_key: bytes

    def seal(self, data: bytes) -> bytes:
        """The host's data for this introduction, the same bytes each time."""
        require(len(data) <= MAX_INTRODUCED_DATA, "length", "introduced data above 480")
        return chacha.seal(self.data_key, noise_nonce(0), self.introduction_id, data)

    def open(self, sealed: bytes) -> bytes:
        require(16 <= len(sealed) <= MAX_INTRODUCED_DATA + 16, "length", "introduced data")
        data = chacha.unseal(self.data_key, noise_nonce(0), self.introduction_id, sealed)
        if data is None:
            raise Refused("forged", "introduced data")
        return data


def introduced_keys(introduction_id: bytes, secret: bytes, initiator_nonce: bytes, host_nonce: bytes,
                    initiator_public_key: bytes, host_public_key: bytes) -> IntroducedKeys:
    """The nonces are those of the two requests, the keys Ed25519."""
    require(introduction_id != bytes(8), "range", "id 0")
    prk_i = extract(initiator_nonce + host_nonce, secret)
    context = introduction_id + initiator_public_key + host_public_key
    return IntroducedKeys(introduction_id, *(expand(prk_i, b"TorqueSocket introduced " + name + context, 32)
                                             for name in (b"psk", b"punch", b"data")))
