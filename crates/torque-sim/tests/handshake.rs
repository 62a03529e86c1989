//! The promises on connecting: it succeeds over bad networks or fails with the right name, in bounded time,
//! however slow the applications are, and an address has one connection.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::{MS, SECOND, link, random_link};
use torque_proto::{
    Address, CallError, ChallengeResponse, Cipher, CloseCode, ClosedBy, Config, ConnectOptions,
    ConnectRequest, ConnectionId, Event, Extension, PuzzleProgress, SendError, Trust,
};
use torque_sim::oracle::Closed;
use torque_sim::play::{Answer, Behaviour, Sending};
use torque_sim::world::Fate;
use torque_sim::{NodeId, Play, SimRng, for_seeds};

/// An initiator, a host, 20 ms apart.
fn two(seed: u64, initiator: Behaviour, host: Behaviour) -> (Play, NodeId, NodeId) {
    let mut play = Play::new(seed);
    play.world.set_default_link(link("delay=20"));
    let initiator = play.add(Config::default(), initiator);
    let host = play.add(Config::default(), host);
    (play, initiator, host)
}

fn accept_after(challenge: Duration, request: Duration) -> Behaviour {
    let (challenge, request) = (Answer::Accept(challenge), Answer::Accept(request));
    Behaviour { challenge, request, ..Behaviour::default() }
}

/// How the connection ended.
fn closed(play: &Play, node: NodeId, connection: ConnectionId) -> Option<Closed> {
    play.end(node, connection).closed.clone()
}

fn code(play: &Play, node: NodeId, connection: ConnectionId) -> Option<CloseCode> {
    closed(play, node, connection).map(|closed| closed.code)
}

fn count(play: &Play, node: NodeId, pick: impl Fn(&Event) -> bool) -> usize {
    play.history(node).iter().filter(|(_, event)| pick(event)).count()
}

fn challenges(play: &Play, node: NodeId) -> usize {
    count(play, node, |event| matches!(event, Event::ChallengeResponse(_)))
}

/// Sends a packet from each end of every open connection of `a`, and expects them all.
fn expect_packets_pass(play: &mut Play, a: NodeId, b: NodeId) {
    for node in [a, b] {
        play.set_behaviour(node, Behaviour::default());
    }
    play.run_for(5 * SECOND);
    for node in [a, b] {
        for connection in play.open_connections(node) {
            play.send(node, connection, b"still there?").expect("sent");
        }
    }
    play.run_for(5 * SECOND);
    for end in play.oracle.ends().filter(|end| end.established && end.closed.is_none() && !end.crashed) {
        let tally = end.tally;
        assert_eq!(tally.sent, tally.delivered + tally.dropped + tally.unknown, "{end:?}");
        assert!(tally.received > 0 && tally.delivered > 0, "{tally:?}");
    }
}

#[test]
fn it_succeeds_under_heavy_loss_or_fails_by_name_in_time() {
    let mut tries = 0;
    let mut established = 0;
    for_seeds(300, |seed| {
        let mut rng = SimRng::new(seed);
        let (mut play, a, b) = two(seed, Behaviour::default(), Behaviour::default());
        let (mut there, mut back) = (random_link(&mut rng, 0.0), random_link(&mut rng, 0.0));
        (there.loss, back.loss) = (0.4, 0.4);
        (there.burst, back.burst) = (None, None);
        play.world.set_link(a, b, there);
        play.world.set_link(b, a, back);
        let connection = play.connect(a, b, ConnectOptions::default());
        // Two waits of ten seconds at most, and the confirmation's ten.
        play.run_for(31 * SECOND);
        tries += 1;
        // So much loss may well end a connection later on, by five pings lost.
        let confirmed = play.oracle.ends().any(|end| end.node == b && end.established);
        match code(&play, a, connection) {
            None => assert!(confirmed, "{:?} {:?}", play.history(a), play.history(b)),
            Some(CloseCode::NoAnswer | CloseCode::TimedOut) => {}
            // The last that was heard, if what was heard was damaged.
            Some(code) => assert!(back.corrupt > 0.0, "{code:?}"),
        }
        established += u32::from(confirmed && play.end(a, connection).established);
        for end in play.oracle.ends().filter(|end| end.node == b && end.closed.is_some()) {
            let code = end.closed.as_ref().map(|closed| closed.code);
            assert!(matches!(code, Some(CloseCode::NotConfirmed | CloseCode::TimedOut)), "{code:?}");
        }
        play.close_all_and_finish(60 * SECOND);
        play.run_for(15 * SECOND);
        assert_eq!(play.world.node(b).slots_used(), 0);
    });
    // One of them may lose too much.
    let few = tries < 100;
    assert!(few || established * 10 >= tries * 8, "{established} of {tries}");
}

#[test]
fn two_that_connect_to_each_other_at_once_get_one_connection() {
    for_seeds(300, |seed| {
        let mut rng = SimRng::new(seed);
        let slow = |rng: &mut SimRng| if rng.chance(0.3) { rng.duration(300 * MS) } else { Duration::ZERO };
        let behaviours =
            (accept_after(slow(&mut rng), slow(&mut rng)), accept_after(slow(&mut rng), slow(&mut rng)));
        let (mut play, a, b) = two(seed, behaviours.0, behaviours.1);
        let delay = rng.duration(60 * MS).as_micros();
        let loss = if rng.chance(0.5) { 0 } else { 10 };
        play.world.set_default_link(link(&format!("delay={delay}us,loss={loss}%")));
        if rng.chance(0.25) {
            // An adversary replays everything.
            let mut delays = rng.fork();
            play.world.set_tap(move |passing| {
                let copy = passing.bytes.clone();
                passing.inject(delays.duration(500 * MS), passing.from, passing.to, copy);
                Fate::Pass
            });
        }
        let at_a = play.connect(a, b, ConnectOptions::default());
        play.run_for(rng.duration(150 * MS));
        // The second may find that the first is there already.
        let at_b = play.try_connect(b, a, ConnectOptions::default()).ok();
        play.run_for(25 * SECOND);
        play.world.clear_tap();
        let (open_a, open_b) = (play.open_connections(a), play.open_connections(b));
        assert_eq!(
            (open_a.len(), open_b.len()),
            (1, 1),
            "seed {seed}: {:?} {:?}",
            play.history(a),
            play.history(b)
        );
        for (node, connection) in [(a, Some(at_a)), (b, at_b)] {
            let Some(code) = connection.and_then(|connection| code(&play, node, connection)) else {
                continue;
            };
            assert!(
                matches!(code, CloseCode::Superseded | CloseCode::AddressInUse | CloseCode::Replaced),
                "{code:?}"
            );
        }
        play.world.set_default_link(link("delay=5"));
        expect_packets_pass(&mut play, a, b);
        play.close_all_and_finish(60 * SECOND);
    });
}

#[test]
fn trust_asks_pins_or_takes_anyone() {
    let (mut play, a, b) = two(1, Behaviour::default(), Behaviour::default());
    let options = |trust| ConnectOptions::new(trust);
    let key = play.key(b);

    let asked = play.connect(a, b, options(Trust::Ask));
    play.run_for(SECOND);
    assert!(play.end(a, asked).established);
    let told = play.history(a).iter().find_map(|(_, event)| match event {
        Event::ChallengeResponse(ChallengeResponse { public_key, .. }) => Some(*public_key),
        _ => None,
    });
    assert_eq!(told, Some(key));
    play.close(a, asked, b"");
    play.run_for(2 * SECOND);

    let pinned = play.connect(a, b, options(Trust::Pinned(key)));
    play.run_for(SECOND);
    assert!(play.end(a, pinned).established);
    play.close(a, pinned, b"");
    play.run_for(2 * SECOND);

    let anyone = play.connect(a, b, options(Trust::Anyone));
    play.run_for(SECOND);
    assert!(play.end(a, anyone).established);
    play.close(a, anyone, b"");
    play.run_for(2 * SECOND);
    assert_eq!(challenges(&play, a), 1);

    let other_key = play.key(a);
    let mismatch = play.connect(a, b, options(Trust::Pinned(other_key)));
    play.run_for(11 * SECOND);
    assert_eq!(code(&play, a, mismatch), Some(CloseCode::KeyMismatch));
    let keys: Vec<_> = play
        .history(b)
        .iter()
        .filter_map(|(_, event)| match event {
            Event::ConnectRequest(ConnectRequest { public_key, .. }) => Some(*public_key),
            _ => None,
        })
        .collect();
    assert_eq!(keys, [play.key(a); 3]);
    play.finish(60 * SECOND);
}

#[test]
fn either_application_may_say_no() {
    let no = Answer::Close(50 * MS);
    let (mut play, a, b) = two(2, Behaviour { challenge: no, ..Behaviour::default() }, Behaviour::default());
    let connection = play.connect(a, b, ConnectOptions::default());
    play.run_for(2 * SECOND);
    let end = closed(&play, a, connection).unwrap();
    assert_eq!((end.code, end.by), (CloseCode::Closed, ClosedBy::Application));
    assert!(play.history(b).is_empty());

    let (mut play, a, b) = two(3, Behaviour::default(), Behaviour { request: no, ..Behaviour::default() });
    let connection = play.connect(a, b, ConnectOptions::default());
    play.run_for(SECOND);
    let end = closed(&play, a, connection).unwrap();
    assert_eq!((end.code, end.by, &end.reason[..]), (CloseCode::Refused, ClosedBy::Remote, &b"no"[..]));
    play.finish(60 * SECOND);
    play.run_for(15 * SECOND);
    assert_eq!(play.world.node(b).slots_used(), 0);
}

#[test]
fn a_refusal_arrives_although_it_is_lost_at_first() {
    for_seeds(50, |seed| {
        let refuse = Behaviour { request: Answer::Close(Duration::ZERO), ..Behaviour::default() };
        let (mut play, a, b) = two(seed, Behaviour::default(), refuse);
        let lost = Rc::new(Cell::new(0));
        play.world.set_tap(move |passing| {
            let refusal = passing.bytes.first() == Some(&0x05);
            lost.set(lost.get() + u32::from(refusal));
            if refusal && lost.get() <= 2 { Fate::Drop } else { Fate::Pass }
        });
        let connection = play.connect(a, b, ConnectOptions::default());
        play.finish(15 * SECOND);
        assert_eq!(code(&play, a, connection), Some(CloseCode::Refused));
    });
}

#[test]
fn slow_applications_are_waited_for_while_epochs_turn() {
    for (seed, challenge, request) in [(1, 60, 0), (2, 0, 60), (3, 60, 60), (4, 25, 0), (5, 100, 100)] {
        let behaviour = accept_after(challenge * SECOND, request * SECOND);
        let (mut play, a, b) = two(seed, behaviour.clone(), behaviour);
        // Others come and go, so that the host has reason to begin new epochs.
        let visitor = play.add_default();
        let connection = play.connect(a, b, ConnectOptions::default());
        for _ in 0..(challenge + request) / 10 + 1 {
            let visit = play.connect(visitor, b, ConnectOptions::default());
            play.run_for(10 * SECOND);
            play.close(visitor, visit, b"");
        }
        play.run_for(5 * SECOND);
        assert!(play.end(a, connection).established, "{challenge} {request}: {:?}", play.history(a));
        assert_eq!(challenges(&play, a), 1, "key and data are the same, so it is asked once");
        play.set_behaviour(b, Behaviour::default());
        for node in [a, b, visitor] {
            for connection in play.open_connections(node) {
                play.close(node, connection, b"");
            }
        }
        play.finish(130 * SECOND);
    }
}

#[test]
fn an_application_that_never_answers_ends_the_attempt_by_name() {
    let (mut play, a, b) =
        two(7, Behaviour::default(), Behaviour { request: Answer::Never, ..Behaviour::default() });
    let connection = play.connect(a, b, ConnectOptions::default());
    play.run_for(125 * SECOND);
    assert_eq!(code(&play, a, connection), Some(CloseCode::NoDecision));
    play.finish(20 * SECOND);
    let end = play.oracle.ends().find(|end| end.node == b).unwrap();
    assert_eq!(
        end.closed.as_ref().map(|closed| (closed.code, closed.by)),
        Some((CloseCode::NoDecision, ClosedBy::Socket))
    );

    let (mut play, a, b) =
        two(8, Behaviour { challenge: Answer::Never, ..Behaviour::default() }, Behaviour::default());
    let connection = play.connect(a, b, ConnectOptions::default());
    play.run_for(125 * SECOND);
    let end = closed(&play, a, connection).unwrap();
    assert_eq!((end.code, end.by), (CloseCode::NoDecision, ClosedBy::Socket));
    play.finish(20 * SECOND);
}

#[test]
fn what_does_not_fit_has_a_name() {
    let attempt = |change: fn(&mut Config, &mut Config), limit: u32| {
        let (mut mine, mut theirs) = (Config::default(), Config::default());
        change(&mut mine, &mut theirs);
        let mut play = Play::new(9);
        play.world.set_default_link(link("delay=20"));
        let a = play.add(mine, Behaviour::default());
        let b = play.add(theirs, Behaviour::default());
        let connection = play.connect(a, b, ConnectOptions::default());
        play.run_for(limit * SECOND);
        let code = code(&play, a, connection);
        assert_eq!(play.oracle.ends().count(), 1);
        (code, play.stats(b))
    };
    let (code, stats) = attempt(|mine, _| mine.application_id = b"chess 2".to_vec(), 11);
    assert_eq!((code, stats.application_mismatch > 0), (Some(CloseCode::ApplicationMismatch), true));
    let (code, stats) = attempt(
        |mine, theirs| {
            mine.ciphers = vec![Cipher::Aes128Gcm];
            theirs.ciphers = vec![Cipher::ChaCha20Poly1305];
        },
        11,
    );
    assert_eq!((code, stats.no_common_cipher > 0), (Some(CloseCode::NoCommonCipher), true));
    let (code, _) = attempt(|_, theirs| theirs.accept_incoming = false, 11);
    assert_eq!(code, Some(CloseCode::NoAnswer));
    let (code, stats) = attempt(
        |mine, theirs| {
            mine.puzzle.difficulty_limit = 7;
            theirs.puzzle.difficulty_min = 8;
        },
        11,
    );
    assert_eq!((code, stats.connections_requested), (Some(CloseCode::DifficultyTooHigh), 0));
}

#[test]
fn a_host_without_room_is_busy() {
    let mut play = Play::new(10);
    play.world.set_default_link(link("delay=20"));
    let mut config = Config::default();
    config.limits.pending = 2;
    config.puzzle.difficulty_min = 0;
    let host = play.add(config, accept_after(Duration::ZERO, 30 * SECOND));
    let guests: Vec<NodeId> = (0..3).map(|_| play.add_default()).collect();
    let attempts: Vec<ConnectionId> = guests
        .iter()
        .map(|guest| {
            let attempt = play.connect(*guest, host, ConnectOptions::default());
            play.run_for(200 * MS);
            attempt
        })
        .collect();
    play.run_for(18 * SECOND);
    assert_eq!(code(&play, guests[2], attempts[2]), Some(CloseCode::Busy));
    assert!(play.stats(host).busy > 0);
    play.run_for(30 * SECOND);
    assert_eq!(play.open_connections(host).len(), 2);
    // The room is there again.
    play.set_behaviour(host, Behaviour::default());
    play.establish(guests[2], host);
    play.close_all_and_finish(60 * SECOND);
}

#[test]
fn all_that_applications_say_arrives_whole() {
    let mut play = Play::new(11);
    let mut rng = play.rng.clone();
    let (accept_data, reason) = (rng.bytes(511), rng.bytes(511));
    let host = play.add_default();
    let behaviour = Behaviour { accept_data: accept_data.clone(), ..Behaviour::default() };
    play.set_behaviour(host, behaviour);
    let data = rng.bytes(511);
    play.world.with(host, |host, _| host.set_challenge_response_data(&data)).unwrap();
    let guest = play.add_default();
    // 12 bytes are the play's own, 3 the extension's head.
    let extension = Extension { kind: 1, data: rng.bytes(100) };
    let connect_data = rng.bytes(1_000 - 12 - 3 - 100);
    let options = ConnectOptions::default().with_data(connect_data.clone()).with_extension(extension.clone());
    let connection = play.connect(guest, host, options);
    play.run_for(SECOND);
    play.close(guest, connection, &reason);
    play.finish(30 * SECOND);
    let mut heard = 0;
    let told = |node| play.history(node).iter().map(move |(_, event)| (node, event));
    for (node, event) in told(guest).chain(told(host)) {
        match event {
            Event::ChallengeResponse(ChallengeResponse { challenge_response_data, .. }) => {
                assert_eq!(*challenge_response_data, data);
                heard += 1;
            }
            Event::ConnectRequest(ConnectRequest { connect_data: got, extensions, remote, .. }) => {
                assert_eq!(got[12..], connect_data);
                assert_eq!(*extensions, std::slice::from_ref(&extension));
                assert_eq!(*remote, play.world.address(guest));
                heard += 1;
            }
            Event::Established { accept_data: got, .. } if node == guest => {
                assert_eq!(*got, accept_data);
                heard += 1;
            }
            Event::Close { by: ClosedBy::Remote, reason: got, .. } => {
                assert_eq!(*got, reason);
                heard += 1;
            }
            _ => {}
        }
    }
    assert_eq!(heard, 4);
    let too_much = ConnectOptions::default().with_data(vec![0; 1_001 - 12]);
    assert!(play.try_connect(guest, host, too_much).is_err());
}

#[test]
fn settings_come_out_as_both_sides_allow() {
    for_seeds(50, |seed| {
        let mut rng = SimRng::new(seed);
        let (mine, theirs) = (common::random_config(&mut rng), common::random_config(&mut rng));
        let mut play = Play::new(seed);
        let a = play.add(mine.clone(), Behaviour::default());
        let b = play.add(theirs.clone(), Behaviour::default());
        play.establish(a, b);
        let settings: Vec<_> = [a, b]
            .iter()
            .flat_map(|node| play.history(*node))
            .filter_map(|(_, event)| match event {
                Event::Established { settings, .. } => Some(*settings),
                _ => None,
            })
            .collect();
        let window = mine.settings.packet_window.min(theirs.settings.packet_window);
        let tag = match mine.ciphers.first() {
            Some(Cipher::Aes128Gcm | Cipher::ChaCha20Poly1305) => 16,
            _ => mine.settings.tag_bytes.max(theirs.settings.tag_bytes),
        };
        for settings in settings {
            assert_eq!((settings.packet_window, settings.tag_bytes), (window, tag));
        }
    });
}

#[test]
fn a_crashed_client_takes_the_place_of_its_old_connection() {
    for_seeds(100, |seed| {
        let mut rng = SimRng::new(seed);
        let steady = Behaviour { sending: Some(Sending::steady(50 * MS, 50)), ..Behaviour::default() };
        let (mut play, client, host) = two(seed, steady.clone(), steady);
        let (_, old) = play.establish(client, host);
        play.run_for(rng.duration(3 * SECOND));
        play.crash(client);
        // With data under way a host misses its client after 9 s.
        play.run_for(rng.duration(7 * SECOND));
        play.restart(client);
        let connection = play.connect(client, host, ConnectOptions::default());
        play.run_for(5 * SECOND);
        assert!(play.end(client, connection).established);
        let replaces: Vec<_> = play
            .history(host)
            .iter()
            .filter_map(|(_, event)| match event {
                Event::Established { replaces: Some(old), .. } => Some(*old),
                _ => None,
            })
            .collect();
        assert_eq!(replaces, [old]);
        let end = play.oracle.ends().find(|end| end.node == host).unwrap();
        assert_eq!(end.closed.as_ref().map(|closed| closed.code), Some(CloseCode::Replaced));
        assert_eq!(play.open_connections(host).len(), 1);
        expect_packets_pass(&mut play, client, host);
        play.close_all_and_finish(60 * SECOND);
    });
}

/// Somebody who sends from the client's address as well (behind the same NAT mapping, or by spoofing) and hears
/// what is sent there.
fn share_address(play: &mut Play, client: NodeId, host: NodeId, other: NodeId) {
    let (client, host, other) =
        (play.world.address(client), play.world.address(host), play.world.address(other));
    play.world.set_tap(move |passing| {
        if passing.from == other && passing.to == host {
            let bytes = std::mem::take(passing.bytes);
            passing.inject(MS, client, host, bytes);
            return Fate::Drop;
        }
        if passing.from == host && passing.to == client {
            let copy = passing.bytes.clone();
            passing.inject(MS, host, other, copy);
        }
        Fate::Pass
    });
}

#[test]
fn a_connection_that_still_answers_is_not_replaced() {
    for_seeds(60, |seed| {
        let (mut play, client, host) = two(seed, Behaviour::default(), Behaviour::default());
        let (mine, theirs) = play.establish(client, host);
        let other = play.add_default();
        share_address(&mut play, client, host, other);
        let attempt = play.connect(other, host, ConnectOptions::default());
        play.run_for(5 * SECOND);
        assert_eq!(code(&play, other, attempt), Some(CloseCode::AddressInUse));
        assert_eq!(play.open_connections(client), [mine]);
        assert_eq!(play.open_connections(host), [theirs]);
        play.world.clear_tap();
        expect_packets_pass(&mut play, client, host);
        play.close_all_and_finish(60 * SECOND);
    });
}

#[test]
fn a_host_that_restarts_can_be_connected_to_again() {
    let (mut play, client, host) = two(12, Behaviour::default(), Behaviour::default());
    let (old, _) = play.establish(client, host);
    play.crash(host);
    play.restart(host);
    play.run_for(60 * SECOND);
    assert_eq!(code(&play, client, old), Some(CloseCode::TimedOut));
    play.establish(client, host);
    play.close_all_and_finish(60 * SECOND);
}

#[test]
fn a_cancelled_attempt_is_over_at_once() {
    for_seeds(100, |seed| {
        let mut rng = SimRng::new(seed);
        let (mut play, a, b) = two(seed, Behaviour::default(), accept_after(Duration::ZERO, 300 * MS));
        let connection = play.connect(a, b, ConnectOptions::default());
        play.run_for(rng.duration(600 * MS));
        play.close(a, connection, b"changed my mind");
        if !play.end(a, connection).established {
            let end = closed(&play, a, connection).unwrap();
            assert_eq!((end.code, end.by), (CloseCode::Closed, ClosedBy::Application));
        }
        // The host finds out by itself.
        play.finish(30 * SECOND);
        // And the address is free for the next try.
        play.run_for(15 * SECOND);
        play.establish(a, b);
        play.close_all_and_finish(60 * SECOND);
    });
}

#[test]
fn addresses_of_every_kind_work() {
    let mut play = Play::new(13);
    let host = play.add_default();
    for (place, address) in ["[2001:db8::1]:4000", "192.0.2.1:65535"].into_iter().enumerate() {
        let address: std::net::SocketAddr = address.parse().unwrap();
        let guest = play.add_default();
        play.world.set_address(guest, address.into());
        play.establish(guest, host);
        assert_eq!(play.open_connections(host).len(), place + 1);
    }
    let guest = play.add_default();
    play.world.set_address(guest, Address::from_virtual(77));
    play.establish(guest, host);
    play.close_all_and_finish(30 * SECOND);
}

#[test]
fn a_puzzle_may_be_solved_elsewhere() {
    for_seeds(60, |seed| {
        let mut rng = SimRng::new(seed);
        let mut play = Play::new(seed);
        play.world.set_default_link(link("delay=20"));
        let mut config = Config::default();
        config.puzzle.difficulty_min = 8;
        let host = play.add(config, Behaviour::default());
        let guest = play.add_default();
        let connection = play.connect(guest, host, ConnectOptions::new(Trust::Anyone));
        let mut job = None;
        let found = play.run_until(
            |play| {
                job = play.world.with(guest, |guest, _| guest.poll_puzzle());
                job.is_some()
            },
            SECOND,
        );
        assert!(found);
        let mut job = job.unwrap();
        assert_eq!((job.connection(), job.difficulty()), (connection, 8));
        // A worker takes its time; meanwhile nothing is solved here.
        let fate = rng.below(4);
        play.run_for(rng.duration(8 * SECOND));
        assert!(!play.end(guest, connection).established);
        match fate {
            0 => {
                // It gives up: the endpoint goes on by itself.
                play.world.with(guest, |guest, now| guest.puzzle_solved(now, job));
            }
            1 => {
                // The attempt is given up first.
                play.close(guest, connection, b"");
                job.solve(u64::MAX);
                play.world.with(guest, |guest, now| guest.puzzle_solved(now, job));
                play.finish(SECOND);
                return;
            }
            _ => {
                while job.solve(50) == PuzzleProgress::Working {}
                play.world.with(guest, |guest, now| guest.puzzle_solved(now, job));
            }
        }
        play.run_for(2 * SECOND);
        assert!(play.end(guest, connection).established, "{fate}");
        play.close_all_and_finish(30 * SECOND);
    });
}

#[test]
fn a_host_that_inherits_the_epoch_goes_on_where_the_other_stopped() {
    let (mut play, guest, host) = two(14, Behaviour::default(), Behaviour::default());
    let connection = play.connect(guest, host, ConnectOptions::default());
    // The challenge has been answered; then another shard or process takes over.
    play.run_for(30 * MS);
    let secrets = play.world.with(host, |host, _| host.share_epoch()).unwrap();
    play.crash(host);
    play.restart(host);
    play.world.with(host, |host, now| host.install_epoch(now, secrets));
    play.run_for(SECOND);
    assert!(play.end(guest, connection).established);
    assert_eq!(play.stats(host).stale_epoch, 0);
    assert_eq!(challenges(&play, guest), 1);
    play.close_all_and_finish(30 * SECOND);
}

#[test]
fn a_host_that_restarts_in_between_is_asked_anew_in_silence() {
    let (mut play, guest, host) = two(15, Behaviour::default(), Behaviour::default());
    let connection = play.connect(guest, host, ConnectOptions::default());
    play.run_for(30 * MS);
    play.crash(host);
    play.restart(host);
    play.run_for(SECOND);
    assert!(play.end(guest, connection).established);
    assert!(play.stats(host).stale_epoch > 0);
    assert_eq!(challenges(&play, guest), 1);
    play.close_all_and_finish(30 * SECOND);
}

#[test]
fn no_more_connections_than_allowed() {
    let mut play = Play::new(16);
    play.world.set_default_link(link("delay=20"));
    let mut config = Config::default();
    config.limits.connections = 3;
    let host = play.add(config.clone(), Behaviour::default());
    let guests: Vec<NodeId> = (0..3).map(|_| play.add_default()).collect();
    for guest in &guests {
        play.establish(*guest, host);
    }
    let late = play.add_default();
    let attempt = play.connect(late, host, ConnectOptions::default());
    play.run_for(18 * SECOND);
    assert_eq!(code(&play, late, attempt), Some(CloseCode::Busy));
    assert_eq!(play.try_connect(host, late, ConnectOptions::default()), Err(CallError::TooManyConnections));
    let first = play.open_connections(guests[0])[0];
    play.close(guests[0], first, b"");
    play.run_for(5 * SECOND);
    play.establish(late, host);
    play.close_all_and_finish(60 * SECOND);
}

#[test]
fn calls_out_of_turn_are_errors_and_change_nothing() {
    let (mut play, guest, host) = two(17, Behaviour::default(), Behaviour::default());
    let (at_guest, at_host) = play.establish(guest, host);
    let again = play.try_connect(guest, host, ConnectOptions::default());
    assert_eq!(again, Err(CallError::AddressInUse));
    let key_pair = torque_proto::KeyPair::from_seed([1; 32]);
    play.world.with(guest, |guest, now| {
        assert_eq!(guest.accept_challenge(now, at_guest), Err(CallError::NotWaiting));
        assert_eq!(guest.accept_connection(now, at_guest, b""), Err(CallError::NotWaiting));
        assert_eq!(guest.close(now, at_guest, &[0; 512]), Err(CallError::TooLarge { max: 511 }));
        assert_eq!(guest.set_challenge_response_data(&[0; 512]), Err(CallError::TooLarge { max: 511 }));
        assert_eq!(guest.set_key_pair(key_pair), Err(CallError::ConnectionsExist));
        let none = ConnectionId::from_u32(0x3f_fffff).unwrap();
        assert_eq!(guest.accept_challenge(now, none), Err(CallError::Closed));
        assert_eq!(guest.close(now, none, b""), Err(CallError::Closed));
        assert_eq!(guest.send(now, none, b""), Err(SendError::Closed));
    });
    play.close(host, at_host, b"");
    play.world.with(host, |host, now| {
        assert_eq!(host.close(now, at_host, b""), Err(CallError::Closed));
        assert_eq!(host.send(now, at_host, b""), Err(SendError::Closed));
    });
    play.finish(30 * SECOND);
    let attempt = play.connect(guest, host, ConnectOptions::default());
    play.world.with(guest, |guest, now| {
        assert_eq!(guest.send(now, attempt, b""), Err(SendError::NotEstablished));
        assert_eq!(guest.accept_challenge(now, attempt), Err(CallError::NotWaiting));
    });
    play.run_for(2 * SECOND);
    play.close_all_and_finish(30 * SECOND);
}

#[test]
fn a_small_replay_table_only_turns_epochs_sooner() {
    let mut play = Play::new(18);
    play.world.set_default_link(link("delay=20"));
    let mut config = Config::default();
    config.limits.replay_tokens = 4;
    let host = play.add(config, Behaviour::default());
    // Two newcomers a second; an epoch has room for four and turns each second at most.
    let attempts: Vec<_> = (0..40)
        .map(|_| {
            let guest = play.add_default();
            let attempt = play.connect(guest, host, ConnectOptions::default());
            play.run_for(500 * MS);
            (guest, attempt)
        })
        .collect();
    play.run_for(5 * SECOND);
    for (guest, attempt) in attempts {
        assert!(play.end(guest, attempt).established, "{:?}", play.history(guest));
        assert_eq!(challenges(&play, guest), 1);
    }
    play.close_all_and_finish(60 * SECOND);
}

#[test]
fn challenge_data_may_change_all_the_time() {
    let mut play = Play::new(19);
    play.world.set_default_link(link("delay=20"));
    let host = play.add_default();
    let mut newest = Vec::new();
    for round in 0..100u32 {
        newest = round.to_be_bytes().to_vec();
        play.world.with(host, |host, _| host.set_challenge_response_data(&newest)).unwrap();
        if round % 10 == 0 {
            let guest = play.add_default();
            play.connect(guest, host, ConnectOptions::default());
        }
        play.run_for(100 * MS);
    }
    play.run_for(5 * SECOND);
    assert_eq!(play.open_connections(host).len(), 10);
    // And the last is shown to whoever comes next.
    let guest = play.add_default();
    play.establish(guest, host);
    let shown = play.history(guest).iter().find_map(|(_, event)| match event {
        Event::ChallengeResponse(ChallengeResponse { challenge_response_data, .. }) => {
            Some(challenge_response_data.clone())
        }
        _ => None,
    });
    assert_eq!(shown, Some(newest));
    play.close_all_and_finish(60 * SECOND);
}

#[test]
fn ids_come_again_late() {
    let (mut play, guest, host) = two(20, Behaviour::default(), Behaviour::default());
    let mut ids = Vec::new();
    for _ in 0..150 {
        let (at_guest, at_host) = play.establish(guest, host);
        assert!(!ids.iter().rev().take(50).any(|earlier| *earlier == (at_guest, at_host)));
        ids.push((at_guest, at_host));
        play.close(guest, at_guest, b"");
        play.run_for(2 * SECOND);
    }
    play.finish(10 * SECOND);
}
