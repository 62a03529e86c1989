"""The Noise part of the handshake, the agreements with E2, what is sealed.

PROTOCOL.md 3.2, 3.3, 4.3 to 4.6 and 5.2, and INTRODUCTIONS.md 7 for an introduced handshake.
"""

from dataclasses import dataclass, field

from . import identity
from .errors import Refused, require
from .primitives import chacha, x25519
from .primitives.kdf import hkdf2, hkdf3, sha256

NAME = b"Noise_IX_25519_ChaChaPoly_SHA256"
INTRODUCED_NAME = b"Noise_IXpsk2_25519_ChaChaPoly_SHA256"


def epoch_text(response: dict) -> bytes:
    """What an epoch's signature is over (5.2)."""
    return (b"TorqueSocket epoch v1" + bytes([response["version"], response["key_type"]])
            + response["epoch_start"].to_bytes(8, "big") + response["epoch_key"]
            + sha256(response["challenge_response_data"]))


def make_prologue(application_id: bytes, ciphers_offered: bytes, response: dict, introduction_id: int,
                  introduced_data: bytes | None = None) -> bytes:
    """Every field of the challenge phase; `response` are the fields of the challenge_response.

    `introduced_data` are there, opened, exactly if the id is not 0.
    """
    require((introduction_id == 0) == (introduced_data is None), "introduced_data")
    r = response
    return (b"TorqueSocket v1" + bytes([r["version"], len(application_id)]) + application_id + r["initiator_nonce"]
            + ciphers_offered + r["epoch_start"].to_bytes(8, "big") + r["epoch_key"] + r["signature"]
            + r["identity_token"] + bytes([r["difficulty"], r["cipher"], r["key_type"]]) + r["host_public_key"]
            + sha256(r["challenge_response_data"]) + introduction_id.to_bytes(8, "big")
            + (b"" if introduced_data is None else sha256(introduced_data)))


def noise_nonce(n: int) -> bytes:
    return bytes(4) + n.to_bytes(8, "little")


@dataclass
class Noise:
    """h, ck and k, with a trace of every step.

    The steps are those written out in 3.2, or, with the psk of an introduction, in INTRODUCTIONS.md 7.
    """

    psk: bytes | None = None
    h: bytes = NAME
    ck: bytes = NAME
    k: bytes = b""
    trace: list = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.psk is not None:
            self.h = self.ck = sha256(INTRODUCED_NAME)

    def note(self, step: str, with_key: bool = False) -> None:
        line = {"step": step, "h": self.h, "ck": self.ck}
        self.trace.append(line | {"k": self.k} if with_key else line)

    def mix_hash(self, step: str, data: bytes) -> None:
        self.h = sha256(self.h + data)
        self.note(step)

    def mix_key(self, step: str, shared: bytes | None) -> None:
        if shared is None:
            raise Refused("dh_zero", f"{step}: the result is all zeros")
        self.ck, self.k = hkdf2(self.ck, shared)
        self.note(step, with_key=True)

    def start(self, prologue: bytes, epoch_key: bytes, host_x25519: bytes, e: bytes) -> None:
        self.note("name")
        self.mix_hash("prologue", prologue)
        self._ephemeral("E", epoch_key)
        if self.psk is None:
            self.mix_hash("S", host_x25519)
            self.mix_hash("payload_1", b"")
        else:
            self.seal("S", host_x25519)
            self.seal("payload_1", b"", 1)
        self._ephemeral("e", e)

    def _ephemeral(self, step: str, key: bytes) -> None:
        """With a psk, an ephemeral key goes into `ck` as well."""
        self.h = sha256(self.h + key)
        if self.psk is not None:
            self.ck, self.k = hkdf2(self.ck, key)
        self.note(step, with_key=self.psk is not None)

    def mix_psk(self) -> None:
        if self.psk is not None:
            self.ck, mixed, self.k = hkdf3(self.ck, self.psk)
            self.h = sha256(self.h + mixed)
            self.note("psk", with_key=True)

    def seal(self, step: str, text: bytes, n: int = 0) -> bytes:
        sealed = chacha.seal(self.k, noise_nonce(n), self.h, text)
        self.mix_hash(step, sealed)
        return sealed

    def unseal(self, step: str, sealed: bytes) -> bytes:
        text = chacha.unseal(self.k, noise_nonce(0), self.h, sealed)
        if text is None:
            raise Refused("forged", step)
        self.mix_hash(step, sealed)
        return text


def initiator_noise(prologue: bytes, epoch_key: bytes, host_public_key: bytes, seed: bytes, ephemeral_secret: bytes,
                    payload: bytes, psk: bytes | None = None) -> tuple[Noise, bytes, bytes, bytes]:
    """The initiator's side: the state at the end, e, sealed_s and sealed_p."""
    noise, e = Noise(psk), x25519.public_key(ephemeral_secret)
    host_x25519 = identity.to_x25519(host_public_key)
    own = identity.x25519_secret(seed)
    noise.start(prologue, epoch_key, host_x25519, e)
    noise.mix_key("ee", x25519.diffie_hellman(ephemeral_secret, epoch_key))
    noise.mix_key("se", x25519.diffie_hellman(ephemeral_secret, host_x25519))
    sealed_s = noise.seal("sealed_s", x25519.public_key(own))
    noise.mix_key("es", x25519.diffie_hellman(own, epoch_key))
    noise.mix_psk()
    sealed_p = noise.seal("sealed_p", payload)
    return noise, e, sealed_s, sealed_p


def host_noise(prologue: bytes, epoch_secret: bytes, seed: bytes, e: bytes, sealed_s: bytes,
               sealed_p: bytes, psk: bytes | None = None) -> tuple[Noise, bytes, bytes]:
    """The host's side: the state at the end, the initiator's X25519 form and the payload."""
    noise, own = Noise(psk), identity.x25519_secret(seed)
    noise.start(prologue, x25519.public_key(epoch_secret), x25519.public_key(own), e)
    noise.mix_key("ee", x25519.diffie_hellman(epoch_secret, e))
    noise.mix_key("se", x25519.diffie_hellman(own, e))
    initiator_x25519 = noise.unseal("sealed_s", sealed_s)
    noise.mix_key("es", x25519.diffie_hellman(epoch_secret, initiator_x25519))
    noise.mix_psk()
    payload = noise.unseal("sealed_p", sealed_p)
    return noise, initiator_x25519, payload


def _not_zero(what: str, shared: bytes | None) -> bytes:
    if shared is None:
        raise Refused("dh_zero", f"{what}: the result is all zeros")
    return shared


def initiator_second(ephemeral_secret: bytes, seed: bytes, e2: bytes) -> tuple[bytes, bytes]:
    """DH(e, E2) and DH(s, E2) at the initiator, of an E2 that nobody has authenticated yet."""
    return (_not_zero("DH(e, E2)", x25519.diffie_hellman(ephemeral_secret, e2)),
            _not_zero("DH(s, E2)", x25519.diffie_hellman(identity.x25519_secret(seed), e2)))


def host_second(e2_secret: bytes, e: bytes, initiator_x25519: bytes) -> tuple[bytes, bytes]:
    """The same at the host, which has refused an e and an s that give all zeros."""
    return (_not_zero("DH(e, E2)", x25519.diffie_hellman(e2_secret, e)),
            _not_zero("DH(s, E2)", x25519.diffie_hellman(e2_secret, initiator_x25519)))


def seal_answer(key: bytes, head: bytes, text: bytes) -> bytes:
    """The sealed part of an accept, refuse or pending; `head` is everything before it in the datagram."""
    return chacha.seal(key, bytes(12), head, text)


def open_answer(key: bytes, head: bytes, sealed: bytes) -> bytes:
    text = chacha.unseal(key, bytes(12), head, sealed)
    if text is None:
        raise Refused("forged", "the answer's tag is wrong")
    return text
