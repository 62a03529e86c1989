//! What an adversary on the path, beside it or at the other end may do. Each attempt comes to a counted drop or a
//! named error: never a panic, memory without bound, an answer longer than its question, or the loss of an
//! established connection.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

#[path = "../common/mod.rs"]
mod common;
mod foreign;

mod applications;
mod challenges;
mod datagrams;
mod floods;
mod hosts;
mod keys;
mod peers;
mod thieves;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{MS, SECOND, link};
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use foreign::{Guest, Identity};
use torque_proto::{
    Address, ChallengeResponse, CloseCode, Config, ConnectOptions, ConnectRequest, ConnectionId, Event,
    PublicKey, Stats, Trust,
};
use torque_sim::play::{Answer, Behaviour, Draining, Sending};
use torque_sim::world::{Captured, Fate, Passing};
use torque_sim::{NodeId, Play, SimRng, for_seeds};

/// Sends small packets at all times.
fn busy() -> Behaviour {
    Behaviour { sending: Some(Sending::steady(20 * MS, 100)), ..Behaviour::default() }
}

/// An established connection with traffic both ways, and an adversary with an address of its own.
struct Siege {
    play: Play,
    client: NodeId,
    host: NodeId,
    at_client: ConnectionId,
    at_host: ConnectionId,
    adversary: Address,
    /// Bytes and datagrams that the adversary sent from its own address.
    asked: (usize, usize),
    answered: (usize, usize),
}

impl Siege {
    fn new(seed: u64) -> Self {
        Self::with(seed, Config::default())
    }

    fn with(seed: u64, config: Config) -> Self {
        let mut play = Play::new(seed);
        play.world.set_default_link(link("delay=10"));
        play.world.set_capture(true);
        let host = play.add(config, busy());
        let client = play.add(Config::default(), busy());
        let (at_client, at_host) = play.establish(client, host);
        play.run_for(SECOND);
        let adversary = Address::from_virtual(666);
        play.world.open_mailbox(adversary);
        Self { play, client, host, at_client, at_host, adversary, asked: (0, 0), answered: (0, 0) }
    }

    fn address(&self, node: NodeId) -> Address {
        self.play.world.address(node)
    }

    /// What has passed so far, handshake and packets.
    fn recorded(&self) -> Vec<Captured> {
        self.play.world.captured().to_vec()
    }

    /// A recorded datagram of the handshake, by its first byte.
    fn recorded_kind(&self, kind: u8) -> Captured {
        self.play.world.captured().iter().find(|datagram| datagram.bytes[0] == kind).unwrap().clone()
    }

    /// From the adversary's address to the host.
    fn ask(&mut self, bytes: Vec<u8>) {
        self.asked = (self.asked.0 + bytes.len(), self.asked.1 + 1);
        let host = self.address(self.host);
        self.play.world.inject(Duration::ZERO, self.adversary, host, bytes);
        self.play.run_for(Duration::from_micros(100));
    }

    /// With a forged source address.
    fn forge(&mut self, from: Address, to: Address, bytes: Vec<u8>) {
        self.play.world.inject(Duration::ZERO, from, to, bytes);
        self.play.run_for(Duration::from_micros(100));
    }

    /// From everywhere to both ends.
    fn spray(&mut self, bytes: &[u8]) {
        let (client, host) = (self.address(self.client), self.address(self.host));
        self.ask(bytes.to_vec());
        self.forge(client, host, bytes.to_vec());
        self.forge(host, client, bytes.to_vec());
    }

    fn mail(&mut self) -> Vec<Captured> {
        let mail = self.play.world.take_mail(self.adversary);
        self.answered.0 += mail.iter().map(|datagram| datagram.bytes.len()).sum::<usize>();
        self.answered.1 += mail.len();
        mail
    }

    /// What the host or the client dropped and counted.
    fn drops(&mut self) -> u64 {
        let stats = [self.play.stats(self.host), self.play.stats(self.client)];
        let of_connections: u64 = [(self.host, self.at_host), (self.client, self.at_client)]
            .iter()
            .filter_map(|(node, connection)| self.play.world.node(*node).connection_stats(*connection))
            .map(|stats| stats.counters.malformed + stats.counters.reports_ignored)
            .sum();
        stats.iter().map(dropped).sum::<u64>() + of_connections
    }

    /// The connection is there, packets pass both ways, and nothing was left behind. Answers to the adversary were no
    /// longer than its questions.
    fn survives(mut self) {
        self.play.world.clear_tap();
        self.mail();
        assert!(self.answered.0 <= self.asked.0, "{:?} asked, {:?} answered", self.asked, self.answered);
        assert!(self.answered.1 <= self.asked.1, "{:?} asked, {:?} answered", self.asked, self.answered);
        let ends = [(self.client, self.at_client), (self.host, self.at_host)];
        let before = ends.map(|(node, connection)| self.play.end(node, connection).tally.delivered);
        self.play.run_for(5 * SECOND);
        for ((node, connection), before) in ends.into_iter().zip(before) {
            let end = self.play.end(node, connection);
            assert_eq!(end.closed, None, "{node:?} lost its connection");
            assert!(end.tally.delivered >= before + 200, "{before} {:?}", end.tally);
        }
        // Whatever else was begun comes to its end.
        self.play.run_for(130 * SECOND);
        for (node, connection) in ends {
            assert_eq!(self.play.end(node, connection).closed, None, "{node:?} lost its connection");
            assert_eq!(self.play.world.node(node).slots_used(), 1);
        }
        self.play.close_all_and_finish(60 * SECOND);
    }
}

/// The sum of all counters of things that were dropped.
fn dropped(stats: &Stats) -> u64 {
    let others = [
        "datagrams_received",
        "bytes_received",
        "datagrams_sent",
        "bytes_sent",
        "challenges_answered",
        "probes_answered",
        "queue_full",
        "info_received",
        "info_sent",
        "connections_started",
        "connections_requested",
        "connections_established",
        "connections_closed",
    ];
    stats.iter().filter(|(name, _)| !others.contains(name)).map(|(_, count)| count).sum()
}

/// An initiator and a host whose datagrams pass a tap.
fn attempt(
    seed: u64,
    options: ConnectOptions,
    tap: impl FnMut(&mut Passing<'_>) -> Fate + 'static,
) -> (Play, NodeId, NodeId, ConnectionId) {
    let mut play = Play::new(seed);
    play.world.set_default_link(link("delay=10"));
    let host = play.add_default();
    let client = play.add_default();
    play.world.set_tap(tap);
    let connection = play.connect(client, host, options);
    (play, client, host, connection)
}

fn code(play: &Play, node: NodeId, connection: ConnectionId) -> Option<CloseCode> {
    play.end(node, connection).closed.as_ref().map(|closed| closed.code)
}

fn is_kind(bytes: &[u8], kind: u8) -> bool {
    bytes.first() == Some(&kind)
}

fn solves(request: &[u8]) -> bool {
    let (body, x) = request.split_last_chunk::<8>().unwrap();
    let hash = foreign::sha256(&[&foreign::sha256(&[body]), x]);
    hash[0].leading_zeros() >= u32::from(request[38])
}

/// False challenges arrive before each true one; the attempt ignores them.
fn survives_false_challenges(seed: u64, mut spoil: impl FnMut(&mut Vec<u8>) + 'static) {
    let (mut play, client, host, connection) = attempt(seed, ConnectOptions::default(), move |passing| {
        if is_kind(passing.bytes, 2) {
            let mut copy = passing.bytes.clone();
            spoil(&mut copy);
            passing.inject(MS, passing.from, passing.to, copy);
        }
        Fate::Pass
    });
    play.run_for(2 * SECOND);
    assert!(play.end(client, connection).established, "{:?}", play.history(client));
    assert!(play.stats(client).bad_challenge + play.stats(client).malformed > 0);
    let key = play.key(host);
    let told = play
        .history(client)
        .iter()
        .any(|(_, event)| matches!(event, Event::ChallengeResponse(ChallengeResponse { public_key, .. }) if *public_key == key));
    assert!(told);
    play.close_all_and_finish(60 * SECOND);
}

/// The hand-written initiator, with a challenge_response in hand.
struct Stranger {
    play: Play,
    host: NodeId,
    address: Address,
    response: Vec<u8>,
}

impl Stranger {
    fn new(seed: u64) -> Self {
        Self::at(seed, Behaviour::default())
    }

    fn at(seed: u64, behaviour: Behaviour) -> Self {
        let mut play = Play::new(seed);
        let mut config = Config::default();
        config.settings.packet_window = 32_768;
        let host = play.add(config, behaviour);
        let address = Address::from_virtual(99);
        play.world.open_mailbox(address);
        let mut stranger = Self { play, host, address, response: Vec::new() };
        let nonce = stranger.play.rng.array();
        let answers = stranger.ask(foreign::challenge_request(nonce));
        stranger.response = answers.into_iter().next().unwrap();
        assert_eq!(stranger.response[0], 2);
        stranger
    }

    fn ask(&mut self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let host = self.play.world.address(self.host);
        self.play.world.inject(Duration::ZERO, self.address, host, bytes);
        self.play.run_for(MS);
        self.play.world.take_mail(self.address).into_iter().map(|datagram| datagram.bytes).collect()
    }

    fn expect_bad_request(&mut self, request: Vec<u8>) {
        assert_eq!(self.ask(request), Vec::<Vec<u8>>::new());
        let stats = self.play.stats(self.host);
        assert_eq!((stats.bad_request, stats.connections_requested), (1, 0));
        assert_eq!(self.play.world.node(self.host).slots_used(), 0);
    }

    /// Connects in earnest.
    fn connect(&mut self, window: u16) -> Guest {
        let request = foreign::connect_request(&self.response, [3; 32], Identity::honest([7; 32]), window);
        let answers = self.ask(request.bytes.clone());
        let mut guest = answers.iter().find_map(|answer| request.accepted(answer)).expect("accepted");
        let ping = guest.ping();
        self.ask(ping);
        assert_eq!(self.play.open_connections(self.host).len(), 1);
        guest
    }

    fn connection(&self) -> ConnectionId {
        self.play.oracle.ends().find(|end| end.node == self.host).unwrap().connection
    }
}
