//! What INTRODUCTIONS.md 4 says of an introducer.

use super::*;

const GONE: CloseCode = CloseCode::RemoteGone;

fn permutations() -> [[u8; 3]; 6] {
    [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
}

#[test]
fn two_requests_and_the_application_complete_an_introduction_in_any_order() {
    for order in permutations() {
        let mut world = World::new(3);
        world.sockets.get_mut(&id(1)).unwrap().key = key(1);
        world.sockets.get_mut(&id(2)).unwrap().key = key(2);
        let mut introduction = None;
        for (place, what) in order.into_iter().enumerate() {
            match what {
                0 => world.ask(1, 2, false),
                1 => world.ask(2, 1, true),
                _ => introduction = Some(world.introduce(1, 2).unwrap()),
            }
            let is_told = world.told.iter().any(|(_, told)| matches!(read(told), Word::Introduced(_)));
            assert_eq!(is_told, place == 2, "{order:?}");
        }
        world.millis(50);
        let (one, two) = (world.introduced(1, 2), world.introduced(2, 1));
        assert_eq!(IntroductionId::from_u64(one.id), introduction, "{order:?}");
        assert_eq!((one.id, &one.secret), (two.id, &two.secret));
        assert_ne!(*one.secret, [0; 32]);
        assert_eq!((one.public_key, two.public_key), (*key(2).as_bytes(), *key(1).as_bytes()));
        assert_eq!((one.nonce, two.nonce), ([2; 16], [1; 16]));
        assert_eq!((one.flags, two.flags), (flags(true), flags(false)));
        assert_eq!((one.circuit, two.circuit), (0, 0));
        assert_eq!(one.observed, world.sockets[&id(1)].address.socket_addr());
        assert_eq!(Some(one.candidates[0].address), world.sockets[&id(2)].address.socket_addr());
        let asked =
            world.events().into_iter().filter(|event| matches!(event, IntroducerEvent::Requested { .. }));
        assert_eq!(asked.count(), usize::from(order[0] != 2), "{order:?}");
        assert_eq!(world.introducer.stats().completed, 1);
    }
}

#[test]
fn the_application_is_asked_once_and_told_who_wants_to_be_what() {
    let mut world = World::new(2);
    world.ask(2, 1, true);
    world.ask(1, 2, false);
    let wanted = IntroducerEvent::Requested { from: id(2), to: id(1), from_is_host: true };
    assert_eq!(world.events(), [wanted]);
}

#[test]
fn a_party_hears_what_it_waits_for_whenever_that_changes() {
    let mut world = World::new(2);
    world.ask(1, 2, false);
    let [Word::Waiting(Waiting::ForParty)] = world.heard(1, 2)[..] else { panic!() };
    world.ask(2, 1, true);
    let [Word::Waiting(Waiting::ForApplication)] = world.heard(1, 2)[..] else { panic!() };
    let [Word::Waiting(Waiting::ForApplication)] = world.heard(2, 1)[..] else { panic!() };
    // A request that is repeated is answered again.
    world.ask(1, 2, false);
    let [Word::Waiting(Waiting::ForApplication)] = world.heard(1, 2)[..] else { panic!() };
    assert!(world.heard(2, 1).is_empty());
}

#[test]
fn each_party_is_told_twice_and_the_nearer_one_half_the_difference_later() {
    for (near, far, delay) in [(20, 100, 40), (10, 400, 100), (50, 50, 0), (30, 50, 10), (40, 58, 0)] {
        for far_party in [1, 2] {
            let mut world = World::new(2);
            for slot in [1, 2] {
                let round_trip = if slot == far_party { far } else { near };
                world.sockets.get_mut(&id(slot)).unwrap().round_trip = Micros::from_millis(round_trip);
            }
            let start = world.now;
            world.introduced_pair(None);
            world.millis(500);
            let mut complete = world.introducer.records.values_mut().filter_map(|record| record.completion());
            assert!(complete.all(|complete| complete.secret.is_none()), "the secret is erased");
            for slot in [1, 2] {
                let later = if slot == far_party { 0 } else { delay };
                let told = world.told.iter().filter(|(_, told)| {
                    told.connection == id(slot) && matches!(read(told), Word::Introduced(_))
                });
                let (times, bodies): (Vec<_>, Vec<_>) =
                    told.map(|(at, told)| (*at, told.body.clone())).unzip();
                let expected = [later, later + 20].map(|millis| start + Duration::from_millis(millis));
                assert_eq!(times, expected, "party {slot}, far is {far_party}: {near} {far}");
                assert_eq!(bodies[0], bodies[1]);
            }
        }
    }
}

#[test]
fn parties_with_the_same_role_or_another_than_the_application_says_are_in_conflict() {
    let conflict = CloseCode::RoleConflict;
    for is_host in [false, true] {
        let mut world = World::new(2);
        world.ask(1, 2, is_host);
        world.ask(2, 1, is_host);
        assert!(matches!(world.heard(1, 2)[1..], [Word::Withdrawn(code)] if code == conflict));
        assert!(matches!(world.heard(2, 1)[..], [Word::Withdrawn(code)] if code == conflict));
        assert!(world.is_empty());
        assert_eq!(world.results(), []);
    }
    for order in permutations() {
        let mut world = World::new(2);
        for what in order {
            match what {
                0 => world.ask(1, 2, true),
                1 => world.ask(2, 1, false),
                _ => _ = world.introduce(1, 2).unwrap(),
            }
        }
        world.wait(Duration::from_secs(31));
        for (party, other) in [(1, 2), (2, 1)] {
            assert!(matches!(world.heard(party, other).last(), Some(Word::Withdrawn(_))), "{order:?}");
        }
        assert_eq!(world.results(), [IntroductionResult::Failed(conflict)], "{order:?}");
        assert!(world.is_empty());
    }
}

#[test]
fn a_remote_that_does_not_exist_is_one_that_never_asks() {
    // An existing one, one that was never there, the asker itself, and no number.
    let mut words = Vec::new();
    for remote in [id(2).get(), id(77).get(), id(1).get(), 0] {
        let mut world = World::new(2);
        let request = Request { remote, flags: flags(false), nonce: [1; 16], candidates: vec![] };
        world.request(1, 5, &request);
        assert_eq!(world.events().len(), usize::from(remote == id(2).get()));
        world.wait(Duration::from_secs(29));
        let before = alloc::format!("{:?}", world.heard(1, 5));
        world.wait(Duration::from_secs(1));
        words.push((before, alloc::format!("{:?}", world.heard(1, 5))));
        assert!(world.is_empty());
    }
    assert_eq!(words[0].1, "[Withdrawn(RemoteNeverAsked)]");
    assert!(words.iter().all(|other| *other == words[0]), "{words:?}");
}

#[test]
fn the_end_of_a_remote_that_never_asked_shows_only_once_the_application_wants_the_introduction() {
    let mut world = World::new(2);
    world.ask(1, 2, false);
    world.end(2);
    assert_eq!(world.heard(1, 2).len(), 1);
    world.wait(Duration::from_secs(30));
    assert!(matches!(world.heard(1, 2)[..], [Word::Withdrawn(CloseCode::RemoteNeverAsked)]));
    assert!(world.is_empty());

    let mut world = World::new(2);
    world.ask(1, 2, false);
    world.introduce(1, 2).unwrap();
    world.end(2);
    assert!(matches!(world.heard(1, 2)[1..], [Word::Withdrawn(GONE)]));
    assert_eq!(world.results(), [IntroductionResult::Failed(GONE)]);
    assert!(world.is_empty());
}

#[test]
fn introduce_again_returns_the_same_introduction_until_it_is_complete() {
    let mut world = World::new(2);
    let first = world.introduce(1, 2).unwrap();
    assert_eq!(world.introduce(1, 2), Ok(first));
    world.ask(1, 2, false);
    assert_eq!(world.introduce(1, 2), Ok(first));
    world.ask(2, 1, true);
    let second = world.introduce(1, 2).unwrap();
    assert_ne!(first, second);
    // The application's last word counts.
    assert_eq!(world.introduce(2, 1), Ok(second));
    world.ask(1, 2, true);
    world.ask(2, 1, false);
    // Those were repetitions of attempts that had been answered.
    assert_eq!(world.introducer.stats().stale_requests, 2);
    let request = |remote, is_host| Request {
        remote: id(remote).get(),
        flags: flags(is_host),
        nonce: [9; 16],
        candidates: vec![],
    };
    world.request(1, 100, &request(2, true));
    world.request(2, 100, &request(1, false));
    world.millis(30);
    assert_eq!(world.introduced(1, 100).id, second.get());
}

#[test]
fn calls_that_cannot_be_met_say_why() {
    let mut world = World::new(2);
    assert_eq!(world.introduce(1, 3), Err(CallError::Closed));
    assert_eq!(world.introduce(3, 1), Err(CallError::Closed));
    let elsewhere = ConnectionId::new(1, 1, 2);
    let result = world.step(|introducer, step| introducer.introduce(step, id(1), elsewhere, None));
    assert_eq!(result, Err(CallError::OtherShard));
    assert_eq!(world.refuse(1, 2), Err(CallError::NotWaiting));
    world.introduce(1, 2).unwrap();
    assert_eq!(world.refuse(1, 2), Err(CallError::NotWaiting), "the application has said yes");
    world.ask(1, 2, false);
    world.ask(2, 1, true);
    assert_eq!(world.refuse(1, 2), Err(CallError::NotWaiting));
    assert_eq!(world.introducer.stats().completed, 1);
}

#[test]
fn a_refusal_is_told_to_all_that_asked() {
    for second_asks in [false, true] {
        let mut world = World::new(2);
        world.ask(1, 2, false);
        if second_asks {
            world.ask(2, 1, true);
        }
        assert_eq!(world.refuse(1, 2), Ok(()));
        let refused =
            |words: Vec<Word>| matches!(words.last(), Some(Word::Withdrawn(CloseCode::IntroductionRefused)));
        assert!(refused(world.heard(1, 2)));
        assert_eq!(refused(world.heard(2, 1)), second_asks);
        assert!(world.is_empty());
        assert_eq!(world.results(), []);
        // It was no word on what is asked later.
        world.ask(2, 1, true);
        let wanted = IntroducerEvent::Requested { from: id(2), to: id(1), from_is_host: true };
        assert_eq!(world.events(), [wanted]);
    }
}

#[test]
fn the_application_is_told_who_did_not_ask() {
    for (one, two) in [(false, false), (true, false), (false, true)] {
        let mut world = World::new(2);
        world.introduce(1, 2).unwrap();
        if one {
            world.ask(1, 2, false);
        }
        if two {
            world.ask(2, 1, true);
        }
        world.wait(Duration::from_secs(29));
        assert_eq!(world.results(), []);
        world.wait(Duration::from_secs(1));
        assert_eq!(world.results(), [IntroductionResult::NeverAsked { initiator: !one, host: !two }]);
        let was_told =
            |words: Vec<Word>| matches!(words.last(), Some(Word::Withdrawn(CloseCode::RemoteNeverAsked)));
        assert_eq!((was_told(world.heard(1, 2)), was_told(world.heard(2, 1))), (one, two));
        assert!(world.is_empty());
    }
    // Both asked, and the application said nothing.
    let mut world = World::new(2);
    world.ask(1, 2, false);
    world.ask(2, 1, true);
    world.wait(Duration::from_secs(30));
    for (party, other) in [(1, 2), (2, 1)] {
        assert!(matches!(world.heard(party, other).last(), Some(Word::Withdrawn(CloseCode::NoDecision))));
    }
    assert_eq!(world.results(), []);
}

#[test]
fn a_party_that_withdraws_or_leaves_is_gone_for_the_other_one() {
    for leaves in [false, true] {
        for approved in [false, true] {
            let mut world = World::new(2);
            if approved {
                world.introduce(1, 2).unwrap();
                world.ask(1, 2, false);
            } else {
                world.ask(1, 2, false);
                world.ask(2, 1, true);
            }
            if leaves {
                world.end(1)
            } else {
                world.withdraw(1, 2)
            }
            assert!(!world.heard(1, 2).iter().any(|word| matches!(word, Word::Withdrawn(_))));
            assert_eq!(matches!(world.heard(2, 1)[..], [_, Word::Withdrawn(GONE)]), !approved);
            let expected: &[_] = if approved { &[IntroductionResult::Failed(GONE)] } else { &[] };
            assert_eq!(world.results(), expected);
            assert!(world.is_empty());
        }
    }
}

#[test]
fn a_party_that_leaves_before_it_was_told_is_gone_and_one_that_leaves_after_goes_on_without() {
    // The first party is near, so it is told 100 ms later.
    let mut world = World::new(2);
    world.sockets.get_mut(&id(2)).unwrap().round_trip = Micros::from_millis(900);
    world.introduced_pair(None);
    world.introduced(2, 1);
    world.end(1);
    assert!(matches!(world.heard(2, 1)[..], [Word::Withdrawn(GONE)]));
    assert_eq!(world.results(), [IntroductionResult::Failed(GONE)]);
    assert!(world.is_empty());

    let mut world = World::new(2);
    world.sockets.get_mut(&id(1)).unwrap().round_trip = Micros::from_millis(900);
    let introduction = world.introduced_pair(None);
    world.end(1);
    world.millis(200);
    let introduced = world.introduced(2, 1);
    assert_eq!((introduced.id, introduced.candidates.len()), (introduction.get(), 1));
    world.outcome(2, 1, introduction, OutcomeResult::Direct);
    assert_eq!(world.results(), [IntroductionResult::Direct]);
    world.wait(Duration::from_secs(60));
    assert!(world.is_empty());
}

#[test]
fn a_new_attempt_takes_the_place_of_the_older_one() {
    let mut world = World::new(2);
    world.ask(1, 2, false);
    let request = Request { remote: id(2).get(), flags: flags(false), nonce: [8; 16], candidates: vec![] };
    world.request(1, 99, &request);
    // What the party says in the old attempt is about nothing.
    world.withdraw(1, 2);
    assert_eq!(world.introducer.stats().unknown_attempt, 1);
    world.introduce(1, 2).unwrap();
    world.ask(2, 1, true);
    world.millis(30);
    assert!(world.heard(1, 2).iter().all(|word| matches!(word, Word::Waiting(_))));
    assert_eq!(world.introduced(2, 1).nonce, [8; 16]);
    world.introduced(1, 99);
}

#[test]
fn an_attempt_is_about_one_remote() {
    let mut world = World::new(3);
    world.ask(1, 2, false);
    let request = Request { remote: id(3).get(), flags: flags(false), nonce: [8; 16], candidates: vec![] };
    world.request(1, 2, &request);
    assert_eq!(world.introducer.stats().stale_requests, 1);
    assert_eq!(world.introducer.records.len(), 1);
}

#[test]
fn the_application_is_told_the_outcome_once_both_have_told_theirs() {
    use OutcomeResult::{BecameDirect, Direct, Relayed};
    for (one, two, expected) in [
        (Direct, Direct, IntroductionResult::Direct),
        (Relayed, Relayed, IntroductionResult::Relayed),
        (Relayed, Direct, IntroductionResult::Relayed),
        (BecameDirect, Relayed, IntroductionResult::BecameDirect),
    ] {
        let mut world = World::new(2);
        let introduction = world.introduced_pair(None);
        world.outcome(1, 2, introduction, one);
        assert_eq!(world.results(), []);
        // The same word twice is not the other party's.
        world.outcome(1, 2, introduction, one);
        assert_eq!(world.results(), []);
        world.outcome(2, 1, introduction, two);
        let [IntroducerEvent::Ended { initiator, host, result, took, introduction: named }] =
            world.events()[..]
        else {
            panic!()
        };
        assert_eq!((initiator, host, result, named), (id(1), id(2), expected, introduction));
        assert_eq!(took, Duration::from_millis(102));
        world.wait(Duration::from_secs(61));
        assert_eq!(world.results(), []);
        assert!(world.is_empty());
    }
}

#[test]
fn one_failure_is_enough_and_silence_is_told_after_a_minute() {
    let mut world = World::new(2);
    let introduction = world.introduced_pair(None);
    world.outcome(2, 1, introduction, OutcomeResult::Failed(CloseCode::NoPath));
    assert_eq!(world.results(), [IntroductionResult::Failed(CloseCode::NoPath)]);
    assert!(world.is_empty());

    for (says, expected) in [(false, IntroductionResult::Unknown), (true, IntroductionResult::Direct)] {
        let mut world = World::new(2);
        let introduction = world.introduced_pair(None);
        if says {
            world.outcome(1, 2, introduction, OutcomeResult::Direct);
        }
        world.wait(Duration::from_secs(59));
        assert_eq!(world.results(), []);
        world.wait(Duration::from_secs(1));
        assert_eq!(world.results(), [expected]);
        assert!(world.is_empty());
    }
}

#[test]
fn a_relayed_connection_that_became_direct_is_told_once() {
    let mut world = World::new(2);
    let introduction = world.introduced_pair(Some(Relay::default()));
    world.outcome(1, 2, introduction, OutcomeResult::Relayed);
    world.outcome(2, 1, introduction, OutcomeResult::Relayed);
    assert_eq!(world.results(), [IntroductionResult::Relayed]);
    world.millis(5_000);
    world.outcome(1, 2, introduction, OutcomeResult::BecameDirect);
    world.outcome(2, 1, introduction, OutcomeResult::BecameDirect);
    world.outcome(1, 2, introduction, OutcomeResult::BecameDirect);
    assert_eq!(world.results(), [IntroductionResult::BecameDirect]);
}

#[test]
fn an_outcome_of_another_introduction_counts_for_nothing() {
    let mut world = World::new(3);
    let introduction = world.introduced_pair(None);
    let other = world.pair_of(1, 3, None);
    world.outcome(1, 2, other, OutcomeResult::Direct);
    world.outcome(2, 1, introduction, OutcomeResult::Direct);
    world.outcome(3, 1, introduction, OutcomeResult::Direct);
    assert_eq!(world.results(), []);
    assert_eq!(world.introducer.stats().unwanted, 2);
}

#[test]
fn a_party_that_gives_up_after_all_tells_the_other_one() {
    let mut world = World::new(2);
    let introduction = world.introduced_pair(Some(Relay::default()));
    world.introduced(2, 1);
    world.withdraw(1, 2);
    let [Word::Circuit(notice), Word::Withdrawn(GONE)] = world.heard(2, 1)[..] else { panic!() };
    assert_eq!(notice.state, CircuitState::Ended);
    assert_eq!(world.results(), [IntroductionResult::Failed(GONE)]);
    assert!(world.is_empty());
    // One that has told the outcome has nothing to withdraw.
    let introduction_2 = world.pair_of(1, 2, None);
    assert_ne!(introduction, introduction_2);
    world.introduced(2, 1);
    world.outcome(1, 2, introduction_2, OutcomeResult::Direct);
    world.withdraw(1, 2);
    assert!(world.heard(2, 1).is_empty());
}

#[test]
fn candidates_are_passed_on_vetted_while_the_record_is_kept() {
    let mut world = World::new(2);
    world.introduced_pair(None);
    world.told.clear();
    let observed = world.sockets[&id(1)].address.socket_addr().unwrap();
    let mapped = Candidate { kind: CandidateKind::Mapped, address: SocketAddr::new(observed.ip(), 7_777) };
    let private = Candidate { kind: CandidateKind::Interface, address: socket_address("10.0.0.7:9") };
    let message = body(|out| write_candidates(&[private, mapped], out));
    world.say(1, 2, ReliableKind::CANDIDATES, &message);
    let [Word::Candidates(ref candidates)] = world.heard(2, 1)[..] else { panic!() };
    let first = Candidate { kind: CandidateKind::Observed, address: observed };
    assert_eq!(*candidates, [first, mapped]);
    assert_eq!(world.introducer.stats().vetted_away, 1);
    // The same again is no news.
    world.say(1, 2, ReliableKind::CANDIDATES, &message);
    assert!(world.heard(2, 1).is_empty());
    assert!(world.heard(1, 2).is_empty());
    world.wait(Duration::from_secs(61));
    world.say(1, 2, ReliableKind::CANDIDATES, &message);
    assert_eq!(world.introducer.stats().unknown_attempt, 1);
}

#[test]
fn a_party_that_moves_is_told_of_and_what_it_may_know_of_the_other_changes_with_it() {
    let mut world = World::new(2);
    let private = Candidate { kind: CandidateKind::Interface, address: socket_address("10.0.0.7:9") };
    world.introduce(1, 2).unwrap();
    world.ask_with(1, 2, flags(false), &[private]);
    world.ask_with(2, 1, flags(true), &[private]);
    world.millis(30);
    assert_eq!(world.introduced(1, 2).candidates.len(), 1);
    world.told.clear();
    // Into the other one's house: now both learn the private addresses.
    let place = world.sockets[&id(2)].address.socket_addr().unwrap().ip();
    world.move_to(1, &alloc::format!("{place}:4444"));
    let [Word::Candidates(ref to_host)] = world.heard(2, 1)[..] else { panic!() };
    assert_eq!((to_host[0].address.port(), to_host[1]), (4_444, private));
    let [Word::Candidates(ref to_initiator)] = world.heard(1, 2)[..] else { panic!() };
    assert_eq!(to_initiator[1], private);
}

#[test]
fn nothing_is_told_of_addresses_before_the_introduction() {
    let mut world = World::new(2);
    world.sockets.get_mut(&id(1)).unwrap().round_trip = Micros::from_millis(300);
    world.introduce(1, 2).unwrap();
    world.ask(1, 2, false);
    world.move_to(1, "198.51.9.9:1");
    world.ask(2, 1, true);
    // Socket 2 is told 100 ms later, with what is known then.
    world.move_to(1, "198.51.9.9:2");
    world.millis(300);
    let words = world.heard(2, 1);
    assert!(matches!(words[..], [Word::Introduced(_), Word::Introduced(_)]), "{words:?}");
    let Word::Introduced(introduced) = &words[0] else { panic!() };
    assert_eq!(introduced.candidates[0].address, socket_address("198.51.9.9:2"));
}

#[test]
fn a_party_that_takes_no_direct_paths_shows_and_learns_no_address() {
    for hidden in [1, 2] {
        let mut world = World::new(2);
        world.introduce_with(1, 2, Some(Relay::default())).unwrap();
        for (party, other) in [(1, 2), (2, 1)] {
            let flags = PartyFlags { takes_direct: party != hidden, ..flags(party == 2) };
            let own = Candidate {
                kind: CandidateKind::Mapped,
                address: world.sockets[&id(party)].address.socket_addr().unwrap(),
            };
            world.ask_with(party, other, flags, &[own]);
        }
        world.millis(30);
        for (party, other) in [(1, 2), (2, 1)] {
            let introduced = world.introduced(party, other);
            assert_eq!(introduced.candidates, []);
            assert_eq!(introduced.observed.is_some(), party != hidden);
            assert_ne!(introduced.circuit, 0);
        }
        world.told.clear();
        world.move_to(1, "198.51.9.9:1");
        world.move_to(2, "198.51.9.9:2");
        assert!(world.told.is_empty());
    }
}

#[test]
fn a_socket_that_does_not_introduce_answers_nothing() {
    let mut world = World::new(2);
    world.config.introduces = false;
    world.ask(1, 2, false);
    assert!(world.told.is_empty() && world.is_empty());
    world.config.introduces = true;
    world.say(9, 1, ReliableKind::REQUEST, &[]);
    for kind in [ReliableKind::INTRODUCTION, ReliableKind::CIRCUIT, ReliableKind::FORWARD] {
        world.say(1, 1, kind, &[1]);
    }
    assert_eq!(world.introducer.stats().unwanted, 5);
    for kind in
        [ReliableKind::REQUEST, ReliableKind::OUTCOME, ReliableKind::CANDIDATES, ReliableKind::WITHDRAW]
    {
        world.say(1, 1, kind, &[9, 9, 9]);
    }
    assert_eq!(world.introducer.stats().malformed, 4);
    assert!(world.told.is_empty() && world.is_empty());
}
