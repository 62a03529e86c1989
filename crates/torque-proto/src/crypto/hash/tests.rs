use super::*;
use crate::crypto::testing::{array, hex};

#[test]
fn hmac_gives_the_values_of_rfc_4231() {
    let cases = [
        (
            [0x0b; 20].to_vec(),
            b"Hi There".as_slice(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            [0xaa; 131].to_vec(),
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ];
    for (key, data, wanted) in cases {
        assert_eq!(hmac_sha256(&key, &[data]), array(wanted));
    }
}

#[test]
fn hkdf_gives_the_values_of_rfc_5869() {
    let prk = extract(&[&hex("000102030405060708090a0b0c")], &[0x0b; 22]);
    assert_eq!(prk, array("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"));
    let mut okm = [0; 42];
    expand(&prk, &[&hex("f0f1f2f3f4f5f6f7f8f9")], &mut okm);
    let wanted = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(okm, array(wanted));

    let prk = extract(&[], &[0x0b; 22]);
    assert_eq!(prk, array("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"));
    expand(&prk, &[], &mut okm);
    let wanted = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
    assert_eq!(okm, array(wanted));
}

#[test]
fn parts_count_as_their_join_wherever_they_are_cut() {
    let all: std::vec::Vec<u8> = (0..150).collect();
    // Keys below, at and above a block of the hash.
    for length in [0, 1, 63, 64, 65, 150] {
        let text = &all[..length];
        let (whole_hash, whole_prk) = (sha256(&[text]), extract(&[text], b"ikm"));
        for cut in 0..=length {
            let (a, b) = text.split_at(cut);
            assert_eq!(sha256(&[a, b]), whole_hash);
            assert_eq!(extract(&[a, b], b"ikm"), whole_prk);
            assert_eq!(hmac_sha256(b"key", &[a, b]), hmac_sha256(b"key", &[text]));
            let (mut cut_out, mut whole_out) = ([0; 70], [0; 70]);
            expand(&whole_prk, &[a, b], &mut cut_out);
            expand(&whole_prk, &[text], &mut whole_out);
            assert_eq!(cut_out, whole_out);
        }
    }
}
