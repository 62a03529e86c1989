"""packets.json: a run is replayed on both sides at once."""

from .. import control
from ..connection import OTHER, Connection
from ..errors import Refused
from ..settings import header_size
from ..window import Side
from .vector import Mismatch, Vector, parse_hex, to_json


def state_of(side: Side) -> dict:
    return {"r": side.r, "b": side.base, "c": side.c, "sent": side.sent, "a_last": side.a_last, "open": side.open}


def read_messages(items: list) -> list[dict]:
    """Control messages from JSON."""
    messages = []
    for item in items:
        messages.append({name: parse_hex(value, name) if name in ("body", "reason") else value
                         for name, value in item.items()})
    return messages


class Run:
    def __init__(self, vector: Vector):
        start = vector.object("initial_sequence")
        window = vector.int("packet_window")
        vector.expect("header_size", header_size(window))
        self.connection = Connection(vector.int("cipher"), vector.int("tag_bytes"), window, vector.bytes("prk"),
                                     {side: start.int(side) for side in OTHER})
        start.done()
        self.datagrams: list[tuple[str, bytes]] = []

    def event(self, e: Vector) -> None:
        name = e.text("event")
        if name not in ("send", "lost", "receive", "take_verdicts", "window_full"):
            raise Mismatch(f"{e.path}event {name!r} is unknown")
        getattr(self, name)(e)
        e.done()

    def send(self, e: Vector) -> None:
        sender, packet_type = e.text("from"), e.text("type")
        side = self.connection.sides[sender]
        e.expect("datagram", len(self.datagrams))
        payload = b""
        if packet_type == "data":
            payload = e.bytes("payload")
        elif packet_type == "control":
            messages = read_messages(e.list("messages"))
            payload = control.encode(messages)
            if not to_json(control.decode(payload)[0]) == e.list("messages"):
                raise Mismatch(f"{e.path}messages do not survive their encoding")
        if packet_type in ("data", "report") and side.window_full:
            raise Mismatch(f"{e.path}the window is full")
        sent = self.connection.send(sender, packet_type, payload)
        e.expect("sequence", sent.sequence)
        e.expect("ack", sent.ack)
        if sent.counter is not None:
            e.expect("counter", sent.counter)
        e.expect("ack_form", sent.ack_form)
        e.expect("ack_bytes", sent.ack_bytes)
        e.expect("hex", sent.datagram)
        self.datagrams.append((sender, sent.datagram))
        if packet_type == "control":
            for message in messages:
                self.check_close(e, message, side, sent.ack)

    def check_close(self, e: Vector, message: dict, side: Side, ack: int) -> None:
        if "settled" in message:
            right = {"settled": side.a_last}
            if "flags" in message:
                right["flags"] = int(ack == side.r)
            if {name: message[name] for name in right} != right:
                raise Mismatch(f"{e.path}{message['message']} should have {right}")

    def datagram(self, e: Vector) -> tuple[str, bytes]:
        return self.datagrams[e.int("datagram")]

    def lost(self, e: Vector) -> None:
        self.datagram(e)

    def receive(self, e: Vector) -> None:
        sender, datagram = self.datagram(e)
        e.expect("at", OTHER[sender])
        side, at = self.connection.sides[OTHER[sender]], OTHER[sender]
        if e.has("hex"):
            datagram = e.bytes("hex")
        result = e.text("result")
        if result == "dropped":
            try:
                self.connection.open(at, datagram)
            except Refused as refused:
                e.expect("reason", refused.reason)
            else:
                raise Mismatch(f"{e.path}is not dropped but opened")
        elif result in ("taken", "not_taken"):
            self.changed_copies_are_refused(e, at, datagram)
            opened, report, verdicts = self.connection.receive(at, datagram, result == "taken")
            if result == "not_taken" and opened.type != "data":
                raise Mismatch(f"{e.path}only a data packet can be not_taken")
            e.expect("report", report)
            e.expect("verdicts", [{"sequence": sequence, "delivered": delivered} for sequence, delivered in verdicts])
        else:
            raise Mismatch(f"{e.path}result {result!r} is unknown")
        e.expect("state", state_of(side))

    def changed_copies_are_refused(self, e: Vector, at: str, datagram: bytes) -> None:
        bit = 7 * e.int("datagram") % (8 * len(datagram))
        for changed in {bit, 8 * len(datagram) - 1}:
            bad = bytearray(datagram)
            bad[changed // 8] ^= 0x80 >> changed % 8
            try:
                self.connection.open(at, bytes(bad))
            except Refused:
                continue
            raise Mismatch(f"{e.path}opens with bit {changed} flipped")

    def take_verdicts(self, e: Vector) -> None:
        side, count = self.connection.sides[e.text("at")], e.int("count")
        if count > len(side.untaken):
            raise Mismatch(f"{e.path}only {len(side.untaken)} verdicts wait")
        side.take_verdicts(count)
        e.expect("open", side.open)

    def window_full(self, e: Vector) -> None:
        side = self.connection.sides[e.text("from")]
        if not side.window_full:
            raise Mismatch(f"{e.path}the window is not full: {side.open} open")


def check_packets(vector: Vector) -> None:
    run = Run(vector)
    for event in vector.objects("events"):
        run.event(event)


KINDS = {"packets": check_packets}
