use std::collections::BTreeSet;

use super::*;

#[test]
fn domain_and_counter_are_laid_over_the_salt() {
    let salt = [0xff; 12];
    let data = Nonce::data(&salt, 0x0102_0304_0506_0708);
    assert_eq!(data.as_bytes(), &[0xff, 0xff, 0xff, 0xfe, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 0xf9, 0xf8, 0xf7]);
    let control = Nonce::control(&[0; 12], 1);
    assert_eq!(control.as_bytes(), &[0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn nonces_of_noise_count_in_little_endian() {
    assert_eq!(Nonce::NOISE_FIRST.as_bytes(), &[0; 12]);
    assert_eq!(Nonce::NOISE_SECOND.as_bytes(), &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn no_two_packets_under_one_salt_have_one_nonce() {
    let salt = [0x5a; 12];
    let numbers = (0..1_000).chain((0..53).map(|bit| 1 << bit)).chain([(1 << 53) - 1, u64::MAX]);
    let numbers: BTreeSet<u64> = numbers.collect();
    let nonces: BTreeSet<[u8; 12]> = numbers
        .iter()
        .flat_map(|n| [*Nonce::data(&salt, *n).as_bytes(), *Nonce::control(&salt, *n).as_bytes()])
        .collect();
    assert_eq!(nonces.len(), 2 * numbers.len());
}
