//! The states of an attempt before the parties are introduced, and its ends.

use super::*;
use crate::wire::introduction::OutcomeResult;

fn code_of(wants: &Wants) -> CloseCode {
    let [PartyEvent::Ended { connection: ended, code }] = wants.events[..] else { panic!("{wants:?}") };
    assert_eq!(ended, connection());
    code
}

#[test]
fn an_introducer_that_does_not_answer_for_ten_seconds_ends_the_attempt() {
    let mut side = Side::new(false);
    side.begin();
    let [(10_000, wants)] = &side.run(30_000)[..] else { panic!() };
    assert_eq!(code_of(wants), CloseCode::NoAnswer);
    let [message] = &wants.messages[..] else { panic!("{wants:?}") };
    assert_eq!(
        (message.kind, &message.body[..]),
        (ReliableKind::WITHDRAW, &withdraw(CloseCode::NoAnswer)[..])
    );
    assert!(side.party.is_empty());
    // Or the request was not received.
    let (number, _) = side.begin();
    let ((), wants) = side.step(|party, step| party.on_message_failed(step, introducer(), number));
    assert_eq!(code_of(&wants), CloseCode::NoAnswer);
    assert!(side.party.is_empty());
}

#[test]
fn while_a_party_waits_it_asks_again_every_ten_seconds_with_the_same_nonce() {
    for waiting in [Introduction::WaitingForParty, Introduction::WaitingForApplication] {
        let mut side = Side::new(false);
        let (number, request) = side.begin();
        side.hears_introduction(number, &waiting);
        side.run(5_000);
        // To be told again puts nothing off.
        side.hears_introduction(number, &waiting);
        let asked = side.run(55_000);
        assert_eq!(
            asked.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            [5_000, 15_000, 25_000, 35_000, 45_000, 55_000]
        );
        for (_, wants) in asked {
            let [message] = &wants.messages[..] else { panic!("{wants:?}") };
            assert_eq!((message.attempt, message.kind), (number, ReliableKind::REQUEST));
            assert_eq!(Request::parse(&message.body).unwrap(), request);
        }
        // A lost repetition ends nothing.
        side.step(|party, step| party.on_message_failed(step, introducer(), number));
        let wants = side.hears(number, ReliableKind::WITHDRAW, &withdraw(CloseCode::RemoteNeverAsked));
        assert_eq!(code_of(&wants), CloseCode::RemoteNeverAsked);
        assert!(side.party.is_empty());
    }
}

#[test]
fn the_end_of_the_introducer_ends_what_waits_for_it_and_nothing_else() {
    let mut side = Side::new(false);
    side.begin();
    let ((), wants) = side.step(|party, step| party.on_introducer_ended(step, introducer()));
    assert_eq!((code_of(&wants), wants.messages.len()), (CloseCode::IntroducerGone, 0));
    assert!(side.party.is_empty());
    side.is_introduced(&["203.0.113.1:5"]);
    let ((), wants) = side.step(|party, step| party.on_introducer_ended(step, introducer()));
    assert!(wants.events.is_empty());
    // Nobody is told any more: the id may be another connection's by now.
    let ((), wants) = side.step(|party, step| party.withdraw(step, connection(), CloseCode::Closed));
    assert!(wants.messages.is_empty());
}

#[test]
fn what_the_application_closes_is_withdrawn_or_has_failed() {
    let mut side = Side::new(false);
    side.begin();
    let ((), wants) = side.step(|party, step| party.withdraw(step, connection(), CloseCode::Closed));
    assert_eq!(wants.messages[0].kind, ReliableKind::WITHDRAW);
    assert!(wants.events.is_empty() && side.party.is_empty());
    side.is_introduced(&[]);
    side.run(1_234);
    let ((), wants) = side.step(|party, step| party.withdraw(step, connection(), CloseCode::KeyMismatch));
    let result = OutcomeResult::Failed(CloseCode::KeyMismatch);
    assert_eq!(outcome_of(&wants), Outcome { introduction: 77, result, millis: 1_234 });
    assert!(side.party.is_empty());
}

#[test]
fn without_a_path_an_attempt_ends_after_twenty_five_seconds() {
    let mut side = Side::new(true);
    side.is_introduced(&["203.0.113.1:5"]);
    let all = side.run(100_000);
    let (25_000, wants) = all.last().unwrap() else { panic!("{all:?}") };
    assert_eq!(code_of(wants), CloseCode::NoPath);
    assert_eq!(outcome_of(wants).result, OutcomeResult::Failed(CloseCode::NoPath));
    assert!(side.party.is_empty());
}

#[test]
fn a_party_begins_sixty_four_attempts_a_minute() {
    let mut side = Side::new(false);
    let options = side.options;
    let begin = |side: &mut Side| {
        let (result, _) = side.step(|party, step| party.begin(step, connection(), options));
        side.step(|party, step| party.withdraw(step, connection(), CloseCode::Closed));
        result
    };
    for millis in 0..64 {
        assert_eq!(begin(&mut side), Ok(()), "{millis}");
        side.now += Duration::from_millis(1);
    }
    side.now += Duration::from_millis(60_000 - 65);
    assert_eq!(begin(&mut side), Err(CallError::TooManyIntroductions));
    side.now += Duration::from_millis(1);
    assert_eq!(begin(&mut side), Ok(()));
    assert_eq!(begin(&mut side), Err(CallError::TooManyIntroductions));
}

/// Lets each ask on a valid path be echoed, for so long; returns the time at which the attempt ended.
fn hold(side: &mut Side, seconds: u64) -> Option<u64> {
    for millis in 1..=seconds * 1_000 {
        let wants = side.run(1);
        for (_, wants) in &wants {
            if let [PartyEvent::Ended { code, .. }] = wants.events[..] {
                assert_eq!(code, CloseCode::TimedOut);
                return Some(millis);
            }
            assert!(wants.punches.len() == 1 && millis % 5_000 == 0, "{millis} {wants:?}");
            let (punch, _) = Punch::parse(&wants.punches[0].bytes).unwrap();
            let bytes = side.punch_of_other(0, punch.number);
            side.punched(wants.punches[0].path, &bytes);
        }
    }
    None
}

#[test]
fn a_valid_path_is_held_every_five_seconds_until_the_handshake_has_had_its_time() {
    let mut side = Side::new(true);
    let (_, wants) = side.is_introduced(&["203.0.113.1:5"]);
    side.becomes_valid(&wants);
    assert_eq!(hold(&mut side, 200), Some(120_000));
    // When the handshake has begun, it has limits of its own.
    let (_, wants) = side.is_introduced(&["203.0.113.1:5"]);
    side.becomes_valid(&wants);
    side.party.handshake_began(connection());
    assert_eq!(hold(&mut side, 200), None);
}

#[test]
fn a_path_that_echoes_no_more_is_none() {
    let mut side = Side::new(true);
    let (_, wants) = side.is_introduced(&["203.0.113.1:5"]);
    let valid = side.becomes_valid(&wants);
    side.run(29_999);
    assert!(side.party.is_path(connection(), valid));
    let all = side.run(1);
    assert_eq!(code_of(&all[0].1), CloseCode::NoPath);
}

#[test]
fn attempts_are_bounded_and_a_pair_has_one() {
    let mut side = Side::new(false);
    let mut begin = |introducer: u32, remote: u32| {
        let id = |slot| ConnectionId::new(0, 1, slot);
        let options = PartyOptions { introducer: id(introducer), remote, ..side.options };
        side.step(|party, step| party.begin(step, id(1_000 + introducer * 100 + remote), options)).0
    };
    for introducer in 1..=4 {
        for remote in 1..=16 {
            assert_eq!(begin(introducer, remote), Ok(()));
            assert_eq!(begin(introducer, remote), Err(CallError::AlreadyIntroducing));
        }
        assert_eq!(begin(introducer, 17), Err(CallError::TooManyIntroductions));
    }
    assert_eq!(begin(5, 1), Err(CallError::TooManyIntroductions));
    let numbers: Vec<_> = side.party.attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, (1..=64).collect::<Vec<_>>());
    side.run(10_000);
    assert!(side.party.is_empty());
}

#[test]
fn the_number_says_which_side_of_the_connection_with_the_introducer_is_the_party() {
    let mut side = Side::new(false);
    side.options.hosts_introducer = true;
    side.party.last_number = HOST_BIT - 2;
    assert_eq!(side.begin().0, u32::MAX);
    side.party.forget(side.now, connection());
    // Attempt 0 belongs to the connection itself.
    assert_eq!(side.begin().0, HOST_BIT + 1);
}

#[test]
fn a_party_that_takes_no_direct_paths_names_no_address_and_answers_nothing() {
    let mut side = Side::new(false);
    side.options.takes_direct = false;
    side.step(|party, step| party.set_candidates(step, candidates(&["10.0.0.1:5"])));
    let (number, request) = side.begin();
    assert!(request.candidates.is_empty() && !request.flags.takes_direct);
    let told = told(&Side::new(true), &["203.0.113.1:5"]);
    let wants = side.hears_introduction(number, &Introduction::Complete(Box::new(told)));
    assert!(wants.punches.is_empty());
    assert!(side.hears_candidates(number, &["203.0.113.2:5"]).punches.is_empty());
    let bytes = side.punch_of_other(5, 0);
    let (is_authentic, wants) = side.punched(path("203.0.113.1:5"), &bytes);
    assert!(is_authentic && wants.punches.is_empty() && wants.events.is_empty());
    let ((), wants) = side.step(|party, step| party.set_candidates(step, candidates(&["10.0.0.2:5"])));
    assert!(wants.messages.is_empty());
}

#[test]
fn introducers_are_told_when_this_machine_has_other_addresses() {
    let mut side = Side::new(false);
    let (number, request) = side.begin();
    assert!(request.candidates.is_empty());
    let told = |wants: &Wants| {
        let [message] = &wants.messages[..] else { panic!("{wants:?}") };
        assert_eq!((message.kind, message.attempt), (ReliableKind::CANDIDATES, number));
        parse_candidates(&message.body).unwrap()
    };
    let own = candidates(&["10.0.0.1:5"]);
    let ((), wants) = side.step(|party, step| party.set_candidates(step, own.clone()));
    assert_eq!(told(&wants), own);
    let ((), wants) = side.step(|party, step| party.set_candidates(step, own.clone()));
    assert!(wants.messages.is_empty());
    // Addresses of interfaces may be private, those that a router maps are not.
    side.config.local_addresses = false;
    let mut own = candidates(&["10.0.0.2:5", "192.0.2.1:9"]);
    own[1].kind = CandidateKind::Mapped;
    let ((), wants) = side.step(|party, step| party.set_candidates(step, own.clone()));
    assert_eq!(told(&wants), own[1..]);
}
