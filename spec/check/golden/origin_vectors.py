"""origin.json"""

from .. import origin
from ..primitives import ed25519
from .vector import Vector


def check_origin_token(vector: Vector) -> None:
    seed = vector.bytes("seed")
    vector.expect("gateway_public_key", ed25519.public_key(seed))
    vector.expect("token", origin.make(seed, vector.int("expires"), vector.raw("address"), vector.text("origin"),
                                       vector.bytes("initiator_public_key"), vector.bytes("host_public_key")))


def check_origin_judged(vector: Vector) -> None:
    token, address, now = vector.bytes("token"), vector.raw("address"), vector.int("now")
    initiator, host = vector.bytes("initiator_public_key"), vector.bytes("host_public_key")

    def judge():
        return origin.judge(token, initiator, host, address, now)

    if vector.has("refused"):
        vector.expect_refused(judge)
        return
    for name, value in judge().items():
        vector.expect(name, value)


KINDS = {"origin_token": check_origin_token, "origin_judged": check_origin_judged}
