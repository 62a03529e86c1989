//! Two parties look for each other through what stands before them, with losses.

use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap};
use core::cmp::Reverse;

use super::*;
use crate::crypto::testing::for_seeds;

/// What stands before a party, from the most open to the least.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    /// Everything comes in.
    Open,
    /// What comes in has to come from where something went out to.
    Filtered,
    /// So does here what comes in, and each destination sees another port.
    Dependent,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Datagram {
    Punch([u8; Punch::BYTES]),
    /// Stands for the handshake: a request of the initiator, and its answer.
    Request,
    Answer,
}

/// One party, and what stands before it.
struct Place {
    side: Side,
    access: Access,
    ip: &'static str,
    /// Where something went out to: the port that this destination sees.
    mapped: BTreeMap<SocketAddr, u16>,
    ready: Vec<Path>,
    ready_at: Option<Instant>,
    next_request: Option<Instant>,
    is_established: bool,
}

const PORT: u16 = 5_000;

impl Place {
    fn new(is_host: bool, access: Access, seed: [u8; 32]) -> Self {
        let mut side = Side::new(is_host);
        side.rng = Rng::new(seed);
        let ip = if is_host { "203.0.113.2" } else { "198.51.100.1" };
        Self {
            side,
            access,
            ip,
            mapped: BTreeMap::new(),
            ready: Vec::new(),
            ready_at: None,
            next_request: None,
            is_established: false,
        }
    }

    /// The address of this party as `to` sees it.
    fn source(&mut self, to: SocketAddr) -> SocketAddr {
        let next = PORT + 1 + self.mapped.len() as u16;
        let port =
            *self.mapped.entry(to).or_insert(if self.access == Access::Dependent { next } else { PORT });
        SocketAddr::new(self.ip.parse().unwrap(), port)
    }

    /// Returns whether a datagram that was sent to `to` comes in.
    fn admits(&self, from: SocketAddr, to: SocketAddr) -> bool {
        let port = self.mapped.get(&from).copied();
        match self.access {
            Access::Open => to.port() == PORT,
            Access::Filtered | Access::Dependent => port == Some(to.port()),
        }
    }

    fn candidate(&self) -> Vec<&'static str> {
        if self.side.options.is_host { vec!["203.0.113.2:5000"] } else { vec!["198.51.100.1:5000"] }
    }
}

/// A datagram on its way: when it arrives, at which place, where it was sent from and to.
type Flying = (Instant, usize, SocketAddr, SocketAddr, Datagram);

/// Two parties and what is on its way between them.
struct World {
    places: [Place; 2],
    flying: BinaryHeap<Reverse<Flying>>,
    loss_percent: u64,
    rng: Rng,
    sent: BTreeSet<[u8; Punch::BYTES]>,
}

impl World {
    fn new(rng: &mut Rng, access: [Access; 2], loss_percent: u64) -> Self {
        let places = [Place::new(false, access[0], rng.array()), Place::new(true, access[1], rng.array())];
        let rng = Rng::new(rng.array());
        let mut world = Self { places, flying: BinaryHeap::new(), loss_percent, rng, sent: BTreeSet::new() };
        let begun: Vec<_> = world.places.iter_mut().map(|place| place.side.begin()).collect();
        for (own, (number, _)) in begun.iter().enumerate() {
            let (_, other_request) = &begun[1 - own];
            let other = &world.places[1 - own];
            let told = Introduced { nonce: other_request.nonce, ..told(&other.side, &other.candidate()) };
            let introduction = Introduction::Complete(Box::new(told));
            // One learns of it later than the other.
            world.places[own].side.now += Duration::from_millis(own as u64 * world.rng.below(40));
            let wants = world.places[own].side.hears_introduction(*number, &introduction);
            world.act(own, wants);
        }
        let now = world.places.iter().map(|place| place.side.now).max().unwrap();
        world.places.iter_mut().for_each(|place| place.side.now = now);
        world
    }

    fn send(&mut self, own: usize, to: SocketAddr, few_hops: bool, datagram: Datagram) {
        let from = self.places[own].source(to);
        let is_lost = self.rng.below(100) < self.loss_percent;
        if !few_hops && !is_lost {
            let at = self.places[own].side.now + Duration::from_micros(20_000 + self.rng.below(20_000));
            self.flying.push(Reverse((at, 1 - own, from, to, datagram)));
        }
    }

    fn act(&mut self, own: usize, wants: Wants) {
        for punch in wants.punches {
            let to = punch.path.remote.socket_addr().unwrap();
            assert!(self.sent.insert(punch.bytes), "no punch is like another");
            assert!(punch.hop_limit.is_none() || punch.hop_limit == Some(5) && !punch.is_answer);
            self.send(own, to, punch.hop_limit.is_some(), Datagram::Punch(punch.bytes));
        }
        let place = &mut self.places[own];
        for event in wants.events {
            match event {
                PartyEvent::PathReady { path, round_trip, .. } => {
                    assert!(!place.ready.contains(&path) && round_trip.is_some());
                    place.ready.push(path);
                    place.ready_at.get_or_insert(place.side.now);
                    if !place.side.options.is_host {
                        place.next_request = Some(place.side.now);
                    }
                }
                PartyEvent::Introduced { .. } => {}
                event => panic!("{event:?}"),
            }
        }
    }

    fn receive(&mut self, own: usize, from: SocketAddr, to: SocketAddr, datagram: Datagram) {
        let place = &mut self.places[own];
        if !place.admits(from, to) {
            return;
        }
        let path = Path { local: Some(place.ip.parse().unwrap()), ..Path::to(from.into()) };
        match datagram {
            Datagram::Punch(bytes) => {
                let (is_authentic, wants) = place.side.punched(path, &bytes);
                assert!(is_authentic || place.is_established);
                self.act(own, wants);
            }
            Datagram::Request => {
                if place.is_established || place.side.party.is_path(connection(), path) {
                    place.side.party.path_was_shown(connection(), path);
                    place.establish(path);
                    self.send(own, from, false, Datagram::Answer);
                }
            }
            Datagram::Answer => {
                place.next_request = None;
                place.establish(path);
            }
        }
    }

    /// Runs until both are established, or for so long; returns whether they are.
    fn run(&mut self, millis: u64) -> bool {
        for _ in 0..millis {
            for own in 0..2 {
                let wants = self.places[own].side.run(1);
                wants.into_iter().for_each(|(_, wants)| self.act(own, wants));
                let now = self.places[own].side.now;
                if self.places[own].next_request.is_some_and(|at| at <= now) {
                    self.places[own].next_request = Some(now + Micros::from_millis(250));
                    for path in self.places[own].ready.clone() {
                        self.send(own, path.remote.socket_addr().unwrap(), false, Datagram::Request);
                    }
                }
            }
            let now = self.places[0].side.now;
            while let Some(Reverse((at, own, from, to, datagram))) = self.flying.peek().copied()
                && at <= now
            {
                self.flying.pop();
                self.receive(own, from, to, datagram);
            }
            if self.places.iter().all(|place| place.is_established) {
                return true;
            }
        }
        false
    }

    /// Everything ends, and nothing is left.
    fn end(&mut self) {
        for place in &mut self.places {
            place.side.party.forget(place.side.now, connection());
            place.side.run(60_001);
            assert!(place.side.party.is_empty());
        }
    }
}

impl Place {
    fn establish(&mut self, path: Path) {
        if !core::mem::replace(&mut self.is_established, true) {
            let (handover, wants) = self.side.step(|party, step| party.established(step, connection(), path));
            assert!(handover.is_some());
            assert_eq!(outcome_of(&wants).introduction, 77);
        }
    }
}

/// All pairs of which one side shows everybody the same port.
const PAIRS: [[Access; 2]; 6] = [
    [Access::Open, Access::Open],
    [Access::Open, Access::Filtered],
    [Access::Filtered, Access::Open],
    [Access::Filtered, Access::Filtered],
    [Access::Open, Access::Dependent],
    [Access::Dependent, Access::Open],
];

#[test]
fn without_losses_a_path_is_valid_after_one_round_trip_of_punches() {
    for_seeds(20, |rng| {
        for pair in PAIRS {
            let mut world = World::new(rng, pair, 0);
            let began = world.places[0].side.now;
            assert!(world.run(2_000), "{pair:?}");
            for place in &world.places {
                let wait = place.ready_at.unwrap().saturating_since(began);
                // The punch that is repeated after 200 ms finds the other side open, however late that is.
                assert!(wait <= Duration::from_millis(200 + 40 + 80), "{pair:?} {wait:?}");
            }
            world.end();
        }
    });
}

#[test]
fn with_losses_both_parties_become_valid() {
    for_seeds(60, |rng| {
        for loss in [10, 20, 30] {
            // Where one side's punches alone arrive, nine of them need an answer: at 30 %, two in a thousand have none.
            let is_hard = |pair: &&[Access; 2]| pair.contains(&Access::Dependent) && loss > 20;
            for pair in PAIRS.iter().filter(|pair| !is_hard(pair)) {
                assert!(World::new(rng, *pair, loss).run(25_000), "{pair:?} {loss}");
            }
        }
    });
}

#[test]
fn a_party_of_which_every_destination_sees_another_port_is_found_by_its_punch() {
    for_seeds(20, |rng| {
        let mut world = World::new(rng, [Access::Dependent, Access::Open], 0);
        assert!(world.run(2_000));
        // The host has its path to a port that nobody named.
        let remote = world.places[1].ready[0].remote.socket_addr().unwrap();
        assert_ne!(remote.port(), PORT);
    });
}

#[test]
fn lost_answers_leave_no_party_waiting_for_one_that_is_content() {
    for is_host in [false, true] {
        let mut side = Side::new(is_host);
        let (_, wants) = side.is_introduced(&["203.0.113.1:5000"]);
        // Its echo asks: the other party's path is not valid yet.
        let (punch, _) = Punch::parse(&wants.punches[0].bytes).unwrap();
        let bytes = side.punch_of_other(8, punch.number);
        side.punched(path("203.0.113.1:5000"), &bytes);
        let punched = side.run(4_500);
        let times: Vec<_> = punched.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [30, 100, 200, 400, 800, 1_600, 2_400, 3_200, 4_000]);
        // And not any longer when it has shown that it is.
        let mut side = Side::new(is_host);
        let (_, wants) = side.is_introduced(&["203.0.113.1:5000"]);
        let (punch, _) = Punch::parse(&wants.punches[0].bytes).unwrap();
        let bytes = side.punch_of_other(8, punch.number);
        side.punched(path("203.0.113.1:5000"), &bytes);
        assert_eq!(side.run(100).len(), 2);
        side.party.path_was_shown(connection(), path("203.0.113.1:5000"));
        assert!(side.run(4_500).is_empty());
    }
}

#[test]
fn candidates_are_punched_by_the_schedule_private_ones_first_and_first_with_few_hops() {
    let mut side = Side::new(false);
    let (_, first) = side.is_introduced(&["203.0.113.1:5", "10.0.0.1:5"]);
    let mut all = vec![(0, first)];
    all.extend(side.run(24_999));
    let mut found: BTreeMap<Address, Vec<(u64, Option<u8>)>> = BTreeMap::new();
    for (at, wants) in all {
        for punch in wants.punches {
            found.entry(punch.path.remote).or_default().push((at, punch.hop_limit));
        }
    }
    let times = [0, 30, 100, 200, 400, 800, 1_600, 2_400, 3_200, 4_000];
    for (to, late) in [("10.0.0.1:5", 0), ("203.0.113.1:5", 10)] {
        let expected: Vec<_> = times.iter().map(|at| (at + late, (*at == 0).then_some(5))).collect();
        assert_eq!(found[&path(to).remote], expected, "{to}");
    }
}

#[test]
fn other_candidates_take_the_place_of_earlier_ones() {
    let mut side = Side::new(false);
    let (number, _) = side.is_introduced(&["203.0.113.1:5", "203.0.113.2:5"]);
    side.run(50);
    let wants = side.hears_candidates(number, &["203.0.113.2:5", "203.0.113.3:5", "224.0.0.1:5"]);
    // The new one begins, and the one that stays goes on.
    assert_eq!(wants.punches.iter().map(|punch| punch.path).collect::<Vec<_>>(), [path("203.0.113.3:5")]);
    let paths: BTreeSet<_> =
        side.run(5_000).iter().flat_map(|(_, wants)| wants.punches.clone()).map(|p| p.path.remote).collect();
    assert_eq!(paths, BTreeSet::from([path("203.0.113.2:5").remote, path("203.0.113.3:5").remote]));
}

#[test]
fn a_machine_that_moved_punches_anew() {
    let mut side = Side::new(false);
    side.is_introduced(&["203.0.113.1:5"]);
    assert_eq!(side.run(10_000).len(), 9);
    side.step(|party, step| party.set_candidates(step, candidates(&["10.0.0.1:5"])));
    assert_eq!(side.run(5_000).len(), 10);
}
