//! Messages that overtake the word about the other party: both of its copies may be lost, and come later.

use super::{Party, PartyStep};
use crate::wire::control::reliable::ReliableKind;
use crate::wire::introduction::Nats;

/// The longest message that is kept: none of those that are laid out well is longer.
const MAX_BYTES: usize = 256;

impl Party {
    /// Keeps a message that describes a state if it came too early, in place of an earlier one. Returns whether it did.
    pub(super) fn keeps_early(&mut self, index: usize, kind: ReliableKind, body: &[u8]) -> bool {
        let attempt = &mut self.attempts[index];
        let is_early = kind.is_state()
            && kind != ReliableKind::INTRODUCTION
            && body.len() <= MAX_BYTES
            && attempt.meeting().is_none();
        if is_early {
            attempt.early.retain(|(other, _)| *other != kind);
            attempt.early.push((kind, body.to_vec()));
        }
        is_early
    }

    /// The other party is known: what came too early counts now.
    pub(super) fn hear_early(&mut self, step: &mut PartyStep<'_>, index: usize) {
        let attempt = &mut self.attempts[index];
        let (introducer, number) = (attempt.options.introducer, attempt.number);
        // None of these messages ends the attempt.
        for (kind, body) in core::mem::take(&mut attempt.early) {
            if kind != ReliableKind::NATS {
                self.on_message(step, introducer, number, kind, &body);
            } else if let Some(meeting) = self.attempts[index].meeting_mut()
                && let Ok(nats) = Nats::parse(&body)
            {
                // It may be older than the word about the other party, which says the same.
                meeting.prospect.complete(&nats);
            }
        }
    }
}
