//! What parties say.

use super::record::{Asked, Record, Stage};
use super::{Introducer, IntroducerEvent, IntroducerStep, REQUESTS, pair, tell_result};
use crate::codes::CloseCode;
use crate::id::ConnectionId;
use crate::introduction::{HOST_BIT, IntroductionResult};
use crate::wire::control::reliable::ReliableKind;
use crate::wire::introduction::{
    Outcome, OutcomeResult, Request, parse_candidates, parse_tokens_wanted, parse_withdraw,
};

impl Introducer {
    /// A party's message. Each comes once, and a state that is out of date does not come at all.
    pub(crate) fn on_message(
        &mut self,
        step: &mut IntroducerStep<'_>,
        connection: ConnectionId,
        attempt: u32,
        kind: ReliableKind,
        body: &[u8],
    ) {
        let is_attempt = attempt & !HOST_BIT != 0;
        if !is_attempt || !step.config.introduces || (step.connections)(connection).is_none() {
            self.stats.unwanted += 1;
            return;
        }
        let is_read = match kind {
            ReliableKind::REQUEST => {
                Request::parse(body).map(|request| self.on_request(step, connection, attempt, request))
            }
            ReliableKind::WITHDRAW => {
                parse_withdraw(body).map(|_| self.on_withdraw(step, connection, attempt))
            }
            ReliableKind::CANDIDATES => parse_candidates(body).map(|candidates| {
                if let Some((mut record, side)) = self.find(connection, attempt) {
                    if let Some(asked) = &mut record.parties[side].asked {
                        asked.request.candidates = candidates;
                    }
                    self.keep(record);
                    self.refresh(step, connection);
                }
            }),
            ReliableKind::OUTCOME => {
                Outcome::parse(body).map(|outcome| self.on_outcome(step, connection, attempt, outcome))
            }
            ReliableKind::TOKENS => parse_tokens_wanted(body)
                .map(|wanted| self.on_tokens_wanted(step, connection, attempt, wanted)),
            // Other kinds are the introducer's, or of later versions.
            _ => {
                self.stats.unwanted += 1;
                return;
            }
        };
        self.stats.malformed += u64::from(is_read.is_err());
    }

    fn on_request(
        &mut self,
        step: &mut IntroducerStep<'_>,
        connection: ConnectionId,
        attempt: u32,
        request: Request,
    ) {
        if !self.account(step.now, connection).requests.takes(step.now, REQUESTS) {
            self.stats.too_many_requests += 1;
            return;
        }
        // The number 0 names nobody, and a party that names itself waits in vain, too.
        let remote = ConnectionId::from_u32(request.remote).unwrap_or(connection);
        if let Some(id) = self.attempts.get(&(connection, attempt))
            && self
                .records
                .get(id)
                .is_none_or(|record| !record.is_waiting() || record.pair() != pair(connection, remote))
        {
            // It was answered already, or the attempt is about somebody else.
            self.stats.stale_requests += 1;
            return;
        }
        let mut record = match self.take_waiting(connection, remote) {
            Some(record) => record,
            None if self.has_room(step, Some(connection)) => self.begin(step, connection, remote),
            None => {
                self.stats.too_many += 1;
                return step.withdraw(connection, attempt, CloseCode::IntroductionRefused);
            }
        };
        let side = record.side(connection).unwrap_or(0);
        let from_is_host = request.flags.is_host;
        if let Some(old) =
            record.parties[side].asked.replace(Asked { attempt, at: step.now, request, told: None })
        {
            self.forget_attempt(connection, old.attempt, record.id);
        }
        self.attempts.insert((connection, attempt), record.id);
        if record.counts_for.is_none() {
            record.counts_for = Some(side);
            self.account(step.now, connection).records += 1;
            if record.approval.is_none() {
                self.shares.insert(connection, record.begun, record.id);
            }
        }
        let exists = remote != connection && (step.connections)(remote).is_some();
        if record.approval.is_none() && exists && !record.was_application_asked {
            record.was_application_asked = true;
            step.events.push(IntroducerEvent::Requested { from: connection, to: remote, from_is_host });
        }
        self.stats.requests += 1;
        self.settle(step, record);
        self.look_if_unknown(step, connection);
    }

    fn on_withdraw(&mut self, step: &mut IntroducerStep<'_>, connection: ConnectionId, attempt: u32) {
        let Some((mut record, side)) = self.find(connection, attempt) else { return };
        self.stats.withdrawn += 1;
        if let Some(complete) = record.completion() {
            // A party that has told what became of it has nothing to withdraw, and is told of nothing.
            if complete.sides[side].outcome.is_some() || complete.result.is_some() {
                return self.keep(record);
            }
            self.end_circuit(step, &mut record);
        }
        self.leave(step, record, side);
    }

    fn on_outcome(
        &mut self,
        step: &mut IntroducerStep<'_>,
        connection: ConnectionId,
        attempt: u32,
        outcome: Outcome,
    ) {
        let Some((mut record, side)) = self.find(connection, attempt) else { return };
        let id = record.id.get();
        let news = record.completion().map(|complete| &mut complete.sides[side].outcome);
        match news.filter(|known| outcome.introduction == id && is_news(**known, outcome)) {
            Some(known) => {
                *known = Some(outcome);
                self.judge(step, record);
            }
            None => {
                self.stats.unwanted += 1;
                self.keep(record);
            }
        }
    }

    /// Tells the application what is now known of a complete record, and goes on with it, or ends it.
    pub(super) fn judge(&mut self, step: &mut IntroducerStep<'_>, mut record: Record) {
        let Stage::Complete(complete) = &mut record.stage else { return self.keep(record) };
        let is_over = complete.sides.iter().all(|side| side.is_gone);
        let verdict = match complete.result {
            None if is_over => Some(complete.verdict().unwrap_or((IntroductionResult::Unknown, 0))),
            None => complete.verdict(),
            Some(IntroductionResult::Relayed) => {
                complete.known().filter(|(result, _)| *result == IntroductionResult::BecameDirect)
            }
            Some(_) => None,
        };
        if let Some((result, millis)) = verdict {
            complete.result = Some(result);
            let took = core::time::Duration::from_millis(millis.into());
            tell_result(step, &record, result, took);
        }
        if is_over || matches!(verdict, Some((IntroductionResult::Failed(_), _))) {
            self.end_circuit(step, &mut record);
            // A party may fail before the other one was told.
            if let Stage::Complete(complete) = &record.stage {
                for (party, side) in record.parties.iter().zip(&complete.sides) {
                    if let (Some(asked), None, false) = (&party.asked, &side.told, side.is_gone) {
                        step.withdraw(party.connection, asked.attempt, CloseCode::RemoteGone);
                    }
                }
            }
            return self.forget(record);
        }
        self.attend(step, record);
    }

    /// The record to which a party's message belongs.
    fn find(&mut self, connection: ConnectionId, attempt: u32) -> Option<(Record, usize)> {
        let found = self.attempts.get(&(connection, attempt)).copied().and_then(|id| self.take(id));
        let found = found.and_then(|record| record.side(connection).map(|side| (record, side)));
        self.stats.unknown_attempt += u64::from(found.is_none());
        found
    }
}

/// A party tells once what became of it, and once more that a relayed connection became direct.
fn is_news(known: Option<Outcome>, outcome: Outcome) -> bool {
    match known {
        None => true,
        Some(known) => {
            known.result == OutcomeResult::Relayed && outcome.result == OutcomeResult::BecameDirect
        }
    }
}
