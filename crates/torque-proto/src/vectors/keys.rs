//! keys.json: the key schedule and the packet ciphers (PROTOCOL.md 3.3, 3.4), sealed punches (PATHS.md 2.1, 3), and the keys of
//! introductions (INTRODUCTIONS.md 6).

use std::format;
use std::vec::Vec;

use super::json::{Json, object};
use super::layouts::punch_fields;
use super::rng;
use crate::crypto::Cipher;
use crate::crypto::dh::DhSecret;
use crate::crypto::introduced::IntroducedKeys;
use crate::crypto::keys::vectors as keys;
use crate::crypto::rng::Rng;
use crate::crypto::secret::{ConnectionSecret, Direction, HandshakeSecret, PunchKey};
use crate::identity::KeyPair;
use crate::wire::Punch;

const CIPHERS: [Cipher; 3] = [Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305, Cipher::Aes128GcmSst];
pub(super) const DIRECTIONS: [(&str, Direction); 2] =
    [("initiator", Direction::FromInitiator), ("host", Direction::FromHost)];

pub(super) fn vectors() -> Vec<Json> {
    let mut rng = rng("keys");
    let mut vectors: Vec<Json> =
        ["key_schedule_a", "key_schedule_b"].map(|name| key_schedule(name, &mut rng)).into();
    for (cipher, tag_bytes) in
        [(CIPHERS[0], 16), (CIPHERS[1], 16), (CIPHERS[2], 4), (CIPHERS[2], 8), (CIPHERS[2], 16)]
    {
        for (text, ad) in [(0, 19), (1, 0), (16, 19), (17, 23), (100, 21), (300, 64)] {
            vectors.push(seal(cipher, tag_bytes, text, ad, &mut rng));
        }
    }
    punches(&mut vectors);
    introductions(&mut vectors);
    vectors
}

/// What two sides of one connection send, and a punch of another connection.
fn punches(vectors: &mut Vec<Json>) {
    let mut rng = rng("punches");
    let [prk, other]: [[u8; 32]; 2] = core::array::from_fn(|_| rng.array());
    let id = rng.u64();
    let [first, second, third] = core::array::from_fn(|_| rng.u64());
    for (name, prk, is_from_host, number, echo) in [
        ("initiator_asks", prk, false, first, 0),
        ("host_answers_and_asks", prk, true, second, first),
        ("initiator_answers", prk, false, 0, second),
        ("host_asks", other, true, third, 0),
    ] {
        let key = ConnectionSecret::from_prk(prk).punch_key();
        let punch = Punch { is_from_host, is_of_connection: true, id, number, echo };
        vectors.push(object! {
            "name": format!("punch_{name}"),
            "kind": "punch",
            "prk": prk,
            "punch_key": key.expose(),
            "fields": punch_fields(&punch, tag(&key, &punch)),
            "hex": &key.seal(&punch),
        });
    }
}

/// What an introducer told two parties, what the host seals with it, and a punch of each side.
fn introductions(vectors: &mut Vec<Json>) {
    let mut rng = rng("introductions");
    for (name, data_bytes) in [("without_data", 0), ("data", 100), ("most_data", 480)] {
        let (initiator_nonce, host_nonce, secret): ([u8; 16], [u8; 16], [u8; 32]) =
            (rng.array(), rng.array(), rng.array());
        let [initiator, host] = core::array::from_fn(|_| KeyPair::from_seed(rng.array()).public());
        let id = rng.u64();
        let derive = || {
            let keys = (initiator.as_bytes(), host.as_bytes());
            IntroducedKeys::derive(&initiator_nonce, &host_nonce, &secret, id, keys.0, keys.1)
        };
        let keys = derive();
        let mut data = std::vec![0; data_bytes];
        rng.fill(&mut data);
        let sealed = derive().data.seal(id, &data);
        assert_eq!(keys.data.open(id, &sealed).as_ref(), Some(&data));
        let punch = |is_from_host, number, echo| {
            let punch = Punch { is_from_host, is_of_connection: false, id, number, echo };
            object! { "fields": punch_fields(&punch, tag(&keys.punch, &punch)), "hex": &keys.punch.seal(&punch) }
        };
        let (first, second) = (rng.u64(), rng.u64());
        let punches: Vec<Json> =
            [punch(false, first, 0), punch(true, second, first), punch(false, 0, second)].into();
        vectors.push(object! {
            "name": format!("introduction_{name}"),
            "kind": "introduced_keys",
            "introduction_id": id.to_be_bytes(),
            "secret": secret,
            "initiator_nonce": initiator_nonce,
            "host_nonce": host_nonce,
            "initiator_public_key": initiator.as_bytes(),
            "host_public_key": host.as_bytes(),
            "psk": keys.psk.expose(),
            "punch_key": keys.punch.expose(),
            "data_key": keys.data.expose(),
            "introduced_data": data,
            "sealed_data": sealed,
            "punches": punches,
        });
    }
}

/// The right tag of a punch.
fn tag(key: &PunchKey, punch: &Punch) -> [u8; Punch::TAG_BYTES] {
    let (read, tag) = Punch::parse(&key.seal(punch)).expect("it is a punch");
    assert!(read == *punch && key.verifies(punch, &tag));
    tag
}

fn key_schedule(name: &str, rng: &mut Rng) -> Json {
    let (ck, h, host_salt): ([u8; 32], [u8; 32], [u8; 16]) = (rng.array(), rng.array(), rng.array());
    let mut second = super::rng(name);
    let [e_secret, s_secret, e2_secret]: [[u8; 32]; 3] = core::array::from_fn(|_| second.array());
    let [e, s, fresh] = [e_secret, s_secret, e2_secret].map(DhSecret::from_bytes);
    let answers = HandshakeSecret::from_parts(ck, h).answers(&host_salt);
    let secret = answers.accepted(&e, &s, fresh.public()).expect("it is no key of small order");
    let (mut generations, mut nonces) = (Vec::new(), Vec::new());
    for cipher in CIPHERS {
        for (direction, side) in DIRECTIONS {
            one_direction(&secret, cipher, (direction, side), rng, &mut generations, &mut nonces);
        }
    }
    object! {
        "name": name,
        "kind": "key_schedule",
        "ck": ck,
        "h": h,
        "host_salt": host_salt,
        "e_secret": e_secret,
        "s_secret": s_secret,
        "e2_secret": e2_secret,
        "e2": fresh.public(),
        "dh_e_e2": *e.agree(fresh.public()).expect("as above"),
        "dh_s_e2": *s.agree(fresh.public()).expect("as above"),
        "prk0": answers.prk0(),
        "refuse_key": answers.refuse_key(),
        "pending_key": answers.pending_key(),
        "prk": secret.prk(),
        "accept_key": secret.accept_key(),
        "generations": generations,
        "nonces": nonces,
    }
}

fn one_direction(
    secret: &ConnectionSecret,
    cipher: Cipher,
    (name, direction): (&str, Direction),
    rng: &mut Rng,
    generations: &mut Vec<Json>,
    nonces: &mut Vec<Json>,
) {
    let mut traffic = secret.traffic(direction);
    for generation in 0..3_u64 {
        let keys = keys::generation(&traffic, cipher);
        generations.push(object! {
            "cipher": cipher.number(),
            "direction": name,
            "generation": generation,
            "traffic": traffic.expose(),
            "data_key": &keys.data.0,
            "data_salt": keys.data.1,
            "control_key": &keys.control.0,
            "control_salt": keys.control.1,
        });
        let sequence = generation << 16 | rng.below(1 << 16);
        let counter = 1 + rng.below(1 << (8 + 8 * generation));
        let data = keys::data_nonce(&keys.data.1, sequence);
        let control = keys::control_nonce(&keys.control.1, counter);
        for (domain, counter, nonce) in [(1_u8, sequence, data), (2, counter, control)] {
            nonces.push(object! {
                "cipher": cipher.number(),
                "direction": name,
                "generation": generation,
                "domain": domain,
                "counter": counter,
                "nonce": nonce,
            });
        }
        traffic = keys.next;
    }
}

fn seal(cipher: Cipher, tag_bytes: u8, text_bytes: usize, ad_bytes: usize, rng: &mut Rng) -> Json {
    let mut bytes = |count| {
        let mut bytes = std::vec![0; count];
        rng.fill(&mut bytes);
        bytes
    };
    let (key, ad, text) = (bytes(cipher.key_bytes()), bytes(ad_bytes), bytes(text_bytes));
    let salt: [u8; 12] = rng.array();
    let sequence = rng.below(1 << 53);
    let sealed = keys::seal(cipher, (&key, &salt), sequence, &ad, &text, tag_bytes);
    object! {
        "name": format!("cipher_{}_tag_{tag_bytes}_text_{text_bytes}", cipher.number()),
        "kind": "seal",
        "cipher": cipher.number(),
        "tag_bytes": tag_bytes,
        "key": key,
        "nonce": keys::data_nonce(&salt, sequence),
        "associated_data": ad,
        "text": text,
        "sealed": sealed,
    }
}
