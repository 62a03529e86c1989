use super::*;
use crate::crypto::testing::for_seeds;

#[test]
fn the_same_seed_gives_the_same_numbers_and_another_gives_others() {
    let draw = |seed| -> [u8; 100] { Rng::new([seed; 32]).array() };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn the_generator_is_chacha20_and_its_first_32_bytes_are_the_next_key() {
    // RFC 8439 A.1, test vectors 1 and 2: zero key, zero nonce, blocks 0 and 1.
    let next_key: [u8; 32] =
        crate::crypto::testing::array("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7");
    let wanted = "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586";
    let mut rng = Rng::new([0; 32]);
    assert_eq!(rng.array::<32>(), crate::crypto::testing::array(wanted));
    assert_eq!(*rng.key, next_key);
}

#[test]
fn what_was_drawn_is_not_in_the_state() {
    let mut rng = Rng::new([7; 32]);
    let drawn: [u8; 100] = rng.array();
    assert_ne!(drawn, [0; 100]);
    assert_eq!(rng.pool[..100], [0; 100]);
    assert_ne!(*rng.key, [7; 32]);
    // One long draw and many short ones are the same numbers.
    let (mut long, mut short) = (Rng::new([8; 32]), Rng::new([8; 32]));
    let long: [u8; 1_000] = long.array();
    let short: [[u8; 8]; 125] = core::array::from_fn(|_| short.array());
    assert_eq!(long, *short.as_flattened());
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
    });
}

#[test]
fn below_favours_no_number() {
    for_seeds(4, |rng| {
        // Without repeating draws, half of 64-bit numbers modulo n would fall in its first third.
        let n = 3 << 62;
        let first_third = (0..2_000).filter(|_| rng.below(n) < 1 << 62).count();
        assert!((570..770).contains(&first_third), "{first_third} of 2000, not about 667");
    });
}
