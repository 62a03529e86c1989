//! Rates.

use crate::instant::Instant;

/// Tokens a second, and how many there are after a pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) per_second: u64,
    pub(super) burst: u64,
}

impl Limit {
    /// As many tokens at once as come in a second.
    pub(super) const fn per_second(per_second: u64) -> Self {
        Self { per_second, burst: per_second }
    }

    fn most(self) -> i64 {
        millionths(self.burst)
    }
}

/// A token bucket. It is open while it holds a token. An expense may be larger than what it holds; the debt comes off what follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    /// Millionths of a token.
    level: i64,
    at: Instant,
}

impl Bucket {
    pub(super) fn full(now: Instant, limit: Limit) -> Self {
        Self { level: limit.most(), at: now }
    }

    /// Returns whether there is at least one token.
    pub(super) fn is_open(&mut self, now: Instant, limit: Limit) -> bool {
        let came = limit.per_second.saturating_mul(now.micros_since(self.at).get());
        self.level = self.level.saturating_add(i64::try_from(came).unwrap_or(i64::MAX)).min(limit.most());
        self.at = self.at.max(now);
        self.level >= millionths(1)
    }

    pub(super) fn spend(&mut self, tokens: u64) {
        self.level = self.level.saturating_sub(millionths(tokens));
    }

    /// Spends a token if there is one.
    pub(super) fn takes(&mut self, now: Instant, limit: Limit) -> bool {
        let takes = self.is_open(now, limit);
        if takes {
            self.spend(1);
        }
        takes
    }
}

fn millionths(tokens: u64) -> i64 {
    i64::try_from(tokens.saturating_mul(1_000_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let limit = Limit { per_second: 8, burst: 64 };
        let mut now = Instant::from_millis(5_000);
        let mut bucket = Bucket::full(now, limit);
        assert_eq!((0..1_000).filter(|_| bucket.takes(now, limit)).count(), 64);
        let mut taken = 0;
        for _ in 0..10_000 {
            now += Duration::from_millis(1);
            taken += u32::from(bucket.takes(now, limit));
        }
        assert_eq!(taken, 80);
        now += Duration::from_secs(1_000_000);
        assert_eq!((0..1_000).filter(|_| bucket.takes(now, limit)).count(), 64);
    }

    #[test]
    fn a_debt_comes_off_what_follows_and_a_clock_that_steps_back_gives_nothing() {
        let limit = Limit::per_second(1_000);
        let now = Instant::from_millis(5_000);
        let mut bucket = Bucket::full(now, limit);
        bucket.spend(2_000);
        assert!(!bucket.is_open(now + Duration::from_millis(999), limit));
        assert!(!bucket.is_open(Instant::ZERO, limit));
        assert!(!bucket.is_open(now + Duration::from_millis(1_000), limit));
        assert!(bucket.is_open(now + Duration::from_millis(1_001), limit));
    }

    #[test]
    fn no_figure_overflows_and_a_rate_of_0_gives_nothing() {
        let (now, later) = (Instant::ZERO, Instant::from_micros(u64::MAX));
        for rate in [u64::MAX, 1 << 60] {
            let limit = Limit::per_second(rate);
            let mut bucket = Bucket::full(now, limit);
            bucket.spend(u64::MAX);
            bucket.spend(u64::MAX);
            bucket.is_open(later, limit);
            assert!(Bucket::full(now, limit).takes(later, limit));
        }
        let none = Limit::per_second(0);
        assert!(!Bucket::full(now, none).takes(later, none));
    }
}
