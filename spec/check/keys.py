"""The keys of a connection (PROTOCOL.md 3.3)."""

from dataclasses import dataclass

from .ciphers import KEY_LENGTH
from .primitives.kdf import expand, extract

DIRECTIONS = {"initiator": b"\x00", "host": b"\x01"}
DATA_DOMAIN, CONTROL_DOMAIN = 1, 2


def make_prk0(ck: bytes, h: bytes, host_salt: bytes) -> bytes:
    """The first step: what a host can say before its application accepts."""
    return extract(host_salt + h, ck)


def make_prk(prk0: bytes, e2: bytes, dh_e_e2: bytes, dh_s_e2: bytes) -> bytes:
    """The second step; E2 counts as it travels, with whatever bits X25519 ignores in it."""
    return extract(e2, expand(prk0, b"TorqueSocket second", 32) + dh_e_e2 + dh_s_e2)


def answer_key(secret: bytes, name: str) -> bytes:
    """`secret` is prk0 for "refuse" and "pending", prk for "accept"."""
    return expand(secret, b"TorqueSocket " + name.encode(), 32)


def traffic_secret(prk: bytes, direction: str, generation: int) -> bytes:
    secret = expand(prk, b"TorqueSocket traffic" + DIRECTIONS[direction], 32)
    for _ in range(generation):
        secret = expand(secret, b"next", 32)
    return secret


def make_nonce(salt: bytes, domain: int, counter: int) -> bytes:
    number = int.from_bytes(salt, "big") ^ (domain << 64 | counter)
    return number.to_bytes(12, "big")


@dataclass(frozen=True)
class GenerationKeys:
    """What one side seals with while its sequence is in one generation."""

    data_key: bytes
    data_salt: bytes
    control_key: bytes
    control_salt: bytes

    def key(self, domain: int) -> bytes:
        return self.data_key if domain == DATA_DOMAIN else self.control_key

    def nonce(self, domain: int, counter: int) -> bytes:
        return make_nonce(self.data_salt if domain == DATA_DOMAIN else self.control_salt, domain, counter)


def generation_keys(traffic: bytes, cipher: int) -> GenerationKeys:
    return GenerationKeys(
        data_key=expand(traffic, b"data key", KEY_LENGTH[cipher]),
        data_salt=expand(traffic, b"data salt", 12),
        control_key=expand(traffic, b"control key", KEY_LENGTH[cipher]),
        control_salt=expand(traffic, b"control salt", 12),
    )
