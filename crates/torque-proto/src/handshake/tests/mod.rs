//! Both sides of the handshake in memory, one datagram at a time. What each file checks is said by its name.

mod fuzz;
mod host_rules;
mod initiator_rules;
mod introduced_rules;
mod pending_rules;
mod settings_rules;
mod whole;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;
use std::vec;

use super::challenge::Question;
use super::host_pending::RequestQuestion;
use super::introduced::{AtHost, AtInitiator, IntroducedData};
use super::*;
use crate::address::Address;
use crate::codes::CloseCode;
use crate::crypto::introduced::IntroducedKeys;
use crate::event::{ClosedBy, Extension};
use crate::id::ConnectionId;
use crate::introduction::IntroductionId;
use crate::settings::Settings;
use crate::wire::{ChallengeRequest, ConnectRequest, DatagramKind, Reply};

pub(super) const CALM: Occupancy<fn() -> bool> = Occupancy { pending: 0, has_room: || true };
pub(super) const FULL: Occupancy<fn() -> bool> = Occupancy { pending: 0, has_room: || false };

/// One socket's worth of what the endpoint lends.
pub(super) struct Side {
    pub(super) config: Config,
    pub(super) key_pair: KeyPair,
    pub(super) rng: Rng,
}

impl Side {
    fn new(seed: u8) -> Self {
        let mut rng = Rng::new([seed; 32]);
        let key_pair = KeyPair::generate(&mut rng);
        Self { config: Config::default(), key_pair, rng }
    }

    pub(super) fn cx(&mut self, now: Instant) -> Context<'_> {
        Context { now, config: &self.config, key_pair: &self.key_pair, rng: &mut self.rng }
    }
}

/// A host, an initiator and the time.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) host: Host,
    pub(super) at_host: Side,
    pub(super) at_initiator: Side,
    pub(super) remote: Address,
    /// The introduction that attempts belong to, and the one that the host knows.
    pub(super) introduced: Option<Introduced>,
}

/// An introduction at both parties.
pub(super) struct Introduced {
    pub(super) at_initiator: Arc<AtInitiator>,
    pub(super) at_host: AtHost,
}

/// What an introducer told a party.
#[derive(Clone)]
pub(super) struct Told {
    pub(super) id: IntroductionId,
    pub(super) secret: [u8; 32],
    pub(super) initiator: PublicKey,
    pub(super) host: PublicKey,
}

impl Told {
    pub(super) fn keys(&self) -> IntroducedKeys {
        let (initiator, host) = (self.initiator.as_bytes(), self.host.as_bytes());
        IntroducedKeys::derive(&[1; 16], &[2; 16], &self.secret, self.id.get(), initiator, host)
    }

    pub(super) fn at_initiator(&self) -> Arc<AtInitiator> {
        let keys = self.keys();
        Arc::new(AtInitiator::new(self.id, self.host, keys.psk, keys.data))
    }

    pub(super) fn at_host(&self, data: &[u8]) -> AtHost {
        let keys = self.keys();
        let data = IntroducedData::new(data.to_vec()).unwrap();
        AtHost::new(self.id, self.initiator, keys.psk, keys.data, &data)
    }
}

impl Introduced {
    /// As an endpoint looks it up.
    fn find(introduced: Option<&Self>, id: u64) -> Option<&AtHost> {
        introduced.map(|introduced| &introduced.at_host).filter(|_| id != 0)
    }
}

impl World {
    pub(super) fn new(seed: u8) -> Self {
        Self::with(seed, |_| {})
    }

    /// A world whose sides share a changed configuration.
    pub(super) fn with(seed: u8, change: impl Fn(&mut Config)) -> Self {
        let now = Instant::from_millis(1_000_000);
        let mut at_host = Side::new(seed);
        let mut at_initiator = Side::new(seed ^ 0x80);
        change(&mut at_host.config);
        change(&mut at_initiator.config);
        let host = Host::new(now, &at_host.config, 1_800_000_000_000);
        Self { now, host, at_host, at_initiator, remote: address("192.0.2.7:4000"), introduced: None }
    }

    /// What an honest introducer tells both sides.
    pub(super) fn told(&self) -> Told {
        Told {
            id: IntroductionId::from_u64(0xfeed_0000_0000_0001).unwrap(),
            secret: [3; 32],
            initiator: self.at_initiator.key_pair.public(),
            host: self.at_host.key_pair.public(),
        }
    }

    /// Introduces the two sides.
    pub(super) fn introduce(&mut self, data: &[u8]) {
        let told = self.told();
        self.introduce_as(&told, &told, data);
    }

    /// The introducer tells each side something else.
    pub(super) fn introduce_as(&mut self, at_initiator: &Told, at_host: &Told, data: &[u8]) {
        self.introduced =
            Some(Introduced { at_initiator: at_initiator.at_initiator(), at_host: at_host.at_host(data) });
    }

    pub(super) fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    pub(super) fn options(&self, trust: Trust) -> AttemptOptions {
        AttemptOptions {
            connection: ConnectionId::from_u32(7).unwrap(),
            trust,
            settings: self.at_initiator.config.settings,
            connect_data: b"let me in".to_vec(),
            extensions: vec![Extension { kind: 9, data: vec![1, 2, 3] }],
            introduced: self.introduced.as_ref().map(|introduced| introduced.at_initiator.clone()),
        }
    }

    /// A new attempt and its challenge_request.
    pub(super) fn start(&mut self, trust: Trust) -> (Attempt, Vec<u8>) {
        let options = self.options(trust);
        let mut out = Vec::new();
        let attempt = Attempt::start(&mut self.at_initiator.cx(self.now), options, &mut out);
        (attempt, out)
    }

    /// What the host says to a challenge_request.
    pub(super) fn challenge(&mut self, request: &[u8]) -> (Result<(), NoChallenge>, Vec<u8>) {
        let mut out = Vec::new();
        let mut cx = self.at_host.cx(self.now);
        let request = ChallengeRequest::parse(request).expect("a well-formed request");
        let introduced = Introduced::find(self.introduced.as_ref(), request.introduction_id);
        let answer = self.host.answer_challenge(&mut cx, self.remote, &request, introduced, 0, &mut out);
        (answer, out)
    }

    /// What the attempt makes of a datagram.
    pub(super) fn hear(&mut self, attempt: &mut Attempt, bytes: &[u8]) -> (AttemptOutcome, Vec<u8>) {
        let mut out = Vec::new();
        let outcome = match Reply::parse(DatagramKind::of(bytes), bytes) {
            Ok(reply) => attempt.handle_reply(&mut self.at_initiator.cx(self.now), reply, &mut out),
            Err(_) => AttemptOutcome::Dropped(DropReason::Stray),
        };
        (outcome, out)
    }

    pub(super) fn timeout(&mut self, attempt: &mut Attempt) -> (AttemptOutcome, Vec<u8>) {
        let mut out = Vec::new();
        let outcome = attempt.handle_timeout(&mut self.at_initiator.cx(self.now), &mut out);
        (outcome, out)
    }

    /// Solves the attempt's puzzle as a worker would, and returns its connect_request.
    pub(super) fn solve(&mut self, attempt: &mut Attempt) -> Vec<u8> {
        let mut job = attempt.take_puzzle().expect("there is a puzzle");
        while job.solve(1_000) == PuzzleProgress::Working {}
        let mut out = Vec::new();
        attempt.return_puzzle(&mut self.at_initiator.cx(self.now), job, &mut out);
        out
    }

    pub(super) fn admit(&mut self, bytes: &[u8]) -> (Admission, Vec<u8>) {
        self.admit_when(bytes, CALM)
    }

    pub(super) fn admit_when(
        &mut self,
        bytes: &[u8],
        occupancy: Occupancy<fn() -> bool>,
    ) -> (Admission, Vec<u8>) {
        let mut out = Vec::new();
        let request = ConnectRequest::parse(bytes).expect("a well-formed request");
        let mut cx = self.at_host.cx(self.now);
        let introduced = Introduced::find(self.introduced.as_ref(), request.introduction_id);
        let admission =
            self.host.admit(&mut cx, self.remote, &request, bytes, introduced, occupancy, &mut out);
        (admission, out)
    }

    /// An attempt that takes any host, up to its connect_request.
    pub(super) fn request(&mut self) -> (Attempt, Vec<u8>) {
        let (mut attempt, request) = self.start(Trust::Anyone);
        let (_, response) = self.challenge(&request);
        let (outcome, _) = self.hear(&mut attempt, &response);
        assert!(matches!(outcome, AttemptOutcome::Waiting));
        let request = self.solve(&mut attempt);
        (attempt, request)
    }

    /// Admits a request and asks the host's application.
    pub(super) fn ask(&mut self, request: &[u8]) -> (Asking, RequestQuestion) {
        let (admission, out) = self.admit(request);
        assert!(out.is_empty());
        admitted(admission).ask(&mut self.at_host.cx(self.now))
    }

    pub(super) fn accept(&mut self, asking: Asking, data: &[u8]) -> (Confirming, ConnectionParts, Vec<u8>) {
        let mut out = Vec::new();
        let data = ShortData::new(data).unwrap();
        let (confirming, parts) = asking.accept(&mut self.at_host.cx(self.now), data, &mut out);
        (confirming, parts, out)
    }
}

pub(super) fn address(text: &str) -> Address {
    Address::from(text.parse::<SocketAddr>().unwrap())
}

pub(super) fn admitted(admission: Admission) -> Admitted {
    match admission {
        Admission::Admitted(admitted) => admitted,
        Admission::Rejected(code) => panic!("rejected: {code:?}"),
        Admission::Dropped(reason) => panic!("dropped: {reason:?}"),
    }
}

#[track_caller]
pub(super) fn established(outcome: AttemptOutcome) -> Established {
    match outcome {
        AttemptOutcome::Established(established) => *established,
        other => panic!("{}", name(&other)),
    }
}

#[track_caller]
pub(super) fn asked(outcome: AttemptOutcome) -> Question {
    match outcome {
        AttemptOutcome::Ask(question) => question,
        other => panic!("{}", name(&other)),
    }
}

#[track_caller]
pub(super) fn assert_ended(outcome: &AttemptOutcome, code: CloseCode, by: ClosedBy) {
    match outcome {
        AttemptOutcome::Ended(ended) => assert_eq!((ended.code, ended.by), (code, by)),
        other => panic!("{}", name(other)),
    }
}

#[track_caller]
pub(super) fn assert_dropped(outcome: &AttemptOutcome, reason: DropReason) {
    match outcome {
        AttemptOutcome::Dropped(dropped) => assert_eq!(*dropped, reason),
        other => panic!("{}", name(other)),
    }
}

#[track_caller]
pub(super) fn assert_waiting(outcome: &AttemptOutcome) {
    assert!(matches!(outcome, AttemptOutcome::Waiting), "{}", name(outcome));
}

pub(super) fn name(outcome: &AttemptOutcome) -> std::string::String {
    match outcome {
        AttemptOutcome::Waiting => "waiting".into(),
        AttemptOutcome::Dropped(reason) => std::format!("dropped: {reason:?}"),
        AttemptOutcome::Ask(_) => "asks".into(),
        AttemptOutcome::Established(_) => "established".into(),
        AttemptOutcome::Ended(ended) => std::format!("ended: {ended:?}"),
    }
}
