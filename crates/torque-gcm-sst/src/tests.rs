//! Every test is run with each code that there is for this processor.

use std::vec::Vec;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128Enc, Block};

use super::*;

/// The cipher by the code that `GcmSst::new` chooses, and by the portable code.
fn both(key: [u8; 16]) -> [GcmSst; 2] {
    [GcmSst::new(&key), GcmSst(Code::Portable(portable::GcmSst::new(&key)))]
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_processor_that_has_all_that_is_needed_is_made_use_of() {
    use std::is_x86_feature_detected as has;
    let has_all = has!("aes") && has!("pclmulqdq") && has!("sse4.1");
    assert_eq!(matches!(GcmSst::new(&[0; 16]).0, Code::X86_64(_)), has_all);
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

/// Bytes without a pattern, the same in each run.
fn bytes<const N: usize>(seed: u64) -> [u8; N] {
    let mut state = seed;
    core::array::from_fn(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
}

/// Key, nonce, associated data, text, ciphertext, full tag.
type Case = [&'static str; 6];

/// draft-mattsson-cfrg-aes-gcm-sst, "AES-GCM-SST Test Vectors", those with keys of 128 bits.
const CASES: [Case; 6] = [
    [
        "000102030405060708090a0b0c0d0e0f",
        "303132333435363738393a3b",
        "",
        "",
        "",
        "9b1d49ea42b00aecb0bceb8dd0efc2b9",
    ],
    [
        "000102030405060708090a0b0c0d0e0f",
        "303132333435363738393a3b",
        "4041424344",
        "",
        "",
        "7ff3cba4d5f308a5704e2fd5f23ae8f9",
    ],
    [
        "000102030405060708090a0b0c0d0e0f",
        "303132333435363738393a3b",
        "",
        "606162636465666768696a6b",
        "64f05bae1ed2403a71255edd",
        "f8de1785fd1a90d9818fcb7b44698a8b",
    ],
    [
        "000102030405060708090a0b0c0d0e0f",
        "303132333435363738393a3b",
        "404142434445464748494a4b4c4d4e4f",
        "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e",
        "64f05bae1ed2403a71255edd53495ce17dc0cbc785a7a920db4228ff633210",
        "934356140b84482cd014c7407ee9ccb6",
    ],
    [
        "000102030405060708090a0b0c0d0e0f",
        "303132333435363738393a3b",
        "404142434445464748494a4b4c4d4e",
        "606162636465666768696a6b6c6d6e6f70",
        "64f05bae1ed2403a71255edd53495ce17d",
        "f850b7971143abe9315ad7eb3b0a1681",
    ],
    [
        "2923be84e16cd6ae529049f1f1bbe9eb",
        "9a50ee407836fd124932f69e",
        "1f035a7d0938251f5dd4cbfc96f5453b130d",
        "ad4f14f2444066d06bc430b7323ba122f622919d",
        "b865d5160783117321f56cb0754516b3da9db809",
        "4503bfb0968239b367e970c383c5106f",
    ],
];

#[test]
fn it_gives_the_values_of_its_draft() {
    for [key, nonce, ad, text, sealed, tag] in CASES {
        let (nonce, ad, text) = (array(nonce), hex(ad), hex(text));
        for cipher in both(array(key)) {
            let mut bytes = text.clone();
            assert_eq!(cipher.seal(&nonce, &ad, &mut bytes).as_slice(), hex(tag));
            assert_eq!(bytes, hex(sealed));
            for length in 4..=16 {
                let mut opened = bytes.clone();
                assert!(cipher.open(&nonce, &ad, &mut opened, &hex(tag)[..length]));
                assert_eq!(opened, text);
            }
        }
    }
}

/// Multiplication in POLYVAL's field, bit by bit as RFC 8452 section 3 defines it: x^-128 times the product.
fn dot(a: u128, b: u128) -> u128 {
    // x^128 + x^127 + x^126 + x^121 + 1, without its highest term.
    const REST: u128 = 1 << 127 | 1 << 126 | 1 << 121 | 1;
    let mut product = 0;
    for bit in 0..128 {
        if a >> bit & 1 == 1 {
            product ^= b;
        }
        // Divide by x.
        product = if product & 1 == 1 { (product ^ REST) >> 1 | 1 << 127 } else { product >> 1 };
    }
    product
}

fn blocks(bytes: &[u8]) -> impl Iterator<Item = u128> + '_ {
    bytes.chunks(16).map(|part| {
        let mut block = [0; 16];
        block[..part.len()].copy_from_slice(part);
        u128::from_le_bytes(block)
    })
}

/// The definition, block by block.
fn by_definition(key: &[u8; 16], nonce: &[u8; 12], ad: &[u8], text: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let aes = Aes128Enc::new(key.into());
    let z = |i: u32| {
        let mut block = Block::default();
        block[..12].copy_from_slice(nonce);
        block[12..].copy_from_slice(&i.to_be_bytes());
        aes.encrypt_block(&mut block);
        block.0
    };
    let sealed: Vec<u8> =
        text.iter().enumerate().map(|(at, byte)| byte ^ z(3 + (at / 16) as u32)[at % 16]).collect();
    let [h, h2, m] = [0, 1, 2].map(|i| u128::from_le_bytes(z(i)));
    let hash = blocks(ad).chain(blocks(&sealed)).fold(0, |hash, block| dot(hash ^ block, h));
    let lengths = (sealed.len() as u128 * 8) | (ad.len() as u128 * 8) << 64;
    (sealed, (dot(hash ^ lengths, h2) ^ m).to_le_bytes())
}

#[test]
fn every_length_gives_what_the_definition_gives() {
    let (key, nonce, long) = (bytes(1), bytes(2), bytes::<1_536>(3));
    for cipher in both(key) {
        for (text, ad) in
            (0..700).map(|n| (n, 19)).chain((0..300).map(|n| (100, n))).chain((0..40).map(|n| (1200, n)))
        {
            let (text, ad) = (&long[..text], &long[1200..1200 + ad]);
            let (sealed, tag) = by_definition(&key, &nonce, ad, text);
            let mut bytes = text.to_vec();
            assert_eq!(cipher.seal(&nonce, ad, &mut bytes), tag, "{} {}", text.len(), ad.len());
            assert_eq!(bytes, sealed);
            assert!(cipher.open(&nonce, ad, &mut bytes, &tag[..8]));
            assert_eq!(bytes, text);
        }
    }
}

#[test]
fn what_was_changed_is_not_opened() {
    for (seed, cipher) in (0..).zip((10..20).flat_map(|key| both(bytes(key)))) {
        let (nonce, ad, text) = (bytes(seed), bytes::<19>(seed + 100), bytes::<200>(seed + 200));
        let mut sealed = text;
        let tag = cipher.seal(&nonce, &ad, &mut sealed);
        let flip = |at: usize| 1u8 << (at % 8);
        for bit in 0..8 * 200 {
            let mut changed = sealed;
            changed[bit / 8] ^= flip(bit);
            let as_it_was = changed;
            assert!(!cipher.open(&nonce, &ad, &mut changed, &tag[..4]));
            // What is not authentic must not become plaintext for whoever sees the buffer.
            assert_eq!(changed, as_it_was);
        }
        for bit in 0..8 * 19 {
            let mut changed = ad;
            changed[bit / 8] ^= flip(bit);
            assert!(!cipher.open(&nonce, &changed, &mut { sealed }, &tag[..4]));
        }
        for length in 4..=16 {
            for bit in 0..8 * length {
                let mut changed = tag;
                changed[bit / 8] ^= flip(bit);
                assert!(!cipher.open(&nonce, &ad, &mut { sealed }, &changed[..length]));
            }
            assert!(cipher.open(&nonce, &ad, &mut { sealed }, &tag[..length]));
        }
        assert!(!cipher.open(&nonce, &ad, &mut { sealed }, &[]));
        assert!(!cipher.open(&nonce, &ad, &mut { sealed }, &[0; 17]));
    }
}
