//! Two parties behind NATs that depend on the destination, and their introducer (INTRODUCTIONS.md 9).

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::Ipv4Addr;

use super::*;
use crate::crypto::rng::Rng;
use crate::introduction::{HardNat, OBSERVING_PORT, PortRequest, Relay};
use crate::wire::introduction as wire;

const INTRODUCER: usize = 0;
const INITIATOR: usize = 1;
const GUEST_HOST: usize = 2;
/// One way through the network.
const DELAY: Duration = Duration::from_millis(20);

/// How a NAT chooses the port for a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mapping {
    Independent,
    /// The next one, or a later one: others take ports, too.
    Sequential,
    Unpredictable,
}

/// A NAT that lets in only what its side has sent to.
struct Nat {
    ip: Ipv4Addr,
    mapping: Mapping,
    last: u16,
    ports: BTreeMap<(u16, Option<SocketAddr>), u16>,
    open: BTreeSet<(u16, SocketAddr)>,
    rng: Rng,
}

impl Nat {
    fn leaves(&mut self, port: u16, to: SocketAddr) -> SocketAddr {
        let (rng, last, mapping) = (&mut self.rng, &mut self.last, self.mapping);
        let key = (port, (mapping != Mapping::Independent).then_some(to));
        let outer = *self.ports.entry(key).or_insert_with(|| match mapping {
            Mapping::Sequential => {
                let others = u64::from(rng.below(10) == 0) * rng.below(4);
                *last += 2 + 2 * others as u16;
                *last
            }
            _ => 1_024 + rng.below(64_512) as u16,
        });
        self.open.insert((outer, to));
        SocketAddr::new(self.ip.into(), outer)
    }

    fn arrives(&self, outer: u16, from: SocketAddr) -> Option<u16> {
        let is_let_in = self.open.contains(&(outer, from));
        let (key, _) = self.ports.iter().find(|(_, port)| **port == outer).filter(|_| is_let_in)?;
        Some(key.0)
    }
}

struct World {
    now: Instant,
    ends: [Endpoint; 3],
    /// Those of the parties.
    nats: [Nat; 2],
    /// Local ports that are open: the bound one, and others.
    open: [BTreeSet<u16>; 3],
    /// Datagrams under way.
    way: Vec<(Instant, SocketAddr, SocketAddr, Vec<u8>)>,
    events: [Vec<Event>; 3],
    /// The most ports that were open at a time.
    most_open: usize,
}

fn introducer_address() -> SocketAddr {
    "198.51.100.1:1000".parse().unwrap()
}

/// Where the introducer sees what a NAT makes of another destination.
fn second_address() -> SocketAddr {
    "198.51.100.2:1000".parse().unwrap()
}

impl World {
    fn new(seed: u8, mappings: [Mapping; 2], hard_nat: HardNat) -> Self {
        let mut ends = [0, 1, 2].map(|end| {
            let mut config = Config::default();
            config.introduction.introduces = end == INTRODUCER;
            config.introduction.hard_nat = hard_nat;
            endpoint_with(seed + end as u8, config)
        });
        let nats = [1, 2].map(|end| Nat {
            ip: Ipv4Addr::new(203, 0, 113, end as u8),
            mapping: mappings[end - 1],
            last: 5_000 * end as u16,
            ports: BTreeMap::new(),
            open: BTreeSet::new(),
            rng: Rng::new([seed + 10 + end as u8; 32]),
        });
        ends[INTRODUCER].set_observing_address(second_address());
        let open = [0, 1, 2].map(|end| match end {
            INTRODUCER => BTreeSet::from([0, OBSERVING_PORT]),
            _ => BTreeSet::from([0]),
        });
        let (way, events) = (Vec::new(), [0, 1, 2].map(|_| Vec::new()));
        Self { now: Instant::from_millis(1), ends, nats, open, way, events, most_open: 0 }
    }

    fn send_all(&mut self) {
        for end in 0..3 {
            while let Some(request) = self.ends[end].poll_port_request() {
                let was_right = match request {
                    PortRequest::Open(port) => self.open[end].insert(port),
                    PortRequest::Close(port) => self.open[end].remove(&port),
                };
                assert!(was_right, "{request:?}");
                if end != INTRODUCER {
                    self.most_open = self.most_open.max(self.open[end].len() - 1);
                }
            }
            for transmit in self.ends[end].transmits().iter() {
                let (port, to) = (transmit.path.port, transmit.path.remote.socket_addr().unwrap());
                if !self.open[end].contains(&port) {
                    continue;
                }
                let from = match end {
                    INTRODUCER => introducer_address(),
                    _ => self.nats[end - 1].leaves(port, to),
                };
                if transmit.hop_limit.is_none() {
                    self.way.push((self.now + DELAY, from, to, transmit.bytes.to_vec()));
                }
            }
            self.ends[end].transmits().clear();
            self.events[end].extend(core::iter::from_fn(|| self.ends[end].poll_event()));
        }
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while self.now < end {
            self.now += Duration::from_micros(500);
            let now = self.now;
            let (due, later) = core::mem::take(&mut self.way).into_iter().partition(|sent| sent.0 <= now);
            self.way = later;
            for (_, from, to, mut bytes) in due {
                let at = if to == introducer_address() {
                    Some((INTRODUCER, 0))
                } else if to == second_address() {
                    Some((INTRODUCER, OBSERVING_PORT))
                } else {
                    let nat = self.nats.iter().position(|nat| nat.ip == to.ip());
                    nat.and_then(|nat| Some((nat + 1, self.nats[nat].arrives(to.port(), from)?)))
                };
                if let Some((end, port)) = at.filter(|(end, port)| self.open[*end].contains(port)) {
                    let path = Path { port, ..Path::to(from.into()) };
                    self.ends[end].handle_datagram(now, Datagram { path, bytes: &mut bytes });
                }
            }
            // Like drivers, which send when timers have run, too.
            for end in &mut self.ends {
                if end.poll_timeout().is_some_and(|(at, _)| at <= now) {
                    end.handle_timeout(now);
                }
            }
            self.send_all();
        }
    }

    /// Connects both parties to the introducer. Returns its ids of the connections, and theirs.
    fn connect(&mut self) -> ([ConnectionId; 2], [ConnectionId; 2]) {
        let mut of_parties = Vec::new();
        let mut of_introducer = Vec::new();
        for party in [INITIATOR, GUEST_HOST] {
            let options = ConnectOptions::new(Trust::Anyone);
            of_parties
                .push(self.ends[party].connect(self.now, introducer_address().into(), options).unwrap());
            self.pass(300);
            let Some(Event::ConnectRequest(request)) = self.events[INTRODUCER].pop() else { panic!() };
            self.ends[INTRODUCER].accept_connection(self.now, request.connection, b"").unwrap();
            of_introducer.push(request.connection);
            self.pass(300);
            self.events.iter_mut().for_each(Vec::clear);
        }
        (of_introducer.try_into().unwrap(), of_parties.try_into().unwrap())
    }

    /// Introduces the two, and accepts. Returns the ids of the introduced connection, and those of the ones with the introducer.
    fn introduce(&mut self, relay: Option<Relay>, trust: Trust) -> ([ConnectionId; 2], [ConnectionId; 2]) {
        let (known, parties) = self.connect();
        self.ends[INTRODUCER].introduce(self.now, known[0], known[1], relay).unwrap();
        let options = [IntroducedOptions::initiator(ConnectOptions::new(trust)), IntroducedOptions::host()];
        let mut ids = Vec::new();
        for (index, options) in options.into_iter().enumerate() {
            let (end, remote) = (&mut self.ends[index + 1], known[1 - index].get());
            ids.push(end.connect_introduced(self.now, parties[index], remote, options).unwrap());
        }
        for _ in 0..400 {
            self.pass(50);
            let asked = self.events[GUEST_HOST].iter().any(|event| matches!(event, Event::ConnectRequest(_)));
            if asked {
                break;
            }
        }
        self.ends[GUEST_HOST].accept_connection(self.now, ids[1], b"").unwrap();
        self.pass(300);
        (ids.try_into().unwrap(), parties)
    }

    /// Sends a packet each way, and sees both arrive.
    fn speak(&mut self, ids: [ConnectionId; 2]) {
        self.events.iter_mut().for_each(Vec::clear);
        for (index, id) in ids.into_iter().enumerate() {
            self.ends[index + 1].send(self.now, id, b"hello").unwrap();
        }
        self.pass(400);
        for end in [INITIATOR, GUEST_HOST] {
            let packets = self.events[end].iter().filter(|event| matches!(event, Event::Packet { .. }));
            assert_eq!(packets.count(), 1, "{end}: {:?}", self.events[end]);
        }
    }

    fn is_direct(&self, ids: [ConnectionId; 2]) -> bool {
        let direct = |index: usize| !self.ends[index + 1].remote_address(ids[index]).unwrap().is_circuit();
        direct(0) && direct(1)
    }

    /// Closes the connection where it has no further port, if it has none at one side, then those with the introducer: nothing is left.
    fn end(&mut self, ids: [ConnectionId; 2], parties: [ConnectionId; 2]) {
        let closes = if self.open[GUEST_HOST].len() == 1 { GUEST_HOST } else { INITIATOR };
        self.events[closes].clear();
        self.ends[closes].close(self.now, ids[closes - 1], b"").unwrap();
        self.pass(1_000);
        // The last word of the other side has come: its port was open for that.
        assert!(self.events[closes].iter().any(|event| matches!(event, Event::Close { .. })));
        self.pass(9_000);
        for (party, id) in [INITIATOR, GUEST_HOST].into_iter().zip(parties) {
            assert_eq!(self.open[party].len(), 1, "further ports of {party}");
            self.ends[party].close(self.now, id, b"").unwrap();
        }
        self.pass(60_000);
        for end in &self.ends {
            assert_eq!(end.kept_for_introductions(), 0);
        }
    }
}

const INDEPENDENT: Mapping = Mapping::Independent;
const SEQUENTIAL: Mapping = Mapping::Sequential;
const UNPREDICTABLE: Mapping = Mapping::Unpredictable;

#[test]
fn an_introducer_finds_out_how_a_nat_behaves() {
    for mapping in [INDEPENDENT, SEQUENTIAL, UNPREDICTABLE] {
        let mut world = World::new(20, [mapping, mapping], HardNat::Never);
        let (_, parties) = world.connect();
        let found = |events: &[Event]| -> Vec<wire::Nat> {
            let nats = events.iter().filter_map(|event| match event {
                Event::NatFound { introducer, nat, .. } => {
                    assert_eq!(*introducer, parties[0]);
                    Some(*nat)
                }
                _ => None,
            });
            nats.collect()
        };
        world.ends[INITIATOR].look_at_nat(world.now, parties[0]).unwrap();
        world.pass(5_000);
        let is_right = match found(&world.events[INITIATOR])[..] {
            [wire::Nat::Independent] => mapping == INDEPENDENT,
            [wire::Nat::Sequential(_)] => mapping == SEQUENTIAL,
            [wire::Nat::Unpredictable] => mapping == UNPREDICTABLE,
            _ => false,
        };
        assert!(is_right, "{mapping:?}: {:?}", world.events[INITIATOR]);
        assert_eq!(world.open[INITIATOR].len(), 1);
        // A look that the connection does not outlive has no answer.
        world.pass(10_000);
        world.events[INITIATOR].clear();
        world.ends[INITIATOR].look_at_nat(world.now, parties[0]).unwrap();
        world.ends[INITIATOR].close(world.now, parties[0], b"").unwrap();
        world.pass(10_000);
        assert!(found(&world.events[INITIATOR]).is_empty() && world.open[INITIATOR].len() == 1);
        assert_eq!(world.ends[INITIATOR].kept_for_introductions(), 0);
    }
}

#[test]
fn an_attempt_meets_at_a_further_port_and_stays_there() {
    let pairs = [[UNPREDICTABLE, INDEPENDENT], [SEQUENTIAL, INDEPENDENT], [SEQUENTIAL, SEQUENTIAL]];
    for (seed, [one, other]) in (20..)
        .step_by(10)
        .zip(pairs)
        .flat_map(|(seed, pair)| [(seed, pair), (seed + 100, [pair[1], pair[0]])])
    {
        let mut world = World::new(seed, [one, other], HardNat::Always);
        let (ids, parties) = world.introduce(None, Trust::Anyone);
        assert!(world.is_direct(ids));
        let met = [INITIATOR, GUEST_HOST].map(|party| world.ends[party].party_stats().runs_met);
        assert_eq!(met, [1, 1], "{one:?} {other:?}");
        assert!(world.most_open > 0 && world.most_open <= 256);
        world.speak(ids);
        // Ports that are of no use are closed, and the one that is used stays.
        world.pass(6_000);
        for (party, mapping) in [INITIATOR, GUEST_HOST].into_iter().zip([one, other]) {
            let open = &world.open[party];
            let is_right =
                if mapping == INDEPENDENT { open.len() == 1 } else { (2..=5).contains(&open.len()) };
            assert!(is_right, "{one:?} {other:?} {party}: {open:?}");
        }
        world.pass(60_000);
        world.speak(ids);
        world.end(ids, parties);
    }
}

#[test]
fn a_relayed_connection_becomes_direct_at_a_further_port() {
    for (seed, mappings) in [
        (20, [UNPREDICTABLE, INDEPENDENT]),
        (30, [INDEPENDENT, UNPREDICTABLE]),
        (40, [SEQUENTIAL, SEQUENTIAL]),
    ] {
        let mut world = World::new(seed, mappings, HardNat::Verified);
        let host = world.ends[GUEST_HOST].public_key();
        let (ids, parties) = world.introduce(Some(Relay::default()), Trust::Pinned(host));
        assert!(!world.is_direct(ids));
        world.speak(ids);
        world.pass(20_000);
        let stats = [INITIATOR, GUEST_HOST].map(|party| world.ends[party].party_stats());
        assert!(world.is_direct(ids), "{mappings:?} {stats:?}");
        world.speak(ids);
        assert!(stats.iter().all(|party| party.runs == 1 && party.runs_met == 1), "{stats:?}");
        world.pass(700_000);
        assert!(world.is_direct(ids));
        assert!([INITIATOR, GUEST_HOST].iter().all(|party| (1..=5).contains(&world.open[*party].len())));
        assert_eq!(world.ends[INITIATOR].party_stats().runs, 1);
        world.speak(ids);
        world.end(ids, parties);
    }
}

#[test]
fn a_run_of_an_attempt_goes_on_when_its_connection_is_relayed() {
    let mut were_relayed = 0;
    for seed in 60..66 {
        let mut world = World::new(seed, [UNPREDICTABLE, INDEPENDENT], HardNat::Always);
        let (ids, parties) = world.introduce(Some(Relay::default()), Trust::Anyone);
        were_relayed += u32::from(!world.is_direct(ids));
        world.speak(ids);
        world.pass(20_000);
        assert!(world.is_direct(ids));
        let stats = [INITIATOR, GUEST_HOST].map(|party| world.ends[party].party_stats());
        assert!(stats.iter().all(|party| party.runs == 1 && party.runs_met == 1), "{stats:?}");
        world.speak(ids);
        world.end(ids, parties);
    }
    assert!(were_relayed > 0);
}

#[test]
fn a_relayed_connection_whose_other_side_is_anybody_tries_nothing() {
    let mut world = World::new(20, [UNPREDICTABLE, INDEPENDENT], HardNat::Verified);
    let (ids, parties) = world.introduce(Some(Relay::default()), Trust::Anyone);
    world.pass(20_000);
    assert!(!world.is_direct(ids));
    assert_eq!(world.ends[INITIATOR].party_stats().runs, 0);
    world.end(ids, parties);
}
