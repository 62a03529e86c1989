use super::*;
use crate::crypto::testing::{array, for_seeds, hex};

#[test]
fn sealing_is_noises_chachapoly() {
    // Cross-checked with another library: key 00 01 … 1f, nonce zero.
    let key: [u8; 32] = core::array::from_fn(|i| i as u8);
    let mut out = b"kept".to_vec();
    out.extend_from_slice(b"text");
    seal(&key, Nonce::ONLY, b"ad", &mut out, 4);
    assert_eq!(&out[..4], b"kept");
    assert_eq!(out[4..], hex("6cdd3a456d8a214bcbe963c3aba54bf5ee4420a6"));
    assert_eq!(open(&key, Nonce::ONLY, b"ad", &out[4..]).unwrap(), b"text");
}

#[test]
fn the_underlying_cipher_gives_the_value_of_rfc_8439() {
    // 2.8.2
    let key: [u8; 32] = core::array::from_fn(|i| 0x80 + i as u8);
    let nonce: [u8; 12] = array("070000004041424344454647");
    let mut text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.".to_vec();
    let tag = ChaCha20Poly1305::new((&key).into())
        .encrypt_inout_detached((&nonce).into(), &hex("50515253c0c1c2c3c4c5c6c7"), text.as_mut_slice().into())
        .unwrap();
    assert_eq!(text[..16], hex("d31a8d34648e60db7b86afbc53ef7ec2"));
    assert_eq!(tag.as_slice(), hex("1ae10b594f09e26a7e902ecbd0600691"));
}

#[test]
fn nothing_that_was_changed_or_cut_opens() {
    for_seeds(20, |rng| {
        let key = rng.array();
        let mut sealed = alloc::vec![0; rng.below(60) as usize];
        rng.fill(&mut sealed);
        seal(&key, Nonce::ONLY, b"ad", &mut sealed, 0);
        assert!(open(&key, Nonce::ONLY, b"ad", &sealed).is_some());
        assert!(open(&key, Nonce::ONLY, b"da", &sealed).is_none());
        for length in 0..sealed.len() {
            assert!(open(&key, Nonce::ONLY, b"ad", &sealed[..length]).is_none());
            let mut changed = sealed.clone();
            changed[length] ^= 1 << rng.below(8);
            assert!(open(&key, Nonce::ONLY, b"ad", &changed).is_none());
        }
    });
}
