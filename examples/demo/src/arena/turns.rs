//! Turns at a steady rate.

use std::time::{Duration, Instant};

/// After a longer pause of this machine the turns that were missed are left out.
const CATCH_UP: Duration = Duration::from_millis(250);

/// Says when turns are due.
#[derive(Debug)]
pub struct Turns {
    period: Duration,
    next: Instant,
}

impl Turns {
    /// `rate` turns a second from now on.
    pub fn new(rate: u32) -> Self {
        Self { period: Duration::from_secs(1) / rate, next: Instant::now() }
    }

    /// Until the next turn.
    pub fn left(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// How many turns are due now.
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
