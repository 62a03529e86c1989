use std::string::{String, ToString};

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};

use super::*;
use crate::crypto::testing::{array, for_seeds, hex};

/// Another program's forms of the pair with the seed 00 01 … 1f.
const KNOWN_KEY: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
const KNOWN_X25519: &str = "4701d08488451f545a409fb58ae3e58581ca40ac3f7f114698cd71deac73ca01";
const KNOWN_TEXT: &str = "tk1aeb2cb576phbbpq5odorrz2lycmwpzgwgcn2kdk7dxoimzaskuy3qcmc";
const KNOWN_SECRET_TEXT: &str = "ts1aeaacaqdaqcqmbyibefawdanbyhraeiscmkbkfqxdamrugy4dupb7ngg";

fn known() -> KeyPair {
    KeyPair::from_seed(core::array::from_fn(|i| i as u8))
}

fn point(key: &PublicKey) -> EdwardsPoint {
    CompressedEdwardsY(*key.as_bytes()).decompress().unwrap()
}

#[test]
fn ed25519_gives_the_values_of_rfc_8032() {
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ];
    for (seed, public, message, signature) in cases {
        let pair = KeyPair::from_seed(array(seed));
        let message = hex(message);
        assert_eq!(pair.public().as_bytes(), &array(public));
        assert_eq!(pair.sign(&message), array(signature));
        assert!(pair.public().verify(&[&message], &array(signature)));
    }
}

#[test]
fn the_forms_of_a_pair_are_those_that_another_program_makes() {
    let pair = known();
    assert_eq!(pair.public().as_bytes(), &array(KNOWN_KEY));
    assert_eq!(pair.public().x25519(), array(KNOWN_X25519));
    assert_eq!(pair.public().to_string(), KNOWN_TEXT);
    assert_eq!(*pair.to_secret_text(), KNOWN_SECRET_TEXT);
    assert_eq!(pair.reset_token(0x0102_0304_0506_0708), array("504e6dd5785adf396c10ffac678cf488"));
}

#[test]
fn both_forms_of_a_pair_belong_together_and_lead_back() {
    for_seeds(20, |rng| {
        let pair = KeyPair::generate(rng);
        let key = pair.public();
        assert_eq!(pair.dh_secret().public(), &key.x25519());
        assert_eq!(PublicKey::from_bytes(key.as_bytes()), Ok(key));
        assert_eq!(PublicKey::from_x25519(&key.x25519(), key.sign_bit()), Ok(key));

        let text = key.to_string();
        assert_eq!(text.len(), 59);
        assert_eq!(text.parse(), Ok(key));
        assert_eq!(text.to_uppercase().parse(), Ok(key));
        let again = KeyPair::from_secret_text(&pair.to_secret_text().to_uppercase()).unwrap();
        assert_eq!(again.public(), key);
    });
}

#[test]
fn the_sign_bit_tells_a_key_from_its_negative() {
    for_seeds(10, |rng| {
        let key = KeyPair::generate(rng).public();
        let negative = PublicKey::from_bytes((-point(&key)).compress().as_bytes()).unwrap();
        assert_ne!(key, negative);
        assert_ne!(key.sign_bit(), negative.sign_bit());
        assert_eq!(key.x25519(), negative.x25519());
        assert!(key.same_identity(&negative) && key.same_identity(&key), "a ban meets both");
        assert_eq!(PublicKey::from_x25519(&key.x25519(), negative.sign_bit()), Ok(negative));

        let other = KeyPair::generate(rng).public();
        assert_eq!(key.same_identity(&other), key.x25519() == other.x25519());
    });
}

#[test]
fn every_encoding_of_small_order_is_refused() {
    for torsion in EIGHT_TORSION {
        assert_eq!(PublicKey::from_bytes(torsion.compress().as_bytes()), Err(KeyError::SmallOrder));
        let u = torsion.to_montgomery().to_bytes();
        for sign in [false, true] {
            assert!(PublicKey::from_x25519(&u, sign).is_err());
        }
    }
}

#[test]
fn every_encoding_that_is_not_canonical_is_refused() {
    // y of p to 2^255 - 1, with either sign, are second encodings of 0 to 18.
    for y in 0..19_u8 {
        for sign in [0, 0x80] {
            let mut bytes = [0xff; 32];
            bytes[0] = 0xed + y;
            bytes[31] = 0x7f | sign;
            let error = PublicKey::from_bytes(&bytes).unwrap_err();
            assert!(matches!(error, KeyError::NotCanonical | KeyError::NotOnCurve), "{y}: {error:?}");

            bytes[31] = 0x7f;
            assert!(PublicKey::from_x25519(&bytes, sign != 0).is_err(), "u = p + {y}");
        }
    }
    // x = 0 has no negative: y = 1 and y = -1 with the sign bit.
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    assert_eq!(PublicKey::from_bytes(&one), Err(KeyError::NotCanonical));
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    assert_eq!(PublicKey::from_bytes(&minus_one), Err(KeyError::NotCanonical));
}

#[test]
fn a_second_form_of_an_x25519_key_is_refused() {
    for_seeds(5, |rng| {
        let key = KeyPair::generate(rng).public();
        let mut u = key.x25519();
        u[31] |= 0x80;
        assert_eq!(PublicKey::from_x25519(&u, key.sign_bit()), Err(KeyError::NotCanonical));
    });
}

#[test]
fn a_key_with_a_torsion_component_is_refused() {
    for_seeds(4, |rng| {
        let key = KeyPair::generate(rng).public();
        for torsion in &EIGHT_TORSION[1..] {
            let torsioned = point(&key) + torsion;
            let bytes = torsioned.compress().to_bytes();
            assert_eq!(PublicKey::from_bytes(&bytes), Err(KeyError::Torsion));
            let u = torsioned.to_montgomery().to_bytes();
            assert_eq!(PublicKey::from_x25519(&u, bytes[31] & 0x80 != 0), Err(KeyError::Torsion));
        }
    });
}

#[test]
fn what_is_on_no_curve_is_refused() {
    for_seeds(1, |rng| {
        let refused = |_: usize| {
            let bytes = rng.array();
            let by_u = PublicKey::from_x25519(&bytes, false).is_err();
            PublicKey::from_bytes(&bytes).is_err() && by_u
        };
        // One in sixteen random strings is a key: half are on the curve, an eighth of these without torsion.
        let refused = (0..400).map(refused).filter(|refused| *refused).count();
        assert!((320..400).contains(&refused), "{refused}");
    });
}

#[test]
fn a_signature_of_another_form_is_refused() {
    for_seeds(4, |rng| {
        let pair = KeyPair::generate(rng);
        let key = pair.public();
        let message: [u8; 50] = rng.array();
        let signature = pair.sign(&message);
        assert!(key.verify(&[&message[..10], &message[10..]], &signature));
        assert!(!key.verify(&[&message[..49]], &signature));
        assert!(!KeyPair::generate(rng).public().verify(&[&message], &signature));
        for byte in 0..64 {
            let mut changed = signature;
            changed[byte] ^= 1 << rng.below(8);
            assert!(!key.verify(&[&message], &changed), "byte {byte}");
        }
        // S + L is the same number to the equation.
        let order: [u8; 32] = array("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let mut unreduced = signature;
        let mut carry = 0;
        for (byte, add) in unreduced[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        assert!(!key.verify(&[&message], &unreduced));
    });
}

/// A signature whose R is `r·B + torsion`, and which fits the equation multiplied by the cofactor.
fn sign_with_torsion(seed: &[u8; 32], r: Scalar, torsion: EdwardsPoint, message: &[u8]) -> [u8; 64] {
    let signing = SigningKey::from_bytes(seed);
    let big_r = (EdwardsPoint::mul_base(&r) + torsion).compress();
    let mut hash = Sha512::new();
    hash.update(big_r.as_bytes());
    hash.update(signing.verifying_key().as_bytes());
    hash.update(message);
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let s = r + k * signing.to_scalar();
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(big_r.as_bytes());
    signature[32..].copy_from_slice(s.as_bytes());
    signature
}

#[test]
fn a_signature_whose_r_has_torsion_or_small_order_is_refused() {
    for_seeds(4, |rng| {
        let seed = rng.array();
        let key = KeyPair::from_seed(seed).public();
        let r = Scalar::from_bytes_mod_order(rng.array());
        for (i, torsion) in EIGHT_TORSION.into_iter().enumerate() {
            let signature = sign_with_torsion(&seed, r, torsion, b"message");
            assert_eq!(key.verify(&[b"message"], &signature), i == 0, "torsion {i}");
            // R of small order, the neutral point included, fits the equation for i = 0 too.
            let signature = sign_with_torsion(&seed, Scalar::ZERO, torsion, b"message");
            assert!(!key.verify(&[b"message"], &signature), "small {i}");
        }
    });
}

#[test]
fn a_mistyped_key_is_noticed() {
    let alphabet = "abcdefghijklmnopqrstuvwxyz234567";
    for (i, letter) in KNOWN_TEXT.char_indices().skip(3) {
        for other in alphabet.chars().filter(|other| *other != letter) {
            let mut text = String::from(KNOWN_TEXT);
            text.replace_range(i..=i, &other.to_string());
            assert!(text.parse::<PublicKey>().is_err(), "{text}");
        }
    }
}

#[test]
fn a_text_that_is_no_key_is_told_what_it_is() {
    let parse = |text: &str| text.parse::<PublicKey>().unwrap_err();
    assert_eq!(parse(""), KeyError::NotAKey);
    assert_eq!(parse("tk"), KeyError::NotAKey);
    assert_eq!(parse("ssh-ed25519"), KeyError::NotAKey);
    assert_eq!(parse("äöü"), KeyError::NotAKey);
    assert_eq!(parse("tk1"), KeyError::Length);
    assert_eq!(parse(&KNOWN_TEXT[..58]), KeyError::Length);
    assert_eq!(parse(&std::format!("{KNOWN_TEXT}a")), KeyError::Length);
    assert_eq!(parse(&"tk1a".repeat(1_000)), KeyError::Character('1'));
    assert_eq!(parse(&KNOWN_TEXT.replace("aeb", "ae0")), KeyError::Character('0'));
    assert_eq!(parse(&KNOWN_TEXT.replace("aeb", "aeß")), KeyError::Character('ß'));
    assert_eq!(parse(&KNOWN_TEXT.replace("aeb", "aec")), KeyError::Check);
    assert_eq!(parse(&KNOWN_TEXT.replace("aeb", "ieb")), KeyError::UnknownKeyType(65));
    assert_eq!(parse(KNOWN_SECRET_TEXT), KeyError::SecretGiven);
    assert_eq!(std::format!(" {KNOWN_TEXT}\n").parse(), Ok(known().public()), "blanks around it do no harm");

    let secret = |text: &str| KeyPair::from_secret_text(text).unwrap_err();
    assert_eq!(secret(KNOWN_TEXT), KeyError::PublicGiven);
    assert_eq!(secret(&KNOWN_SECRET_TEXT.replace("aea", "ae!")), KeyError::SecretCharacter);
    assert_eq!(secret(&KNOWN_SECRET_TEXT.replace("aea", "aeb")), KeyError::Check);
}

#[test]
fn random_texts_are_refused_and_never_panic() {
    let characters: Vec<char> = "tkTK1sS27aZz0 é~🎲".chars().collect();
    for_seeds(20, |rng| {
        for _ in 0..200 {
            let length = rng.below(70);
            let text: String =
                (0..length).map(|_| characters[rng.below(characters.len() as u64) as usize]).collect();
            assert!(text.parse::<PublicKey>().is_err());
            assert!(KeyPair::from_secret_text(&text).is_err());
            assert!(std::format!("tk1{text}").parse::<PublicKey>().is_err());
        }
    });
}

#[test]
fn debug_shows_the_public_key_only() {
    let shown = std::format!("{:?}", known());
    assert_eq!(shown, std::format!("KeyPair({KNOWN_TEXT})"));
}
