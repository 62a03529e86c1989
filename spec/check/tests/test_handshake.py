"""A handshake that was changed, or that is for somebody else, fails; a strict host and initiator notice why."""

import random
import unittest
from dataclasses import replace

from .. import layouts, puzzle
from ..errors import Refused
from ..primitives import x25519
from ..run_handshake import (Inputs, admit, challenge_response, check_challenge_response, connect_request, open_answer,
                             run)
from .selfmade import make_handshakes

VECTOR = make_handshakes(random.Random(3))[2]
INPUTS = Inputs(VECTOR["application_id"], VECTOR["initiator"], VECTOR["host"])
DONE = run(INPUTS, VECTOR["initiator"]["x"])
RESPONSE = layouts.decode_challenge_response(DONE.datagrams["challenge_response"])


def changed(inputs: Inputs, side: str, **new) -> Inputs:
    return replace(inputs, **{side: getattr(inputs, side) | new})


class Handshake(unittest.TestCase):
    def refused(self, reason: str, attempt, *arguments) -> None:
        with self.assertRaises(Refused, msg=reason) as caught:
            attempt(*arguments)
        self.assertEqual(caught.exception.reason, reason)

    def solved(self, datagram: bytes) -> bytes:
        return datagram[:-8] + puzzle.solve(datagram[:-8], RESPONSE["difficulty"])

    def test_another_application(self):
        request = layouts.decode_challenge_request(DONE.datagrams["challenge_request"])
        other = replace(INPUTS, application_id=b"another game")
        self.refused("application_tag", challenge_response, other, request)
        self.refused("forged", admit, other, RESPONSE, DONE.datagrams["connect_request"])

    def test_no_common_cipher(self):
        request = layouts.decode_challenge_request(DONE.datagrams["challenge_request"])
        self.refused("no_common_cipher", challenge_response, changed(INPUTS, "host", ciphers_allowed=[1]), request)

    def test_a_response_that_the_initiator_ignores(self):
        check_challenge_response(INPUTS, RESPONSE)
        for new, reason in (({"initiator_nonce": bytes(16)}, "initiator_nonce"), ({"cipher": 1}, "cipher"),
                            ({"epoch_start": 5}, "bad_signature"), ({"epoch_key": bytes(32)}, "bad_signature"),
                            ({"challenge_response_data": b"x"}, "bad_signature"),
                            ({"host_public_key": bytes(32)}, "small_order")):
            self.refused(reason, check_challenge_response, INPUTS, RESPONSE | new)

    def test_another_address_or_token(self):
        good = DONE.datagrams["connect_request"]
        moved = changed(INPUTS, "initiator", address={"ip": "198.51.100.2", "port": 40000})
        self.refused("identity_token", admit, moved, RESPONSE, good)
        for offset in (2, 22, 38, 39, 41):
            bad = good[:offset] + bytes([good[offset] ^ 2]) + good[offset + 1 :]
            self.refused("identity_token", admit, INPUTS, RESPONSE, self.solved(bad))
        self.refused("stale_epoch", admit, INPUTS, RESPONSE, good[:18] + bytes(4) + good[22:])

    def test_changes_with_a_solved_puzzle_fail_at_the_tags(self):
        good = DONE.datagrams["connect_request"]
        for offset in (44, 52, 84, 131, 132, len(good) - 9):
            bad = good[:offset] + bytes([good[offset] ^ 1]) + good[offset + 1 :]
            self.refused("forged", admit, INPUTS, RESPONSE, self.solved(bad))

    def test_an_unsolved_puzzle(self):
        good, x = DONE.datagrams["connect_request"], 0
        while puzzle.is_solved(good[:-8] + x.to_bytes(8, "big"), RESPONSE["difficulty"]):
            x += 1
        self.refused("puzzle", admit, INPUTS, RESPONSE, good[:-8] + x.to_bytes(8, "big"))

    def test_an_ephemeral_key_of_small_order(self):
        good = DONE.datagrams["connect_request"]
        self.refused("dh_zero", admit, INPUTS, RESPONSE, self.solved(good[:52] + bytes(32) + good[84:]))
        self.refused("dh_zero", connect_request, INPUTS, RESPONSE | {"epoch_key": bytes(32)}, bytes(8))

    def test_another_host_cannot_read_it(self):
        good = DONE.datagrams["connect_request"]
        for new in ({"seed": bytes(32)}, {"epoch_secret": x25519.clamp(bytes(32))}):
            self.refused("forged", admit, changed(INPUTS, "host", **new), RESPONSE, good)

    def test_answers_are_for_this_handshake_alone(self):
        cipher = RESPONSE["cipher"]
        good = DONE.datagrams["connect_accept"]
        open_answer(INPUTS, DONE.noise, "accept", good, cipher)
        self.refused("kind", open_answer, INPUTS, DONE.noise, "refuse", good, cipher)
        relabelled = b"\x05" + good[1:]
        self.refused("forged", open_answer, INPUTS, DONE.noise, "refuse", relabelled, cipher)
        self.refused("forged", open_answer, INPUTS, DONE.noise, "accept", good[:20] + b"\0\0" + good[22:], cipher)
        other_nonce = good[:1] + bytes(16) + good[17:]
        self.refused("initiator_nonce", open_answer, INPUTS, DONE.noise, "accept", other_nonce, cipher)
        more = changed(INPUTS, "initiator", settings=INPUTS.initiator["settings"] | {"packet_window": 8})
        self.refused("range", open_answer, more, DONE.noise, "accept", good, cipher)
