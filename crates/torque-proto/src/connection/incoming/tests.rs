use alloc::collections::BTreeSet;

use super::*;
use crate::crypto::rng::Rng;

/// What is known, told simply: every sequence that was delivered.
struct Model {
    window: u64,
    known: u64,
    base: u64,
    reported: u64,
    delivered: BTreeSet<u64>,
}

impl Model {
    fn advance(&mut self, sequence: u64, delivered: bool) {
        self.known = sequence;
        if delivered {
            self.delivered.insert(sequence);
        }
        self.base = self.base.max(sequence.saturating_sub(self.window));
    }

    /// The report as PROTOCOL.md 7.2 words it.
    fn report(&self, max_bytes: usize) -> Report {
        if (self.base + 1..=self.known).all(|sequence| self.delivered.contains(&sequence)) {
            return Report { ack: self.known, bytes: 0 };
        }
        let mut bytes = 0;
        while 8 * (bytes as u64) < self.known - self.base {
            bytes += 1;
        }
        if bytes <= max_bytes {
            Report { ack: self.known, bytes }
        } else {
            Report { ack: self.base + 8 * max_bytes as u64, bytes: max_bytes }
        }
    }

    /// What a report says of each sequence above the base, and nothing of those below.
    fn check_bytes(&self, report: Report, written: &[u8]) {
        let bytes = match report.bytes {
            0 => return assert!(written.is_empty()),
            1..=6 => written,
            long => {
                assert_eq!(usize::from(written[0]), long);
                &written[1..]
            }
        };
        assert_eq!(bytes.len(), report.bytes);
        for back in 0..8 * report.bytes as u64 {
            let bit = bytes[(back / 8) as usize] >> (back % 8) & 1 == 1;
            let expected = report
                .ack
                .checked_sub(back)
                .is_some_and(|sequence| sequence > self.base && self.delivered.contains(&sequence));
            assert_eq!(bit, expected, "{back} below {}", report.ack);
        }
    }
}

/// Random packets, losses, closed books and reports on a window; `leap` is how far a step may go.
fn run(seed: u64, window: u16, leap: u64, losses: u64) {
    let mut rng = Rng::new([seed.to_le_bytes(); 4].concat().try_into().unwrap());
    let initial = [0, 3, rng.below(4_096), 1 << 40][rng.below(4) as usize];
    let mut real = Incoming::new(window, initial);
    let mut model = Model {
        window: u64::from(window),
        known: initial,
        base: initial,
        reported: initial,
        delivered: BTreeSet::new(),
    };
    for _ in 0..200 {
        match rng.below(8) {
            0 => {
                let sequence = (model.known + rng.below(leap)).saturating_sub(rng.below(leap));
                real.close_book(sequence);
                if sequence > model.known {
                    model.advance(sequence, false);
                }
            }
            1 => {
                // Somewhere from below the base to beyond what is known.
                let ack = (model.base + rng.below(model.known - model.base + 4)).saturating_sub(2);
                real.report_was_read(ack);
                if ack <= model.known {
                    model.base = model.base.max(ack);
                }
            }
            2 => {
                let max_bytes = [MAX_SHORT_REPORT, MAX_REPORT, 1][rng.below(3) as usize];
                let report = real.report(max_bytes);
                assert_eq!(report, model.report(max_bytes), "seed {seed} window {window}");
                assert_eq!(usize::from(report.form()), report.bytes.min(7));
                let mut written = Vec::new();
                real.write_report(report, &mut written);
                model.check_bytes(report, &written);
                model.reported = model.reported.max(report.ack);
            }
            _ => {
                let is_lost = rng.below(100) < losses;
                let step = if is_lost { 1 + rng.below(leap) } else { 1 };
                let sequence = model.known + step;
                let delivered = rng.below(100) >= losses / 4;
                real.advance(sequence, delivered);
                model.advance(sequence, delivered);
            }
        }
        assert_eq!(real.known(), model.known);
        assert_eq!(real.base(), model.base);
        assert_eq!(real.unreported(), model.known - model.reported);
    }
}

#[test]
fn reports_say_of_every_sequence_above_the_base_whether_it_was_delivered() {
    for seed in 0..300 {
        run(seed, [8, 63, 64, 65, 128, 200][seed as usize % 6], 6, 10);
    }
}

#[test]
fn reports_are_right_when_whole_windows_are_lost() {
    for seed in 0..300 {
        let window = [8, 63, 64, 65, 128, 2_048][seed as usize % 6];
        run(seed, window, u64::from(window) + 1, 40);
    }
}

#[test]
fn a_step_past_the_whole_ring_leaves_nothing_of_what_was() {
    for seed in 0..100 {
        run(seed, [8, 64, 128][seed as usize % 3], 400, 50);
    }
}

#[test]
fn without_losses_a_report_takes_no_bytes() {
    for seed in 0..20 {
        let mut real = Incoming::new(128, seed);
        for sequence in seed + 1..seed + 1_000 {
            real.advance(sequence, true);
            assert_eq!(real.report(MAX_SHORT_REPORT), Report { ack: sequence, bytes: 0 });
        }
    }
}

#[test]
fn there_is_news_until_a_report_has_told_it() {
    let mut incoming = Incoming::new(32_768, 100);
    assert!(!incoming.has_news());
    for (sequence, delivered) in [(101, true), (102, false), (4_000, true)] {
        incoming.advance(sequence, delivered);
        assert!(incoming.has_news());
        let report = incoming.report(MAX_REPORT);
        incoming.write_report(report, &mut Vec::new());
        // Beyond 2,040 sequences it cannot say all, and would only say the same again.
        assert!(!incoming.has_news());
    }
}

#[test]
fn what_is_skipped_is_cleared_and_nothing_else() {
    for_ranges(|window, first, end| {
        let mut incoming = Incoming::new(window, 0);
        incoming.bits.fill(u64::MAX);
        incoming.clear(first, end);
        let ring = incoming.ring();
        for sequence in end..first + ring {
            assert!(incoming.delivered(sequence), "{window}: {first}..{end} cleared {sequence}");
        }
        for sequence in first..end {
            assert!(!incoming.delivered(sequence), "{window}: {first}..{end} left {sequence}");
        }
    });
}

/// Ranges that begin, end and wrap at every place of a word.
fn for_ranges(check: impl Fn(u16, u64, u64)) {
    for window in [128, 2_048] {
        for first in [1, 63, 64, 65, 127, 1_999, 1_000_001] {
            for length in [0, 1, 2, 62, 63, 64, 65, 127] {
                check(window, first, first + length);
            }
        }
    }
}
