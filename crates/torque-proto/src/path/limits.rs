//! What bounds the punches of one connection (PATHS.md 9).

use alloc::collections::VecDeque;

use crate::instant::Instant;
use crate::micros::Micros;

/// Numbers that came from where no path is, and how long one is heeded after it first came: copies may outrun the original.
pub(super) const MAX_FOREIGN: usize = 64;
const HEEDED: Micros = Micros::from_secs(1);

/// A number of times in a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    since: Instant,
    used: u32,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, used: 0 }
    }

    pub(super) fn takes(&mut self, now: Instant, limit: u32) -> bool {
        if now >= self.since + Micros::from_secs(1) {
            *self = Self::new(now);
        }
        let takes = self.used < limit;
        self.used += u32::from(takes);
        takes
    }
}

/// Numbers that the other side asked from where no path is, and when first; oldest first.
#[derive(Default)]
pub(super) struct ForeignNumbers(VecDeque<(u64, Instant)>);

impl ForeignNumbers {
    /// Returns whether the number may be new. Otherwise somebody replays it, and would take the places of sources and their answers.
    pub(super) fn heeds(&mut self, now: Instant, number: u64) -> bool {
        if let Some((_, first)) = self.0.iter().find(|(known, _)| *known == number) {
            return now <= *first + HEEDED;
        }
        if self.0.len() >= MAX_FOREIGN {
            self.0.pop_front();
        }
        self.0.push_back((number, now));
        true
    }
}
