use super::*;
use crate::crypto::testing::for_seeds;

#[test]
fn the_same_seed_gives_the_same_numbers_and_another_gives_others() {
    let draw = |seed| -> [u8; 100] { Rng::new([seed; 32]).array() };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn the_numbers_are_the_chacha20_keystream_of_the_seed() {
    // RFC 8439 A.1, test vector 1: zero key, zero nonce, block 0.
    let wanted = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7";
    assert_eq!(Rng::new([0; 32]).array::<32>(), crate::crypto::testing::array(wanted));
}

#[test]
fn below_stays_below_and_reaches_every_number() {
    for_seeds(4, |rng| {
        for n in 1..20 {
            let mut seen = [false; 20];
            for _ in 0..1_000 {
                let drawn = rng.below(n);
                assert!(drawn < n);
                seen[drawn as usize] = true;
            }
            assert!(seen[..n as usize].iter().all(|seen| *seen), "{n}");
        }
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        // Of a range that is no power of two and nearly all of 64 bits, half the draws have to be repeated.
        let n = (1 << 63) + 1;
        assert!((0..100).all(|_| rng.below(n) < n));
    });
}
