//! What follows when an introduction is complete.

use alloc::boxed::Box;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::record::{Circuit, Completion, KEPT, Record, Side, Stage};
use super::vetting::{Seen, vet};
use super::{CANDIDATES, CANDIDATES_PAUSE, Introducer, IntroducerStep, tell_result};
use crate::id::ConnectionId;
use crate::introduction::{IntroductionId, IntroductionResult};
use crate::micros::Micros;
use crate::wire::control::reliable::{MAX_MESSAGE, ReliableKind};
use crate::wire::introduction::{
    Candidate, CandidateKind, CircuitNotice, CircuitState, Introduced, Introduction, Nat, write_candidates,
};

/// How much later the nearer party is told, at most.
const MAX_DELAY: Micros = Micros::from_millis(100);
/// A smaller delay is no more than noise of the round trips. A host that waits in vain misses what the initiator sends by a circuit.
const MIN_DELAY: Micros = Micros::from_millis(10);
/// The pause before a party is told a second time.
const SECOND_COPY: Micros = Micros::from_millis(20);

impl Introducer {
    /// Both have asked, and the application wants it.
    pub(super) fn complete(&mut self, step: &mut IntroducerStep<'_>, mut record: Record) {
        self.waiting.remove(&record.pair());
        let connections = [0, 1].map(|side: usize| record.parties[side].connection);
        let facts = connections.map(|party| (step.connections)(party));
        let [Some(first), Some(second)] = &facts else {
            let gone = usize::from(facts[0].is_some());
            return self.leave(step, record, gone);
        };
        // Half the difference: what is sent takes half a round trip.
        let half = (first.round_trip.abs_diff(second.round_trip) / 2).min(MAX_DELAY);
        let delay = if half < MIN_DELAY { Micros::ZERO } else { half };
        let first_is_nearer = first.round_trip < second.round_trip;
        let sides = [(first, first_is_nearer), (second, !first_is_nearer)].map(|(facts, is_nearer)| Side {
            key: facts.public_key,
            seen: Seen::new(&facts.address, &facts.other_addresses),
            tell_at: Some((if is_nearer { step.now + delay } else { step.now }, 1)),
            told: None,
            told_nats: [Nat::Unknown; 2],
            outcome: None,
            is_gone: false,
        });
        let both_take_one = record
            .parties
            .iter()
            .all(|party| party.asked.as_ref().is_some_and(|asked| asked.request.flags.takes_circuit));
        let relay = record.approval.and_then(|approval| approval.relay).filter(|_| both_take_one);
        let mut circuit = None;
        if let Some(relay) = relay {
            if self.circuits.len() < step.config.circuits {
                let rate = step.config.circuits_rate;
                let ends = self.circuits.grant(step.now, step.rng, rate, record.id, connections, relay);
                circuit =
                    Some(Circuit { ends, until: step.now + relay.lifetime, rate: relay.bytes_per_second });
                self.stats.circuits += 1;
            } else {
                self.stats.too_many_circuits += 1;
            }
        }
        let secret = Some(Zeroizing::new(step.rng.array()));
        record.stage =
            Stage::Complete(Box::new(Completion { at: step.now, secret, sides, circuit, result: None }));
        self.stats.completed += 1;
        self.attend(step, record);
    }

    /// Does what is due in a complete record, and keeps it if it is not over.
    pub(super) fn attend(&mut self, step: &mut IntroducerStep<'_>, mut record: Record) {
        for side in 0..2 {
            if let Some(complete) = record.completion()
                && let Some((at, copies)) = complete.sides[side].tell_at
                && at <= step.now
            {
                complete.sides[side].tell_at =
                    (copies > 0).then(|| (step.now + SECOND_COPY, copies.saturating_sub(1)));
                self.introduce_to(step, &mut record, side);
            }
        }
        let Stage::Complete(complete) = &mut record.stage else { return self.keep(record) };
        if complete.sides.iter().all(|side| side.tell_at.is_none()) {
            complete.secret = None;
        }
        let is_over = complete
            .circuit
            .as_ref()
            .is_some_and(|circuit| circuit.until.min(self.circuits.idle_at(&circuit.ends)) <= step.now);
        let is_old = step.now >= complete.at + KEPT;
        if is_old && complete.result.is_none() {
            let (result, millis) = complete.known().unwrap_or((IntroductionResult::Unknown, 60_000));
            complete.result = Some(result);
            tell_result(step, &record, result, core::time::Duration::from_millis(millis.into()));
        }
        if is_over {
            self.end_circuit(step, &mut record);
        }
        let has_circuit = record.completion().is_some_and(|complete| complete.circuit.is_some());
        if is_old && !has_circuit { self.forget(record) } else { self.keep(record) }
    }

    /// Tells a party about the other one.
    fn introduce_to(&mut self, step: &mut IntroducerStep<'_>, record: &mut Record, side: usize) {
        let other = 1 - side;
        let candidates = match record.completion().and_then(|complete| complete.sides[side].told.clone()) {
            Some(told) => told,
            None => self.candidates_for(step, record, side),
        };
        let observed = seen(step, record, side).map(|seen| seen.observed());
        let nats = self.nats(record, side);
        let (Some(asked), Some(others)) = (&record.parties[side].asked, &record.parties[other].asked) else {
            return;
        };
        let Stage::Complete(complete) = &mut record.stage else { return };
        let Some(secret) = &complete.secret else { return };
        // The second copy says what the first one did.
        let party = &mut complete.sides[side];
        if party.told.is_none() {
            party.told_nats = nats;
        }
        let [own_nat, nat] = party.told_nats;
        let introduced = Introduced {
            id: record.id.get(),
            flags: others.request.flags,
            public_key: *complete.sides[other].key.as_bytes(),
            nonce: others.request.nonce,
            secret: secret.clone(),
            circuit: complete.circuit.as_ref().map_or(0, |circuit| circuit.ends[side].1),
            circuit_rate: complete.circuit.as_ref().map_or(0, |circuit| circuit.rate),
            nat,
            own_nat,
            observed,
            candidates: candidates.clone(),
        };
        complete.sides[side].told = Some(candidates);
        // A vector that grows leaves copies behind.
        let mut body = Vec::with_capacity(MAX_MESSAGE);
        Introduction::Complete(Box::new(introduced)).write(&mut body);
        step.send(record.parties[side].connection, asked.attempt, ReliableKind::INTRODUCTION, body);
    }

    fn candidates_for(&mut self, step: &IntroducerStep<'_>, record: &Record, side: usize) -> Vec<Candidate> {
        let named = match &record.parties[1 - side].asked {
            Some(asked) => &asked.request.candidates[..],
            None => &[],
        };
        let told = vet(seen(step, record, 1 - side).as_ref(), named, seen(step, record, side).as_ref());
        let passed = told.iter().filter(|candidate| candidate.kind != CandidateKind::Observed).count();
        self.stats.vetted_away += named.len().saturating_sub(passed) as u64;
        told
    }

    /// The address of a connection has changed.
    pub(crate) fn on_address_changed(&mut self, step: &mut IntroducerStep<'_>, connection: ConnectionId) {
        self.refresh(step, connection);
        self.look_again(step, connection);
    }

    /// Passes on what has changed of a connection's candidates, now or when its rate allows; and of the others' candidates, as far as
    /// it is told others than before.
    pub(super) fn refresh(&mut self, step: &mut IntroducerStep<'_>, connection: ConnectionId) {
        let records = self.records_of(connection);
        if records.is_empty() {
            return;
        }
        let account = self.account(step.now, connection);
        if !account.candidates.takes(step.now, CANDIDATES) {
            if account.refresh_at.is_none() {
                let at = step.now + CANDIDATES_PAUSE;
                account.refresh_at = Some(at);
                self.refreshes.insert((at, connection));
            }
            self.stats.candidates_delayed += 1;
            return;
        }
        for id in records {
            let Some(mut record) = self.take(id) else { continue };
            for side in 0..2 {
                self.update(step, &mut record, side);
            }
            self.keep(record);
        }
    }

    /// Tells a party the other's candidates, if they are others than it was told.
    fn update(&mut self, step: &mut IntroducerStep<'_>, record: &mut Record, side: usize) {
        let Some(complete) = record.completion() else { return };
        if complete.sides[side].told.is_none() || complete.sides.iter().any(|side| side.is_gone) {
            return;
        }
        let candidates = self.candidates_for(step, record, side);
        let Some(asked) = &record.parties[side].asked else { return };
        let (connection, attempt) = (record.parties[side].connection, asked.attempt);
        let Some(complete) = record.completion() else { return };
        if complete.sides[side].told.as_ref() == Some(&candidates) {
            return;
        }
        let mut body = Vec::new();
        write_candidates(&candidates, &mut body);
        step.send(connection, attempt, ReliableKind::CANDIDATES, body);
        complete.sides[side].told = Some(candidates);
        self.stats.candidates_passed += 1;
    }

    /// Tells what is new of a circuit.
    pub(super) fn tell_notices(&mut self, step: &mut IntroducerStep<'_>, id: IntroductionId) {
        let Some(mut record) = self.take(id) else { return };
        if let Some(complete) = record.completion()
            && let Some(circuit) = &complete.circuit
        {
            let states = self.circuits.take_notices(&circuit.ends);
            if states.contains(&Some(CircuitState::UsedUp)) {
                self.drop_circuit(step, &mut record, CircuitState::UsedUp);
            } else {
                tell_circuit(step, &record, states);
            }
        }
        self.attend(step, record);
    }

    /// Ends the circuit of a record, if it has one.
    pub(super) fn end_circuit(&mut self, step: &mut IntroducerStep<'_>, record: &mut Record) {
        self.drop_circuit(step, record, CircuitState::Ended);
    }

    fn drop_circuit(&mut self, step: &mut IntroducerStep<'_>, record: &mut Record, state: CircuitState) {
        tell_circuit(step, record, [Some(state); 2]);
        if let Some(complete) = record.completion()
            && let Some(circuit) = complete.circuit.take()
        {
            self.circuits.end(&circuit.ends);
        }
    }
}

/// Tells the parties that know of their circuit, and are there.
fn tell_circuit(step: &mut IntroducerStep<'_>, record: &Record, states: [Option<CircuitState>; 2]) {
    let Stage::Complete(complete) = &record.stage else { return };
    let Some(circuit) = &complete.circuit else { return };
    let sides = &complete.sides;
    for ((party, side), (end, state)) in record.parties.iter().zip(sides).zip(circuit.ends.iter().zip(states))
    {
        if let (Some(asked), Some(state), Some(_), false) = (&party.asked, state, &side.told, side.is_gone) {
            let mut body = Vec::new();
            CircuitNotice { circuit: end.1, state }.write(&mut body);
            step.send(party.connection, asked.attempt, ReliableKind::CIRCUIT, body);
        }
    }
}

/// Where a party that takes direct paths is seen, or was when it left.
fn seen(step: &IntroducerStep<'_>, record: &Record, side: usize) -> Option<Seen> {
    let party = &record.parties[side];
    party.asked.as_ref().filter(|asked| asked.request.flags.takes_direct)?;
    match ((step.connections)(party.connection), &record.stage) {
        (Some(facts), _) => Seen::new(&facts.address, &facts.other_addresses),
        (None, Stage::Complete(complete)) => complete.sides[side].seen.clone(),
        (None, Stage::Waiting { .. }) => None,
    }
}
