//! What an introducer keeps of one introduction.

use alloc::boxed::Box;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::circuits::Ends;
use super::vetting::Seen;
use crate::id::ConnectionId;
use crate::identity::PublicKey;
use crate::instant::Instant;
use crate::introduction::{IntroductionId, IntroductionResult, Relay};
use crate::micros::Micros;
use crate::wire::introduction::{Candidate, Nat, Outcome, OutcomeResult, Request};

/// How long a complete record is kept, if no circuit keeps it longer.
pub(super) const KEPT: Micros = Micros::from_secs(60);

/// An introduction that is under way, or was completed a short time ago.
pub(super) struct Record {
    pub(super) id: IntroductionId,
    pub(super) begun: Instant,
    pub(super) parties: [Party; 2],
    /// Which party asked first: the record counts for it.
    pub(super) counts_for: Option<usize>,
    pub(super) approval: Option<Approval>,
    pub(super) was_application_asked: bool,
    pub(super) stage: Stage,
    /// When it is looked at again, as the timers have it.
    pub(super) noted: Instant,
}

pub(super) struct Party {
    pub(super) connection: ConnectionId,
    pub(super) asked: Option<Asked>,
}

/// A party's present request.
pub(super) struct Asked {
    pub(super) attempt: u32,
    pub(super) at: Instant,
    pub(super) request: Request,
    pub(super) told: Option<Waiting>,
}

/// What a party waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waiting {
    ForParty,
    ForApplication,
}

/// The application's word.
#[derive(Clone, Copy)]
pub(super) struct Approval {
    /// Which party is the initiator.
    pub(super) initiator: usize,
    pub(super) relay: Option<Relay>,
}

pub(super) enum Stage {
    /// Something is missing. It ends at this time.
    Waiting {
        until: Instant,
    },
    Complete(Box<Completion>),
}

pub(super) struct Completion {
    pub(super) at: Instant,
    /// Until both have been told.
    pub(super) secret: Option<Zeroizing<[u8; 32]>>,
    pub(super) sides: [Side; 2],
    pub(super) circuit: Option<Circuit>,
    /// What the application was told.
    pub(super) result: Option<IntroductionResult>,
}

/// A party after completion.
pub(super) struct Side {
    pub(super) key: PublicKey,
    /// Where it was seen when the introduction was complete.
    pub(super) seen: Option<Seen>,
    /// When it is told next about the other party, and how often it is told after that.
    pub(super) tell_at: Option<(Instant, u8)>,
    /// The other party's candidates, as it was told; `None` until it was.
    pub(super) told: Option<Vec<Candidate>>,
    /// Its own NAT and the other party's, as it was told with that.
    pub(super) told_nats: [Nat; 2],
    pub(super) outcome: Option<Outcome>,
    /// Its connection has ended.
    pub(super) is_gone: bool,
}

pub(super) struct Circuit {
    pub(super) ends: Ends,
    pub(super) until: Instant,
    pub(super) rate: u32,
}

impl Record {
    /// Which party this connection is.
    pub(super) fn side(&self, connection: ConnectionId) -> Option<usize> {
        self.parties.iter().position(|party| party.connection == connection)
    }

    /// The pair, the same from both sides.
    pub(super) fn pair(&self) -> (ConnectionId, ConnectionId) {
        pair(self.parties[0].connection, self.parties[1].connection)
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting { .. })
    }

    pub(super) fn completion(&mut self) -> Option<&mut Completion> {
        match &mut self.stage {
            Stage::Complete(complete) => Some(complete),
            Stage::Waiting { .. } => None,
        }
    }

    pub(super) fn has_asked(&self, side: usize) -> bool {
        self.parties[side].asked.is_some()
    }

    /// Returns whether the roles that are known contradict each other.
    pub(super) fn is_in_conflict(&self) -> bool {
        let role = |side: usize| self.parties[side].asked.as_ref().map(|asked| asked.request.flags.is_host);
        match (role(0), role(1), self.approval) {
            (Some(first), Some(second), _) if first == second => true,
            (first, second, Some(approval)) => {
                let differs = |role: Option<bool>, side| {
                    role.is_some_and(|is_host| is_host != (side != approval.initiator))
                };
                differs(first, 0) || differs(second, 1)
            }
            _ => false,
        }
    }

    /// When it is to be looked at; `idle_at` tells when its circuit ends if it carries nothing.
    pub(super) fn due(&self, idle_at: impl FnOnce(&Ends) -> Instant) -> Instant {
        match &self.stage {
            Stage::Waiting { until } => *until,
            Stage::Complete(complete) => {
                let tells = complete.sides.iter().filter_map(|side| side.tell_at).map(|(at, _)| at);
                let ends = complete.circuit.as_ref().map(|circuit| circuit.until.min(idle_at(&circuit.ends)));
                let over = (complete.result.is_none() || ends.is_none()).then(|| complete.at + KEPT);
                // One of the two last ones is there.
                tells.chain(ends).chain(over).min().unwrap_or(complete.at)
            }
        }
    }
}

impl Completion {
    /// What the parties have told so far, and after how long; `None` while more may come and none has failed.
    pub(super) fn verdict(&self) -> Option<(IntroductionResult, u32)> {
        let outcomes = || self.sides.iter().filter_map(|side| side.outcome);
        let failed = outcomes().find_map(|outcome| match outcome.result {
            OutcomeResult::Failed(code) => Some((IntroductionResult::Failed(code), outcome.millis)),
            _ => None,
        });
        let is_all = self.sides.iter().all(|side| side.outcome.is_some() || side.is_gone);
        failed.or_else(|| if is_all { self.known() } else { None })
    }

    /// The same from what is known, `None` if that is nothing.
    pub(super) fn known(&self) -> Option<(IntroductionResult, u32)> {
        let outcomes = || self.sides.iter().filter_map(|side| side.outcome);
        let millis = outcomes().map(|outcome| outcome.millis).max()?;
        let has = |result| outcomes().any(|outcome| outcome.result == result);
        let result = if has(OutcomeResult::BecameDirect) {
            IntroductionResult::BecameDirect
        } else if has(OutcomeResult::Relayed) {
            IntroductionResult::Relayed
        } else {
            IntroductionResult::Direct
        };
        Some((result, millis))
    }
}

pub(super) fn pair(one: ConnectionId, other: ConnectionId) -> (ConnectionId, ConnectionId) {
    (one.min(other), one.max(other))
}
