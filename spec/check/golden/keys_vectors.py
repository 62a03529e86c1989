"""keys.json"""

from .. import ciphers
from ..keys import DIRECTIONS, answer_keys, generation_keys, make_prk, traffic_secret
from .vector import Mismatch, Vector


def check_key_schedule(vector: Vector) -> None:
    prk = make_prk(vector.bytes("ck"), vector.bytes("h"), vector.bytes("host_salt"))
    vector.expect("prk", prk)
    for name, key in answer_keys(prk).items():
        vector.expect(name, key)
    covered = set()
    for line in vector.objects("generations"):
        cipher, direction, generation = line.int("cipher"), line.text("direction"), line.int("generation")
        traffic = traffic_secret(prk, direction, generation)
        line.expect("traffic", traffic)
        for name, value in vars(generation_keys(traffic, cipher)).items():
            line.expect(name, value)
        line.done()
        covered.add((cipher, direction, generation))
    missing = {(c, d, g) for c in ciphers.NAMES for d in DIRECTIONS for g in (0, 1, 2)} - covered
    if missing:
        raise Mismatch(f"generations without {sorted(missing)}")
    for line in vector.objects("nonces"):
        traffic = traffic_secret(prk, line.text("direction"), line.int("generation"))
        keys = generation_keys(traffic, line.int("cipher"))
        line.expect("nonce", keys.nonce(line.int("domain"), line.int("counter")))
        line.done()


def check_seal(vector: Vector) -> None:
    cipher, tag = vector.int("cipher"), vector.int("tag_bytes")
    key, nonce, ad = vector.bytes("key"), vector.bytes("nonce"), vector.bytes("associated_data")
    text = vector.bytes("text")
    if len(key) != ciphers.KEY_LENGTH[cipher] or len(nonce) != 12 or not (4 <= tag <= 16 if cipher == 3 else tag == 16):
        raise Mismatch("length of key, nonce or tag")
    sealed = ciphers.seal(cipher, key, nonce, ad, text, tag)
    vector.expect("sealed", sealed)
    if ciphers.unseal(cipher, key, nonce, ad, sealed, tag) != text:
        raise Mismatch("does not open again")
    for i in range(len(sealed)):
        bad = sealed[:i] + bytes([sealed[i] ^ 1 << i % 8]) + sealed[i + 1 :]
        if ciphers.unseal(cipher, key, nonce, ad, bad, tag) is not None:
            raise Mismatch(f"opens with byte {i} changed")


KINDS = {"key_schedule": check_key_schedule, "seal": check_seal}
