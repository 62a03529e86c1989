//! The clock of a node. It differs from the world's, and may misbehave.

use core::time::Duration;

use torque_proto::Instant;

/// A clock that shows the world's time plus an offset, or is stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Microseconds between this clock and the world's.
    offset: i128,
    /// The time at which it is stopped.
    stands_at: Option<Instant>,
}

impl Clock {
    pub(super) fn ahead_by(offset: Duration) -> Self {
        Self { offset: offset.as_micros() as i128, stands_at: None }
    }

    /// The time on the clock when the world's time is `now`.
    pub(super) fn read(&self, now: Instant) -> Instant {
        match self.stands_at {
            Some(shown) => shown,
            None => {
                let micros = i128::from(now.as_micros()) + self.offset;
                Instant::from_micros(u64::try_from(micros.max(0)).unwrap_or(u64::MAX))
            }
        }
    }

    /// The world's time at which the clock shows `deadline`; `None` while it is stopped.
    pub(super) fn world_time(&self, deadline: Instant, now: Instant) -> Option<Instant> {
        if deadline <= self.read(now) {
            return Some(now);
        }
        if self.stands_at.is_some() {
            return None;
        }
        let micros = i128::from(deadline.as_micros()) - self.offset;
        Some(Instant::from_micros(u64::try_from(micros).ok()?))
    }

    /// Makes the clock jump, forwards or (with a negative number of microseconds) backwards.
    pub(super) fn step(&mut self, micros: i64) {
        self.offset += i128::from(micros);
        if let Some(shown) = &mut self.stands_at {
            *shown = Instant::from_micros(shown.as_micros().saturating_add_signed(micros));
        }
    }

    pub(super) fn stop(&mut self, now: Instant) {
        self.stands_at = Some(self.read(now));
    }

    /// Lets a stopped clock continue from the time that it shows.
    pub(super) fn start(&mut self, now: Instant) {
        if let Some(shown) = self.stands_at.take() {
            self.offset = i128::from(shown.as_micros()) - i128::from(now.as_micros());
        }
    }
}
