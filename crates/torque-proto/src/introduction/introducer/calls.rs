//! What the application says, and connections that end.

use alloc::vec::Vec;

use super::record::{Approval, Party, Record, Stage};
use super::{Introducer, IntroducerStep, RelayDrop, RelayVerdict, pair};
use crate::codes::CloseCode;
use crate::error::CallError;
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::introduction::{IntroductionId, IntroductionResult, Relay};

impl Introducer {
    /// Introduces two connections, as soon as both have asked; lends them a circuit if there is a `relay`.
    ///
    /// # Errors
    /// `OtherShard`, `Closed`, `TooManyIntroductions`.
    pub(crate) fn introduce(
        &mut self,
        step: &mut IntroducerStep<'_>,
        initiator: ConnectionId,
        host: ConnectionId,
        relay: Option<Relay>,
    ) -> Result<IntroductionId, CallError> {
        if initiator.shard() != host.shard() {
            return Err(CallError::OtherShard);
        }
        if [initiator, host].iter().any(|party| (step.connections)(*party).is_none()) {
            return Err(CallError::Closed);
        }
        let mut record = match self.take_waiting(initiator, host) {
            Some(record) => record,
            None if self.has_room(step, None) => self.begin(step, initiator, host),
            None => {
                self.stats.too_many += 1;
                return Err(CallError::TooManyIntroductions);
            }
        };
        self.leave_shares(&record);
        let id = record.id;
        record.approval = Some(Approval { initiator: record.side(initiator).unwrap_or(0), relay });
        self.settle(step, record);
        Ok(id)
    }

    /// Refuses the request of one connection for another one.
    ///
    /// # Errors
    /// `NotWaiting` if there is no such request, or it was answered.
    pub(crate) fn refuse(
        &mut self,
        step: &mut IntroducerStep<'_>,
        from: ConnectionId,
        to: ConnectionId,
    ) -> Result<(), CallError> {
        let record = self.take_waiting(from, to).ok_or(CallError::NotWaiting)?;
        if record.approval.is_some() {
            self.keep(record);
            return Err(CallError::NotWaiting);
        }
        self.stats.refused += 1;
        self.fail(step, record, CloseCode::IntroductionRefused);
        Ok(())
    }

    /// Makes a record of a pair that has none which waits. [`has_room`](Self::has_room) came before.
    pub(super) fn begin(
        &mut self,
        step: &mut IntroducerStep<'_>,
        one: ConnectionId,
        other: ConnectionId,
    ) -> Record {
        let id = loop {
            match IntroductionId::from_u64(step.rng.u64()) {
                Some(id) if !self.records.contains_key(&id) => break id,
                _ => {}
            }
        };
        self.waiting.insert(pair(one, other), id);
        self.members.insert((one, id));
        self.members.insert((other, id));
        Record {
            id,
            begun: step.now,
            parties: [one, other].map(|connection| Party { connection, asked: None }),
            counts_for: None,
            approval: None,
            was_application_asked: false,
            stage: Stage::Waiting { until: step.now + step.config.wait },
            noted: step.now,
        }
    }

    /// Returns whether there is room for another record, after one has given way if need be. `asker` is the connection that it will
    /// count for.
    pub(super) fn has_room(&mut self, step: &mut IntroducerStep<'_>, asker: Option<ConnectionId>) -> bool {
        if let Some(asker) = asker {
            let count = self.account(step.now, asker).records;
            if count >= step.config.records_per_connection {
                let oldest = self.shares.oldest_of(asker);
                return self.gives_way(step, oldest) && self.has_room_in_all(step, Some(asker));
            }
        }
        self.has_room_in_all(step, asker)
    }

    fn has_room_in_all(&mut self, step: &mut IntroducerStep<'_>, asker: Option<ConnectionId>) -> bool {
        if self.records.len() < step.config.records {
            return true;
        }
        let next = self.shares.next_for(asker);
        self.gives_way(step, next)
    }

    fn gives_way(&mut self, step: &mut IntroducerStep<'_>, id: Option<IntroductionId>) -> bool {
        let Some(record) = id.and_then(|id| self.take(id)) else { return false };
        self.stats.gave_way += 1;
        self.fail(step, record, CloseCode::IntroductionRefused);
        true
    }

    /// A connection has ended.
    pub(crate) fn on_connection_ended(&mut self, step: &mut IntroducerStep<'_>, connection: ConnectionId) {
        for id in self.records_of(connection) {
            let Some(record) = self.take(id) else { continue };
            let Some(side) = record.side(connection) else { continue };
            match record.stage {
                // Otherwise it would show that there was such a connection.
                Stage::Waiting { .. } if !record.has_asked(side) && record.approval.is_none() => {
                    self.keep(record)
                }
                Stage::Waiting { .. } => self.leave(step, record, side),
                Stage::Complete(_) => self.lose(step, record, side),
            }
        }
        self.looks.forget(connection);
        if let Some(account) = self.accounts.remove(&connection)
            && let Some(at) = account.refresh_at
        {
            self.refreshes.remove(&(at, connection));
        }
    }

    /// A party gave up or left. The other one is told if it has asked, and has not come to an end itself.
    pub(super) fn leave(&mut self, step: &mut IntroducerStep<'_>, record: Record, side: usize) {
        let mut codes = [Some(CloseCode::RemoteGone); 2];
        codes[side] = None;
        if let Stage::Complete(complete) = &record.stage
            && complete.sides[1 - side].outcome.is_some()
        {
            codes[1 - side] = None;
        }
        self.end(step, record, codes, IntroductionResult::Failed(CloseCode::RemoteGone));
    }

    /// A party of a complete record has lost its connection here. It may go on without, if it knows what it needs.
    fn lose(&mut self, step: &mut IntroducerStep<'_>, mut record: Record, side: usize) {
        let Stage::Complete(complete) = &mut record.stage else { return self.keep(record) };
        self.members.remove(&(record.parties[side].connection, record.id));
        if let Some(asked) = &record.parties[side].asked {
            let (connection, attempt, id) = (record.parties[side].connection, asked.attempt, record.id);
            self.forget_attempt(connection, attempt, id);
        }
        if record.counts_for == Some(side) {
            record.counts_for = None;
        }
        let knows = complete.sides[side].told.is_some();
        complete.sides[side].is_gone = true;
        complete.sides[side].tell_at = None;
        self.end_circuit(step, &mut record);
        if knows { self.judge(step, record) } else { self.leave(step, record, side) }
    }

    /// Judges a relayed datagram that came from a valid path of a connection, and counts it.
    pub(crate) fn relay(
        &mut self,
        now: Instant,
        from: ConnectionId,
        circuit: u32,
        inner: &[u8],
    ) -> RelayVerdict {
        let verdict = self.circuits.relay(now, from, circuit, inner);
        let stats = &mut self.stats;
        let counter = match verdict {
            RelayVerdict::Forward { .. } => {
                stats.relayed_bytes += inner.len() as u64;
                &mut stats.relayed
            }
            RelayVerdict::Drop(RelayDrop::UnknownCircuit) => &mut stats.unknown_circuit,
            RelayVerdict::Drop(RelayDrop::NotRelayable) => &mut stats.not_relayable,
            RelayVerdict::Drop(RelayDrop::Throttled) => &mut stats.throttled,
            RelayVerdict::Drop(RelayDrop::UsedUp) => &mut stats.used_up,
            RelayVerdict::Drop(RelayDrop::OverBudget) => &mut stats.over_budget,
        };
        *counter += 1;
        verdict
    }

    pub(super) fn records_of(&self, connection: ConnectionId) -> Vec<IntroductionId> {
        let (first, last) = (IntroductionId::MIN, IntroductionId::MAX);
        self.members.range((connection, first)..=(connection, last)).map(|(_, id)| *id).collect()
    }
}
