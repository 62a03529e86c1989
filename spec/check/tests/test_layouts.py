"""What the document says is dropped is refused, and by name."""

import random
import unittest

from .. import control, identity, layouts, punch, settings, tokens
from ..errors import Refused
from ..packets import split_ack_bytes
from .selfmade import make_layouts

GOOD = {v["kind"]: v["hex"] for v in make_layouts(random.Random(5)) if "hex" in v and "refused" not in v}


def put(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


class Layouts(unittest.TestCase):
    def refused(self, reason: str, kind: str, data: bytes) -> None:
        with self.assertRaises(Refused, msg=f"{kind} {reason}") as caught:
            layouts.LAYOUTS[kind][0](data)
        self.assertEqual(caught.exception.reason, reason)

    def test_sizes(self):
        for kind, (least, greatest) in layouts.SIZES.items():
            head = bytes([layouts.FIRST_BYTE[kind]])
            self.assertEqual(layouts.classify(head + bytes(least - 1)), kind)
            self.assertEqual(layouts.classify(head + bytes(greatest - 1)), kind)
            if least > 1:
                self.refused("size", kind, head + bytes(least - 2))
            self.refused("size", kind, head + bytes(greatest))
            self.refused("empty", kind, b"")
            self.refused("kind", kind, b"\x21" + bytes(least - 1))

    def test_first_bytes(self):
        for first in range(256):
            data = bytes([first])
            if first >= 0x20:
                self.assertEqual(layouts.classify(data), "packet" if first >= 0x80 else "info")
            elif first == 0x09:
                self.assertEqual(layouts.classify(data), "who_are_you")
            else:
                with self.assertRaises(Refused) as caught:
                    layouts.classify(data)
                self.assertEqual(caught.exception.reason, "size" if 1 <= first <= 14 else "reserved")

    def test_challenge_request(self):
        good = GOOD["challenge_request"]
        for i in range(1, 9):
            self.refused("magic", "challenge_request", put(good, i, bytes([good[i] ^ 1])))
        self.refused("version", "challenge_request", put(good, 9, b"\2"))
        self.refused("version", "challenge_request", put(put(good, 9, b"\2"), 700, b"\2"))
        for i in (46, 400, 767):
            self.refused("zeros", "challenge_request", put(good, i, b"\1"))
        self.assertEqual(layouts.decode_challenge_request(put(good, 38, b"\1"))["introduction_id"], 1 << 56)
        self.assertNotIn("introduction_id", layouts.decode_challenge_request(put(good, 38, bytes(8))))
        for offered in (b"\0\0\0\0", b"\0\1\0\0", b"\1\0\2\0", b"\3\1\3\0"):
            self.refused("ciphers", "challenge_request", put(good, 34, offered))
        self.assertEqual(layouts.choose_cipher(b"\x09\2\3\1", [1, 3]), 3)
        self.assertIsNone(layouts.choose_cipher(b"\x09\2\0\0", [1, 3]))

    def test_challenge_response(self):
        good = GOOD["challenge_response"]
        self.refused("version", "challenge_response", put(good, 1, b"\0"))
        self.refused("key_type", "challenge_response", put(good, 140, b"\2"))
        self.refused("length", "challenge_response", good + b"\0")
        self.refused("length", "challenge_response", good[:-1])
        self.refused("length", "challenge_response", put(good[:175] + bytes(511), 173, b"\2\0"))

    def test_introduced_data(self):
        """Behind a challenge_response to an introduction's request, and never behind another one."""
        fields = layouts.decode_challenge_response(GOOD["challenge_response"])
        for size in (16, 496):
            good = layouts.encode_challenge_response(fields | {"introduced_data": bytes(size)})
            self.assertEqual(layouts.decode_challenge_response(good, True)["introduced_data"], bytes(size))
            with self.assertRaises(Refused):
                layouts.decode_challenge_response(good)
        for bad in (GOOD["challenge_response"], good + b"\0", good[:-1],
                    layouts.encode_challenge_response(fields | {"introduced_data": bytes(15)}),
                    layouts.encode_challenge_response(fields | {"introduced_data": bytes(497)})):
            with self.assertRaises(Refused) as caught:
                layouts.decode_challenge_response(bad, True)
            self.assertEqual(caught.exception.reason, "length")
        most = layouts.encode_challenge_response(fields | {"challenge_response_data": bytes(511),
                                                           "introduced_data": bytes(496)})
        self.assertEqual(len(most), 1184)
        self.assertEqual(layouts.classify(most), "challenge_response")

    def test_connect_request(self):
        good = GOOD["connect_request"]
        self.refused("version", "connect_request", put(good, 1, b"\2"))
        self.refused("ciphers", "connect_request", put(good, 40, bytes(4)))

    def test_request_payload(self):
        good = GOOD["request_payload"]
        self.refused("range", "request_payload", put(good, 0, b"\x10\x00"))
        self.refused("range", "request_payload", put(good, 2, b"\0\7"))
        self.refused("length", "request_payload", good[:12])
        self.refused("length", "request_payload", good[:-1])
        self.refused("length", "request_payload", good + b"\1")
        self.refused("length", "request_payload", put(good[:13], 11, b"\x03\xe9") + bytes(1001))
        layouts.decode_request_payload(put(good[:13], 11, b"\x03\xe8") + bytes(1000))
        self.refused("length", "request_payload", put(good[:13], 11, b"\x03\xe5") + bytes(997) + b"\x09\0\1\0")

    def test_answers(self):
        good = GOOD["accept_payload"]
        self.refused("range", "accept_payload", put(good, 0, b"\x10\0"))
        self.refused("trailing", "accept_payload", good + b"\0")
        self.refused("length", "accept_payload", put(good, 34, b"\0\1"))
        self.refused("length", "accept_payload", put(good, 34, b"\2\0") + bytes(512))
        self.refused("trailing", "refuse_payload", GOOD["refuse_payload"] + b"\0")
        self.refused("length", "refuse_payload", GOOD["refuse_payload"][:-1])

    def test_an_answer_has_room_for_its_sealed_text_and_no_more(self):
        """From the tables of 4.4 to 4.6: what is before the sealed text, the text's least and greatest, the tag."""
        for kind, head, least, greatest in (("connect_accept", 1 + 16 + 16 + 32, 36, 36 + 511),
                                            ("connect_refuse", 1 + 16 + 16, 4, 4 + 511),
                                            ("connect_pending", 1 + 16 + 16, 0, 0)):
            first = bytes([layouts.FIRST_BYTE[kind]])
            for text in {least, greatest}:
                datagram = first + bytes(range(1, head)) + bytes(text + 16)
                fields = layouts.LAYOUTS[kind][0](datagram)
                self.assertEqual(len(fields["sealed"]), text + 16)
                self.assertEqual(fields.get("e2"), bytes(range(33, 65)) if kind == "connect_accept" else None)
                self.assertEqual(layouts.LAYOUTS[kind][1](fields), datagram)
            self.refused("size", kind, first + bytes(head + least + 16 - 2))
            self.refused("size", kind, first + bytes(head + greatest + 16))

    def test_punch(self):
        good = GOOD["punch"]
        self.assertEqual(good[1], 3)
        for flags, (side, key) in enumerate((("initiator", "introduction"), ("host", "introduction"),
                                             ("initiator", "connection"), ("host", "connection"))):
            fields = layouts.decode_punch(put(good, 1, bytes([flags])))
            self.assertEqual((fields["from"], fields["key"]), (side, key))
        for flags in (4, 7, 0x80):
            self.refused("zeros", "punch", put(good, 1, bytes([flags])))
        self.refused("range", "punch", put(good, 2, bytes(8)))
        self.refused("range", "punch", put(good, 10, bytes(16)))
        for part in (10, 18):
            layouts.decode_punch(put(good, 10, put(bytes(16), part - 10, b"\1")))

    def test_punch_tag(self):
        key = punch.punch_key(bytes(range(32)))
        fields = {name: value for name, value in layouts.decode_punch(GOOD["punch"]).items() if name != "tag"}
        sealed = punch.seal(key, fields)
        self.assertTrue(punch.is_authentic(key, sealed))
        for i in range(1, 42):
            bad = put(sealed, i, bytes([sealed[i] ^ 1]))
            self.assertFalse(punch.is_authentic(key, bad), i)
        self.assertFalse(punch.is_authentic(punch.punch_key(bytes(32)), sealed))

    def test_path_id(self):
        good = GOOD["path_id"]
        self.refused("size", "path_id", good[:-1])
        self.refused("size", "path_id", good + b"\0")
        self.refused("range", "path_id", bytes(8) + good[8:])

    def test_settings(self):
        good = GOOD["settings"]
        for offset, value in ((0, b"\0\7"), (0, b"\x80\1"), (2, b"\3"), (2, b"\x11"), (4, b"\x03\xe9"),
                              (6, b"\x04\x7d")):
            self.refused("range", "settings", put(good, offset, value))
        self.assertEqual(settings.decode(put(good, 3, b"\xff")), settings.decode(good))
        for text in ("speed=1", "window", "window=x", "window=7", "window=-8", "tag=17", "=1"):
            with self.assertRaises(Refused, msg=text):
                settings.from_text(text)

    def test_an_answer_outside_of_what_was_asked(self):
        asked = {"packet_window": 128, "tag_bytes": 8, "ack_delay": 50, "max_packet_size": 1150}
        settings.check_answer(asked, asked | {"packet_window": 64, "tag_bytes": 12}, 3)
        for wrong, cipher in (({"packet_window": 129}, 3), ({"tag_bytes": 7}, 3), ({"tag_bytes": 8}, 1)):
            with self.assertRaises(Refused):
                settings.check_answer(asked, asked | wrong, cipher)
        self.assertEqual(settings.outcome(asked, asked | {"packet_window": 256, "tag_bytes": 9}, 3),
                         asked | {"tag_bytes": 9})
        self.assertEqual(settings.outcome(asked, asked, 2)["tag_bytes"], 16)

    def test_ack_bytes(self):
        self.assertEqual(split_ack_bytes(7, b"\2abc"), (b"\2ab", b"ab", b"c"))
        for form, text in ((1, b""), (6, bytes(5)), (7, b""), (7, b"\0"), (7, b"\2a")):
            with self.assertRaises(Refused) as caught:
                split_ack_bytes(form, text)
            self.assertEqual(caught.exception.reason, "ack_bytes")

    def test_control_messages(self):
        ping = bytes.fromhex("01000c000000070000000000000063")
        self.assertEqual(control.decode(ping + b"\x63\0\1x" + ping)[1], False)
        self.assertEqual(len(control.decode(ping + b"\x63\0\1x" + ping)[0]), 3)
        for bad in (b"\1", b"\1\0", b"\1\0\4abc", b"\1\0\3abc", b"\3\0\4abcd", b"\4\0\1a"):
            self.assertEqual(control.decode(ping + bad), ([{"message": "ping", "id": 7, "settled": 99}], True))

    def test_of_several_closes_the_first_counts(self):
        ping, close = {"message": "ping"}, {"message": "close", "settled": 1}
        self.assertEqual(control.that_count([ping, close, ping, close | {"settled": 2}, {"message": "close_ack"}]),
                         [ping, close, ping, {"message": "close_ack"}])

    def test_text_forms(self):
        text = identity.to_text(bytes(range(32)), identity.SECRET)
        self.assertEqual(identity.secret_from_text(text.upper()), bytes(range(32)))
        for bad, reason in (("tk1" + text[3:], "text_prefix"), (text[:-1] + "1", "text_base32"),
                            (text[:-1], "text_length"), (text + "a", "text_length"),
                            ("ts1b" + text[4:], "text_key_type"),
                            (text[:30] + ("a" if text[30] != "a" else "b") + text[31:], "text_check")):
            with self.assertRaises(Refused) as caught:
                identity.secret_from_text(bad)
            self.assertEqual(caught.exception.reason, reason)

    def test_addresses(self):
        same = tokens.address_bytes({"ip": "192.0.2.7", "port": 5})
        self.assertEqual(same.hex(), "04c0000207" + "00" * 12 + "0005")
        self.assertEqual(tokens.address_bytes({"ip": "::ffff:192.0.2.7", "port": 5}), same)
        self.assertEqual(tokens.address_bytes({"ip": "fe80::1%eth0", "port": 5}),
                         tokens.address_bytes({"ip": "fe80::1", "port": 5}))
        self.assertEqual(tokens.address_bytes({"carrier": 1}).hex(), "00" * 8 + "01" + "00" * 10)
