//! A party that only answers punches: a web page behind its gateway.

use super::*;

const OTHER: &str = "203.0.113.1:5";

fn answering() -> Side {
    let mut side = Side::new(false);
    side.config.answers_only = true;
    side
}

#[test]
fn a_party_that_only_answers_punches_nobody_first() {
    let mut side = answering();
    let (number, wants) = side.is_introduced(&[OTHER]);
    assert_eq!(wants.punches, []);
    assert_eq!(side.hears_candidates(number, &["203.0.113.2:5"]).punches, []);
    let all = side.run(30_000);
    assert!(all.iter().all(|(_, wants)| wants.punches.is_empty()), "{all:?}");
    let [(25_000, end)] = &all[..] else { panic!("{all:?}") };
    assert!(matches!(end.events[..], [PartyEvent::Ended { code: CloseCode::NoPath, .. }]), "{end:?}");
}

#[test]
fn a_party_that_only_answers_finds_the_path_on_which_it_answered() {
    let mut side = answering();
    side.is_introduced(&[OTHER]);
    side.run(10);
    let (is_authentic, wants) = side.punched(path(OTHER), &side.punch_of_other(4, 0));
    assert!(is_authentic);
    let [answer] = wants.punches[..] else { panic!("{wants:?}") };
    let (punch, _) = Punch::parse(&answer.bytes).unwrap();
    assert_eq!((answer.path, answer.hop_limit, punch.echo), (path(OTHER), None, 4));
    assert_ne!(punch.number, 0, "it asks");
    // A gateway asks the other side whether it wants this.
    assert!(
        side.party.expects(address(OTHER).into()) && !side.party.expects(address("203.0.113.1:6").into())
    );
    assert_eq!(side.becomes_valid(&wants), path(OTHER));
    // The path is kept open.
    assert!(side.run(10_000).iter().any(|(_, wants)| !wants.punches.is_empty()));
    let (handover, _) = side.step(|party, step| party.established(step, connection(), path(OTHER)));
    assert_eq!(handover.unwrap().candidates, []);
}

#[test]
fn the_addresses_of_the_other_party_are_expected_from_the_introduction_on() {
    let mut side = Side::new(true);
    assert!(!side.party.expects(address(OTHER).into()));
    side.is_introduced(&[OTHER]);
    assert!(side.party.expects(address(OTHER).into()));
    side.step(|party, step| party.withdraw(step, connection(), CloseCode::Closed));
    assert!(!side.party.expects(address(OTHER).into()));
}
