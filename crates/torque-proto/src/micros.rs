//! Spans of time as the core computes with them.

use core::ops::{Add, Div, Mul, Sub};
use core::time::Duration;

use crate::instant::Instant;

/// A span of time in microseconds. All arithmetic saturates.
///
/// Half the size of a [`Duration`], and one instruction where that takes a dozen: several are compared for each packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Micros(u64);

impl Micros {
    pub(crate) const ZERO: Self = Self(0);

    pub(crate) const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    pub(crate) const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    pub(crate) const fn get(self) -> u64 {
        self.0
    }

    pub(crate) const fn abs_diff(self, other: Self) -> Self {
        Self(self.0.abs_diff(other.0))
    }
}

/// A span of up to 71 minutes as a connection keeps it, in half the room; longer ones are kept as that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Micros32(u32);

impl Micros32 {
    pub(crate) const MAX: Self = Self(u32::MAX);

    pub(crate) const fn get(self) -> Micros {
        Micros(self.0 as u64)
    }
}

impl From<Micros> for Micros32 {
    fn from(span: Micros) -> Self {
        Self(u32::try_from(span.0).unwrap_or(u32::MAX))
    }
}

impl From<Duration> for Micros32 {
    fn from(duration: Duration) -> Self {
        Micros::from(duration).into()
    }
}

impl From<Micros32> for Duration {
    fn from(span: Micros32) -> Self {
        span.get().into()
    }
}

impl From<Duration> for Micros {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

impl From<Micros> for Duration {
    fn from(span: Micros) -> Self {
        Self::from_micros(span.0)
    }
}

impl Add for Micros {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Micros {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for Micros {
    type Output = Self;

    fn mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Div<u64> for Micros {
    type Output = Self;

    fn div(self, divisor: u64) -> Self {
        Self(self.0 / divisor)
    }
}

impl Add<Micros> for Instant {
    type Output = Self;

    fn add(self, span: Micros) -> Self {
        Self::from_micros(self.as_micros().saturating_add(span.0))
    }
}

impl Instant {
    /// The span from `earlier` to `self`, or zero if `earlier` is later.
    pub(crate) const fn micros_since(self, earlier: Self) -> Micros {
        Micros(self.as_micros().saturating_sub(earlier.as_micros()))
    }

    /// The low bits of the microseconds, which last an hour: as much as a time needs that is remembered for a packet.
    pub(crate) const fn low_micros(self) -> u32 {
        self.as_micros() as u32
    }

    /// The span from a time of which the low bits were kept.
    pub(crate) const fn since_low_micros(self, earlier: u32) -> Micros {
        let span = self.low_micros().wrapping_sub(earlier);
        // More than half the range means that the clock stepped back.
        Micros(if span > u32::MAX / 2 { 0 } else { span as u64 })
    }
}
