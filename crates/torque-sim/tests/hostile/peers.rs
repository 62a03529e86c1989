//! Whoever is at the other end, with true keys or without.

use super::*;

#[test]
fn acks_for_packets_never_sent_are_ignored() {
    for window in [8, 128, 2_048, 32_768] {
        let mut stranger = Stranger::new(90);
        let mut guest = stranger.connect(window);
        let connection = stranger.connection();
        let sequences: Vec<u64> =
            (0..5).map(|_| stranger.play.send(stranger.host, connection, b"true").unwrap().0).collect();
        let last = sequences[4];
        for kind in [0, 1, 2, 3] {
            for (ack, form, bytes) in [
                (last + 1, 0, &[][..]),
                (last + u64::from(guest.window / 2), 0, &[]),
                (last + 3, 1, &[0xff]),
                (last + 3, 7, &[2, 0xff, 0xff]),
                // No count byte, a count beyond the packet, a count of nothing.
                (last, 7, &[]),
                (last, 7, &[255, 1]),
                (last, 7, &[0]),
                (last, 6, &[1]),
            ] {
                let packet = guest.packet(kind, ack, form, bytes, &[]);
                stranger.ask(packet);
            }
        }
        let host = stranger.host;
        let end = stranger.play.end(host, connection);
        assert_eq!((end.tally.delivered, end.tally.dropped, end.closed.is_none()), (0, 0, true), "{window}");
        let stats = stranger.play.world.node(host).connection_stats(connection).unwrap();
        assert!(stats.counters.reports_ignored > 0 && stats.counters.malformed > 0);
        // A true report is still read.
        let packet = guest.packet(2, last, 0, &[], &[]);
        stranger.ask(packet);
        assert_eq!(stranger.play.end(host, connection).tally.delivered, 5);
    }
}

#[test]
fn malformed_control_messages_do_no_harm() {
    let mut stranger = Stranger::new(91);
    let mut guest = stranger.connect(128);
    let connection = stranger.connection();
    let mut rng = SimRng::new(91);
    // Lengths that run past the end, kinds that do not exist, bodies that are too short, a close that is none.
    for messages in [
        &[1][..],
        &[1, 0],
        &[1, 0, 9, 0],
        &[1, 255, 255, 0],
        &[1, 0, 0],
        &[3, 0, 0],
        &[3, 0, 2, 1, 0],
        &[4, 0, 1, 0],
        &[2, 0, 4, 1, 2, 3, 4],
        &[99, 0, 1, 0],
        &[0, 0, 0],
        &[],
    ] {
        let packet = guest.control(messages);
        stranger.ask(packet);
    }
    for _ in 0..500 {
        let len = rng.index(60);
        let mut messages = rng.bytes(len);
        if let Some(kind) = messages.first_mut() {
            // Anything but a close, which would be obeyed.
            *kind = [0, 1, 2, 5, 20, 99][rng.index(6)];
        }
        let packet = guest.control(&messages);
        let question = packet.len();
        let answer: usize = stranger.ask(packet).iter().map(Vec::len).sum();
        assert!(answer <= question.max(32), "{question} asked, {answer} answered");
    }
    // A reason that is longer than allowed.
    let mut close = vec![3, 0x02, 0x58];
    close.resize(3 + 0x258, 0);
    let packet = guest.control(&close);
    stranger.ask(packet);
    assert_eq!(stranger.play.end(stranger.host, connection).closed, None);
    let ping = guest.ping();
    assert_eq!(stranger.ask(ping).len(), 1);
}

#[test]
fn many_pings_in_one_packet_get_one_answer() {
    let mut stranger = Stranger::new(92);
    let mut guest = stranger.connect(128);
    let pings: Vec<u8> = (0..75).flat_map(foreign::ping).collect();
    let packet = guest.control(&pings);
    let question = packet.len();
    let answers = stranger.ask(packet);
    assert_eq!(answers.len(), 1);
    assert!(answers[0].len() <= question);
}

#[test]
fn many_closes_in_one_packet_get_few_answers() {
    // Each would be answered if it came alone.
    let mut stranger = Stranger::new(106);
    let mut guest = stranger.connect(128);
    let close = |settled: u8| [3, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, settled, 0, 0];
    let closes: Vec<u8> = (0..80).flat_map(close).collect();
    let packet = guest.control(&closes);
    assert!(stranger.ask(packet).len() <= 1);
    stranger.play.finish(10 * SECOND);

    // The host closes, and is told of progress eighty times at once.
    let mut stranger = Stranger::new(107);
    let mut guest = stranger.connect(128);
    let connection = stranger.connection();
    stranger.play.close(stranger.host, connection, &[b'x'; 511]);
    let close_ack = |settled: u8| [4, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, settled];
    guest.sequence += 100;
    let acks: Vec<u8> = (0..80).flat_map(close_ack).collect();
    let packet = guest.control(&acks);
    // The close that was sent before is in the mail as well.
    assert!(stranger.ask(packet).len() <= 2);
    stranger.play.finish(10 * SECOND);
}

#[test]
fn settings_out_of_range_are_never_asked_about() {
    for payload in [
        // Window 7 and 32,769; tag 3 and 17; ack delay 1,001; packets of 1,149; initial sequence 4,096.
        [0, 0, 0, 7, 16, 0, 0, 50, 0x04, 0x7e, 0, 0, 0],
        [0, 0, 0x80, 1, 16, 0, 0, 50, 0x04, 0x7e, 0, 0, 0],
        [0, 0, 0, 128, 3, 0, 0, 50, 0x04, 0x7e, 0, 0, 0],
        [0, 0, 0, 128, 17, 0, 0, 50, 0x04, 0x7e, 0, 0, 0],
        [0, 0, 0, 128, 16, 0, 0x03, 0xe9, 0x04, 0x7e, 0, 0, 0],
        [0, 0, 0, 128, 16, 0, 0, 50, 0x04, 0x7d, 0, 0, 0],
        [0x10, 0, 0, 128, 16, 0, 0, 50, 0x04, 0x7e, 0, 0, 0],
        // A length of connect data that runs past the end.
        [0, 0, 0, 128, 16, 0, 0, 50, 0x04, 0x7e, 0, 0, 1],
    ] {
        let mut stranger = Stranger::new(93);
        let request =
            foreign::connect_request_with(&stranger.response, [3; 32], Identity::honest([7; 32]), &payload);
        assert!(stranger.ask(request.bytes).is_empty());
        let stats = stranger.play.stats(stranger.host);
        assert_eq!(stats.connections_requested, 0, "{payload:?}");
        assert_eq!(stats.bad_request + stats.malformed, 1, "{payload:?}");
    }
}

#[test]
fn sequences_far_apart_are_received_within_the_window() {
    // An initiator that skips packets at every stride below the window, and sends at every window's edge.
    for window in [8u16, 128, 2_048] {
        let mut stranger = Stranger::new(94);
        let mut guest = stranger.connect(window);
        let connection = stranger.connection();
        for stride in [1, 2, u64::from(window) - 1, u64::from(window)] {
            // All of it within one generation of keys: the hand-written initiator has no others.
            for _ in 0..10 {
                guest.sequence += stride - 1;
                let packet = guest.data(b"here");
                stranger.ask(packet);
            }
        }
        let received = stranger.play.end(stranger.host, connection).tally.received;
        assert_eq!(
            received,
            40,
            "{window}: {:?}",
            stranger.play.world.node(stranger.host).connection_stats(connection)
        );
        // Beyond the window is what nobody may send: dropped, and no harm.
        guest.sequence += u64::from(window);
        let packet = guest.data(b"lost");
        stranger.ask(packet);
        assert_eq!(stranger.play.end(stranger.host, connection).tally.received, received);
        guest.sequence -= u64::from(window) + 1;
        let ping = guest.ping();
        assert_eq!(stranger.ask(ping).len(), 1);
    }
}

#[test]
fn a_peer_that_never_answers_ends_the_attempt_in_time() {
    let mut play = Play::new(95);
    play.world.set_default_link(link("delay=10"));
    let (client, nobody) = (play.add_default(), play.add_default());
    play.crash(nobody);
    let before = play.world.datagrams_sent();
    let connection = play.connect(client, nobody, ConnectOptions::default());
    play.run_for(9_900 * MS);
    assert_eq!(code(&play, client, connection), None);
    play.run_for(200 * MS);
    assert_eq!(code(&play, client, connection), Some(CloseCode::NoAnswer));
    assert!(play.world.datagrams_sent() - before <= 9);
    play.run_for(60 * SECOND);
    assert!(play.world.datagrams_sent() - before <= 9);
    assert_eq!(play.world.node(client).slots_used(), 0);
    assert_eq!(play.world.node(client).poll_timeout(), None);
}

#[test]
fn a_peer_that_answers_twice_gets_one_connection() {
    for_seeds(40, |seed| {
        let mut rng = SimRng::new(seed);
        let (mut play, client, host, connection) = attempt(seed, ConnectOptions::default(), move |passing| {
            for _ in 0..rng.below(3) {
                let copy = passing.bytes.clone();
                passing.inject(rng.duration(400 * MS), passing.from, passing.to, copy);
            }
            Fate::Pass
        });
        play.set_behaviour(client, busy());
        play.set_behaviour(host, busy());
        play.run_for(5 * SECOND);
        assert!(play.end(client, connection).established);
        assert_eq!(play.open_connections(host).len(), 1);
        let established = |node| {
            let told = play.history(node).iter();
            told.filter(|(_, event)| matches!(event, Event::Established { .. })).count()
        };
        assert_eq!((established(client), established(host)), (1, 1));
        play.close_all_and_finish(60 * SECOND);
    });
}

#[test]
fn a_peer_that_moves_in_its_handshake_fails_by_name_and_later_is_followed() {
    // In the middle of the handshake: the token is for the old address, and the attempt ends by name.
    for_seeds(40, |seed| {
        let mut rng = SimRng::new(seed);
        let (mut play, client, host, connection) = attempt(seed, ConnectOptions::default(), |_| Fate::Pass);
        play.run_for(rng.duration(70 * MS));
        play.world.set_address(client, Address::from_virtual(1_000 + seed));
        play.run_for(60 * SECOND);
        match code(&play, client, connection) {
            None => assert_eq!(play.open_connections(host).len(), 1),
            Some(code) => assert!(matches!(code, CloseCode::NoAnswer | CloseCode::TimedOut), "{code:?}"),
        }
        play.close_all_and_finish(60 * SECOND);
        assert!(play.world.node(host).slots_used() <= 1);
    });
    // Later it is followed (PATHS.md), and the attempt's own packets go on.
    let mut siege = Siege::new(96);
    siege.play.world.set_address(siege.client, Address::from_virtual(4));
    siege.play.run_for(60 * SECOND);
    assert_eq!(siege.play.open_connections(siege.host).len(), 1);
    siege.play.close_all_and_finish(60 * SECOND);
    for (node, id) in [(siege.client, siege.at_client), (siege.host, siege.at_host)] {
        assert!(!matches!(code(&siege.play, node, id), Some(CloseCode::TimedOut)));
    }
}

#[test]
fn a_key_that_changes_between_retries_is_asked_about_again() {
    for pinned in [false, true] {
        let mut play = Play::new(97);
        play.world.set_default_link(link("delay=10"));
        let (client, host) = (play.add_default(), play.add_default());
        let trust = if pinned { Trust::Pinned(play.key(host)) } else { Trust::Ask };
        // The first request gets lost, and meanwhile the host becomes another one.
        let lose = Rc::new(Cell::new(true));
        let losing = Rc::clone(&lose);
        play.world.set_tap(
            move |passing| {
                if is_kind(passing.bytes, 3) && losing.get() { Fate::Drop } else { Fate::Pass }
            },
        );
        let options = ConnectOptions::new(trust);
        let connection = play.connect(client, host, options);
        play.run_for(SECOND);
        play.crash(host);
        play.change_key(host);
        play.restart(host);
        lose.set(false);
        play.run_for(12 * SECOND);
        let keys: Vec<PublicKey> = play
            .history(client)
            .iter()
            .filter_map(|(_, event)| match event {
                Event::ChallengeResponse(ChallengeResponse { public_key, .. }) => Some(*public_key),
                _ => None,
            })
            .collect();
        if pinned {
            assert_eq!(code(&play, client, connection), Some(CloseCode::KeyMismatch));
        } else {
            assert_eq!(keys.len(), 2, "it asks again, with the new key");
            assert_eq!(keys[1], play.key(host));
            assert!(play.end(client, connection).established);
        }
        play.close_all_and_finish(60 * SECOND);
    }
}

#[test]
fn a_crashed_client_replaces_its_old_connection() {
    for_seeds(20, |seed| {
        let mut rng = SimRng::new(seed);
        let mut play = Play::new(seed);
        play.world.set_default_link(link("delay=10,loss=2%"));
        play.world.set_capture(true);
        let host = play.add(Config::default(), busy());
        let client = play.add(Config::default(), busy());
        for _ in 0..8 {
            play.connect(client, host, ConnectOptions::default());
            play.run_for(rng.duration(4 * SECOND));
            play.crash(client);
            play.run_for(rng.duration(SECOND));
            play.restart(client);
            // What an older life sent arrives again.
            let old = play.world.captured();
            let again = old[rng.index(old.len())].clone();
            play.world.inject(rng.duration(SECOND), again.from, again.to, again.bytes);
        }
        // A packet that the host never took is a sign of life when it is replayed: let the last one arrive.
        play.run_for(2 * SECOND);
        play.establish(client, host);
        play.run_for(15 * SECOND);
        assert_eq!((play.open_connections(client).len(), play.open_connections(host).len()), (1, 1));
        assert_eq!(play.world.node(host).slots_used(), 1);
        play.close_all_and_finish(60 * SECOND);
    });
}
