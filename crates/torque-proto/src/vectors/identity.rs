//! identity.json: key pairs, keys and signatures that are refused, and text forms (PROTOCOL.md 3.1).

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;

use super::json::{Json, object};
use super::rng;
use crate::crypto::rng::Rng;
use crate::identity::{KeyError, KeyPair, PublicKey, key_vectors};

pub(super) fn vectors() -> Vec<Json> {
    let mut rng = rng("identity");
    let mut vectors = Vec::new();
    vectors.push(identity("seed_00_to_1f", core::array::from_fn(|i| i as u8)));
    for (name, wanted) in [("sign_bit_0", false), ("sign_bit_1", true)] {
        vectors.push(identity(name, seed_with_sign(wanted, &mut rng)));
    }
    from_x25519(&mut rng, &mut vectors);
    public_keys(&mut rng, &mut vectors);
    signatures(&mut rng, &mut vectors);
    texts(&mut rng, &mut vectors);
    vectors
}

pub(super) fn seed_with_sign(wanted: bool, rng: &mut Rng) -> [u8; 32] {
    loop {
        let seed = rng.array();
        if KeyPair::from_seed(seed).public().sign_bit() == wanted {
            return seed;
        }
    }
}

fn identity(name: &str, seed: [u8; 32]) -> Json {
    let pair = KeyPair::from_seed(seed);
    let key = pair.public();
    assert_eq!(pair.dh_secret().public(), &key.x25519());
    object! {
        "name": name,
        "kind": "identity",
        "seed": seed,
        "public_key": key.as_bytes(),
        "x25519_secret": pair.dh_secret().clamped(),
        "x25519_public": key.x25519(),
        "sign_bit": u8::from(key.sign_bit()),
        "text_public": key.to_string(),
        "text_secret": pair.to_secret_text().as_str(),
    }
}

/// The name of a reason in the files.
fn reason(error: KeyError) -> &'static str {
    match error {
        KeyError::NotAKey | KeyError::SecretGiven | KeyError::PublicGiven => "text_prefix",
        KeyError::Character(_) | KeyError::SecretCharacter => "text_base32",
        KeyError::Length => "text_length",
        KeyError::UnknownKeyType(_) => "text_key_type",
        KeyError::Check => "text_check",
        KeyError::NotOnCurve => "not_on_curve",
        KeyError::NotCanonical => "not_canonical",
        KeyError::SmallOrder => "small_order",
        KeyError::Torsion => "torsion",
    }
}

/// The vector with the key, or with the reason why there is none.
fn with_result(vector: Json, key: &'static str, result: Result<[u8; 32], KeyError>) -> Json {
    match result {
        Ok(bytes) => vector.with(key, bytes),
        Err(error) => vector.with("refused", reason(error)),
    }
}

/// `p + n` for n below 19, little-endian.
fn p_plus(n: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xed + n, 0x7f);
    bytes
}

/// A point of the subgroup of prime order.
fn good_point(rng: &mut Rng) -> EdwardsPoint {
    EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order(rng.array()))
}

fn from_x25519(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, u: [u8; 32], sign: bool, wanted: Option<KeyError>| {
        let result = PublicKey::from_x25519(&u, sign);
        assert_eq!(result.err(), wanted, "{name}");
        let name = format!("from_x25519_{name}");
        let vector =
            object! { "name": name, "kind": "from_x25519", "x25519_public": u, "sign_bit": u8::from(sign) };
        vectors.push(with_result(vector, "public_key", result.map(|key| *key.as_bytes())));
    };
    let u = good_point(rng).to_montgomery().to_bytes();
    add("sign_0", u, false, None);
    add("sign_1", u, true, None);
    let mut high = u;
    high[31] |= 0x80;
    add("top_bit_set", high, false, Some(KeyError::NotCanonical));
    // u = 9 is the base point; p + 9 is the same number.
    add("p_plus_9", p_plus(9), false, Some(KeyError::NotCanonical));
    let mut minus_one = p_plus(0);
    minus_one[0] -= 1;
    add("minus_1", minus_one, false, Some(KeyError::NotOnCurve));
    let on_twist = loop {
        let mut u: [u8; 32] = rng.array();
        u[31] &= 0x7f;
        if PublicKey::from_x25519(&u, false) == Err(KeyError::NotOnCurve) {
            break u;
        }
    };
    add("on_the_twist", on_twist, true, Some(KeyError::NotOnCurve));
    add("small_order", EIGHT_TORSION[1].to_montgomery().to_bytes(), false, Some(KeyError::SmallOrder));
    let torsioned = (good_point(rng) + EIGHT_TORSION[3]).to_montgomery().to_bytes();
    add("torsion", torsioned, true, Some(KeyError::Torsion));
}

fn public_keys(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, bytes: [u8; 32], wanted: Option<KeyError>| {
        let result = PublicKey::from_bytes(&bytes);
        assert_eq!(result.err(), wanted, "{name}");
        let vector = object! { "name": format!("key_{name}"), "kind": "public_key", "public_key": bytes };
        vectors.push(match result {
            Ok(_) => vector,
            Err(error) => vector.with("refused", reason(error)),
        });
    };
    add("good", good_point(rng).compress().to_bytes(), None);
    for (i, torsion) in EIGHT_TORSION.into_iter().enumerate() {
        add(&format!("small_order_{i}"), torsion.compress().to_bytes(), Some(KeyError::SmallOrder));
        if i > 0 {
            let point = good_point(rng) + torsion;
            add(&format!("torsion_{i}"), point.compress().to_bytes(), Some(KeyError::Torsion));
        }
    }
    // Second encodings of y = 0 to 18 where there is such a point.
    for y in 0..19_u8 {
        let mut reduced = [0; 32];
        reduced[0] = y;
        if CompressedEdwardsY(reduced).decompress().is_some() {
            add(&format!("p_plus_{y}"), p_plus(y), Some(KeyError::NotCanonical));
        }
    }
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    add("1_with_sign", one, Some(KeyError::NotCanonical));
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    add("minus_1_with_sign", minus_one, Some(KeyError::NotCanonical));
    let off_curve = loop {
        let mut bytes: [u8; 32] = rng.array();
        bytes[31] &= 0x7f;
        if PublicKey::from_bytes(&bytes) == Err(KeyError::NotOnCurve) {
            break bytes;
        }
    };
    add("not_on_curve", off_curve, Some(KeyError::NotOnCurve));
}

fn signatures(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let seed = rng.array();
    let pair = KeyPair::from_seed(seed);
    let message = b"what an epoch signs could be anything to this";
    let good = pair.sign(message);
    let mut add = |name: &str, key: PublicKey, message: &[u8], signature: [u8; 64], wanted: bool| {
        let valid = key.verify(&[message], &signature);
        assert_eq!(valid, wanted, "{name}");
        vectors.push(object! {
            "name": format!("signature_{name}"),
            "kind": "signature",
            "public_key": key.as_bytes(),
            "message": message,
            "signature": signature,
            "valid": valid,
        });
    };
    let key = pair.public();
    add("good", key, message, good, true);
    add("of_nothing", key, b"", pair.sign(b""), true);
    add("of_another_message", key, b"another", good, false);
    add("of_another_key", KeyPair::from_seed(rng.array()).public(), message, good, false);
    let mut changed = good;
    changed[40] ^= 1;
    add("with_s_changed", key, message, changed, false);
    changed = good;
    changed[3] ^= 1;
    add("with_r_changed", key, message, changed, false);
    add("with_s_plus_order", key, message, s_plus_order(good), false);

    let r = Scalar::from_bytes_mod_order(rng.array());
    let plain = EdwardsPoint::mul_base(&r);
    let own = key_vectors::sign_with(&seed, r, plain.compress().as_bytes(), message);
    add("with_another_r", key, message, own, true);
    for (i, torsion) in EIGHT_TORSION.into_iter().enumerate() {
        if i > 0 {
            let bytes = (plain + torsion).compress().to_bytes();
            let signature = key_vectors::sign_with(&seed, r, &bytes, message);
            add(&format!("with_r_torsion_{i}"), key, message, signature, false);
        }
        let bytes = torsion.compress().to_bytes();
        let signature = key_vectors::sign_with(&seed, Scalar::ZERO, &bytes, message);
        add(&format!("with_r_small_order_{i}"), key, message, signature, false);
    }
    // The neutral point, y = 1, written as p + 1: the equation holds.
    let signature = key_vectors::sign_with(&seed, Scalar::ZERO, &p_plus(1), message);
    add("with_r_not_canonical", key, message, signature, false);
}

/// The same S to the equation, but not reduced.
fn s_plus_order(mut signature: [u8; 64]) -> [u8; 64] {
    let order: [u8; 32] = (-Scalar::ONE).to_bytes();
    // −1 is L − 1, so the carry begins with 1.
    let mut carry = 1;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    signature
}

fn texts(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let seed = rng.array();
    let pair = KeyPair::from_seed(seed);
    let (public, secret) = (pair.public().to_string(), pair.to_secret_text().to_string());
    let mut add = |name: &str, text: String, wanted: Option<&str>| {
        let result: Result<PublicKey, KeyError> = text.parse();
        assert_eq!(result.err().map(reason), wanted, "{name}");
        let vector = object! { "name": format!("public_text_{name}"), "kind": "public_text", "text": text };
        vectors.push(with_result(vector, "public_key", result.map(|key| *key.as_bytes())));
    };
    add("lower", public.clone(), None);
    add("upper", public.to_uppercase(), None);
    add("mixed", public.replace('a', "A").replace("tk1", "Tk1"), None);
    add("secret_prefix", public.replace("tk1", "ts1"), Some("text_prefix"));
    add("no_prefix", public[3..].into(), Some("text_prefix"));
    add("empty", String::new(), Some("text_prefix"));
    add("digit_1", format!("{}1{}", &public[..20], &public[21..]), Some("text_base32"));
    add("padded", format!("{}=", &public[..58]), Some("text_base32"));
    add("one_less", public[..58].into(), Some("text_length"));
    add("one_more", format!("{public}a"), Some("text_length"));
    add("key_type_65", format!("tk1i{}", &public[4..]), Some("text_key_type"));
    add("check_wrong", changed_last(&public), Some("text_check"));
    let small_order = key_vectors::public_text(EIGHT_TORSION[1].compress().as_bytes());
    add("small_order", small_order, Some("small_order"));
    add("not_canonical", key_vectors::public_text(&p_plus(1)), Some("not_canonical"));
    let torsioned = (good_point(rng) + EIGHT_TORSION[2]).compress();
    add("torsion", key_vectors::public_text(torsioned.as_bytes()), Some("torsion"));

    let mut add = |name: &str, text: String, wanted: Option<&str>| {
        let result = KeyPair::from_secret_text(&text);
        assert_eq!(result.as_ref().err().map(|error| reason(*error)), wanted, "{name}");
        let vector = object! { "name": format!("secret_text_{name}"), "kind": "secret_text", "text": text };
        assert!(result.as_ref().map_or(true, |found| found.public() == pair.public()));
        vectors.push(with_result(vector, "seed", result.map(|_| seed)));
    };
    add("lower", secret.clone(), None);
    add("upper", secret.to_uppercase(), None);
    add("public_prefix", secret.replace("ts1", "tk1"), Some("text_prefix"));
    add("digit_0", format!("{}0{}", &secret[..30], &secret[31..]), Some("text_base32"));
    add("one_less", secret[..58].into(), Some("text_length"));
    add("key_type_65", format!("ts1i{}", &secret[4..]), Some("text_key_type"));
    add("check_wrong", changed_last(&secret), Some("text_check"));
}

/// With another last character.
fn changed_last(text: &str) -> String {
    let (rest, last) = text.split_at(text.len() - 1);
    format!("{rest}{}", if last == "a" { "b" } else { "a" })
}
