//! Rates: budgets that refill, and the measure of a flood (GATEWAY.md 4.2, 4.3).

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::policy::client::site;
use crate::weak_map::WeakMap;

/// The speed at which a budget refills, and its size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Units per second, at least 1.
    per_second: u64,
    /// The time that an empty budget takes to fill.
    window: Duration,
}

impl Pace {
    /// A pace of `per_second` units, with bursts of up to what accumulates in `window`.
    pub const fn new(per_second: u64, window: Duration) -> Self {
        Self { per_second: if per_second == 0 { 1 } else { per_second }, window }
    }

    /// The time in which `units` accumulate.
    fn time_of(&self, units: u64) -> Duration {
        let nanos = u128::from(units) * 1_000_000_000 / u128::from(self.per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A budget that refills at a [`Pace`]. It is stored as the moment at which it will be full.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    full_at: Instant,
}

impl Budget {
    /// A full budget.
    pub fn full(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Returns whether `units` are there.
    pub fn has(&self, pace: Pace, units: u64, now: Instant) -> bool {
        self.after(pace, units, now).is_some()
    }

    /// Takes `units` if they are there, and returns whether they were.
    pub fn take(&mut self, pace: Pace, units: u64, now: Instant) -> bool {
        let after = self.after(pace, units, now);
        if let Some(full_at) = after {
            self.full_at = full_at;
        }
        after.is_some()
    }

    fn after(&self, pace: Pace, units: u64, now: Instant) -> Option<Instant> {
        let full_at = self.full_at.max(now).checked_add(pace.time_of(units))?;
        (full_at.duration_since(now) <= pace.window).then_some(full_at)
    }
}

/// A rate in datagrams and bytes per second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Datagrams per second.
    pub datagrams: u32,
    /// Bytes per second, counting the datagrams alone.
    pub bytes: u32,
}

/// A burst is at most what accumulates in this time.
const RATE_WINDOW: Duration = Duration::from_millis(500);

impl Rate {
    /// The lower of two rates, in datagrams and in bytes.
    pub fn at_most(self, other: Self) -> Self {
        Self { datagrams: self.datagrams.min(other.datagrams), bytes: self.bytes.min(other.bytes) }
    }

    fn paces(self) -> (Pace, Pace) {
        // One datagram must fit, however low the rate.
        let window = |per_second: u32, least: u64| {
            let least = Pace::new(per_second.into(), RATE_WINDOW).time_of(least);
            Pace::new(per_second.into(), RATE_WINDOW.max(least))
        };
        (window(self.datagrams, 1), window(self.bytes, crate::wire::form::MAX_DATAGRAM_BYTES as u64))
    }
}

/// The budget that is left of a [`Rate`].
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    datagrams: (Pace, Budget),
    bytes: (Pace, Budget),
}

impl Meter {
    /// A meter with full budgets.
    pub fn new(rate: Rate, now: Instant) -> Self {
        let (datagrams, bytes) = rate.paces();
        Self { datagrams: (datagrams, Budget::full(now)), bytes: (bytes, Budget::full(now)) }
    }

    /// Takes one datagram of `bytes` if the budget allows it, and returns whether it did.
    pub fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let (pace, budget) = &mut self.datagrams;
        let (byte_pace, byte_budget) = &mut self.bytes;
        budget.has(*pace, 1, now)
            && byte_budget.take(*byte_pace, bytes as u64, now)
            && budget.take(*pace, 1, now)
    }
}

/// Distinguishes floods from bursts: a flood is ten times a rate, for five seconds.
#[derive(Clone, Copy, Debug)]
pub struct FloodGauge {
    second: Instant,
    datagrams: u64,
    bytes: u64,
    hot_seconds: u32,
}

impl FloodGauge {
    const TIMES: u64 = 10;
    const SECONDS: u32 = 5;

    /// A gauge that has counted nothing.
    pub fn new(now: Instant) -> Self {
        Self { second: now, datagrams: 0, bytes: 0, hot_seconds: 0 }
    }

    /// Counts one datagram, whether it passes or not. Returns whether this is a flood.
    pub fn count(&mut self, rate: Rate, bytes: usize, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.second).as_secs();
        if elapsed > 0 {
            let is_hot = self.datagrams >= u64::from(rate.datagrams) * Self::TIMES
                || self.bytes >= u64::from(rate.bytes) * Self::TIMES;
            self.hot_seconds = if is_hot && elapsed == 1 { self.hot_seconds + 1 } else { 0 };
            (self.second, self.datagrams, self.bytes) = (now, 0, 0);
        }
        self.datagrams += 1;
        self.bytes += bytes as u64;
        self.hot_seconds >= Self::SECONDS
    }
}

/// The meters of each target: one for all sessions together, and one per client, so that no client takes it all.
#[derive(Debug)]
pub struct TargetMeters {
    rate: Rate,
    rate_of_client: Rate,
    of_all: WeakMap<SocketAddr, Mutex<Meter>>,
    of_clients: WeakMap<(IpAddr, SocketAddr), Mutex<Meter>>,
}

/// The meters of one client's sessions for one target.
#[derive(Debug)]
pub struct TargetMeter {
    of_client: Arc<Mutex<Meter>>,
    of_all: Arc<Mutex<Meter>>,
}

impl TargetMeters {
    /// Meters with one rate for all sessions together, and another for each client.
    pub fn new(rate: Rate, rate_of_client: Rate) -> Self {
        Self { rate, rate_of_client, of_all: WeakMap::default(), of_clients: WeakMap::default() }
    }

    /// The meters of a client for a target.
    pub fn of(&self, client: IpAddr, target: SocketAddr, now: Instant) -> TargetMeter {
        let meter = |rate| move || Mutex::new(Meter::new(rate, now));
        TargetMeter {
            of_client: self.of_clients.of((site(client), target), meter(self.rate_of_client)),
            of_all: self.of_all.of(target, meter(self.rate)),
        }
    }
}

impl TargetMeter {
    /// Takes one datagram of `bytes`, first from the client's budget.
    pub fn take(&self, bytes: usize, now: Instant) -> bool {
        let take =
            |meter: &Mutex<Meter>| meter.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, now);
        take(&self.of_client) && take(&self.of_all)
    }
}

#[cfg(test)]
mod tests;
