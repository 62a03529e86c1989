//! What follows when the parties are introduced: circuits, what the handshake is told, and what stays.

use super::*;
use crate::wire::introduction::OutcomeResult;

fn granted(told: &mut Introduced) {
    told.circuit = 5;
}

fn circuit_of(wants: &Wants) -> Path {
    let found = wants.events.iter().find_map(|event| match event {
        PartyEvent::CircuitGranted { circuit: 5, address, .. } => Some(Path::to(*address)),
        _ => None,
    });
    found.expect("a circuit was granted")
}

fn ready(wants: &Wants) -> Vec<Path> {
    let ready = wants.events.iter().filter_map(|event| match event {
        PartyEvent::PathReady { path, .. } => Some(*path),
        _ => None,
    });
    ready.collect()
}

fn notice(state: CircuitState, circuit: u32) -> Vec<u8> {
    let mut body = Vec::new();
    CircuitNotice { circuit, state }.write(&mut body);
    body
}

#[test]
fn a_circuit_is_used_after_two_seconds_without_a_direct_path() {
    let mut side = Side::new(false);
    let (_, wants) = side.is_introduced_as(&[], granted);
    let circuit = circuit_of(&wants);
    assert!(ready(&wants).is_empty() && side.party.is_path(connection(), circuit));
    // Once, and with it the search for a path has no end of its own.
    let [(2_000, wants)] = &side.run(60_000)[..] else { panic!() };
    assert_eq!(ready(wants), [circuit]);
    let mut side = Side::new(false);
    let (_, wants) = side.is_introduced_as(&["203.0.113.1:5"], granted);
    let valid = side.becomes_valid(&wants);
    let all = side.run(20_000);
    assert!(all.iter().all(|(_, wants)| ready(wants).is_empty()));
    // When that path is lost, it is the circuit's turn.
    let all = side.run(10_000);
    assert_eq!(all.iter().flat_map(|(_, wants)| ready(wants)).collect::<Vec<_>>(), [circuit_path(&side)]);
    assert!(!side.party.is_path(connection(), valid));
}

fn circuit_path(side: &Side) -> Path {
    let meeting = side.party.attempts[0].meeting().unwrap();
    Path::to(meeting.circuit.as_ref().unwrap().address)
}

#[test]
fn a_circuit_is_used_at_once_if_both_want_that_or_nothing_else_is_left() {
    let at_once = |own: bool, other: bool, own_direct: bool, other_direct: bool| {
        let mut side = Side::new(false);
        (side.options.circuit_at_once, side.options.takes_direct) = (own, own_direct);
        let (_, wants) = side.is_introduced_as(&[], |told| {
            granted(told);
            (told.flags.wants_circuit_at_once, told.flags.takes_direct) = (other, other_direct);
        });
        ready(&wants).len() == 1
    };
    assert!(at_once(true, true, true, true));
    assert!(!at_once(true, false, true, true) && !at_once(false, true, true, true));
    assert!(at_once(false, false, false, true) && at_once(false, false, true, false));
    // One that this side did not ask for is none.
    let mut side = Side::new(false);
    side.options.takes_circuit = false;
    let (_, wants) = side.is_introduced_as(&[], granted);
    assert_eq!(wants.events, [PartyEvent::Introduced { connection: connection() }]);
}

#[test]
fn a_circuit_ends_when_the_introducer_says_so_or_is_gone() {
    for state in [Some(CircuitState::UsedUp), Some(CircuitState::Ended), None] {
        for is_established in [false, true] {
            let mut side = Side::new(false);
            let (number, wants) = side.is_introduced_as(&[], granted);
            let circuit = circuit_of(&wants);
            if is_established {
                side.step(|party, step| party.established(step, connection(), circuit));
            }
            assert!(
                side.hears(number, ReliableKind::CIRCUIT, &notice(CircuitState::Ended, 6)).events.is_empty()
            );
            let throttled = notice(CircuitState::Throttled, 5);
            assert!(side.hears(number, ReliableKind::CIRCUIT, &throttled).events.is_empty());
            assert_eq!(side.party.counters().circuits_throttled, 1);
            let wants = match state {
                Some(state) => side.hears(number, ReliableKind::CIRCUIT, &notice(state, 5)),
                None => side.step(|party, step| party.on_introducer_ended(step, introducer())).1,
            };
            let ended = PartyEvent::CircuitEnded { connection: connection(), address: circuit.remote };
            assert_eq!(wants.events, [ended]);
            assert!(!side.party.is_path(connection(), circuit));
        }
    }
}

#[test]
fn both_parties_derive_the_same_secrets_and_take_them_once() {
    let (mut initiator, mut host) = (Side::new(false), Side::new(true));
    let (requests, numbers): (Vec<_>, Vec<_>) =
        [&mut initiator, &mut host].into_iter().map(|side| side.begin()).map(|(n, r)| (r, n)).unzip();
    let of_initiator = Introduced { nonce: requests[0].nonce, ..told(&initiator, &[]) };
    let of_host = Introduced { nonce: requests[1].nonce, ..told(&host, &[]) };
    initiator.hears_introduction(numbers[0], &Introduction::Complete(Box::new(of_host)));
    host.hears_introduction(numbers[1], &Introduction::Complete(Box::new(of_initiator)));
    let sealed = host.party.take_secrets(connection()).unwrap().data.seal(77, b"hello");
    let data = initiator.party.take_secrets(connection()).unwrap().data;
    assert_eq!(data.open(77, &sealed).unwrap(), b"hello");
    assert!(host.party.take_secrets(connection()).is_none());
    let facts = host.party.facts(connection()).unwrap();
    assert_eq!((facts.id, facts.peer, facts.is_host), (77, initiator.keys.public(), true));
    assert_eq!(host.party.find(77), Some(connection()));
}

#[test]
fn what_cannot_be_true_ends_the_attempt() {
    let own = *Side::new(false).keys.public().as_bytes();
    let negative = {
        let mut bytes = own;
        bytes[31] ^= 0x80;
        bytes
    };
    let changes: [&dyn Fn(&mut Introduced); 4] = [
        &|told| told.public_key = own,
        &|told| told.public_key = negative,
        &|told| told.public_key = [0; 32],
        &|told| told.flags.is_host = false,
    ];
    for change in changes {
        let mut side = Side::new(false);
        let (_, wants) = side.is_introduced_as(&["203.0.113.1:5"], change);
        let code = CloseCode::ProtocolViolation;
        assert_eq!(wants.events, [PartyEvent::Ended { connection: connection(), code }]);
        assert_eq!((wants.messages[0].kind, wants.punches.len()), (ReliableKind::WITHDRAW, 0));
        assert!(side.party.is_empty());
    }
}

#[test]
fn an_id_that_another_introduction_has_is_refused() {
    for is_established in [false, true] {
        let mut side = Side::new(false);
        side.is_introduced(&["203.0.113.1:5"]);
        if is_established {
            side.step(|party, step| party.established(step, connection(), path("203.0.113.1:5")));
        }
        let (other, second) = (ConnectionId::new(0, 1, 3), ConnectionId::new(0, 1, 4));
        let options = PartyOptions { introducer: other, ..side.options };
        let (_, wants) = side.step(|party, step| party.begin(step, second, options));
        let number = wants.messages[0].attempt;
        let mut body = Vec::new();
        Introduction::Complete(Box::new(told(&Side::new(true), &[]))).write(&mut body);
        let ((), wants) = side.step(|party, step| {
            party.on_message(step, other, number, ReliableKind::INTRODUCTION, &body);
        });
        let code = CloseCode::ProtocolViolation;
        assert_eq!(wants.events, [PartyEvent::Ended { connection: second, code }]);
        // Only an attempt's handshake is looked for by its id.
        assert_eq!(side.party.find(77), (!is_established).then(connection));
    }
}

#[test]
fn an_introduction_that_comes_twice_counts_once() {
    let mut side = Side::new(false);
    let (number, _) = side.is_introduced(&["203.0.113.1:5"]);
    for id in [77, 78] {
        let again = Introduced { id, ..told(&Side::new(true), &["203.0.113.2:5"]) };
        let wants = side.hears_introduction(number, &Introduction::Complete(Box::new(again)));
        assert!(wants.events.is_empty() && wants.punches.is_empty());
        // A second copy is expected, another introduction is not.
        assert_eq!(side.party.counters().messages_ignored, id - 77);
    }
    side.hears_introduction(number, &Introduction::WaitingForParty);
    assert_eq!((side.party.find(77), side.party.find(78)), (Some(connection()), None));
}

/// The other party has left. It may be there still, if the two have begun to speak.
#[test]
fn a_withdrawal_ends_an_attempt_until_the_handshake_has_begun() {
    for begins in [false, true] {
        let mut side = Side::new(false);
        let (number, wants) = side.is_introduced(&["203.0.113.1:5"]);
        side.becomes_valid(&wants);
        if begins {
            side.party.handshake_began(connection());
        }
        let wants = side.hears(number, ReliableKind::WITHDRAW, &withdraw(CloseCode::RemoteGone));
        let code = CloseCode::RemoteGone;
        let ended = [PartyEvent::Ended { connection: connection(), code }];
        assert_eq!(wants.events, if begins { &[][..] } else { &ended });
        assert_eq!(side.party.find(77).is_some(), begins);
    }
}

#[test]
fn the_introducer_is_told_once_that_a_relayed_connection_became_direct() {
    let mut side = Side::new(false);
    let (number, wants) = side.is_introduced_as(&["203.0.113.1:5"], granted);
    let circuit = circuit_of(&wants);
    side.run(100);
    let (handover, wants) = side.step(|party, step| party.established(step, connection(), circuit));
    let candidates = vec![address("203.0.113.1:5")];
    assert_eq!(handover, Some(Handover { paths: vec![], sources: vec![], candidates }));
    assert_eq!(outcome_of(&wants), Outcome { introduction: 77, result: OutcomeResult::Relayed, millis: 100 });
    // The punches of the introduction are over.
    let far = side.run(60_000);
    assert!(far.is_empty() && side.party.facts(connection()).is_none());
    let wants = side.hears_candidates(number, &["203.0.113.2:5", "224.0.0.1:5"]);
    let candidates = vec![address("203.0.113.2:5")];
    assert_eq!(wants.events, [PartyEvent::Candidates { connection: connection(), candidates }]);
    let ((), wants) = side.step(|party, step| party.became_direct(step, connection()));
    let result = OutcomeResult::BecameDirect;
    assert_eq!(outcome_of(&wants), Outcome { introduction: 77, result, millis: 60_100 });
    let ((), wants) = side.step(|party, step| party.became_direct(step, connection()));
    assert!(wants.messages.is_empty());
    side.party.forget(side.now, connection());
    assert!(side.hears_candidates(number, &["203.0.113.2:5"]).events.is_empty() && side.party.is_empty());
}

#[test]
fn a_connection_that_was_always_direct_is_told_once() {
    let mut side = Side::new(true);
    let (_, wants) = side.is_introduced(&["203.0.113.1:5"]);
    let valid = side.becomes_valid(&wants);
    let (handover, wants) = side.step(|party, step| party.established(step, connection(), valid));
    assert_eq!(handover.unwrap().paths, [valid]);
    assert_eq!(outcome_of(&wants).result, OutcomeResult::Direct);
    let ((), wants) = side.step(|party, step| party.became_direct(step, connection()));
    assert!(wants.messages.is_empty());
    side.step(|party, step| party.on_introducer_ended(step, introducer()));
    side.run(60_000);
    assert!(side.party.is_empty());
}
