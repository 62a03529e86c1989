"""puzzle.json"""

from .. import puzzle
from ..primitives.kdf import sha256
from .vector import Vector


def check_puzzle(vector: Vector) -> None:
    request = vector.bytes("request")
    vector.expect("x", request[-8:])
    vector.expect("body_hash", sha256(request[:-8]))
    vector.expect("digest", puzzle.digest(request))
    vector.expect("solved", puzzle.is_solved(request, vector.int("difficulty")))


KINDS = {"puzzle": check_puzzle}
