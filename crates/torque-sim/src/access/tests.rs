use std::time::Duration;

use torque_proto::Address as Remote;

use super::*;
use crate::world::probe::{ANSWER, Probe, QUESTION};
use crate::{LinkConfig, SimRng, for_seeds};

const MS: Duration = Duration::from_millis(1);
/// When a party sends to the other one, in ms. The first datagram passes few routers.
const SCHEDULE: [u64; 8] = [0, 30, 100, 200, 400, 800, 1_600, 2_400];
const FEW_HOPS: u8 = 5;

/// Two parties send to the address that each has at a server, the second one later. Returns whether one of them was answered: then it
/// knows a path that works both ways.
fn punch(seed: u64, kinds: [Access; 2], delay: Duration, later: Duration, first_hops: Option<u8>) -> bool {
    let mut world = World::new(seed);
    let mut link = LinkConfig::perfect();
    link.delay = delay;
    link.loss = 0.05;
    world.set_default_link(link);
    let server = world.add_in(NetworkId::CORE, Probe::new);
    let to = world.address(server);
    let parties = kinds.map(|kind| kind.place(&mut world, Probe::new));
    let seen = parties.map(|party| {
        let mut source = None;
        while source.is_none() {
            world.with(party, |probe, _| probe.send(to, None, b"register"));
            world.run_for(300 * MS);
            source = world.next_event(server).map(|(source, _)| source);
        }
        source.unwrap()
    });
    world.run_for(2_000 * MS);
    let mut times: Vec<(Duration, usize, Option<u8>)> = Vec::new();
    for (side, start) in [Duration::ZERO, later].into_iter().enumerate() {
        let hops = |place: usize| first_hops.filter(|_| place == 0);
        let planned = SCHEDULE.into_iter().enumerate();
        times.extend(planned.map(|(place, at)| (start + Duration::from_millis(at), side, hops(place))));
    }
    times.sort_unstable();
    let begin = world.now();
    for (at, side, hop_limit) in times {
        world.run_for((begin + at).saturating_since(world.now()));
        let other: Remote = seen[1 - side];
        world.with(parties[side], |probe, _| probe.send(other, hop_limit, QUESTION));
    }
    world.run_for(1_000 * MS);
    parties.iter().any(|party| {
        std::iter::from_fn(|| world.next_event(*party)).any(|(from, bytes)| from != to && bytes == ANSWER)
    })
}

#[test]
fn kinds_have_the_properties_of_their_boxes() {
    let independent = ["public", "fw4", "fw6", "EI/EI", "EI/AD", "EI/APD", "linux", "linux rej", "cgn easy"];
    for access in Access::ALL {
        assert_eq!(access.is_independent(), independent.contains(&access.name), "{}", access.name);
        assert_eq!(Access::named(access.name), Some(access));
    }
    let strict = Access::ALL.into_iter().filter(|access| access.is_independent() && access.is_strict());
    let strict: Vec<_> = strict.map(|access| access.name).collect();
    assert_eq!(strict, ["fw4", "fw6", "EI/APD", "linux", "linux rej", "cgn easy"]);
}

#[test]
fn a_party_that_meets_another_one_is_answered() {
    for_seeds(10, |seed| {
        let mut rng = SimRng::new(seed);
        for (place, first) in Access::ALL.into_iter().enumerate() {
            for second in Access::ALL.into_iter().skip(place) {
                let (delay, later) = (5 * MS + rng.duration(100 * MS), rng.duration(20 * MS));
                let open = punch(rng.next_u64(), [first, second], delay, later, Some(FEW_HOPS));
                assert!(open || !first.meets_at_once(&second), "{} and {}", first.name, second.name);
                // Both filter ports, and one has a port that the other one cannot know.
                let hopeless = first.is_strict() && second.is_strict() && !first.meets_at_once(&second);
                assert!(!(open && hopeless), "{} and {}", first.name, second.name);
            }
        }
    });
}

#[test]
fn a_router_that_rejects_needs_the_first_datagram_to_pass_few_routers() {
    let rejecting = Access::named("linux rej").unwrap();
    let mut open = [0; 2];
    for_seeds(40, |seed| {
        for (count, first_hops) in open.iter_mut().zip([Some(FEW_HOPS), None]) {
            // The first datagram would come before the other side has sent one.
            *count += usize::from(punch(seed, [rejecting, rejecting], 5 * MS, 25 * MS, first_hops));
        }
    });
    assert!(open[0] > open[1], "with few hops {}, without {}", open[0], open[1]);
}
