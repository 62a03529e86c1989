//! A party of introductions: asks, and looks for the first path (INTRODUCTIONS.md 5, 8 and 12).
//!
//! A [`Party`] knows all introductions of one socket. It sends nothing and knows no slots: the messages and punches that it wants, and
//! what it has found, are appended to the lists of a [`PartyStep`]. Each attempt is an [`Attempt`] until its connection is established;
//! then the connection looks after its paths, and a [`Kept`] is left of it.

mod attempt;
mod budgets;
mod candidates;
mod early;
mod hard_nat;
mod kept;
mod looks;
mod ports;
mod prospect;
mod punching;
mod runs;
mod step;
mod watch;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

pub(crate) use attempt::HandshakeSecrets;
use attempt::{Attempt, Meeting, State};
use budgets::Budgets;
pub(crate) use hard_nat::RunPunch;
use kept::Kept;
use looks::Looks;
pub(crate) use looks::second_address;
use ports::Ports;
use punching::{NewlyValid, Punching, PunchingStep};
use runs::Runs;
pub(crate) use step::{Handover, ObserveOut, PartyEvent, PartyOptions, PartyStep, PunchOut};

use super::{HOST_BIT, PartyStats};
use crate::address::Address;
use crate::codes::CloseCode;
use crate::error::CallError;
use crate::id::ConnectionId;
use crate::identity::PublicKey;
use crate::instant::Instant;
use crate::micros::Micros;
use crate::path::Path;
use crate::wire::Punch;
use crate::wire::control::reliable::ReliableKind;
use crate::wire::introduction::{
    Candidate, CandidateKind, CircuitNotice, CircuitState, Introduced, Introduction, MAX_CANDIDATES,
    parse_candidates, parse_withdraw,
};

/// Attempts with one introducer: reliable messages know as many.
const MAX_OF_INTRODUCER: usize = 16;
const MINUTE: Micros = Micros::from_secs(60);

/// All introductions of which a socket is a party.
#[derive(Default)]
pub(crate) struct Party {
    attempts: Vec<Attempt>,
    /// Oldest first.
    kept: Vec<Kept>,
    last_number: u32,
    /// When attempts of the last minute began, oldest first.
    begun: VecDeque<Instant>,
    /// Where this machine may be reachable, as introducers are told.
    own: Vec<Candidate>,
    budgets: Budgets,
    ports: Ports,
    looks: Looks,
    runs: Runs,
    counters: PartyStats,
    deadline: Option<Instant>,
}

impl Party {
    /// Asks an introducer to be introduced. `connection` is the id of the connection to come.
    ///
    /// # Errors
    /// `AlreadyIntroducing`, `TooManyIntroductions`.
    pub(crate) fn begin(
        &mut self,
        step: &mut PartyStep<'_>,
        connection: ConnectionId,
        options: PartyOptions,
    ) -> Result<(), CallError> {
        let of_introducer = self
            .attempts
            .iter()
            .filter(|other| other.has_introducer && other.options.introducer == options.introducer);
        if of_introducer.clone().any(|other| other.options.remote == options.remote) {
            return Err(CallError::AlreadyIntroducing);
        }
        while self.begun.front().is_some_and(|at| *at + MINUTE <= step.now) {
            self.begun.pop_front();
        }
        let most = step.config.attempts;
        if self.attempts.len() >= most
            || self.begun.len() >= most
            || of_introducer.count() >= MAX_OF_INTRODUCER
        {
            return Err(CallError::TooManyIntroductions);
        }
        self.begun.push_back(step.now);
        let number = self.next_number(options.hosts_introducer);
        let attempt = Attempt::new(step, connection, number, options);
        attempt.request(step, &self.own);
        self.attempts.push(attempt);
        self.counters.begun += 1;
        self.reschedule();
        Ok(())
    }

    /// A message of an introducer arrived. One that is older than another of its kind does not come here.
    pub(crate) fn on_message(
        &mut self,
        step: &mut PartyStep<'_>,
        introducer: ConnectionId,
        number: u32,
        kind: ReliableKind,
        body: &[u8],
    ) {
        let index = self.attempts.iter().position(|attempt| attempt.hears(introducer, number));
        if index.is_some_and(|index| self.keeps_early(index, kind, body)) {
            return;
        }
        let is_understood = match (index, kind) {
            (_, ReliableKind::TOKENS | ReliableKind::OBSERVED | ReliableKind::NATS) => {
                self.on_nat_message(step, introducer, number, kind, body)
            }
            (Some(index), ReliableKind::INTRODUCTION) => self.on_introduction(step, index, body),
            (Some(index), ReliableKind::WITHDRAW) => self.on_withdraw(step, index, body),
            (Some(index), ReliableKind::CANDIDATES) => self.on_candidates(step, index, body),
            (Some(index), ReliableKind::CIRCUIT) => {
                let attempt = &mut self.attempts[index];
                let connection = attempt.connection;
                let circuit = attempt.meeting_mut().map(|meeting| &mut meeting.circuit);
                circuit
                    .and_then(|circuit| on_circuit(step, connection, circuit, body))
                    .map(|throttled| self.counters.circuits_throttled += throttled)
            }
            (None, kind) => self.on_message_of_kept(step, introducer, number, kind, body),
            (Some(_), _) => None,
        };
        if is_understood.is_none() {
            self.counters.messages_ignored += 1;
        }
        self.reschedule();
    }

    /// The introducer has not received a message.
    pub(crate) fn on_message_failed(
        &mut self,
        step: &mut PartyStep<'_>,
        introducer: ConnectionId,
        number: u32,
    ) {
        let index = self.attempts.iter().position(|attempt| {
            attempt.hears(introducer, number) && matches!(attempt.state, State::Asking { .. })
        });
        if let Some(index) = index {
            self.end(step, index, CloseCode::NoAnswer);
        }
        self.on_nat_message_failed(step, introducer, number);
        self.reschedule();
    }

    /// A punch of an introduction arrived. Returns false if it is of none here, or not authentic.
    pub(crate) fn on_punch(
        &mut self,
        step: &mut PartyStep<'_>,
        path: Path,
        punch: &Punch,
        tag: &[u8; Punch::TAG_BYTES],
    ) -> bool {
        let is_of = |attempt: &&mut Attempt| attempt.meeting().is_some_and(|meeting| meeting.id == punch.id);
        let Some(attempt) = self.attempts.iter_mut().find(is_of) else { return false };
        let (connection, is_host, is_direct) =
            (attempt.connection, attempt.options.is_host, attempt.is_direct());
        let introducer = attempt.options.introducer;
        let Some(meeting) = attempt.meeting_mut() else { return false };
        let is_right_way = is_host != punch.is_from_host;
        if punch.is_of_connection || !is_right_way || !meeting.punch_key.verifies(punch, tag) {
            return false;
        }
        self.counters.punches_received += 1;
        // A circuit is not proven by punches of the introduction.
        if !is_direct || path.remote.is_circuit() {
            return true;
        }
        let (punching, key) = (&mut meeting.punching, (&meeting.punch_key, meeting.id, is_host));
        let newly =
            run(step, &mut self.budgets, &mut self.counters, introducer, punching, key, |set, step| {
                set.on_punch(step, path, punch.number, punch.echo)
            });
        if let Some(NewlyValid { path, round_trip }) = newly {
            let round_trip = Some(round_trip);
            self.run_has_met(step.now, connection);
            step.events.push(PartyEvent::PathReady { connection, path, round_trip });
        }
        self.reschedule();
        true
    }

    /// The connection with an introducer has ended.
    pub(crate) fn on_introducer_ended(&mut self, step: &mut PartyStep<'_>, introducer: ConnectionId) {
        self.looks.on_introducer_ended(introducer, &mut self.ports);
        let is_of = |options: &PartyOptions| options.introducer == introducer;
        for index in (0..self.attempts.len()).rev() {
            let attempt = &mut self.attempts[index];
            if !attempt.has_introducer || !is_of(&attempt.options) {
                continue;
            }
            attempt.has_introducer = false;
            let connection = attempt.connection;
            match attempt.meeting_mut() {
                Some(meeting) => end_circuit(step, connection, &mut meeting.circuit),
                None => self.end(step, index, CloseCode::IntroducerGone),
            }
        }
        self.kept.retain_mut(|kept| {
            let is_over = is_of(&kept.options);
            if is_over {
                end_circuit(step, kept.connection, &mut kept.circuit);
            }
            !is_over
        });
        self.reschedule();
    }

    /// This machine may be reachable at these addresses: introducers are told if they are others than before.
    pub(crate) fn set_candidates(&mut self, step: &mut PartyStep<'_>, mut candidates: Vec<Candidate>) {
        let tells_local = step.config.local_addresses;
        candidates.retain(|candidate| match candidate.kind {
            CandidateKind::Interface => tells_local,
            CandidateKind::Mapped => true,
            CandidateKind::Observed => false,
        });
        candidates.truncate(MAX_CANDIDATES);
        if candidates == self.own {
            return;
        }
        self.own = candidates;
        for attempt in &mut self.attempts {
            attempt.send_candidates(step, &self.own);
            if let Some(meeting) = attempt.meeting_mut() {
                meeting.punching.begin_anew(step.now);
            }
        }
        for kept in &self.kept {
            kept.send_candidates(step, &self.own);
        }
        self.reschedule();
    }

    /// The attempt is over, because its application or the handshake says so. No event follows.
    pub(crate) fn withdraw(&mut self, step: &mut PartyStep<'_>, connection: ConnectionId, code: CloseCode) {
        if let Some(index) = self.index(connection) {
            self.attempts.swap_remove(index).send_end(step, code);
            self.counters.ended += 1;
        }
        self.forget(step.now, connection);
    }

    /// The handshake has begun: at the host a request was admitted. From now on its limits count, not those of the attempt.
    pub(crate) fn handshake_began(&mut self, connection: ConnectionId) {
        if let Some(index) = self.index(connection)
            && let Some(meeting) = self.attempts[index].meeting_mut()
        {
            meeting.handshake_began();
        }
        self.reschedule();
    }

    /// A datagram of the handshake arrived on this path, so the other party has it for valid: it is not punched any more.
    pub(crate) fn path_was_shown(&mut self, connection: ConnectionId, path: Path) {
        if let Some(index) = self.index(connection)
            && let Some(meeting) = self.attempts[index].meeting_mut()
        {
            meeting.punching.was_shown(path);
        }
        self.reschedule();
    }

    /// The connection is established on this path: the punches of the introduction end, and its keys are erased. Returns what the
    /// connection goes on with; `None` if there is no such attempt.
    pub(crate) fn established(
        &mut self,
        step: &mut PartyStep<'_>,
        connection: ConnectionId,
        path: Path,
    ) -> Option<Handover> {
        let index = self.index(connection)?;
        let meeting = self.attempts[index].meeting()?;
        let handover = Handover {
            paths: meeting.punching.valid_paths().collect(),
            sources: meeting.punching.sources().collect(),
            candidates: meeting.punching.candidates().collect(),
        };
        let attempt = self.attempts.swap_remove(index);
        let has_introducer = attempt.has_introducer;
        let kept = Kept::new(step, attempt, path);
        if let Some(kept) = kept.filter(|_| has_introducer) {
            self.kept.push(kept);
        }
        self.hand_run_over(step.now, connection, path.remote.is_circuit());
        self.reschedule();
        Some(handover)
    }

    /// A connection takes a direct path. If it was relayed before, the introducer is told, once.
    pub(crate) fn became_direct(&mut self, step: &mut PartyStep<'_>, connection: ConnectionId) {
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.connection == connection) {
            kept.became_direct(step);
        }
        self.run_has_met(step.now, connection);
        self.reschedule();
    }

    /// Forgets a connection that has ended. The introducer is told nothing.
    pub(crate) fn forget(&mut self, now: Instant, connection: ConnectionId) {
        self.forget_run(now, connection);
        self.attempts.retain(|attempt| attempt.connection != connection);
        self.kept.retain(|kept| kept.connection != connection);
        self.reschedule();
    }

    /// The connection to come of the introduction with this id.
    pub(crate) fn find(&self, id: u64) -> Option<ConnectionId> {
        let attempt = self.attempts.iter().find(|attempt| attempt.meeting().is_some_and(|m| m.id == id));
        attempt.map(|attempt| attempt.connection)
    }

    /// What the handshake of an attempt needs; `None` before the introduction, and after the connection is established.
    pub(crate) fn facts(&self, connection: ConnectionId) -> Option<PartyFacts> {
        let attempt = &self.attempts[self.index(connection)?];
        let (meeting, options) = (attempt.meeting()?, &attempt.options);
        let (id, peer, introducer, is_host) = (meeting.id, meeting.peer, options.introducer, options.is_host);
        Some(PartyFacts { id, peer, introducer, is_host })
    }

    /// Returns whether the handshake of an attempt may use this path: one that is valid, or the circuit.
    pub(crate) fn is_path(&self, connection: ConnectionId, path: Path) -> bool {
        let meeting = self.index(connection).and_then(|index| self.attempts[index].meeting());
        meeting.is_some_and(|meeting| meeting.is_path(path))
    }

    /// Returns whether the other party of an attempt may be at this address: a candidate, a path, or a source of its punches.
    pub(crate) fn expects(&self, remote: Address) -> bool {
        self.attempts.iter().filter_map(Attempt::meeting).any(|meeting| meeting.punching.expects(remote))
    }

    /// The secrets of the handshake, once.
    pub(crate) fn take_secrets(&mut self, connection: ConnectionId) -> Option<HandshakeSecrets> {
        let index = self.index(connection)?;
        self.attempts[index].meeting_mut()?.secrets.take()
    }

    pub(crate) fn counters(&self) -> PartyStats {
        PartyStats { punches_not_sent: self.budgets.counters(), ..self.counters }
    }

    /// Sends what is due and ends what is over.
    pub(crate) fn handle_timeout(&mut self, step: &mut PartyStep<'_>) {
        let now = step.now;
        if self.deadline.is_none_or(|at| at > now) {
            return;
        }
        for index in (0..self.attempts.len()).rev() {
            self.run_attempt(step, index);
            if let Some(code) = self.attempts[index].overdue(now) {
                self.end(step, index, code);
            }
        }
        self.run_looks_and_runs(step);
        if self.budgets.deadline().is_some_and(|at| at <= now) {
            self.budgets.expire(now);
        }
        self.reschedule();
    }

    /// The next time that [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn reschedule(&mut self) {
        let attempts = self.attempts.iter().filter_map(Attempt::deadline);
        let kept = self.kept.iter().filter_map(|kept| kept.prospect.deadline());
        let others = [self.budgets.deadline(), self.looks.deadline(), self.runs.deadline()];
        self.deadline = attempts.chain(kept).chain(others.into_iter().flatten()).min();
    }

    /// A number that no attempt has. It is not 0: messages with that are of the connection with the introducer itself.
    fn next_number(&mut self, hosts_introducer: bool) -> u32 {
        self.last_number = self.last_number % (HOST_BIT - 1) + 1;
        self.last_number | if hosts_introducer { HOST_BIT } else { 0 }
    }

    fn index(&self, connection: ConnectionId) -> Option<usize> {
        self.attempts.iter().position(|attempt| attempt.connection == connection)
    }

    fn run_attempt(&mut self, step: &mut PartyStep<'_>, index: usize) {
        let attempt = &mut self.attempts[index];
        attempt.repeat_request(step, &self.own);
        let (connection, options) = (attempt.connection, attempt.options);
        let Some(meeting) = attempt.meeting_mut() else { return };
        let key = (&meeting.punch_key, meeting.id, options.is_host);
        let (punching, introducer) = (&mut meeting.punching, options.introducer);
        run(step, &mut self.budgets, &mut self.counters, introducer, punching, key, Punching::handle_timeout);
        if let Some(path) = meeting.take_circuit(step.now) {
            step.events.push(PartyEvent::PathReady { connection, path, round_trip: None });
        }
    }

    fn end(&mut self, step: &mut PartyStep<'_>, index: usize, code: CloseCode) {
        let attempt = self.attempts.swap_remove(index);
        self.forget_run(step.now, attempt.connection);
        attempt.send_end(step, code);
        self.counters.ended += 1;
        step.events.push(PartyEvent::Ended { connection: attempt.connection, code });
    }

    fn on_introduction(&mut self, step: &mut PartyStep<'_>, index: usize, body: &[u8]) -> Option<()> {
        let introduction = Introduction::parse(body).ok()?;
        let attempt = &mut self.attempts[index];
        match introduction {
            Introduction::WaitingForParty | Introduction::WaitingForApplication => {
                attempt.is_waiting(step.now);
                Some(())
            }
            Introduction::Complete(told) => match attempt.meeting() {
                // It is sent twice.
                Some(meeting) => (meeting.id == told.id).then_some(()),
                None => {
                    self.meet(step, index, &told);
                    Some(())
                }
            },
        }
    }

    fn meet(&mut self, step: &mut PartyStep<'_>, index: usize, told: &Introduced) {
        let is_new = self.find(told.id).is_none() && self.kept.iter().all(|kept| kept.id != told.id);
        let attempt = &mut self.attempts[index];
        let (connection, introducer) = (attempt.connection, attempt.options.introducer);
        let meeting = if is_new { attempt.meet(step, told) } else { None };
        let Some(meeting) = meeting else {
            self.counters.introductions_refused += 1;
            return self.end(step, index, CloseCode::ProtocolViolation);
        };
        self.counters.introduced += 1;
        step.events.push(PartyEvent::Introduced { connection });
        if let Some(circuit) = &meeting.circuit {
            let (circuit, address) = (circuit.number, circuit.address);
            step.events.push(PartyEvent::CircuitGranted { connection, introducer, circuit, address });
        }
        self.run_attempt(step, index);
        self.hear_early(step, index);
    }

    fn on_withdraw(&mut self, step: &mut PartyStep<'_>, index: usize, body: &[u8]) -> Option<()> {
        let code = parse_withdraw(body).ok()?;
        if self.attempts[index].meeting().is_some_and(Meeting::is_in_handshake) {
            // A party that left the introducer may be there still.
            return None;
        }
        let attempt = self.attempts.swap_remove(index);
        self.forget_run(step.now, attempt.connection);
        self.counters.ended += 1;
        step.events.push(PartyEvent::Ended { connection: attempt.connection, code });
        Some(())
    }

    fn on_candidates(&mut self, step: &mut PartyStep<'_>, index: usize, body: &[u8]) -> Option<()> {
        let candidates = parse_candidates(body).ok()?;
        let attempt = &mut self.attempts[index];
        if attempt.is_direct()
            && !step.config.answers_only
            && let Some(meeting) = attempt.meeting_mut()
        {
            meeting.prospect.set_candidates(&candidates);
            meeting.punching.set_candidates(step.now, &candidates::in_order(&candidates));
            self.run_attempt(step, index);
        }
        Some(())
    }

    fn on_message_of_kept(
        &mut self,
        step: &mut PartyStep<'_>,
        introducer: ConnectionId,
        number: u32,
        kind: ReliableKind,
        body: &[u8],
    ) -> Option<()> {
        let kept = self.kept.iter_mut().find(|kept| kept.hears(introducer, number))?;
        let connection = kept.connection;
        match kind {
            ReliableKind::CANDIDATES => {
                let candidates = parse_candidates(body).ok()?;
                if kept.is_direct && !step.config.answers_only {
                    kept.prospect.set_candidates(&candidates);
                    let candidates = candidates::in_order(&candidates);
                    step.events.push(PartyEvent::Candidates { connection, candidates });
                }
                Some(())
            }
            ReliableKind::CIRCUIT => on_circuit(step, connection, &mut kept.circuit, body)
                .map(|throttled| self.counters.circuits_throttled += throttled),
            // The second copy may come when all is done.
            ReliableKind::INTRODUCTION => Some(()),
            _ => None,
        }
    }

    /// How many things are under way or kept: attempts, connections, looks, runs and further ports.
    pub(crate) fn kept(&self) -> usize {
        self.attempts.len() + self.kept.len() + self.looks.len() + self.runs.len() + self.ports.len()
    }

    /// Returns whether nothing is under way or remembered.
    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.kept() == 0 && self.budgets.deadline().is_none()
    }
}

/// What the handshake of an attempt needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PartyFacts {
    /// The introduction's id.
    pub(crate) id: u64,
    /// The other party's key, by the introducer's word.
    pub(crate) peer: PublicKey,
    pub(crate) introducer: ConnectionId,
    pub(crate) is_host: bool,
}

/// Lets the search for paths act, and seals the punches that it wants.
fn run<R>(
    step: &mut PartyStep<'_>,
    budgets: &mut Budgets,
    counters: &mut PartyStats,
    introducer: ConnectionId,
    punching: &mut Punching,
    (key, id, is_from_host): (&crate::crypto::secret::PunchKey, u64, bool),
    act: impl FnOnce(&mut Punching, &mut PunchingStep<'_>) -> R,
) -> R {
    let mut inner = PunchingStep {
        now: step.now,
        rng: &mut *step.rng,
        budgets,
        introducer,
        asks: Vec::new(),
        answers_not_sent: 0,
    };
    let result = act(punching, &mut inner);
    counters.answers_not_sent += inner.answers_not_sent;
    for (ask, hop_limit) in inner.asks {
        let (number, echo) = (ask.number, ask.echo);
        let punch = Punch { is_from_host, is_of_connection: false, id, number, echo };
        let bytes = key.seal(&punch);
        step.punches.push(PunchOut { path: ask.path, hop_limit, bytes, is_answer: echo != 0 });
        counters.punches_sent += 1;
    }
    result
}

/// What the introducer says of a circuit. Returns how often it was throttled; `None` if the message makes no sense.
fn on_circuit(
    step: &mut PartyStep<'_>,
    connection: ConnectionId,
    circuit: &mut Option<attempt::Circuit>,
    body: &[u8],
) -> Option<u64> {
    let notice = CircuitNotice::parse(body).ok()?;
    circuit.as_ref().filter(|circuit| circuit.number == notice.circuit)?;
    if notice.state == CircuitState::Throttled {
        return Some(1);
    }
    end_circuit(step, connection, circuit);
    Some(0)
}

fn end_circuit(step: &mut PartyStep<'_>, connection: ConnectionId, circuit: &mut Option<attempt::Circuit>) {
    if let Some(circuit) = circuit.take() {
        step.events.push(PartyEvent::CircuitEnded { connection, address: circuit.address });
    }
}

#[cfg(test)]
mod tests;
