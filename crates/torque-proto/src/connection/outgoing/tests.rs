use alloc::vec::Vec;

use super::*;
use crate::crypto::rng::Rng;

/// What the window is, told simply: all that was ever sent, in order.
struct Model {
    window: usize,
    initial: u64,
    /// The ack that each carried, and whether it is data.
    sent: Vec<(u64, bool)>,
    settled: usize,
    taken: usize,
}

impl Model {
    fn settled_data(&self) -> usize {
        self.sent[..self.settled].iter().filter(|(_, is_data)| *is_data).count()
    }

    fn open(&self) -> usize {
        self.sent.len() - self.settled + self.settled_data() - self.taken
    }

    fn check(&self, real: &Outgoing) {
        assert_eq!(real.last(), self.initial + self.sent.len() as u64);
        assert_eq!(real.settled(), self.initial + self.settled as u64);
        assert_eq!(real.open(), self.open());
        let unsettled_data = self.sent[self.settled..].iter().filter(|(_, is_data)| *is_data).count();
        assert_eq!(real.unsettled_data(), unsettled_data);
        assert_eq!(real.has_room(), self.open() < self.window);
        assert_eq!(real.has_room_for_report(), self.open() < self.window / 2);
    }
}

#[test]
fn a_sequence_is_open_until_its_verdict_is_known_and_taken() {
    for seed in 0..200u8 {
        let mut rng = Rng::new([seed; 32]);
        let window = [8, 9, 128][rng.below(3) as usize];
        let initial = rng.below(5_000);
        let mut real = Outgoing::new(window, initial);
        let mut model =
            Model { window: usize::from(window), initial, sent: Vec::new(), settled: 0, taken: 0 };
        // Sometimes mostly sending, sometimes mostly settling, so that both ends are reached.
        let lean = 2 + rng.below(3);
        for _ in 0..400 {
            match rng.below(6) {
                choice if choice < lean => {
                    if model.open() < model.window {
                        let (ack, is_data) = (rng.below(1 << 53), rng.below(4) > 0);
                        real.sent(ack, is_data);
                        model.sent.push((ack, is_data));
                    }
                }
                4 => {
                    if model.taken < model.settled_data() {
                        real.verdict_taken();
                        model.taken += 1;
                    }
                }
                _ => {
                    let delivery =
                        [Delivery::Delivered, Delivery::Dropped, Delivery::Unknown][rng.below(3) as usize];
                    let expected = model.sent.get(model.settled).map(|(ack, is_data)| Settled {
                        sequence: initial + model.settled as u64 + 1,
                        delivery,
                        is_data: *is_data,
                        ack_low: *ack as u32 & (u32::MAX >> 1),
                    });
                    assert_eq!(real.settle_next(delivery), expected, "seed {seed}");
                    model.settled += usize::from(expected.is_some());
                }
            }
            model.check(&real);
        }
    }
}

#[test]
fn taking_a_verdict_that_was_not_told_changes_nothing() {
    let mut real = Outgoing::new(8, 0);
    real.sent(0, true);
    real.verdict_taken();
    assert_eq!(real.open(), 1);
}

#[test]
fn the_bit_of_a_report_is_that_of_its_sequence() {
    // As PROTOCOL.md 7.2 has it: sequence ack - i is bit i mod 8 of byte i div 8.
    let bytes = [0b1000_0001, 0, 0b0000_0010];
    let delivered: Vec<u64> = (0..100)
        .map(|back| 1_000 - back)
        .filter(|sequence| reported(1_000, &bytes, *sequence) == Delivery::Delivered)
        .collect();
    assert_eq!(delivered, [1_000, 993, 983]);
    assert_eq!(reported(1_000, &bytes, 999), Delivery::Dropped);
    assert_eq!(reported(1_000, &bytes, 900), Delivery::Dropped, "below the first bit");
}

#[test]
fn a_report_without_bytes_says_that_all_was_delivered() {
    assert!((1..1_000).all(|sequence| reported(1_000, &[], sequence) == Delivery::Delivered));
}

#[test]
fn a_window_that_was_full_gives_its_memory_back() {
    let mut outgoing = Outgoing::new(128, 100);
    for _ in 0..128 {
        outgoing.sent(0, true);
    }
    while outgoing.settle_next(Delivery::Delivered).is_some() {
        outgoing.verdict_taken();
    }
    assert!(outgoing.unsettled.capacity() > 0);
    outgoing.rest();
    assert_eq!(outgoing.unsettled.capacity(), 0);
}
