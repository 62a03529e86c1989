//! What two parties know of their NATs, and when they may try to get through (INTRODUCTIONS.md 9.2).

use core::net::{SocketAddr, SocketAddrV4};

use super::hard_nat::Tactic;
use crate::address::Address;
use crate::instant::Instant;
use crate::introduction::reach::{Reach, reach};
use crate::micros::Micros;
use crate::wire::introduction::{Candidate, CandidateKind, Introduced, Nat, Nats};

/// How long other ways are tried first.
pub(super) const PATIENCE: Micros = Micros::from_secs(1);
/// How much longer a NAT that is unknown is waited for.
const NAT_WAIT: Micros = Micros::from_millis(1_500);

/// The prospect of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prospect {
    own: Nat,
    other: Nat,
    /// Where introducers see both parties.
    own_address: Option<SocketAddr>,
    other_address: Option<SocketAddr>,
    /// When a run may begin; `None` if none is to.
    due: Option<Instant>,
    /// Whether a NAT that is unknown was waited for.
    has_waited: bool,
}

impl Prospect {
    pub(super) fn new(now: Instant, told: &Introduced) -> Self {
        let mut prospect = Self {
            own: told.own_nat,
            other: told.nat,
            own_address: told.observed,
            other_address: None,
            due: Some(now + PATIENCE),
            has_waited: false,
        };
        prospect.set_candidates(&told.candidates);
        prospect
    }

    /// The introducer has found out more.
    pub(super) fn learn(&mut self, now: Instant, nats: &Nats) {
        (self.own, self.other) = (nats.own, nats.other);
        self.own_address = nats.observed.or(self.own_address);
        if self.has_waited && !self.lacks_a_nat() {
            self.due = self.due.map(|due| due.min(now));
        }
    }

    /// The introducer may have found out what it did not know when it told of the other party.
    pub(super) fn complete(&mut self, nats: &Nats) {
        for (known, nat) in [(&mut self.own, nats.own), (&mut self.other, nats.other)] {
            if *known == Nat::Unknown {
                *known = nat;
            }
        }
    }

    /// The other party is seen where its candidates say.
    pub(super) fn set_candidates(&mut self, candidates: &[Candidate]) {
        let observed = candidates.iter().find(|candidate| candidate.kind == CandidateKind::Observed);
        self.other_address = observed.map(|candidate| candidate.address);
    }

    /// This machine is in another network, where its NAT is not known.
    pub(super) fn network_changed(&mut self) {
        self.own = Nat::Unknown;
    }

    /// A run may begin at this time; `None` if none is to.
    pub(super) fn put_off(&mut self, until: Option<Instant>) {
        (self.due, self.has_waited) = (until, false);
    }

    /// Returns whether it is time. A NAT that is unknown is waited for, once.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        if self.lacks_a_nat() && !core::mem::replace(&mut self.has_waited, true) {
            self.due = Some(now + NAT_WAIT);
            return false;
        }
        true
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The other party's NAT.
    pub(super) fn other(&self) -> Nat {
        self.other
    }

    /// What to try, and against which address. `None` if nothing is worth it: behind one NAT, or without one that is known.
    pub(super) fn tactic(&self, opens_ports: bool) -> Option<(Tactic, SocketAddrV4)> {
        let canonical = |address: SocketAddr| Address::from(address).socket_addr();
        let addresses = (self.own_address.and_then(canonical)?, self.other_address.and_then(canonical)?);
        let (SocketAddr::V4(own), SocketAddr::V4(other)) = addresses else { return None };
        let is_worth_it =
            own.ip() != other.ip() && reach((*other.ip()).into()) == Reach::Public && other.port() != 0;
        let tactic = Tactic::of(self.own, self.other, opens_ports).filter(|_| is_worth_it)?;
        Some((tactic, other))
    }

    /// Returns whether it is known that a NAT depends on the destination.
    pub(super) fn is_hard(&self) -> bool {
        [self.own, self.other].iter().any(|nat| matches!(nat, Nat::Sequential(_) | Nat::Unpredictable))
    }

    fn lacks_a_nat(&self) -> bool {
        self.own == Nat::Unknown || self.other == Nat::Unknown
    }
}
