"""Introductions: what a reader refuses, who may say what, the keys, and both sides of an introduced handshake."""

import random
import unittest
from dataclasses import replace

from .. import codes, introduced, introductions, layouts, punch
from ..errors import Refused
from ..handshake import INTRODUCED_NAME, NAME
from ..primitives.kdf import expand, extract, hkdf2, hkdf3, hmac_sha256
from ..run_handshake import (Inputs, admit, challenge_response, check_challenge_response, connect_request, open_answer,
                             run)
from .selfmade import make_handshakes, make_introduced_keys, make_layouts

GOOD = {v["kind"]: v for v in make_layouts(random.Random(5)) if "hex" in v and "refused" not in v}
PLAIN = make_handshakes(random.Random(3))[2]
TOLD = {"secret": b"s" * 32, "initiator_nonce": b"i" * 16, "host_nonce": b"h" * 16, "introduced_data": b"table 4"}
INPUTS = Inputs(PLAIN["application_id"], PLAIN["initiator"] | {"introduction_id": 2**64 - 2}, PLAIN["host"], TOLD)
DONE = run(INPUTS)


def put(data: bytes, offset: int, new: bytes) -> bytes:
    return data[:offset] + new + data[offset + len(new) :]


class Case(unittest.TestCase):
    def refused(self, reason: str, attempt, *arguments) -> None:
        with self.assertRaises(Refused, msg=reason) as caught:
            attempt(*arguments)
        self.assertEqual(caught.exception.reason, reason)


class Messages(Case):
    def test_a_message_ends_with_its_last_field(self):
        for name, (_, _, size, _, _) in introductions.MESSAGES.items():
            good = GOOD[name]["hex"]
            self.refused("trailing" if size is None else "size", introductions.decode, name, good + b"\0")
            self.refused("length" if size is None else "size", introductions.decode, name, good[:-1])
            self.refused("length" if size is None else "size", introductions.decode, name, b"")
        for waiting in (1, 2):
            self.assertEqual(introductions.decode("introduction", bytes([waiting])), {"status": waiting})
            self.refused("trailing", introductions.decode, "introduction", bytes([waiting, 0]))

    def test_values_that_are_in_no_table(self):
        for name, offset, value, reason in (
                ("introduction", 0, 3, "range"), ("introduction", 10, 2, "key_type"), ("introduction", 99, 4, "range"),
                ("introduction", 101, 4, "range"), ("introduction", 102, 5, "range"), ("introduction", 110, 3, "range"),
                ("outcome", 8, 3, "range"), ("circuit", 4, 0, "range"), ("circuit", 4, 4, "range"),
                ("request", 21, 9, "range"), ("request", 22, 3, "range"), ("request", 23, 0, "range"),
                ("tokens_wanted", 0, 9, "range"), ("tokens", 0, 5, "range"), ("tokens", 19, 0, "range"),
                ("tokens", 19, 9, "range"), ("observed", 0, 2, "range"), ("observed", 1, 8, "range"),
                ("observed", 2, 0, "range"), ("observed", 2, 7, "range"), ("nats", 0, 4, "range"), ("nats", 2, 4, "range"),
                ("nats", 3, 1, "range")):
            with self.subTest(message=name, offset=offset, value=value):
                self.refused(reason, introductions.decode, name, put(GOOD[name]["hex"], offset, bytes([value])))
        self.refused("range", introductions.decode, "outcome", put(GOOD["outcome"]["hex"], 0, bytes(8)))
        self.refused("range", introductions.decode, "introduction", put(GOOD["introduction"]["hex"], 1, bytes(8)))
        self.refused("range", introductions.decode, "circuit", put(GOOD["circuit"]["hex"], 0, bytes(4)))
        self.refused("zeros", introductions.decode, "outcome", put(GOOD["outcome"]["hex"], 8, b"\1"))

    def test_what_is_passed_over(self):
        flags = put(GOOD["request"]["hex"], 4, b"\xff")
        self.assertEqual(introductions.decode("request", flags)["flags"], 0x3F)
        for name, nat in (("introduction", 99), ("nats", 0)):
            for stride in (0, 1, 200, 255):
                data = put(GOOD[name]["hex"], nat + 1, bytes([stride]))
                self.assertEqual(introductions.decode(name, data)["stride"], stride)
                for other in (0, 1, 3):
                    self.assertEqual(introductions.decode(name, put(data, nat, bytes([other])))["stride"], 0)
        for code, told in ((8, 8), (47, codes.CLOSED), (12, codes.CLOSED), (65535, codes.CLOSED)):
            self.assertEqual(introductions.decode("withdraw", code.to_bytes(2, "big")), {"close_code": told})
        for code, told in ((47, 47), (9, 9), (12, codes.CLOSED)):
            outcome = put(GOOD["outcome"]["hex"], 9, code.to_bytes(2, "big"))
            self.assertEqual(introductions.decode("outcome", outcome)["close_code"], told)

    def test_family_0_where_there_may_be_no_address(self):
        """Tokens that were asked for by their number have no second address, and a party may have no observed one."""
        for content in (b"\0\1" + bytes(16), b"\0\x08" + bytes(128)):
            fields = introductions.decode("tokens", content)
            self.assertNotIn("second_address", fields)
            self.assertEqual(introductions.encode("tokens", fields), content)
        self.assertEqual(introductions.decode("nats", bytes(4)), {"nat": 0, "stride": 0, "own_nat": 0})
        self.refused("trailing", introductions.decode, "nats", bytes(10))
        for wanted in (0, 8):
            self.assertEqual(introductions.decode("tokens_wanted", bytes([wanted])), {"wanted": wanted})

    def test_any_address_is_taken(self):
        """Vetting judges addresses and ports, not reading. An unspecified one says: where this packet came from (9.1)."""
        for address in (b"\4" + bytes(6), b"\4\xff\xff\xff\xff\0\0", b"\6" + bytes(18)):
            self.assertEqual(introductions.decode("observed", b"\0\0" + address)["address"]["port"], 0)
            self.assertIn("second_address", introductions.decode("tokens", address + b"\1" + bytes(16)))
        mapped = b"\6" + bytes(10) + b"\xff\xff" + b"\x0a\0\0\1\0\7"
        self.assertEqual(introductions.decode("nats", bytes(3) + mapped)["observed"], {"ip": b"\x0a\0\0\1", "port": 7})

    def test_a_party_without_direct_paths_is_told_no_address(self):
        fields = {k: v for k, v in GOOD["introduction"]["fields"].items() if k != "observed"} | {"candidates": []}
        content = introductions.encode("introduction", fields)
        self.assertEqual(len(content), 104)
        self.assertEqual(introductions.decode("introduction", content), fields)

    def test_a_mapped_address_counts_as_ipv4(self):
        """Otherwise private IPv4 addresses would pass the introducer in IPv6's clothes."""
        content = b"\1\2\6" + bytes(10) + b"\xff\xff\x0a\0\0\1\0\7"
        self.assertEqual(introductions.decode("candidates", content)["candidates"], [{"kind": 2, "ip": b"\x0a\0\0\1", "port": 7}])

    def test_kinds_that_are_none(self):
        for kind in (12, 4, 13, 15, 20, 22):
            self.refused("kind", introductions.message_of, kind, 1, "initiator")

    def test_bit_31_of_attempt_says_who_is_the_party(self):
        self.assertEqual(introductions.party_of(1), "initiator")
        self.assertEqual(introductions.party_of(0x80000001), "host")
        for nobody in (0, 0x80000000):
            self.refused("range", introductions.party_of, nobody)
        of_party = {5: "request", 7: "outcome", 8: "candidates", 9: "withdraw", 10: "tokens_wanted"}
        of_introducer = {6: "introduction", 8: "candidates", 9: "withdraw", 10: "tokens", 11: "observed", 14: "circuit",
                         21: "nats"}
        for attempt, party, introducer in ((1, "initiator", "host"), (0x80000001, "host", "initiator")):
            for says, side in ((of_party, party), (of_introducer, introducer)):
                for kind in set(introductions.KIND_OF.values()):
                    if kind in says:
                        self.assertEqual(introductions.message_of(kind, attempt, side), says[kind])
                    else:
                        self.refused("side", introductions.message_of, kind, attempt, side)

    def test_observe(self):
        self.assertEqual(introductions.decode_observe(b"\x0d" + bytes(range(16))), {"token": bytes(range(16))})
        for size in (1, 16, 18):
            self.refused("size", introductions.decode_observe, b"\x0d" + bytes(size - 1))
        self.refused("kind", introductions.decode_observe, b"\x0c" + bytes(16))
        self.assertFalse(introductions.is_relayable(b"\x0d" + bytes(16)))

    def test_relayed(self):
        for inner, passes in ((b"\0", False), (b"\1", True), (b"\x08" * 42, True), (b"\x09", False), (b"\x0b", False),
                              (b"\x0e", False), (b"\x20", False), (b"\x7f", False), (b"\x80", True),
                              (b"\x80" * 1227, True), (b"\x80" * 1228, False), (b"", False)):
            self.assertEqual(introductions.is_relayable(inner), passes, inner[:1])
        self.refused("size", introductions.decode_relayed, b"\x0e\0\0\0\1" + bytes(1228))
        self.refused("size", introductions.decode_relayed, b"\x0e\0\0\0\1")
        self.refused("range", introductions.decode_relayed, b"\x0e\0\0\0\0\x80")


class Keys(Case):
    def test_everything_told_goes_into_the_keys(self):
        told = make_introduced_keys(random.Random(1))
        names = ("introduction_id", "secret", "initiator_nonce", "host_nonce", "initiator_public_key",
                 "host_public_key")
        good = introduced.introduced_keys(**{name: told[name] for name in names})
        self.assertEqual(len({good.psk, good.punch_key, good.data_key}), 3)
        for name in names:
            other = introduced.introduced_keys(**{n: told[n] for n in names}
                                               | {name: told[name][:-1] + bytes([told[name][-1] ^ 1])})
            self.assertFalse({good.psk, good.punch_key, good.data_key} & {other.psk, other.punch_key, other.data_key})
            self.refused("forged", other.open, good.seal(b"data"))
            self.assertFalse(punch.is_authentic(other.punch_key, told["punches"][0]["hex"]))

    def test_introduced_data(self):
        keys = INPUTS.introduced
        for size in (0, 480):
            self.assertEqual(keys.open(keys.seal(bytes(size))), bytes(size))
            self.assertEqual(keys.seal(bytes(size)), keys.seal(bytes(size)))
        self.refused("length", keys.seal, bytes(481))
        self.refused("length", keys.open, bytes(15))
        self.refused("length", keys.open, bytes(497))

    def test_hkdf3_by_its_definition(self):
        key, data = b"k" * 32, b"data"
        first, second, third = hkdf3(key, data)
        self.assertEqual((first, second), hkdf2(key, data))
        self.assertEqual(third, hmac_sha256(extract(key, data), second + b"\3"))
        self.assertEqual(first + second, expand(extract(key, data), b"", 64))


class Handshake(Case):
    def test_both_sides_agree_and_share_nothing_with_a_plain_handshake(self):
        self.assertEqual(len(INTRODUCED_NAME), 36)
        self.assertEqual(len(NAME), 32)
        plain = run(Inputs(PLAIN["application_id"], PLAIN["initiator"], PLAIN["host"]))
        self.assertNotEqual(plain.keys["prk"], DONE.keys["prk"])
        self.assertEqual(len(DONE.noise.trace), len(plain.noise.trace) + 1)
        self.assertEqual(DONE.datagrams["challenge_request"][38:46], (2**64 - 2).to_bytes(8, "big"))
        self.assertEqual(DONE.datagrams["connect_request"][44:52], (2**64 - 2).to_bytes(8, "big"))

    def response(self, inputs: Inputs = INPUTS) -> dict:
        return layouts.decode_challenge_response(DONE.datagrams["challenge_response"], True)

    def test_another_secret_or_nonce_opens_nothing(self):
        response = self.response()
        for name in ("secret", "initiator_nonce", "host_nonce"):
            other = replace(INPUTS, introduction=TOLD | {name: bytes(len(TOLD[name]))})
            self.refused("forged", check_challenge_response, other, response)
            sealed = other.introduced.seal(b"table 4")
            self.refused("forged", admit, other, response | {"introduced_data": sealed}, DONE.datagrams["connect_request"])

    def test_other_introduced_data_changes_the_transcript(self):
        response = self.response()
        sealed = INPUTS.introduced.seal(b"table 5")
        check_challenge_response(INPUTS, response | {"introduced_data": sealed})
        self.refused("forged", admit, INPUTS, response | {"introduced_data": sealed}, DONE.datagrams["connect_request"])

    def test_id_0_does_not_strip_the_psk(self):
        stripped = put(DONE.datagrams["connect_request"], 44, bytes(8))
        with self.assertRaises(Refused):
            admit(INPUTS, self.response(), stripped)
        plain = replace(INPUTS, introduction=None, initiator=INPUTS.initiator | {"introduction_id": 0})
        _, _, datagram = connect_request(plain, self.response(), bytes(8))
        with self.assertRaises(Refused):
            admit(INPUTS, self.response(), datagram)

    def test_only_the_named_keys_are_taken(self):
        stranger = replace(INPUTS, host=INPUTS.host | {"seed": b"x" * 32})
        request = layouts.decode_challenge_request(DONE.datagrams["challenge_request"])
        response = layouts.decode_challenge_response(challenge_response(stranger, request), True)
        self.refused("key_mismatch", check_challenge_response, INPUTS, response)

    def test_answers_open_for_the_one_who_asked(self):
        for name in ("accept", "refuse", "pending"):
            datagram = DONE.datagrams[f"connect_{name}"]
            open_answer(INPUTS, DONE.noise, name, datagram, 3)
            self.refused("forged", open_answer, INPUTS, DONE.noise, name, put(datagram, len(datagram) - 1, b"?"), 3)
