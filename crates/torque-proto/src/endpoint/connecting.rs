//! The initiator's side: attempts, from `connect` to an established connection (PROTOCOL.md 5.5).

use alloc::vec::Vec;

use super::candidates::{Candidates, ended};
use super::setup::ConnectOptions;
use super::slab::Slab;
use super::slot::{Entry, Slot};
use super::{Endpoint, boxed};
use crate::address::Address;
use crate::codes::CloseCode;
use crate::connection::Unheard;
use crate::error::CallError;
use crate::event::{ChallengeResponse, ClosedBy, Event, Extension};
use crate::handshake::{AttemptOptions, AttemptOutcome, Context, Established, PuzzleJob};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::path::Path;
use crate::transmits::Transmits;
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
        if self.is_in_use(&remote) {
            return Err(CallError::AddressInUse);
        }
        self.connect_to(now, &[remote], options)
    }

    /// Begins to connect to a host that may have several addresses, best first. The families take turns, and each
    /// address gets a quarter of a second before the next one is asked beside it ([`schedule`](crate::schedule)), or less
    /// if it fails. The first that answers as [`trust`](ConnectOptions::trust) wants is the connection's. All of it is one
    /// attempt: one id, one question to the application, one end. Addresses beyond
    /// [`MAX_CANDIDATES`](crate::schedule::MAX_CANDIDATES) are left out, and so are those that another connection or
    /// attempt has; if no other is there, the attempt ends with `address_in_use`. Without any it ends with
    /// `name_not_found`.
    ///
    /// # Errors
    /// `NoTrust`, `InvalidSettings`, `TooLarge`, `TooManyConnections`, `Blocked`.
    ///
    /// ```
    /// # use torque_proto::{Address, Config, ConnectOptions, Endpoint, Instant, Setup, Trust};
    /// # let setup = Setup { config: Config::default(), key_pair: None, seed: [7; 32], unix_millis: 1_000 };
    /// # let mut endpoint = Endpoint::new(Instant::ZERO, setup).unwrap();
    /// let addresses = ["[2001:db8::7]:28000", "192.0.2.7:28000"];
    /// let addresses = addresses.map(|text| Address::from(text.parse::<core::net::SocketAddr>().unwrap()));
    /// let id = endpoint.connect_to(Instant::ZERO, &addresses, ConnectOptions::new(Trust::Anyone)).unwrap();
    /// assert_eq!(endpoint.transmits().len(), 1, "the other one is asked in a quarter of a second");
    /// ```
    pub fn connect_to(
        &mut self,
        now: Instant,
        addresses: &[Address],
        options: ConnectOptions,
    ) -> Result<ConnectionId, CallError> {
        let id = self.connect_unresolved(now, options)?;
        self.add_candidates(now, id, addresses)?;
        self.end_candidates(now, id, CloseCode::NameNotFound, "")?;
        Ok(id)
    }

    /// Begins to connect to a host whose addresses are not known yet. The driver looks them up, and tells them by
    /// [`add_candidates`](Self::add_candidates), in any number of calls, and by [`end_candidates`](Self::end_candidates) that
    /// these were all. The attempt waits for that without a limit, unless it is closed.
    ///
    /// # Errors
    /// `NoTrust`, `InvalidSettings`, `TooLarge`, `TooManyConnections`, `Blocked`.
    pub fn connect_unresolved(
        &mut self,
        now: Instant,
        options: ConnectOptions,
    ) -> Result<ConnectionId, CallError> {
        self.connect_unresolved_from(now, 0, options)
    }

    /// As [`connect_unresolved`](Self::connect_unresolved), from a further local port of the driver
    /// ([`Path::port`](crate::Path::port)): all addresses are asked from there, only answers that arrive there count, and
    /// the connection stays there.
    ///
    /// # Errors
    /// Those of `connect_unresolved`.
    pub fn connect_unresolved_from(
        &mut self,
        now: Instant,
        port: u16,
        options: ConnectOptions,
    ) -> Result<ConnectionId, CallError> {
        if self.transmits.is_full() {
            return Err(CallError::Blocked);
        }
        let settings = options.settings.unwrap_or(self.config.settings);
        if !settings.is_valid() {
            return Err(CallError::InvalidSettings);
        }
        let trust = options.trust.ok_or(CallError::NoTrust)?;
        // The attempt's puzzle names its connection, so the slot comes first.
        let id = self.slots.insert(Entry::new(Slot::Ended(None))).ok_or(CallError::TooManyConnections)?;
        let options = AttemptOptions {
            connection: id,
            trust,
            settings,
            connect_data: options.connect_data,
            extensions: options.extensions,
            introduced: None,
        };
        let candidates = Candidates::new(now, port, options).inspect_err(|_| {
            self.slots.remove(id);
        })?;
        self.put(id, Slot::Attempt(boxed(candidates)));
        self.stats.connections_started += 1;
        trace_event!(DEBUG, connection = %id, "connecting");
        Ok(id)
    }

    /// Adds addresses to an attempt that [`connect_unresolved`](Self::connect_unresolved) began; each is asked in its turn, as
    /// [`connect_to`](Self::connect_to) says.
    ///
    /// # Errors
    /// `Closed`; `NotWaiting` if a host has answered, or these were said to be all. Then they are not needed.
    pub fn add_candidates(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        addresses: &[Address],
    ) -> Result<(), CallError> {
        // What this attempt asks already is no news; what others have is a reason to fail.
        let is_asked = |address: &Address| self.attempts.asking(address) == Some(connection);
        let addresses: Vec<_> = addresses.iter().copied().filter(|address| !is_asked(address)).collect();
        let taken: Vec<_> = addresses.iter().copied().filter(|address| self.is_in_use(address)).collect();
        let table = &mut self.attempts;
        let candidates = candidates_of(&mut self.slots, connection)?;
        candidates.add(&addresses, &taken, |address| table.insert(address, connection))?;
        self.attempt(now, connection, |candidates, cx, transmits| candidates.run(cx, transmits));
        Ok(())
    }

    /// No more addresses will come. If there were none, the attempt ends with this code and reason, of which 511 bytes are
    /// kept.
    ///
    /// # Errors
    /// `Closed`; `NotWaiting` if a host has answered, or that was said before.
    pub fn end_candidates(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), CallError> {
        let candidates = candidates_of(&mut self.slots, connection)?;
        candidates.close_list(ended(code, reason))?;
        self.attempt(now, connection, |candidates, cx, transmits| candidates.run(cx, transmits));
        Ok(())
    }

    /// Tells that a datagram to `remote` could not be sent, with the operating system's words for it. The datagram counts as
    /// lost, because a route or a firewall's rule may be there again a moment later: an attempt there goes on, and the next
    /// of its addresses is asked beside it. If nothing comes of it, it ends with `unreachable` and that reason. `is_final`
    /// says that no other datagram to there will fare better: then the address has failed.
    ///
    /// An established connection that sends to `remote` looks for another path, or makes sure of this one (PATHS.md 6), at most
    /// once a second.
    pub fn obstacle(&mut self, now: Instant, remote: Address, cause: &str, is_final: bool) {
        self.doubt_path_to(now, remote);
        if let Some(id) = self.attempts.asking(&remote) {
            self.attempt(now, id, |candidates, cx, transmits| {
                candidates.hinder(cx, transmits, remote, (cause, is_final))
            });
        }
    }

    /// The problem with the answers to a running attempt: the code that it would end with if nothing better came, for
    /// example `KeyMismatch` or `ApplicationMismatch`. It is a hint, because anybody can send such an answer.
    pub fn attempt_problem(&self, connection: ConnectionId) -> Option<CloseCode> {
        match &self.slots.get(connection)?.slot {
            Slot::Attempt(candidates) => candidates.problem(),
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
        candidates_of(&mut self.slots, connection)?;
        let mut accepted = Ok(());
        self.attempt(now, connection, |candidates, cx, transmits| {
            candidates.accept(cx, transmits, extensions).unwrap_or_else(|error| {
                accepted = Err(error);
                AttemptOutcome::Waiting
            })
        });
        accepted
    }

    /// Returns a puzzle for a worker to solve, if there is one. Until this is called, `handle_timeout` solves it in slices.
    pub fn poll_puzzle(&mut self) -> Option<PuzzleJob> {
        while let Some(id) = self.puzzles.pop() {
            if let Ok(candidates) = candidates_of(&mut self.slots, id)
                && let Some(job) = candidates.take_puzzle()
            {
                self.rearm(id);
                return Some(job);
            }
        }
        None
    }

    /// Takes a job back. If the worker gave up, the puzzle is solved in slices here.
    pub fn puzzle_solved(&mut self, now: Instant, job: PuzzleJob) {
        self.attempt(now, job.connection(), |candidates, cx, transmits| {
            candidates.return_puzzle(cx, transmits, job)
        });
    }

    /// Lets an attempt act, and does what follows from it.
    pub(super) fn attempt(
        &mut self,
        now: Instant,
        id: ConnectionId,
        act: impl FnOnce(&mut Candidates, &mut Context<'_>, &mut Transmits) -> AttemptOutcome,
    ) {
        let Ok(candidates) = candidates_of(&mut self.slots, id) else { return };
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let outcome = act(candidates, &mut cx, &mut self.transmits);
        candidates.note(id, &mut self.attempts);
        self.after_attempt(now, id, outcome);
    }

    /// Adds a path to an attempt that began with an introduction. Another connection may have its address: its owner is asked later.
    ///
    /// # Errors
    /// `Closed`; `NotWaiting` if a host has answered.
    pub(super) fn add_path_to_attempt(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Path,
    ) -> Result<(), CallError> {
        let asking = self.attempts.asking(&path.remote);
        let candidates = candidates_of(&mut self.slots, id)?;
        if asking == Some(id) && candidates.asks(path) {
            // It was lost, and is valid again.
            return Ok(());
        }
        let table = &mut self.attempts;
        candidates.add_path(path, asking.is_some_and(|asking| asking != id), |address| {
            table.insert(address, id);
        })?;
        self.attempt(now, id, |candidates, cx, transmits| candidates.run(cx, transmits));
        Ok(())
    }

    /// Takes an attempt out of the tables that find it.
    fn forget_attempt(&mut self, id: ConnectionId) {
        if let Ok(candidates) = candidates_of(&mut self.slots, id) {
            candidates.forget(id, &mut self.attempts);
        }
        self.puzzles.retain(|puzzle| *puzzle != id);
    }

    /// The nonce with which an attempt asks this address.
    pub(super) fn own_nonce_at(&self, remote: &Address) -> Option<&[u8; 16]> {
        match &self.slots.get(self.attempts.asking(remote)?)?.slot {
            Slot::Attempt(candidates) => candidates.nonce_at(remote),
            _ => None,
        }
    }

    /// An attempt to this address has lost it to a connection that the other side began (5.4, step 9).
    pub(super) fn supersede_attempt(&mut self, now: Instant, remote: Address) {
        if let Some(id) = self.attempts.asking(&remote) {
            self.attempt(now, id, |candidates, cx, transmits| candidates.supersede(cx, transmits, remote));
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
        self.attempt(now, id, |candidates, cx, transmits| {
            candidates.handle_reply(cx, transmits, (path, bytes), reply)
        });
    }

    /// Returns whether an address belongs to something other than `attempt`. A source can be forged, so an answer from
    /// there must not cost the other one its address.
    fn is_taken(&self, remote: &Address, attempt: ConnectionId) -> bool {
        match self.attempts.asking(remote) {
            Some(asking) => asking != attempt,
            // One that ends or lingers has its address, too.
            None => self.connections.get(remote).is_some() || self.claims.contains_key(remote),
        }
    }

    /// Returns whether a connection that the application can use has this address.
    fn is_connected(&self, remote: &Address) -> bool {
        let owner = self.connections.get(remote).and_then(|id| self.slots.get(*id));
        owner.is_some_and(|entry| entry.slot.is_open())
    }

    /// Returns whether a connection or an attempt has this address.
    fn is_in_use(&self, remote: &Address) -> bool {
        self.is_connected(remote) || self.attempts.asking(remote).is_some()
    }

    /// Does what an attempt's outcome asks for.
    fn after_attempt(&mut self, now: Instant, id: ConnectionId, outcome: AttemptOutcome) {
        match outcome {
            AttemptOutcome::Waiting => {}
            AttemptOutcome::Dropped(reason) => self.count_drop(reason),
            AttemptOutcome::Ask(question) => self.events.push(Event::ChallengeResponse(ChallengeResponse {
                connection: id,
                public_key: question.public_key,
                challenge_response_data: question.challenge_response_data,
                difficulty: question.difficulty,
                cipher: question.cipher,
                introduced_by: self.introductions.introducer_of(id),
                introduced_data: question.introduced_data,
            })),
            AttemptOutcome::Established(established) => {
                return self.attempt_succeeded(now, id, *established);
            }
            AttemptOutcome::Ended(ended) => return self.end_attempt(id, ended.code, ended.by, &ended.reason),
        }
        if let Ok(candidates) = candidates_of(&mut self.slots, id)
            && candidates.has_puzzle()
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

    fn attempt_succeeded(&mut self, now: Instant, id: ConnectionId, established: Established) {
        let Ok(candidates) = candidates_of(&mut self.slots, id) else { return };
        let (Some(asked), Some(arrived)) = (candidates.remote(), candidates.arrived()) else { return };
        // The connection lives where its accept came from, unless that address was given to another one meanwhile.
        let path = if self.is_taken(&arrived.remote, id) {
            Path { port: arrived.port, ..Path::to(asked) }
        } else {
            arrived
        };
        let remote = path.remote;
        self.forget_attempt(id);
        let Established { parts, accept_data } = established;
        if self.paths.has_id(parts.connection_number) {
            // Ids are seen in punches: a host that gives another one's means no good.
            self.tell_close(id, CloseCode::ProtocolViolation, ClosedBy::Socket, Vec::new());
            return self.end_slot(id);
        }
        let (public_key, number) = (parts.public_key, parts.connection_number);
        let unheard = Some(Unheard { wait: self.config.handshake.wait, was_asked: remote == asked });
        // After a repeat the time says nothing about the path.
        let rtt = Some(parts.stats.challenge_time).filter(|time| *time < self.config.handshake.retry_first);
        let connected = self.make_connection(now, id, path, parts, rtt, unheard);
        let settings = connected.connection.settings();
        self.paths.add_id(number, id);
        // The other side may have an attempt that waits to be confirmed here. If each side kept its own attempt, they
        // would end up with different connections.
        for waiting in self.claims.get(&remote).cloned().unwrap_or_default() {
            self.end_confirming(waiting, CloseCode::Superseded, ClosedBy::Socket);
        }
        let replaces = self.displace_owner(remote);
        let introduced_by = self.introductions.introducer_of(id);
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
            introduced_by,
        });
        // Its first ping, which tells the host, is due at once.
        self.run_slot(now, id);
        self.after_introduction(now, id);
    }

    pub(super) fn put(&mut self, id: ConnectionId, slot: Slot) {
        if let Some(entry) = self.slots.get_mut(id) {
            entry.slot = slot;
        }
    }
}

/// The attempt in a slot.
///
/// # Errors
/// `Closed` if there is none any more, `NotWaiting` if the connection is further on.
fn candidates_of(slots: &mut Slab<Entry>, id: ConnectionId) -> Result<&mut Candidates, CallError> {
    match &mut slots.get_mut(id).ok_or(CallError::Closed)?.slot {
        Slot::Attempt(candidates) => Ok(candidates),
        Slot::Ended(_) => Err(CallError::Closed),
        _ => Err(CallError::NotWaiting),
    }
}
