//! The one place that reads the machine's clocks.

use std::time::{Instant as StdInstant, SystemTime, UNIX_EPOCH};

use torque_proto::Instant;

/// A monotonic clock whose origin is the moment it was made, and the wall clock.
///
/// It goes on while the machine sleeps, where the system has such a clock. A socket that wakes up after an hour then knows
/// that its epoch is an hour old and that its peers have given it up; with the standard library's clock, which stands
/// still on Linux and macOS, it would go on as if nothing had been.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    monotonic: monotonic::Clock,
    wall: WallClock,
}

/// Milliseconds since 1970-01-01.
pub(crate) type WallClock = fn() -> u64;

impl Clock {
    pub(crate) fn new(wall: WallClock) -> Self {
        Self { monotonic: monotonic::Clock::new(), wall }
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_micros(self.monotonic.micros())
    }

    /// The same point on the clock of the standard library, `None` if it lies beyond it. A sleep of the machine
    /// moves it.
    pub(crate) fn to_std(self, at: Instant) -> Option<StdInstant> {
        let (now, std) = (self.now(), StdInstant::now());
        if at >= now {
            std.checked_add(at.saturating_since(now))
        } else {
            std.checked_sub(now.saturating_since(at)).or(Some(std))
        }
    }

    /// The wall clock, read now: it may have been set since the last time.
    pub(crate) fn unix_millis(&self) -> u64 {
        (self.wall)()
    }
}

/// Milliseconds since 1970-01-01; 0 if the machine believes in an earlier date.
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
mod monotonic {
    use std::time::Duration;

    #[cfg(any(target_os = "linux", target_os = "android"))]
    const GOES_ON: libc::clockid_t = libc::CLOCK_BOOTTIME;
    /// Unlike Linux's clock of this name, and unlike the clock of the standard library, it goes on.
    #[cfg(target_vendor = "apple")]
    const GOES_ON: libc::clockid_t = libc::CLOCK_MONOTONIC;

    #[derive(Clone, Copy, Debug)]
    pub(super) struct Clock {
        id: libc::clockid_t,
        origin: Duration,
    }

    impl Clock {
        pub(super) fn new() -> Self {
            // A sandbox may not have it.
            let id = if read(GOES_ON).is_some() { GOES_ON } else { libc::CLOCK_MONOTONIC };
            Self { id, origin: read(id).unwrap_or_default() }
        }

        pub(super) fn micros(&self) -> u64 {
            let since = read(self.id).unwrap_or(self.origin).saturating_sub(self.origin);
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        }
    }

    fn read(id: libc::clockid_t) -> Option<Duration> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a timespec that outlives the call.
        let result = unsafe { libc::clock_gettime(id, &raw mut time) };
        let seconds = u64::try_from(time.tv_sec).ok()?;
        let nanos = u32::try_from(time.tv_nsec).ok()?;
        (result == 0).then(|| Duration::new(seconds, nanos))
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
mod monotonic {
    use std::time::Instant;

    /// On Windows this clock goes on.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Clock {
        origin: Instant,
    }

    impl Clock {
        pub(super) fn new() -> Self {
            Self { origin: Instant::now() }
        }

        pub(super) fn micros(&self) -> u64 {
            u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX)
        }
    }
}

#[cfg(test)]
mod tests;
