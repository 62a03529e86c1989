"""The command line: what it explains and with what it exits."""

import contextlib
import io
import random
import sys
import unittest
from unittest import mock

from .. import __main__ as command
from .. import control, layouts
from .selfmade import make_layouts, make_packets


def call(*arguments: str) -> tuple[int, str]:
    out = io.StringIO()
    with mock.patch.object(sys, "argv", ["check", *arguments]), contextlib.redirect_stdout(out):
        return command.main(), out.getvalue()


class Decode(unittest.TestCase):
    def test_every_datagram_and_text(self):
        for vector in make_layouts(random.Random(5)):
            kind, data = vector["kind"], vector.get("hex", b"").hex()
            if "refused" in vector:
                continue
            if kind in command.decode.TEXTS:
                self.assertEqual(call("decode", data, "--as", kind)[0], 0, kind)
            elif kind.startswith(("challenge", "connect", "reject", "punch", "who_are_you", "reset", "probe", "observe", "relayed")):
                code, text = call("decode", data)
                self.assertEqual(code, 0, kind)
                self.assertTrue(text.startswith(kind), text)

    def test_refusals_name_the_reason(self):
        for data, reason in (("", "empty"), ("00", "reserved"), ("08", "size"), ("0900", "size"), ("0d", "size"), ("0f", "reserved"), ("01", "size"), ("80", "size"),
                             ("xx", "hex")):
            code, text = call("decode", data)
            self.assertEqual(code, 1, data)
            self.assertIn(reason, text)

    def test_what_is_inside_a_relayed_datagram_is_explained(self):
        reject = "0701" + "00" * 16 + "06"
        code, text = call("decode", "0e00000007" + reject)
        self.assertEqual(code, 0)
        self.assertIn("code: busy", text)
        for inside in ("09", "0b" + "00" * 16, "0e00000007" + reject, "2041"):
            self.assertEqual(call("decode", "0e00000007" + inside)[0], 1, inside)

    def test_an_outcome_may_say_a_local_code(self):
        self.assertIn("code: no_path", call("decode", "0000000000000001ff002f000004d2", "--as", "outcome")[1])

    def test_an_e2_of_small_order_is_pointed_out(self):
        good = next(v["hex"] for v in make_layouts(random.Random(5)) if v["kind"] == "connect_accept")
        for data, dropped in ((good, False), (good[:33] + b"\1" + bytes(31) + good[65:], True)):
            code, text = call("decode", data.hex())
            self.assertEqual((code, "drops it" in text), (0, dropped))

    def test_close_codes_have_their_names(self):
        for number, named in ((7, "origin_not_allowed"), (32, "counts as closed")):
            close = {"message": "close", "flags": 0, "settled": 0, "close_code": number, "reason": b""}
            refusal = layouts.encode_refuse_payload({"close_code": number, "reason": b""})
            for data, layout in ((control.encode([close]), "control_messages"), (refusal, "refuse_payload")):
                self.assertIn(named, call("decode", data.hex(), "--as", layout)[1])

    def test_a_packet_is_opened(self):
        vector = make_packets(random.Random(5))[2]
        start = vector["initial_sequence"]
        sent = (e for e in vector["events"] if e["event"] == "send" and e["from"] == "host")
        event = next(e for e in sent if e["type"] == "data")
        options = ["--window", "32768", "--cipher", "3", "--tag", "8", "--direction", "host",
                   "--prk", vector["prk"].hex(), "--r", str(start["host"]), "--a-last", str(start["initiator"])]
        code, text = call("decode", event["hex"].hex(), *options)
        self.assertEqual(code, 0, text)
        self.assertIn(f"sequence: {event['sequence']}", text)
        self.assertIn(f"payload: {event['payload'].hex() or '(none)'}", text)
        options[7] = "initiator"
        code, text = call("decode", event["hex"].hex(), *options)
        self.assertEqual(code, 1)
        self.assertIn("forged", text)
