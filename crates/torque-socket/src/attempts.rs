//! Connections that this side begins: by address, or by a name that may have many.
//!
//! A name is known to its application by one id from the beginning, while each of its addresses is an attempt
//! of the endpoint with an id of its own. Ids of names have a shard number that the endpoint does not use.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use torque_proto::{
    Address, CallError, CloseCode, ClosedBy, ConnectOptions, ConnectionId, Endpoint, Event, Instant, Trust,
};

use crate::resolver::{Lookup, Resolver};
use crate::waker::Waker;

/// How long one address of a name may stay silent before the next is tried beside it.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// Shards have 6 bits above 26 bits of number (`ConnectionId`).
const SHARD_SHIFT: u32 = 26;
/// Bytes that connect data and extensions may take together (PROTOCOL.md 4.3).
const MAX_CONNECT_DATA: usize = 1_000;

/// What an id of the application stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// A connection of the endpoint.
    Endpoint(ConnectionId),
    /// A name of which no address has answered yet.
    Undecided,
    /// A name whose connection has ended.
    Ended,
}

struct Named {
    options: ConnectOptions,
    state: State,
}

enum State {
    Resolving,
    Trying { candidates: Vec<Candidate>, give_up: Instant, last_code: CloseCode },
    Settled(ConnectionId),
}

struct Candidate {
    address: Address,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting(Instant),
    Running(ConnectionId),
    Failed,
}

/// All attempts of one socket.
pub(crate) struct Attempts {
    named: HashMap<ConnectionId, Named>,
    /// From the endpoint's id of an address to the application's id of its name.
    names_of: HashMap<ConnectionId, ConnectionId>,
    /// Attempts that began with an address, until they are established or over.
    direct: Vec<(ConnectionId, Address)>,
    /// Ended in the endpoint by this driver: nobody is told.
    silent: HashSet<ConnectionId>,
    /// Ended in the endpoint by this driver: told with this code.
    ended_for: HashMap<ConnectionId, CloseCode>,
    told: VecDeque<Event>,
    lookup: Lookup,
    resolver: Option<Resolver>,
    shard: u32,
    count: u32,
}

impl Attempts {
    /// `endpoint_shard`: the shard number that the endpoint uses.
    pub(crate) fn new(endpoint_shard: u8, lookup: Lookup) -> Self {
        let last = (ConnectionId::MAX_SHARDS - 1) as u32;
        let shard = if u32::from(endpoint_shard) == last { last - 1 } else { last };
        Self {
            named: HashMap::new(),
            names_of: HashMap::new(),
            direct: Vec::new(),
            silent: HashSet::new(),
            ended_for: HashMap::new(),
            told: VecDeque::new(),
            lookup,
            resolver: None,
            shard,
            count: 0,
        }
    }

    /// Whether every event of the endpoint can go to the application as it is.
    pub(crate) fn is_quiet(&self) -> bool {
        self.names_of.is_empty()
            && self.direct.is_empty()
            && self.silent.is_empty()
            && self.ended_for.is_empty()
            && self.told.is_empty()
    }

    pub(crate) fn has_events(&self) -> bool {
        !self.told.is_empty()
    }

    /// An event of the driver itself.
    pub(crate) fn next_event(&mut self) -> Option<Event> {
        self.told.pop_front()
    }

    /// What `id` stands for, without a look at any table unless it is the id of a name.
    pub(crate) fn standing(&self, id: ConnectionId) -> Standing {
        if u32::from(id.shard()) != self.shard {
            return Standing::Endpoint(id);
        }
        match self.named.get(&id).map(|named| &named.state) {
            Some(State::Settled(real)) => Standing::Endpoint(*real),
            Some(_) => Standing::Undecided,
            None => Standing::Ended,
        }
    }

    /// The id by which the application knows a connection of the endpoint.
    pub(crate) fn known_as(&self, id: ConnectionId) -> ConnectionId {
        self.names_of.get(&id).copied().unwrap_or(id)
    }

    /// Begins an attempt with one address.
    pub(crate) fn connect_address(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        address: Address,
        options: ConnectOptions,
    ) -> Result<ConnectionId, CallError> {
        let id = endpoint.connect(now, address, options)?;
        self.direct.push((id, address));
        Ok(id)
    }

    /// Begins an attempt with a name.
    pub(crate) fn connect_name(
        &mut self,
        name: String,
        port: u16,
        options: ConnectOptions,
        waker: impl FnOnce() -> Option<Waker>,
    ) -> Result<ConnectionId, CallError> {
        let extensions: usize = options.extensions.iter().map(|extension| 3 + extension.data.len()).sum();
        if options.connect_data.len() + extensions > MAX_CONNECT_DATA {
            return Err(CallError::TooLarge { max: MAX_CONNECT_DATA });
        }
        let id = self.free_id().ok_or(CallError::TooManyConnections)?;
        self.named.insert(id, Named { options, state: State::Resolving });
        let lookup = &self.lookup;
        self.resolver.get_or_insert_with(|| Resolver::new(lookup.clone(), waker())).resolve(id, name, port);
        Ok(id)
    }

    fn free_id(&mut self) -> Option<ConnectionId> {
        for _ in 0..=self.named.len() {
            self.count = self.count.wrapping_add(1) & ((1 << SHARD_SHIFT) - 1);
            let id = ConnectionId::from_u32(self.shard << SHARD_SHIFT | self.count)?;
            if !self.named.contains_key(&id) {
                return Some(id);
            }
        }
        None
    }

    /// Ends a name of which no address has answered.
    pub(crate) fn close_undecided(&mut self, now: Instant, endpoint: &mut Endpoint, id: ConnectionId) {
        if let Some(Named { state, .. }) = self.named.remove(&id) {
            if let State::Trying { candidates, .. } = state {
                for candidate in candidates {
                    self.silence(now, endpoint, candidate.phase);
                }
            }
            self.tell_close(id, CloseCode::Closed, ClosedBy::Application);
        }
    }

    /// Ends every name of which no address has answered.
    pub(crate) fn close_all_undecided(&mut self, now: Instant, endpoint: &mut Endpoint) {
        let undecided: Vec<_> = self
            .named
            .iter()
            .filter(|(_, named)| !matches!(named.state, State::Settled(_)))
            .map(|(id, _)| *id)
            .collect();
        for id in undecided {
            self.close_undecided(now, endpoint, id);
        }
    }

    fn tell_close(&mut self, connection: ConnectionId, code: CloseCode, by: ClosedBy) {
        self.told.push_back(Event::Close { connection, code, by, reason: Vec::new() });
    }

    /// Ends what a candidate has running, without a word to the application.
    fn silence(&mut self, now: Instant, endpoint: &mut Endpoint, phase: Phase) {
        if let Phase::Running(real) = phase {
            self.names_of.remove(&real);
            if endpoint.close(now, real, &[]).is_ok() {
                self.silent.insert(real);
            }
        }
    }

    /// When `run` has something to do, unless a lookup ends before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.named
            .values()
            .filter_map(|named| match &named.state {
                State::Trying { candidates, .. } => candidates
                    .iter()
                    .filter_map(|candidate| match candidate.phase {
                        Phase::Waiting(at) => Some(at),
                        _ => None,
                    })
                    .min(),
                _ => None,
            })
            .min()
    }

    /// Takes lookups that have ended and begins with addresses whose turn has come.
    pub(crate) fn run(&mut self, now: Instant, endpoint: &mut Endpoint) {
        while let Some(answer) = self.resolver.as_mut().and_then(Resolver::answer) {
            let found = answer.addresses.unwrap_or_default();
            self.begin_trying(now, endpoint, answer.connection, &found);
        }
        if self.deadline().is_some_and(|due| due <= now) {
            let names: Vec<_> = self.named.keys().copied().collect();
            for id in names {
                self.begin_due(now, endpoint, id);
            }
        }
    }

    fn begin_trying(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: ConnectionId,
        found: &[SocketAddr],
    ) {
        let Some(named) = self.named.get_mut(&id) else { return };
        match found {
            [] => {
                self.named.remove(&id);
                self.tell_close(id, CloseCode::NameNotFound, ClosedBy::Socket);
            }
            _ => {
                let mut at = now;
                let candidates = found.iter().map(|address| {
                    let candidate = Candidate { address: Address::from(*address), phase: Phase::Waiting(at) };
                    at += NEXT_ADDRESS;
                    candidate
                });
                named.state = State::Trying {
                    candidates: candidates.collect(),
                    give_up: now + endpoint.config().handshake.wait,
                    last_code: CloseCode::NoAnswer,
                };
                self.begin_due(now, endpoint, id);
            }
        }
    }

    /// Begins with each address of a name whose turn has come.
    fn begin_due(&mut self, now: Instant, endpoint: &mut Endpoint, id: ConnectionId) {
        let Some(named) = self.named.get_mut(&id) else { return };
        let State::Trying { candidates, last_code, .. } = &mut named.state else { return };
        let only_one = candidates.len() == 1;
        for candidate in candidates.iter_mut() {
            let Phase::Waiting(at) = candidate.phase else { continue };
            if at > now {
                continue;
            }
            let mut options = named.options.clone();
            if !only_one {
                // Two attempts may be answered; which one goes on is decided here.
                options.trust = Trust::Ask;
            }
            match endpoint.connect(now, candidate.address, options) {
                Ok(real) => {
                    candidate.phase = Phase::Running(real);
                    self.names_of.insert(real, id);
                    if only_one {
                        self.direct.push((real, candidate.address));
                        named.state = State::Settled(real);
                        return;
                    }
                }
                Err(error) => {
                    candidate.phase = Phase::Failed;
                    *last_code = match error {
                        CallError::AddressInUse => CloseCode::AddressInUse,
                        _ => CloseCode::Unreachable,
                    };
                }
            }
        }
        self.give_up_if_hopeless(id);
    }

    /// Ends a name when each of its addresses has failed.
    fn give_up_if_hopeless(&mut self, id: ConnectionId) {
        if let Some(Named { state: State::Trying { candidates, last_code, .. }, .. }) = self.named.get(&id)
            && candidates.iter().all(|candidate| candidate.phase == Phase::Failed)
        {
            let code = *last_code;
            self.named.remove(&id);
            self.tell_close(id, code, ClosedBy::Socket);
        }
    }

    /// One address of a name has failed: the next is tried at once.
    fn candidate_failed(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: ConnectionId,
        real: ConnectionId,
        code: CloseCode,
        again_at: Option<Instant>,
    ) {
        self.names_of.remove(&real);
        let Some(Named { state: State::Trying { candidates, give_up, last_code }, .. }) =
            self.named.get_mut(&id)
        else {
            return;
        };
        // "No answer" says less than whatever else was learned.
        if code != CloseCode::NoAnswer {
            *last_code = code;
        }
        for candidate in candidates.iter_mut() {
            if candidate.phase == Phase::Running(real) {
                candidate.phase = match again_at {
                    Some(at) if at < *give_up => Phase::Waiting(at),
                    _ => Phase::Failed,
                };
            }
        }
        if again_at.is_none()
            && let Some(next) = candidates.iter_mut().find(|other| matches!(other.phase, Phase::Waiting(_)))
        {
            next.phase = Phase::Waiting(now);
        }
        self.begin_due(now, endpoint, id);
        self.give_up_if_hopeless(id);
    }

    /// The operating system could not send to these addresses: attempts there end now, and do not wait for
    /// an answer that cannot come. Established connections are left to their pings.
    pub(crate) fn unreachable(&mut self, now: Instant, endpoint: &mut Endpoint, addresses: &[Address]) {
        let dead: Vec<_> =
            self.direct.iter().filter(|(_, at)| addresses.contains(at)).map(|(id, _)| *id).collect();
        for id in dead {
            self.direct.retain(|(other, _)| *other != id);
            if endpoint.close(now, id, &[]).is_ok() {
                self.ended_for.insert(id, CloseCode::Unreachable);
            }
        }
        let dead: Vec<_> = self
            .named
            .iter()
            .flat_map(|(id, named)| {
                match &named.state {
                    State::Trying { candidates, .. } => candidates.as_slice(),
                    _ => &[],
                }
                .iter()
                .filter(|candidate| addresses.contains(&candidate.address))
                .map(|candidate| (*id, candidate.phase))
            })
            .collect();
        for (id, phase) in dead {
            if let Phase::Running(real) = phase {
                self.silence(now, endpoint, phase);
                self.candidate_failed(now, endpoint, id, real, CloseCode::Unreachable, None);
            }
        }
    }

    /// Makes an event of the endpoint one of the application; `None` if it is none of its business.
    pub(crate) fn translate(&mut self, now: Instant, endpoint: &mut Endpoint, event: Event) -> Option<Event> {
        let Some(real) = event.connection() else { return Some(event) };
        if self.silent.contains(&real) {
            if matches!(event, Event::Close { .. }) {
                self.silent.remove(&real);
            }
            return None;
        }
        if matches!(event, Event::Established { .. } | Event::Close { .. }) {
            self.direct.retain(|(id, _)| *id != real);
        }
        let Some(id) = self.names_of.get(&real).copied() else { return Some(self.with_own_code(event)) };
        let trying = matches!(self.named.get(&id), Some(Named { state: State::Trying { .. }, .. }));
        if trying {
            return self.translate_candidate(now, endpoint, id, real, event);
        }
        let event = self.with_own_code(event);
        if matches!(event, Event::Close { .. }) {
            self.names_of.remove(&real);
            self.named.remove(&id);
        }
        Some(renamed(event, id, |replaced| self.known_as(replaced)))
    }

    fn with_own_code(&mut self, event: Event) -> Event {
        match event {
            Event::Close { connection, code, by, reason } => match self.ended_for.remove(&connection) {
                Some(code) => Event::Close { connection, code, by: ClosedBy::Socket, reason: Vec::new() },
                None => Event::Close { connection, code, by, reason },
            },
            other => other,
        }
    }

    fn translate_candidate(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: ConnectionId,
        real: ConnectionId,
        event: Event,
    ) -> Option<Event> {
        match &event {
            Event::Close { code, .. } => {
                self.candidate_failed(now, endpoint, id, real, *code, None);
                None
            }
            Event::ChallengeResponse { public_key, .. } => {
                match self.named.get(&id)?.options.trust {
                    Trust::Pinned(pinned) if pinned != *public_key => {
                        // Somebody else may have answered in the host's name: ask again, until the limit.
                        self.silence(now, endpoint, Phase::Running(real));
                        let again = Some(now + NEXT_ADDRESS);
                        self.candidate_failed(now, endpoint, id, real, CloseCode::KeyMismatch, again);
                        None
                    }
                    Trust::Ask => {
                        self.settle(now, endpoint, id, real);
                        Some(renamed(event, id, |other| other))
                    }
                    _ => {
                        self.settle(now, endpoint, id, real);
                        // It waits for this answer: it has just asked.
                        let _ = endpoint.accept_challenge(now, real);
                        None
                    }
                }
            }
            _ => Some(renamed(event, id, |other| other)),
        }
    }

    /// One address has answered: it is the connection, the others end.
    fn settle(&mut self, now: Instant, endpoint: &mut Endpoint, id: ConnectionId, real: ConnectionId) {
        let Some(named) = self.named.get_mut(&id) else { return };
        if let State::Trying { candidates, .. } = std::mem::replace(&mut named.state, State::Settled(real)) {
            for candidate in candidates.iter().filter(|candidate| candidate.phase != Phase::Running(real)) {
                self.silence(now, endpoint, candidate.phase);
            }
        }
    }
}

/// The same event under another connection's name.
fn renamed(event: Event, id: ConnectionId, known_as: impl FnOnce(ConnectionId) -> ConnectionId) -> Event {
    match event {
        Event::ChallengeResponse { public_key, challenge_response_data, difficulty, cipher, .. } => {
            Event::ChallengeResponse {
                connection: id,
                public_key,
                challenge_response_data,
                difficulty,
                cipher,
            }
        }
        Event::ConnectRequest { remote, public_key, connect_data, extensions, origin, .. } => {
            Event::ConnectRequest { connection: id, remote, public_key, connect_data, extensions, origin }
        }
        Event::Established { remote, public_key, accept_data, settings, replaces, .. } => {
            Event::Established {
                connection: id,
                remote,
                public_key,
                accept_data,
                settings,
                replaces: replaces.map(known_as),
            }
        }
        Event::Close { code, by, reason, .. } => Event::Close { connection: id, code, by, reason },
        Event::Packet { sequence, payload, .. } => Event::Packet { connection: id, sequence, payload },
        Event::PacketDeliveryNotify { sequence, delivery, .. } => {
            Event::PacketDeliveryNotify { connection: id, sequence, delivery }
        }
        other => other,
    }
}
