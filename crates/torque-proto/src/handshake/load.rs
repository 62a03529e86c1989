//! How much work a host asks for under load (PROTOCOL.md 5.7). Integers and handed-in time only.

use core::time::Duration;

use crate::config::PuzzleConfig;
use crate::instant::Instant;

/// The average loses a sixteenth of itself in each tick of a sixteenth of a second.
const TICK_MICROS: u64 = 62_500;
const DECAY_SHIFT: u32 = 4;
/// After this many ticks without a request nothing is left of any average.
const FORGOTTEN_TICKS: u64 = 1_024;
/// One request, in the average's fixed point.
const ONE: u64 = 1 << 16;
/// Keeps sums far from overflow; more requests a second than any host sees.
const MAX_DEMAND: u64 = ONE << 40;
const SECOND: Duration = Duration::from_secs(1);

/// Follows the demand and says which difficulty it calls for.
pub(crate) struct LoadController {
    /// Requests in the last second, as an exponential average with 16 fraction bits.
    demand: u64,
    /// Up to where the average has decayed.
    ticked: Instant,
    difficulty: u8,
    /// Since when `difficulty` may fall by one each second.
    settled: Instant,
}

impl LoadController {
    pub(crate) fn new(now: Instant, config: &PuzzleConfig) -> Self {
        Self { demand: 0, ticked: now, difficulty: config.difficulty_min, settled: now }
    }

    /// Counts a connect_request that was paid for: its solution is right, and its token is used for the first time.
    pub(crate) fn count_request(&mut self, now: Instant) {
        self.decay(now);
        self.demand = self.demand.saturating_add(ONE).min(MAX_DEMAND);
    }

    /// The difficulty to ask for now. `pending` of at most `pending_limit` places are taken.
    pub(crate) fn difficulty(
        &mut self,
        now: Instant,
        config: &PuzzleConfig,
        pending: usize,
        pending_limit: usize,
    ) -> u8 {
        self.decay(now);
        let extra =
            demand_bits(self.demand, config.quiet_rate).saturating_add(pending_bits(pending, pending_limit));
        let target = u32::from(config.difficulty_min)
            .saturating_add(extra)
            .min(u32::from(config.difficulty_max)) as u8;
        if target >= self.difficulty {
            self.difficulty = target;
            self.settled = now;
        } else {
            let seconds = now.saturating_since(self.settled).as_secs();
            let fall = u8::try_from(seconds).unwrap_or(u8::MAX);
            self.difficulty = self.difficulty.saturating_sub(fall).max(target);
            self.settled += SECOND.saturating_mul(u32::from(fall));
        }
        self.difficulty
    }

    fn decay(&mut self, now: Instant) {
        let ticks = now.micros_since(self.ticked).get() / TICK_MICROS;
        if ticks >= FORGOTTEN_TICKS {
            self.demand = 0;
            self.ticked = now;
            return;
        }
        for _ in 0..ticks {
            self.demand -= self.demand >> DECAY_SHIFT;
        }
        self.ticked += Duration::from_micros(ticks * TICK_MICROS);
    }
}

/// Two bits for each doubling of the demand above the quiet rate: floor(2 · log2(demand / quiet)).
fn demand_bits(demand: u64, quiet_rate: u32) -> u32 {
    let square = |number: u64| u128::from(number) * u128::from(number);
    let (demand, quiet) = (square(demand), square(u64::from(quiet_rate.max(1)) * ONE));
    if demand < quiet {
        return 0;
    }
    // Shifted and compared: a division of such numbers is a kilobyte of program in pages.
    let bits = demand.ilog2() - quiet.ilog2();
    bits - u32::from(quiet << bits > demand)
}

/// One bit for each further sixteenth of a pending table that is more than half full.
fn pending_bits(pending: usize, limit: usize) -> u32 {
    let sixteenths = pending.saturating_mul(16) / limit.max(1);
    u32::try_from(sixteenths.saturating_sub(8)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
