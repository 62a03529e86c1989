//! Repeats, limits and answers of pending connections at the host (PROTOCOL.md 5.4).

use super::*;
use crate::wire::{ReplyKind, SealedReply};

#[test]
fn a_repeated_request_gets_the_very_same_accept_again() {
    let mut world = World::new(50);
    let (_, request) = world.request();
    let (asking, _) = world.ask(&request);
    let (mut confirming, _, accept) = world.accept(asking, b"welcome");
    for _ in 0..5 {
        world.wait(50);
        let mut again = Vec::new();
        assert_eq!(confirming.repeat(world.now, &request, &mut again), Ok(()));
        assert_eq!(again, accept);
    }
}

#[test]
fn a_repeated_request_gets_the_very_same_refusal_and_pending_again() {
    let mut world = World::new(51);
    let (_, request) = world.request();
    let (mut asking, _) = world.ask(&request);
    let mut first = Vec::new();
    assert_eq!(asking.repeat(world.now, &request, &mut first), Ok(()));
    world.wait(50);
    let mut second = Vec::new();
    assert_eq!(asking.repeat(world.now, &request, &mut second), Ok(()));
    assert_eq!(first, second);
    assert_eq!(SealedReply::parse(&first).unwrap().kind, ReplyKind::Pending);

    let mut refusal = Vec::new();
    let mut refused =
        asking.refuse(&world.at_host.cx(world.now), CloseCode::NoDecision, ShortData::EMPTY, &mut refusal);
    world.wait(50);
    let mut again = Vec::new();
    assert_eq!(refused.repeat(world.now, &request, &mut again), Ok(()));
    assert_eq!(again, refusal);
}

#[test]
fn answers_are_at_least_fifty_milliseconds_apart() {
    let mut world = World::new(52);
    let (_, request) = world.request();
    let (mut asking, _) = world.ask(&request);
    let mut out = Vec::new();
    assert_eq!(asking.repeat(world.now, &request, &mut out), Ok(()));
    world.wait(49);
    out.clear();
    assert_eq!(asking.repeat(world.now, &request, &mut out), Err(DropReason::TooSoon));
    let (mut confirming, _, _) = world.accept(asking, b"");
    world.wait(49);
    assert_eq!(confirming.repeat(world.now, &request, &mut out), Err(DropReason::TooSoon));
    assert!(out.is_empty());
    world.wait(1);
    assert_eq!(confirming.repeat(world.now, &request, &mut out), Ok(()));
}

#[test]
fn a_changed_request_gets_nothing() {
    let mut world = World::new(53);
    let (_, request) = world.request();
    let (mut asking, _) = world.ask(&request);
    world.wait(1_000);
    let mut out = Vec::new();
    let mut changed = request.clone();
    for offset in [2, 38, 60, 140, request.len() - 1] {
        changed[offset] ^= 1;
        assert_eq!(asking.repeat(world.now, &changed, &mut out), Err(DropReason::ChangedRequest));
        changed[offset] ^= 1;
    }
    let (mut confirming, _, _) = world.accept(asking, b"");
    world.wait(1_000);
    changed[60] ^= 1;
    assert_eq!(confirming.repeat(world.now, &changed, &mut out), Err(DropReason::ChangedRequest));
    assert!(out.is_empty());
}

#[test]
fn each_wait_of_a_host_has_its_limit() {
    let mut world = World::new(54);
    let (_, request) = world.request();
    let (asking, _) = world.ask(&request);
    assert_eq!(asking.deadline(), world.now + Duration::from_secs(120));
    world.wait(5_000);
    let (confirming, _, _) = world.accept(asking, b"");
    assert_eq!(confirming.deadline(), world.now + Duration::from_secs(10));

    let (_, request) = world.request();
    let (asking, _) = world.ask(&request);
    let mut out = Vec::new();
    let refused = asking.refuse(&world.at_host.cx(world.now), CloseCode::Refused, ShortData::EMPTY, &mut out);
    assert_eq!(refused.deadline(), world.now + Duration::from_secs(10));
}

#[test]
fn data_longer_than_its_message_has_room_for_is_an_error_of_the_caller() {
    assert!(ShortData::new(&[0; 511]).is_ok());
    assert_eq!(ShortData::new(&[0; 512]), Err(CallError::TooLarge { max: 511 }));
}

#[test]
fn the_largest_messages_stay_within_1200_bytes() {
    let mut world = World::new(55);
    let mut options = world.options(Trust::Anyone);
    options.connect_data = vec![7; 900];
    options.extensions = vec![Extension { kind: 1, data: vec![8; 97] }];
    let mut out = Vec::new();
    let mut cx = world.at_initiator.cx(world.now);
    let mut attempt = Attempt::start(&mut cx, options.clone(), &mut out);
    let (_, response) = world.challenge(&out);
    world.hear(&mut attempt, &response);
    let request = world.solve(&mut attempt);
    assert!(request.len() <= 1_200, "{}", request.len());
    let (asking, question) = world.ask(&request);
    assert_eq!(question.connect_data, options.connect_data);
    assert_eq!(question.extensions, options.extensions);
    let (_, _, accept) = world.accept(asking, &[9; 511]);
    assert!(accept.len() <= 1_200);
    assert_eq!(established(world.hear(&mut attempt, &accept).0).accept_data, [9; 511]);

    options.connect_data.push(7);
    assert_eq!(options.check(), Err(CallError::TooLarge { max: 1_000 }));
}
