//! What the tests of this crate share: hexadecimal, and runs over printed seeds.

use std::vec::Vec;

use super::rng::Rng;

/// The bytes of a text in hexadecimal; blanks are passed over.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// As [`hex`], for a known length.
pub(crate) fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

/// Runs `check` with randomness from `count` seeds. The output of a failing test ends with its seed, and
/// `TORQUE_SEED` in the environment runs that one alone.
pub(crate) fn for_seeds(count: u64, mut check: impl FnMut(&mut Rng)) {
    let chosen = std::env::var("TORQUE_SEED").ok().map(|text| text.parse::<u64>().unwrap());
    for seed in 0..count {
        if chosen.is_some_and(|chosen| chosen != seed) {
            continue;
        }
        std::println!("TORQUE_SEED={seed}");
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        check(&mut Rng::new(bytes));
    }
}
