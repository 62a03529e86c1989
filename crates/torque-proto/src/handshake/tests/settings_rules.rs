//! What comes of an answer that breaks the rules for settings (PROTOCOL.md 4.8).

use super::*;
use crate::crypto::dh::DhSecret;
use crate::wire::{AcceptPayload, ConnectAccept};

/// An authentic connect_accept with these settings, as a broken host would make it.
fn accept_with(world: &mut World, request: &[u8], settings: [u8; 8]) -> Vec<u8> {
    let admitted = admitted(world.admit(request).0);
    let host_salt = [5; 16];
    let answers = admitted.secret.answers(&host_salt);
    let (e2, secret) = answers.accept(&admitted.initiator, DhSecret::from_bytes([6; 32]));
    let mut text = Vec::new();
    AcceptPayload {
        initial_sequence: 1,
        settings: Settings::default(),
        connection_id: 1,
        reset_token: [0; 16],
        accept_data: Vec::new(),
    }
    .write(&mut text);
    text[2..10].copy_from_slice(&settings);
    let initiator_nonce = *admitted.initiator_nonce();
    let mut reply = ConnectAccept { initiator_nonce, host_salt, e2, sealed: &[] };
    secret.seal_accept(&reply.header(), &mut text);
    reply.sealed = &text;
    let mut bytes = Vec::new();
    reply.write(&mut bytes);
    bytes
}

#[test]
fn an_answer_beyond_what_was_asked_ends_the_attempt_by_name() {
    let good = Settings::default();
    let wire = |change: fn(&mut Settings)| {
        let mut settings = good;
        change(&mut settings);
        settings.to_wire()
    };
    let cases = [
        (wire(|_| {}), true),
        (wire(|settings| settings.packet_window = 8), true),
        (wire(|settings| settings.tag_bytes = 16), true),
        (wire(|settings| settings.packet_window = 129), false),
        (wire(|settings| settings.tag_bytes = 7), false),
        (wire(|settings| settings.packet_window = 7), false),
        (wire(|settings| settings.tag_bytes = 17), false),
        (wire(|settings| settings.max_packet_size = 1_149), false),
        (wire(|settings| settings.ack_delay = Duration::from_millis(1_001)), false),
    ];
    for (index, (settings, lawful)) in cases.into_iter().enumerate() {
        let mut world = World::new(60);
        let (mut attempt, request) = world.request();
        let accept = accept_with(&mut world, &request, settings);
        let (outcome, _) = world.hear(&mut attempt, &accept);
        if lawful {
            established(outcome);
        } else {
            assert_ended(&outcome, CloseCode::ProtocolViolation, ClosedBy::Socket);
        }
        assert!(attempt.deadline().is_none(), "case {index}");
    }
}

#[test]
fn an_initiator_never_asks_for_a_shorter_tag_than_it_takes() {
    let mut world = World::new(61);
    world.at_host.config.min_tag_bytes = 4;
    world.at_host.config.settings.tag_bytes = 4;
    let mut options = world.options(Trust::Anyone);
    options.settings.tag_bytes = 4;
    world.at_initiator.config.min_tag_bytes = 10;
    let mut out = Vec::new();
    let mut attempt = Attempt::start(&mut world.at_initiator.cx(world.now), options, &mut out);
    let (_, response) = world.challenge(&out);
    world.hear(&mut attempt, &response);
    let request = world.solve(&mut attempt);
    let (asking, _) = world.ask(&request);
    let (_, parts, accept) = world.accept(asking, b"");
    assert_eq!(parts.agreed.settings.tag_bytes, 10);
    let at_initiator = established(world.hear(&mut attempt, &accept).0).parts;
    assert_eq!(at_initiator.agreed.settings.tag_bytes, 10);
}
