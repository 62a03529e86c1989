//! The handshake of an introduction (INTRODUCTIONS.md 7).

use super::host_rules::{assert_rejected, assert_silent, solve_again};
use super::initiator_rules::{nonce, reject, run_out};
use super::whole::assert_alike;
use super::*;
use crate::codes::RejectCode;
use crate::crypto::testing::for_seeds;
use crate::wire::{ChallengeResponse, MAX_INTRODUCED_DATA, MAX_SHORT_DATA};

/// A world whose sides are introduced.
fn introduced(seed: u8) -> World {
    let mut world = World::new(seed);
    world.introduce(b"room 7");
    world
}

/// An attempt up to its connect_request, and the challenge_request and challenge_response before it.
fn request(world: &mut World) -> (Attempt, [Vec<u8>; 3]) {
    let (mut attempt, challenge_request) = world.start(Trust::Anyone);
    let (answer, response) = world.challenge(&challenge_request);
    assert_eq!(answer, Ok(()));
    assert_waiting(&world.hear(&mut attempt, &response).0);
    let connect_request = world.solve(&mut attempt);
    (attempt, [challenge_request, response, connect_request])
}

/// The id in a challenge_request or connect_request.
fn id_in(request: &[u8]) -> u64 {
    match ConnectRequest::parse(request) {
        Ok(request) => request.introduction_id,
        Err(_) => ChallengeRequest::parse(request).unwrap().introduction_id,
    }
}

/// The challenge_response with other introduced data.
fn with_introduced_data(response: &[u8], introduced_data: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    ChallengeResponse { introduced_data, ..ChallengeResponse::parse(response).unwrap() }.write(&mut out);
    out
}

#[test]
fn an_introduced_handshake_gives_both_sides_the_same_keys_in_each_trust_mode() {
    for (seed, length) in [0, 1, 100, MAX_INTRODUCED_DATA].into_iter().enumerate() {
        let seed = seed as u8;
        let named = World::new(seed).at_host.key_pair.public();
        for trust in [Trust::Ask, Trust::Pinned(named), Trust::AskPinned(named), Trust::Anyone] {
            let mut world = World::new(seed);
            let data = vec![0xda; length];
            world.introduce(&data);
            let id = world.told().id;
            world.host.set_challenge_response_data(ShortData::new(b"the blue server").unwrap());

            let (mut attempt, request) = world.start(trust);
            assert_eq!(id_in(&request), id.get());
            let (answer, response) = world.challenge(&request);
            assert_eq!(answer, Ok(()));
            let (outcome, _) = world.hear(&mut attempt, &response);
            if trust.asks() {
                let question = asked(outcome);
                assert_eq!(question.public_key, named);
                assert_eq!(question.challenge_response_data, b"the blue server");
                assert_eq!(question.introduced_data, data);
                let mut out = Vec::new();
                assert_waiting(
                    &attempt.accept(&mut world.at_initiator.cx(world.now), None, &mut out).unwrap(),
                );
            } else {
                assert_waiting(&outcome);
            }
            let request = world.solve(&mut attempt);
            assert_eq!(id_in(&request), id.get());
            let admitted = admitted(world.admit(&request).0);
            let (asking, question) = admitted.ask(&mut world.at_host.cx(world.now));
            assert_eq!(question.public_key, world.at_initiator.key_pair.public());
            assert_eq!(question.connect_data, b"let me in");
            let (_, at_host, accept) = world.accept(asking, b"welcome");
            let established = established(world.hear(&mut attempt, &accept).0);
            assert_eq!(established.accept_data, b"welcome");
            assert_alike(&at_host, &established.parts);
        }
    }
}

#[test]
fn without_an_introduction_nothing_is_introduced() {
    let mut world = World::new(9);
    let (mut attempt, challenge_request) = world.start(Trust::Ask);
    assert_eq!(id_in(&challenge_request), 0);
    let (_, response) = world.challenge(&challenge_request);
    assert_eq!(asked(world.hear(&mut attempt, &response).0).introduced_data, b"");
    let (_, connect_request) = world.request();
    assert_eq!(id_in(&connect_request), 0);
    admitted(world.admit(&connect_request).0);
}

#[test]
fn a_challenge_response_with_the_most_of_both_data_has_1184_bytes() {
    let mut world = World::new(10);
    world.introduce(&[1; MAX_INTRODUCED_DATA]);
    world.host.set_challenge_response_data(ShortData::new(&[2; MAX_SHORT_DATA]).unwrap());
    let (mut attempt, request) = world.start(Trust::Ask);
    let (_, response) = world.challenge(&request);
    assert_eq!(response.len(), 1_184);
    assert_eq!(asked(world.hear(&mut attempt, &response).0).introduced_data, [1; MAX_INTRODUCED_DATA]);
    let too_many = IntroducedData::new(vec![1; MAX_INTRODUCED_DATA + 1]);
    assert_eq!(too_many, Err(CallError::TooLarge { max: 480 }));
}

#[test]
fn introduced_data_are_sealed_once_and_repeated() {
    let mut world = introduced(11);
    let mut sealed = || {
        let (_, request) = world.start(Trust::Ask);
        let (_, response) = world.challenge(&request);
        ChallengeResponse::parse(&response).unwrap().introduced_data.unwrap().to_vec()
    };
    assert_eq!(sealed(), sealed(), "no nonce seals two texts");
}

#[test]
fn parties_with_different_psks_get_no_connection() {
    for_seeds(8, |rng| {
        let mut world = introduced(12);
        let told = world.told();
        let other = Told { secret: rng.array(), ..told.clone() };
        // The introduced data open, so nothing but the psk differs.
        let at_initiator = AtInitiator::new(told.id, told.host, other.keys().psk, told.keys().data);
        world.introduced.as_mut().unwrap().at_initiator = Arc::new(at_initiator);
        let (_, [.., request]) = request(&mut world);
        assert_silent(world.admit(&request), DropReason::HandshakeRejected);
        assert_silent(world.admit(&request), DropReason::ReplayedToken);
    });
}

#[test]
fn a_party_that_was_told_another_secret_ignores_the_challenge() {
    for_seeds(8, |rng| {
        let mut world = World::new(13);
        let told = world.told();
        world.introduce_as(&told, &Told { secret: rng.array(), ..told.clone() }, b"room 7");
        let (mut attempt, request) = world.start(Trust::Anyone);
        let (_, response) = world.challenge(&request);
        assert_dropped(&world.hear(&mut attempt, &response).0, DropReason::BadChallenge);
    });
}

#[test]
fn a_host_drops_an_identity_that_was_not_named() {
    let mut world = World::new(14);
    let told = world.told();
    let named = KeyPair::from_seed([99; 32]).public();
    // Same keys at both sides: the host's introduction alone names somebody else.
    let keys = told.keys();
    let data = IntroducedData::default();
    let at_host = AtHost::new(told.id, named, keys.psk, keys.data, &data);
    world.introduced = Some(Introduced { at_initiator: told.at_initiator(), at_host });
    let (_, [.., request]) = request(&mut world);
    assert_silent(world.admit(&request), DropReason::HandshakeRejected);
}

#[test]
fn an_initiator_ignores_a_host_that_was_not_named_whatever_its_trust() {
    let mut world = introduced(15);
    let (real, named) = (world.at_host.key_pair.public(), KeyPair::from_seed([99; 32]).public());
    let keys = world.told().keys();
    let other = AtInitiator::new(world.told().id, named, keys.psk, keys.data);
    // The named key is another one.
    let named_wrongly = Arc::new(other);
    for trust in
        [Trust::Ask, Trust::Anyone, Trust::Pinned(real), Trust::AskPinned(real), Trust::Pinned(named)]
    {
        world.introduced.as_mut().unwrap().at_initiator = named_wrongly.clone();
        let (mut attempt, request) = world.start(trust);
        let (_, response) = world.challenge(&request);
        assert_dropped(&world.hear(&mut attempt, &response).0, DropReason::BadChallenge);
        let (_, outcome, _) = run_out(&mut world, &mut attempt);
        assert_ended(&outcome, CloseCode::KeyMismatch, ClosedBy::Socket);
    }
    // The pin is another one.
    for trust in [Trust::Pinned(named), Trust::AskPinned(named)] {
        world.introduce(b"room 7");
        let (mut attempt, request) = world.start(trust);
        let (_, response) = world.challenge(&request);
        assert_dropped(&world.hear(&mut attempt, &response).0, DropReason::BadChallenge);
        let (_, outcome, _) = run_out(&mut world, &mut attempt);
        assert_ended(&outcome, CloseCode::KeyMismatch, ClosedBy::Socket);
    }
}

#[test]
fn nobody_can_take_introduced_data_away_or_change_them() {
    for_seeds(8, |rng| {
        let mut world = introduced(16);
        let (mut attempt, request) = world.start(Trust::Ask);
        let (_, response) = world.challenge(&request);
        let sealed = ChallengeResponse::parse(&response).unwrap().introduced_data.unwrap().to_vec();
        let mut changed = sealed.clone();
        changed[rng.below(sealed.len() as u64) as usize] ^= 1 << rng.below(8);
        let other = Told { id: IntroductionId::from_u64(5).unwrap(), ..world.told() };
        let of_another = other.keys().data.seal(5, b"room 7");
        for false_data in [None, Some(&changed), Some(&of_another), Some(&vec![0; 16])] {
            let false_response = with_introduced_data(&response, false_data.map(Vec::as_slice));
            assert_dropped(&world.hear(&mut attempt, &false_response).0, DropReason::BadChallenge);
        }
        assert_eq!(asked(world.hear(&mut attempt, &response).0).introduced_data, b"room 7");
        let (mut attempt, request) = world.start(Trust::Ask);
        let (_, response) = world.challenge(&request);
        world.hear(&mut attempt, &with_introduced_data(&response, None));
        let (_, outcome, _) = run_out(&mut world, &mut attempt);
        assert_ended(&outcome, CloseCode::ProtocolViolation, ClosedBy::Socket);
    });
}

#[test]
fn both_sides_agree_on_the_introduced_data() {
    // Somebody who knows the data key shows the initiator other data than the host has.
    let mut world = introduced(17);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    let forged = world.told().keys().data.seal(world.told().id.get(), b"room 8");
    assert_waiting(&world.hear(&mut attempt, &with_introduced_data(&response, Some(&forged))).0);
    let request = world.solve(&mut attempt);
    assert_silent(world.admit(&request), DropReason::HandshakeRejected);
}

#[test]
fn an_attempt_without_introduction_ignores_introduced_data() {
    let mut world = World::new(18);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    let added = with_introduced_data(&response, Some(&[1; 40]));
    assert_dropped(&world.hear(&mut attempt, &added).0, DropReason::BadChallenge);
    assert_waiting(&world.hear(&mut attempt, &response).0);
    assert!(attempt.take_puzzle().is_some());
}

#[test]
fn a_host_answers_only_the_introduction_that_it_knows() {
    let mut world = introduced(19);
    let (_, [challenge_request, _, connect_request]) = request(&mut world);
    let told = world.told();
    let other = Told { id: IntroductionId::from_u64(5).unwrap(), ..told.clone() };
    let unknown = Err(NoChallenge::Dropped(DropReason::UnknownIntroduction));
    for known in [None, Some(&other)] {
        match known {
            Some(other) => world.introduce_as(&told, other, b"room 7"),
            None => world.introduced = None,
        }
        assert_eq!(world.challenge(&challenge_request), (unknown, Vec::new()));
        assert_silent(world.admit(&connect_request), DropReason::UnknownIntroduction);
    }
    // None of this has used the request up.
    world.introduce(b"room 7");
    admitted(world.admit(&connect_request).0);
}

#[test]
fn a_request_without_id_is_none_of_an_introduction() {
    let mut world = introduced(20);
    let told = world.told();
    let (mut attempt, mut challenge_request) = world.start(Trust::Anyone);
    challenge_request[38..46].fill(0);
    let (answer, response) = world.challenge(&challenge_request);
    assert_eq!(answer, Ok(()));
    assert_dropped(&world.hear(&mut attempt, &response).0, DropReason::BadChallenge);

    let (_, [.., mut connect_request]) = request(&mut world);
    connect_request[44..52].fill(0);
    solve_again(&mut connect_request);
    assert_silent(world.admit(&connect_request), DropReason::HandshakeRejected);

    // Whatever a caller found for it.
    let at_host = told.at_host(b"room 7");
    let request = ChallengeRequest::parse(&challenge_request).unwrap();
    let mut cx = world.at_host.cx(world.now);
    let answer =
        world.host.answer_challenge(&mut cx, world.remote, &request, Some(&at_host), 0, &mut Vec::new());
    assert_eq!(answer, Err(NoChallenge::Dropped(DropReason::UnknownIntroduction)));
}

#[test]
fn an_attempt_never_falls_back_to_no_introduction() {
    for code in RejectCode::ALL.iter().copied() {
        let mut world = introduced(21);
        let id = world.told().id.get();
        let (mut attempt, first) = request(&mut world);
        let mut sent = vec![first[0].clone(), first[2].clone()];
        while let Some((deadline, _)) = attempt.deadline() {
            let rejected = reject(code, nonce(&attempt));
            let (_, at_once) = world.hear(&mut attempt, &rejected);
            world.now = deadline;
            let (_, later) = world.timeout(&mut attempt);
            sent.extend([at_once, later].into_iter().filter(|datagram| !datagram.is_empty()));
            if attempt.is_challenging() {
                let (_, response) = world.challenge(sent.last().unwrap());
                world.hear(&mut attempt, &response);
                sent.push(world.solve(&mut attempt));
            }
        }
        let challenges = sent.iter().filter(|datagram| ChallengeRequest::parse(datagram).is_ok()).count();
        let begins_anew =
            matches!(code, RejectCode::StaleEpoch | RejectCode::DifficultyTooLow | RejectCode::Busy);
        assert_eq!(challenges > 1, begins_anew, "{code:?}");
        assert!(sent.iter().all(|datagram| id_in(datagram) == id), "{code:?}");
    }
}

#[test]
fn a_fresh_challenge_with_the_same_introduced_data_raises_no_question_and_another_one_does() {
    for (data, asks) in [(b"room 7", false), (b"room 8", true)] {
        let mut world = introduced(22);
        let (mut attempt, request) = world.start(Trust::Ask);
        let (_, response) = world.challenge(&request);
        asked(world.hear(&mut attempt, &response).0);
        world.wait(20_001);
        let mut fresh_request = Vec::new();
        attempt.accept(&mut world.at_initiator.cx(world.now), None, &mut fresh_request).unwrap();
        let (_, response) = world.challenge(&fresh_request);
        let sealed = world.told().keys().data.seal(world.told().id.get(), data);
        let (outcome, _) = world.hear(&mut attempt, &with_introduced_data(&response, Some(&sealed)));
        assert_eq!(matches!(outcome, AttemptOutcome::Ask(_)), asks);
    }
}

#[test]
fn an_introduced_request_pays_the_least_and_raises_no_price() {
    let mut world = introduced(23);
    let least = world.at_host.config.puzzle.difficulty_min;
    let admit_many = |world: &mut World| {
        for _ in 0..400 {
            let (_, [.., request]) = request(world);
            assert_eq!(request[38], least);
            admitted(world.admit(&request).0);
        }
    };
    admit_many(&mut world);
    let now = world.now;
    assert_eq!(world.host.difficulty(now, &world.at_host.config.clone(), 0), least);

    // In a flood of others it still pays the least.
    let introduction = world.introduced.take();
    for _ in 0..400 {
        let (_, request) = world.request();
        world.admit(&request);
    }
    assert!(world.host.difficulty(now, &world.at_host.config.clone(), 0) > least + 4);
    world.introduced = introduction;
    admit_many(&mut world);
}

#[test]
fn a_cheap_token_of_an_introduction_is_worth_nothing_without_it() {
    let mut world = introduced(24);
    let (mut attempt, plain_request) = {
        let introduction = world.introduced.take();
        let started = world.start(Trust::Anyone);
        for _ in 0..400 {
            let (_, request) = world.request();
            world.admit(&request);
        }
        world.introduced = introduction;
        started
    };
    let mut introduced_request = plain_request;
    introduced_request[38..46].copy_from_slice(&world.told().id.get().to_be_bytes());
    let (_, response) = world.challenge(&introduced_request);
    assert_waiting(&world.hear(&mut attempt, &with_introduced_data(&response, None)).0);
    let request = world.solve(&mut attempt);
    assert_rejected(world.admit(&request), RejectCode::DifficultyTooLow);
}

#[test]
fn an_introduced_request_is_admitted_once_and_its_replay_never() {
    let mut world = introduced(25);
    let (_, [.., request]) = request(&mut world);
    admitted(world.admit(&request).0);
    assert_silent(world.admit(&request), DropReason::ReplayedToken);
    world.wait(61_000);
    self::request(&mut world);
    assert_rejected(world.admit(&request), RejectCode::StaleEpoch);
}

#[test]
fn where_no_place_is_left_an_introduced_request_gets_busy() {
    let mut world = introduced(26);
    let (_, [.., request]) = request(&mut world);
    assert_rejected(world.admit_when(&request, FULL), RejectCode::Busy);
}

#[test]
fn a_later_request_of_the_introduction_leaves_the_application_no_more_time() {
    let mut world = introduced(27);
    let (_, [.., first]) = request(&mut world);
    let (earlier, question) = world.ask(&first);
    world.wait(5_000);
    let (_, [.., second]) = request(&mut world);
    let (mut asking, again) = world.ask(&second);
    assert_eq!(again, question, "the application need not be asked again");
    assert!(asking.deadline() > earlier.deadline());
    asking.take_place_of(&earlier);
    assert_eq!(asking.deadline(), earlier.deadline());
    let (_, parts, _) = world.accept(asking, b"");
    assert_eq!(parts.stats.total_time, Duration::from_secs(5));
}

#[test]
fn debug_shows_nothing_of_the_keys() {
    let world = introduced(28);
    let Introduced { at_initiator, at_host } = world.introduced.unwrap();
    let shown = std::format!("{at_initiator:?} {at_host:?}");
    assert!(shown.contains("psk: Psk,") && shown.contains("data_key: DataKey }"), "{shown}");
}
