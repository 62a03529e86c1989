"""Packets of a connection (PROTOCOL.md 6): header, full numbers, ack bytes, sealing."""

from dataclasses import dataclass

from . import ciphers
from .errors import Refused, require
from .keys import CONTROL_DOMAIN, DATA_DOMAIN, GenerationKeys
from .settings import header_size

TYPES = ["data", "report", "ack", "control"]
SEQUENCED = ("data", "report")
LOW_BITS = {3: 9, 4: 13, 5: 17}  # S by the header's size
MAX_ACK_BYTES = {"data": 6, "report": 255, "ack": 255, "control": 255}
SEQUENCE_END = 2**53


def low_bits(packet_window: int) -> int:
    return LOW_BITS[header_size(packet_window)]


@dataclass(frozen=True)
class Header:
    """A packet's first bytes. `counter_low` is None for data and reports."""

    type: str
    sequence_low: int
    ack_low: int
    ack_form: int
    counter_low: int | None

    def encode(self, packet_window: int) -> bytes:
        s = low_bits(packet_window)
        number = 1 << 2 | TYPES.index(self.type)
        number = number << s | self.sequence_low
        number = number << s | self.ack_low
        number = number << 3 | self.ack_form
        out = number.to_bytes(header_size(packet_window), "big")
        return out if self.counter_low is None else out + self.counter_low.to_bytes(2, "big")


def decode_header(datagram: bytes, packet_window: int) -> tuple[Header, bytes]:
    """The header and what is sealed after it (and after the counter's two bytes)."""
    require(datagram != b"", "empty")
    require(datagram[0] >= 0x80, "kind", "the top bit is 0")
    size, s = header_size(packet_window), low_bits(packet_window)
    require(len(datagram) >= size, "size", "shorter than its header")
    number = int.from_bytes(datagram[:size], "big")
    packet_type = TYPES[number >> (2 * s + 3) & 3]
    counter = None
    if packet_type not in SEQUENCED:
        require(len(datagram) >= size + 2, "size", "shorter than its header and counter")
        counter = int.from_bytes(datagram[size : size + 2], "big")
        size += 2
    mask = (1 << s) - 1
    header = Header(packet_type, number >> (s + 3) & mask, number >> 3 & mask, number & 7, counter)
    return header, datagram[size:]


# The full numbers, each from its low bits and what the receiver knows. Refused before any cryptography.


def full_sequence(low: int, r: int, packet_window: int) -> int:
    """Of a sequenced packet (6.3)."""
    distance = (low - r - 1) % (1 << low_bits(packet_window))
    require(distance < packet_window, "late", "late or a duplicate")
    require(r + 1 + distance < SEQUENCE_END, "late", "sequences are below 2^53")
    return r + 1 + distance


def full_book_sequence(low: int, r: int, packet_window: int) -> int:
    """Of an ack or control packet (6.3)."""
    modulus = 1 << low_bits(packet_window)
    distance = (low - r) % modulus
    sequence = r + distance if distance <= packet_window else r + distance - modulus
    require(sequence >= 0, "negative", "sequence")
    return sequence


def full_ack(low: int, a_last: int, packet_window: int) -> int:
    """7.3."""
    modulus = 1 << low_bits(packet_window)
    distance = (low - a_last) % modulus
    if distance <= packet_window:
        return a_last + distance
    require(distance >= modulus - packet_window, "ack_range")
    require(a_last + distance - modulus >= 0, "negative", "ack")
    return a_last + distance - modulus


def full_counter(low: int, c: int) -> int:
    """6.4."""
    distance = (low - c) % 2**16
    require(distance != 0 and distance < 2**15, "late_counter")
    return c + distance


# Ack bytes (7.2).


def split_ack_bytes(form: int, text: bytes) -> tuple[bytes, bytes, bytes]:
    """An opened text as its ack bytes as they are, their bits alone (without the n of form 7), and the rest."""
    if form < 7:
        size, head = form, 0
    else:
        require(text != b"", "ack_bytes", "form 7 without its n")
        require(text[0] >= 1, "ack_bytes", "n is 0")
        size, head = text[0], 1
    require(len(text) >= head + size, "ack_bytes", "the text is shorter than its ack bytes")
    end = head + size
    return text[:end], text[head:end], text[end:]


def reported(bits: bytes, ack: int, sequence: int) -> bool:
    """The bit of a sequence that is not above ack; one below the first bit is not delivered."""
    i = ack - sequence
    return i < 8 * len(bits) and bool(bits[i // 8] >> i % 8 & 1)


def make_ack_bytes(packet_type: str, base: int, r: int, delivered: set[int]) -> tuple[int, int, bytes]:
    """What 7.2 prescribes: ack, form and ack bytes."""
    if all(sequence in delivered for sequence in range(base + 1, r + 1)):
        return r, 0, b""
    ack, count = r, (r - base + 7) // 8
    if count > MAX_ACK_BYTES[packet_type]:
        count = MAX_ACK_BYTES[packet_type]
        ack = base + 8 * count
    bits = bytearray(count)
    for i in range(ack - base):  # bits of sequences not above the base stay 0
        if ack - i in delivered:
            bits[i // 8] |= 1 << i % 8
    return (ack, count, bytes(bits)) if count <= 6 else (ack, 7, bytes([count]) + bytes(bits))


# Sealing (6.2, 3.3).


def associated_data(head: bytes, sequence: int, ack: int) -> bytes:
    return head + sequence.to_bytes(8, "big") + ack.to_bytes(8, "big")


def _domain(packet_type: str) -> int:
    return DATA_DOMAIN if packet_type in SEQUENCED else CONTROL_DOMAIN


def seal_packet(cipher: int, tag_bytes: int, keys: GenerationKeys, packet_window: int, packet_type: str, sequence: int,
                ack: int, form: int, counter: int | None, text: bytes) -> bytes:
    mask = (1 << low_bits(packet_window)) - 1
    counter_low = None if counter is None else counter & 0xFFFF
    head = Header(packet_type, sequence & mask, ack & mask, form, counter_low).encode(packet_window)
    domain = _domain(packet_type)
    nonce = keys.nonce(domain, sequence if counter is None else counter)
    tag = ciphers.tag_length(cipher, packet_type, tag_bytes)
    return head + ciphers.seal(cipher, keys.key(domain), nonce, associated_data(head, sequence, ack), text, tag)


def open_packet(cipher: int, tag_bytes: int, keys: GenerationKeys, datagram: bytes, header: Header, sealed: bytes,
                sequence: int, ack: int, counter: int | None) -> bytes:
    head = datagram[: len(datagram) - len(sealed)]
    domain = _domain(header.type)
    nonce = keys.nonce(domain, sequence if counter is None else counter)
    tag = ciphers.tag_length(cipher, header.type, tag_bytes)
    ad = associated_data(head, sequence, ack)
    text = ciphers.unseal(cipher, keys.key(domain), nonce, ad, sealed, tag)
    if text is None:
        raise Refused("forged", "the tag is wrong")
    return text
