//! Introducers and parties that lie, and attackers who see, replay and forge (INTRODUCTIONS.md 13): what does a victim receive?

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use torque_proto::control::ControlEvent;
use torque_proto::wire::control::reliable::ReliableKind;
use torque_proto::wire::introduction::{
    Candidate, CandidateKind, Introduced, Introduction, Nat, PartyFlags, Request, withdraw, write_candidates,
};
use torque_proto::{
    Address, CloseCode, Event, Instant, IntroducedOptions, IntroductionResult, KeyPair, Relaying,
};
use torque_sim::play::Draining;
use torque_sim::world::{Captured, Fate};

use super::relay::{address, both, config, hopeless, introduce, results, talk};
use super::*;

const PUNCH: u8 = 0x08;
const CHALLENGE_REQUEST: u8 = 0x01;
const CONNECT_REQUEST: u8 = 0x03;
const RELAYED: u8 = 0x0e;

/// What a tap has seen.
type Seen<T> = Rc<RefCell<T>>;

fn victim(ip: u32, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0xcb00_7100 + ip)), port)
}

/// No box stands before it.
fn open() -> Access {
    Access::ALL.into_iter().find(|access| access.boxes.is_empty()).unwrap()
}

/// A party, and an introducer that tells it what it likes.
struct Liar {
    play: Play,
    party: NodeId,
    introducer: NodeId,
    at_party: ConnectionId,
    at_introducer: ConnectionId,
    rng: SimRng,
    /// The attempts that were told of somebody.
    told: Vec<u32>,
}

impl Liar {
    fn new(seed: u64) -> Self {
        let mut play = Play::new(seed);
        let rng = play.world.fork_rng();
        play.world.set_capture(true);
        let [party, introducer] = [(); 2].map(|()| play.add(Config::default(), Behaviour::default()));
        let (at_party, at_introducer) = play.establish(party, introducer);
        play.world.with(introducer, |endpoint, _| endpoint.enable_control(at_introducer)).unwrap();
        Self { play, party, introducer, at_party, at_introducer, rng, told: Vec::new() }
    }

    fn begin(&mut self, remote: u32) -> Option<ConnectionId> {
        let (at_party, party) = (self.at_party, self.party);
        let begun = self.play.wait_with(party, |endpoint, now| {
            endpoint.connect_introduced(now, at_party, remote, IntroducedOptions::host())
        });
        begun.ok()
    }

    fn heard(&mut self) -> Vec<ControlEvent> {
        self.play.world.with(self.introducer, |endpoint, _| {
            std::iter::from_fn(|| endpoint.poll_control()).map(|(_, event)| event).collect()
        })
    }

    /// Answers each new request with a party that is at these addresses.
    fn answer(&mut self, mut addresses: impl FnMut(&mut SimRng) -> Vec<SocketAddr>) {
        let events: Vec<_> = self
            .play
            .world
            .with(self.introducer, |endpoint, _| std::iter::from_fn(|| endpoint.poll_control()).collect());
        for (_, event) in events {
            let ControlEvent::Message { attempt, kind: ReliableKind::REQUEST, body, .. } = event else {
                continue;
            };
            let mut introduced = invented(&mut self.rng, &body);
            introduced.candidates = candidates(&addresses(&mut self.rng));
            let mut body = Vec::new();
            Introduction::Complete(Box::new(introduced)).write(&mut body);
            self.send(attempt, ReliableKind::INTRODUCTION, &body);
            self.told.push(attempt);
        }
    }

    fn send_candidates(&mut self, attempt: u32, addresses: &[SocketAddr]) {
        let mut body = Vec::new();
        write_candidates(&candidates(addresses), &mut body);
        self.send(attempt, ReliableKind::CANDIDATES, &body);
    }

    fn send(&mut self, attempt: u32, kind: ReliableKind, body: &[u8]) {
        let id = self.at_introducer;
        self.play.world.with(self.introducer, |endpoint, now| {
            let _ = endpoint.send_control(now, id, attempt, kind, body);
        });
    }

    /// The party wants to be introduced again and again, to others each time, and the introducer names these addresses, and others
    /// later.
    fn lie(&mut self, seconds: u32, mut addresses: impl FnMut(&mut SimRng) -> Vec<SocketAddr>) {
        for tick in 0..seconds * 4 {
            self.begin(tick + 1);
            self.answer(&mut addresses);
            let attempts: Vec<_> = self.told.iter().rev().take(16).copied().collect();
            let attempt = attempts.get(self.rng.index(attempts.len().max(1))).copied();
            if let Some(attempt) = attempt {
                let list = addresses(&mut self.rng);
                self.send_candidates(attempt, &list);
            }
            self.play.run_for(250 * MS);
        }
    }

    /// When something was sent to victims, and to which.
    fn sent(&self, is_victim: impl Fn(SocketAddr) -> bool) -> Vec<(Instant, SocketAddr)> {
        let sent = self.play.world.captured().iter();
        let sent = sent.filter_map(|sent| Some((sent.at, sent.to.socket_addr()?)));
        sent.filter(|(_, to)| is_victim(*to)).collect()
    }
}

/// A party that there is not, which wants what a request asks for.
pub fn invented(rng: &mut SimRng, request: &[u8]) -> Introduced {
    let mut flags = Request::parse(request).unwrap().flags;
    flags.is_host = !flags.is_host;
    let secret: [u8; 32] = rng.array();
    Introduced {
        id: u64::from_be_bytes(rng.array()),
        flags,
        public_key: *KeyPair::from_seed(rng.array()).public().as_bytes(),
        nonce: rng.array(),
        secret: secret.into(),
        circuit: 0,
        circuit_rate: 0,
        nat: Nat::Unknown,
        own_nat: Nat::Unknown,
        observed: None,
        candidates: Vec::new(),
    }
}

fn candidates(addresses: &[SocketAddr]) -> Vec<Candidate> {
    addresses.iter().map(|address| Candidate { kind: CandidateKind::Mapped, address: *address }).collect()
}

/// The most that came within a span.
fn most_within(times: &[Instant], span: Duration) -> usize {
    let ends = times.iter().enumerate().map(|(first, begin)| {
        times[first..].iter().take_while(|at| at.saturating_since(*begin) < span).count()
    });
    ends.max().unwrap_or(0)
}

#[test]
fn an_introducer_that_lies_has_a_victim_punched_forty_times_in_ten_seconds_and_eighty_times_a_minute() {
    for_seeds(3, |seed| {
        let mut liar = Liar::new(seed);
        liar.lie(150, |rng| (0..8).map(|_| victim(1, rng.between(1_000, 60_000) as u16)).collect());
        let sent = liar.sent(|to| to.ip() == victim(1, 0).ip());
        let times: Vec<_> = sent.iter().map(|(at, _)| *at).collect();
        let [short, minute] = [10, 60].map(|seconds| most_within(&times, seconds * SECOND));
        assert!((30..=40).contains(&short) && (60..=80).contains(&minute), "{short} {minute}");
        let left_out = liar.play.world.node(liar.party).party_stats().punches_not_sent;
        assert!(left_out.to_network > 0, "{left_out:?}");
        liar.play.close_all_and_finish(60 * SECOND);
    });
}

#[test]
fn an_introducer_that_lies_has_sixty_four_networks_a_minute_punched() {
    for_seeds(3, |seed| {
        let mut liar = Liar::new(seed);
        liar.lie(59, |rng| (0..8).map(|_| victim(rng.between(0, 250) as u32, 5_000)).collect());
        let sent = liar.sent(|to| (victim(0, 0).ip()..=victim(250, 0).ip()).contains(&to.ip()));
        let networks: BTreeSet<_> = sent.iter().map(|(_, to)| to.ip()).collect();
        assert_eq!(networks.len(), 64);
        let times: Vec<_> = sent.iter().map(|(at, _)| *at).collect();
        assert!(most_within(&times, SECOND) <= 250);
        assert!(sent.len() <= 64 * 80);
        liar.play.close_all_and_finish(60 * SECOND);
    });
}

#[test]
fn addresses_that_are_no_single_socket_are_never_punched() {
    let names = [
        "224.0.0.1:5",
        "255.255.255.255:5",
        "0.0.0.0:5",
        "169.254.1.1:5",
        "[fe80::1]:5",
        "[ff02::1]:5",
        "[::]:5",
        "203.0.113.1:0",
    ];
    let list: Vec<SocketAddr> = names.iter().map(|name| name.parse().unwrap()).collect();
    let mut liar = Liar::new(5);
    let named = list.clone();
    liar.lie(30, move |_| named.clone());
    assert!(liar.told.len() > 5);
    assert!(liar.sent(|to| list.contains(&to)).is_empty());
    assert_eq!(liar.play.world.node(liar.party).party_stats().punches_sent, 0);
}

/// It may name the party's own key, repeat an id, or send nonsense: nothing comes of it, and nothing is left.
#[test]
fn what_an_introducer_makes_up_costs_its_own_attempts_only() {
    for_seeds(5, |seed| {
        let mut liar = Liar::new(seed);
        let ids: Vec<_> = (1..=16).filter_map(|remote| liar.begin(remote)).collect();
        assert_eq!(ids.len(), 16);
        liar.play.run_for(SECOND);
        liar.answer(|_| vec![victim(1, 5_000)]);
        let kinds = [
            ReliableKind::REQUEST,
            ReliableKind::INTRODUCTION,
            ReliableKind::OUTCOME,
            ReliableKind::CANDIDATES,
            ReliableKind::WITHDRAW,
            ReliableKind::TOKENS,
            ReliableKind::OBSERVED,
            ReliableKind::FORWARD,
            ReliableKind::CIRCUIT,
        ];
        for _ in 0..2_000 {
            let length = liar.rng.index(200);
            let mut body = liar.rng.bytes(length);
            if let Some(first) = body.first_mut().filter(|_| liar.rng.chance(0.5)) {
                *first %= 9;
            }
            let attempt = liar.rng.between(0, 18) as u32 | if liar.rng.chance(0.3) { 1 << 31 } else { 0 };
            let kind = kinds[liar.rng.index(kinds.len())];
            liar.send(attempt, kind, &body);
            liar.play.run_for(20 * MS);
        }
        liar.play.run_for(30 * SECOND);
        assert!(liar.play.end(liar.party, liar.at_party).closed.is_none());
        liar.play.close_all_and_finish(60 * SECOND);
        liar.play.run_for(120 * SECOND);
        let party = liar.play.world.node(liar.party);
        assert_eq!((party.slots_used(), party.kept_for_introductions()), (0, 0));
    });
}

/// However often its addresses change, and whatever the network does, the introducer hears of the last ones.
#[test]
fn the_introducer_hears_of_a_partys_last_addresses() {
    for_seeds(5, |seed| {
        let mut liar = Liar::new(seed);
        for remote in 1..=16 {
            liar.begin(remote);
        }
        liar.play.run_for(SECOND);
        liar.answer(|_| vec![victim(1, 5_000)]);
        let mut link = LinkConfig::perfect();
        (link.delay, link.loss) = (50 * MS, 0.3);
        liar.play.world.set_default_link(link);
        let mut last = BTreeMap::new();
        for step in 1..200 {
            if step < 100 {
                liar.play.world.with(liar.party, |endpoint, now| {
                    endpoint.set_own_candidates(now, &candidates(&[victim(9, step)]));
                });
            }
            let pause = liar.rng.duration(200 * MS);
            liar.play.run_for(pause);
            for event in liar.heard() {
                if let ControlEvent::Message { attempt, serial, kind: ReliableKind::CANDIDATES, body } = event
                {
                    let newest = last.entry(attempt).or_insert((serial, body.clone()));
                    if serial > newest.0 {
                        *newest = (serial, body);
                    }
                }
            }
        }
        let mut expected = Vec::new();
        write_candidates(&candidates(&[victim(9, 99)]), &mut expected);
        assert_eq!(last.len(), 16);
        assert!(last.values().all(|(_, body)| **body == expected), "{last:?}");
    });
}

/// A party that names somebody else's address.
#[test]
fn a_party_that_lies_about_its_addresses_is_vetted() {
    for_seeds(5, |seed| {
        let mut lobby = Lobby::apart(seed, &config(), [open(), open()]);
        lobby.play.world.set_capture(true);
        let named = [victim(1, 5_000), "10.9.9.9:5".parse().unwrap(), "127.0.0.1:5".parse().unwrap()];
        lobby.play.world.with(lobby.parties[HOST], |endpoint, now| {
            endpoint.set_own_candidates(now, &candidates(&named));
        });
        let ends = introduce(&mut lobby, both(&IntroducedOptions::host()));
        assert!(ends.iter().all(|(node, id)| lobby.play.end(*node, *id).established));
        let is_named = |sent: &&Captured| sent.to.socket_addr().is_some_and(|to| named[..1].contains(&to));
        assert_eq!(lobby.play.world.captured().iter().filter(is_named).count(), 0);
        assert!(lobby.play.world.node(lobby.introducer).introducer_stats().vetted_away > 0);
    });
}

/// Somebody who sees a punch sends it again and again, with a victim's source; and to its sender.
#[test]
fn a_punch_that_is_replayed_is_answered_for_a_second() {
    for_seeds(5, |seed| {
        let mut lobby = Lobby::apart(seed, &config(), [open(), open()]);
        let [initiator, host] = lobby.parties.map(|party| lobby.play.world.address(party));
        let victim = Address::from(victim(1, 5_000));
        lobby.play.world.open_mailbox(victim);
        let seen: Seen<Option<Instant>> = Seen::default();
        let first = Rc::clone(&seen);
        lobby.play.world.set_tap(move |passing| {
            let is_between = [passing.from, passing.to].iter().all(|end| [initiator, host].contains(end));
            if !is_between {
                return Fate::Pass;
            }
            if passing.bytes[0] == PUNCH && passing.to == host && first.borrow().is_none() {
                *first.borrow_mut() = Some(passing.now);
                for count in 0..1_000 {
                    passing.inject(20 * MS * count, victim, host, passing.bytes.clone());
                    passing.inject(20 * MS * count, host, initiator, passing.bytes.clone());
                }
            }
            Fate::Drop
        });
        let never = IntroducedOptions::host().with_relay(Relaying::Never);
        introduce(&mut lobby, both(&never));
        let began = seen.borrow().unwrap();
        let mail = lobby.play.world.take_mail(victim);
        // Four in each of the two seconds that begin in this time.
        assert!((1..=8).contains(&mail.len()), "{}", mail.len());
        assert!(mail.iter().all(|got| got.bytes.len() == 42 && got.bytes[0] == PUNCH));
        assert!(mail.iter().all(|got| got.at.saturating_since(began) < 1_200 * MS));
        lobby.play.run_for(SECOND);
        assert_eq!(results(&lobby.play, lobby.introducer), [IntroductionResult::Failed(CloseCode::NoPath)]);
        // What came back was dropped at once.
        let stats = lobby.play.world.node(lobby.parties[INITIATOR]).party_stats();
        assert_eq!(stats.punches_received, 0);
    });
}

/// Somebody who sees an introduction's id makes punches up, in a victim's name and in the other party's.
#[test]
fn a_punch_that_is_forged_is_answered_by_nobody() {
    for_seeds(5, |seed| {
        let mut lobby = Lobby::apart(seed, &config(), [open(), open()]);
        let ends = lobby.parties.map(|party| lobby.play.world.address(party));
        let victim = Address::from(victim(1, 5_000));
        lobby.play.world.open_mailbox(victim);
        let mut dice = SimRng::new(seed);
        let forged: Seen<u64> = Seen::default();
        let count = Rc::clone(&forged);
        lobby.play.world.set_tap(move |passing| {
            let is_between = [passing.from, passing.to].iter().all(|end| ends.contains(end));
            if !is_between {
                return Fate::Pass;
            }
            if passing.bytes[0] == PUNCH {
                for place in 10..42 {
                    let mut bytes = passing.bytes.clone();
                    bytes[place] ^= 1 << dice.index(8);
                    passing.inject(MS, victim, passing.to, bytes.clone());
                    passing.inject(MS, passing.from, passing.to, bytes);
                    *count.borrow_mut() += 2;
                }
            }
            Fate::Drop
        });
        let never = IntroducedOptions::host().with_relay(Relaying::Never);
        introduce(&mut lobby, both(&never));
        assert!(lobby.play.world.take_mail(victim).is_empty());
        assert!(*forged.borrow() > 1_000);
        for party in lobby.parties {
            assert_eq!(lobby.play.world.node(party).party_stats().punches_received, 0);
        }
    });
}

/// Circuits carry what their parties send, and nothing else.
#[test]
fn a_circuit_is_of_no_use_to_others() {
    for_seeds(3, |seed| {
        let mut lobby = Lobby::apart(seed, &config(), hopeless());
        let introducer = lobby.play.world.address(lobby.introducer);
        let seen: Seen<BTreeSet<(Address, Vec<u8>)>> = Seen::default();
        let heads = Rc::clone(&seen);
        lobby.play.world.set_tap(move |passing| {
            if passing.bytes[0] == RELAYED && passing.to == introducer {
                heads.borrow_mut().insert((passing.from, passing.bytes[..5].to_vec()));
            }
            Fate::Pass
        });
        let ends = introduce(&mut lobby, both(&IntroducedOptions::host()));
        talk(&mut lobby.play, ends, 1);
        let outsider = Address::from(victim(1, 5_000));
        lobby.play.world.open_mailbox(outsider);
        let before = lobby.play.world.node(lobby.introducer).introducer_stats().clone();
        let refused = lobby.play.stats(lobby.introducer).relayed_refused;
        let heads: Vec<_> = seen.borrow().iter().cloned().collect();
        assert_eq!(heads.len(), 2);
        for (from, head) in &heads {
            let inject = |world: &mut torque_sim::World, from, head: &[u8], inner: &[u8]| {
                world.inject(Duration::ZERO, from, introducer, [head, inner].concat());
            };
            let world = &mut lobby.play.world;
            inject(world, outsider, head, &[0x80; 40]);
            let mut other = head.clone();
            other[4] ^= 1;
            inject(world, *from, &other, &[0x80; 40]);
            // Nothing is nested, and no other kinds are inside.
            for first in [RELAYED, 0x00, 0x09, 0x0a, 0x0d, 0x20, 0x7f] {
                inject(world, *from, head, &[first; 40]);
            }
            inject(world, *from, head, &[0x80; 1_228]);
            inject(world, *from, head, &[]);
        }
        lobby.play.run_for(100 * MS);
        let after = lobby.play.world.node(lobby.introducer).introducer_stats().clone();
        assert_eq!(after.not_relayable - before.not_relayable, 14);
        assert_eq!(after.unknown_circuit - before.unknown_circuit, 2);
        assert_eq!(lobby.play.stats(lobby.introducer).relayed_refused - refused, 4);
        assert!(lobby.play.world.take_mail(outsider).is_empty());
        talk(&mut lobby.play, ends, 1);
        lobby.play.world.clear_tap();
        lobby.play.close_all_and_finish(30 * SECOND);
    });
}

/// Requests of an introduction are answered where it has a path, and nowhere else, and those with another id nowhere.
#[test]
fn requests_of_an_introduction_are_answered_on_its_paths_only() {
    for_seeds(5, |seed| {
        for is_quick in [true, false] {
            let mut lobby = Lobby::apart(seed, &config(), [open(), open()]);
            let host = lobby.play.world.address(lobby.parties[HOST]);
            let outsider = Address::from(victim(1, 5_000));
            lobby.play.world.open_mailbox(outsider);
            let seen: Seen<u64> = Seen::default();
            let count = Rc::clone(&seen);
            lobby.play.world.set_tap(move |passing| {
                let offset = match passing.bytes[0] {
                    CHALLENGE_REQUEST => 38,
                    CONNECT_REQUEST => 44,
                    _ => return Fate::Pass,
                };
                if passing.to == host && passing.bytes[offset..offset + 8] != [0; 8] {
                    *count.borrow_mut() += 1;
                    passing.inject(MS, outsider, host, passing.bytes.clone());
                    let mut other = passing.bytes.clone();
                    other[offset] ^= 1;
                    passing.inject(MS, passing.from, host, other);
                }
                Fate::Pass
            });
            let slow = Behaviour {
                request: torque_sim::play::Answer::Accept(if is_quick {
                    Duration::ZERO
                } else {
                    20 * SECOND
                }),
                ..Behaviour::default()
            };
            lobby.play.set_behaviour(lobby.parties[HOST], slow);
            let ends = introduce(&mut lobby, both(&IntroducedOptions::host()));
            talk(&mut lobby.play, ends, 1);
            let seen = *seen.borrow();
            assert!(seen >= 2);
            assert_eq!(lobby.play.stats(lobby.parties[HOST]).unknown_introduction, 2 * seen);
            assert!(lobby.play.world.take_mail(outsider).is_empty());
            let asked = lobby.play.history(lobby.parties[HOST]).iter();
            let asked = asked.filter(|(_, event)| matches!(event, Event::ConnectRequest(_))).count();
            assert_eq!(asked, 1);
        }
    });
}

/// The adversary sees everything that passes between the parties. It forges, replays, sends back and moves punches and handshakes.
#[test]
fn what_an_adversary_does_to_punches_and_handshakes_harms_nobody() {
    for_seeds(40, |seed| {
        let mut rng = SimRng::new(seed);
        let home = Access::named("EI/APD").unwrap();
        let kinds = [(); 2].map(|()| if rng.chance(0.5) { home } else { open() });
        let mut lobby = Lobby::apart(seed, &config(), kinds);
        let introducer = lobby.play.world.address(lobby.introducer);
        let victims: Vec<Address> = (0..8).map(|number| victim(number, 5_000).into()).collect();
        for victim in &victims {
            lobby.play.world.open_mailbox(*victim);
        }
        let mut dice = rng.fork();
        let zeal = rng.unit();
        let (targets, mut old) = (victims.clone(), Vec::new());
        lobby.play.world.set_tap(move |passing| {
            let is_meant = (CHALLENGE_REQUEST..=PUNCH).contains(&passing.bytes[0]);
            if passing.from == introducer || passing.to == introducer || !is_meant {
                return Fate::Pass;
            }
            let (from, to) = (passing.from, passing.to);
            // Now and then it arrives from elsewhere only. Changed and lost at once, it would end the attempt, as any handshake.
            if dice.chance(zeal * 0.1) {
                passing.inject(MS, targets[dice.index(targets.len())], to, passing.bytes.clone());
                return Fate::Drop;
            }
            old.push((from, to, passing.bytes.clone()));
            for _ in 0..3 {
                if !dice.chance(zeal) {
                    continue;
                }
                let longest = if dice.chance(0.8) { 300 * MS } else { 10 * SECOND };
                let wait = dice.duration(longest);
                let elsewhere = targets[dice.index(targets.len())];
                let (_, earlier_to, earlier) = old[dice.index(old.len())].clone();
                let mut forged = passing.bytes.clone();
                let place = dice.index(forged.len());
                forged[place] ^= 1 << dice.index(8);
                // A changed request that outruns the true one uses its token up. An attacker who can do that could drop it as well.
                let kinds = if passing.bytes[0] == CONNECT_REQUEST { 5 } else { 7 };
                match dice.index(kinds) {
                    // Replayed from where it came, and from elsewhere.
                    0 => passing.inject(wait, from, to, passing.bytes.clone()),
                    1 => passing.inject(wait, elsewhere, to, passing.bytes.clone()),
                    2 => passing.inject(wait, elsewhere, earlier_to, earlier),
                    // Sent back, from the other side and from elsewhere.
                    3 => passing.inject(wait, to, from, passing.bytes.clone()),
                    4 => passing.inject(wait, elsewhere, from, passing.bytes.clone()),
                    // Changed.
                    5 => passing.inject(wait, from, to, forged),
                    _ => passing.inject(wait, elsewhere, to, forged),
                }
            }
            Fate::Pass
        });
        let never = IntroducedOptions::host().with_relay(Relaying::Never);
        let ends = introduce(&mut lobby, both(&never));
        for (side, (node, id)) in ends.into_iter().enumerate() {
            assert!(lobby.play.end(node, id).established, "{side}: {:?}", lobby.play.history(node));
            // It is where the other party is.
            let there = address(&lobby.play, (node, id)).unwrap();
            assert!(!victims.contains(&there), "{side}: {there}");
        }
        let asked = lobby.play.history(lobby.parties[HOST]).iter();
        let asked = asked.filter(|(_, event)| matches!(event, Event::ConnectRequest(_))).count();
        assert_eq!(asked, 1);
        lobby.play.run_for(SECOND);
        assert_eq!(results(&lobby.play, lobby.introducer), [IntroductionResult::Direct]);
        lobby.play.run_for(30 * SECOND);
        lobby.play.world.clear_tap();
        talk(&mut lobby.play, ends, 1);
        let key = |node| lobby.play.key(node);
        let keys = lobby.parties.map(key);
        for (side, (node, id)) in ends.into_iter().enumerate() {
            assert_eq!(lobby.play.world.node(node).peer(id).unwrap().public_key, keys[1 - side]);
        }
        // Victims get answers, which are not longer than what was sent in their name: of each party four in a second to punches of the
        // introduction, four to those of the connection, and one word that it knows nobody there. A second may lie across two of these.
        for victim in &victims {
            let mail = lobby.play.world.take_mail(*victim);
            assert!(mail.iter().all(|got| got.bytes.len() <= 42));
            let times: Vec<_> = mail.iter().map(|got| got.at).collect();
            let most = most_within(&times, SECOND);
            assert!(most <= 2 * 2 * (4 + 4 + 1), "{most}");
        }
        lobby.play.close_all_and_finish(30 * SECOND);
    });
}

/// An application that takes no events answers nobody. Who asks again and again meanwhile fills its own share of the queue.
#[test]
fn requests_that_nobody_takes_are_bounded_and_leave_room_for_others() {
    let mut lobby = Lobby::apart(1, &config(), [open(), open()]);
    let never = Behaviour { draining: Draining::Never, ..Behaviour::default() };
    lobby.play.set_behaviour(lobby.introducer, never);
    let ask = |lobby: &mut Lobby, side: usize, kind, body: &[u8]| {
        let (party, connection) = (lobby.parties[side], lobby.at_party[side]);
        let sent = lobby.play.world.with(party, |endpoint, now| {
            while endpoint.poll_control().is_some() {}
            endpoint.send_control(now, connection, 1, kind, body)
        });
        sent.unwrap();
        lobby.play.run_for(150 * MS);
    };
    let request = |other: ConnectionId| {
        let (flags, nonce) = (PartyFlags::default(), [1; 16]);
        let mut body = Vec::new();
        Request { remote: other.get(), flags, nonce, candidates: Vec::new() }.write(&mut body);
        body
    };
    let [initiator, host] = lobby.at_introducer;
    for _ in 0..100 {
        ask(&mut lobby, INITIATOR, ReliableKind::REQUEST, &request(host));
        ask(&mut lobby, INITIATOR, ReliableKind::WITHDRAW, &withdraw(CloseCode::Closed));
    }
    ask(&mut lobby, HOST, ReliableKind::REQUEST, &request(initiator));
    assert!(lobby.play.stats(lobby.introducer).introductions_not_told >= 50);
    lobby.play.set_behaviour(lobby.introducer, Behaviour::default());
    lobby.play.run_for(SECOND);
    let told = |asker| {
        let events = lobby.play.history(lobby.introducer).iter();
        events
            .filter(|(_, event)| matches!(event, Event::IntroductionRequested { from, .. } if *from == asker))
            .count()
    };
    assert_eq!((told(initiator), told(host)), (config().introduction.records_per_connection, 1));
}
