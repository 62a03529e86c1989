//! Bounds: what one connection may take, and what all may.

use super::*;

#[test]
fn one_connection_has_a_number_of_records_and_its_own_oldest_gives_way() {
    let mut world = World::new(3);
    world.config.records_per_connection = 4;
    world.ask(2, 3, true);
    for remote in 100..106 {
        world.ask(1, remote, false);
        world.millis(200);
    }
    assert_eq!(world.introducer.records.len(), 5);
    assert_eq!(world.introducer.stats().gave_way, 2);
    for remote in 100..106 {
        let is_over =
            matches!(world.heard(1, remote).last(), Some(Word::Withdrawn(CloseCode::IntroductionRefused)));
        assert_eq!(is_over, remote < 102, "{remote}");
    }
    assert_eq!(world.heard(2, 3).len(), 1);
}

#[test]
fn what_the_application_wants_gives_way_to_nothing() {
    let mut world = World::new(9);
    world.config.records_per_connection = 2;
    world.ask(1, 2, false);
    world.ask(1, 3, false);
    world.introduce(1, 2).unwrap();
    world.introduce(1, 3).unwrap();
    world.ask(1, 4, false);
    assert!(matches!(world.heard(1, 4)[..], [Word::Withdrawn(CloseCode::IntroductionRefused)]));
    assert_eq!(world.introducer.stats().too_many, 1);
    // A request for what the application wants finds its record.
    world.introduce(1, 5).unwrap();
    world.ask(1, 5, false);
    assert!(matches!(world.heard(1, 5)[..], [Word::Waiting(Waiting::ForParty)]));
    // And it is no other connection's business.
    world.ask(6, 7, false);
    assert_eq!(world.introducer.records.len(), 4);
}

#[test]
fn one_connection_cannot_take_the_others_places() {
    let mut world = World::new(40);
    world.config.records = 24;
    for slot in 2..12 {
        world.ask(slot, slot + 20, false);
    }
    world.millis(100);
    for remote in 100..164 {
        world.ask(1, remote, false);
        world.millis(50);
    }
    assert_eq!(world.introducer.records.len(), 24);
    for slot in 2..12 {
        assert_eq!(world.heard(slot, slot + 20).len(), 1, "{slot} lost its place");
    }
    // Others still find room: the one that has most gives way.
    for slot in 12..20 {
        world.ask(slot, slot + 20, false);
        assert!(matches!(world.heard(slot, slot + 20)[..], [Word::Waiting(_)]));
    }
    for slot in 2..20 {
        assert!(world.heard(slot, slot + 20).is_empty(), "{slot} lost its place");
    }
    let id = world.introduce(30, 31);
    assert!(id.is_ok());
    assert_eq!(world.introducer.records.len(), 24);
}

#[test]
fn when_all_have_one_the_oldest_gives_way_and_the_application_is_told_when_there_is_no_room() {
    let mut world = World::new(30);
    world.config.records = 4;
    for slot in 1..=5 {
        world.ask(slot, slot + 20, false);
        world.millis(10);
    }
    let refused: Vec<_> = (1..=5).filter(|slot| world.heard(*slot, slot + 20).len() == 2).collect();
    assert_eq!(refused, [1]);
    // One that has as many as the others pays for its next one itself.
    world.ask(5, 29, false);
    assert!(matches!(world.heard(5, 25)[..], [Word::Withdrawn(CloseCode::IntroductionRefused)]));
    assert!(world.heard(2, 22).is_empty());
    for slot in 10..14 {
        world.introduce(slot, slot + 10).unwrap();
    }
    assert_eq!(world.introduce(14, 24), Err(CallError::TooManyIntroductions));
    world.ask(15, 25, false);
    assert!(matches!(world.heard(15, 25)[..], [Word::Withdrawn(CloseCode::IntroductionRefused)]));
    assert_eq!((world.introducer.records.len(), world.introducer.stats().too_many), (4, 2));
    world.wait(Duration::from_secs(31));
    assert!(world.introduce(14, 24).is_ok());
}

#[test]
fn a_record_counts_until_it_is_forgotten_for_the_party_that_asked_first() {
    let mut world = World::new(9);
    world.config.records_per_connection = 1;
    // Socket 2 asks second, so it may ask for another one.
    world.introduced_pair(None);
    world.ask(2, 3, false);
    assert!(matches!(world.heard(2, 3)[..], [Word::Waiting(_)]));
    world.ask(1, 3, false);
    assert!(matches!(world.heard(1, 3)[..], [Word::Withdrawn(CloseCode::IntroductionRefused)]));
    world.wait(Duration::from_secs(61));
    world.ask(1, 3, false);
    assert!(matches!(world.heard(1, 3)[..], [Word::Waiting(_)]));
}

#[test]
fn requests_have_a_rate_for_each_connection() {
    let mut world = World::new(2);
    for _ in 0..100 {
        world.ask(1, 2, false);
    }
    assert_eq!((world.introducer.stats().requests, world.introducer.stats().too_many_requests), (64, 36));
    world.ask(2, 1, true);
    assert_eq!(world.introducer.stats().requests, 65);
    world.millis(1_000);
    for _ in 0..100 {
        world.ask(1, 2, false);
    }
    assert_eq!(world.introducer.stats().requests, 65 + 8);
}

#[test]
fn candidates_have_a_rate_and_the_last_ones_are_passed_on_in_the_end() {
    let mut world = World::new(2);
    world.introduced_pair(None);
    world.told.clear();
    for port in 1..=100 {
        world.move_to(1, &alloc::format!("198.51.0.1:{port}"));
        world.millis(1);
    }
    assert_eq!(world.heard(2, 1).len(), 4);
    world.millis(900);
    let words = world.heard(2, 1);
    let [Word::Candidates(ref candidates)] = words[..] else { panic!("{words:?}") };
    assert_eq!(candidates[0].address.port(), 100);
    assert!(world.introducer.stats().candidates_delayed >= 90);
    world.wait(Duration::from_secs(100));
    assert!(world.heard(2, 1).is_empty());
    // A connection that ends has nothing left to be passed on.
    let mut world = World::new(2);
    world.introduced_pair(None);
    for port in 1..=10 {
        world.move_to(1, &alloc::format!("198.51.0.1:{port}"));
    }
    world.end(1);
    assert!(world.introducer.refreshes.is_empty());
    assert!(!world.introducer.accounts.contains_key(&id(1)));
}

#[test]
fn circuits_have_a_bound_and_without_one_the_introduction_goes_on() {
    let mut world = World::new(6);
    world.config.circuits = 1;
    world.pair_of(1, 2, Some(Relay::default()));
    world.pair_of(3, 4, Some(Relay::default()));
    assert_ne!(world.introduced(1, 2).circuit, 0);
    let introduced = world.introduced(3, 4);
    assert_eq!((introduced.circuit, introduced.circuit_rate), (0, 0));
    assert_eq!(world.introducer.stats().too_many_circuits, 1);
    // When the first one ends there is room for another.
    world.end(1);
    world.pair_of(5, 6, Some(Relay::default()));
    assert_ne!(world.introduced(5, 6).circuit, 0);
}

/// Its bit 31 says who is the party; the others are a number, and 0 is none.
#[test]
fn an_attempt_without_a_number_is_ignored() {
    let mut world = World::new(2);
    for attempt in [0, 1 << 31] {
        let request =
            Request { remote: id(2).get(), flags: flags(false), nonce: [1; 16], candidates: vec![] };
        world.request(1, attempt, &request);
        assert!(world.told.is_empty() && world.events.is_empty());
    }
    assert_eq!(world.introducer.stats().unwanted, 2);
}
