"""The keys of a connection (PROTOCOL.md 3.3)."""

from dataclasses import dataclass

from .ciphers import KEY_LENGTH
from .primitives.kdf import expand, extract

DIRECTIONS = {"initiator": b"\x00", "host": b"\x01"}
DATA_DOMAIN, CONTROL_DOMAIN = 1, 2


def make_prk(ck: bytes, h: bytes, host_salt: bytes) -> bytes:
    return extract(host_salt + h, ck)


def answer_keys(prk: bytes) -> dict[str, bytes]:
    names = ("accept", "refuse", "pending")
    return {f"{name}_key": expand(prk, b"TorqueSocket " + name.encode(), 32) for name in names}


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
