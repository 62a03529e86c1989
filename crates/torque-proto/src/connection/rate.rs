//! How many packets a connection delivers.

use crate::instant::Instant;
use crate::micros::Micros;

/// Packets delivered each second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    since: Instant,
    count: u32,
    last: u32,
}

impl Rate {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, count: 0, last: 0 }
    }

    /// Counts packets that were reported delivered.
    pub(crate) fn count(&mut self, now: Instant, delivered: u64) {
        let span = now.micros_since(self.since);
        if span >= Micros::from_secs(1) {
            let per_second = u64::from(self.count) * 1_000_000 / span.get();
            *self = Self { since: now, count: 0, last: u32::try_from(per_second).unwrap_or(u32::MAX) };
        }
        self.count = self.count.saturating_add(u32::try_from(delivered).unwrap_or(u32::MAX));
    }

    /// The rate of the last whole second.
    pub(crate) fn last(&self) -> u32 {
        self.last
    }
}

#[cfg(test)]
mod tests;
