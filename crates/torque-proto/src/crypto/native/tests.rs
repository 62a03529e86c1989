//! The native code and the portable code are one.

use std::vec::Vec;

use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::AeadInOut;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::montgomery::MontgomeryPoint;

use super::*;
use crate::crypto::Cipher;
use crate::crypto::testing::{array, for_seeds};

fn is_there() -> bool {
    let is_there = ::graviola::util::is_cpu_supported();
    if !is_there {
        std::eprintln!("left out: this processor has not what the native code asks for");
    }
    is_there
}

#[test]
fn x25519_agrees_with_the_portable_code() {
    if !is_there() {
        return;
    }
    for_seeds(50, |rng| {
        let secret: [u8; 32] = rng.array();
        assert_eq!(x25519_base(&secret), Some(MontgomeryPoint::mul_base_clamped(secret).to_bytes()));
        let mut publics: Vec<[u8; 32]> = std::vec![rng.array(), [0; 32], [0xff; 32]];
        publics.extend(EIGHT_TORSION.iter().map(|point| point.to_montgomery().to_bytes()));
        for public in publics {
            // On the twist and not reduced, too: the top bit is not looked at.
            let shared = MontgomeryPoint(public).mul_clamped(secret).to_bytes();
            assert_eq!(x25519(&secret, &public), Some(shared));
        }
    });
}

#[test]
fn ciphers_agree_with_the_portable_code() {
    if !is_there() {
        return;
    }
    use aes_gcm::KeyInit;
    for_seeds(5, |rng| {
        let key: [u8; 32] = rng.array();
        let gcm = aes_gcm::Aes128Gcm::new(key[..16].try_into().unwrap());
        let chacha = ChaCha20Poly1305::new((&key).into());
        for cipher in [Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305] {
            let native = Aead::new(cipher, &key).unwrap();
            for length in (0..300).chain([1_200]) {
                let (nonce, ad): ([u8; 12], [u8; 23]) = (rng.array(), rng.array());
                let ad = &ad[..length % 24];
                let text: Vec<u8> = (0..length).map(|_| rng.array::<1>()[0]).collect();
                let (mut one, mut other) = (text.clone(), text.clone());
                let tag = native.seal(&nonce, ad, &mut one);
                let portable = match cipher {
                    Cipher::Aes128Gcm => {
                        gcm.encrypt_inout_detached((&nonce).into(), ad, other.as_mut_slice().into())
                    }
                    _ => chacha.encrypt_inout_detached((&nonce).into(), ad, other.as_mut_slice().into()),
                };
                assert_eq!((&tag[..], &one), (portable.unwrap().as_slice(), &other));
                assert!(native.open(&nonce, ad, &mut one, &tag));
                assert_eq!(one, text);
                let mut wrong = tag;
                wrong[length % 16] ^= 1 << (length % 8);
                assert!(!native.open(&nonce, ad, &mut other, &wrong));
            }
        }
    });
}

#[test]
fn signatures_are_judged_as_by_the_portable_code() {
    if !is_there() {
        return;
    }
    use ed25519_dalek::{Signature, Signer, SigningKey};
    for_seeds(20, |rng| {
        let signing = SigningKey::from_bytes(&rng.array());
        let key = signing.verifying_key();
        let message: [u8; 90] = rng.array();
        let good = signing.sign(&message).to_bytes();
        let mut signatures = std::vec![good];
        for bit in 0..512 {
            let mut bent = good;
            bent[bit / 8] ^= 1 << (bit % 8);
            signatures.push(bent);
        }
        // S + the group's order is a second name for S. (R of small order is in the tests of `PublicKey::verify`.)
        let mut large = good;
        let order: [u8; 32] = array("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let mut carry = 0u16;
        for (byte, add) in large[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = carry as u8;
            carry >>= 8;
        }
        signatures.push(large);
        for signature in signatures {
            let portable = key.verify_strict(&message, &Signature::from_bytes(&signature)).is_ok();
            assert_eq!(ed25519_verify(key.as_bytes(), &message, &signature), Some(portable));
        }
    });
}
