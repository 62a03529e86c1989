//! Connections that this side begins: by address, or by a name that may have many.
//!
//! A name is known to its application by one id from the beginning, while each of its addresses is an attempt
//! of the endpoint with an id of its own. Ids of names have a shard number that the endpoint does not use.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use torque_proto::wire::control::MAX_REASON;
use torque_proto::{
    Address, CallError, ChallengeResponse, CloseCode, ClosedBy, ConnectOptions, ConnectionId, Endpoint,
    Event, Instant, Trust,
};

use crate::io::Trouble;
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
    Trying { candidates: Vec<Candidate>, give_up: Instant, last: Failed },
    Settled(ConnectionId),
}

struct Candidate {
    address: Address,
    phase: Phase,
    obstacle: Option<Obstacle>,
}

/// An attempt that began with an address.
struct Direct {
    id: ConnectionId,
    address: Address,
    obstacle: Option<Obstacle>,
}

/// What this machine last said when a datagram of an attempt could not be sent. The datagram counts as lost, and the
/// attempt goes on; if nothing comes of it, this is the likely reason.
struct Obstacle {
    at: Instant,
    cause: String,
}

/// How an attempt failed, as its application is told.
struct Failed {
    code: CloseCode,
    reason: Vec<u8>,
}

impl Failed {
    fn with(code: CloseCode) -> Self {
        Self { code, reason: Vec::new() }
    }

    /// Datagrams could not be sent.
    fn unreachable(cause: &str) -> Self {
        let mut length = cause.len().min(MAX_REASON);
        while !cause.is_char_boundary(length) {
            length -= 1;
        }
        Self { code: CloseCode::Unreachable, reason: cause.as_bytes()[..length].to_vec() }
    }
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
    direct: Vec<Direct>,
    /// Ended in the endpoint by this driver: nobody is told.
    silent: HashSet<ConnectionId>,
    /// Ended in the endpoint by this driver: told so.
    ended_for: HashMap<ConnectionId, Failed>,
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

    /// The endpoint's ids of the addresses that are being tried for it.
    pub(crate) fn running(&self, id: ConnectionId) -> impl Iterator<Item = ConnectionId> + '_ {
        let of_name = self.names_of.iter().filter(move |(_, name)| **name == id).map(|(real, _)| *real);
        of_name.chain(std::iter::once(id).filter(|id| !self.named.contains_key(id)))
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
        self.direct.push(Direct { id, address, obstacle: None });
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
            self.tell_close(id, Failed::with(CloseCode::Closed), ClosedBy::Application);
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

    fn tell_close(&mut self, connection: ConnectionId, failed: Failed, by: ClosedBy) {
        let Failed { code, reason } = failed;
        self.told.push_back(Event::Close { connection, code, by, reason });
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
                self.tell_close(id, Failed::with(CloseCode::NameNotFound), ClosedBy::Socket);
            }
            _ => {
                let mut at = now;
                let candidates = found.iter().map(|address| {
                    let candidate = Candidate {
                        address: Address::from(*address),
                        phase: Phase::Waiting(at),
                        obstacle: None,
                    };
                    at += NEXT_ADDRESS;
                    candidate
                });
                named.state = State::Trying {
                    candidates: candidates.collect(),
                    give_up: now + endpoint.config().handshake.wait,
                    last: Failed::with(CloseCode::NoAnswer),
                };
                self.begin_due(now, endpoint, id);
            }
        }
    }

    /// Begins with each address of a name whose turn has come.
    fn begin_due(&mut self, now: Instant, endpoint: &mut Endpoint, id: ConnectionId) {
        let Some(named) = self.named.get_mut(&id) else { return };
        let State::Trying { candidates, last, .. } = &mut named.state else { return };
        let only_one = candidates.len() == 1;
        for candidate in candidates.iter_mut() {
            let Phase::Waiting(at) = candidate.phase else { continue };
            if at > now {
                continue;
            }
            let mut options = named.options.clone();
            if !only_one {
                // Two attempts may be answered; which one goes on is decided here.
                options.trust = Some(Trust::Ask);
            }
            match endpoint.connect(now, candidate.address, options) {
                Ok(real) => {
                    candidate.phase = Phase::Running(real);
                    self.names_of.insert(real, id);
                    if only_one {
                        self.direct.push(Direct { id: real, address: candidate.address, obstacle: None });
                        named.state = State::Settled(real);
                        return;
                    }
                }
                Err(error) => {
                    candidate.phase = Phase::Failed;
                    *last = match error {
                        CallError::AddressInUse => Failed::with(CloseCode::AddressInUse),
                        error => Failed::unreachable(&error.to_string()),
                    };
                }
            }
        }
        self.give_up_if_hopeless(id);
    }

    /// Ends a name when each of its addresses has failed.
    fn give_up_if_hopeless(&mut self, id: ConnectionId) {
        let hopeless = matches!(&self.named.get(&id), Some(Named { state: State::Trying { candidates, .. }, .. })
            if candidates.iter().all(|candidate| candidate.phase == Phase::Failed));
        if hopeless && let Some(Named { state: State::Trying { last, .. }, .. }) = self.named.remove(&id) {
            self.tell_close(id, last, ClosedBy::Socket);
        }
    }

    /// One address of a name has failed: the next is tried at once.
    fn candidate_failed(
        &mut self,
        now: Instant,
        endpoint: &mut Endpoint,
        id: ConnectionId,
        real: ConnectionId,
        failed: Failed,
        again_at: Option<Instant>,
    ) {
        self.names_of.remove(&real);
        let Some(Named { state: State::Trying { candidates, give_up, last }, .. }) = self.named.get_mut(&id)
        else {
            return;
        };
        // "No answer" says less than whatever else was learned.
        if failed.code != CloseCode::NoAnswer {
            *last = failed;
        }
        for candidate in candidates.iter_mut() {
            if candidate.phase == Phase::Running(real) {
                candidate.phase = match again_at {
                    Some(at) if at < *give_up => Phase::Waiting(at),
                    _ => Phase::Failed,
                };
            }
        }
        if again_at.is_none() {
            begin_next(now, candidates);
        }
        self.begin_due(now, endpoint, id);
        self.give_up_if_hopeless(id);
    }

    /// Datagrams to these addresses could not be sent. That counts as a loss, because a route or a firewall's rule may be
    /// there again a moment later: the attempt goes on to its limit, and the next address of a name is tried
    /// beside it. Only what can never be sent from this socket ends an attempt at once.
    pub(crate) fn send_failed(&mut self, now: Instant, endpoint: &mut Endpoint, troubles: &[Trouble]) {
        for trouble in troubles {
            self.send_failed_to(now, endpoint, trouble);
        }
    }

    fn send_failed_to(&mut self, now: Instant, endpoint: &mut Endpoint, trouble: &Trouble) {
        let Trouble { remote, is_final, cause } = trouble;
        let obstacle = || Some(Obstacle { at: now, cause: cause.clone() });
        if let Some(index) = self.direct.iter().position(|direct| direct.address == *remote) {
            self.direct[index].obstacle = obstacle();
            if *is_final {
                let Direct { id, .. } = self.direct.remove(index);
                if endpoint.close(now, id, &[]).is_ok() {
                    self.ended_for.insert(id, Failed::unreachable(cause));
                }
            }
        }
        let mut hindered = Vec::new();
        for (id, named) in &mut self.named {
            let State::Trying { candidates, .. } = &mut named.state else { continue };
            let running = |candidate: &&mut Candidate| candidate.address == *remote;
            if let Some(candidate) = candidates.iter_mut().find(running)
                && let Phase::Running(real) = candidate.phase
            {
                candidate.obstacle = obstacle();
                hindered.push((*id, real));
                begin_next(now, candidates);
            }
        }
        for (id, real) in hindered {
            if *is_final {
                self.silence(now, endpoint, Phase::Running(real));
                self.candidate_failed(now, endpoint, id, real, Failed::unreachable(cause), None);
            } else {
                self.begin_due(now, endpoint, id);
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
        let mut obstacle = None;
        if matches!(event, Event::Established { .. } | Event::Close { .. })
            && let Some(index) = self.direct.iter().position(|direct| direct.id == real)
        {
            obstacle = self.direct.remove(index).obstacle;
        }
        let limit = likely_since(now, endpoint);
        let obstacle = obstacle.filter(|obstacle| obstacle.at >= limit);
        let Some(id) = self.names_of.get(&real).copied() else {
            return Some(self.with_own_code(event, obstacle));
        };
        let trying = matches!(self.named.get(&id), Some(Named { state: State::Trying { .. }, .. }));
        if trying {
            return self.translate_candidate(now, endpoint, id, real, event);
        }
        let event = self.with_own_code(event, obstacle);
        if matches!(event, Event::Close { .. }) {
            self.names_of.remove(&real);
            self.named.remove(&id);
        }
        Some(renamed(event, id, |replaced| self.known_as(replaced)))
    }

    fn with_own_code(&mut self, event: Event, obstacle: Option<Obstacle>) -> Event {
        let Event::Close { connection, code, by, reason } = event else { return event };
        let failed = match (self.ended_for.remove(&connection), obstacle) {
            (Some(failed), _) => failed,
            (None, Some(obstacle)) if code == CloseCode::NoAnswer => Failed::unreachable(&obstacle.cause),
            (None, _) => return Event::Close { connection, code, by, reason },
        };
        Event::Close { connection, code: failed.code, by: ClosedBy::Socket, reason: failed.reason }
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
            Event::Close { code, reason, .. } => {
                let failed = match self.obstacle_of(id, real) {
                    Some(Obstacle { at, cause })
                        if *code == CloseCode::NoAnswer && *at >= likely_since(now, endpoint) =>
                    {
                        Failed::unreachable(cause)
                    }
                    _ => Failed { code: *code, reason: reason.clone() },
                };
                self.candidate_failed(now, endpoint, id, real, failed, None);
                None
            }
            Event::ChallengeResponse(ChallengeResponse { public_key, .. }) => {
                match self.named.get(&id)?.options.trust {
                    Some(Trust::Pinned(pinned)) if pinned != *public_key => {
                        // Somebody else may have answered in the host's name: ask again, until the limit.
                        self.silence(now, endpoint, Phase::Running(real));
                        let again = Some(now + NEXT_ADDRESS);
                        let failed = Failed::with(CloseCode::KeyMismatch);
                        self.candidate_failed(now, endpoint, id, real, failed, again);
                        None
                    }
                    Some(Trust::Ask) => {
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

    fn obstacle_of(&self, id: ConnectionId, real: ConnectionId) -> Option<&Obstacle> {
        let State::Trying { candidates, .. } = &self.named.get(&id)?.state else { return None };
        candidates.iter().find(|candidate| candidate.phase == Phase::Running(real))?.obstacle.as_ref()
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

/// Lets the next address of a name have its turn now.
fn begin_next(now: Instant, candidates: &mut [Candidate]) {
    if let Some(next) = candidates.iter_mut().find(|other| matches!(other.phase, Phase::Waiting(_))) {
        next.phase = Phase::Waiting(now);
    }
}

/// From when on an obstacle is the likely reason why no answer came until `now`: it met the last repeat, too.
fn likely_since(now: Instant, endpoint: &Endpoint) -> Instant {
    let longest_pause = endpoint.config().handshake.retry_max;
    Instant::from_micros(now.as_micros().saturating_sub(longest_pause.as_micros() as u64 * 5 / 4))
}

/// The same event under another connection's name.
fn renamed(event: Event, id: ConnectionId, known_as: impl FnOnce(ConnectionId) -> ConnectionId) -> Event {
    match event {
        Event::ChallengeResponse(mut question) => {
            question.connection = id;
            Event::ChallengeResponse(question)
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
        Event::Verdict { sequence, delivery, .. } => Event::Verdict { connection: id, sequence, delivery },
        other => other,
    }
}
