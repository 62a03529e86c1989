//! Introducers that lie about NATs (INTRODUCTIONS.md 9 and 13): how much does a victim receive, and what is left at the parties?

use std::net::SocketAddr;

use torque_proto::control::ControlEvent;
use torque_proto::wire::control::reliable::ReliableKind;
use torque_proto::wire::introduction::{
    Candidate, CandidateKind, Introduced, Introduction, Nat as Seen, Nats, Observed, Tokens, write_candidates,
};
use torque_proto::{HardNat, IntroducedOptions};

use super::hostile::invented;
use super::*;

/// The budgets of punches to one network (12), and what *always* adds to them in 10 minutes.
const A_MINUTE: usize = 80;
const A_RUN: usize = 4_096;
/// Datagrams of a look: six tokens, four times each.
const OBSERVES: usize = 24;

fn victim(port: u16) -> SocketAddr {
    SocketAddr::new([203, 0, 113, 7].into(), port)
}

#[derive(Clone, Copy)]
struct Deceived {
    node: NodeId,
    at_party: ConnectionId,
    at_introducer: ConnectionId,
}

/// Parties, and an introducer that tells them what brings most datagrams to one victim.
struct Deceiver {
    play: Play,
    introducer: NodeId,
    parties: Vec<Deceived>,
    rng: SimRng,
    /// The attempts that were answered.
    told: Vec<(usize, u32)>,
    /// The parties' own NATs and those of the others, as status 0 tells. At first what brings most to a victim.
    claims: [Seen; 2],
    /// The most further ports that a party had open.
    most_ports: usize,
}

impl Deceiver {
    fn new(seed: u64, config: &Config, parties: usize) -> Self {
        let mut play = Play::new(seed);
        let rng = play.world.fork_rng();
        let introducer = play.add_in(NetworkId::CORE, Config::default(), Behaviour::default());
        let parties = (0..parties).map(|_| {
            let node = play.add_in(NetworkId::CORE, config.clone(), Behaviour::default());
            let (at_party, at_introducer) = play.establish(node, introducer);
            play.world.with(introducer, |endpoint, _| endpoint.enable_control(at_introducer)).unwrap();
            Deceived { node, at_party, at_introducer }
        });
        let parties = parties.collect();
        play.world.set_capture(true);
        Self {
            play,
            introducer,
            parties,
            rng,
            told: Vec::new(),
            claims: [Seen::Independent, Seen::Unpredictable],
            most_ports: 0,
        }
    }

    fn send(&mut self, party: usize, attempt: u32, kind: ReliableKind, body: &[u8]) {
        let to = self.parties[party].at_introducer;
        self.play.world.with(self.introducer, |endpoint, now| {
            let _ = endpoint.send_control(now, to, attempt, kind, body);
        });
    }

    fn nat(&mut self) -> Seen {
        [Seen::Unknown, Seen::Independent, Seen::Sequential(1), Seen::Unpredictable][self.rng.index(4)]
    }

    fn address(&mut self) -> SocketAddr {
        victim(self.rng.between(1_024, 65_535) as u16)
    }

    /// Answers each request: the other party is at the victim's address.
    fn answer(&mut self) {
        let events: Vec<_> = self
            .play
            .world
            .with(self.introducer, |endpoint, _| std::iter::from_fn(|| endpoint.poll_control()).collect());
        for (from, event) in events {
            let ControlEvent::Message { attempt, kind, body, .. } = event else { continue };
            let Some(party) = self.parties.iter().position(|party| party.at_introducer == from) else {
                continue;
            };
            match kind {
                ReliableKind::REQUEST => {
                    let body = self.introduced(&body);
                    self.send(party, attempt, ReliableKind::INTRODUCTION, &body);
                    self.told.push((party, attempt));
                }
                ReliableKind::TOKENS => self.tokens(party, attempt, false),
                _ => {}
            }
        }
    }

    fn introduced(&mut self, request: &[u8]) -> Vec<u8> {
        let introduced = Introduced {
            nat: self.claims[1],
            own_nat: self.claims[0],
            observed: Some("198.51.100.7:9".parse().unwrap()),
            candidates: vec![Candidate { kind: CandidateKind::Observed, address: self.address() }],
            ..invented(&mut self.rng, request)
        };
        let mut body = Vec::new();
        Introduction::Complete(Box::new(introduced)).write(&mut body);
        body
    }

    /// For a look, or as they were asked for.
    fn tokens(&mut self, party: usize, attempt: u32, is_look: bool) {
        let second = is_look.then(|| self.address());
        let tokens = (0..if is_look { 6 } else { 4 }).map(|_| self.rng.array()).collect();
        let mut body = Vec::new();
        Tokens { second, tokens }.write(&mut body);
        self.send(party, attempt, ReliableKind::TOKENS, &body);
    }

    /// One more lie about an attempt.
    fn lie(&mut self) {
        let newest = self.told.len().saturating_sub(4 * self.parties.len());
        let place = newest + self.rng.index((self.told.len() - newest).max(1));
        let Some(&(party, attempt)) = self.told.get(place) else { return };
        let mut body = Vec::new();
        match self.rng.index(4) {
            0 => {
                let is_look = self.rng.chance(0.7);
                self.tokens(party, attempt, is_look);
            }
            1 => {
                let round = self.rng.index(4) as u8;
                let observed = Observed { is_other: self.rng.chance(0.7), round, address: self.address() };
                observed.write(&mut body);
                self.send(party, attempt, ReliableKind::OBSERVED, &body);
            }
            2 => {
                let observed = Some("198.51.100.7:9".parse().unwrap());
                let [own, other] = if self.rng.chance(0.8) { self.claims } else { [self.nat(), self.nat()] };
                Nats { other, own, observed }.write(&mut body);
                self.send(party, attempt, ReliableKind::NATS, &body);
            }
            _ => {
                let candidate = Candidate { kind: CandidateKind::Observed, address: self.address() };
                write_candidates(&[candidate], &mut body);
                self.send(party, attempt, ReliableKind::CANDIDATES, &body);
            }
        }
    }

    /// The parties begin an attempt every five seconds, and hear lies.
    fn run(&mut self, seconds: u32) {
        for tick in 0..seconds * 4 {
            for party in 0..self.parties.len() {
                // It has places for 16 attempts of one connection in a minute.
                if tick.is_multiple_of(20) {
                    let Deceived { node, at_party, .. } = self.parties[party];
                    let options = IntroducedOptions::host();
                    let _ = self.play.wait_with(node, |endpoint, now| {
                        endpoint.connect_introduced(now, at_party, tick + 1, options)
                    });
                }
            }
            self.lie();
            for _ in 0..5 {
                self.answer();
                self.play.run_for(50 * MS);
                let open = self.parties.iter().map(|party| self.play.world.further_ports(party.node)).max();
                self.most_ports = self.most_ports.max(open.unwrap());
            }
        }
    }

    /// The datagrams that were sent to the victim, with their first bytes.
    fn received(&self) -> Vec<(torque_proto::Instant, u8)> {
        let sent = self.play.world.captured().iter();
        let sent = sent.filter(|sent| sent.to.socket_addr().is_some_and(|to| to.ip() == victim(1).ip()));
        sent.map(|sent| (sent.at, sent.bytes[0])).collect()
    }

    /// The parties end all attempts, and keep nothing.
    fn leave(mut self) {
        assert!(self.parties.iter().all(|party| self.play.end(party.node, party.at_party).closed.is_none()));
        self.play.close_all_and_finish(60 * SECOND);
        self.play.run_for(180 * SECOND);
        for party in &self.parties {
            let endpoint = self.play.world.node(party.node);
            assert_eq!((endpoint.slots_used(), endpoint.kept_for_introductions()), (0, 0));
            assert_eq!(self.play.world.further_ports(party.node), 0);
        }
    }
}

fn config(hard_nat: HardNat) -> Config {
    let mut config = Config::default();
    config.introduction.hard_nat = hard_nat;
    config
}

/// Ten minutes of lies to some parties.
fn deceive(seed: u64, hard_nat: HardNat, parties: usize) -> usize {
    let mut deceiver = Deceiver::new(seed, &config(hard_nat), parties);
    deceiver.run(600);
    let received = deceiver.received();
    let span = received.last().unwrap().0.saturating_since(received[0].0);
    assert!(span <= 600 * SECOND);
    let observes = received.iter().filter(|(_, kind)| *kind == 0x0d).count();
    let count = received.len();
    let attempts = deceiver.told.len();
    eprintln!(
        "{hard_nat:?}, {parties} parties, {attempts} attempts: {count} datagrams, {observes} of them observes, in {span:?}"
    );
    assert!(deceiver.most_ports <= config(hard_nat).introduction.further_ports);
    deceiver.leave();
    count
}

/// Without the application's word about a key, nobody sends more than the budgets of punches.
#[test]
fn an_introducer_that_lies_about_nats_has_nobody_try_ports_unless_that_is_always_allowed() {
    for_seeds(1, |seed| {
        for hard_nat in [HardNat::Never, HardNat::Verified] {
            let count = deceive(seed, hard_nat, 1);
            assert!(count <= 10 * A_MINUTE, "{count}");
        }
    });
}

/// With *always*, each party sends the punches of one run more.
#[test]
fn an_introducer_that_lies_about_nats_has_each_party_try_ports_once_in_ten_minutes() {
    for_seeds(1, |seed| {
        for parties in [1, 3] {
            let count = deceive(seed, HardNat::Always, parties);
            let most = parties * (10 * A_MINUTE + A_RUN);
            assert!(count <= most && count > most / 4, "{count} of {parties}");
        }
    });
}

/// No more ports are open than are allowed, and none if none are.
#[test]
fn open_ports_are_bounded() {
    for_seeds(3, |seed| {
        for further_ports in [0, 1, 16] {
            let mut config = config(HardNat::Always);
            config.introduction.further_ports = further_ports;
            let mut deceiver = Deceiver::new(seed, &config, 2);
            deceiver.claims = [Seen::Unpredictable, Seen::Independent];
            deceiver.run(60);
            assert_eq!(deceiver.most_ports, further_ports);
            deceiver.leave();
        }
    });
}

/// Tokens that nobody asked for, again and again: a party has one look at a time.
#[test]
fn tokens_that_nobody_asked_for_are_sent_to_two_addresses_and_seldom() {
    for_seeds(3, |seed| {
        let mut deceiver = Deceiver::new(seed, &config(HardNat::Never), 1);
        let introducer = deceiver.play.world.address(deceiver.introducer);
        deceiver.run(2);
        let attempt = deceiver.told[0].1;
        for _ in 0..1_000 {
            deceiver.tokens(0, attempt, true);
            deceiver.play.run_for(50 * MS);
        }
        let sent = deceiver.play.world.captured().iter().filter(|sent| sent.bytes[0] == 0x0d);
        let times: Vec<_> = sent.clone().map(|sent| sent.at).collect();
        let most = times.iter().map(|begin| {
            times.iter().filter(|at| **at >= *begin && at.saturating_since(*begin) < 4 * SECOND).count()
        });
        let most = most.max().unwrap();
        assert!((1..=OBSERVES).contains(&most), "{most}");
        let party = deceiver.play.world.address(deceiver.parties[0].node);
        assert!(sent.clone().all(|sent| {
            let to = sent.to.socket_addr().unwrap();
            (sent.to == introducer || to.ip() == victim(1).ip())
                && sent.from.socket_addr().unwrap().ip() == party.socket_addr().unwrap().ip()
        }));
        deceiver.leave();
    });
}
