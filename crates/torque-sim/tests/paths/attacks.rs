//! Attackers who see, replay and forge, and peers that claim the address of another one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::*;
use torque_sim::world::{Captured, Fate};

const PACKET: u8 = 0x80;
const PUNCH: u8 = 0x08;
const WHO_ARE_YOU: u8 = 0x09;
const RESET: u8 = 0x0a;

/// The id that a punch shows.
fn id_of(punch: &[u8]) -> [u8; 8] {
    punch[2..10].try_into().unwrap()
}

/// An address that somebody made up, one of many in as many networks.
fn invented(rng: &mut SimRng) -> Address {
    let [a, b, c, d] = rng.array();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(100 + a % 100, b, c, d)), 6_000).into()
}

/// The attacker is faster than the network. It draws resets with all punches that it saw, and sends them on.
#[test]
fn a_host_that_lives_never_ends_a_connection_by_reset() {
    let mut drawn = 0;
    for_seeds(30, |seed| {
        let mut rng = SimRng::new(seed);
        let mut config = Config::default();
        config.sole_identity = true;
        let link = way(20 * MS + rng.duration(200 * MS));
        let pause = rng.chance(0.6).then_some(50 * MS);
        let mut journey = Journey::new(seed, config, [pause, pause], link);
        let host = journey.address(HOST);
        let resets = Rc::new(RefCell::new(0));
        let (count, mut dice) = (Rc::clone(&resets), rng.fork());
        let mut client = journey.address(CLIENT);
        let mut seen: BTreeMap<[u8; 8], Vec<u8>> = BTreeMap::new();
        journey.play.world.set_tap(move |passing| {
            let bytes = passing.bytes.clone();
            if passing.from == host {
                if bytes[0] == RESET {
                    *count.borrow_mut() += 1;
                    for wait in [0, 1, 50] {
                        passing.inject(wait * MS, host, client, bytes.clone());
                    }
                }
                return Fate::Pass;
            }
            client = passing.from;
            if bytes[0] == PUNCH {
                seen.insert(id_of(&bytes), bytes);
            }
            // The host forgets an older id as soon as this one has arrived.
            for old in seen.values() {
                let from = if dice.chance(0.2) { client } else { invented(&mut dice) };
                passing.inject(link.delay + MS, from, host, old.clone());
            }
            Fate::Pass
        });
        for _ in 0..5 {
            let [client, host] = journey.nodes;
            let there = journey.elsewhere();
            journey.play.world.set_partition(client, host, true);
            journey.play.run_for(rng.duration(3 * SECOND));
            journey.play.world.set_partition(client, host, false);
            journey.go(CLIENT, there);
            journey.notice(CLIENT);
            journey.play.run_for(2 * SECOND + rng.duration(6 * SECOND));
            journey.assert_open();
        }
        drawn += *resets.borrow();
        journey.play.world.clear_tap();
        journey.ends_well();
    });
    assert!(drawn > 0, "the attacker draws resets with ids that were in use once");
}

/// In each span of a second, at most so many of these are from this node, as `key` counts them.
fn assert_rate<K: Ord>(what: &str, sent: &[&Captured], limit: usize, key: impl Fn(&Captured) -> K) {
    let mut times: BTreeMap<K, Vec<Instant>> = BTreeMap::new();
    for datagram in sent {
        times.entry(key(datagram)).or_default().push(datagram.at);
    }
    for times in times.values() {
        for (from, to) in times.iter().zip(times.iter().skip(limit)) {
            assert!(to.saturating_since(*from) >= SECOND - MS, "more than {limit} {what} a second");
        }
    }
}

#[test]
fn floods_draw_no_more_than_the_limits_and_end_no_connection() {
    for_seeds(2, |seed| {
        let mut rng = SimRng::new(seed);
        let mut config = Config::default();
        config.sole_identity = true;
        let mut journey = Journey::new(seed, config, [Some(50 * MS); 2], way(60 * MS));
        journey.play.world.set_capture(true);
        journey.notice(CLIENT);
        journey.play.run_for(SECOND);
        let punch = |datagram: &&Captured| datagram.bytes[0] == PUNCH;
        let id = id_of(&journey.play.world.captured().iter().find(punch).unwrap().bytes);
        let ends = [CLIENT, HOST].map(|side| journey.address(side));
        for _ in 0..6_000 {
            let side = rng.index(2);
            let mut bytes = vec![0; 42];
            rng.fill(&mut bytes);
            // Some of many networks, some of many ports, and some from the other side's address.
            let from = match rng.index(4) {
                0 => ends[1 - side],
                1 => SocketAddr::new(IpAddr::V4(Ipv4Addr::new(99, 9, 9, 9)), rng.between(1, 60_000) as u16)
                    .into(),
                _ => invented(&mut rng),
            };
            match rng.index(5) {
                kind @ 0..2 => {
                    (bytes[0], bytes[1]) = (PUNCH, if side == HOST { 2 } else { 3 });
                    if kind == 1 {
                        bytes[2..10].copy_from_slice(&id);
                    }
                }
                2 => bytes = vec![WHO_ARE_YOU],
                3 => {
                    bytes[0] = RESET;
                    bytes.truncate(17);
                }
                _ => bytes[0] |= PACKET,
            }
            journey.play.world.inject(Duration::ZERO, from, ends[side], bytes);
            journey.play.run_for(MS);
        }
        journey.play.run_for(120 * SECOND);
        journey.assert_open();
        let captured = journey.play.world.captured();
        for from in ends {
            let of = |kind: u8| -> Vec<_> {
                captured.iter().filter(|sent| sent.from == from && sent.bytes[0] == kind).collect()
            };
            for (what, kind) in [("who_are_you", WHO_ARE_YOU), ("resets", RESET)] {
                let sent = of(kind);
                assert!(kind == RESET && from == ends[CLIENT] || !sent.is_empty(), "no {what}");
                assert_rate(what, &sent, 64, |_| ());
                assert_rate(what, &sent, 1, |sent| sent.to);
                assert_rate(what, &sent, 8, |sent| sent.to.socket_addr().unwrap().ip());
            }
            let punches = of(PUNCH);
            assert_rate("punches", &punches, 32 + 16, |_| ());
            assert!(punches.iter().all(|sent| ends.contains(&sent.to)), "a punch to a stranger");
            // Nothing is looked after any more.
            let last = captured.last().unwrap().at;
            assert!(punches.iter().all(|sent| last.saturating_since(sent.at) > 60 * SECOND));
        }
        journey.play.world.set_capture(false);
        journey.ends_well();
    });
}

/// Hostile peers let their punches come from the address of another client, and echo what the host sends there, as somebody on the path
/// can. At their own addresses they are silent. The other client stays where it is, and so do its packets.
#[test]
fn no_peer_gets_an_address_from_which_its_owner_answers() {
    for_seeds(10, |seed| {
        let mut rng = SimRng::new(seed);
        let mut journey =
            Journey::new(seed, Config::default(), [Some(20 * MS); 2], way(20 * MS + rng.duration(100 * MS)));
        let (host, victim) = (journey.address(HOST), journey.address(CLIENT));
        let peers: Vec<_> = (0..rng.between(1, 8))
            .map(|_| {
                let peer = journey.play.add(Config::default(), sends(Some(30 * MS)));
                (peer, journey.play.establish(peer, journey.nodes[HOST]).0)
            })
            .collect();
        journey.play.run_for(SECOND);
        let addresses: Vec<_> = peers.iter().map(|(peer, _)| journey.play.world.address(*peer)).collect();
        let mut ids: BTreeMap<[u8; 8], Address> = BTreeMap::new();
        let echoes = Rc::new(RefCell::new(0));
        let (count, known) = (Rc::clone(&echoes), addresses.clone());
        journey.play.world.set_tap(move |passing| {
            let (from, bytes) = (passing.from, passing.bytes.clone());
            if known.contains(&from) {
                if bytes[0] == PUNCH {
                    ids.insert(id_of(&bytes), from);
                    passing.inject(5 * MS, victim, host, bytes);
                }
                return Fate::Drop;
            }
            if from == host
                && bytes[0] == PUNCH
                && let Some(peer) = ids.get(&id_of(&bytes))
            {
                *count.borrow_mut() += u32::from(passing.to == victim);
                passing.inject(5 * MS, host, *peer, bytes);
            }
            Fate::Pass
        });
        for _ in 0..4 {
            for (peer, _) in &peers {
                journey.play.world.with(*peer, |endpoint, now| endpoint.network_changed(now));
            }
            journey.play.run_for(SECOND);
            let before = journey.play.arrivals(journey.nodes[CLIENT]).len();
            journey.play.run_for(SECOND);
            assert!(journey.play.arrivals(journey.nodes[CLIENT]).len() >= before + 40, "its packets come");
            let remote =
                journey.play.world.node(journey.nodes[HOST]).peer(journey.ids[HOST]).unwrap().address;
            assert_eq!(remote, victim);
            journey.assert_open();
        }
        assert!(*echoes.borrow() > 0, "the host asks there");
        let longest = journey.longest_silence(CLIENT, 8 * SECOND);
        assert!(longest < 200 * MS, "{longest:?}");
        journey.play.world.clear_tap();
        journey.play.run_for(8 * SECOND);
        // They lose the path, not their connections.
        for (peer, id) in peers {
            assert_eq!(journey.play.end(peer, id).closed, None);
            journey.play.close(peer, id, b"");
        }
        journey.ends_well();
    });
}

/// One punch that was captured comes again and again from other addresses, while a NAT gives the client another port.
#[test]
fn replays_of_one_punch_do_not_hinder_a_move() {
    for_seeds(20, |seed| {
        let mut rng = SimRng::new(seed);
        let mut journey =
            Journey::new(seed, Config::default(), [Some(20 * MS); 2], way(20 * MS + rng.duration(200 * MS)));
        journey.play.world.set_capture(true);
        journey.notice(CLIENT);
        journey.play.run_for(2 * SECOND);
        let client = journey.address(CLIENT);
        let is_it =
            |sent: &&Captured| sent.from == client && sent.bytes[0] == PUNCH && sent.bytes[10..18] != [0; 8];
        let punch = journey.play.world.captured().iter().find(is_it).unwrap().bytes.clone();
        journey.play.world.set_capture(false);
        let host = journey.address(HOST);
        for step in 0..4_000 {
            if step == 400 {
                journey.rebind(CLIENT);
            }
            let from = invented(&mut rng);
            journey.play.world.inject(Duration::ZERO, from, host, punch.clone());
            journey.play.run_for(5 * MS);
        }
        let time = journey.interruptions(CLIENT)[0];
        assert!(time <= SECOND, "{time:?}");
        journey.ends_well();
    });
}

/// An observer who is faster than the network sends three copies of each punch from other addresses.
#[test]
fn copies_that_outrun_a_punch_do_not_hide_a_move() {
    for_seeds(20, |seed| {
        let mut rng = SimRng::new(seed);
        let link = way(20 * MS + rng.duration(200 * MS));
        let mut journey = Journey::new(seed, Config::default(), [Some(20 * MS); 2], link);
        journey.play.run_for(2 * SECOND);
        let host = journey.address(HOST);
        journey.play.world.set_tap(move |passing| {
            if passing.from != host && passing.bytes[0] == PUNCH {
                for _ in 0..3 {
                    let bytes = passing.bytes.clone();
                    passing.inject(MS, invented(&mut rng), host, bytes);
                }
            }
            Fate::Pass
        });
        journey.rebind(CLIENT);
        journey.play.run_for(10 * SECOND);
        let time = journey.interruptions(CLIENT)[0];
        assert!(time <= SECOND, "{time:?}");
        journey.play.world.clear_tap();
        journey.ends_well();
    });
}
