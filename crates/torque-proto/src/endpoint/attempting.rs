//! The initiator's side: attempts, from `connect` to an established connection (PROTOCOL.md 5.5).

use alloc::vec::Vec;

use super::setup::ConnectOptions;
use super::slot::{AttemptSlot, Connected, Entry, Slot};
use super::{Endpoint, boxed};
use crate::address::Address;
use crate::codes::CloseCode;
use crate::error::CallError;
use crate::event::{ChallengeResponse, ClosedBy, Event, Extension};
use crate::handshake::{Attempt, AttemptOptions, AttemptOutcome, Established, PuzzleJob};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::path::Path;
use crate::transmits::Cause;
use crate::wire::{DatagramKind, Reply};

impl Endpoint {
    /// Begins to connect to the host at `remote`. What follows are events: `ChallengeResponse` if the host's key is to
    /// be looked at, then `Established`, or `Close` with the reason.
    ///
    /// # Errors
    /// `NoTrust`, `AddressInUse`, `InvalidSettings`, `TooLarge`, `TooManyConnections`, `Blocked`.
    pub fn connect(
        &mut self,
        now: Instant,
        remote: Address,
        options: ConnectOptions,
    ) -> Result<ConnectionId, CallError> {
        if self.is_connected(&remote) || self.attempts.asking(&remote).is_some() {
            return Err(CallError::AddressInUse);
        }
        if self.transmits.is_full() {
            return Err(CallError::Blocked);
        }
        let settings = options.settings.unwrap_or(self.config.settings);
        if !settings.is_valid() {
            return Err(CallError::InvalidSettings);
        }
        let trust = options.trust.ok_or(CallError::NoTrust)?;
        // The attempt's puzzle names its connection, so the slot comes first.
        let id = self.slots.insert(Entry::new(Slot::Ended)).ok_or(CallError::TooManyConnections)?;
        let options = AttemptOptions {
            connection: id,
            trust,
            settings,
            connect_data: options.connect_data,
            extensions: options.extensions,
        };
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let started =
            self.transmits.push(Cause::Own, Path::to(remote), |out| Attempt::start(&mut cx, options, out));
        match started {
            Ok(attempt) => {
                self.put(id, Slot::Attempt(boxed(AttemptSlot { attempt, remote, nonce: None })));
                self.attempts.insert(remote, id);
                self.note_nonce(id);
                self.stats.connections_started += 1;
                trace_event!(DEBUG, connection = %id, %remote, "connecting");
                self.rearm(id);
                Ok(id)
            }
            Err(error) => {
                self.slots.remove(id);
                Err(error)
            }
        }
    }

    /// What is wrong with the answers to an attempt that goes on: the code that it would end with if nothing better came,
    /// for example `KeyMismatch` or `ApplicationMismatch`. A hint: anybody can send such an answer.
    pub fn attempt_problem(&self, connection: ConnectionId) -> Option<CloseCode> {
        match &self.slots.get(connection)?.slot {
            Slot::Attempt(slot) => slot.attempt.problem(),
            _ => None,
        }
    }

    /// Accepts the key and data that an [`Event::ChallengeResponse`] showed.
    ///
    /// # Errors
    /// `Closed`, or `NotWaiting` if nothing was asked.
    pub fn accept_challenge(&mut self, now: Instant, connection: ConnectionId) -> Result<(), CallError> {
        self.accept_shown(now, connection, None)
    }

    /// As [`accept_challenge`](Self::accept_challenge), and the request carries these extensions instead of those
    /// of [`ConnectOptions`]: some can only be made when the host's key is known, such as a gateway's origin token.
    ///
    /// # Errors
    /// `Closed`, `NotWaiting`, or `TooLarge` if they do not fit beside the connect_data; nothing has changed then.
    pub fn accept_challenge_with(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        extensions: Vec<Extension>,
    ) -> Result<(), CallError> {
        self.accept_shown(now, connection, Some(extensions))
    }

    fn accept_shown(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        extensions: Option<Vec<Extension>>,
    ) -> Result<(), CallError> {
        let entry = self.slots.get_mut(connection).ok_or(CallError::Closed)?;
        let slot = match &mut entry.slot {
            Slot::Attempt(slot) => slot,
            Slot::Ended => return Err(CallError::Closed),
            _ => return Err(CallError::NotWaiting),
        };
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let outcome = self
            .transmits
            .push(Cause::Own, Path::to(slot.remote), |out| slot.attempt.accept(&mut cx, extensions, out))?;
        self.after_attempt(now, connection, None, outcome);
        Ok(())
    }

    /// A puzzle to solve on a worker, if one waits. While nobody asks for it, `handle_timeout` solves it in slices.
    pub fn poll_puzzle(&mut self) -> Option<PuzzleJob> {
        while let Some(id) = self.puzzles.pop() {
            if let Some(Slot::Attempt(slot)) = self.slots.get_mut(id).map(|entry| &mut entry.slot)
                && let Some(job) = slot.attempt.take_puzzle()
            {
                self.rearm(id);
                return Some(job);
            }
        }
        None
    }

    /// Takes a job back, solved or given up (then it is solved in slices here).
    pub fn puzzle_solved(&mut self, now: Instant, job: PuzzleJob) {
        let id = job.connection();
        let Some(Slot::Attempt(slot)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) else { return };
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let outcome = self
            .transmits
            .push(Cause::Own, Path::to(slot.remote), |out| slot.attempt.return_puzzle(&mut cx, job, out));
        self.after_attempt(now, id, None, outcome);
    }

    /// Notes the nonce of an attempt, which changes with each fresh beginning.
    fn note_nonce(&mut self, id: ConnectionId) {
        let Some(Slot::Attempt(slot)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) else { return };
        let nonce = slot.attempt.initiator_nonce().copied();
        self.attempts.note(id, &mut slot.nonce, nonce);
    }

    /// Takes an attempt out of the tables that find it.
    fn forget_attempt(&mut self, id: ConnectionId) {
        if let Some(Slot::Attempt(slot)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) {
            self.attempts.remove(&slot.remote);
            self.attempts.note(id, &mut slot.nonce, None);
        }
        self.puzzles.retain(|puzzle| *puzzle != id);
    }

    pub(super) fn attempt_at(&self, remote: &Address) -> Option<&AttemptSlot> {
        match &self.slots.get(self.attempts.asking(remote)?)?.slot {
            Slot::Attempt(slot) => Some(slot),
            _ => None,
        }
    }

    /// A host's answer goes to the attempt whose nonce it carries, whichever address it comes from (5.5).
    pub(super) fn on_reply(&mut self, now: Instant, path: Path, kind: DatagramKind, bytes: &[u8]) {
        if kind == DatagramKind::Reject {
            self.stats.rejects_heard += 1;
        }
        let Ok(reply) = Reply::parse(kind, bytes) else { return self.stats.malformed += 1 };
        let owner = self.attempts.owner(reply.initiator_nonce());
        let Some(id) = owner.filter(|id| !self.is_taken(&path.remote, *id)) else {
            return self.stats.stray_handshake += 1;
        };
        let Some(Slot::Attempt(slot)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) else { return };
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let outcome = self
            .transmits
            .push(Cause::Own, Path::to(slot.remote), |out| slot.attempt.handle_reply(&mut cx, reply, out));
        self.after_attempt(now, id, Some(path), outcome);
    }

    /// Whether an address that `attempt` did not ask belongs to something else here: a source can be forged, and what
    /// comes from there must cost nobody else that address.
    fn is_taken(&self, remote: &Address, attempt: ConnectionId) -> bool {
        match self.attempts.asking(remote) {
            Some(asking) => asking != attempt,
            None => self.is_connected(remote) || self.confirming.contains_key(remote),
        }
    }

    /// Whether a connection that the application can use has this address.
    fn is_connected(&self, remote: &Address) -> bool {
        let owner = self.connections.get(remote).and_then(|id| self.slots.get(*id));
        owner.is_some_and(|entry| entry.slot.is_open())
    }

    /// Does what an attempt's outcome asks for.
    pub(super) fn after_attempt(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Option<Path>,
        outcome: AttemptOutcome,
    ) {
        self.note_nonce(id);
        match outcome {
            AttemptOutcome::Waiting => {}
            AttemptOutcome::Dropped(reason) => self.count_drop(reason),
            AttemptOutcome::Ask(question) => self.events.push(Event::ChallengeResponse(ChallengeResponse {
                connection: id,
                public_key: question.public_key,
                challenge_response_data: question.challenge_response_data,
                difficulty: question.difficulty,
                cipher: question.cipher,
            })),
            AttemptOutcome::Established(established) => {
                return self.attempt_succeeded(now, id, path, *established);
            }
            AttemptOutcome::Ended(ended) => return self.end_attempt(id, ended.code, ended.by, &ended.reason),
        }
        if let Some(Slot::Attempt(slot)) = self.slots.get(id).map(|entry| &entry.slot)
            && slot.attempt.has_puzzle()
            && !self.puzzles.contains(&id)
        {
            self.puzzles.push(id);
        }
        self.rearm(id);
    }

    pub(super) fn end_attempt(&mut self, id: ConnectionId, code: CloseCode, by: ClosedBy, reason: &[u8]) {
        self.forget_attempt(id);
        self.tell_close(id, code, by, reason.to_vec());
        self.end_slot(id);
    }

    fn attempt_succeeded(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Option<Path>,
        established: Established,
    ) {
        let Some(Slot::Attempt(slot)) = self.slots.get(id).map(|entry| &entry.slot) else { return };
        // The connection lives where its accept came from.
        let path = path.unwrap_or(Path::to(slot.remote));
        let remote = path.remote;
        self.forget_attempt(id);
        let Established { parts, accept_data } = established;
        let public_key = parts.public_key;
        let unheard = Some(self.config.handshake.wait);
        // After a repeat the time says nothing about the path.
        let rtt = Some(parts.stats.challenge_time).filter(|time| *time < self.config.handshake.retry_first);
        let connection = self.make_connection(now, id, remote, parts, rtt, unheard);
        let settings = connection.settings();
        // The other side may wait to be confirmed with an attempt of its own. If both sides stood by their own
        // attempt, they would end up with different connections.
        for waiting in self.confirming.get(&remote).cloned().unwrap_or_default() {
            self.end_confirming(waiting, CloseCode::Superseded, ClosedBy::Socket);
        }
        let replaces = self.displace_owner(remote);
        let connected = Connected { connection, path, public_key, is_host: false, queued: 0, held: 0 };
        self.put(id, Slot::Connected(boxed(connected)));
        self.connections.insert(remote, id);
        self.stats.connections_established += 1;
        trace_event!(DEBUG, connection = %id, %remote, key = %public_key, ?replaces, "established as initiator");
        self.events.push(Event::Established {
            connection: id,
            remote,
            public_key,
            accept_data,
            settings,
            replaces,
        });
        // Its first ping, which tells the host, is due at once.
        self.run_slot(now, id);
    }

    pub(super) fn put(&mut self, id: ConnectionId, slot: Slot) {
        if let Some(entry) = self.slots.get_mut(id) {
            entry.slot = slot;
        }
    }
}
