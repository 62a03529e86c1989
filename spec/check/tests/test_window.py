"""The packet window over a bad network: what a sender is told is what happened, and the full numbers are found."""

import random
import unittest

from .. import control
from ..connection import Connection
from ..errors import Refused
from ..packets import (SEQUENCED, full_ack, full_book_sequence, full_counter, full_sequence, low_bits, make_ack_bytes, seal_packet,
                       reported, split_ack_bytes)
from ..window import Side

OTHER = {"a": "b", "b": "a"}


class Simulation:
    """Two sides without cryptography. Packets carry their full numbers beside the low bits, to compare."""

    def __init__(self, seed: int, window: int):
        self.rng, self.window = random.Random(seed), window
        start = {side: self.rng.randrange(4096) for side in OTHER}
        self.sides = {side: Side(window, start[side], start[OTHER[side]]) for side in OTHER}
        self.under_way: list[dict] = []
        self.taken: dict[str, set[int]] = {"a": set(), "b": set()}  # sequences taken at this side
        self.verdicts: dict[str, list[tuple[int, bool]]] = {"a": [], "b": []}
        self.dropped: dict[str, int] = {}

    def send(self, sender: str, packet_type: str) -> None:
        side = self.sides[sender]
        if packet_type in SEQUENCED and side.window_full:
            return
        sequence, counter = side.take_sequence(packet_type)
        ack, form, ack_bytes = side.write_report(packet_type)
        assert ack <= side.r and ack >= min(side.r, side.base)
        self.under_way.append({"from": sender, "type": packet_type, "sequence": sequence, "counter": counter,
                               "ack": ack, "form": form, "ack_bytes": ack_bytes})

    def reconstruct(self, p: dict, side: Side) -> tuple[int, int, int | None]:
        mask = (1 << low_bits(self.window)) - 1
        if p["type"] in SEQUENCED:
            sequence, counter = full_sequence(p["sequence"] & mask, side.r, self.window), None
        else:
            counter = full_counter(p["counter"] & 0xFFFF, side.c)
            sequence = full_book_sequence(p["sequence"] & mask, side.r, self.window)
        return sequence, full_ack(p["ack"] & mask, side.a_last, self.window), counter

    def receive(self, p: dict) -> None:
        at = OTHER[p["from"]]
        side = self.sides[at]
        try:
            numbers = self.reconstruct(p, side)
        except Refused as refused:
            assert p["type"] not in SEQUENCED or refused.reason == "late", refused
            self.dropped[refused.reason] = self.dropped.get(refused.reason, 0) + 1
            return
        if numbers != (p["sequence"], p["ack"], p["counter"]):  # the tag would be wrong
            self.dropped["forged"] = self.dropped.get("forged", 0) + 1
            assert p["sequence"] < side.r, "only a packet from long ago may be mistaken"
            return
        takes = p["type"] != "data" or self.rng.random() < 0.9
        _, bits, _ = split_ack_bytes(p["form"], p["ack_bytes"])
        report, verdicts = side.receive(p["type"], *numbers, p["form"], bits, takes)
        assert report in ("read", "old")
        if takes and p["type"] in SEQUENCED:
            self.taken[at].add(p["sequence"])
        for sequence, delivered in verdicts:
            assert delivered == (sequence in self.taken[OTHER[at]]), f"false verdict on {sequence}"
        self.verdicts[at] += verdicts
        if self.rng.random() < 0.7:
            side.take_verdicts(len(side.untaken))

    def step(self, loss: float, busy: float) -> None:
        rng = self.rng
        if rng.random() < 0.5:
            packet_type = rng.choices(("data", "report", "ack", "control"), (9, 1, 2, 1))[0]
            self.send("a" if rng.random() < busy else "b", packet_type)
        elif self.under_way:
            index = 0 if rng.random() < 0.7 else rng.randrange(len(self.under_way))
            again = rng.random() < 0.05
            packet = self.under_way[index] if again else self.under_way.pop(index)
            if rng.random() >= loss:
                self.receive(packet)

    def settle(self) -> None:
        """Without loss, a few ack packets settle everything."""
        while self.under_way:
            self.receive(self.under_way.pop(0))
        for _ in range(2 * self.window // 2040 + 3):
            for sender in "ab":
                self.send(sender, "ack")
                self.receive(self.under_way.pop(0))


class Window(unittest.TestCase):
    def test_verdicts_are_true_and_complete(self):
        for seed in range(60):
            window = (8, 100, 128, 1000, 2048, 32768)[seed % 6]
            with self.subTest(seed=seed, window=window):
                run = Simulation(seed, window)
                for loss in (0.02, 0.5, 0.1):
                    busy = run.rng.choice((0.1, 0.5, 0.97))
                    for _ in range(700):
                        run.step(loss, busy)
                run.settle()
                for side in run.sides.values():
                    self.assertEqual(side.a_last, side.sent)
                for name, verdicts in run.verdicts.items():
                    self.assertEqual([sequence for sequence, _ in verdicts],
                                     list(range(run.sides[name].initial_sequence + 1, run.sides[name].sent + 1)))

    def test_a_packet_without_its_ack_bytes_uses_its_number_up(self):
        for packet_type in ("data", "ack"):
            with self.subTest(packet_type):
                connection = Connection(3, 8, 128, bytes(32), {"initiator": 7, "host": 9})
                sequence, counter = connection.sides["initiator"].take_sequence(packet_type)
                broken = seal_packet(3, 8, connection.keys("initiator", 0), 128, packet_type, sequence, 9, 3, counter, b"no")
                for reason in ("ack_bytes", "late"):
                    with self.assertRaises(Refused) as refused:
                        connection.receive("host", broken)
                    self.assertTrue(refused.exception.reason.startswith(reason))

    def test_numbers_at_their_bounds(self):
        for window, bits in ((8, 9), (128, 9), (129, 13), (2048, 13), (2049, 17), (32768, 17)):
            modulus = 1 << bits
            r = 70000

            def low(number, modulus=modulus):
                return number % modulus

            self.assertEqual(full_sequence(low(r + 1), r, window), r + 1)
            self.assertEqual(full_sequence(low(r + window), r, window), r + window)
            self.assertEqual(full_book_sequence(low(r + window), r, window), r + window)
            self.assertEqual(full_book_sequence(low(r - 1), r, window), r - 1)
            self.assertEqual(full_ack(low(r + window), r, window), r + window)
            self.assertEqual(full_ack(low(r - window), r, window), r - window)
            for read, number, known in ((full_sequence, r, r), (full_sequence, r + window + 1, r),
                                        (full_ack, r + window + 1, r), (full_ack, r - window - 1, r),
                                        (full_book_sequence, -1, 0), (full_ack, -1, 0)):
                self.assertRaises(Refused, read, low(number), known, window)
        self.assertEqual(full_counter(1, 0), 1)
        self.assertEqual(full_counter(2, 65535), 65538)
        self.assertEqual(full_counter((5 + 32767) % 65536, 5), 5 + 32767)
        for low16 in (5, 4, 5 + 32768):
            self.assertRaises(Refused, full_counter, low16, 5)

    def test_reports_have_the_prescribed_form(self):
        self.assertEqual(make_ack_bytes("data", 10, 10, set()), (10, 0, b""))
        self.assertEqual(make_ack_bytes("data", 10, 13, {11, 12, 13}), (13, 0, b""))
        self.assertEqual(make_ack_bytes("data", 10, 13, {11, 13}), (13, 1, b"\x05"))
        self.assertEqual(make_ack_bytes("data", 10, 19, {11, 19}), (19, 2, b"\x01\x01"))
        self.assertEqual(make_ack_bytes("data", 10, 59, {11}), (58, 6, bytes(5) + b"\x80"))
        self.assertEqual(make_ack_bytes("ack", 10, 59, {11}), (59, 7, b"\7" + bytes(6) + b"\1"))
        ack, form, ack_bytes = make_ack_bytes("ack", 0, 9999, {1})
        self.assertEqual((ack, form, len(ack_bytes)), (2040, 7, 256))
        self.assertTrue(reported(ack_bytes[1:], ack, 1))
        self.assertFalse(reported(ack_bytes[1:], ack, 0))

    def test_an_ack_packet_below_r_reports_nothing(self):
        for sequence, expected in ((20, ("read", [(6, True)])), (19, ("old", []))):
            side = Side(128, 5, 9)
            side.take_sequence("data")
            side.write_report("data")
            side.receive("data", 20, 5, None, 0, b"", True)
            self.assertEqual(side.receive("ack", sequence, 6, 1, 0, b"", True), expected)
            self.assertEqual((side.r, side.c), (20, 1))
        self.assertEqual(side.receive("control", 21, 7, 2, 0, b"", True), ("beyond", []))
        self.assertEqual((side.r, side.a_last), (21, 5))

    def test_the_bit_of_a_report_says_that_it_was_read(self):
        for ack, expected in ((5, {10}), (6, set())):
            side = Side(128, 5, 9)
            side.receive("report", 10, ack, None, 0, b"", True)
            self.assertEqual((side.r, side.delivered), (10, expected))
        side.receive("data", 11, 6, None, 0, b"", True)  # the packet is taken, whatever its report says
        self.assertEqual(side.delivered, {11})

    def test_every_data_packet_that_opens_makes_an_acknowledgment_due(self):
        for packet_type, due in (("data", True), ("report", False), ("ack", False), ("control", False)):
            for taken in (True, False):
                side, counter = Side(128, 5, 9), None if packet_type in SEQUENCED else 1
                side.receive(packet_type, 10, 5, counter, 0, b"", taken)
                self.assertEqual(side.ack_due, due, (packet_type, taken))
            side = Side(128, 5, 9)
            side.use_up(packet_type, 10, counter)  # fewer ack bytes than its form says
            self.assertEqual(side.ack_due, due, packet_type)

    def test_an_acknowledgment_stays_due_until_a_report_reaches_r(self):
        side = Side(128, 5, 9)
        side.receive("data", 10 + 8 * 6, 5, None, 0, b"", True)  # 49 sequences, 7 bytes: more than data carries
        side.take_sequence("data")
        side.write_report("data")
        self.assertTrue(side.ack_due)
        side.take_sequence("ack")
        side.write_report("ack")
        self.assertFalse(side.ack_due)

    def test_a_broken_packet_closes_no_book_and_settles_nothing(self):
        connection = Connection(3, 8, 128, bytes(32), {"initiator": 7, "host": 9})
        initiator, host = connection.sides["initiator"], connection.sides["host"]
        connection.send("host", "data")
        initiator.take_sequence("data")  # 8, lost
        sequence, counter = initiator.take_sequence("ack")
        broken = seal_packet(3, 8, connection.keys("initiator", 0), 128, "ack", sequence, 10, 3, counter, b"no")
        self.assertRaises(Refused, connection.receive, "host", broken)
        self.assertEqual((host.r, host.c, host.a_last, host.ack_due), (7, 1, 9, False))
        sequence, _ = initiator.take_sequence("data")
        broken = seal_packet(3, 8, connection.keys("initiator", 0), 128, "data", sequence, 10, 3, None, b"no")
        self.assertRaises(Refused, connection.receive, "host", broken)
        self.assertEqual((host.r, host.a_last, host.delivered, host.ack_due), (9, 9, set(), True))

    def test_an_ack_out_of_reach_drops_the_packet_unopened(self):
        connection = Connection(3, 8, 128, bytes(32), {"initiator": 7, "host": 9})
        host = connection.sides["host"]
        for ack in (9 + 129, 9 + 512 - 129):
            sequence, counter = connection.sides["initiator"].take_sequence("ack")
            far = seal_packet(3, 8, connection.keys("initiator", 0), 128, "ack", sequence, ack, 0, counter, b"")
            with self.assertRaises(Refused) as refused:
                connection.receive("host", far)
            self.assertEqual((refused.exception.reason, host.c), ("ack_range", 0))

    def test_a_second_close_in_one_packet_is_ignored(self):
        connection = Connection(3, 8, 128, bytes(32), {"initiator": 7, "host": 9})
        connection.send("host", "data")
        close = {"message": "close", "flags": 0, "settled": 9, "close_code": 0, "reason": b""}
        sent = connection.send("initiator", "control", control.encode([close, close | {"flags": 1}]))
        self.assertEqual(connection.receive("host", sent.datagram)[2], [])
        sent = connection.send("initiator", "control", control.encode([close | {"flags": 1}, close]))
        self.assertEqual(connection.receive("host", sent.datagram)[2], [(10, False)])

    def test_a_close_that_is_final_settles_the_rest(self):
        side = Side(128, 5, 9)
        for _ in range(3):
            side.take_sequence("data")
            side.write_report("data")
        side.r, side.delivered = 12, {10}
        self.assertEqual(side.receive("control", 12, 6, 1, 0, b"", True), ("read", [(6, True)]))
        message = {"message": "close", "flags": 1, "settled": 11, "close_code": 0, "reason": b""}
        side.read_settled(message["settled"])
        side.read_settled(13)  # above R: ignored
        self.assertEqual(side.read_close(message | {"flags": 0}, "read"), [])
        self.assertEqual(side.read_close(message, "old"), [])
        self.assertEqual(side.read_close(message, "read"), [(7, False), (8, False)])
        self.assertEqual((side.base, side.a_last), (11, 8))
