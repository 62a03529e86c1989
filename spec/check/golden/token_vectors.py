"""token.json"""

from .. import tokens
from .vector import Mismatch, Vector


def check_identity_token(vector: Vector) -> None:
    address = tokens.address_bytes(vector.raw("address"))
    if len(address) != 19:
        raise Mismatch("an address is 19 bytes")
    vector.expect("address_bytes", address)
    vector.expect("identity_token", tokens.identity_token(
        vector.bytes("token_secret"), vector.int("version"), address, vector.bytes("initiator_nonce"),
        vector.int("difficulty"), vector.int("cipher"), vector.bytes("ciphers_offered")))


def check_reset_token(vector: Vector) -> None:
    seed = vector.bytes("seed")
    vector.expect("reset_key", tokens.reset_key(seed))
    vector.expect("reset_token", tokens.reset_token(seed, vector.bytes("connection_id")))


def check_application_tag(vector: Vector) -> None:
    vector.expect("application_tag", tokens.application_tag(vector.bytes("application_id")))


KINDS = {"identity_token": check_identity_token, "reset_token": check_reset_token,
         "application_tag": check_application_tag}
