//! What the tests of parties share: one party and what it wants, and what an introducer tells.

mod answering;
mod hostile;
mod introduced;
mod nats;
mod search;
mod states;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use zeroize::Zeroizing;

use super::*;
use crate::address::Address;
use crate::crypto::rng::Rng;
use crate::identity::KeyPair;
use crate::introduction::{IntroductionConfig, Message};
use crate::micros::Micros;
use crate::wire::introduction::{Nat, Outcome, PartyFlags, Request, withdraw, write_candidates};

/// The connection with the introducer, and the introduced one.
fn introducer() -> ConnectionId {
    ConnectionId::new(0, 1, 1)
}

fn connection() -> ConnectionId {
    ConnectionId::new(0, 1, 2)
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn candidates(addresses: &[&str]) -> Vec<Candidate> {
    let all = addresses.iter().map(|text| address(text));
    all.map(|address| Candidate { kind: CandidateKind::Interface, address }).collect()
}

fn path(text: &str) -> Path {
    Path::to(address(text).into())
}

fn options(is_host: bool) -> PartyOptions {
    PartyOptions {
        introducer: introducer(),
        remote: 7,
        is_host,
        takes_circuit: true,
        circuit_at_once: false,
        takes_direct: true,
        is_verified: false,
        hosts_introducer: false,
    }
}

/// What a step wanted.
#[derive(Default, Debug)]
struct Wants {
    messages: Vec<Message>,
    punches: Vec<PunchOut>,
    observes: Vec<ObserveOut>,
    events: Vec<PartyEvent>,
}

/// One party.
struct Side {
    party: Party,
    rng: Rng,
    config: IntroductionConfig,
    keys: KeyPair,
    now: Instant,
    options: PartyOptions,
}

impl Side {
    fn new(is_host: bool) -> Self {
        let seed = [1 + u8::from(is_host); 32];
        Self {
            party: Party::default(),
            rng: Rng::new(seed),
            config: IntroductionConfig::default(),
            keys: KeyPair::from_seed(seed),
            now: Instant::from_millis(1_000),
            options: options(is_host),
        }
    }

    fn step<R>(&mut self, act: impl FnOnce(&mut Party, &mut PartyStep<'_>) -> R) -> (R, Wants) {
        let own_key = self.keys.public();
        let mut step = PartyStep::new(self.now, &mut self.rng, &self.config, &own_key);
        let result = act(&mut self.party, &mut step);
        let PartyStep { messages, punches, observes, events, .. } = step;
        (result, Wants { messages, punches, observes, events })
    }

    /// Asks; returns the attempt's number and the request.
    fn begin(&mut self) -> (u32, Request) {
        let options = self.options;
        let (result, wants) = self.step(|party, step| party.begin(step, connection(), options));
        result.unwrap();
        let [message] = &wants.messages[..] else { panic!("{wants:?}") };
        assert_eq!((message.connection, message.kind), (introducer(), ReliableKind::REQUEST));
        (message.attempt, Request::parse(&message.body).unwrap())
    }

    fn hears(&mut self, number: u32, kind: ReliableKind, body: &[u8]) -> Wants {
        self.step(|party, step| party.on_message(step, introducer(), number, kind, body)).1
    }

    fn hears_introduction(&mut self, number: u32, introduction: &Introduction) -> Wants {
        let mut body = Vec::new();
        introduction.write(&mut body);
        self.hears(number, ReliableKind::INTRODUCTION, &body)
    }

    fn hears_candidates(&mut self, number: u32, addresses: &[&str]) -> Wants {
        let mut body = Vec::new();
        write_candidates(&candidates(addresses), &mut body);
        self.hears(number, ReliableKind::CANDIDATES, &body)
    }

    /// Asks and is introduced at once to a party with these candidates, of which only the introducer knows.
    fn is_introduced(&mut self, addresses: &[&str]) -> (u32, Wants) {
        self.is_introduced_as(addresses, |_| {})
    }

    fn is_introduced_as(&mut self, addresses: &[&str], change: impl FnOnce(&mut Introduced)) -> (u32, Wants) {
        let (number, _) = self.begin();
        let mut told = told(&Side::new(!self.options.is_host), addresses);
        change(&mut told);
        (number, self.hears_introduction(number, &Introduction::Complete(Box::new(told))))
    }

    /// Lets time pass, a millisecond at a time. Returns what was wanted, and when.
    fn run(&mut self, millis: u64) -> Vec<(u64, Wants)> {
        let mut all = Vec::new();
        for passed in 1..=millis {
            self.now += Duration::from_millis(1);
            let ((), wants) = self.step(Party::handle_timeout);
            let Wants { messages, punches, observes, events } = &wants;
            if !messages.is_empty() || !punches.is_empty() || !observes.is_empty() || !events.is_empty() {
                all.push((passed, wants));
            }
            assert!(self.party.deadline().is_none_or(|at| at > self.now), "{passed}");
        }
        all
    }

    fn punched(&mut self, from: Path, bytes: &[u8]) -> (bool, Wants) {
        let (punch, tag) = Punch::parse(bytes).unwrap();
        self.step(|party, step| party.on_punch(step, from, &punch, &tag))
    }

    /// The other party's punch, since both know the key.
    fn punch_of_other(&self, number: u64, echo: u64) -> [u8; Punch::BYTES] {
        let attempt = &self.party.attempts[0];
        let meeting = attempt.meeting().unwrap();
        let is_from_host = !attempt.options.is_host;
        meeting.punch_key.seal(&Punch { is_from_host, is_of_connection: false, id: meeting.id, number, echo })
    }

    /// Makes the first path valid on which a punch goes out.
    fn becomes_valid(&mut self, wants: &Wants) -> Path {
        let (punch, _) = Punch::parse(&wants.punches[0].bytes).unwrap();
        let bytes = self.punch_of_other(0, punch.number);
        let from = wants.punches[0].path;
        let (is_authentic, wants) = self.punched(from, &bytes);
        assert!(is_authentic);
        let [PartyEvent::PathReady { path, .. }] = wants.events[..] else { panic!("{wants:?}") };
        path
    }
}

/// What an introducer tells of a party that takes everything.
fn told(of: &Side, addresses: &[&str]) -> Introduced {
    Introduced {
        id: 77,
        flags: PartyFlags {
            is_host: of.options.is_host,
            takes_circuit: of.options.takes_circuit,
            wants_circuit_at_once: of.options.circuit_at_once,
            takes_direct: of.options.takes_direct,
            ..PartyFlags::default()
        },
        public_key: *of.keys.public().as_bytes(),
        nonce: [9; 16],
        secret: Zeroizing::new([3; 32]),
        circuit: 0,
        circuit_rate: 0,
        nat: Nat::Unknown,
        own_nat: Nat::Unknown,
        observed: Some(address("192.0.2.1:1")),
        candidates: candidates(addresses),
    }
}

fn outcome_of(wants: &Wants) -> Outcome {
    let [message] = &wants.messages[..] else { panic!("{wants:?}") };
    assert_eq!(message.kind, ReliableKind::OUTCOME);
    Outcome::parse(&message.body).unwrap()
}
