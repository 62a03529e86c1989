"""A handshake that was changed, or that is for somebody else, fails; a strict host and initiator notice why."""

import random
import unittest
from dataclasses import replace

from .. import handshake, identity, layouts, puzzle
from ..errors import Refused
from ..keys import answer_key, make_prk, make_prk0
from ..primitives import ed25519, x25519
from ..run_handshake import (Inputs, admit, answers, challenge_response, check_challenge_response, connect_request,
                             host_secrets, open_answer, request_payload, run)
from .selfmade import make_handshakes

VECTOR = make_handshakes(random.Random(3))[2]
INPUTS = Inputs(VECTOR["application_id"], VECTOR["initiator"], VECTOR["host"])
DONE = run(INPUTS, VECTOR["initiator"]["x"])
RESPONSE = layouts.decode_challenge_response(DONE.datagrams["challenge_response"])
ADMITTED = admit(INPUTS, RESPONSE, DONE.datagrams["connect_request"])
P = x25519.P
# Every u of small order, the two of order 8 last, in each of its forms that 32 bytes have room for.
SMALL_ORDER = [u + more for u in (0, 1, P - 1, P, P + 1,
                                  325606250916557431795983626356110631294008115727848805560023387167927233504,
                                  39382357235489614581723060781553021112529911719440698176882885853963445705823)
               for more in (0, 2**255)]


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
            self.refused("introduction_id" if offset == 44 else "forged", admit, INPUTS, RESPONSE, self.solved(bad))

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
        self.refused("protocol_violation", open_answer, more, DONE.noise, "accept", good, cipher)

    def sealed(self, name: str, text: bytes, secrets=None) -> bytes:
        """An answer that opens, with this text in it."""
        secrets, kind = secrets or host_secrets(INPUTS, ADMITTED), f"connect_{name}"
        outer = {"initiator_nonce": INPUTS.initiator["initiator_nonce"], "host_salt": INPUTS.host["host_salt"],
                 "e2": secrets.e2}
        head = layouts.answer_head(outer, kind)
        return head + handshake.seal_answer(secrets.key(name), head, text)

    def accept_payload(self) -> bytes:
        return answers(INPUTS, ADMITTED, RESPONSE["cipher"])["accept"][0]

    def listens_on(self) -> None:
        opened = open_answer(INPUTS, DONE.noise, "accept", DONE.datagrams["connect_accept"], RESPONSE["cipher"])
        self.assertEqual(opened["connection_id"], INPUTS.host["connection_id"])

    def test_an_accept_with_another_e2_does_not_open(self):
        good, cipher = DONE.datagrams["connect_accept"], RESPONSE["cipher"]
        e2 = good[33:65]
        others = [x25519.public_key(bytes(range(32)))]
        # X25519 ignores the top bit, so both agreements are the same with it; E2 counts as it travels.
        others += [bytes([*e2[:i], e2[i] ^ bit, *e2[i + 1 :]]) for i, bit in ((0, 1), (16, 16), (31, 0x40), (31, 0x80))]
        for other in others:
            self.refused("forged", open_answer, INPUTS, DONE.noise, "accept", good[:33] + other + good[65:], cipher)
        self.listens_on()

    def test_the_form_in_which_e2_travels_is_in_the_salt_and_not_only_authenticated(self):
        secrets = host_secrets(INPUTS, ADMITTED)
        other = secrets.e2[:31] + bytes([secrets.e2[31] ^ 0x80])
        agreed = handshake.initiator_second(INPUTS.initiator["ephemeral_secret"], INPUTS.initiator["seed"], other)
        self.assertEqual(agreed, (secrets.dh_e_e2, secrets.dh_s_e2))
        self.assertNotEqual(replace(secrets, e2=other).prk, secrets.prk)

    def test_an_accept_whose_tag_does_not_open(self):
        good, cipher = DONE.datagrams["connect_accept"], RESPONSE["cipher"]
        for i in (17, 32, 65, len(good) - 17, len(good) - 16, len(good) - 1):
            bad = good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :]
            self.refused("forged", open_answer, INPUTS, DONE.noise, "accept", bad, cipher)
        self.listens_on()

    def test_an_e2_of_small_order_is_dropped_even_if_its_tag_is_right(self):
        for u in SMALL_ORDER:
            zeros = replace(host_secrets(INPUTS, ADMITTED), e2=u.to_bytes(32, "little"), dh_e_e2=bytes(32),
                            dh_s_e2=bytes(32))
            bad = self.sealed("accept", self.accept_payload(), zeros)
            self.refused("dh_zero", open_answer, INPUTS, DONE.noise, "accept", bad, RESPONSE["cipher"])
        self.listens_on()

    def test_only_the_accept_needs_e2(self):
        other = answers(changed(INPUTS, "host", e2_secret=bytes(range(32))), ADMITTED, RESPONSE["cipher"])
        for name, same in (("refuse", True), ("pending", True), ("accept", False)):
            self.assertEqual(other[name][1] == DONE.datagrams[f"connect_{name}"], same, name)

    def test_each_of_the_three_parts_of_prk_counts(self):
        secrets = host_secrets(INPUTS, ADMITTED)
        for part in ("prk0", "dh_e_e2", "dh_s_e2"):
            self.assertNotEqual(replace(secrets, **{part: bytes(32)}).prk, secrets.prk, part)
        self.assertNotEqual(replace(secrets, dh_e_e2=secrets.dh_s_e2, dh_s_e2=secrets.dh_e_e2).prk, secrets.prk)

    def test_a_thief_of_the_epoch_key_is_asked_for_but_does_not_come_to_prk(self):
        i, thief = INPUTS.initiator, bytes(range(32))
        victim = identity.to_x25519(ed25519.public_key(i["seed"]))
        good = layouts.decode_connect_request(DONE.datagrams["connect_request"])
        noise, e = handshake.Noise(), x25519.public_key(thief)
        noise.start(DONE.prologue, RESPONSE["epoch_key"], identity.to_x25519(RESPONSE["host_public_key"]), e)
        noise.mix_key("ee", x25519.diffie_hellman(thief, RESPONSE["epoch_key"]))
        noise.mix_key("se", x25519.diffie_hellman(thief, identity.to_x25519(RESPONSE["host_public_key"])))
        sealed_s = noise.seal("sealed_s", victim)
        noise.mix_key("es", x25519.diffie_hellman(INPUTS.host["epoch_secret"], victim))
        forged = good | {"e": e, "sealed_s": sealed_s, "sealed_p": noise.seal("sealed_p", request_payload(INPUTS))}
        admitted = admit(INPUTS, RESPONSE, self.solved(layouts.encode_connect_request(forged)))
        self.assertEqual(admitted.initiator_public_key, ed25519.public_key(i["seed"]))

        by_name = {name: datagram for name, (_, datagram) in answers(INPUTS, admitted, RESPONSE["cipher"]).items()}
        thieves = changed(INPUTS, "initiator", ephemeral_secret=thief, seed=thief)
        for name in ("refuse", "pending"):
            open_answer(thieves, noise, name, by_name[name], RESPONSE["cipher"])
        self.refused("forged", open_answer, thieves, noise, "accept", by_name["accept"], RESPONSE["cipher"])
        # With nothing in the place of DH(s, E2) as well.
        accept = layouts.decode_answer(by_name["accept"], "connect_accept")
        prk0 = make_prk0(noise.ck, noise.h, accept["host_salt"])
        prk = make_prk(prk0, accept["e2"], x25519.diffie_hellman(thief, accept["e2"]), bytes(32))
        self.refused("forged", handshake.open_answer, answer_key(prk, "accept"),
                     layouts.answer_head(accept, "connect_accept"), accept["sealed"])

    def test_an_answer_that_opens_and_is_not_laid_out_ends_the_attempt(self):
        good, cipher = self.accept_payload(), RESPONSE["cipher"]
        small_window, wrong_length = good[:2] + b"\0\7" + good[4:], good[:34] + b"\2\0" + good[36:]
        for text in (good + b"\0", b"\x10\0" + good[2:], small_window, wrong_length):
            self.refused("protocol_violation", open_answer, INPUTS, DONE.noise, "accept", self.sealed("accept", text),
                         cipher)
        for text in (b"\0\1\0\0more", b"\0\1\2\0" + bytes(512 - 1)):
            self.refused("protocol_violation", open_answer, INPUTS, DONE.noise, "refuse", self.sealed("refuse", text),
                         cipher)

    def test_a_close_code_that_is_not_for_the_wire_counts_as_closed(self):
        for code, told in ((0, 0), (1, 1), (7, 7), (11, 11), (12, 0), (32, 0), (46, 0), (65535, 0)):
            answer = self.sealed("refuse", layouts.encode_refuse_payload({"close_code": code, "reason": b"no"}))
            opened = open_answer(INPUTS, DONE.noise, "refuse", answer, RESPONSE["cipher"])
            self.assertEqual(opened, {"close_code": told, "reason": b"no"})
