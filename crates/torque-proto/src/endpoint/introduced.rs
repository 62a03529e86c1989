//! This socket as a party: connections that begin with an introduction (INTRODUCTIONS.md 5 to 8).
//!
//! The [`Party`] asks the introducer, and looks for a first path. Here its attempts meet their slots: the handshake runs over the paths
//! that it finds, and the connection goes on from them.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::candidates::Candidates;
use super::maps::Seeded;
use super::slot::{AskingSlot, Entry, Slot, Source};
use super::{Endpoint, boxed};
use crate::address::Address;
use crate::codes::CloseCode;
use crate::connection::control::reliable::{ControlError, ControlEvent};
use crate::endpoint::setup::{ConnectOptions, IntroducedOptions, Relaying};
use crate::error::CallError;
use crate::event::{self, ClosedBy, Event};
use crate::handshake::introduced::{AtHost, AtInitiator, IntroducedData};
use crate::handshake::{Admission, Admitted, AttemptOptions, Occupancy, ShortData, Trust};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::introduction::introducer::Introducer;
use crate::introduction::party::{
    HandshakeSecrets, ObserveOut, Party, PartyEvent, PartyOptions, PartyStep, PunchOut,
};
use crate::introduction::{IntroductionId, Message, PartyStats};
use crate::micros::Micros;
use crate::path::Path;
use crate::sorted::SortedMap;
use crate::transmits::Cause;
use crate::wire::introduction::Candidate;
use crate::wire::{ConnectRequest, MAX_RELAYED, Punch};

/// Bytes of a packet beside its payload, with the longest tag and report.
const PACKET_OVERHEAD: usize = 27;
/// Messages that wait for room, how many of them may be one connection's, and how long they wait before they are tried again.
const MAX_WAITING: usize = 512;
const MAX_WAITING_OF_CONNECTION: usize = 64;
const RETRY: Micros = Micros::from_millis(100);

/// What an endpoint keeps for introductions.
pub(super) struct Introductions {
    pub(super) introducer: Introducer,
    pub(super) party: Party,
    /// By the id of the connection to come, until it ends.
    sides: SortedMap<ConnectionId, Side>,
    /// Messages for which there was no room, or that follow one of their attempt that waits.
    waiting: VecDeque<Message>,
    retry_at: Instant,
    /// Connections that have ended, and why.
    ended: Vec<(ConnectionId, CloseCode)>,
}

/// This side of a connection that begins with an introduction.
struct Side {
    introducer: ConnectionId,
    is_host: bool,
    /// At the initiator.
    connect: ConnectOptions,
    /// At the host, until it is sealed.
    data: IntroducedData,
    /// From the introduction until the connection is established.
    handshake: Option<Handshake>,
    /// What the application at the host has said: it is not asked again when the initiator begins anew.
    answer: Option<Vec<u8>>,
}

/// What the handshake of an introduction needs, at either side.
enum Handshake {
    Initiator(Arc<AtInitiator>),
    Host(Arc<AtHost>),
}

impl Introductions {
    pub(super) fn new(seeded: Seeded) -> Self {
        Self {
            introducer: Introducer::new(seeded),
            party: Party::default(),
            sides: SortedMap::new(),
            waiting: VecDeque::new(),
            retry_at: Instant::ZERO,
            ended: Vec::new(),
        }
    }

    fn is_waiting(&self, connection: ConnectionId, attempt: u32) -> bool {
        self.waiting.iter().any(|other| (other.connection, other.attempt) == (connection, attempt))
    }

    /// Keeps a message until there is room, in place of an older one about the same state. A connection whose other side confirms nothing
    /// takes no other's places.
    fn wait(&mut self, message: Message) {
        let Message { connection, attempt, kind, .. } = message;
        let is_older = |other: &&mut Message| {
            (other.connection, other.attempt, other.kind) == (connection, attempt, kind)
        };
        if kind.is_state()
            && let Some(older) = self.waiting.iter_mut().find(is_older)
        {
            *older = message;
            return;
        }
        let own = self.waiting.iter().filter(|other| other.connection == connection).count();
        if self.waiting.len() < MAX_WAITING && own < MAX_WAITING_OF_CONNECTION {
            self.waiting.push_back(message);
        }
    }

    /// When there is something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let ended = (!self.ended.is_empty()).then_some(Instant::ZERO);
        let retry = (!self.waiting.is_empty()).then_some(self.retry_at);
        [ended, retry, self.introducer.deadline(), self.party.deadline()].into_iter().flatten().min()
    }

    /// A connection has ended. What follows is done with the next timers.
    pub(super) fn note_end(&mut self, id: ConnectionId, code: CloseCode) {
        if !self.sides.is_empty() || !self.introducer.is_idle() || self.party.kept() > 0 {
            self.ended.push((id, code));
        }
    }

    /// Returns whether no connection of this socket begins, or began, with an introduction.
    pub(super) fn has_none(&self) -> bool {
        self.sides.is_empty()
    }

    /// The connection with the introducer of this one.
    pub(super) fn introducer_of(&self, id: ConnectionId) -> Option<ConnectionId> {
        self.sides.get(&id).map(|side| side.introducer)
    }

    /// Keys and data of the introduction that this connection begins with, if a request that came on this path may use them.
    pub(super) fn handshake_at_host(
        &self,
        introduction: u64,
        path: Path,
    ) -> Option<(ConnectionId, Arc<AtHost>)> {
        let id = self.party.find(introduction)?;
        match &self.sides.get(&id)?.handshake {
            Some(Handshake::Host(handshake)) if self.party.is_path(id, path) => {
                Some((id, Arc::clone(handshake)))
            }
            _ => None,
        }
    }

    /// Returns whether the other party of an introduction may be at this address.
    pub(super) fn expects(&self, remote: Address) -> bool {
        self.party.expects(remote)
    }

    /// This machine is in another network.
    pub(super) fn network_changed(&mut self, now: Instant) {
        self.party.network_changed(now);
    }

    /// The other party has shown that this path is valid there.
    pub(super) fn path_was_shown(&mut self, id: ConnectionId, path: Path) {
        self.party.path_was_shown(id, path);
    }

    /// What the application at the host answered before.
    pub(super) fn answer(&self, id: ConnectionId) -> Option<&[u8]> {
        self.sides.get(&id)?.answer.as_deref()
    }

    /// The application at the host has accepted.
    pub(super) fn note_answer(&mut self, id: ConnectionId, accept_data: &[u8]) {
        if let Some(side) = self.sides.get_mut(&id) {
            side.answer = Some(accept_data.to_vec());
        }
    }
}

impl Endpoint {
    /// Asks to be introduced, by the other side of an open connection, to another socket that is connected to it: `remote` is the number
    /// of that connection at the introducer, which its application tells. Both parties call this, one of them as host.
    ///
    /// The id of the connection to come is returned at once. At the host, its [`Event::ConnectRequest`](crate::Event::ConnectRequest)
    /// comes when the initiator has found a way; at the initiator things go on as after [`connect`](Self::connect). Events and
    /// [`introduced_by`](crate::ConnectRequest::introduced_by) say who introduced them. [`close`](Self::close) withdraws.
    ///
    /// With an honest introducer the other side is the one that it named: the handshake proves the key. An introducer that is not can be
    /// either side to the other, unless the applications compare keys.
    ///
    /// # Errors
    /// `Closed` if `introducer` is no open connection, `AlreadyIntroducing`, `TooManyIntroductions`, `NoTrust`, `InvalidSettings`,
    /// `TooLarge`, `TooManyConnections`.
    pub fn connect_introduced(
        &mut self,
        now: Instant,
        introducer: ConnectionId,
        remote: u32,
        options: IntroducedOptions,
    ) -> Result<ConnectionId, CallError> {
        options.check()?;
        let data = IntroducedData::new(options.introduced_data)?;
        let settings = options.connect.settings.unwrap_or(self.config.settings);
        if !settings.is_valid() {
            return Err(CallError::InvalidSettings);
        }
        let hosts_introducer = self.begin_with_introducer(introducer)?;
        let party = PartyOptions {
            introducer,
            remote,
            is_host: options.is_host,
            takes_circuit: options.relay != Relaying::Never,
            circuit_at_once: options.relay == Relaying::AtOnce,
            takes_direct: options.direct,
            // A host's application is asked in any case.
            is_verified: options.is_host || !matches!(options.connect.trust, Some(Trust::Anyone)),
            hosts_introducer,
        };
        let id = self.slots.insert(Entry::new(Slot::Introducing)).ok_or(CallError::TooManyConnections)?;
        if let Err(error) = self.with_party(now, |party_machine, step| party_machine.begin(step, id, party)) {
            self.slots.remove(id);
            return Err(error);
        }
        let (is_host, connect) = (options.is_host, options.connect);
        let side = Side { introducer, is_host, connect, data, handshake: None, answer: None };
        self.introductions.sides.insert(id, side);
        self.stats.connections_started += 1;
        trace_event!(DEBUG, connection = %id, %introducer, "asking to be introduced");
        Ok(id)
    }

    /// Makes ready for messages to an introducer. Returns whether this side hosts the connection with it.
    pub(super) fn begin_with_introducer(&mut self, introducer: ConnectionId) -> Result<bool, CallError> {
        match self.slots.get_mut(introducer).map(|entry| &mut entry.slot) {
            Some(Slot::Connected(connected)) if connected.connection.is_open() => {
                connected.connection.enable_reliable();
                Ok(connected.is_host)
            }
            _ => Err(CallError::Closed),
        }
    }

    /// The addresses of this machine at which others may reach it: those of its interfaces, and those that routers map to it. Introducers
    /// are told; they pass on what can be of use. Drivers call this at first and when something has changed.
    pub fn set_own_candidates(&mut self, now: Instant, candidates: &[Candidate]) {
        self.with_party(now, |party, step| party.set_candidates(step, candidates.to_vec()));
    }

    /// Counters of this socket as a party of introductions.
    pub fn party_stats(&self) -> PartyStats {
        self.introductions.party.counters()
    }

    /// How many things are kept for introductions, at all sides: for tests, because nothing may be left of them in the end.
    #[doc(hidden)]
    pub fn kept_for_introductions(&self) -> usize {
        let Introductions { introducer, party, sides, waiting, ended, .. } = &self.introductions;
        let own = sides.len() + waiting.len() + ended.len();
        own + introducer.kept() + party.kept() + self.transmits.circuits()
    }

    /// Lets the party act, and does what follows.
    pub(super) fn with_party<T>(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Party, &mut PartyStep<'_>) -> T,
    ) -> T {
        let own_key = self.key_pair.public();
        let mut step = PartyStep::new(now, &mut self.rng, &self.config.introduction, &own_key);
        let result = act(&mut self.introductions.party, &mut step);
        let PartyStep { messages, punches, observes, events, .. } = step;
        self.after_party(now, messages, punches, &observes, events);
        result
    }

    /// Sends what the party wants sent, and does what its news ask for.
    fn after_party(
        &mut self,
        now: Instant,
        messages: Vec<Message>,
        punches: Vec<PunchOut>,
        observes: &[ObserveOut],
        events: Vec<PartyEvent>,
    ) {
        for punch in punches {
            let cause = if punch.is_answer { Cause::Peer } else { Cause::Own };
            self.transmits.push_with_hop_limit(cause, punch.path, punch.hop_limit, |out| {
                out.extend_from_slice(&punch.bytes);
            });
            self.stats.punches_sent += 1;
        }
        observes.iter().for_each(|observe| self.send_observe(now, observe));
        self.send_messages(now, messages);
        for event in events {
            self.on_party_event(now, event);
        }
    }

    fn on_party_event(&mut self, now: Instant, event: PartyEvent) {
        match event {
            PartyEvent::Introduced { connection } => self.on_introduced(connection),
            PartyEvent::CircuitGranted { connection, introducer, circuit, address } => {
                if let Some(Slot::Connected(connected)) = self.slots.get(introducer).map(|entry| &entry.slot)
                {
                    self.transmits.add_circuit(address, connection, introducer, connected.path, circuit);
                }
            }
            PartyEvent::PathReady { connection, path, .. } => self.on_first_path(now, connection, path),
            PartyEvent::Candidates { connection, candidates } => {
                let paths = candidates.into_iter().map(|address| Path::to(address.into())).collect();
                self.look_for_direct_path(now, connection, paths, &[]);
            }
            PartyEvent::CircuitEnded { connection, address } => {
                self.transmits.remove_circuits_of(connection);
                self.lose_path(now, connection, address);
            }
            PartyEvent::Punch { connection, punches } => self.send_run_punches(now, connection, &punches),
            PartyEvent::PortsIdle { connection } => self.close_idle_ports(connection),
            PartyEvent::NatFound { introducer, nat, observed } => {
                self.events.push(Event::NatFound { introducer, nat, observed });
            }
            PartyEvent::Ended { connection, code } => self.end_introduced(now, connection, code),
        }
    }

    /// The introducer has named the other party.
    fn on_introduced(&mut self, id: ConnectionId) {
        let Introductions { party, sides, .. } = &mut self.introductions;
        let (Some(side), Some(facts)) = (sides.get_mut(&id), party.facts(id)) else { return };
        let Some(HandshakeSecrets { psk, data }) = party.take_secrets(id) else { return };
        let Some(introduction) = IntroductionId::from_u64(facts.id) else { return };
        side.handshake = Some(if side.is_host {
            let introduced = core::mem::take(&mut side.data);
            Handshake::Host(Arc::new(AtHost::new(introduction, facts.peer, psk, data, &introduced)))
        } else {
            Handshake::Initiator(Arc::new(AtInitiator::new(introduction, facts.peer, psk, data)))
        });
    }

    /// There is a way to the other party: the initiator begins.
    fn on_first_path(&mut self, now: Instant, id: ConnectionId, path: Path) {
        let Some(side) = self.introductions.sides.get(&id) else { return };
        let Some(Handshake::Initiator(introduced)) = &side.handshake else { return };
        let (introduced, connect) = (Arc::clone(introduced), &side.connect);
        if matches!(self.slots.get(id).map(|entry| &entry.slot), Some(Slot::Introducing)) {
            let mut settings = connect.settings.unwrap_or(self.config.settings);
            // What a circuit carries, too.
            let most = (MAX_RELAYED - PACKET_OVERHEAD) as u16;
            settings.max_packet_size = settings.max_packet_size.min(most);
            let options = AttemptOptions {
                connection: id,
                trust: connect.trust.unwrap_or(Trust::Ask),
                settings,
                connect_data: connect.connect_data.clone(),
                extensions: connect.extensions.clone(),
                introduced: Some(introduced),
            };
            match Candidates::new(now, path.port, options) {
                Ok(mut candidates) => {
                    let circuit = self.transmits.circuit_of(id);
                    if let Some(circuit) = circuit.filter(|circuit| *circuit != path.remote) {
                        candidates.add_spare(Path::to(circuit));
                    }
                    self.put(id, Slot::Attempt(boxed(candidates)));
                    self.introductions.party.handshake_began(id);
                }
                Err(_) => return self.end_introduced(now, id, CloseCode::ProtocolViolation),
            }
        }
        // Once a host has answered, other paths are not needed.
        let _ = self.add_path_to_attempt(now, id, path);
    }

    /// An attempt has failed, or the introducer or the other party does not want it any more.
    fn end_introduced(&mut self, now: Instant, id: ConnectionId, code: CloseCode) {
        let by = if code.number() < 32 { ClosedBy::Remote } else { ClosedBy::Socket };
        match self.slots.get(id).map(|entry| &entry.slot) {
            Some(Slot::Introducing) => {
                self.tell_close(id, code, by, Vec::new());
                self.end_slot(id);
            }
            Some(Slot::Attempt(_)) => self.end_attempt(id, code, by, &[]),
            Some(Slot::Asking(_)) => self.refuse_with(now, id, code, by, ShortData::EMPTY),
            Some(Slot::Confirming(_)) => self.end_confirming(id, code, by),
            _ => {}
        }
    }

    /// A connection that began with an introduction is established: it looks after its paths itself from now on.
    pub(super) fn after_introduction(&mut self, now: Instant, id: ConnectionId) {
        let Some(side) = self.introductions.sides.get_mut(&id) else { return };
        (side.handshake, side.answer, side.connect) = (None, None, ConnectOptions::default());
        let Some(Slot::Connected(connected)) = self.slots.get(id).map(|entry| &entry.slot) else { return };
        let path = connected.path;
        let Some(handover) = self.with_party(now, |party, step| party.established(step, id, path)) else {
            return;
        };
        let candidates = handover.candidates.into_iter().map(|address| Path::to(address.into()));
        let mut paths: Vec<Path> = Vec::new();
        for other in handover.paths.into_iter().chain(candidates) {
            if other.remote != path.remote && !paths.contains(&other) {
                paths.push(other);
            }
        }
        self.look_for_direct_path(now, id, paths, &handover.sources);
    }

    /// Packets of a connection take another path now.
    pub(super) fn after_path_change(
        &mut self,
        now: Instant,
        id: ConnectionId,
        path: Path,
        was_relayed: bool,
    ) {
        self.transmits.move_circuits(id, path);
        if was_relayed && !path.remote.is_circuit() && self.introductions.sides.contains_key(&id) {
            self.with_party(now, |party, step| party.became_direct(step, id));
        }
        if !was_relayed && path.remote.is_circuit() {
            self.introductions.party.became_relayed(now, id);
        }
        if !self.introductions.introducer.is_idle() {
            self.with_introducer(now, |introducer, step| introducer.on_address_changed(step, id));
        }
    }

    /// A punch of an introduction.
    pub(super) fn on_introduction_punch(
        &mut self,
        now: Instant,
        path: Path,
        punch: &Punch,
        tag: &[u8; Punch::TAG_BYTES],
    ) {
        if self.with_party(now, |party, step| party.on_punch(step, path, punch, tag)) {
            self.stats.punches_received += 1;
        } else {
            self.stats.punches_refused += 1;
        }
    }

    /// A connect_request of an introduction (INTRODUCTIONS.md 7). Its place is the slot of the connection to come.
    pub(super) fn on_introduced_request(
        &mut self,
        now: Instant,
        path: Path,
        request: &ConnectRequest<'_>,
        bytes: &[u8],
    ) {
        let Some((id, introduced)) = self.introductions.handshake_at_host(request.introduction_id, path)
        else {
            return self.stats.unknown_introduction += 1;
        };
        let is_known = |source: Source| {
            source.initiator_nonce == request.initiator_nonce && source.path.remote == path.remote
        };
        if self.slots.get(id).and_then(|entry| entry.slot.source()).is_some_and(is_known) {
            return self.repeat_answer(now, id, path, bytes);
        }
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let host = &mut self.host;
        // The connection has its place already.
        let occupancy = Occupancy { pending: self.requests.waiting(), has_room: || true };
        let admission = self.transmits.push(Cause::Peer, path, |out| {
            host.admit(&mut cx, path.remote, request, bytes, Some(&introduced), occupancy, out)
        });
        match admission {
            Admission::Admitted(admitted) => self.on_introduced_admitted(now, id, path, admitted),
            Admission::Rejected(code) => self.count_reject(code),
            Admission::Dropped(reason) => self.count_drop(reason),
        }
    }

    /// The initiator asks, perhaps once more: then it has the application's answer already, or the application its question.
    fn on_introduced_admitted(&mut self, now: Instant, id: ConnectionId, path: Path, admitted: Admitted) {
        let source = Source { path, initiator_nonce: *admitted.initiator_nonce() };
        self.introductions.party.handshake_began(id);
        let is_first = match self.slots.get(id).map(|entry| &entry.slot) {
            Some(Slot::Introducing) => true,
            Some(Slot::Asking(_)) => false,
            Some(Slot::Confirming(slot)) if slot.displacing.is_none() => false,
            _ => return self.stats.crossed_request += 1,
        };
        if let Some(Slot::Confirming(slot)) = self.slots.get(id).map(|entry| &entry.slot) {
            let old = slot.source;
            self.forget_request(id, old);
        }
        let mut cx = Self::context(now, &self.config, &self.key_pair, &mut self.rng);
        let (mut asking, question) = admitted.ask(&mut cx);
        if let Some(Slot::Asking(earlier)) = self.slots.get(id).map(|entry| &entry.slot) {
            asking.take_place_of(&earlier.asking);
        }
        self.put(id, Slot::Asking(boxed(AskingSlot { asking, source, since: now })));
        if let Some(answer) = self.introductions.answer(id).map(<[u8]>::to_vec) {
            // It has not ended, so it waits for the answer.
            let _ = self.accept_connection(now, id, &answer);
        } else if is_first {
            self.events.push(Event::ConnectRequest(event::ConnectRequest {
                connection: id,
                remote: path.remote,
                public_key: question.public_key,
                connect_data: question.connect_data,
                extensions: question.extensions,
                origin: None,
                introduced_by: self.introductions.introducer_of(id),
            }));
        }
        self.rearm(id);
    }

    /// A reliable message of an introduction, or what became of one.
    pub(super) fn on_introduction_message(&mut self, now: Instant, id: ConnectionId, event: ControlEvent) {
        let attempt = event.attempt();
        let (message, has_failed) = match event {
            ControlEvent::Message { kind, body, .. } => (Some((kind, body)), false),
            ControlEvent::Failed { .. } => (None, true),
            ControlEvent::Received { .. } => (None, false),
        };
        let Some(Slot::Connected(connected)) = self.slots.get(id).map(|entry| &entry.slot) else { return };
        let is_party = (attempt >> 31 == 1) == connected.is_host;
        match message {
            Some((kind, body)) if is_party => {
                self.with_party(now, |party, step| party.on_message(step, id, attempt, kind, &body));
            }
            Some((kind, body)) => {
                self.with_introducer(now, |introducer, step| {
                    introducer.on_message(step, id, attempt, kind, &body);
                });
            }
            None if has_failed && is_party => {
                self.with_party(now, |party, step| party.on_message_failed(step, id, attempt));
            }
            _ => {}
        }
    }

    /// Sends reliable messages; those for which there is no room wait.
    pub(super) fn send_messages(&mut self, now: Instant, messages: Vec<Message>) {
        for message in messages {
            let Message { connection, attempt, kind, ref body } = message;
            let mut sent = Err(ControlError::Closed);
            if self.introductions.is_waiting(connection, attempt) {
                // Of two messages about one state, the later one counts.
                sent = Err(ControlError::TooMany);
            } else if self.slots.get(connection).is_some_and(|entry| entry.slot.is_open()) {
                self.drive(connection, Cause::Own, |connection, _, outbox| {
                    sent = connection.send_reliable(now, attempt, kind, body, outbox);
                });
            }
            if sent == Err(ControlError::TooMany) {
                self.introductions.retry_at = now + RETRY;
                self.introductions.wait(message);
            }
        }
    }

    /// Does what is due.
    pub(super) fn run_introductions(&mut self, now: Instant) {
        for (id, code) in core::mem::take(&mut self.introductions.ended) {
            if self.introductions.sides.remove(&id).is_some() {
                self.with_party(now, |party, step| party.withdraw(step, id, code));
            }
            self.transmits.remove_circuits_of(id);
            self.with_party(now, |party, step| party.on_introducer_ended(step, id));
            self.with_introducer(now, |introducer, step| introducer.on_connection_ended(step, id));
        }
        if !self.introductions.waiting.is_empty() && self.introductions.retry_at <= now {
            let messages = core::mem::take(&mut self.introductions.waiting).into();
            self.send_messages(now, messages);
        }
        if self.introductions.introducer.deadline().is_some_and(|at| at <= now) {
            self.with_introducer(now, |introducer, step| introducer.handle_timeout(step));
        }
        if self.introductions.party.deadline().is_some_and(|at| at <= now) {
            self.with_party(now, |party, step| party.handle_timeout(step));
        }
    }
}
