use super::*;
use crate::crypto::rng::Rng;

const WINDOWS: [u16; 8] = [8, 100, 128, 129, 2_000, 2_048, 2_049, 32_768];

/// Numbers near the beginning, near the end of the low bits' range, and far up.
fn some_number(rng: &mut Rng, size: HeaderSize) -> u64 {
    let near = [0, size.modulus(), 1 << 16, 1 << 40, (1 << 53) - 1_000][rng.below(5) as usize];
    near + rng.below(3 * size.modulus())
}

/// Calls the test with a window, a size, a number, and carried bits that are near it about half of the time.
fn for_many(test: impl Fn(HeaderSize, u16, u64, u64)) {
    for seed in 0..4_000u64 {
        let mut rng = Rng::new([seed.to_le_bytes(); 4].concat().try_into().unwrap());
        let window = WINDOWS[rng.below(8) as usize];
        let size = HeaderSize::for_window(window);
        let number = some_number(&mut rng, size);
        let span = 4 * u64::from(window);
        let full = if rng.below(2) == 0 { number + rng.below(span) } else { rng.u64() };
        // Half a span below the number, or anywhere.
        let full = full.wrapping_sub(span / 2);
        test(size, window, number, full % size.modulus());
        for edge in [0, 1, u64::from(window), u64::from(window) + 1] {
            test(size, window, number, number.wrapping_add(edge) % size.modulus());
            test(size, window, number, number.wrapping_sub(edge) % size.modulus());
        }
    }
}

/// The numbers of a range whose low bits are these; there must be at most one.
fn with_low(size: HeaderSize, low: u64, from: u64, to: u64) -> Option<u64> {
    // The first at or above `from`.
    let first = from + (low + size.modulus() - from % size.modulus()) % size.modulus();
    assert!(first + size.modulus() > to, "two numbers with the same low bits are in reach");
    (first <= to).then_some(first)
}

#[test]
fn a_sequenced_packet_is_one_of_the_next_w_numbers_or_late() {
    for_many(|size, window, known, low| {
        let expected = with_low(size, low, known + 1, known + u64::from(window));
        assert_eq!(expand_new(size, window, known, low), expected, "{window} {known} {low}");
    });
}

#[test]
fn an_ack_or_control_packet_carries_the_number_that_is_at_most_w_above() {
    for_many(|size, window, known, low| {
        let highest = known + u64::from(window);
        let expected = match highest.checked_sub(size.modulus() - 1) {
            Some(lowest) => with_low(size, low, lowest, highest),
            None => with_low(size, low, 0, highest),
        };
        assert_eq!(expand_carried(size, window, known, low), expected, "{window} {known} {low}");
    });
}

#[test]
fn an_ack_is_within_w_of_what_is_settled_or_refused() {
    for_many(|size, window, settled, low| {
        let reach = u64::from(window);
        let expected = with_low(size, low, settled.saturating_sub(reach), settled + reach);
        assert_eq!(expand_ack(size, window, settled, low), expected, "{window} {settled} {low}");
    });
}

#[test]
fn a_control_counter_is_one_of_the_next_half_range_or_late() {
    for last in [0, 1, 5, 32_766, 32_767, 32_768, 65_535, 65_536, 1 << 40, (1 << 40) + 65_535] {
        for ahead in 0..=u16::MAX {
            let low = (last as u16).wrapping_add(ahead);
            let expected = (1..=32_767).contains(&ahead).then(|| last + u64::from(ahead));
            assert_eq!(expand_counter(last, low), expected, "{ahead} after {last}");
        }
    }
}
