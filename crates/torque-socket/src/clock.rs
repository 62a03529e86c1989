//! The one place that reads the machine's clocks.

use std::time::{Duration, Instant as StdInstant, SystemTime, UNIX_EPOCH};

use torque_proto::Instant;

/// A monotonic clock whose origin is the moment it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: StdInstant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { origin: StdInstant::now() }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The same point on the clock of the standard library, `None` if it lies beyond it.
    pub(crate) fn to_std(self, at: Instant) -> Option<StdInstant> {
        self.origin.checked_add(Duration::from_micros(at.as_micros()))
    }
}

/// Milliseconds since 1970-01-01; 0 if the machine believes in an earlier date.
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
