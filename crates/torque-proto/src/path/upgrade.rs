//! The search for a direct path of a connection that was introduced (INTRODUCTIONS.md 10).

use alloc::vec::Vec;

use super::Path;
use crate::instant::Instant;
use crate::micros::Micros;

/// The pauses between rounds while a circuit is active; the last one goes on.
const ROUND_PAUSES: [Micros; 3] = [Micros::from_secs(5), Micros::from_secs(15), Micros::from_secs(60)];
/// The pauses between the punches of a round, which are one more.
const ASK_PAUSES: [Micros; 3] =
    [Micros::from_millis(200), Micros::from_millis(400), Micros::from_millis(800)];
/// The least pause between rounds because addresses have changed: the introducer's word makes nobody punch more often.
const CHANGE_PAUSE: Micros = Micros::from_secs(5);
/// Addresses that are kept.
const MAX_CANDIDATES: usize = 12;

/// Where a direct path may be found, and when it is looked for.
pub(super) struct Upgrade {
    candidates: Vec<Path>,
    /// When the next round begins, and how many there were.
    next_round: Instant,
    rounds: usize,
    /// When the next punches of the present round go out, and how many did.
    next_ask: Option<Instant>,
    asks: usize,
    next_change: Instant,
}

impl Upgrade {
    pub(super) fn new(now: Instant) -> Self {
        Self { candidates: Vec::new(), next_round: now, rounds: 0, next_ask: None, asks: 0, next_change: now }
    }

    /// The addresses of the other side, in place of those before. A round begins, unless one has just begun.
    pub(super) fn set_candidates(&mut self, now: Instant, mut candidates: Vec<Path>) {
        candidates.truncate(MAX_CANDIDATES);
        self.candidates = candidates;
        self.next_round = self.next_round.min(self.next_change.max(now));
        self.next_change = self.next_round + CHANGE_PAUSE;
    }

    pub(super) fn candidates(&self) -> impl Iterator<Item = Path> + '_ {
        self.candidates.iter().copied()
    }

    /// Returns whether all candidates are to be punched now.
    pub(super) fn is_due(&mut self, now: Instant, is_relayed: bool) -> bool {
        if self.deadline(is_relayed).is_none_or(|at| at > now) {
            return false;
        }
        if self.next_ask.is_none_or(|at| at > now) {
            let pause = ROUND_PAUSES[self.rounds.min(ROUND_PAUSES.len() - 1)];
            (self.next_round, self.rounds, self.asks) = (now + pause, self.rounds + 1, 0);
        }
        self.next_ask = ASK_PAUSES.get(self.asks).map(|pause| now + *pause);
        self.asks += 1;
        true
    }

    /// The first round comes in any case, others only while a circuit is active.
    pub(super) fn deadline(&self, is_relayed: bool) -> Option<Instant> {
        if self.candidates.is_empty() {
            return None;
        }
        let round = (is_relayed || self.rounds == 0).then_some(self.next_round);
        let ask = self.next_ask.filter(|_| is_relayed);
        [round, ask].into_iter().flatten().min()
    }
}
