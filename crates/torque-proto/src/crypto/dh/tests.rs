use super::*;
use crate::crypto::testing::{array, for_seeds};

#[test]
fn x25519_gives_the_values_of_rfc_7748() {
    // 5.2
    let scalar =
        DhSecret::from_bytes(array("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"));
    let shared =
        scalar.agree(&array("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")).unwrap();
    assert_eq!(*shared, array("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
    // 6.1
    let a = DhSecret::from_bytes(array("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"));
    let b = DhSecret::from_bytes(array("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
    let wanted = array("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(*a.agree(b.public()).unwrap(), wanted);
    assert_eq!(*b.agree(a.public()).unwrap(), wanted);
    assert_eq!(*a.public(), array("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    assert_eq!(*b.public(), array("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
}

#[test]
fn an_all_zero_secret_is_refused() {
    // All u of small order, as RFC 7748 and the literature list them, also with the top bit set.
    let small = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for_seeds(4, |rng| {
        let secret = DhSecret::from_bytes(rng.array());
        for text in small {
            let mut u: [u8; 32] = array(text);
            assert!(secret.agree(&u).is_none(), "{text}");
            u[31] |= 0x80;
            assert!(secret.agree(&u).is_none(), "{text} with the top bit");
            assert!(secret.agree_first(&u).is_none());
        }
    });
}

#[test]
fn a_key_that_was_agreed_with_once_gives_a_secret_with_every_private_key() {
    for_seeds(20, |rng| {
        // Half of these are points of the twist, and most have a part of small order.
        let u: [u8; 32] = rng.array();
        let (key, first) = DhSecret::from_bytes(rng.array()).agree_first(&u).unwrap();
        assert_ne!(*first, [0; 32]);
        let mut greatest = [0xff; 32];
        greatest[31] = 0x7f;
        for secret in [rng.array(), [0; 32], greatest] {
            let secret = DhSecret::from_bytes(secret);
            assert_eq!(Some(secret.agree_again(&key)), secret.agree(&u));
        }
    });
}

#[test]
fn debug_shows_nothing_of_a_secret() {
    assert_eq!(std::format!("{:?}", DhSecret::from_bytes([7; 32])), "DhSecret");
}
