//! A side moves, in every manner.

use torque_sim::NetworkId;
use torque_sim::nat::{Dependence, Middlebox, Nat, PortAssignment};

use super::*;

/// How a side moves.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// To another address, once.
    Address,
    /// A NAT gives it another port.
    Port,
    /// To another address, and back within a second.
    Back,
    /// To another address every ten seconds.
    Often,
    /// One side, and ten seconds later the other one.
    Both,
}

const MANNERS: [Manner; 5] = [Manner::Address, Manner::Port, Manner::Back, Manner::Often, Manner::Both];

/// Moves, and runs for ten seconds after each move.
fn travel(journey: &mut Journey, rng: &mut SimRng, manner: Manner, mover: usize) {
    let notices = rng.chance(0.5);
    let go = |journey: &mut Journey, side: usize, address: Address, then: Duration| {
        journey.go(side, address);
        if notices {
            journey.notice(side);
        }
        journey.play.run_for(then);
    };
    match manner {
        Manner::Address => {
            let there = journey.elsewhere();
            go(journey, mover, there, 10 * SECOND);
        }
        Manner::Port => {
            journey.rebind(mover);
            journey.play.run_for(10 * SECOND);
        }
        Manner::Back => {
            let (home, there) = (journey.address(mover), journey.elsewhere());
            go(journey, mover, there, rng.duration(SECOND));
            go(journey, mover, home, 10 * SECOND);
            // The two are one interruption, or two.
            journey.moves.remove(0);
        }
        Manner::Often => {
            for _ in 0..4 {
                let there = journey.elsewhere();
                go(journey, mover, there, 10 * SECOND);
            }
        }
        Manner::Both => {
            for side in [mover, 1 - mover] {
                let there = journey.elsewhere();
                go(journey, side, there, 10 * SECOND);
            }
        }
    }
}

/// 20 to 300 ms.
fn random_round_trip(rng: &mut SimRng) -> Duration {
    20 * MS + rng.duration(280 * MS)
}

/// Both sides send; returns how much longer the interruptions took than twice the round trip, or than the patience if that is more
/// (less 300 ms).
fn cross(seed: u64, loses: bool) -> Vec<Duration> {
    let mut rng = SimRng::new(seed);
    let round_trip = random_round_trip(&mut rng);
    let mut link = way(round_trip);
    link.jitter = rng.duration(round_trip / 10);
    if loses {
        link.loss = rng.unit() * 0.2;
        link.reorder = rng.unit() * 0.2;
        link.reorder_delay = rng.duration(round_trip);
    }
    // About sixty packets a second, or a random rate.
    let pauses =
        [0, 1].map(|_| Some(if rng.chance(0.3) { 17 * MS } else { 10 * MS + rng.duration(40 * MS) }));
    let mut journey = Journey::new(seed, Config::default(), pauses, link);
    journey.play.run_for(3 * SECOND + rng.duration(7 * SECOND));
    let (manner, mover) = (MANNERS[rng.index(MANNERS.len())], rng.index(2));
    travel(&mut journey, &mut rng, manner, mover);
    let times = [CLIENT, HOST].map(|side| journey.interruptions(side)).concat();
    let mut expected = (2 * round_trip + 6 * link.jitter).max(journey.patience.saturating_sub(300 * MS));
    if matches!(manner, Manner::Back) {
        // Two moves within the time that one takes.
        expected += 2 * round_trip;
    }
    journey.ends_well();
    times.into_iter().map(|time| time.saturating_sub(expected)).collect()
}

#[test]
fn without_loss_an_interruption_takes_two_round_trips_and_300_ms() {
    let mut spread = Spread(Vec::new());
    for_seeds(300, |seed| {
        let times = cross(seed, false);
        // Fifty more for timers, and for an estimate that grows meanwhile.
        assert!(times.iter().all(|time| *time <= 350 * MS), "{times:?}");
        spread.0.extend(times);
    });
    spread.tell("beyond two round trips");
}

#[test]
fn with_loss_most_interruptions_take_no_longer() {
    let mut spread = Spread(Vec::new());
    for_seeds(200, |seed| spread.0.extend(cross(seed, true)));
    spread.tell("beyond two round trips, with loss");
    if spread.0.len() > 100 {
        assert!(spread.at(0.9) <= 300 * MS);
        assert!(spread.at(0.98) <= 1_500 * MS);
    }
}

/// One side sends, or none: what the other one does not send cannot tell that it has moved. Its next ping does.
#[test]
fn a_silent_side_is_found_at_its_next_ping_or_when_its_driver_tells() {
    for_seeds(200, |seed| {
        let mut rng = SimRng::new(seed);
        let round_trip = random_round_trip(&mut rng);
        let mut link = way(round_trip);
        link.jitter = rng.duration(round_trip / 10);
        link.loss = if rng.chance(0.5) { rng.unit() * 0.2 } else { 0.0 };
        let mut pauses = [None; 2];
        if rng.chance(0.7) {
            pauses[rng.index(2)] = Some(17 * MS);
        }
        let mut journey = Journey::new(seed, Config::default(), pauses, link);
        journey.play.run_for(3 * SECOND + rng.duration(7 * SECOND));
        let mover = rng.index(2);
        let there = journey.elsewhere();
        journey.go(mover, there);
        let told = rng.chance(0.5);
        if told {
            journey.notice(mover);
        }
        journey.play.run_for(12 * SECOND);
        let receiver = usize::from(pauses[CLIENT].is_some());
        if link.loss == 0.0 && pauses != [None; 2] {
            let limit = (2 * round_trip + 6 * link.jitter + 300 * MS).max(journey.patience);
            let limit = if told || mover != receiver { limit } else { limit + 5 * SECOND };
            let time = journey.interruptions(receiver)[0];
            assert!(time <= limit, "{time:?} of {limit:?}");
        }
        // Also when nothing is sent, the other side knows where it is.
        if link.loss == 0.0 {
            let at = journey.nodes[1 - mover];
            let remote = journey.play.world.node(at).peer(journey.ids[1 - mover]).unwrap().address;
            assert_eq!(remote, journey.address(mover));
        }
        journey.ends_well();
    });
}

/// A NAT that forgets silent nodes, gives another port, and lets in only whom the node has asked.
#[test]
fn a_nat_that_forgets_does_not_end_a_connection() {
    for_seeds(150, |seed| {
        let mut rng = SimRng::new(seed);
        let mut link = way(random_round_trip(&mut rng));
        let pauses = [0, 1].map(|_| rng.chance(0.3).then(|| rng.duration(20 * SECOND).max(10 * MS)));
        // A client that seldom sends tells its new port each five seconds. The host waits for ten: the loss of two datagrams may end it.
        let sends_often = pauses[CLIENT].is_some_and(|pause| pause < SECOND);
        link.loss = if sends_often { rng.unit() * 0.1 } else { 0.0 };
        let mut journey = Journey::new(seed, Config::default(), pauses, link);
        let filtering = [Dependence::EndpointIndependent, Dependence::AddressAndPortDependent][rng.index(2)];
        let mut nat = Nat::new(Dependence::EndpointIndependent, filtering, PortAssignment::Sequential(1));
        nat.idle = 3 * SECOND + rng.duration(20 * SECOND);
        let home = journey.play.world.add_network(NetworkId::CORE, Middlebox::Nat(nat));
        journey.note_move();
        journey.play.world.move_to_network(journey.nodes[CLIENT], home);
        for _ in 0..8 {
            // Until a silent client has told its new port, it gets no other one.
            journey.play.run_for(6 * SECOND + rng.duration(10 * SECOND));
            if rng.chance(0.4) {
                journey.note_move();
                journey.play.world.restart_box(home);
            }
        }
        journey.note_move();
        journey.play.world.move_to_network(journey.nodes[CLIENT], NetworkId::CORE);
        journey.ends_well();
    });
}

/// Sometimes one side, sometimes the other one, far apart or within a round trip.
#[test]
fn any_moves_keep_the_promise_on_packets() {
    for_seeds(200, |seed| {
        let mut rng = SimRng::new(seed);
        let mut link = way(random_round_trip(&mut rng));
        link.jitter = rng.duration(50 * MS);
        link.loss = rng.unit() * 0.2;
        link.reorder = rng.unit() * 0.3;
        link.reorder_delay = rng.duration(300 * MS);
        link.duplicate = rng.unit() * 0.2;
        let pauses = [0, 1].map(|_| rng.chance(0.8).then(|| 5 * MS + rng.duration(100 * MS)));
        let mut journey = Journey::new(seed, Config::default(), pauses, link);
        let home = [CLIENT, HOST].map(|side| journey.address(side));
        let mover = rng.index(2);
        for _ in 0..rng.between(1, 8) {
            let side = if rng.chance(0.8) { mover } else { 1 - mover };
            match rng.index(3) {
                0 => journey.go(side, home[side]),
                1 => journey.rebind(side),
                _ => {
                    let there = journey.elsewhere();
                    journey.go(side, there);
                }
            }
            if rng.chance(0.3) {
                journey.notice(side);
            }
            // Two sides that move at once and have no other path cannot find each other.
            let least = if side == mover { Duration::ZERO } else { 8 * SECOND };
            journey.play.run_for(least + rng.duration(3 * SECOND));
        }
        let (node, id) = (journey.nodes[CLIENT], journey.ids[CLIENT]);
        journey.play.close(node, id, b"");
        journey.play.finish(60 * SECOND);
    });
}
