//! What a party keeps of an introduction when its connection is established.
//!
//! The introducer is told when a relayed connection becomes direct, and goes on telling of the other party's addresses and of the circuit.

use alloc::vec::Vec;

use super::attempt::{Attempt, Circuit, outcome};
use super::prospect::{PATIENCE, Prospect};
use super::{PartyOptions, PartyStep, attempt};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::introduction::Message;
use crate::path::Path;
use crate::wire::control::reliable::ReliableKind;
use crate::wire::introduction::{Candidate, OutcomeResult, write_candidates};

/// An introduction whose connection is established, while the connection with the introducer lives.
pub(super) struct Kept {
    pub(super) connection: ConnectionId,
    pub(super) options: PartyOptions,
    pub(super) number: u32,
    pub(super) id: u64,
    pub(super) is_direct: bool,
    pub(super) circuit: Option<Circuit>,
    /// Of a run through both NATs.
    pub(super) prospect: Prospect,
    /// Whether its packets take the circuit now.
    pub(super) is_on_circuit: bool,
    began: Instant,
    /// Whether the introducer was told that the connection is relayed, and not yet that it is direct.
    is_relayed: bool,
}

impl Kept {
    /// Returns whether messages of this introducer with this number are of the introduction.
    pub(super) fn hears(&self, introducer: ConnectionId, number: u32) -> bool {
        (self.options.introducer, self.number) == (introducer, number)
    }

    /// Tells the outcome. `None` if the parties were not introduced.
    pub(super) fn new(step: &mut PartyStep<'_>, attempt: Attempt, path: Path) -> Option<Self> {
        let is_relayed = path.remote.is_circuit();
        let is_direct = attempt.is_direct();
        let id = attempt.meeting()?.id;
        let result = if is_relayed { OutcomeResult::Relayed } else { OutcomeResult::Direct };
        let body = outcome(id, result, attempt.millis(step.now));
        attempt.send(step, ReliableKind::OUTCOME, body);
        let Attempt { connection, options, number, began, state, .. } = attempt;
        let attempt::State::Meeting(meeting) = state else { return None };
        let attempt::Meeting { circuit, mut prospect, .. } = *meeting;
        prospect.put_off(is_relayed.then_some(step.now + PATIENCE));
        let is_on_circuit = is_relayed;
        Some(Self {
            connection,
            options,
            number,
            id,
            is_direct,
            circuit,
            prospect,
            is_on_circuit,
            began,
            is_relayed,
        })
    }

    /// The connection takes a direct path now.
    pub(super) fn became_direct(&mut self, step: &mut PartyStep<'_>) {
        self.is_on_circuit = false;
        self.prospect.put_off(None);
        if core::mem::take(&mut self.is_relayed) {
            let millis = u32::try_from(step.now.micros_since(self.began).get() / 1_000).unwrap_or(u32::MAX);
            self.send(step, ReliableKind::OUTCOME, outcome(self.id, OutcomeResult::BecameDirect, millis));
        }
    }

    /// Tells the introducer of other addresses of this machine.
    pub(super) fn send_candidates(&self, step: &mut PartyStep<'_>, own: &[Candidate]) {
        if self.options.takes_direct {
            let mut body = Vec::new();
            write_candidates(own, &mut body);
            self.send(step, ReliableKind::CANDIDATES, body);
        }
    }

    fn send(&self, step: &mut PartyStep<'_>, kind: ReliableKind, body: Vec<u8>) {
        let connection = self.options.introducer;
        step.messages.push(Message { connection, attempt: self.number, kind, body: body.into() });
    }
}
