//! What INTRODUCTIONS.md 10 says of circuits.

use super::*;

const PACKET: [u8; 100] = [0x80; 100];

/// Introduces two and returns the numbers of their circuit.
fn granted(world: &mut World, one: u32, two: u32, relay: Relay) -> [u32; 2] {
    world.pair_of(one, two, Some(relay));
    let numbers = [world.introduced(one, two).circuit, world.introduced(two, one).circuit];
    world.told.clear();
    assert!(numbers.iter().all(|number| *number != 0));
    numbers
}

fn relay(world: &mut World, from: u32, circuit: u32, inner: &[u8]) -> RelayVerdict {
    world.introducer.relay(world.now, id(from), circuit, inner)
}

fn passes(world: &mut World, from: u32, circuit: u32, inner: &[u8]) -> bool {
    matches!(relay(world, from, circuit, inner), RelayVerdict::Forward { .. })
}

#[test]
fn a_datagram_goes_to_the_other_party_with_that_ones_number() {
    let mut world = World::new(4);
    let [one, two] = granted(&mut world, 1, 2, Relay::default());
    let [three, _] = granted(&mut world, 3, 4, Relay::default());
    assert_eq!(relay(&mut world, 1, one, &PACKET), RelayVerdict::Forward { to: id(2), circuit: two });
    assert_eq!(relay(&mut world, 2, two, &PACKET), RelayVerdict::Forward { to: id(1), circuit: one });
    let unknown = RelayVerdict::Drop(RelayDrop::UnknownCircuit);
    assert_eq!(relay(&mut world, 1, three, &PACKET), unknown, "another party's number");
    assert_eq!(relay(&mut world, 1, two, &PACKET), unknown, "the other party's number");
    assert_eq!(relay(&mut world, 1, 0, &PACKET), unknown);
    let stats = world.introducer.stats();
    assert_eq!((stats.relayed, stats.relayed_bytes, stats.unknown_circuit), (2, 200, 3));
}

#[test]
fn only_datagrams_of_a_connection_are_inside() {
    let mut world = World::new(2);
    let [one, _] = granted(&mut world, 1, 2, Relay::default());
    let none = RelayVerdict::Drop(RelayDrop::NotRelayable);
    assert_eq!(relay(&mut world, 1, one, &[]), none);
    assert_eq!(relay(&mut world, 1, one, &[0x80; 1_228]), none);
    assert!(passes(&mut world, 1, one, &[0x80; 1_227]));
    for first in 0..=255 {
        let expected = (0x01..=0x08).contains(&first) || first >= 0x80;
        assert_eq!(passes(&mut world, 1, one, &[first]), expected, "{first:#x}");
        world.millis(10);
    }
}

#[test]
fn a_circuit_needs_the_application_and_both_parties() {
    for (takes_one, takes_two, relay) in [(false, true, true), (true, false, true), (true, true, false)] {
        let mut world = World::new(2);
        world.introduce_with(1, 2, relay.then(Relay::default)).unwrap();
        world.ask_with(1, 2, PartyFlags { takes_circuit: takes_one, ..flags(false) }, &[]);
        world.ask_with(2, 1, PartyFlags { takes_circuit: takes_two, ..flags(true) }, &[]);
        world.millis(30);
        assert_eq!(world.introduced(1, 2).circuit, 0);
        assert_eq!(world.introduced(2, 1).circuit, 0);
        assert!(world.introducer.circuits.is_empty());
    }
    let mut world = World::new(2);
    granted(&mut world, 1, 2, Relay { bytes_per_second: 77, ..Relay::default() });
    let told = world.introducer.stats().circuits;
    assert_eq!(told, 1);
}

#[test]
fn each_direction_has_its_rates_and_the_sender_is_told_once() {
    for relay in [
        Relay { bytes_per_second: 1_000, ..Relay::default() },
        Relay { datagrams_per_second: 10, ..Relay::default() },
    ] {
        let mut world = World::new(2);
        let [one, two] = granted(&mut world, 1, 2, relay);
        let passed = (0..100).filter(|_| passes(&mut world, 1, one, &PACKET)).count();
        assert_eq!(passed, 10);
        assert!(passes(&mut world, 2, two, &PACKET), "the other direction has its own rate");
        world.millis(1);
        let [Word::Circuit(notice)] = world.heard(1, 2)[..] else { panic!() };
        assert_eq!((notice.circuit, notice.state), (one, CircuitState::Throttled));
        // Ten seconds above the rate: ten times as much, and no further word.
        let mut passed = 0;
        for _ in 0..1_000 {
            world.millis(10);
            passed += u32::from(passes(&mut world, 1, one, &PACKET));
        }
        assert!((99..=102).contains(&passed), "{passed}");
        assert!(world.heard(1, 2).is_empty() && world.heard(2, 1).is_empty());
        world.wait(Duration::from_secs(60));
        (0..100).for_each(|_| _ = passes(&mut world, 1, one, &PACKET));
        world.millis(1);
        assert_eq!(world.heard(1, 2).len(), 1);
        assert!(world.introducer.stats().throttled > 900);
    }
}

#[test]
fn a_circuit_ends_when_it_has_carried_all_that_it_may() {
    let mut world = World::new(2);
    let [one, two] = granted(&mut world, 1, 2, Relay { bytes: Some(550), ..Relay::default() });
    assert_eq!((0..10).filter(|_| passes(&mut world, 1, one, &PACKET)).count(), 5);
    assert!(!passes(&mut world, 1, one, &[0x80]), "what is left is not taken by a smaller one");
    world.millis(1);
    for (party, other, number) in [(1, 2, one), (2, 1, two)] {
        let [Word::Circuit(notice)] = world.heard(party, other)[..] else { panic!() };
        assert_eq!((notice.circuit, notice.state), (number, CircuitState::UsedUp));
    }
    assert_eq!(relay(&mut world, 2, two, &PACKET), RelayVerdict::Drop(RelayDrop::UnknownCircuit));
    assert_eq!(world.introducer.stats().used_up, 6);
    world.wait(Duration::from_secs(61));
    assert!(world.is_empty());
}

#[test]
fn a_circuit_ends_when_it_carries_nothing_for_two_minutes_and_keeps_its_record_until_then() {
    let mut world = World::new(2);
    let [one, two] = granted(&mut world, 1, 2, Relay::default());
    for minute in 0..5 {
        world.wait(Duration::from_secs(60));
        let (from, number) = if minute % 2 == 0 { (1, one) } else { (2, two) };
        assert!(passes(&mut world, from, number, &PACKET));
    }
    world.told.clear();
    world.wait(Duration::from_secs(119));
    assert!(world.told.is_empty());
    // While the circuit lives, candidates are passed on.
    world.move_to(1, "198.51.9.9:1");
    assert!(matches!(world.heard(2, 1)[..], [Word::Candidates(_)]));
    world.wait(Duration::from_secs(1));
    for (party, other) in [(1, 2), (2, 1)] {
        let [Word::Circuit(notice)] = world.heard(party, other)[..] else { panic!() };
        assert_eq!(notice.state, CircuitState::Ended);
    }
    assert!(world.is_empty());
}

#[test]
fn a_circuit_ends_with_its_lifetime() {
    let mut world = World::new(2);
    let [one, _] =
        granted(&mut world, 1, 2, Relay { lifetime: Duration::from_secs(300), ..Relay::default() });
    for second in 0..300 {
        assert!(passes(&mut world, 1, one, &PACKET), "{second}");
        world.wait(Duration::from_secs(1));
    }
    assert!(!passes(&mut world, 1, one, &PACKET));
    assert!(world.is_empty());
}

#[test]
fn the_end_of_a_party_ends_its_circuits_and_the_other_one_is_told() {
    let mut world = World::new(3);
    let [_, two] = granted(&mut world, 1, 2, Relay::default());
    let [other, _] = granted(&mut world, 1, 3, Relay::default());
    let [kept, _] = granted(&mut world, 2, 3, Relay::default());
    world.end(1);
    for (party, attempt) in [(2, 1), (3, 1)] {
        let [Word::Circuit(notice)] = world.heard(party, attempt)[..] else { panic!() };
        assert_eq!(notice.state, CircuitState::Ended);
    }
    assert!(world.told.is_empty());
    assert!(!passes(&mut world, 2, two, &PACKET) && !passes(&mut world, 1, other, &PACKET));
    assert!(passes(&mut world, 2, kept, &PACKET));
}

#[test]
fn a_connection_that_sends_as_much_as_it_can_takes_no_others_part_of_the_budget() {
    let mut world = World::new(12);
    world.config.circuits_rate = 60_000;
    let big = Relay { bytes_per_second: 1_000_000, datagrams_per_second: 100_000, ..Relay::default() };
    // Socket 1 has five circuits, which gives it no larger part; sockets 7 to 11 have one each.
    let greedy = [2, 3, 4, 5, 6].map(|remote| granted(&mut world, 1, remote, big)[0]);
    let modest = [7, 8, 9, 10, 11].map(|from| (from, granted(&mut world, from, 12, big)[0]));
    let (mut of_greedy, mut of_modest, mut lost) = (0, 0, 0);
    for millis in 0..20_000 {
        world.now += Duration::from_millis(1);
        for circuit in greedy {
            of_greedy += u32::from(passes(&mut world, 1, circuit, &PACKET));
        }
        // Each of five sends 8,000 bytes a second; the equal part of six is 10,000.
        for (from, circuit) in modest {
            if (millis + from) % 25 < 2 {
                let passed = passes(&mut world, from, circuit, &PACKET);
                of_modest += u32::from(passed);
                lost += u32::from(!passed);
            }
        }
    }
    assert_eq!(lost, 0);
    assert_eq!(of_modest, 5 * 80 * 20);
    // It has its part and what the others leave: 20,000 bytes a second, and what was there at first.
    let bytes = of_greedy * 100;
    assert!((380_000..=480_000).contains(&bytes), "{bytes}");
    assert!(world.introducer.stats().over_budget > 0);
}

#[test]
fn connections_that_all_send_too_much_get_equal_parts() {
    let mut world = World::new(8);
    world.config.circuits_rate = 80_000;
    let big = Relay { bytes_per_second: 1_000_000, datagrams_per_second: 100_000, ..Relay::default() };
    let senders = [1, 2, 3, 4].map(|from| (from, granted(&mut world, from, from + 4, big)[0]));
    let mut passed = [0; 4];
    for millis in 0..20_000 {
        world.now += Duration::from_millis(1);
        for (index, (from, circuit)) in senders.into_iter().enumerate() {
            // They do not send alike: the first four times as often as the last.
            let count =
                if millis > 2_000 { u32::from(passes(&mut world, from, circuit, &PACKET)) } else { 0 };
            passed[index] += count;
            for _ in index..3 {
                passed[index] += u32::from(millis > 2_000 && passes(&mut world, from, circuit, &PACKET));
            }
        }
    }
    let total: u32 = passed.iter().sum();
    assert!(total * 100 <= 80_000 * 20, "{total}");
    for count in passed {
        assert!(count >= 3_400, "{passed:?}");
    }
}
