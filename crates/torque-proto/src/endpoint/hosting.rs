//! The host's side: challenges, requests, and the application's answers (PROTOCOL.md 5.4, 5.6).

use alloc::boxed::Box;
use core::time::Duration;

use super::places::room;
use super::requests::Room;
use super::setup::KeyLogEntry;
use super::slot::{
    AskingSlot, ConfirmingSlot, Connected, Displacing, Entry, Punching, RefusedSlot, Slot, Source,
};
use super::{Endpoint, boxed};
use crate::address::Address;
use crate::codes::{CloseCode, RejectCode};
use crate::connection::{Connection, Unheard};
use crate::crypto::secret::Direction;
use crate::error::CallError;
use crate::event::{self, ClosedBy, Event};
use crate::handshake::{
    Admission, Admitted, Asking, ConnectionParts, DropReason, NoChallenge, Occupancy, Role, ShortData, reject,
};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::path::{Path, PathId, PathIds};
use crate::transmits::Cause;
use crate::wire::{ChallengeRequest, ConnectRequest, ParseError};

/// Accepted connections of one address that wait for their first packet.
const MAX_CONFIRMING: usize = 4;

impl Endpoint {
    /// Returns whether requests are welcome where this datagram arrived: only at the bound port, which is the one that others
    /// are told of.
    pub(super) fn hosts_at(&self, path: Path) -> bool {
        self.config.accept_incoming && path.port == 0 && !path.remote.is_circuit()
    }

    pub(super) fn on_challenge_request(&mut self, now: Instant, path: Path, bytes: &[u8]) {
        if !self.hosts_at(path) && self.introductions.has_none() {
            self.stats.not_accepting += 1;
            return;
        }
        if !self.transmits.takes_answers() {
            return self.transmits.count_unanswered();
        }
        let request = match ChallengeRequest::parse(bytes) {
            Ok(request) => request,
            Err(ParseError::Version { initiator_nonce, .. }) if self.hosts_at(path) => {
                let code = RejectCode::VersionMismatch;
                self.transmits.push(Cause::Stranger, path, |out| reject(code, initiator_nonce, out));
                return self.count_reject(code);
            }
            Err(_) => return self.stats.malformed += 1,
        };
        if self.attempts.owner(&request.initiator_nonce).is_some() {
            return self.stats.reflected += 1;
        }
        let introduced = match request.introduction_id {
            0 if self.hosts_at(path) => None,
            0 => return self.stats.not_accepting += 1,
            introduction => match self.introductions.handshake_at_host(introduction, path) {
                Some((id, introduced)) => {
                    self.introductions.path_was_shown(id, path);
                    Some(introduced)
                }
                None => return self.stats.unknown_introduction += 1,
            },
        };
        let pending = self.requests.waiting();
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let host = &mut self.host;
        let answered = self.transmits.push(Cause::Stranger, path, |out| {
            host.answer_challenge(&mut cx, path.remote, &request, introduced.as_deref(), pending, out)
        });
        match answered {
            Ok(()) => self.stats.challenges_answered += 1,
            Err(NoChallenge::Rejected(code)) => self.count_reject(code),
            Err(NoChallenge::Dropped(reason)) => self.count_drop(reason),
        }
    }

    pub(super) fn on_connect_request(&mut self, now: Instant, path: Path, bytes: &[u8]) {
        if !self.hosts_at(path) && self.introductions.has_none() && self.requests.is_empty() {
            self.stats.not_accepting += 1;
            return;
        }
        let request = match ConnectRequest::parse(bytes) {
            Ok(request) => request,
            Err(ParseError::Version { .. }) => return self.stats.version_mismatch += 1,
            Err(_) => return self.stats.malformed += 1,
        };
        if self.attempts.owner(&request.initiator_nonce).is_some() {
            return self.stats.reflected += 1;
        }
        if request.introduction_id == 0 && !self.hosts_at(path) {
            return self.stats.not_accepting += 1;
        }
        if let Some(id) = self.requests.get(path.remote, request.initiator_nonce) {
            return self.repeat_answer(now, id, path, bytes);
        }
        if request.introduction_id != 0 {
            return self.on_introduced_request(now, path, &request, bytes);
        }
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let (host, requests) = (&mut self.host, &self.requests);
        let mut found = Room::None;
        let occupancy = Occupancy {
            pending: requests.waiting(),
            has_room: || {
                found = room(requests, &self.slots, &self.config.limits, path.remote);
                found != Room::None
            },
        };
        let admission = self.transmits.push(Cause::Stranger, path, |out| {
            host.admit(&mut cx, path.remote, &request, bytes, None, occupancy, out)
        });
        match admission {
            Admission::Admitted(admitted) => self.on_admitted(now, path, admitted, found),
            Admission::Rejected(code) => self.count_reject(code),
            Admission::Dropped(reason) => self.count_drop(reason),
        }
    }

    /// A request that is known already gets the answer of its state again (5.4, step 2).
    pub(super) fn repeat_answer(&mut self, now: Instant, id: ConnectionId, path: Path, bytes: &[u8]) {
        let Some(entry) = self.slots.get_mut(id) else { return };
        let slot = &mut entry.slot;
        // Its address has paid, and answers are 50 ms apart, so they count as a peer's.
        let repeated = self.transmits.push(Cause::Peer, path, |out| match slot {
            Slot::Asking(slot) => slot.asking.repeat(now, bytes, out),
            Slot::Confirming(slot) => slot.confirming.repeat(now, bytes, out),
            Slot::Refused(slot) => slot.refused.repeat(now, bytes, out),
            _ => Err(DropReason::Stray),
        });
        if let Err(reason) = repeated {
            self.count_drop(reason);
        }
    }

    fn on_admitted(&mut self, now: Instant, path: Path, admitted: Admitted, room: Room) {
        let nonce = *admitted.initiator_nonce();
        // Both sides connect to each other: the attempt with the smaller nonce survives (5.4, step 9).
        if self.own_nonce_at(&path.remote).is_some_and(|ours| *ours < nonce) {
            self.stats.crossed_request += 1;
            return;
        }
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let (asking, question) = admitted.ask(&mut cx);
        let source = Source { path, initiator_nonce: nonce };
        let origin = self.attested_origin(now, path.remote, &question.public_key, &question.extensions);
        if !self.config.origins.admits(origin.as_deref()) {
            // A request that is refused ends no attempt of ours either.
            return self.refuse_origin(now, asking, source);
        }
        let slot = Slot::Asking(boxed(AskingSlot { asking, source, since: now }));
        let entry = Entry { origin: origin.as_deref().map(Box::from), ..Entry::new(slot) };
        let Some(id) = self.insert_request(now, entry, source, room) else { return };
        self.supersede_attempt(now, path.remote);
        self.stats.connections_requested += 1;
        trace_event!(DEBUG, connection = %id, remote = %path.remote, key = %question.public_key, "requested");
        self.events.push(Event::ConnectRequest(event::ConnectRequest {
            connection: id,
            remote: path.remote,
            public_key: question.public_key,
            connect_data: question.connect_data,
            extensions: question.extensions,
            origin,
            introduced_by: None,
        }));
        self.rearm(id);
    }

    /// Refuses a request of which the application never hears.
    fn refuse_origin(&mut self, now: Instant, asking: Asking, source: Source) {
        self.stats.origin_refused += 1;
        trace_event!(DEBUG, remote = %source.path.remote, "origin not allowed");
        let public_key = asking.public_key();
        let cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let refused = self.transmits.push(Cause::Stranger, source.path, |out| {
            asking.refuse(&cx, CloseCode::OriginNotAllowed, ShortData::EMPTY, out)
        });
        let slot = Slot::Refused(boxed(RefusedSlot { refused, source, public_key }));
        // The application never hears of it, so no close event follows.
        let entry = Entry { close_taken: true, ..Entry::new(slot) };
        // It takes no place from another one.
        let Some(id) = self.insert_request(now, entry, source, Room::Free) else { return };
        self.note_refused(now, source);
        self.rearm(id);
    }

    /// Accepts a request. `accept_data`, at most 511 bytes, is what the initiator's established event shows.
    /// This side's follows when the initiator has proven its keys.
    ///
    /// # Errors
    /// `Closed`, `NotWaiting`, `TooLarge`.
    pub fn accept_connection(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        accept_data: &[u8],
    ) -> Result<(), CallError> {
        let id = connection;
        let accept_data = ShortData::new(accept_data)?;
        self.asking(id)?;
        self.introductions.note_answer(id, accept_data.bytes());
        let entry = self.slots.get_mut(id).ok_or(CallError::Closed)?;
        let Slot::Asking(asking) = core::mem::replace(&mut entry.slot, Slot::Ended(None)) else {
            return Err(CallError::NotWaiting);
        };
        let AskingSlot { asking, source, since } = *asking;
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let (confirming, parts) =
            self.transmits.push(Cause::Own, source.path, |out| asking.accept(&mut cx, accept_data, out));
        let connected = self.make_connection(now, id, source.path, parts, None, None);
        let slot = ConfirmingSlot { confirming, source, since, connected, displacing: None };
        self.put(id, Slot::Confirming(boxed(slot)));
        let waiting = self.claims.entry(source.path.remote).or_default();
        waiting.push(id);
        let confirming = |id: &ConnectionId| {
            matches!(self.slots.get(*id).map(|entry| &entry.slot), Some(Slot::Confirming(_)))
        };
        let mut unproven = waiting.iter().copied().filter(confirming);
        let oldest = unproven.next().filter(|_| unproven.count() >= MAX_CONFIRMING);
        if let Some(oldest) = oldest {
            self.end_confirming(oldest, CloseCode::NotConfirmed, ClosedBy::Socket);
        }
        self.rearm(id);
        Ok(())
    }

    /// Refuses a request. The initiator is told `refused` and the reason, at most 511 bytes, and so is this side's close
    /// event.
    ///
    /// # Errors
    /// `Closed`, `TooLarge`; `NotWaiting` if it was answered before, or is no request.
    pub fn refuse(&mut self, now: Instant, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
        let reason = ShortData::new(reason)?;
        self.asking(connection)?;
        self.refuse_with(now, connection, CloseCode::Refused, ClosedBy::Application, reason);
        Ok(())
    }

    /// Drops a request without an answer: the initiator hears nothing and gives up by itself, and the request's place is
    /// free at once. A close event follows, with the code `closed`.
    ///
    /// Repeats of the request stay without an answer while the epoch of its identity token lives, as the token is used up.
    /// A repeat that comes later gets `stale_epoch`, and one whose puzzle has become too easy gets `difficulty_too_low`:
    /// the initiator begins again within its attempt, with a new token and another puzzle. That is a new request, and the
    /// application is asked again, perhaps with the same connect_data. To end the attempt, [`refuse`](Self::refuse) it.
    ///
    /// # Errors
    /// `Closed`; `NotWaiting` if it was answered before, or is no request.
    pub fn ignore(&mut self, connection: ConnectionId) -> Result<(), CallError> {
        let source = self.asking(connection)?.source;
        self.forget_request(connection, source);
        self.tell_close(connection, CloseCode::Closed, ClosedBy::Application, alloc::vec::Vec::new());
        self.end_slot(connection);
        Ok(())
    }

    /// A request that waits for the application's answer.
    fn asking(&self, id: ConnectionId) -> Result<&AskingSlot, CallError> {
        match &self.slots.get(id).ok_or(CallError::Closed)?.slot {
            Slot::Asking(asking) => Ok(asking),
            Slot::Ended(_) | Slot::Refused(_) => Err(CallError::Closed),
            _ => Err(CallError::NotWaiting),
        }
    }

    /// Ends a request that the application was asked about, with any code.
    pub(super) fn refuse_with(
        &mut self,
        now: Instant,
        id: ConnectionId,
        code: CloseCode,
        by: ClosedBy,
        reason: ShortData<'_>,
    ) {
        let Some(entry) = self.slots.get_mut(id) else { return };
        let asking = match core::mem::replace(&mut entry.slot, Slot::Ended(None)) {
            Slot::Asking(asking) => asking,
            other => return entry.slot = other,
        };
        let AskingSlot { asking, source, .. } = *asking;
        let public_key = asking.public_key();
        let cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let refused =
            self.transmits.push(Cause::Own, source.path, |out| asking.refuse(&cx, code, reason, out));
        self.put(id, Slot::Refused(boxed(RefusedSlot { refused, source, public_key })));
        if self.introductions.introducer_of(id).is_some() {
            // It had a place apart. From now on repeats are found like others, though the introduction is over.
            self.requests.insert(source.path.remote, source.initiator_nonce, id);
        }
        self.note_refused(now, source);
        self.tell_close(id, code, by, reason.bytes().to_vec());
        self.rearm(id);
    }

    /// Ends a connection that was accepted but not established.
    pub(super) fn end_confirming(&mut self, id: ConnectionId, code: CloseCode, by: ClosedBy) {
        if let Some(Slot::Confirming(slot)) = self.slots.get(id).map(|entry| &entry.slot) {
            let source = slot.source;
            let was_told = slot.connected.connection.is_over();
            self.forget_request(id, source);
            if !was_told {
                self.tell_close(id, code, by, alloc::vec::Vec::new());
            }
            self.end_slot(id);
        }
    }

    /// Takes a pending connection out of the tables that find it.
    pub(super) fn forget_request(&mut self, id: ConnectionId, source: Source) {
        self.requests.remove(source.path.remote, source.initiator_nonce);
        self.disclaim(source.path.remote, id);
    }

    /// An accepted connection has proven its keys. It is established, unless the owner of its address has to be
    /// asked first whether it is still there (5.6).
    pub(super) fn on_confirmed(&mut self, now: Instant, id: ConnectionId, remote: Address) {
        let owner = self.connections.get(&remote).copied().filter(|owner| *owner != id);
        if let Some(owner) = owner
            && let Some(Slot::Connected(old)) = self.slots.get_mut(owner).map(|entry| &mut entry.slot)
            && !old.connection.is_over()
        {
            let displacing = Displacing::begin(now, owner, old.connection.displacement_wait());
            self.drive(owner, Cause::Own, |connection, _, outbox| connection.send_ping(now, outbox));
            if let Some(Slot::Confirming(slot)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) {
                slot.displacing = Some(displacing);
            }
            self.rearm(id);
            return;
        }
        self.establish(now, id);
    }

    /// Asks the owner again, or decides when the time is over: it keeps its address if it said anything.
    pub(super) fn decide_displacement(&mut self, now: Instant, id: ConnectionId) {
        let Some(Slot::Confirming(slot)) = self.slots.get_mut(id).map(|entry| &mut entry.slot) else {
            return;
        };
        let Some(displacing) = &mut slot.displacing else { return };
        let (asks, displacing) = (displacing.take_ask(now), *displacing);
        let owner = self.slots.get(displacing.owner).and_then(|entry| entry.slot.connection());
        let heard = owner.filter(|owner| !owner.is_over()).map(|owner| owner.last_heard());
        if now < displacing.until && heard.is_some() {
            if asks {
                self.drive(displacing.owner, Cause::Own, |connection, _, outbox| {
                    connection.send_ping(now, outbox);
                });
            }
            return self.rearm(id);
        }
        // Somebody else may have taken the address meanwhile, and was not asked.
        if let Some(remote) = self.slots.get(id).and_then(|entry| entry.slot.remote())
            && self.connections.get(&remote).is_some_and(|owner| *owner != displacing.owner)
        {
            return self.on_confirmed(now, id, remote);
        }
        if heard.is_some_and(|at| at > displacing.since) {
            let _ = self.close_with(now, id, CloseCode::AddressInUse, ClosedBy::Socket, ShortData::EMPTY);
        } else {
            self.establish(now, id);
        }
    }

    fn establish(&mut self, now: Instant, id: ConnectionId) {
        let Some(entry) = self.slots.get_mut(id) else { return };
        let slot = match core::mem::replace(&mut entry.slot, Slot::Ended(None)) {
            Slot::Confirming(slot) => *slot,
            other => return entry.slot = other,
        };
        let ConfirmingSlot { confirming, source, since, mut connected, displacing } = slot;
        self.forget_request(id, source);
        // After lost answers or pings the time says nothing about the path.
        let first_packet = displacing.map_or(now, |displacing| displacing.since);
        let round_trip = confirming.round_trip(first_packet);
        let sample = (round_trip < self.config.handshake.retry_first).then_some(round_trip);
        connected.connection.established(now, sample, now.saturating_since(since));
        let (remote, public_key) = (connected.path.remote, connected.public_key);
        let settings = connected.connection.settings();
        // There is one connection now: our attempt to the same address has lost (5.4, step 9).
        self.supersede_attempt(now, remote);
        let replaces = self.displace_owner(remote);
        let introduced_by = self.introductions.introducer_of(id);
        // Its own choice, so that no other connection has it.
        connected.punching.ids.all().for_each(|number| _ = self.paths.add_id(number, id));
        self.put(id, Slot::Connected(boxed(connected)));
        self.connections.insert(remote, id);
        self.stats.connections_established += 1;
        trace_event!(DEBUG, connection = %id, %remote, key = %public_key, ?replaces, "established as host");
        self.events.push(Event::Established {
            connection: id,
            remote,
            public_key,
            accept_data: alloc::vec::Vec::new(),
            settings,
            replaces,
            introduced_by,
        });
        self.rearm(id);
        self.after_introduction(now, id);
    }

    /// Ends the connection that owns an address because another one takes its place. Names it if it was still open.
    pub(super) fn displace_owner(&mut self, remote: Address) -> Option<ConnectionId> {
        let owner = *self.connections.get(&remote)?;
        let mut was_open = false;
        self.drive(owner, Cause::Own, |connection, sink, _| {
            was_open = !connection.is_over();
            connection.abandon(CloseCode::Replaced, ClosedBy::Socket, sink);
        });
        was_open.then_some(owner)
    }

    /// Makes the connection that a handshake leaves behind.
    pub(super) fn make_connection(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Path,
        parts: ConnectionParts,
        rtt: Option<Duration>,
        unheard: Option<Unheard>,
    ) -> Connected {
        let tag_bytes = parts.agreed.settings.tag_bytes;
        let is_initiator = parts.role == Role::Initiator;
        let (send, receive) = (u64::from(parts.send_sequence), u64::from(parts.receive_sequence));
        if let Some(log) = &mut self.key_log {
            log(KeyLogEntry {
                connection: id,
                remote: path.remote,
                is_initiator,
                cipher: parts.cipher.number(),
                tag_bytes,
                packet_window: parts.agreed.settings.packet_window,
                from_initiator: parts.secret.traffic(Direction::FromInitiator).expose(),
                from_host: parts.secret.traffic(Direction::FromHost).expose(),
                initiator_sequence: if is_initiator { send } else { receive },
                host_sequence: if is_initiator { receive } else { send },
            });
        }
        self.widest_window = self.widest_window.max(parts.agreed.settings.packet_window);
        let first = PathId { id: parts.connection_number, token: parts.reset_token };
        let punching = Punching { key: parts.secret.punch_key(), ids: PathIds::new(first) };
        let public_key = parts.public_key;
        let mut connection = Connection::new(now, &self.config, parts.connection(rtt, unheard));
        if self.config.introduction.introduces {
            connection.enable_reliable();
        }
        let is_host = !is_initiator;
        Connected {
            connection,
            path,
            public_key,
            punching,
            tracked: None,
            path_told: false,
            is_host,
            queued: 0,
            held: 0,
        }
    }

    pub(super) fn count_reject(&mut self, code: RejectCode) {
        trace_event!(DEBUG, %code, "request rejected");
        let counter = match code {
            RejectCode::VersionMismatch => &mut self.stats.version_mismatch,
            RejectCode::ApplicationMismatch => &mut self.stats.application_mismatch,
            RejectCode::NoCommonCipher => &mut self.stats.no_common_cipher,
            RejectCode::StaleEpoch => &mut self.stats.stale_epoch,
            RejectCode::DifficultyTooLow => &mut self.stats.difficulty_too_low,
            RejectCode::Busy => &mut self.stats.busy,
        };
        *counter += 1;
    }
}
