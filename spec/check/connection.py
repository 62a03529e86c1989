"""Both sides of one established connection: windows, keys and sealing together, to replay a run of packets."""

from dataclasses import dataclass

from . import ciphers, control
from .errors import Refused, require
from .keys import GenerationKeys, generation_keys, traffic_secret
from .packets import (SEQUENCED, decode_header, full_ack, full_book_sequence, full_counter, full_sequence, open_packet,
                      seal_packet, split_ack_bytes)
from .window import Side

OTHER = {"initiator": "host", "host": "initiator"}


@dataclass(frozen=True)
class Sent:
    sequence: int
    ack: int
    counter: int | None
    ack_form: int
    ack_bytes: bytes
    datagram: bytes


@dataclass(frozen=True)
class Opened:
    type: str
    sequence: int
    ack: int
    counter: int | None
    ack_form: int
    ack_bytes: bytes
    bits: bytes
    payload: bytes  # what follows the ack bytes


class BrokenReport(Refused):
    """An authentic packet with fewer ack bytes than its form says: its number is used up all the same (7.2)."""

    def __init__(self, detail: str, packet_type: str, sequence: int, counter: int | None):
        super().__init__("ack_bytes", detail)
        self.type, self.sequence, self.counter = packet_type, sequence, counter


class Connection:
    def __init__(self, cipher: int, tag_bytes: int, packet_window: int, prk: bytes, initial_sequence: dict[str, int]):
        self.cipher, self.tag_bytes, self.packet_window, self.prk = cipher, tag_bytes, packet_window, prk
        self.sides = {name: Side(packet_window, initial_sequence[name], initial_sequence[other])
                      for name, other in OTHER.items()}
        self._keys: dict[tuple[str, int], GenerationKeys] = {}

    def keys(self, direction: str, generation: int) -> GenerationKeys:
        if (direction, generation) not in self._keys:
            traffic = traffic_secret(self.prk, direction, generation)
            self._keys[direction, generation] = generation_keys(traffic, self.cipher)
        return self._keys[direction, generation]

    def send(self, sender: str, packet_type: str, payload: bytes = b"") -> Sent:
        """Takes a sequence or counter and seals; the report is what 7.2 prescribes at this moment."""
        side = self.sides[sender]
        sequence, counter = side.take_sequence(packet_type)
        ack, form, ack_bytes = side.write_report(packet_type)
        datagram = seal_packet(self.cipher, self.tag_bytes, self.keys(sender, sequence >> 16), self.packet_window,
                               packet_type, sequence, ack, form, counter, ack_bytes + payload)
        return Sent(sequence, ack, counter, form, ack_bytes, datagram)

    def open(self, receiver: str, datagram: bytes) -> Opened:
        """Reconstructs the full numbers and opens, or refuses; changes nothing."""
        side, window = self.sides[receiver], self.packet_window
        try:
            header, sealed = decode_header(datagram, window)
        except Refused as refused:
            raise Refused("malformed", str(refused)) from refused
        require(len(sealed) >= ciphers.tag_length(self.cipher, header.type, self.tag_bytes), "malformed", "no room for a tag")
        counter = None
        if header.type in SEQUENCED:
            sequence = full_sequence(header.sequence_low, side.r, window)
        else:
            counter = full_counter(header.counter_low, side.c)
            sequence = full_book_sequence(header.sequence_low, side.r, window)
        ack = full_ack(header.ack_low, side.a_last, window)
        generation = sequence >> 16
        if generation not in (side.r >> 16, (side.r >> 16) + 1):
            raise Refused("no_keys", f"generation {generation}")
        keys = self.keys(OTHER[receiver], generation)
        text = open_packet(self.cipher, self.tag_bytes, keys, datagram, header, sealed, sequence, ack, counter)
        try:
            ack_bytes, bits, payload = split_ack_bytes(header.ack_form, text)
        except Refused as refused:
            raise BrokenReport(str(refused), header.type, sequence, counter) from refused
        return Opened(header.type, sequence, ack, counter, header.ack_form, ack_bytes, bits, payload)

    def receive(self, receiver: str, datagram: bytes, taken: bool = True) -> tuple[Opened, str, list[tuple[int, bool]]]:
        """Opens and applies: what was opened, what became of its report, and the verdicts."""
        side = self.sides[receiver]
        try:
            opened = self.open(receiver, datagram)
        except BrokenReport as broken:
            side.use_up(broken.type, broken.sequence, broken.counter)
            raise
        report, verdicts = side.receive(opened.type, opened.sequence, opened.ack, opened.counter, opened.ack_form,
                                        opened.bits, taken)
        if opened.type == "control":
            for message in control.that_count(control.decode(opened.payload)[0]):
                if "settled" in message:
                    side.read_settled(message["settled"])
                if message["message"] in ("close", "close_ack"):
                    verdicts = verdicts + side.read_close(message, report)
        return opened, report, verdicts
