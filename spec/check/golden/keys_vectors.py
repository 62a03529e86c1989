"""keys.json"""

from .. import ciphers, introduced, layouts, punch
from ..errors import Refused
from ..keys import DIRECTIONS, answer_key, generation_keys, make_prk, make_prk0, traffic_secret
from ..primitives import x25519
from .vector import Mismatch, Vector


def check_key_schedule(vector: Vector) -> None:
    prk0 = make_prk0(vector.bytes("ck"), vector.bytes("h"), vector.bytes("host_salt"))
    vector.expect("prk0", prk0)
    e2_secret = vector.bytes("e2_secret")
    e2 = x25519.public_key(e2_secret)
    vector.expect("e2", e2)
    agreed = {}
    for name in ("e", "s"):
        secret = vector.bytes(f"{name}_secret")
        agreed[name] = x25519.diffie_hellman(secret, e2)
        if agreed[name] != x25519.diffie_hellman(e2_secret, x25519.public_key(secret)):
            raise Mismatch(f"DH({name}, E2) differs at the two sides")
        vector.expect(f"dh_{name}_e2", agreed[name])
    prk = make_prk(prk0, e2, agreed["e"], agreed["s"])
    vector.expect("prk", prk)
    for name, secret in (("refuse", prk0), ("pending", prk0), ("accept", prk)):
        vector.expect(f"{name}_key", answer_key(secret, name))
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


def check_punch(vector: Vector) -> None:
    key = punch.punch_key(vector.bytes("prk"))
    vector.expect("punch_key", key)
    _check_sealed_punch(vector, key, "connection")


def _check_sealed_punch(vector: Vector, key: bytes, whose: str) -> dict:
    datagram = vector.bytes("hex")
    fields = layouts.decode_punch(datagram)
    vector.expect("fields", fields)
    if fields["key"] != whose:
        raise Mismatch(f"{vector.path}key is not that of the {whose}")
    if punch.seal(key, {name: value for name, value in fields.items() if name != "tag"}) != datagram:
        raise Mismatch("sealing the fields gives another datagram")
    for i in range(len(datagram)):
        bad = datagram[:i] + bytes([datagram[i] ^ 1 << i % 8]) + datagram[i + 1 :]
        try:
            if punch.is_authentic(key, bad):
                raise Mismatch(f"authentic with byte {i} changed")
        except Refused:
            pass  # no punch at all any more
    return fields


def check_introduced_keys(vector: Vector) -> None:
    keys = introduced.introduced_keys(*(vector.bytes(name) for name in (
        "introduction_id", "secret", "initiator_nonce", "host_nonce", "initiator_public_key", "host_public_key")))
    for name in ("psk", "punch_key", "data_key"):
        vector.expect(name, getattr(keys, name))
    data, sealed = vector.bytes("introduced_data"), vector.bytes("sealed_data")
    vector.expect("sealed_data", keys.seal(data))
    if keys.open(sealed) != data:
        raise Mismatch("introduced data does not open again")
    for i in range(len(sealed)):
        try:
            keys.open(sealed[:i] + bytes([sealed[i] ^ 1 << i % 8]) + sealed[i + 1 :])
        except Refused:
            continue
        raise Mismatch(f"introduced data opens with byte {i} changed")
    sides = set()
    for line in vector.objects("punches"):
        fields = _check_sealed_punch(line, keys.punch_key, "introduction")
        if fields["id"] != keys.introduction_id:
            raise Mismatch("a punch of another introduction")
        sides.add(fields["from"])
        line.done()
    if sides != {"initiator", "host"}:
        raise Mismatch("punches of one side only")


KINDS = {"key_schedule": check_key_schedule, "seal": check_seal, "punch": check_punch,
         "introduced_keys": check_introduced_keys}
