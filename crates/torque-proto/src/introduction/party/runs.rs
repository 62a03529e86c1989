//! Runs of a party against NATs that depend on the destination, and looks at its own: when they begin and end, and what is told to them
//! (INTRODUCTIONS.md 9).

use alloc::vec::Vec;

use super::hard_nat::{Run, RunPunch, RunStep};
use super::kept::Kept;
use super::prospect::{PATIENCE, Prospect};
use super::{Attempt, ObserveOut, Party, PartyEvent, PartyOptions, PartyStep, PunchOut};
use crate::address::Address;
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::introduction::reach::{Reach, reach};
use crate::introduction::{HardNat, Message, PortRequest};
use crate::micros::Micros;
use crate::wire::Punch;
use crate::wire::control::reliable::ReliableKind;
use crate::wire::introduction::{Nat, Nats, Observed, Tokens, observe};

/// The pause between runs of a connection.
const AGAIN: Micros = Micros::from_secs(600);
/// The pause between looks whether another run has ended.
const BUSY_PAUSE: Micros = Micros::from_secs(1);
/// How long ports without a path stay open: what was sent to them may still come.
const PORTS_LIVE: Micros = Micros::from_secs(5);
/// Tokens that a run asks for.
const TOKENS_WANTED: u8 = super::hard_nat::ROUNDS as u8;

/// The run that is under way.
pub(super) struct Running {
    connection: ConnectionId,
    introducer: ConnectionId,
    /// The attempt's number in messages.
    number: u32,
    machine: Run,
}

/// Runs, and the ports that they leave.
#[derive(Default)]
pub(super) struct Runs {
    running: Option<Running>,
    /// Connections, and when their ports without a path are closed.
    closing: Vec<(Instant, ConnectionId)>,
}

impl Runs {
    fn is_of(&self, connection: ConnectionId) -> bool {
        self.running.as_ref().is_some_and(|run| run.connection == connection)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let run = self.running.as_ref().map(|run| run.machine.deadline());
        run.into_iter().chain(self.closing.iter().map(|(at, _)| *at)).min()
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.running.is_some()) + self.closing.len()
    }
}

impl Party {
    /// Asks an introducer how the NAT between it and this socket behaves.
    pub(crate) fn look_at_nat(
        &mut self,
        step: &mut PartyStep<'_>,
        introducer: ConnectionId,
        hosts_introducer: bool,
    ) {
        let attempt = self.next_number(hosts_introducer);
        if self.looks.call(step.now, introducer, attempt) {
            let body = Vec::from([0]).into();
            step.messages.push(Message { connection: introducer, attempt, kind: ReliableKind::TOKENS, body });
        }
        self.reschedule();
    }

    /// What the driver is to do next about further ports.
    pub(crate) fn poll_port_request(&mut self) -> Option<PortRequest> {
        self.ports.poll()
    }

    /// Returns whether a token may be shown to this address, which is not the introducer's own, on its word.
    pub(crate) fn may_observe_at(&mut self, now: Instant, introducer: ConnectionId, remote: Address) -> bool {
        let is_somewhere = remote
            .socket_addr()
            .is_some_and(|address| address.port() != 0 && reach(address.ip()) != Reach::Nowhere);
        is_somewhere && self.budgets.takes(now, introducer, remote)
    }

    /// A message about NATs arrived. `None` if it makes no sense.
    pub(super) fn on_nat_message(
        &mut self,
        step: &mut PartyStep<'_>,
        introducer: ConnectionId,
        number: u32,
        kind: ReliableKind,
        body: &[u8],
    ) -> Option<()> {
        let is_attempt = self.attempts.iter().any(|attempt| attempt.hears(introducer, number));
        let is_kept = self.kept.iter().any(|kept| kept.hears(introducer, number));
        let is_called = self.looks.has_call(introducer, number);
        if !is_attempt && !is_kept && !is_called {
            return None;
        }
        let is_of_run = self
            .runs
            .running
            .as_ref()
            .is_some_and(|run| (run.introducer, run.number) == (introducer, number));
        match kind {
            ReliableKind::TOKENS => {
                let tokens = Tokens::parse(body).ok()?;
                if step.config.answers_only {
                    return None;
                }
                if tokens.second.is_some() {
                    let most = step.config.further_ports;
                    self.looks.begin(step.now, introducer, &tokens, &mut self.ports, most);
                    self.run_looks(step);
                } else if is_of_run {
                    self.drive_run(step, |run, step| run.on_tokens(step, &tokens.tokens));
                }
            }
            ReliableKind::OBSERVED => {
                let Observed { is_other, round, address } = Observed::parse(body).ok()?;
                if is_of_run {
                    self.drive_run(step, |run, step| run.on_observed(step, is_other, round, address));
                }
            }
            _ => self.on_nats(step, introducer, number, &Nats::parse(body).ok()?),
        }
        Some(())
    }

    fn on_nats(&mut self, step: &mut PartyStep<'_>, introducer: ConnectionId, number: u32, nats: &Nats) {
        let attempts = self.attempts.iter_mut().filter(|attempt| attempt.hears(introducer, number));
        let meetings = attempts.filter_map(Attempt::meeting_mut).map(|meeting| &mut meeting.prospect);
        let kept = self.kept.iter_mut().filter(|kept| kept.hears(introducer, number));
        meetings
            .chain(kept.map(|kept| &mut kept.prospect))
            .for_each(|prospect| prospect.learn(step.now, nats));
        self.begin_runs(step);
        if self.looks.take_call(introducer, number) {
            let (nat, observed) = (nats.own, nats.observed);
            step.events.push(PartyEvent::NatFound { introducer, nat, observed });
        }
    }

    /// The introducer has not received a message about NATs.
    pub(super) fn on_nat_message_failed(
        &mut self,
        step: &mut PartyStep<'_>,
        introducer: ConnectionId,
        number: u32,
    ) {
        if self.looks.take_call(introducer, number) {
            step.events.push(PartyEvent::NatFound { introducer, nat: Nat::Unknown, observed: None });
        }
    }

    /// Does what is due for looks and runs.
    pub(super) fn run_looks_and_runs(&mut self, step: &mut PartyStep<'_>) {
        self.run_looks(step);
        self.begin_runs(step);
        if self.runs.running.as_ref().is_some_and(|run| run.machine.deadline() <= step.now) {
            self.drive_run(step, Run::handle_timeout);
        }
        let events = &mut step.events;
        self.runs.closing.retain(|(at, connection)| {
            let is_due = *at <= step.now;
            if is_due {
                events.push(PartyEvent::PortsIdle { connection: *connection });
            }
            !is_due
        });
    }

    fn run_looks(&mut self, step: &mut PartyStep<'_>) {
        for introducer in self.looks.handle_timeout(step.now, &mut self.ports, &mut step.observes) {
            step.events.push(PartyEvent::NatFound { introducer, nat: Nat::Unknown, observed: None });
        }
    }

    /// Begins a run if it is time for one.
    fn begin_runs(&mut self, step: &mut PartyStep<'_>) {
        let now = step.now;
        // What only answers begins nothing.
        let when = if step.config.answers_only { HardNat::Never } else { step.config.hard_nat };
        for index in 0..self.attempts.len() {
            let attempt = &mut self.attempts[index];
            let (connection, options, number) = (attempt.connection, attempt.options, attempt.number);
            let is_direct = attempt.is_direct();
            let Some(meeting) = attempt.meeting_mut() else { continue };
            if !meeting.prospect.is_due(now) {
                continue;
            }
            meeting.prospect.put_off(None);
            if is_direct && !meeting.punching.has_path() && when == HardNat::Always {
                let prospect = meeting.prospect;
                let next = self.begin_run(step, connection, options, number, prospect).err().flatten();
                if let Some(meeting) = self.attempts[index].meeting_mut() {
                    meeting.prospect.put_off(next);
                }
            }
        }
        for index in 0..self.kept.len() {
            let kept = &mut self.kept[index];
            let Kept { connection, options, number, .. } = *kept;
            if !kept.prospect.is_due(now) {
                continue;
            }
            kept.prospect.put_off(None);
            let may = match when {
                HardNat::Never => false,
                HardNat::Verified => options.is_verified,
                HardNat::Always => true,
            };
            if kept.is_direct && kept.is_on_circuit && may {
                let prospect = kept.prospect;
                let next = self.begin_run(step, connection, options, number, prospect);
                let next = next.err().flatten().unwrap_or(now + AGAIN);
                self.kept[index].prospect.put_off(Some(next));
            }
        }
    }

    /// Begins a run, unless there is nothing to try.
    ///
    /// # Errors
    /// When it may be tried again, if another run, or an earlier one, is in its way.
    fn begin_run(
        &mut self,
        step: &mut PartyStep<'_>,
        connection: ConnectionId,
        options: PartyOptions,
        number: u32,
        prospect: Prospect,
    ) -> Result<(), Option<Instant>> {
        let now = step.now;
        let (tactic, other) = prospect.tactic(step.config.further_ports > 0).ok_or(None)?;
        if self.runs.running.is_some() {
            return Err(Some(now + BUSY_PAUSE));
        }
        self.budgets.takes_run(now, *other.ip()).map_err(Some)?;
        let introducer = options.introducer;
        let machine = Run::new(now, step.rng, tactic, options.is_host, other, prospect.other());
        if machine.wants_tokens() {
            let (kind, body) = (ReliableKind::TOKENS, Vec::from([TOKENS_WANTED]).into());
            step.messages.push(Message { connection: introducer, attempt: number, kind, body });
        }
        self.counters.runs += 1;
        self.runs.closing.retain(|(_, other)| *other != connection);
        self.runs.running = Some(Running { connection, introducer, number, machine });
        self.drive_run(step, Run::handle_timeout);
        Ok(())
    }

    /// Lets the run act, and seals what it wants.
    fn drive_run(&mut self, step: &mut PartyStep<'_>, act: impl FnOnce(&mut Run, &mut RunStep<'_>)) {
        let Some(run) = &mut self.runs.running else { return };
        let (connection, introducer) = (run.connection, run.introducer);
        if run.machine.is_over(step.now) {
            return self.end_run(step.now, connection);
        }
        let mut inner = RunStep {
            now: step.now,
            ports: &mut self.ports,
            owner: connection,
            most_ports: step.config.further_ports,
            punches: Vec::new(),
            observes: Vec::new(),
            opened: 0,
        };
        act(&mut run.machine, &mut inner);
        let RunStep { punches, observes, opened, .. } = inner;
        self.counters.ports_opened += opened;
        self.counters.run_punches += punches.len() as u64;
        let observes = observes.into_iter();
        step.observes.extend(observes.map(|(port, token)| ObserveOut {
            introducer,
            port,
            to: None,
            bytes: observe(&token),
        }));
        match self.index(connection) {
            Some(index) => self.seal(step, index, &punches),
            None if punches.is_empty() => {}
            None => step.events.push(PartyEvent::Punch { connection, punches }),
        }
    }

    /// Seals punches of a run with the key of the introduction.
    fn seal(&mut self, step: &mut PartyStep<'_>, index: usize, punches: &[RunPunch]) {
        let attempt = &mut self.attempts[index];
        let is_from_host = attempt.options.is_host;
        let Some(meeting) = attempt.meeting_mut() else { return };
        for RunPunch { path, hop_limit } in punches.iter().copied() {
            let number = meeting.punching.draw_for_run(step.now, step.rng, path);
            let punch = Punch { is_from_host, is_of_connection: false, id: meeting.id, number, echo: 0 };
            let bytes = meeting.punch_key.seal(&punch);
            step.punches.push(PunchOut { path, hop_limit, bytes, is_answer: false });
            self.counters.punches_sent += 1;
        }
    }

    /// The run of a connection ends, if there is one: it has met the other party, or its time is over.
    pub(super) fn end_run(&mut self, now: Instant, connection: ConnectionId) {
        if !self.runs.is_of(connection) {
            return;
        }
        self.runs.running = None;
        match self.index(connection) {
            // A handshake may begin on any of its ports.
            Some(index) => {
                if let Some(meeting) = self.attempts[index].meeting_mut() {
                    meeting.punching.end_run();
                }
            }
            // Also without ports: with this the connection is told that its run has ended.
            None => self.note_closing(now, connection),
        }
    }

    /// The other party was met on a direct path.
    pub(super) fn run_has_met(&mut self, now: Instant, connection: ConnectionId) {
        if self.runs.is_of(connection) {
            self.counters.runs_met += 1;
            self.end_run(now, connection);
        }
    }

    /// A connection is established. Its run goes on with the keys of the connection, if it is relayed.
    pub(super) fn hand_run_over(&mut self, now: Instant, connection: ConnectionId, is_relayed: bool) {
        if !is_relayed {
            self.end_run(now, connection);
        }
        if !self.runs.is_of(connection) {
            self.close_idle_ports_later(now, connection);
        } else if let Some(kept) = self.kept.iter_mut().find(|kept| kept.connection == connection) {
            kept.prospect.put_off(Some(now + AGAIN));
        }
    }

    fn close_idle_ports_later(&mut self, now: Instant, connection: ConnectionId) {
        self.runs.closing.retain(|(_, other)| *other != connection);
        if self.ports.has(connection) {
            self.note_closing(now, connection);
        }
    }

    fn note_closing(&mut self, now: Instant, connection: ConnectionId) {
        self.runs.closing.retain(|(_, other)| *other != connection);
        self.runs.closing.push((now + PORTS_LIVE, connection));
    }

    /// Closes the ports of a connection that are of no use.
    pub(crate) fn close_ports(&mut self, connection: ConnectionId, keeps: impl Fn(u16) -> bool) {
        self.ports.close_others(connection, keeps);
    }

    /// A connection or attempt has ended, and with it its run. Its ports stay for a while: its last words leave from there, and are asked
    /// for again if they are lost.
    pub(super) fn forget_run(&mut self, now: Instant, connection: ConnectionId) {
        if self.runs.is_of(connection) {
            self.runs.running = None;
        }
        self.close_idle_ports_later(now, connection);
    }

    /// A connection that was direct takes a circuit.
    pub(crate) fn became_relayed(&mut self, now: Instant, connection: ConnectionId) {
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.connection == connection) {
            kept.is_on_circuit = true;
            kept.prospect.put_off(Some(now + PATIENCE));
        }
        self.reschedule();
    }

    /// The machine is in another network, so that what was tried before says nothing.
    pub(crate) fn network_changed(&mut self, now: Instant) {
        self.budgets.forget_runs();
        for kept in &mut self.kept {
            kept.prospect.network_changed();
            if kept.is_on_circuit && !self.runs.is_of(kept.connection) {
                kept.prospect.put_off(Some(now + PATIENCE));
            }
        }
        for meeting in self.attempts.iter_mut().filter_map(Attempt::meeting_mut) {
            meeting.prospect.network_changed();
        }
        self.reschedule();
    }
}
