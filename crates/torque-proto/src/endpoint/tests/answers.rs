//! What an application answers to a request, and what becomes of a question without an answer.

use super::*;

/// A request that waits for its answer.
fn asked() -> (Pair, [ConnectionId; 2]) {
    let mut pair = Pair::new(Config::default());
    let options = ConnectOptions::new(Trust::Anyone).with_data(b"hello");
    let client = pair.ends[CLIENT].connect(pair.now, address(HOST as u8), options).unwrap();
    pair.advance(Duration::from_millis(5));
    let events = pair.events(HOST);
    let [Event::ConnectRequest(request)] = &events[..] else { panic!("{events:?}") };
    let ids = [request.connection, client];
    (pair, ids)
}

fn closed(events: &[Event]) -> Option<(CloseCode, ClosedBy, &[u8])> {
    match events {
        [Event::Close { code, by, reason, .. }] => Some((*code, *by, reason)),
        _ => None,
    }
}

#[test]
fn an_attempt_without_trust_does_not_begin() {
    let mut pair = Pair::new(Config::default());
    let begun = pair.ends[CLIENT].connect(pair.now, address(HOST as u8), ConnectOptions::default());
    assert_eq!(begun, Err(CallError::NoTrust));
    assert!(pair.ends[CLIENT].transmits().is_empty());
    assert_eq!(pair.ends[CLIENT].slots_used(), 0);
}

#[test]
fn a_refused_request_and_a_closed_one_are_told_apart() {
    let (mut pair, [request, _]) = asked();
    pair.ends[HOST].refuse(pair.now, request, b"full").unwrap();
    pair.exchange();
    let refused = Some((CloseCode::Refused, ClosedBy::Remote, &b"full"[..]));
    assert_eq!(closed(&pair.events(CLIENT)), refused);
    let here = Some((CloseCode::Refused, ClosedBy::Application, &b"full"[..]));
    assert_eq!(closed(&pair.events(HOST)), here);

    let (mut pair, [request, _]) = asked();
    pair.ends[HOST].close(pair.now, request, b"enough").unwrap();
    pair.exchange();
    assert_eq!(closed(&pair.events(CLIENT)), Some((CloseCode::Closed, ClosedBy::Remote, &b"enough"[..])));
}

#[test]
fn an_ignored_request_is_answered_by_nothing_and_takes_no_place() {
    let (mut pair, [request, _]) = asked();
    pair.ends[HOST].ignore(request).unwrap();
    assert_eq!(closed(&pair.events(HOST)), Some((CloseCode::Closed, ClosedBy::Application, &b""[..])));
    assert_eq!((pair.ends[HOST].slots_used(), pair.ends[HOST].requests.waiting()), (0, 0));
    // The initiator repeats its request until it gives up.
    let mut repeats = 0;
    let end = pair.now + Duration::from_secs(11);
    while pair.now < end {
        pair.advance(Duration::from_millis(10));
        pair.exchange_if(|from, bytes| {
            assert_ne!(from, HOST, "the host sent {bytes:?}");
            repeats += 1;
            true
        });
    }
    assert!(pair.events(HOST).is_empty());
    assert!(pair.ends[HOST].stats().replayed_token > 2, "it was repeated");
    assert_eq!(closed(&pair.events(CLIENT)), Some((CloseCode::NoAnswer, ClosedBy::Socket, &b""[..])));
    // Beginning again is another request.
    let again = ConnectOptions::new(Trust::Anyone);
    pair.ends[CLIENT].connect(pair.now, address(HOST as u8), again).unwrap();
    pair.advance(Duration::from_millis(5));
    assert!(matches!(pair.events(HOST)[..], [Event::ConnectRequest(_)]));
}

#[test]
fn a_question_is_answered_once() {
    for answer in 0..3 {
        let (mut pair, [request, attempt]) = asked();
        let (now, host) = (pair.now, &mut pair.ends[HOST]);
        match answer {
            0 => host.accept_connection(now, request, b"").unwrap(),
            1 => host.refuse(now, request, b"").unwrap(),
            _ => host.ignore(request).unwrap(),
        }
        let error = if answer == 0 { CallError::NotWaiting } else { CallError::Closed };
        assert_eq!(host.accept_connection(now, request, b""), Err(error));
        assert_eq!(host.refuse(now, request, b""), Err(error));
        assert_eq!(host.ignore(request), Err(error));
        // An attempt of our own is no request.
        assert_eq!(pair.ends[CLIENT].refuse(now, attempt, b""), Err(CallError::NotWaiting));
        assert_eq!(pair.ends[CLIENT].ignore(attempt), Err(CallError::NotWaiting));
    }
}

#[test]
fn a_peer_is_known_from_its_request_to_its_close() {
    let (mut pair, [request, attempt]) = asked();
    let keys = [HOST, CLIENT].map(|end| pair.ends[end].public_key());
    assert_eq!(pair.ends[CLIENT].peer(attempt), None, "nobody has proven a key yet");
    let peer = pair.ends[HOST].peer(request).unwrap();
    assert_eq!((peer.address, peer.public_key), (address(CLIENT as u8), keys[CLIENT]));
    assert_eq!((peer.origin, peer.user_data), (None, 0));
    // What the application notes at the request is there for as long as the connection is.
    pair.ends[HOST].set_user_data(request, 28).unwrap();
    pair.ends[HOST].accept_connection(pair.now, request, b"").unwrap();
    assert_eq!(pair.ends[HOST].peer(request).unwrap().user_data, 28);
    pair.advance(Duration::from_millis(5));
    assert_eq!(pair.ends[HOST].peer(request).unwrap().user_data, 28);
    assert_eq!(pair.ends[CLIENT].peer(attempt).unwrap().public_key, keys[HOST]);
    pair.ends[CLIENT].close(pair.now, attempt, b"").unwrap();
    pair.advance(Duration::from_millis(50));
    assert_eq!(pair.ends[HOST].peer(request).unwrap().user_data, 28, "its close event was not taken yet");
    assert!(pair.events(HOST).iter().any(|event| matches!(event, Event::Close { .. })));
    // It lingers, to answer the other side, and is nothing to the application.
    assert_eq!(pair.ends[HOST].slots_used(), 1);
    assert_eq!(pair.ends[HOST].peer(request), None);
    assert_eq!(pair.ends[HOST].set_user_data(request, 1), Err(CallError::Closed));
}

/// Takes the events of an end, and returns how many there are. The other side is known before each, until the close is taken.
fn known_until_close(pair: &mut Pair, end: usize, id: ConnectionId, key: PublicKey) -> usize {
    let mut taken = 0;
    loop {
        assert_eq!(pair.ends[end].peer(id).map(|peer| peer.public_key), Some(key), "after {taken} events");
        pair.ends[end].set_user_data(id, taken as u64).unwrap();
        let event = pair.ends[end].poll_event().expect("a close event comes");
        taken += 1;
        if matches!(event, Event::Close { .. }) {
            assert_eq!(pair.ends[end].peer(id), None);
            return taken;
        }
    }
}

#[test]
fn a_peer_is_known_while_its_last_packets_wait() {
    // A time-out, and a close whose lingering is over.
    for closes in [false, true] {
        let mut pair = Pair::new(Config::default());
        let [at_host, at_client] = pair.connect();
        let key = pair.ends[CLIENT].public_key();
        for _ in 0..3 {
            pair.ends[CLIENT].send(pair.now, at_client, b"quack").unwrap();
        }
        if closes {
            pair.ends[CLIENT].close(pair.now, at_client, b"").unwrap();
        }
        pair.exchange();
        for _ in 0..40_000 {
            pair.now += Duration::from_millis(1);
            pair.ends[HOST].handle_timeout(pair.now);
            pair.ends[HOST].transmits().clear();
        }
        assert!(pair.ends[HOST].connection_stats(at_host).is_none(), "it is over");
        assert_eq!(known_until_close(&mut pair, HOST, at_host, key), 4);
    }
}

#[test]
fn a_peer_is_known_when_its_request_ends_before_it_was_shown() {
    let mut config = Config::default();
    config.handshake.application_wait = Duration::from_millis(300);
    for answer in 0..3 {
        let mut pair = Pair::new(config.clone());
        let options = ConnectOptions::new(Trust::Anyone);
        pair.ends[CLIENT].connect(pair.now, address(HOST as u8), options).unwrap();
        let key = pair.ends[CLIENT].public_key();
        pair.advance(Duration::from_millis(5));
        let Some(Event::ConnectRequest(request)) = pair.ends[HOST].poll_event() else { panic!("no request") };
        let (now, host) = (pair.now, &mut pair.ends[HOST]);
        match answer {
            0 => host.refuse(now, request.connection, b"").unwrap(),
            1 => host.ignore(request.connection).unwrap(),
            // Nobody decides, and the refusal is not repeated any more.
            _ => {
                for _ in 0..600 {
                    pair.advance(Duration::from_millis(100));
                }
            }
        }
        assert_eq!(known_until_close(&mut pair, HOST, request.connection, key), 1, "{answer}");
    }
}
