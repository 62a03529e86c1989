"""identity_token (PROTOCOL.md 5.1), reset token (5.8) and application_tag (3.2)."""

import ipaddress

from .primitives.kdf import expand, extract, hmac_sha256, sha256


def address_bytes(address: dict) -> bytes:
    """`{"ip": text, "port": n}` or `{"carrier": n}` as the 19 bytes of 5.1."""
    if "carrier" in address:
        return b"\0" + address["carrier"].to_bytes(8, "big") + bytes(8) + bytes(2)
    ip = ipaddress.ip_address(address["ip"].partition("%")[0])
    if ip.version == 6 and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    return bytes([ip.version]) + ip.packed.ljust(16, b"\0") + address["port"].to_bytes(2, "big")


def identity_token(token_secret: bytes, version: int, address: bytes, initiator_nonce: bytes, difficulty: int,
                   cipher: int, ciphers_offered: bytes) -> bytes:
    text = (b"TorqueSocket token" + bytes([version]) + address + initiator_nonce + bytes([difficulty, cipher])
            + ciphers_offered)
    return hmac_sha256(token_secret, text)[:16]


def reset_key(seed: bytes) -> bytes:
    return expand(extract(b"TorqueSocket", seed), b"reset", 32)


def reset_token(seed: bytes, connection_id: bytes) -> bytes:
    return hmac_sha256(reset_key(seed), b"TorqueSocket reset" + connection_id)[:16]


def application_tag(application_id: bytes) -> bytes:
    return sha256(b"TorqueSocket application" + application_id)[:8]
