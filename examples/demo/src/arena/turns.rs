//! Turns at a steady rate.

use std::time::{Duration, Instant};

/// The longest pause after which missed turns are caught up with.
const CATCH_UP: Duration = Duration::from_millis(250);

/// A clock of turns.
#[derive(Debug)]
pub struct Turns {
    period: Duration,
    next: Instant,
}

impl Turns {
    /// Starts a clock with `rate` turns a second.
    pub fn new(rate: u32) -> Self {
        Self { period: Duration::from_secs(1) / rate, next: Instant::now() }
    }

    /// The time until the next turn.
    pub fn left(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// The number of turns that are due.
    pub fn due(&mut self) -> u32 {
        let now = Instant::now();
        if now.saturating_duration_since(self.next) > CATCH_UP {
            self.next = now;
        }
        let mut turns = 0;
        while self.next <= now {
            self.next += self.period;
            turns += 1;
        }
        turns
    }
}
