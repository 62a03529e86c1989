use super::*;
use crate::crypto::testing::{array, for_seeds, hex};

#[test]
fn ctr_with_hmac_gives_the_values_of_rfc_9605() {
    // C.2: tags of 10, 8 and 4 bytes.
    let pair = CtrHmac::new(&core::array::from_fn(|i| i as u8));
    let nonce = array("101112131415161718191a1b");
    let ad = hex("4945544620534672616d65205747");
    let text = hex("64726166742d696574662d736672616d652d656e63");
    let ciphertext = hex("6339af04ada1d064688a442b8dc69d5b6bfa40f4be");
    for tag in ["f0583e8081069cc60705", "6e93b7da076927bb", "09480509"].map(hex) {
        let mut sealed = text.clone();
        let full = pair.seal(&nonce, &ad, &mut sealed, tag.len() as u8);
        assert_eq!(sealed, ciphertext);
        assert_eq!(full[..tag.len()], tag);
        assert!(pair.open(&nonce, &ad, &mut sealed, &tag));
        assert_eq!(sealed, text);
    }
}

#[test]
fn aes_128_gcm_gives_the_value_of_its_specification() {
    // McGrew and Viega, test case 4.
    let mut key = [0; MAX_KEY];
    key[..16].copy_from_slice(&hex("feffe9928665731c6d6a8f9467308308"));
    let cipher = PacketCipher { salt: [0; 12], sealer: Sealer::new(Cipher::Aes128Gcm, &key) };
    let Sealer::Aes128Gcm(gcm) = &cipher.sealer else { panic!("another cipher") };
    let nonce: [u8; 12] = array("cafebabefacedbaddecaf888");
    let mut text = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
         1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    let ad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let tag = gcm.encrypt_inout_detached((&nonce).into(), &ad, text.as_mut_slice().into()).unwrap();
    assert_eq!(
        text,
        hex("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
             21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091")
    );
    assert_eq!(tag.as_slice(), hex("5bc94fbc3221a5db94fae95ae7121a47"));
}

#[test]
fn a_shorter_tag_is_not_the_beginning_of_a_longer_one() {
    // Or else one that was seen at 16 bytes would be a forgery at 4.
    for_seeds(10, |rng| {
        let pair = CtrHmac::new(&rng.array());
        let (nonce, text) = (rng.array(), rng.array::<40>());
        let tags: std::vec::Vec<Tag> =
            (4..=16).map(|length| pair.seal(&nonce, b"ad", &mut text.clone(), length)).collect();
        for (i, tag) in tags.iter().enumerate() {
            assert!(tags[..i].iter().all(|shorter| shorter[..4] != tag[..4]));
        }
    });
}

#[test]
fn a_forged_packet_is_not_decrypted() {
    // What is not authentic must not become keystream for whoever sees the buffer.
    for_seeds(10, |rng| {
        let pair = CtrHmac::new(&rng.array());
        let (nonce, sealed) = (rng.array(), rng.array::<40>());
        let mut text = sealed;
        assert!(!pair.open(&nonce, b"ad", &mut text, &rng.array::<8>()));
        assert_eq!(text, sealed);
    });
}
