//! What a step of a set of paths is told, and what it wants sent.

use alloc::vec::Vec;

use super::Path;
use crate::crypto::rng::Rng;
use crate::instant::Instant;
use crate::micros::Micros;

/// A punch to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ask {
    pub(crate) path: Path,
    /// What it asks to be echoed, or 0.
    pub(crate) number: u64,
    /// The number that it answers, or 0.
    pub(crate) echo: u64,
}

/// What the connection knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// The pause before a probe (PROTOCOL.md 9.3).
    pub(crate) probe_time: Micros,
    /// The round-trip time of the active path.
    pub(crate) round_trip: Micros,
    /// When the answer to a data packet or ping is or was overdue, if one is awaited.
    pub(crate) overdue_at: Option<Instant>,
}

impl Facts {
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.overdue_at.is_some_and(|at| at <= now)
    }
}

/// What a step of a [`PathSet`] needs, and the punches that it wants.
pub(crate) struct Step<'a> {
    pub(crate) now: Instant,
    pub(crate) facts: Facts,
    pub(crate) rng: &'a mut Rng,
    pub(crate) asks: Vec<Ask>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(now: Instant, facts: Facts, rng: &'a mut Rng) -> Self {
        Self { now, facts, rng, asks: Vec::new() }
    }
}
