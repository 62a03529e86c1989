use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;
use std::collections::BTreeMap;

use super::*;
use crate::error::CallError;
use crate::identity::KeyPair;
use crate::introduction::Relay;
use crate::wire::introduction::{
    Candidate, CandidateKind, CircuitNotice, CircuitState, Introduced, Nat, Nats, Observed, Outcome,
    OutcomeResult, PartyFlags, Request, Tokens, parse_candidates, parse_withdraw, write_candidates,
};

mod circuits;
mod limits;
mod looks;
mod properties;
mod rules;

/// An introducer, the sockets that are connected to it, and what they are told.
struct World {
    introducer: Introducer,
    rng: Rng,
    config: IntroductionConfig,
    now: Instant,
    sockets: BTreeMap<ConnectionId, Socket>,
    told: Vec<(Instant, Message)>,
    events: Vec<IntroducerEvent>,
}

#[derive(Clone)]
struct Socket {
    key: PublicKey,
    address: Address,
    others: Vec<Address>,
    round_trip: Micros,
}

/// What a party was told, read.
#[derive(Debug)]
enum Word {
    Waiting(Waiting),
    Introduced(Box<Introduced>),
    Withdrawn(CloseCode),
    Candidates(Vec<Candidate>),
    Circuit(CircuitNotice),
    Tokens(Tokens),
    Observed(Observed),
    Nats(Nats),
}

fn id(slot: u32) -> ConnectionId {
    ConnectionId::new(0, 1, slot)
}

fn flags(is_host: bool) -> PartyFlags {
    PartyFlags { is_host, takes_circuit: true, takes_direct: true, ..PartyFlags::default() }
}

fn body(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::new();
    write(&mut body);
    body
}

fn socket_address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn key(slot: u32) -> PublicKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&slot.to_be_bytes());
    KeyPair::from_seed(seed).public()
}

impl World {
    /// Sockets 1 to `sockets` are connected.
    fn new(sockets: u32) -> Self {
        Self::seeded(sockets, [3; 32])
    }

    fn seeded(sockets: u32, seed: [u8; 32]) -> Self {
        let mut rng = Rng::new(seed);
        let config = IntroductionConfig { introduces: true, ..IntroductionConfig::default() };
        let introducer = Introducer::new(Seeded::new(&mut rng));
        let now = Instant::from_millis(1_000);
        let mut world = Self {
            introducer,
            rng,
            config,
            now,
            sockets: BTreeMap::new(),
            told: Vec::new(),
            events: Vec::new(),
        };
        let key = key(0);
        for slot in 1..=sockets {
            let address = SocketAddr::from(([198, 51, (slot >> 8) as u8, slot as u8], 1_000 + slot as u16));
            let socket = Socket {
                key,
                address: address.into(),
                others: Vec::new(),
                round_trip: Micros::from_millis(40),
            };
            world.sockets.insert(id(slot), socket);
        }
        world
    }

    fn step<T>(&mut self, act: impl FnOnce(&mut Introducer, &mut IntroducerStep<'_>) -> T) -> T {
        let sockets = &self.sockets;
        let connections = |id| {
            sockets.get(&id).cloned().map(|Socket { key, address, others, round_trip }| PartyFacts {
                public_key: key,
                address,
                other_addresses: others,
                round_trip,
            })
        };
        let mut step = IntroducerStep::new(self.now, &mut self.rng, &self.config, &connections);
        let result = act(&mut self.introducer, &mut step);
        let IntroducerStep { messages, events, .. } = step;
        self.told.extend(messages.into_iter().map(|message| (self.now, message)));
        self.events.extend(events);
        result
    }

    fn say(&mut self, from: u32, attempt: u32, kind: ReliableKind, body: &[u8]) {
        self.step(|introducer, step| introducer.on_message(step, id(from), attempt, kind, body));
    }

    fn request(&mut self, from: u32, attempt: u32, request: &Request) {
        self.say(from, attempt, ReliableKind::REQUEST, &body(|out| request.write(out)));
    }

    /// Socket `from` asks for socket `to`, in the attempt with the number of `to`.
    fn ask(&mut self, from: u32, to: u32, is_host: bool) {
        self.ask_with(from, to, flags(is_host), &[]);
    }

    fn ask_with(&mut self, from: u32, to: u32, flags: PartyFlags, candidates: &[Candidate]) {
        let nonce = [from as u8; 16];
        let request = Request { remote: id(to).get(), flags, nonce, candidates: candidates.into() };
        self.request(from, to, &request);
    }

    fn introduce(&mut self, initiator: u32, host: u32) -> Result<IntroductionId, CallError> {
        self.introduce_with(initiator, host, None)
    }

    fn introduce_with(
        &mut self,
        initiator: u32,
        host: u32,
        relay: Option<Relay>,
    ) -> Result<IntroductionId, CallError> {
        self.step(|introducer, step| introducer.introduce(step, id(initiator), id(host), relay))
    }

    fn refuse(&mut self, from: u32, to: u32) -> Result<(), CallError> {
        self.step(|introducer, step| introducer.refuse(step, id(from), id(to)))
    }

    fn outcome(&mut self, from: u32, attempt: u32, introduction: IntroductionId, result: OutcomeResult) {
        let outcome = Outcome { introduction: introduction.get(), result, millis: 100 + from };
        self.say(from, attempt, ReliableKind::OUTCOME, &body(|out| outcome.write(out)));
    }

    fn withdraw(&mut self, from: u32, attempt: u32) {
        self.say(from, attempt, ReliableKind::WITHDRAW, &withdraw(CloseCode::Closed));
    }

    fn end(&mut self, connection: u32) {
        self.sockets.remove(&id(connection));
        self.step(|introducer, step| introducer.on_connection_ended(step, id(connection)));
    }

    fn move_to(&mut self, connection: u32, address: &str) {
        self.sockets.get_mut(&id(connection)).unwrap().address = socket_address(address).into();
        self.step(|introducer, step| introducer.on_address_changed(step, id(connection)));
    }

    /// Lets time pass, with the timers at their deadlines.
    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        let mut last = (self.now, 0);
        while let Some(at) = self.introducer.deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            last = if last.0 == self.now { (self.now, last.1 + 1) } else { (self.now, 0) };
            assert!(last.1 < 100, "the deadline does not pass");
            self.step(|introducer, step| introducer.handle_timeout(step));
        }
        self.now = until;
    }

    fn millis(&mut self, millis: u64) {
        self.wait(Duration::from_millis(millis));
    }

    /// What a socket was told in an attempt, and forgets it.
    fn heard(&mut self, connection: u32, attempt: u32) -> Vec<Word> {
        let (of, others) = core::mem::take(&mut self.told)
            .into_iter()
            .partition(|(_, message)| message.connection == id(connection) && message.attempt == attempt);
        self.told = others;
        let of: Vec<(Instant, Message)> = of;
        of.iter().map(|(_, message)| read(message)).collect()
    }

    fn introduced(&mut self, connection: u32, attempt: u32) -> Introduced {
        let words = self.heard(connection, attempt);
        let found = words.into_iter().find_map(|word| match word {
            Word::Introduced(introduced) => Some(*introduced),
            _ => None,
        });
        found.expect("the party was not introduced")
    }

    /// Introduces sockets 1 and 2, the host being 2; both have been told.
    fn introduced_pair(&mut self, relay: Option<Relay>) -> IntroductionId {
        self.pair_of(1, 2, relay)
    }

    fn pair_of(&mut self, initiator: u32, host: u32, relay: Option<Relay>) -> IntroductionId {
        let introduction = self.introduce_with(initiator, host, relay).unwrap();
        self.ask(initiator, host, false);
        self.ask(host, initiator, true);
        self.millis(30);
        introduction
    }

    fn events(&mut self) -> Vec<IntroducerEvent> {
        core::mem::take(&mut self.events)
    }

    fn results(&mut self) -> Vec<IntroductionResult> {
        let ended = self.events().into_iter().filter_map(|event| match event {
            IntroducerEvent::Ended { result, .. } => Some(result),
            IntroducerEvent::Requested { .. } => None,
        });
        ended.collect()
    }

    fn is_empty(&self) -> bool {
        let Introducer {
            records,
            waiting,
            attempts,
            members,
            timers,
            refreshes,
            shares,
            accounts,
            circuits,
            looks,
            observing_address: _,
            stats: _,
        } = &self.introducer;
        records.is_empty()
            && waiting.is_empty()
            && attempts.is_empty()
            && members.is_empty()
            && timers.is_empty()
            && refreshes.is_empty()
            && shares.is_empty()
            && accounts.values().all(|account| account.records == 0)
            && circuits.is_empty()
            && (looks.tokens(), looks.deadline()) == (0, None)
    }
}

fn read(message: &Message) -> Word {
    match message.kind {
        ReliableKind::INTRODUCTION => match Introduction::parse(&message.body).unwrap() {
            Introduction::Complete(introduced) => Word::Introduced(introduced),
            Introduction::WaitingForParty => Word::Waiting(Waiting::ForParty),
            Introduction::WaitingForApplication => Word::Waiting(Waiting::ForApplication),
        },
        ReliableKind::WITHDRAW => Word::Withdrawn(parse_withdraw(&message.body).unwrap()),
        ReliableKind::CANDIDATES => Word::Candidates(parse_candidates(&message.body).unwrap()),
        ReliableKind::TOKENS => Word::Tokens(Tokens::parse(&message.body).unwrap()),
        ReliableKind::OBSERVED => Word::Observed(Observed::parse(&message.body).unwrap()),
        ReliableKind::NATS => Word::Nats(Nats::parse(&message.body).unwrap()),
        ReliableKind::CIRCUIT => Word::Circuit(CircuitNotice::parse(&message.body).unwrap()),
        kind => panic!("{kind:?} is no word of an introducer"),
    }
}
