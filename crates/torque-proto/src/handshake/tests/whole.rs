//! Whole handshakes, from the first datagram to keys.

use super::*;

/// Both sides derived the same, each for its own part.
pub(super) fn assert_alike(at_host: &ConnectionParts, at_initiator: &ConnectionParts) {
    for direction in [Direction::FromInitiator, Direction::FromHost] {
        assert_eq!(
            at_host.secret.traffic(direction).expose(),
            at_initiator.secret.traffic(direction).expose()
        );
    }
    assert_ne!(
        at_host.secret.traffic(Direction::FromHost).expose(),
        at_host.secret.traffic(Direction::FromInitiator).expose()
    );
    assert_eq!(at_host.role.sends(), at_initiator.role.receives());
    assert_eq!(at_host.role.receives(), at_initiator.role.sends());
    assert_eq!(at_host.send_sequence, at_initiator.receive_sequence);
    assert_eq!(at_host.receive_sequence, at_initiator.send_sequence);
    assert_eq!(at_host.connection_number, at_initiator.connection_number);
    assert_eq!(at_host.reset_token, at_initiator.reset_token);
    assert_eq!(at_host.cipher, at_initiator.cipher);
    assert_eq!(at_host.agreed.settings.packet_window, at_initiator.agreed.settings.packet_window);
    assert_eq!(at_host.agreed.settings.tag_bytes, at_initiator.agreed.settings.tag_bytes);
    assert_eq!(at_host.agreed.remote_ack_delay, at_initiator.agreed.settings.ack_delay);
    assert_eq!(at_initiator.agreed.remote_ack_delay, at_host.agreed.settings.ack_delay);
    assert_eq!(at_host.agreed.send_limit(), at_initiator.agreed.send_limit());
}

#[test]
fn a_handshake_gives_both_sides_the_same_keys_in_each_trust_mode() {
    // Several seeds, so that keys with either sign take either part.
    for seed in 0..8 {
        let pin = World::new(seed).at_host.key_pair.public();
        for trust in [Trust::Ask, Trust::Pinned(pin), Trust::AskPinned(pin), Trust::Anyone] {
            let mut world = World::new(seed);
            world.at_host.config.settings.packet_window = 512;
            world.at_initiator.config.settings.ack_delay = Duration::from_millis(20);
            world.at_initiator.config.settings.max_packet_size = 1_300;
            world.host.set_challenge_response_data(ShortData::new(b"the blue server").unwrap());

            let (mut attempt, request) = world.start(trust);
            world.wait(30);
            let (answer, response) = world.challenge(&request);
            assert_eq!(answer, Ok(()));
            world.wait(30);
            let (outcome, sent) = world.hear(&mut attempt, &response);
            assert!(sent.is_empty());
            if trust.asks() {
                let question = asked(outcome);
                assert_eq!(question.public_key, pin);
                assert_eq!(question.challenge_response_data, b"the blue server");
                assert_eq!(question.difficulty, 4);
                assert_eq!(question.cipher, Cipher::DEFAULT_OFFER[0]);
                let mut out = Vec::new();
                let outcome = attempt.accept(&mut world.at_initiator.cx(world.now), None, &mut out).unwrap();
                assert_waiting(&outcome);
                assert!(out.is_empty());
            } else {
                assert_waiting(&outcome);
            }
            let request = world.solve(&mut attempt);

            let (asking, question) = world.ask(&request);
            assert_eq!(question.public_key, world.at_initiator.key_pair.public());
            assert_eq!(question.connect_data, b"let me in");
            assert_eq!(question.extensions, [Extension { kind: 9, data: vec![1, 2, 3] }]);
            let (confirming, at_host, accept) = world.accept(asking, b"welcome");
            world.wait(30);
            let (outcome, sent) = world.hear(&mut attempt, &accept);
            assert!(sent.is_empty());
            let established = established(outcome);
            assert_eq!(established.accept_data, b"welcome");
            let at_initiator = established.parts;

            assert_alike(&at_host, &at_initiator);
            assert_eq!(at_host.public_key, world.at_initiator.key_pair.public());
            assert_eq!(at_initiator.public_key, pin);
            assert_eq!(at_initiator.stats.challenge_time, Duration::from_millis(60));
            assert_eq!(at_initiator.stats.total_time, Duration::from_millis(90));
            assert!(at_initiator.stats.puzzle_tries > 0);
            assert_eq!(confirming.round_trip(world.now), Duration::from_millis(30));
            assert!(attempt.deadline().is_none());

            let mut initiator_end = at_initiator.connection(None, None);
            let mut host_end = at_host.connection(None, None);
            let sequence = u64::from(at_initiator.send_sequence) + 1;
            let mut text = *b"packet";
            let tag = initiator_end.send_keys.seal_data(sequence, b"ad", &mut text).unwrap();
            assert_eq!(tag.len(), usize::from(host_end.settings.tag_bytes));
            host_end.receive_keys.open_data(sequence, b"ad", &mut text, &tag).unwrap();
            assert_eq!(&text, b"packet");
        }
    }
}

#[test]
fn two_admissions_never_share_keys() {
    let mut world = World::new(3);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let (_, request) = world.request();
        let (asking, _) = world.ask(&request);
        let (_, parts, _) = world.accept(asking, b"");
        assert!(seen.insert(*parts.secret.traffic(Direction::FromHost).expose()));
        assert!(seen.insert(*parts.secret.traffic(Direction::FromInitiator).expose()));
    }
}

#[test]
fn a_request_admitted_by_two_shards_gives_different_keys() {
    let mut world = World::new(3);
    let (_, request) = world.request();
    let mut shard = Host::new(world.now, &world.at_host.config, 1_800_000_000_000);
    shard.install_epoch(world.now, world.host.share_epoch().unwrap());
    let (asking, _) = world.ask(&request);
    let (_, one, accept_one) = world.accept(asking, b"");
    world.host = shard;
    let (asking, _) = world.ask(&request);
    let (_, two, accept_two) = world.accept(asking, b"");
    assert_ne!(accept_one[17..33], accept_two[17..33]);
    for direction in [Direction::FromInitiator, Direction::FromHost] {
        assert_ne!(one.secret.traffic(direction).expose(), two.secret.traffic(direction).expose());
    }
}

#[test]
fn nothing_sent_before_the_address_is_proven_is_longer_than_what_asked() {
    let mut world = World::new(4);
    world.host.set_challenge_response_data(ShortData::new(&[0x55; 511]).unwrap());
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    assert_eq!(response.len(), 175 + 511);
    assert!(response.len() <= request.len());

    for change in [26..27, 34..38] {
        let mut changed = request.clone();
        changed[change.clone()].fill(0);
        changed[change.start] = 99;
        let (answer, reject) = world.challenge(&changed);
        assert!(answer.is_err(), "{change:?}");
        assert!(!reject.is_empty() && reject.len() <= changed.len());
    }

    world.hear(&mut attempt, &response);
    let request = world.solve(&mut attempt);
    let mut stale = request.clone();
    stale[18] ^= 1;
    let (admission, reject) = world.admit(&stale);
    assert!(matches!(admission, Admission::Rejected(_)));
    assert!(reject.len() <= stale.len());
    assert!(ConnectRequest::MIN_BYTES >= reject.len());
}

#[test]
fn an_initiator_answers_any_datagram_with_at_most_one_request() {
    let mut world = World::new(5);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    for _ in 0..10 {
        let (_, sent) = world.hear(&mut attempt, &response);
        assert!(sent.is_empty());
    }
}

#[test]
fn a_human_may_look_at_the_key_for_a_minute_while_epochs_turn() {
    let mut world = World::new(6);
    let (mut attempt, request) = world.start(Trust::Ask);
    let (_, response) = world.challenge(&request);
    asked(world.hear(&mut attempt, &response).0);
    let old_nonce = *attempt.initiator_nonce().unwrap();

    world.wait(60_000);
    let mut out = Vec::new();
    let outcome = attempt.accept(&mut world.at_initiator.cx(world.now), None, &mut out).unwrap();
    assert_waiting(&outcome);
    assert_eq!(out.len(), 768, "a fresh challenge is fetched");
    assert_ne!(*attempt.initiator_nonce().unwrap(), old_nonce);
    let (_, fresh) = world.challenge(&out);
    assert_ne!(fresh[26..58], response[26..58], "the epoch turned");

    // Key and data are the same: nobody is asked again.
    assert_waiting(&world.hear(&mut attempt, &fresh).0);
    let request = world.solve(&mut attempt);
    let (asking, _) = world.ask(&request);
    let (_, _, accept) = world.accept(asking, b"");
    established(world.hear(&mut attempt, &accept).0);
}

#[test]
fn an_application_that_decides_soon_costs_no_second_challenge() {
    let mut world = World::new(6);
    let (mut attempt, request) = world.start(Trust::Ask);
    let (_, response) = world.challenge(&request);
    asked(world.hear(&mut attempt, &response).0);
    world.wait(20_000);
    let mut out = Vec::new();
    attempt.accept(&mut world.at_initiator.cx(world.now), None, &mut out).unwrap();
    assert!(out.is_empty());
    let request = world.solve(&mut attempt);
    world.ask(&request);
}

#[test]
fn an_application_is_asked_again_only_if_key_or_data_changed_meanwhile() {
    for (new_data, new_key) in [(false, false), (true, false), (false, true)] {
        let mut world = World::new(7);
        world.host.set_challenge_response_data(ShortData::new(b"one").unwrap());
        let (mut attempt, request) = world.start(Trust::Ask);
        let (_, response) = world.challenge(&request);
        asked(world.hear(&mut attempt, &response).0);
        world.wait(30_000);
        if new_data {
            world.host.set_challenge_response_data(ShortData::new(b"two").unwrap());
        }
        if new_key {
            world.at_host.key_pair = KeyPair::from_seed([9; 32]);
            world.host.forget_epochs();
        }
        let mut out = Vec::new();
        attempt.accept(&mut world.at_initiator.cx(world.now), None, &mut out).unwrap();
        let (_, fresh) = world.challenge(&out);
        let (outcome, _) = world.hear(&mut attempt, &fresh);
        if new_data || new_key {
            let question = asked(outcome);
            assert_eq!(question.public_key, world.at_host.key_pair.public());
            assert_eq!(question.challenge_response_data, if new_data { b"two" } else { b"one" });
        } else {
            assert_waiting(&outcome);
        }
    }
}

#[test]
fn a_host_may_think_for_a_minute_while_epochs_turn() {
    let mut world = World::new(8);
    let (mut attempt, request) = world.request();
    let (mut asking, _) = world.ask(&request);
    let end = world.now + Duration::from_secs(60);
    let mut pendings = 0;
    while world.now < end {
        let (deadline, _) = attempt.deadline().unwrap();
        world.now = deadline;
        let (outcome, sent) = world.timeout(&mut attempt);
        assert_waiting(&outcome);
        assert_eq!(sent, request, "repeated byte for byte");
        let mut pending = Vec::new();
        asking.repeat(world.now, &sent, &mut pending).unwrap();
        assert_eq!(pending.len(), 49);
        assert_waiting(&world.hear(&mut attempt, &pending).0);
        pendings += 1;
        world.host.handle_timeout(world.now);
    }
    assert!((25..=35).contains(&pendings), "one each 2 s: {pendings}");
    let (_, at_host, accept) = world.accept(asking, b"at last");
    let at_initiator = established(world.hear(&mut attempt, &accept).0);
    assert_eq!(at_initiator.accept_data, b"at last");
    assert_alike(&at_host, &at_initiator.parts);
}

#[test]
fn a_handshake_survives_the_epoch_turning_between_challenge_and_request() {
    let mut world = World::new(9);
    let (mut attempt, request) = world.start(Trust::Anyone);
    let (_, response) = world.challenge(&request);
    world.hear(&mut attempt, &response);
    world.wait(31_000);
    let (_, other) = world.start(Trust::Anyone);
    assert!(world.challenge(&other).0.is_ok());
    let request = world.solve(&mut attempt);
    let (asking, _) = world.ask(&request);
    let (_, _, accept) = world.accept(asking, b"");
    established(world.hear(&mut attempt, &accept).0);
}

#[test]
fn a_sealed_refusal_carries_code_and_reason() {
    let mut world = World::new(10);
    let (mut attempt, request) = world.request();
    let (asking, _) = world.ask(&request);
    let mut out = Vec::new();
    let reason = ShortData::new(b"banned").unwrap();
    asking.refuse(&world.at_host.cx(world.now), CloseCode::Refused, reason, &mut out);
    let (outcome, _) = world.hear(&mut attempt, &out);
    assert_ended(&outcome, CloseCode::Refused, ClosedBy::Remote);
    let AttemptOutcome::Ended(ended) = outcome else { unreachable!() };
    assert_eq!(ended.reason, b"banned");
}
