"""Each cryptographic part against the vectors of its RFC or standard."""

import unittest

from ..errors import Refused
from ..primitives import aes, chacha, ed25519, gcm, gcm_sst, kdf, x25519

h = bytes.fromhex


class Kdf(unittest.TestCase):
    def test_rfc_5869_case_1(self):
        prk = kdf.extract(h("000102030405060708090a0b0c"), h("0b" * 22))
        self.assertEqual(prk.hex(), "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
        okm = kdf.expand(prk, h("f0f1f2f3f4f5f6f7f8f9"), 42)
        self.assertEqual(okm.hex(), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                                    "34007208d5b887185865")

    def test_rfc_4231_case_2(self):
        self.assertEqual(kdf.hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex(),
                         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")


class ChaCha20Poly1305(unittest.TestCase):
    KEY = bytes(range(0x80, 0xA0))
    NONCE = h("070000004041424344454647")
    AD = h("50515253c0c1c2c3c4c5c6c7")
    TEXT = (b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip "
            b"for the future, sunscreen would be it.")

    def test_rfc_8439_2_8_2(self):
        sealed = chacha.seal(self.KEY, self.NONCE, self.AD, self.TEXT)
        self.assertEqual(sealed[:16].hex(), "d31a8d34648e60db7b86afbc53ef7ec2")
        self.assertEqual(sealed[-16:].hex(), "1ae10b594f09e26a7e902ecbd0600691")
        self.assertEqual(chacha.unseal(self.KEY, self.NONCE, self.AD, sealed), self.TEXT)

    def test_rfc_8439_2_5_2(self):
        key = h("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b")
        self.assertEqual(chacha.poly1305(key, b"Cryptographic Forum Research Group").hex(),
                         "a8061dc1305136c6c22b8baf0c0127a9")

    def test_any_flipped_bit_is_refused(self):
        sealed = chacha.seal(self.KEY, self.NONCE, self.AD, self.TEXT)
        for i in range(len(sealed)):
            bad = bytearray(sealed)
            bad[i] ^= 1 << i % 8
            self.assertIsNone(chacha.unseal(self.KEY, self.NONCE, self.AD, bytes(bad)))
        self.assertIsNone(chacha.unseal(self.KEY, self.NONCE, self.AD[:-1], sealed))


class Aes(unittest.TestCase):
    def test_fips_197_c_1(self):
        round_keys = aes.expand_key(bytes(range(16)))
        self.assertEqual(aes.encrypt_block(round_keys, h("00112233445566778899aabbccddeeff")).hex(),
                         "69c4e0d86a7b0430d8cdb78070b4c55a")


class Gcm(unittest.TestCase):
    KEY = h("feffe9928665731c6d6a8f9467308308")
    NONCE = h("cafebabefacedbaddecaf888")
    AD = h("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    TEXT = h("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
             "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")

    def test_cases_1_and_2(self):
        self.assertEqual(gcm.seal(bytes(16), bytes(12), b"", b"").hex(), "58e2fccefa7e3061367f1d57a4e7455a")
        self.assertEqual(gcm.seal(bytes(16), bytes(12), b"", bytes(16)).hex(),
                         "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf")

    def test_case_4(self):
        sealed = gcm.seal(self.KEY, self.NONCE, self.AD, self.TEXT)
        self.assertEqual(sealed.hex(),
                         "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
                         "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
                         "5bc94fbc3221a5db94fae95ae7121a47")
        self.assertEqual(gcm.unseal(self.KEY, self.NONCE, self.AD, sealed), self.TEXT)

    def test_any_flipped_bit_is_refused(self):
        sealed = gcm.seal(self.KEY, self.NONCE, self.AD, self.TEXT)
        for i in range(0, len(sealed), 5):
            bad = bytearray(sealed)
            bad[i] ^= 1 << i % 8
            self.assertIsNone(gcm.unseal(self.KEY, self.NONCE, self.AD, bytes(bad)))


class GcmSst(unittest.TestCase):
    KEY = bytes(range(16))
    NONCE = bytes(range(0x30, 0x3C))
    AD = bytes(range(0x40, 0x50))
    TEXT = bytes(range(0x60, 0x7F))

    def test_rfc_8452_appendix_a(self):
        blocks = h("4f4f95668c83dfb6401762bb2d01a262d1a24ddd2721d006bbe45f20d3c9f362")
        self.assertEqual(gcm_sst.polyval(h("25629347589242761d31f826ba4b757b"), blocks).hex(),
                         "f7a3b47b846119fae5b7866cf5e5b77e")

    def test_draft_mattsson_cfrg_aes_gcm_sst_128_bit_key(self):
        for ad, text, ciphertext, tag in (
            (b"", b"", "", "9b1d49ea42b00aecb0bceb8dd0efc2b9"),
            (self.AD[:5], b"", "", "7ff3cba4d5f308a5704e2fd5f23ae8f9"),
            (b"", self.TEXT[:12], "64f05bae1ed2403a71255edd", "f8de1785fd1a90d9818fcb7b44698a8b"),
            (self.AD, self.TEXT, "64f05bae1ed2403a71255edd53495ce17dc0cbc785a7a920db4228ff633210",
             "934356140b84482cd014c7407ee9ccb6"),
        ):
            for tag_bytes in range(4, 17):
                sealed = gcm_sst.seal(self.KEY, self.NONCE, ad, text, tag_bytes)
                self.assertEqual(sealed.hex(), ciphertext + tag[: 2 * tag_bytes])
                self.assertEqual(gcm_sst.unseal(self.KEY, self.NONCE, ad, sealed, tag_bytes), text)
                self.assertIsNone(gcm_sst.unseal(self.KEY, self.NONCE, ad + b"x", sealed, tag_bytes))

    def test_any_flipped_bit_is_refused(self):
        for tag_bytes in (4, 8, 16):
            sealed = gcm_sst.seal(self.KEY, self.NONCE, self.AD, self.TEXT, tag_bytes)
            for i in range(len(sealed)):
                bad = bytearray(sealed)
                bad[i] ^= 1 << i % 8
                self.assertIsNone(gcm_sst.unseal(self.KEY, self.NONCE, self.AD, bytes(bad), tag_bytes))

    def test_the_lengths_are_authenticated(self):
        # Padded with zeros these are the same blocks as before; only the lengths differ.
        sealed = gcm_sst.seal(self.KEY, self.NONCE, self.AD[:5], b"", 8)
        self.assertIsNone(gcm_sst.unseal(self.KEY, self.NONCE, self.AD[:5] + b"\0", sealed, 8))
        self.assertIsNone(gcm_sst.unseal(self.KEY, self.NONCE, b"", self.AD[:5] + sealed, 8))

    def test_a_tag_read_with_another_length_is_refused(self):
        # Cut short it would be good: the length is not in the tag, so a key must be used with one length only.
        sealed = gcm_sst.seal(self.KEY, self.NONCE, self.AD, self.TEXT, 8)
        for tag_bytes in (4, 7, 9, 16):
            self.assertIsNone(gcm_sst.unseal(self.KEY, self.NONCE, self.AD, sealed, tag_bytes))
        self.assertIsNone(gcm_sst.unseal(self.KEY, self.NONCE, self.AD, sealed[-7:], 8))


class X25519(unittest.TestCase):
    def test_rfc_7748_5_2(self):
        self.assertEqual(
            x25519.x25519(h("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                          h("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")).hex(),
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")

    def test_rfc_7748_6_1(self):
        a = h("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
        b = h("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
        shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
        self.assertEqual(x25519.diffie_hellman(a, x25519.public_key(b)).hex(), shared)
        self.assertEqual(x25519.diffie_hellman(b, x25519.public_key(a)).hex(), shared)

    def test_an_all_zero_result_is_an_error(self):
        for u in (bytes(32), b"\1" + bytes(31)):
            self.assertIsNone(x25519.diffie_hellman(bytes(range(32)), u))


class Ed25519(unittest.TestCase):
    SEED = h("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    PUBLIC = h("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")

    def test_rfc_8032_7_1(self):
        self.assertEqual(ed25519.public_key(self.SEED), self.PUBLIC)
        self.assertEqual(ed25519.sign(self.SEED, b"").hex(),
                         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                         "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")
        seed = h("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
        self.assertEqual(ed25519.public_key(seed).hex(),
                         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
        signature = ed25519.sign(seed, h("72"))
        self.assertEqual(signature.hex(),
                         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                         "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
        self.assertTrue(ed25519.verify(ed25519.public_key(seed), h("72"), signature))
        self.assertFalse(ed25519.verify(ed25519.public_key(seed), h("73"), signature))

    def test_s_must_be_reduced(self):
        signature = ed25519.sign(self.SEED, b"x")
        more = (int.from_bytes(signature[32:], "little") + ed25519.L).to_bytes(32, "little")
        self.assertTrue(ed25519.verify(self.PUBLIC, b"x", signature))
        self.assertFalse(ed25519.verify(self.PUBLIC, b"x", signature[:32] + more))

    def test_bad_points_are_refused_by_name(self):
        minus_one = (ed25519.P - 1).to_bytes(32, "little")
        order_4 = bytes(32)
        with_torsion = ed25519.encode(ed25519.add(ed25519.BASE, (0, ed25519.P - 1, 1, 0)))
        off = next(y for y in range(2, 99) if ed25519.recover_x(y, 0) is None).to_bytes(32, "little")
        for encoding, reason in (
            (minus_one, "small_order"), (order_4, "small_order"), (with_torsion, "torsion"), (off, "not_on_curve"),
            ((ed25519.P + 3).to_bytes(32, "little"), "not_canonical"),
            (minus_one[:31] + bytes([minus_one[31] | 0x80]), "not_canonical"),
        ):
            with self.assertRaises(Refused) as caught:
                ed25519.decode_strictly(encoding)
            self.assertEqual(caught.exception.reason, reason)

    def test_r_with_a_torsion_component_is_refused(self):
        # R' = R + T of order 2, with S for R': passes the cofactored equation, and must not pass here.
        scalar, _ = ed25519.secret_halves(self.SEED)
        r = ed25519.encode(ed25519.add(ed25519.multiply(77, ed25519.BASE), (0, ed25519.P - 1, 1, 0)))
        k = ed25519._challenge(r, self.PUBLIC, b"m")
        s = (77 + k * int.from_bytes(scalar, "little")) % ed25519.L
        self.assertFalse(ed25519.verify(self.PUBLIC, b"m", r + s.to_bytes(32, "little")))
