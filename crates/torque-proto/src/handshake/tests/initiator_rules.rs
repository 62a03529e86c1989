//! What an initiator does (PROTOCOL.md 5.5).

use super::*;
use crate::codes::RejectCode;
use crate::crypto::dh::DhSecret;
use crate::crypto::testing::array;
use crate::timer::TimerKind;
use crate::wire::{PROTOCOL_VERSION, Reject};

pub(super) fn reject(code: RejectCode, initiator_nonce: [u8; 16]) -> Vec<u8> {
    let mut out = Vec::new();
    Reject { version: PROTOCOL_VERSION, initiator_nonce, code }.write(&mut out);
    out
}

pub(super) fn nonce(attempt: &Attempt) -> [u8; 16] {
    *attempt.initiator_nonce().unwrap()
}

/// Runs the attempt's deadlines until it ends; returns the milliseconds at which it sent, and how it ended.
pub(super) fn run_out(world: &mut World, attempt: &mut Attempt) -> (Vec<u128>, AttemptOutcome, Vec<u8>) {
    let begin = world.now;
    let mut sent_at = Vec::new();
    let mut last = Vec::new();
    loop {
        world.now = attempt.deadline().expect("an attempt that goes on has a deadline").0;
        let (outcome, sent) = world.timeout(attempt);
        if !sent.is_empty() {
            sent_at.push(world.now.saturating_since(begin).as_millis());
            last = sent;
        }
        if !matches!(outcome, AttemptOutcome::Waiting) {
            assert!(attempt.deadline().is_none());
            return (sent_at, outcome, last);
        }
    }
}

const REPEATS: [u128; 7] = [250, 750, 1_750, 3_750, 5_750, 7_750, 9_750];

#[test]
fn challenge_requests_repeat_byte_for_byte_with_back_off() {
    let mut world = World::new(70);
    let (mut attempt, request) = world.start(Trust::Ask);
    let begin = world.now;
    let (sent_at, outcome, last) = run_out(&mut world, &mut attempt);
    assert_eq!(sent_at, REPEATS);
    assert_eq!(last, request);
    assert_ended(&outcome, CloseCode::NoAnswer, ClosedBy::Socket);
    assert_eq!(world.now, begin + Duration::from_secs(10));
}

#[test]
fn connect_requests_repeat_byte_for_byte_with_back_off() {
    let mut world = World::new(71);
    let (mut attempt, request) = world.request();
    let (sent_at, outcome, last) = run_out(&mut world, &mut attempt);
    assert_eq!(sent_at, REPEATS);
    assert_eq!(last, request);
    assert_ended(&outcome, CloseCode::NoAnswer, ClosedBy::Socket);
}

#[test]
fn bad_challenges_are_ignored_and_a_good_one_after_them_succeeds() {
    let other_key = KeyPair::from_seed([77; 32]).public();
    let mut pinned_world = World::new(72);
    let pin = pinned_world.at_host.key_pair.public();
    type Spoil<'a> = &'a dyn Fn(&mut Vec<u8>);
    let bad: [(CloseCode, Spoil<'_>); 9] = [
        (CloseCode::ProtocolViolation, &|bytes| bytes[1] = 2),
        (CloseCode::ProtocolViolation, &|bytes| bytes[139] = 99),
        (CloseCode::UnknownKeyType, &|bytes| bytes[140] = 2),
        (CloseCode::DifficultyTooHigh, &|bytes| bytes[138] = 255),
        (CloseCode::DifficultyTooHigh, &|bytes| bytes[138] = 23),
        (CloseCode::KeyMismatch, &|bytes| bytes[141..173].copy_from_slice(other_key.as_bytes())),
        (CloseCode::BadSignature, &|bytes| bytes[18] ^= 1),
        (CloseCode::BadSignature, &|bytes| bytes[26] ^= 1),
        (CloseCode::BadSignature, &|bytes| bytes[58] ^= 1),
    ];
    for (index, (code, spoil)) in bad.iter().enumerate() {
        let mut world = World::new(72);
        let (mut attempt, request) = world.start(Trust::Pinned(pin));
        let (_, response) = world.challenge(&request);
        let mut spoilt = response.clone();
        spoil(&mut spoilt);
        let (outcome, sent) = world.hear(&mut attempt, &spoilt);
        assert_dropped(&outcome, DropReason::BadChallenge);
        assert!(sent.is_empty());
        assert_waiting(&world.hear(&mut attempt, &response).0);
        assert!(attempt.take_puzzle().is_some());

        // Without the good one the reason is told at the limit.
        let (mut attempt, request) = world.start(Trust::Pinned(pin));
        let (_, mut response) = world.challenge(&request);
        spoil(&mut response);
        world.hear(&mut attempt, &response);
        let (sent_at, outcome, _) = run_out(&mut world, &mut attempt);
        assert_eq!(sent_at, REPEATS, "case {index}");
        assert_ended(&outcome, *code, ClosedBy::Socket);
    }
    // Changed data breaks the signature too.
    pinned_world.host.set_challenge_response_data(ShortData::new(b"data").unwrap());
    let (mut attempt, request) = pinned_world.start(Trust::Ask);
    let (_, mut response) = pinned_world.challenge(&request);
    *response.last_mut().unwrap() ^= 1;
    assert_dropped(&pinned_world.hear(&mut attempt, &response).0, DropReason::BadChallenge);
}

#[test]
fn a_cipher_that_was_not_offered_is_ignored_although_it_is_known() {
    let mut world = World::new(73);
    world.at_initiator.config.ciphers = vec![Cipher::Aes128Gcm];
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, mut response) = world.challenge(&request);
    response[139] = Cipher::ChaCha20Poly1305.number();
    assert_dropped(&world.hear(&mut attempt, &response).0, DropReason::BadChallenge);
    let (_, outcome, _) = run_out(&mut world, &mut attempt);
    assert_ended(&outcome, CloseCode::ProtocolViolation, ClosedBy::Socket);
}

#[test]
fn keys_that_are_no_good_keys_are_ignored() {
    let mut not_canonical = [0xff; 32];
    not_canonical[31] = 0x7f;
    let mut small_order = [0; 32];
    small_order[0] = 1;
    for key in [not_canonical, small_order, [0; 32]] {
        let mut world = World::new(73);
        let (mut attempt, request) = world.start(Trust::Anyone);
        let (_, mut response) = world.challenge(&request);
        response[141..173].copy_from_slice(&key);
        assert_dropped(&world.hear(&mut attempt, &response).0, DropReason::BadChallenge);
        let (_, outcome, _) = run_out(&mut world, &mut attempt);
        assert_ended(&outcome, CloseCode::KeyMismatch, ClosedBy::Socket);
    }
}

#[test]
fn a_problem_of_the_challenge_phase_is_not_blamed_for_silence_later() {
    let mut world = World::new(74);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    let mut spoilt = response.clone();
    spoilt[58] ^= 1;
    world.hear(&mut attempt, &spoilt);
    world.hear(&mut attempt, &response);
    world.solve(&mut attempt);
    let (_, outcome, _) = run_out(&mut world, &mut attempt);
    assert_ended(&outcome, CloseCode::NoAnswer, ClosedBy::Socket);
}

#[test]
fn answers_with_another_nonce_or_out_of_turn_are_strays() {
    let mut world = World::new(75);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    let mut other = response.clone();
    other[2] ^= 1;
    assert_dropped(&world.hear(&mut attempt, &other).0, DropReason::Stray);
    let foreign = reject(RejectCode::VersionMismatch, [9; 16]);
    assert_dropped(&world.hear(&mut attempt, &foreign).0, DropReason::Stray);
    let stale = reject(RejectCode::StaleEpoch, nonce(&attempt));
    assert_dropped(&world.hear(&mut attempt, &stale).0, DropReason::Stray);

    world.hear(&mut attempt, &response);
    assert_dropped(&world.hear(&mut attempt, &response).0, DropReason::Stray);
    let request = world.solve(&mut attempt);
    assert_dropped(&world.hear(&mut attempt, &response).0, DropReason::Stray);
    let (asking, _) = world.ask(&request);
    let (_, _, accept) = world.accept(asking, b"");
    let mut other = accept.clone();
    other[1] ^= 1;
    assert_dropped(&world.hear(&mut attempt, &other).0, DropReason::Stray);
    established(world.hear(&mut attempt, &accept).0);
    assert_dropped(&world.hear(&mut attempt, &accept).0, DropReason::Stray);
}

#[test]
fn a_reply_that_was_changed_does_not_open_and_the_true_one_still_does() {
    let mut world = World::new(76);
    let (mut attempt, request) = world.request();
    let (asking, _) = world.ask(&request);
    let (_, _, accept) = world.accept(asking, b"welcome");
    for offset in (17..accept.len()).step_by(3) {
        let mut changed = accept.clone();
        changed[offset] ^= 0x10;
        assert_dropped(&world.hear(&mut attempt, &changed).0, DropReason::Forged);
    }
    // An accept is no refusal.
    let mut changed = accept.clone();
    changed[0] = 0x05;
    assert_dropped(&world.hear(&mut attempt, &changed).0, DropReason::Forged);
    established(world.hear(&mut attempt, &accept).0);
}

#[test]
fn a_false_accept_key_is_dropped_and_the_true_accept_establishes() {
    let mut world = World::new(90);
    let (mut attempt, request) = world.request();
    let (asking, _) = world.ask(&request);
    let (_, at_host, accept) = world.accept(asking, b"welcome");
    let someones = DhSecret::from_bytes([7; 32]);
    let small = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    for key in small.map(array).into_iter().chain([*someones.public(), [0xff; 32]]) {
        let mut changed = accept.clone();
        changed[33..65].copy_from_slice(&key);
        let (outcome, sent) = world.hear(&mut attempt, &changed);
        assert_dropped(&outcome, DropReason::Forged);
        assert!(sent.is_empty());
    }
    // The same point, written otherwise.
    let mut changed = accept.clone();
    changed[64] ^= 0x80;
    assert_dropped(&world.hear(&mut attempt, &changed).0, DropReason::Forged);
    let at_initiator = established(world.hear(&mut attempt, &accept).0).parts;
    let traffic = |parts: &ConnectionParts| *parts.secret.traffic(Direction::FromHost).expose();
    assert_eq!(traffic(&at_initiator), traffic(&at_host));
}

#[test]
fn a_refusal_after_a_false_accept_is_still_heard() {
    let mut world = World::new(91);
    let (mut attempt, request) = world.request();
    let (asking, _) = world.ask(&request);
    let mut refusal = Vec::new();
    asking.refuse(&world.at_host.cx(world.now), CloseCode::Refused, ShortData::EMPTY, &mut refusal);
    let mut accept = vec![0; 117];
    (accept[0], accept[33]) = (4, 9);
    accept[1..17].copy_from_slice(&nonce(&attempt));
    assert_dropped(&world.hear(&mut attempt, &accept).0, DropReason::Forged);
    assert_ended(&world.hear(&mut attempt, &refusal).0, CloseCode::Refused, ClosedBy::Remote);
}

#[test]
fn rejects_end_nothing_and_are_named_at_the_limit() {
    for (code, close) in [
        (RejectCode::VersionMismatch, CloseCode::VersionMismatch),
        (RejectCode::ApplicationMismatch, CloseCode::ApplicationMismatch),
        (RejectCode::NoCommonCipher, CloseCode::NoCommonCipher),
        (RejectCode::Busy, CloseCode::Busy),
    ] {
        let mut world = World::new(77);
        let (mut attempt, _) = world.start(Trust::Ask);
        let hint = reject(code, nonce(&attempt));
        let (outcome, sent) = world.hear(&mut attempt, &hint);
        assert_waiting(&outcome);
        assert!(sent.is_empty());
        let (sent_at, outcome, _) = run_out(&mut world, &mut attempt);
        assert_eq!(sent_at, REPEATS);
        assert_ended(&outcome, close, ClosedBy::Socket);

        let (mut attempt, _) = world.request();
        let hint = reject(code, nonce(&attempt));
        assert_waiting(&world.hear(&mut attempt, &hint).0);
        let (_, outcome, _) = run_out(&mut world, &mut attempt);
        assert_ended(&outcome, close, ClosedBy::Socket);
    }
}

#[test]
fn a_busy_host_is_asked_anew_after_a_pause() {
    let mut world = World::new(81);
    let (mut attempt, first) = world.request();
    let busy = reject(RejectCode::Busy, nonce(&attempt));
    let (outcome, sent) = world.hear(&mut attempt, &busy);
    assert_waiting(&outcome);
    assert!(sent.is_empty(), "not at once");
    // The reject may be forged: the request is repeated, and a true answer is taken.
    let mut repeats = 0;
    let challenge_request = loop {
        world.now = attempt.deadline().unwrap().0;
        let (_, sent) = world.timeout(&mut attempt);
        if sent.first() == Some(&1) {
            break sent;
        }
        assert_eq!(sent, first);
        repeats += 1;
    };
    assert_eq!(repeats, 3, "after 250, 750 and 1,750 ms");
    assert_ne!(challenge_request[10..26], first[2..18], "a nonce of its own");
    // Without another question, and three times at most.
    let (_, response) = world.challenge(&challenge_request);
    assert_waiting(&world.hear(&mut attempt, &response).0);
    let request = world.solve(&mut attempt);
    let (asking, _) = world.ask(&request);
    let (_, _, accept) = world.accept(asking, b"");
    assert_eq!(established(world.hear(&mut attempt, &accept).0).parts.stats.restarts, 1);
}

#[test]
fn a_host_that_stays_busy_is_asked_four_times_and_named() {
    let mut world = World::new(82);
    let (mut attempt, mut request) = world.request();
    for _ in 0..3 {
        let (_, busy) = world.admit_when(&request, FULL);
        assert_waiting(&world.hear(&mut attempt, &busy).0);
        let challenge_request = loop {
            world.now = attempt.deadline().unwrap().0;
            let (_, sent) = world.timeout(&mut attempt);
            if sent.first() == Some(&1) {
                break sent;
            }
        };
        let (_, response) = world.challenge(&challenge_request);
        assert_waiting(&world.hear(&mut attempt, &response).0);
        request = world.solve(&mut attempt);
    }
    let (_, busy) = world.admit_when(&request, FULL);
    assert_waiting(&world.hear(&mut attempt, &busy).0);
    let (_, outcome, last) = run_out(&mut world, &mut attempt);
    assert_eq!(last, request, "no fifth beginning");
    assert_ended(&outcome, CloseCode::Busy, ClosedBy::Socket);
}

#[test]
fn a_response_that_was_altered_and_came_first_does_not_cost_the_attempt() {
    // What the signature does not cover: token, difficulty, cipher.
    let alterations: [fn(&mut Vec<u8>); 3] =
        [|bytes| bytes[122] ^= 1, |bytes| bytes[138] += 1, |bytes| bytes[139] = 1];
    for (round, alter) in alterations.into_iter().enumerate() {
        for copies in [1, 2] {
            let mut world = World::new(90 + round as u8);
            let (mut attempt, request) = world.start(Trust::Ask);
            let (_, response) = world.challenge(&request);
            let mut altered = response.clone();
            alter(&mut altered);
            asked(world.hear(&mut attempt, &altered).0);
            for copy in 1..copies {
                let mut another = altered.clone();
                another[123] ^= copy;
                world.hear(&mut attempt, &another);
            }
            // The true one comes while the application decides, and costs nobody another question.
            assert_waiting(&world.hear(&mut attempt, &response).0);
            let mut out = Vec::new();
            attempt.accept(&mut world.at_initiator.cx(world.now), None, &mut out).unwrap();
            let mut requests = std::vec![world.solve(&mut attempt)];
            let accept = loop {
                let request = requests.last().unwrap();
                if let (Admission::Admitted(admitted), _) = world.admit(request) {
                    let (asking, _) = admitted.ask(&mut world.at_host.cx(world.now));
                    break world.accept(asking, b"").2;
                }
                world.now = attempt.deadline().unwrap().0;
                let (outcome, sent) = world.timeout(&mut attempt);
                assert_waiting(&outcome);
                requests.extend((!sent.is_empty()).then_some(sent));
            };
            established(world.hear(&mut attempt, &accept).0);
        }
    }
}

#[test]
fn an_answer_to_the_first_request_counts_while_another_one_is_tried() {
    let mut world = World::new(95);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    let mut altered = response.clone();
    altered[122] ^= 1;
    world.hear(&mut attempt, &response);
    assert_waiting(&world.hear(&mut attempt, &altered).0);
    let first = world.solve(&mut attempt);
    // The true request is slow: the altered response is tried meanwhile, and comes to nothing.
    let mut seen = 0;
    while seen < 6 {
        world.now = attempt.deadline().unwrap().0;
        let (outcome, sent) = world.timeout(&mut attempt);
        assert_waiting(&outcome);
        seen += usize::from(!sent.is_empty());
    }
    let (asking, _) = world.ask(&first);
    let (_, _, accept) = world.accept(asking, b"");
    established(world.hear(&mut attempt, &accept).0);
}

#[test]
fn a_forged_reject_does_not_stop_a_good_handshake() {
    let mut world = World::new(78);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let hint = reject(RejectCode::VersionMismatch, nonce(&attempt));
    world.hear(&mut attempt, &hint);
    let (_, response) = world.challenge(&request);
    world.hear(&mut attempt, &response);
    let request = world.solve(&mut attempt);
    world.hear(&mut attempt, &hint);
    let (asking, _) = world.ask(&request);
    let (_, _, accept) = world.accept(asking, b"");
    established(world.hear(&mut attempt, &accept).0);
}

#[test]
fn a_stale_challenge_is_fetched_anew_silently_three_times_at_most() {
    for code in [RejectCode::StaleEpoch, RejectCode::DifficultyTooLow] {
        let mut world = World::new(79);
        let (mut attempt, request) = world.start(Trust::Ask);
        let (_, response) = world.challenge(&request);
        asked(world.hear(&mut attempt, &response).0);
        let mut out = Vec::new();
        attempt.accept(&mut world.at_initiator.cx(world.now), None, &mut out).unwrap();
        world.solve(&mut attempt);
        let mut seen = vec![nonce(&attempt)];
        for restart in 1..=3 {
            // The wait's limit starts anew each time.
            world.wait(9_000);
            let stale = reject(code, nonce(&attempt));
            let (outcome, fresh) = world.hear(&mut attempt, &stale);
            assert_waiting(&outcome);
            assert_eq!(fresh.len(), 768);
            assert!(!seen.contains(&nonce(&attempt)), "a new nonce");
            seen.push(nonce(&attempt));
            assert_eq!(attempt.stats().restarts, restart);
            assert_dropped(&world.hear(&mut attempt, &stale).0, DropReason::Stray);
            let (_, response) = world.challenge(&fresh);
            assert_waiting(&world.hear(&mut attempt, &response).0);
            world.solve(&mut attempt);
        }
        let stale = reject(code, nonce(&attempt));
        let (outcome, sent) = world.hear(&mut attempt, &stale);
        assert_waiting(&outcome);
        assert!(sent.is_empty());
        let (_, outcome, _) = run_out(&mut world, &mut attempt);
        assert_ended(&outcome, CloseCode::StaleChallenge, ClosedBy::Socket);
    }
}

#[test]
fn after_a_restart_of_the_host_the_attempt_connects_to_the_new_one() {
    let mut world = World::new(80);
    let (mut attempt, request) = world.request();
    world.host = Host::new(world.now, &world.at_host.config, 1_800_000_100_000);
    let (_, stale) = world.admit(&request);
    let (_, fresh) = world.hear(&mut attempt, &stale);
    let (_, response) = world.challenge(&fresh);
    world.hear(&mut attempt, &response);
    let request = world.solve(&mut attempt);
    let (asking, _) = world.ask(&request);
    let (_, _, accept) = world.accept(asking, b"");
    established(world.hear(&mut attempt, &accept).0);
}

#[test]
fn connect_pending_stretches_the_wait_and_slows_the_repeats() {
    let mut world = World::new(81);
    let (mut attempt, request) = world.request();
    let begin = world.now;
    world.wait(100);
    let (mut asking, _) = world.ask(&request);
    let mut pending = Vec::new();
    asking.repeat(world.now, &request, &mut pending).unwrap();
    assert_waiting(&world.hear(&mut attempt, &pending).0);
    let (sent_at, outcome, _) = run_out(&mut world, &mut attempt);
    assert_eq!(sent_at.len(), 59, "every 2 s: {sent_at:?}");
    assert!(sent_at.windows(2).all(|pair| pair[1] - pair[0] == 2_000));
    assert_ended(&outcome, CloseCode::NoDecision, ClosedBy::Socket);
    assert_eq!(world.now, begin + Duration::from_secs(120));
}

#[test]
fn an_application_that_does_not_decide_ends_its_attempt() {
    let mut world = World::new(82);
    let (mut attempt, request) = world.start(Trust::Ask);
    let (_, response) = world.challenge(&request);
    asked(world.hear(&mut attempt, &response).0);
    assert_eq!(attempt.deadline(), Some((world.now + Duration::from_secs(120), TimerKind::Handshake)));
    let (sent_at, outcome, _) = run_out(&mut world, &mut attempt);
    assert!(sent_at.is_empty(), "nothing is sent while a human looks");
    assert_ended(&outcome, CloseCode::NoDecision, ClosedBy::Socket);
}

#[test]
fn extensions_given_with_the_acceptance_replace_earlier_ones() {
    // At once, and so late that a fresh challenge is fetched first.
    for wait in [0, 30_000] {
        let mut world = World::new(84);
        let (mut attempt, request) = world.start(Trust::Ask);
        let (_, response) = world.challenge(&request);
        asked(world.hear(&mut attempt, &response).0);
        world.wait(wait);
        let given = vec![Extension { kind: 1, data: vec![7; 200] }, Extension { kind: 2, data: vec![] }];
        let mut fresh = Vec::new();
        attempt.accept(&mut world.at_initiator.cx(world.now), Some(given.clone()), &mut fresh).unwrap();
        if wait > 0 {
            let (_, response) = world.challenge(&fresh);
            assert_waiting(&world.hear(&mut attempt, &response).0);
        }
        let request = world.solve(&mut attempt);
        let (_, question) = world.ask(&request);
        assert_eq!((question.connect_data, question.extensions), (b"let me in".to_vec(), given));
    }
}

#[test]
fn extensions_without_room_are_refused_and_the_attempt_goes_on() {
    let mut world = World::new(85);
    let (mut attempt, request) = world.start(Trust::Ask);
    let (_, response) = world.challenge(&request);
    asked(world.hear(&mut attempt, &response).0);
    let room = crate::wire::MAX_CONNECT_DATA - b"let me in".len() - 3;
    let of = |bytes| Some(vec![Extension { kind: 1, data: vec![0; bytes] }]);
    let mut out = Vec::new();
    let outcome = attempt.accept(&mut world.at_initiator.cx(world.now), of(room + 1), &mut out);
    assert_eq!(outcome.err(), Some(CallError::TooLarge { max: 1_000 }));
    attempt.accept(&mut world.at_initiator.cx(world.now), None, &mut out).unwrap();
    let request = world.solve(&mut attempt);
    let (_, question) = world.ask(&request);
    assert_eq!(question.extensions, [Extension { kind: 9, data: vec![1, 2, 3] }]);

    let (mut attempt, request) = world.start(Trust::Ask);
    let (_, response) = world.challenge(&request);
    asked(world.hear(&mut attempt, &response).0);
    attempt.accept(&mut world.at_initiator.cx(world.now), of(room), &mut out).unwrap();
    let request = world.solve(&mut attempt);
    assert_eq!(request.len(), ConnectRequest::MAX_BYTES);
    world.ask(&request);
}

#[test]
fn accepting_what_was_not_asked_is_an_error_and_changes_nothing() {
    let mut world = World::new(83);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let mut out = Vec::new();
    let mut not_waiting = |world: &mut World, attempt: &mut Attempt| {
        let outcome = attempt.accept(&mut world.at_initiator.cx(world.now), None, &mut out);
        assert_eq!(outcome.err(), Some(CallError::NotWaiting));
        assert!(out.is_empty());
    };
    not_waiting(&mut world, &mut attempt);
    let (_, response) = world.challenge(&request);
    world.hear(&mut attempt, &response);
    not_waiting(&mut world, &mut attempt);
    let request = world.solve(&mut attempt);
    not_waiting(&mut world, &mut attempt);
    let (asking, _) = world.ask(&request);
    let (_, _, accept) = world.accept(asking, b"");
    established(world.hear(&mut attempt, &accept).0);
    not_waiting(&mut world, &mut attempt);
}

#[test]
fn a_puzzle_that_nobody_takes_is_solved_in_slices() {
    let mut world = World::with(84, |config| config.puzzle.difficulty_min = 14);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    world.hear(&mut attempt, &response);
    let mut slices = 0;
    let request = loop {
        let (due, kind) = attempt.deadline().unwrap();
        assert!(due <= world.now, "due at once");
        assert_eq!(kind, TimerKind::Puzzle);
        let (outcome, sent) = world.timeout(&mut attempt);
        assert_waiting(&outcome);
        slices += 1;
        if !sent.is_empty() {
            break sent;
        }
        assert!(slices < 1_000);
    };
    assert!(attempt.stats().puzzle_tries > 2_048 * (slices - 1));
    assert!(attempt.stats().puzzle_tries <= 2_048 * slices);
    world.ask(&request);
}

#[test]
fn a_job_given_back_is_solved_here_and_an_outdated_one_forgotten() {
    let mut world = World::new(85);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    world.hear(&mut attempt, &response);
    let job = attempt.take_puzzle().unwrap();
    assert!(attempt.take_puzzle().is_none(), "one worker only");
    assert_eq!(attempt.deadline().unwrap().1, TimerKind::Handshake);
    assert!(world.timeout(&mut attempt).1.is_empty());
    let mut out = Vec::new();
    attempt.return_puzzle(&mut world.at_initiator.cx(world.now), job, &mut out);
    assert!(out.is_empty());
    assert_eq!(attempt.deadline().unwrap().1, TimerKind::Puzzle);
    let request = world.solve(&mut attempt);
    assert!(!request.is_empty());

    // Begin anew; the job of the first beginning is of no use to the second.
    let mut outdated = PuzzleJob::new(ConnectionId::from_u32(7).unwrap(), [1; 32], 0, 0);
    outdated.solve(1);
    let stale = reject(RejectCode::StaleEpoch, nonce(&attempt));
    let (_, fresh) = world.hear(&mut attempt, &stale);
    let (_, response) = world.challenge(&fresh);
    world.hear(&mut attempt, &response);
    attempt.return_puzzle(&mut world.at_initiator.cx(world.now), outdated, &mut out);
    assert!(out.is_empty());
    let request = world.solve(&mut attempt);
    world.ask(&request);
}

#[test]
fn a_lost_puzzle_job_does_not_hold_the_attempt_for_ever() {
    let mut world = World::new(86);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    world.hear(&mut attempt, &response);
    let _job = attempt.take_puzzle().unwrap();
    let begin = world.now;
    let (sent_at, outcome, _) = run_out(&mut world, &mut attempt);
    assert!(sent_at.is_empty());
    assert_ended(&outcome, CloseCode::DifficultyTooHigh, ClosedBy::Socket);
    assert_eq!(world.now, begin + Duration::from_secs(120));
}

#[test]
fn a_clock_that_jumps_an_hour_ends_a_wait_and_no_more() {
    let hour = 3_600_000;
    // Before the limit, one late repeat is sent and not a burst.
    let mut world = World::with(87, |config| config.handshake.wait = Duration::from_secs(7_200));
    let (mut attempt, _) = world.start(Trust::Ask);
    world.wait(hour);
    let (outcome, sent) = world.timeout(&mut attempt);
    assert_waiting(&outcome);
    assert_eq!(sent.len(), 768);
    assert!(world.timeout(&mut attempt).1.is_empty());

    // An answer that comes after the jump still counts.
    let mut world = World::new(88);
    let (mut attempt, request) = world.start(Trust::Anyone);
    world.wait(hour);
    let (_, response) = world.challenge(&request);
    assert_waiting(&world.hear(&mut attempt, &response).0);
    let request = world.solve(&mut attempt);
    world.wait(hour);
    let (outcome, sent) = world.timeout(&mut attempt);
    assert_ended(&outcome, CloseCode::NoAnswer, ClosedBy::Socket);
    assert!(sent.is_empty());
    let (admission, out) = world.admit(&request);
    assert!(matches!(admission, Admission::Rejected(RejectCode::StaleEpoch)));
    assert_eq!(out.len(), 19);
}

#[test]
fn a_clock_that_stands_still_or_ends_sends_nothing_twice() {
    for now in [Instant::ZERO, Instant::from_micros(u64::MAX)] {
        let mut world = World::new(89);
        world.now = now;
        world.host = Host::new(now, &world.at_host.config, u64::MAX);
        let (mut attempt, request) = world.start(Trust::Anyone);
        let (_, response) = world.challenge(&request);
        assert_waiting(&world.hear(&mut attempt, &response).0);
        let request = world.solve(&mut attempt);
        if now == Instant::ZERO {
            for _ in 0..100 {
                assert!(world.timeout(&mut attempt).1.is_empty());
            }
            let (asking, _) = world.ask(&request);
            let (_, _, accept) = world.accept(asking, b"");
            established(world.hear(&mut attempt, &accept).0);
        } else {
            // Every limit has passed at the end of time.
            assert_ended(&world.timeout(&mut attempt).0, CloseCode::NoAnswer, ClosedBy::Socket);
        }
    }
}
