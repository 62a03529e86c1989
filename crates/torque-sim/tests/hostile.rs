//! What an adversary on the path, beside it or at the other end may do. Each attempt comes to a counted drop or a
//! named error: never a panic, memory without bound, an answer longer than its question, or the loss of an
//! established connection.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;
mod foreign;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{MS, SECOND, link};
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::CompressedEdwardsY;
use foreign::{Guest, Identity};
use torque_proto::{
    Address, CloseCode, Config, ConnectOptions, ConnectionId, Event, PublicKey, Stats, Trust,
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

// Datagrams that are not what they should be

#[test]
fn truncated_datagrams() {
    let mut siege = Siege::new(1);
    let recorded = siege.recorded();
    let mut rng = SimRng::new(1);
    let (drops, mut sent) = (siege.drops(), 0);
    for datagram in recorded.iter().take(12) {
        for _ in 0..30 {
            let len = rng.index(datagram.bytes.len());
            siege.spray(&datagram.bytes[..len]);
            sent += 3;
        }
    }
    assert!(siege.drops() >= drops + sent);
    siege.survives();
}

#[test]
fn oversized_datagrams() {
    let mut siege = Siege::new(2);
    let recorded = siege.recorded();
    let mut rng = SimRng::new(2);
    let (drops, mut sent) = (siege.drops(), 0);
    for datagram in recorded.iter().take(12) {
        for size in [1, 7, 100, 1_500, 60_000] {
            let fill = if rng.chance(0.5) { rng.bytes(size) } else { vec![0; size] };
            siege.spray(&[&datagram.bytes[..], &fill].concat());
            sent += 3;
        }
    }
    assert!(siege.drops() >= drops + sent);
    siege.survives();
}

#[test]
fn random_datagrams() {
    let mut siege = Siege::new(3);
    let mut rng = SimRng::new(3);
    for _ in 0..4_000 {
        let len = if rng.chance(0.1) { 768 } else { rng.index(1_300) };
        let mut bytes = rng.bytes(len);
        if rng.chance(0.5) && len > 0 {
            // Handshake messages are few among all first bytes.
            bytes[0] = rng.below(12) as u8;
        }
        siege.spray(&bytes);
    }
    siege.survives();
}

#[test]
fn changed_datagrams() {
    // One to three bytes of true ones are changed, where a parser would look.
    let mut siege = Siege::new(4);
    let recorded = siege.recorded();
    let mut rng = SimRng::new(4);
    for _ in 0..3_000 {
        let mut bytes = recorded[rng.index(recorded.len().min(40))].bytes.clone();
        for _ in 0..rng.between(1, 3) {
            let at = rng.index(bytes.len());
            bytes[at] = rng.next_u64() as u8;
        }
        siege.spray(&bytes);
    }
    siege.survives();
}

#[test]
fn replayed_datagrams() {
    for_seeds("replayed_datagrams", 10, |seed| {
        let mut siege = Siege::new(seed);
        let mut rng = SimRng::new(seed);
        siege.play.run_for(5 * SECOND);
        for datagram in siege.recorded() {
            for _ in 0..rng.below(4) {
                siege.play.world.inject(
                    rng.duration(20 * SECOND),
                    datagram.from,
                    datagram.to,
                    datagram.bytes.clone(),
                );
            }
        }
        let drops = siege.drops();
        siege.play.run_for(21 * SECOND);
        assert!(siege.drops() > drops + 100);
        siege.survives();
    });
}

#[test]
fn reordered_datagrams() {
    for_seeds("reordered_datagrams", 10, |seed| {
        let mut siege = Siege::new(seed);
        let mut rng = SimRng::new(seed);
        siege
            .play
            .world
            .set_tap(move |_| if rng.chance(0.5) { Fate::Hold(rng.duration(500 * MS)) } else { Fate::Pass });
        siege.play.run_for(10 * SECOND);
        siege.survives();
    });
}

#[test]
fn reflected_datagrams() {
    // Everything comes back to its sender, from before the first handshake on.
    let mut play = Play::new(5);
    play.world.set_default_link(link("delay=10"));
    let (host, client) = (play.add(Config::default(), busy()), play.add(Config::default(), busy()));
    play.world.set_tap(|passing| {
        let copy = passing.bytes.clone();
        passing.inject(5 * MS, passing.to, passing.from, copy);
        Fate::Pass
    });
    play.establish(client, host);
    play.run_for(10 * SECOND);
    assert!(play.stats(client).reflected > 0);
    assert_eq!(
        play.history(client).len() + play.history(host).len(),
        4,
        "{:#?} {:#?}",
        play.history(client),
        play.history(host)
    );
    // A client whose peer is a mirror gets nowhere.
    let mirror = play.add_default();
    let lonely = play.add_default();
    let (from, to) = (play.world.address(lonely), play.world.address(mirror));
    play.crash(mirror);
    play.world.set_tap(move |passing| {
        if (passing.from, passing.to) == (from, to) {
            let copy = passing.bytes.clone();
            passing.inject(5 * MS, to, from, copy);
        }
        Fate::Pass
    });
    let connection = play.connect(lonely, mirror, ConnectOptions::default());
    play.run_for(12 * SECOND);
    assert_eq!(code(&play, lonely, connection), Some(CloseCode::NoAnswer));
    play.world.clear_tap();
    play.close_all_and_finish(60 * SECOND);
}

#[test]
fn cross_connection_datagrams() {
    let mut siege = Siege::new(6);
    let other = siege.play.add(Config::default(), busy());
    siege.play.establish(other, siege.host);
    let (client, host, other_address) =
        (siege.address(siege.client), siege.address(siege.host), siege.address(other));
    siege.play.world.set_tap(move |passing| {
        // What goes to or comes from one client also appears at the other's connection.
        let copy = passing.bytes.clone();
        match (passing.from, passing.to) {
            (from, to) if from == client && to == host => passing.inject(MS, other_address, host, copy),
            (from, to) if from == other_address && to == host => passing.inject(MS, client, host, copy),
            (_, to) if to == client => passing.inject(MS, host, other_address, copy),
            (_, to) if to == other_address => passing.inject(MS, host, client, copy),
            _ => {}
        }
        Fate::Pass
    });
    siege.play.run_for(10 * SECOND);
    let stats = siege.play.stats(siege.host);
    assert!(stats.forged + stats.late_or_duplicate + stats.no_keys > 500);
    siege.play.world.clear_tap();
    let there = siege.play.open_connections(other);
    siege.play.close(other, there[0], b"");
    siege.play.run_for(10 * SECOND);
    siege.survives();
}

#[test]
fn cross_version_datagrams() {
    let at = |kind: u8, offset: usize| {
        move |passing: &mut Passing<'_>| {
            if is_kind(passing.bytes, kind) {
                passing.bytes[offset] = 2;
            }
            Fate::Pass
        }
    };
    let (mut play, client, host, connection) = attempt(7, ConnectOptions::default(), at(1, 9));
    play.run_for(11 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::VersionMismatch));
    assert!(play.stats(host).version_mismatch > 0);

    let (mut play, client, _, connection) = attempt(8, ConnectOptions::default(), at(2, 1));
    play.run_for(11 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::ProtocolViolation));

    let (mut play, client, host, connection) = attempt(9, ConnectOptions::default(), at(3, 1));
    play.run_for(21 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::NoAnswer));
    assert!(play.stats(host).version_mismatch > 0);
    assert_eq!(play.world.node(host).slots_used(), 0);

    // A connection that exists does not care.
    let mut siege = Siege::new(10);
    for datagram in siege.recorded().iter().take(20) {
        for version in [0, 2, 255] {
            let mut bytes = datagram.bytes.clone();
            let offset = if is_kind(&bytes, 1) { 9 } else { 1 };
            bytes[offset] = version;
            siege.spray(&bytes);
        }
    }
    siege.survives();
}

// The handshake

#[test]
fn wrong_epoch() {
    for wrong_times in [1, 3, 1_000] {
        let changed = Rc::new(Cell::new(0));
        let count = Rc::clone(&changed);
        let (mut play, client, host, connection) = attempt(11, ConnectOptions::default(), move |passing| {
            if is_kind(passing.bytes, 3) && count.get() < wrong_times {
                count.set(count.get() + 1);
                passing.bytes[18] ^= 1;
            }
            Fate::Pass
        });
        play.run_for(25 * SECOND);
        assert!(play.stats(host).stale_epoch > 0);
        if wrong_times <= 3 {
            assert!(play.end(client, connection).established);
        } else {
            assert_eq!(code(&play, client, connection), Some(CloseCode::StaleChallenge));
        }
        play.close_all_and_finish(30 * SECOND);
    }
}

#[test]
fn false_puzzle() {
    let (mut play, client, host, connection) = attempt(12, ConnectOptions::default(), |passing| {
        if is_kind(passing.bytes, 3) {
            let last = passing.bytes.len() - 1;
            // With difficulty 4 one wrong X in sixteen is right: this one is checked to be wrong.
            while {
                passing.bytes[last] = passing.bytes[last].wrapping_add(1);
                solves(passing.bytes)
            } {}
        }
        Fate::Pass
    });
    play.run_for(21 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::NoAnswer));
    let stats = play.stats(host);
    assert!(stats.false_solution > 0);
    assert_eq!((stats.connections_requested, stats.bad_request), (0, 0), "no Diffie-Hellman for nothing");
}

fn solves(request: &[u8]) -> bool {
    let (body, x) = request.split_last_chunk::<8>().unwrap();
    let hash = foreign::sha256(&[&foreign::sha256(&[body]), x]);
    hash[0].leading_zeros() >= u32::from(request[38])
}

#[test]
fn replayed_solution() {
    let mut siege = Siege::new(13);
    let request = siege.recorded_kind(3);
    // The very same again, from the true address: its token is used up.
    let before = siege.play.stats(siege.host).clone();
    siege.forge(request.from, request.to, request.bytes.clone());
    assert_eq!(siege.play.stats(siege.host).replayed_token, before.replayed_token + 1);
    // From elsewhere: the token is not for there.
    siege.ask(request.bytes.clone());
    assert_eq!(siege.play.stats(siege.host).false_token, before.false_token + 1);
    // The solution on another body.
    let mut changed = request.bytes.clone();
    while {
        changed[100] = changed[100].wrapping_add(1);
        solves(&changed)
    } {}
    siege.forge(request.from, request.to, changed);
    assert_eq!(siege.play.stats(siege.host).false_solution, before.false_solution + 1);
    assert!(siege.mail().is_empty());
    assert_eq!(siege.play.stats(siege.host).connections_requested, before.connections_requested);
    siege.survives();
}

#[test]
fn forged_reject() {
    for_seeds("forged_reject", 60, |seed| {
        let mut rng = SimRng::new(seed);
        let count = Rc::new(Cell::new(0u32));
        let seen = Rc::clone(&count);
        // The adversary sees every request and answers first, with any code.
        let (mut play, client, host, connection) = attempt(seed, ConnectOptions::default(), move |passing| {
            let nonce = match passing.bytes.first() {
                Some(1) => passing.bytes[10..26].to_vec(),
                Some(3) => passing.bytes[2..18].to_vec(),
                _ => return Fate::Pass,
            };
            // For a while; somebody who can do it for ever can drop the requests as well.
            seen.set(seen.get() + 1);
            if seen.get() <= 3 {
                for _ in 0..rng.between(1, 5) {
                    let reject = foreign::reject(&nonce, rng.between(0, 8) as u8);
                    passing.inject(MS, passing.to, passing.from, reject);
                }
            }
            Fate::Pass
        });
        play.run_for(20 * SECOND);
        assert!(play.end(client, connection).established, "{:?}", play.history(client));
        assert!(play.stats(client).rejects_heard > 0);
        assert_eq!(play.open_connections(host).len(), 1);
        play.close_all_and_finish(60 * SECOND);
    });
    // With a nonce that is not the attempt's: nothing at all.
    let (mut play, client, _, connection) = attempt(14, ConnectOptions::default(), |passing| {
        for code in 0..=8 {
            passing.inject(MS, passing.to, passing.from, foreign::reject(&[9; 16], code));
        }
        Fate::Pass
    });
    play.run_for(SECOND);
    assert!(play.end(client, connection).established);
    assert_eq!(play.end(client, connection).closed, None);
}

#[test]
fn forged_close() {
    let mut siege = Siege::new(15);
    let (client, host) = (siege.address(siege.client), siege.address(siege.host));
    let mut rng = SimRng::new(15);
    let control: Vec<Captured> =
        siege.recorded().into_iter().filter(|datagram| datagram.bytes[0] & 0xe0 == 0xe0).collect();
    for _ in 0..2_000 {
        // Of the right shape: a recorded control packet with changed content, or one made up.
        let mut bytes = control[rng.index(control.len())].bytes.clone();
        if rng.chance(0.5) {
            let len = 5 + 16 + 12;
            bytes.resize(len, 0);
            rng.fill(&mut bytes[1..]);
        } else {
            let at = 3 + rng.index(bytes.len() - 3);
            bytes[at] ^= 1 << rng.below(8);
        }
        siege.forge(client, host, bytes.clone());
        siege.forge(host, client, bytes);
    }
    assert!(siege.play.stats(siege.host).forged > 100);
    siege.survives();
}

#[test]
fn forged_ack() {
    let mut siege = Siege::new(16);
    let (client, host) = (siege.address(siege.client), siege.address(siege.host));
    let mut rng = SimRng::new(16);
    for _ in 0..4_000 {
        // Type 2 (ack) or 1 (report), any numbers, any form, any tag.
        let len = rng.between(3, 60) as usize;
        let mut bytes = rng.bytes(len);
        bytes[0] = if rng.chance(0.5) { 0xc0 } else { 0xa0 } | bytes[0] & 0x1f;
        siege.forge(client, host, bytes.clone());
        siege.forge(host, client, bytes);
    }
    // Nothing but the tag can tell; and the oracle sees that no verdict was false.
    assert!(siege.play.stats(siege.client).forged > 500);
    siege.survives();
}

#[test]
fn difficulty_255() {
    for (difficulty, expected) in [(255, CloseCode::DifficultyTooHigh), (23, CloseCode::DifficultyTooHigh)] {
        let (mut play, client, host, connection) = attempt(17, ConnectOptions::default(), move |passing| {
            if is_kind(passing.bytes, 2) {
                passing.bytes[138] = difficulty;
            }
            Fate::Pass
        });
        play.run_for(11 * SECOND);
        assert_eq!(code(&play, client, connection), Some(expected));
        assert_eq!(play.stats(host).connections_requested, 0);
    }
    // Another one than the host's, within the limit: work in vain, but the token tells.
    let (mut play, client, host, connection) = attempt(18, ConnectOptions::default(), |passing| {
        if is_kind(passing.bytes, 2) {
            passing.bytes[138] += 1;
        }
        Fate::Pass
    });
    play.run_for(21 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::NoAnswer));
    assert!(play.stats(host).false_token > 0);
    survives_false_challenges(19, |response| response[138] = 255);
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
        .any(|(_, event)| matches!(event, Event::ChallengeResponse { public_key, .. } if *public_key == key));
    assert!(told);
    play.close_all_and_finish(60 * SECOND);
}

#[test]
fn unknown_key_type() {
    let (mut play, client, _, connection) = attempt(20, ConnectOptions::default(), |passing| {
        if is_kind(passing.bytes, 2) {
            passing.bytes[140] = 9;
        }
        Fate::Pass
    });
    play.run_for(11 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::UnknownKeyType));
    survives_false_challenges(21, |response| response[140] = 2);
}

#[test]
fn a_false_signature() {
    let (mut play, client, _, connection) = attempt(22, ConnectOptions::default(), |passing| {
        if is_kind(passing.bytes, 2) {
            passing.bytes[60] ^= 1;
        }
        Fate::Pass
    });
    play.run_for(11 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::BadSignature));
    // Every byte that the signature covers, and the signature itself.
    for (seed, at) in [18, 26, 57, 58, 90, 121, 141, 172].into_iter().enumerate() {
        survives_false_challenges(23 + seed as u64, move |response| response[at] ^= 1);
    }
    survives_false_challenges(40, |response| {
        response.extend(b"other data");
        response[173..175].copy_from_slice(&10u16.to_be_bytes());
    });
}

/// Points that no honest key is: of small order, or not canonical.
fn low_order_keys() -> Vec<[u8; 32]> {
    let mut keys: Vec<[u8; 32]> = EIGHT_TORSION.iter().map(|point| point.compress().0).collect();
    // y = p, p + 1 and 2^255 - 1, not canonical; and the point at infinity with a sign.
    let mut p = [0xff; 32];
    (p[0], p[31]) = (0xed, 0x7f);
    keys.push(p);
    p[0] = 0xee;
    keys.push(p);
    keys.push([0xff; 32]);
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    keys.push(one);
    keys
}

fn torsioned(key: &[u8; 32]) -> Vec<[u8; 32]> {
    let point = CompressedEdwardsY(*key).decompress().unwrap();
    EIGHT_TORSION[1..].iter().map(|torsion| (point + torsion).compress().0).collect()
}

#[test]
fn a_low_order_key() {
    for (seed, key) in low_order_keys().into_iter().enumerate() {
        assert!(PublicKey::from_bytes(&key).is_err(), "{key:?}");
        survives_false_challenges(50 + seed as u64, move |response| response[141..173].copy_from_slice(&key));
    }
    // As the initiator's key and as its ephemeral one.
    for seed in 0..8 {
        let mut stranger = Stranger::new(seed);
        let zero = EIGHT_TORSION[seed as usize].to_montgomery().0;
        let identity = Identity { public: zero, ..Identity::honest([7; 32]) };
        let request = foreign::connect_request(&stranger.response, [3; 32], identity, 128);
        stranger.expect_bad_request(request.bytes);

        let mut stranger = Stranger::new(seed);
        let mut request =
            foreign::connect_request(&stranger.response, [3; 32], Identity::honest([7; 32]), 128);
        request.bytes[52..84].copy_from_slice(&zero);
        foreign::solve(&mut request.bytes);
        stranger.expect_bad_request(request.bytes);
    }
}

#[test]
fn a_torsioned_key() {
    let honest = torque_proto::KeyPair::from_seed([5; 32]).public();
    for key in torsioned(honest.as_bytes()) {
        assert!(PublicKey::from_bytes(&key).is_err());
    }
    for place in 0..7 {
        survives_false_challenges(70 + place as u64, move |response| {
            let key: [u8; 32] = response[141..173].try_into().unwrap();
            response[141..173].copy_from_slice(&torsioned(&key)[place]);
        });
    }
    // All Diffie-Hellman results are as with the honest key; only a check of the subgroup finds it.
    for (place, torsion) in EIGHT_TORSION[1..].iter().enumerate() {
        let mut stranger = Stranger::new(place as u64);
        let honest = Identity::honest([7; 32]);
        let point = curve25519_dalek::montgomery::MontgomeryPoint(honest.public).to_edwards(0).unwrap();
        let identity = Identity { public: (point + torsion).to_montgomery().0, ..honest };
        let request = foreign::connect_request(&stranger.response, [3; 32], identity, 128);
        stranger.expect_bad_request(request.bytes);
    }
}

#[test]
fn a_sign_flipped_key() {
    // At the host: the signature is another key's.
    survives_false_challenges(80, |response| response[172] ^= 0x80);
    let (mut play, client, _, connection) = attempt(81, ConnectOptions::default(), |passing| {
        if is_kind(passing.bytes, 2) {
            passing.bytes[172] ^= 0x80;
        }
        Fate::Pass
    });
    play.run_for(11 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::BadSignature));
    // At the initiator the flipped key is a key that it has as well: it is reported as another one, and a list of
    // banned keys knows it all the same.
    let keys = [0, 1].map(|sign| {
        let mut stranger = Stranger::new(82);
        let identity = Identity { sign, ..Identity::honest([7; 32]) };
        let request = foreign::connect_request(&stranger.response, [3; 32], identity, 128);
        stranger.ask(request.bytes);
        let asked = stranger.play.history(stranger.host).iter().find_map(|(_, event)| match event {
            Event::ConnectRequest { public_key, .. } => Some(*public_key),
            _ => None,
        });
        asked.unwrap()
    });
    assert_ne!(keys[0], keys[1]);
    assert!(keys[0].same_identity(&keys[1]));
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

#[test]
fn acks_for_packets_never_sent() {
    for window in [8, 128, 2_048, 32_768] {
        let mut stranger = Stranger::new(90);
        let mut guest = stranger.connect(window);
        let connection = stranger.connection();
        let sequences: Vec<u64> =
            (0..5).map(|_| stranger.play.send(stranger.host, connection, b"true").unwrap().0).collect();
        let last = sequences[4];
        for kind in [0, 1, 2, 3] {
            for (ack, form, bytes) in [
                (last + 1, 0, &[][..]),
                (last + u64::from(guest.window / 2), 0, &[]),
                (last + 3, 1, &[0xff]),
                (last + 3, 7, &[2, 0xff, 0xff]),
                // No count byte, a count beyond the packet, a count of nothing.
                (last, 7, &[]),
                (last, 7, &[255, 1]),
                (last, 7, &[0]),
                (last, 6, &[1]),
            ] {
                let packet = guest.packet(kind, ack, form, bytes, &[]);
                stranger.ask(packet);
            }
        }
        let host = stranger.host;
        let end = stranger.play.end(host, connection);
        assert_eq!((end.tally.delivered, end.tally.dropped, end.closed.is_none()), (0, 0, true), "{window}");
        let stats = stranger.play.world.node(host).connection_stats(connection).unwrap();
        assert!(stats.counters.reports_ignored > 0 && stats.counters.malformed > 0);
        // A true report is still read.
        let packet = guest.packet(2, last, 0, &[], &[]);
        stranger.ask(packet);
        assert_eq!(stranger.play.end(host, connection).tally.delivered, 5);
    }
}

#[test]
fn malformed_control_messages() {
    let mut stranger = Stranger::new(91);
    let mut guest = stranger.connect(128);
    let connection = stranger.connection();
    let mut rng = SimRng::new(91);
    // Lengths that run past the end, kinds that do not exist, bodies that are too short, a close that is none.
    for messages in [
        &[1][..],
        &[1, 0],
        &[1, 0, 9, 0],
        &[1, 255, 255, 0],
        &[1, 0, 0],
        &[3, 0, 0],
        &[3, 0, 2, 1, 0],
        &[4, 0, 1, 0],
        &[2, 0, 4, 1, 2, 3, 4],
        &[99, 0, 1, 0],
        &[0, 0, 0],
        &[],
    ] {
        let packet = guest.control(messages);
        stranger.ask(packet);
    }
    for _ in 0..500 {
        let len = rng.index(60);
        let mut messages = rng.bytes(len);
        if let Some(kind) = messages.first_mut() {
            // Anything but a close, which would be obeyed.
            *kind = [0, 1, 2, 5, 20, 99][rng.index(6)];
        }
        let packet = guest.control(&messages);
        let question = packet.len();
        let answer: usize = stranger.ask(packet).iter().map(Vec::len).sum();
        assert!(answer <= question.max(32), "{question} asked, {answer} answered");
    }
    // A reason that is longer than allowed.
    let mut close = vec![3, 0x02, 0x58];
    close.resize(3 + 0x258, 0);
    let packet = guest.control(&close);
    stranger.ask(packet);
    assert_eq!(stranger.play.end(stranger.host, connection).closed, None);
    let ping = guest.ping();
    assert_eq!(stranger.ask(ping).len(), 1);
}

#[test]
fn many_pings_in_one_packet() {
    let mut stranger = Stranger::new(92);
    let mut guest = stranger.connect(128);
    let pings: Vec<u8> = (0..150).flat_map(|id| [1, 0, 4, 0, 0, 0, id]).collect();
    let packet = guest.control(&pings);
    let question = packet.len();
    let answers = stranger.ask(packet);
    assert_eq!(answers.len(), 1);
    assert!(answers[0].len() <= question);
}

#[test]
fn settings_that_nobody_may_wish() {
    for payload in [
        // Window 7 and 32,769; tag 3 and 17; ack delay 1,001; packets of 1,149; initial sequence 4,096.
        [0, 0, 0, 7, 16, 0, 0, 50, 0x04, 0x7e, 0, 0, 0],
        [0, 0, 0x80, 1, 16, 0, 0, 50, 0x04, 0x7e, 0, 0, 0],
        [0, 0, 0, 128, 3, 0, 0, 50, 0x04, 0x7e, 0, 0, 0],
        [0, 0, 0, 128, 17, 0, 0, 50, 0x04, 0x7e, 0, 0, 0],
        [0, 0, 0, 128, 16, 0, 0x03, 0xe9, 0x04, 0x7e, 0, 0, 0],
        [0, 0, 0, 128, 16, 0, 0, 50, 0x04, 0x7d, 0, 0, 0],
        [0x10, 0, 0, 128, 16, 0, 0, 50, 0x04, 0x7e, 0, 0, 0],
        // A length of connect data that runs past the end.
        [0, 0, 0, 128, 16, 0, 0, 50, 0x04, 0x7e, 0, 0, 1],
    ] {
        let mut stranger = Stranger::new(93);
        let request =
            foreign::connect_request_with(&stranger.response, [3; 32], Identity::honest([7; 32]), &payload);
        assert!(stranger.ask(request.bytes).is_empty());
        let stats = stranger.play.stats(stranger.host);
        assert_eq!(stats.connections_requested, 0, "{payload:?}");
        assert_eq!(stats.bad_request + stats.malformed, 1, "{payload:?}");
    }
}

#[test]
fn sequences_far_apart() {
    // An initiator that skips packets at every stride below the window, and sends at every window's edge.
    for window in [8u16, 128, 2_048] {
        let mut stranger = Stranger::new(94);
        let mut guest = stranger.connect(window);
        let connection = stranger.connection();
        for stride in [1, 2, u64::from(window) - 1, u64::from(window)] {
            // All of it within one generation of keys: the hand-written initiator has no others.
            for _ in 0..10 {
                guest.sequence += stride - 1;
                let packet = guest.data(b"here");
                stranger.ask(packet);
            }
        }
        let received = stranger.play.end(stranger.host, connection).tally.received;
        assert_eq!(
            received,
            40,
            "{window}: {:?}",
            stranger.play.world.node(stranger.host).connection_stats(connection)
        );
        // Beyond the window is what nobody may send: dropped, and no harm.
        guest.sequence += u64::from(window);
        let packet = guest.data(b"lost");
        stranger.ask(packet);
        assert_eq!(stranger.play.end(stranger.host, connection).tally.received, received);
        guest.sequence -= u64::from(window) + 1;
        let ping = guest.ping();
        assert_eq!(stranger.ask(ping).len(), 1);
    }
}

#[test]
fn a_peer_that_never_answers() {
    let mut play = Play::new(95);
    play.world.set_default_link(link("delay=10"));
    let (client, nobody) = (play.add_default(), play.add_default());
    play.crash(nobody);
    let before = play.world.datagrams_sent();
    let connection = play.connect(client, nobody, ConnectOptions::default());
    play.run_for(9_900 * MS);
    assert_eq!(code(&play, client, connection), None);
    play.run_for(200 * MS);
    assert_eq!(code(&play, client, connection), Some(CloseCode::NoAnswer));
    assert!(play.world.datagrams_sent() - before <= 9);
    play.run_for(60 * SECOND);
    assert!(play.world.datagrams_sent() - before <= 9);
    assert_eq!(play.world.node(client).slots_used(), 0);
    assert_eq!(play.world.node(client).poll_timeout(), None);
}

#[test]
fn a_peer_that_answers_twice() {
    for_seeds("a_peer_that_answers_twice", 40, |seed| {
        let mut rng = SimRng::new(seed);
        let (mut play, client, host, connection) = attempt(seed, ConnectOptions::default(), move |passing| {
            for _ in 0..rng.below(3) {
                let copy = passing.bytes.clone();
                passing.inject(rng.duration(400 * MS), passing.from, passing.to, copy);
            }
            Fate::Pass
        });
        play.set_behaviour(client, busy());
        play.set_behaviour(host, busy());
        play.run_for(5 * SECOND);
        assert!(play.end(client, connection).established);
        assert_eq!(play.open_connections(host).len(), 1);
        let established = |node| {
            let told = play.history(node).iter();
            told.filter(|(_, event)| matches!(event, Event::Established { .. })).count()
        };
        assert_eq!((established(client), established(host)), (1, 1));
        play.close_all_and_finish(60 * SECOND);
    });
}

#[test]
fn a_peer_that_changes_its_address() {
    // In the middle of the handshake: the token is for the old address, and the attempt ends by name.
    for_seeds("a_peer_that_changes_its_address", 40, |seed| {
        let mut rng = SimRng::new(seed);
        let (mut play, client, host, connection) = attempt(seed, ConnectOptions::default(), |_| Fate::Pass);
        play.run_for(rng.duration(70 * MS));
        play.world.set_address(client, Address::from_virtual(1_000 + seed));
        play.run_for(60 * SECOND);
        match code(&play, client, connection) {
            None => assert_eq!(play.open_connections(host).len(), 1),
            Some(code) => assert!(matches!(code, CloseCode::NoAnswer | CloseCode::TimedOut), "{code:?}"),
        }
        play.close_all_and_finish(60 * SECOND);
        assert!(play.world.node(host).slots_used() <= 1);
    });
    // Later: this version does not follow; both sides find out, and what comes from nowhere is counted.
    let mut siege = Siege::new(96);
    siege.play.world.set_address(siege.client, Address::from_virtual(4));
    siege.play.finish(60 * SECOND);
    assert_eq!(code(&siege.play, siege.client, siege.at_client), Some(CloseCode::TimedOut));
    assert_eq!(code(&siege.play, siege.host, siege.at_host), Some(CloseCode::TimedOut));
    assert!(siege.play.stats(siege.host).unknown_address > 0);
}

#[test]
fn a_peer_that_changes_its_key_between_retries() {
    for pinned in [false, true] {
        let mut play = Play::new(97);
        play.world.set_default_link(link("delay=10"));
        let (client, host) = (play.add_default(), play.add_default());
        let trust = if pinned { Trust::Pinned(play.key(host)) } else { Trust::Ask };
        // The first request gets lost, and meanwhile the host becomes another one.
        let lose = Rc::new(Cell::new(true));
        let losing = Rc::clone(&lose);
        play.world.set_tap(
            move |passing| {
                if is_kind(passing.bytes, 3) && losing.get() { Fate::Drop } else { Fate::Pass }
            },
        );
        let options = ConnectOptions { trust, ..ConnectOptions::default() };
        let connection = play.connect(client, host, options);
        play.run_for(SECOND);
        play.crash(host);
        play.change_key(host);
        play.restart(host);
        lose.set(false);
        play.run_for(12 * SECOND);
        let keys: Vec<PublicKey> = play
            .history(client)
            .iter()
            .filter_map(|(_, event)| match event {
                Event::ChallengeResponse { public_key, .. } => Some(*public_key),
                _ => None,
            })
            .collect();
        if pinned {
            assert_eq!(code(&play, client, connection), Some(CloseCode::KeyMismatch));
        } else {
            assert_eq!(keys.len(), 2, "it asks again, with the new key");
            assert_eq!(keys[1], play.key(host));
            assert!(play.end(client, connection).established);
        }
        play.close_all_and_finish(60 * SECOND);
    }
}

#[test]
fn two_sides_connecting_to_each_other_at_once() {
    // While the adversary replays all that it sees.
    for_seeds("two_sides_connecting_to_each_other_at_once", 60, |seed| {
        let mut rng = SimRng::new(seed);
        let mut play = Play::new(seed);
        play.world.set_default_link(link("delay=10,jitter=5"));
        let (a, b) = (play.add_default(), play.add_default());
        let mut tap_rng = rng.fork();
        play.world.set_tap(move |passing| {
            let copy = passing.bytes.clone();
            passing.inject(tap_rng.duration(500 * MS), passing.from, passing.to, copy);
            Fate::Pass
        });
        play.connect(a, b, ConnectOptions::default());
        play.run_for(rng.duration(20 * MS));
        play.try_connect(b, a, ConnectOptions::default()).ok();
        play.run_for(20 * SECOND);
        assert_eq!((play.open_connections(a).len(), play.open_connections(b).len()), (1, 1));
        play.world.clear_tap();
        play.close_all_and_finish(60 * SECOND);
    });
}

#[test]
fn a_crashed_client_that_connects_again_from_the_same_address() {
    for_seeds("a_crashed_client_that_connects_again_from_the_same_address", 20, |seed| {
        let mut rng = SimRng::new(seed);
        let mut play = Play::new(seed);
        play.world.set_default_link(link("delay=10,loss=2%"));
        play.world.set_capture(true);
        let host = play.add(Config::default(), busy());
        let client = play.add(Config::default(), busy());
        for _ in 0..8 {
            play.connect(client, host, ConnectOptions::default());
            play.run_for(rng.duration(4 * SECOND));
            play.crash(client);
            play.run_for(rng.duration(SECOND));
            play.restart(client);
            // What an older life sent arrives again.
            let old = play.world.captured();
            let again = old[rng.index(old.len())].clone();
            play.world.inject(rng.duration(SECOND), again.from, again.to, again.bytes);
        }
        play.establish(client, host);
        play.run_for(15 * SECOND);
        assert_eq!((play.open_connections(client).len(), play.open_connections(host).len()), (1, 1));
        assert_eq!(play.world.node(host).slots_used(), 1);
        play.close_all_and_finish(60 * SECOND);
    });
}

#[test]
fn a_connect_request_replayed_within_its_epoch() {
    let mut siege = Siege::new(98);
    let request = siege.recorded_kind(3);
    let requested = siege.play.stats(siege.host).connections_requested;
    for _ in 0..50 {
        siege.forge(request.from, request.to, request.bytes.clone());
        siege.play.run_for(500 * MS);
    }
    let stats = siege.play.stats(siege.host);
    assert_eq!(stats.replayed_token, 50);
    assert_eq!(stats.connections_requested, requested);
    siege.survives();
}

#[test]
fn a_connect_request_replayed_after_its_epoch() {
    let mut siege = Siege::new(99);
    let request = siege.recorded_kind(3);
    // The host makes new epochs as it needs them.
    let visitor = siege.play.add_default();
    for _ in 0..5 {
        let visit = siege.play.connect(visitor, siege.host, ConnectOptions::default());
        siege.play.run_for(25 * SECOND);
        siege.play.close(visitor, visit, b"");
        siege.play.run_for(2 * SECOND);
    }
    let before = siege.play.stats(siege.host);
    for _ in 0..50 {
        siege.ask(request.bytes.clone());
        siege.forge(request.from, request.to, request.bytes.clone());
    }
    let stats = siege.play.stats(siege.host);
    assert_eq!(stats.stale_epoch, before.stale_epoch + 100);
    assert_eq!(stats.connections_requested, before.connections_requested);
    // 19 bytes for each.
    assert!(siege.mail().iter().all(|answer| answer.bytes.len() == 19 && answer.bytes[0] == 7));
    siege.survives();
}

#[test]
fn a_connect_request_replayed_while_it_is_decided() {
    // The same datagram again and again, before and after the host's application accepts: the answer is
    // repeated, not more often than each 50 ms.
    let mut stranger =
        Stranger::at(100, Behaviour { request: Answer::Accept(5 * SECOND), ..Behaviour::default() });
    let request = foreign::connect_request(&stranger.response, [3; 32], Identity::honest([7; 32]), 128);
    let (mut pending, mut accepts) = (0, Vec::new());
    let start = stranger.play.world.now();
    while stranger.play.world.now().saturating_since(start) < 10 * SECOND {
        for answer in stranger.ask(request.bytes.clone()) {
            assert!(answer.len() <= request.bytes.len());
            match answer[0] {
                6 => pending += 1,
                4 => accepts.push(answer),
                other => panic!("{other}"),
            }
        }
    }
    assert!((50..=101).contains(&pending), "{pending}");
    assert!((50..=101).contains(&accepts.len()), "{}", accepts.len());
    assert!(accepts.windows(2).all(|pair| pair[0] == pair[1]), "verbatim");
    // Changed, it is nothing.
    let mut changed = request.bytes.clone();
    changed[140] ^= 1;
    foreign::solve(&mut changed);
    assert!(stranger.ask(changed).is_empty());
    let stats = stranger.play.stats(stranger.host);
    assert_eq!((stats.connections_requested, stats.changed_request), (1, 1));
}

#[test]
fn control_packets_held_back_for_seconds_and_then_released() {
    for_seeds("control_packets_held_back_for_seconds_and_then_released", 40, |seed| {
        let mut siege = Siege::new(seed);
        let mut rng = SimRng::new(seed);
        let held = Rc::new(RefCell::new(0));
        let count = Rc::clone(&held);
        siege.play.world.set_tap(move |passing| {
            // Acks and control packets.
            if passing.bytes[0] & 0xc0 == 0xc0 && rng.chance(0.7) {
                *count.borrow_mut() += 1;
                return Fate::Hold(SECOND + rng.duration(5 * SECOND));
            }
            if rng.chance(0.2) { Fate::Drop } else { Fate::Pass }
        });
        siege.play.run_for(15 * SECOND);
        assert!(*held.borrow() > 0);
        siege.play.world.clear_tap();
        siege.play.run_for(7 * SECOND);
        siege.survives();
    });
}

#[test]
fn an_application_that_takes_a_minute_to_accept() {
    for (challenge, request) in [(60, 0), (0, 60)] {
        let mut play = Play::new(101);
        play.world.set_default_link(link("delay=10"));
        play.world.set_capture(true);
        let slow = Behaviour {
            challenge: Answer::Accept(challenge * SECOND),
            request: Answer::Accept(request * SECOND),
            ..Behaviour::default()
        };
        let (client, host) = (play.add(Config::default(), slow.clone()), play.add(Config::default(), slow));
        let connection = play.connect(client, host, ConnectOptions::default());
        // Meanwhile everything that was said is said again, and others keep the epochs turning.
        let adversary = Address::from_virtual(666);
        play.world.open_mailbox(adversary);
        for second in 0..70u64 {
            play.run_for(SECOND);
            if play.end(client, connection).established {
                continue;
            }
            let recorded = play.world.captured().to_vec();
            let again = &recorded[second as usize % recorded.len()];
            play.world.inject(Duration::ZERO, again.from, again.to, again.bytes.clone());
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&second.to_be_bytes());
            play.world.inject(
                Duration::ZERO,
                adversary,
                play.world.address(host),
                foreign::challenge_request(nonce),
            );
        }
        assert!(play.end(client, connection).established, "{:?}", play.history(client));
        play.close_all_and_finish(130 * SECOND);
    }
}

#[test]
fn an_application_that_stops_draining_its_events() {
    let mut config = Config::default();
    config.limits.queued_packets = 100;
    config.limits.pending = 20;
    let mut siege = Siege::with(102, config);
    siege.play.set_behaviour(siege.host, Behaviour { draining: Draining::Never, ..busy() });
    // A minute of traffic, info packets and requests, and nobody takes anything.
    let guests: Vec<NodeId> = (0..40).map(|_| siege.play.add_default()).collect();
    for guest in &guests {
        siege.play.connect(*guest, siege.host, ConnectOptions::default());
        for _ in 0..20 {
            siege.ask(vec![0x20; 1_000]);
        }
        siege.play.run_for(1_500 * MS);
    }
    let stats = siege.play.stats(siege.host);
    assert!(stats.queue_full > 1_000 && stats.busy > 0, "{stats:?}");
    assert_eq!(stats.info_received, 64);
    assert!(siege.play.world.node(siege.host).slots_used() <= 1 + 40);
    // What it sends waits at most a window long for somebody to take the verdicts.
    assert!(siege.play.end(siege.host, siege.at_host).tally.sent < 51 * 3 + 128 + 100);
    // It comes back: exactly what was delivered is there, and no more than fits.
    let before = siege.play.end(siege.host, siege.at_host).tally.received;
    siege.play.set_behaviour(siege.host, busy());
    let taken = siege.play.end(siege.host, siege.at_host).tally.received - before;
    assert!((90..=100).contains(&taken), "{taken}");
    siege.play.run_for(130 * SECOND);
    for guest in guests {
        for connection in siege.play.open_connections(guest) {
            siege.play.close(guest, connection, b"");
        }
    }
    siege.play.run_for(30 * SECOND);
    siege.survives();
}

#[test]
fn clock_steps() {
    for_seeds("clock_steps", 30, |seed| {
        let mut siege = Siege::new(seed);
        let mut rng = SimRng::new(seed);
        for _ in 0..6 {
            let node = if rng.chance(0.5) { siege.client } else { siege.host };
            match rng.below(4) {
                0 => siege.play.world.step_clock(node, 3_600_000_000),
                1 => siege.play.world.step_clock(node, rng.between(1, 100_000_000) as i64),
                2 => siege.play.world.step_clock(node, -(rng.between(1, 60_000_000) as i64)),
                _ => {
                    siege.play.world.stop_clock(node);
                    siege.play.run_for(rng.duration(15 * SECOND));
                    siege.play.world.start_clock(node);
                }
            }
            siege.play.run_for(rng.duration(3 * SECOND));
        }
        // After a jump back timers are late by as much; ahead of that the connection must not end.
        siege.play.run_for(70 * SECOND);
        siege.survives();
    });
    // An attempt under way may end early, but by name.
    for_seeds("clock_steps_in_attempts", 60, |seed| {
        let mut rng = SimRng::new(seed);
        let (mut play, client, host, connection) = attempt(seed, ConnectOptions::default(), |_| Fate::Pass);
        play.run_for(rng.duration(80 * MS));
        let node = if rng.chance(0.5) { client } else { host };
        let step = rng.between(1, 4_000_000_000) as i64;
        play.world.step_clock(node, if rng.chance(0.5) { step } else { -step.min(60_000_000) });
        play.run_for(90 * SECOND);
        if let Some(code) = code(&play, client, connection) {
            assert!(
                matches!(
                    code,
                    CloseCode::NoAnswer
                        | CloseCode::TimedOut
                        | CloseCode::NoDecision
                        | CloseCode::StaleChallenge
                ),
                "{code:?}"
            );
        }
        play.close_all_and_finish(150 * SECOND);
    });
}

// Floods

/// The difficulty in the challenges that the adversary is given.
fn difficulty(play: &mut Play, host: NodeId) -> u8 {
    play.world.with(host, |endpoint, now| endpoint.difficulty(now))
}

#[test]
fn a_flood_of_false_solutions() {
    let mut siege = Siege::new(103);
    let host_address = siege.address(siege.host);
    let resting = difficulty(&mut siege.play, siege.host);
    // A hundred addresses with true tokens, renewed each five seconds.
    let bots: Vec<Address> = (0..100).map(|bot| Address::from_virtual(10_000 + bot)).collect();
    for bot in &bots {
        siege.play.world.open_mailbox(*bot);
    }
    let mut requests: Vec<(Address, Vec<u8>)> = Vec::new();
    let mut guests = Vec::new();
    let mut highest = 0;
    let mut rng = SimRng::new(103);
    // Five legitimate handshakes a second, 500 false ones, for twenty seconds.
    for tick in 0..1_000u64 {
        if tick % 250 == 0 {
            for (place, bot) in bots.iter().enumerate() {
                let mut nonce = [0; 16];
                nonce[..8].copy_from_slice(&(tick * 1_000 + place as u64).to_be_bytes());
                siege.play.world.inject(
                    Duration::ZERO,
                    *bot,
                    host_address,
                    foreign::challenge_request(nonce),
                );
            }
            siege.play.run_for(MS);
            requests.clear();
            for bot in &bots {
                for mail in siege.play.world.take_mail(*bot).iter().filter(|mail| is_kind(&mail.bytes, 2)) {
                    let mut request = vec![3, 1];
                    request.extend(&mail.bytes[2..18]);
                    request.extend(&mail.bytes[26..30]);
                    request.extend(&mail.bytes[122..138]);
                    request.extend([mail.bytes[138], mail.bytes[139], 2, 0, 0, 0]);
                    request.extend([0; 8]);
                    request.extend(rng.bytes(150));
                    requests.push((*bot, request));
                }
            }
            assert_eq!(requests.len(), 100);
        }
        for _ in 0..10 {
            let place = rng.index(requests.len());
            let (bot, request) = &mut requests[place];
            let last = request.len() - 1;
            // Low difficulties are guessed now and then: that pays for the Diffie-Hellman, and is dropped there.
            request[last] = request[last].wrapping_add(1);
            request[last - 1] = request[last - 1].wrapping_add(rng.below(2) as u8);
            siege.play.world.inject(Duration::ZERO, *bot, host_address, request.clone());
        }
        if tick % 10 == 0 {
            let guest = siege.play.add_default();
            let connection = siege.play.connect(guest, siege.host, ConnectOptions::default());
            guests.push((guest, connection));
        }
        siege.play.run_for(20 * MS);
        highest = highest.max(difficulty(&mut siege.play, siege.host));
    }
    // 500 requests a second are three doublings of the quiet 64.
    assert!(highest >= resting + 5, "{resting} to {highest}");
    siege.play.run_for(10 * SECOND);
    for (guest, connection) in &guests {
        let end = siege.play.end(*guest, *connection);
        assert!(end.established && end.closed.is_none(), "{:?}", siege.play.history(*guest));
    }
    let stats = siege.play.stats(siege.host);
    assert!(stats.false_solution > 5_000, "{stats:?}");
    for bot in bots {
        let answered: usize = siege.play.world.take_mail(bot).iter().map(|mail| mail.bytes.len()).sum();
        assert!(answered <= 100 * 158, "{answered}");
    }
    siege.play.run_for(30 * SECOND);
    assert_eq!(difficulty(&mut siege.play, siege.host), resting);
    for (guest, connection) in guests {
        siege.play.close(guest, connection, b"");
    }
    siege.play.run_for(30 * SECOND);
    siege.survives();
}

#[test]
fn a_flood_of_challenge_requests() {
    // No state, no answer longer than the question.
    let mut siege = Siege::new(104);
    for number in 0..5_000u64 {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        siege.ask(foreign::challenge_request(nonce));
        assert!(siege.mail().iter().all(|answer| answer.bytes.len() <= 768));
    }
    assert_eq!(siege.play.world.node(siege.host).slots_used(), 1);
    siege.survives();
}

#[test]
fn a_flood_that_pays_fills_no_more_than_the_tables() {
    let mut config = Config::default();
    config.limits.pending = 50;
    config.puzzle.difficulty_min = 0;
    let mut siege = Siege::with(105, config);
    siege.play.set_behaviour(siege.host, Behaviour { request: Answer::Never, ..busy() });
    for number in 0..300u64 {
        let bot = Address::from_virtual(20_000 + number);
        siege.play.world.open_mailbox(bot);
        let host = siege.address(siege.host);
        siege.forge(bot, host, foreign::challenge_request([number as u8; 16]));
        let response = siege.play.world.take_mail(bot).remove(0).bytes;
        let request = foreign::connect_request(&response, [3; 32], Identity::honest([7; 32]), 128);
        siege.forge(bot, host, request.bytes.clone());
        let answers = siege.play.world.take_mail(bot);
        assert!(answers.iter().all(|answer| answer.bytes.len() <= request.bytes.len()));
    }
    let stats = siege.play.stats(siege.host);
    assert_eq!(stats.connections_requested, 1 + 50);
    assert!(stats.busy > 0);
    assert_eq!(siege.play.world.node(siege.host).slots_used(), 51);
    siege.survives();
}
