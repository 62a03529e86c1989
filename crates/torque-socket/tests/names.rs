//! Hosts by name: resolved beside the caller, all addresses tried, one id from beginning to end.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{LIMIT, loopback, turns};
use torque_socket::{
    CallError, ChallengeResponse, CloseCode, ClosedBy, ConnectError, ConnectionId, Event, HostName, KeyPair,
    SendError, Socket, TorqueUrl, Trust,
};

fn url(host: &Socket, pinned: bool) -> TorqueUrl {
    TorqueUrl {
        host: HostName::Name("localhost".into()),
        port: host.local_addr().port(),
        key: pinned.then(|| host.public_key()),
    }
}

/// A client for which every name has these addresses, and the port that was asked for at 127.0.0.1 as the last.
fn client_with(dead: &[&str]) -> Socket {
    client_that_waits(Duration::from_millis(800), dead)
}

fn client_that_waits(wait: Duration, dead: &[&str]) -> Socket {
    let mut config = common::hasty();
    config.handshake.wait = wait;
    let dead: Vec<SocketAddr> = dead.iter().map(|address| address.parse().unwrap()).collect();
    Socket::builder()
        .config(config)
        .resolve_with(move |_, port| {
            let mut found = dead.clone();
            found.push(([127, 0, 0, 1], port).into());
            Ok(found)
        })
        .bind("0.0.0.0:0")
        .unwrap()
}

/// Connects `client` by name, exchanges a packet, lets `quiet` pass and closes. Returns how long the packet took.
fn keeps_its_id(mut client: Socket, pinned: bool, quiet: Duration) -> Duration {
    let mut host = loopback();
    let key = host.public_key();
    let id = client.connect(url(&host, pinned), (!pinned).then_some(Trust::Ask)).unwrap();
    assert_eq!(client.send(id, b"too early"), Err(SendError::NotEstablished));
    assert_eq!(client.accept_challenge(id), Err(CallError::NotWaiting));
    let begun = Instant::now();
    let (mut asked, mut requests, mut delivered) = (0, 0, false);
    turns(&mut [&mut host, &mut client], |socket, index, event| {
        match event {
            Event::ChallengeResponse(ChallengeResponse { connection, public_key, .. }) => {
                assert_eq!((connection, public_key), (id, key));
                asked += 1;
                socket.accept_challenge(connection).unwrap();
            }
            Event::ConnectRequest(request) => {
                requests += 1;
                socket.accept_connection(request.connection, b"").unwrap();
            }
            Event::Established { connection, .. } if index == 1 => {
                assert_eq!(connection, id);
                assert!(socket.max_packet_size(id).is_some());
                assert!(socket.connection_stats(id).is_some());
                assert_eq!(socket.connections().collect::<Vec<_>>(), [id]);
                socket.send(id, b"hello").unwrap();
            }
            Event::Verdict { connection, delivery, .. } => {
                assert_eq!(connection, id);
                assert!(delivery.is_delivered());
                delivered = true;
            }
            Event::Established { .. } | Event::Packet { .. } => {}
            other => panic!("{other:?}"),
        }
        delivered
    });
    assert_eq!((asked, requests), (usize::from(!pinned), 1), "the applications are asked once");
    let took = begun.elapsed();
    let end = Instant::now() + quiet;
    while Instant::now() < end {
        for socket in [&mut host, &mut client] {
            let event = socket.wait_event(Duration::from_millis(5));
            assert!(event.is_none(), "the other attempts end without a word: {event:?}");
        }
    }
    client.close(id, b"").unwrap();
    turns(&mut [&mut host, &mut client], |_, index, event| match (index, event) {
        (1, Event::Close { connection, by, .. }) => {
            assert_eq!((connection, by), (id, ClosedBy::Application));
            true
        }
        (1, other) => panic!("{other:?}"),
        _ => false,
    });
    assert_eq!(client.send(id, b"late"), Err(SendError::Closed));
    assert!(client.wait_event(Duration::from_millis(200)).is_none(), "a close is the last event");
    took
}

#[test]
fn a_name_keeps_its_id() {
    for pinned in [false, true] {
        keeps_its_id(Socket::client().unwrap(), pinned, Duration::ZERO);
    }
}

#[test]
fn a_silent_address_costs_a_quarter_of_a_second() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    for pinned in [false, true] {
        let wait = Duration::from_millis(1_500);
        // The attempt with the silent address would end after its wait.
        let took =
            keeps_its_id(client_that_waits(wait, &[&address]), pinned, wait + Duration::from_millis(200));
        assert!(took >= Duration::from_millis(240), "{took:?}");
    }
}

#[test]
fn an_address_that_cannot_be_sent_to_costs_nothing() {
    // Port 0 cannot be sent to.
    for pinned in [false, true] {
        keeps_its_id(client_with(&["127.0.0.1:0", "127.0.0.2:0"]), pinned, Duration::ZERO);
    }
}

#[test]
fn a_name_without_an_address_that_answers_gets_no_answer_once() {
    let silent = [(); 3].map(|()| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let addresses = [0, 1].map(|index: usize| silent[index].local_addr().unwrap().to_string());
    let mut client = client_with(&[&addresses[0], &addresses[1]]);
    let port = silent[2].local_addr().unwrap().port();
    let id = client.connect(format!("anything:{port}"), Trust::Ask).unwrap();
    let begun = Instant::now();
    let event = client.wait_event(LIMIT);
    assert!(
        matches!(event, Some(Event::Close { connection, code: CloseCode::NoAnswer, .. }) if connection == id),
        "{event:?}"
    );
    // The last address is tried 500 ms after the first, and for 800 ms.
    assert!(begun.elapsed() >= Duration::from_millis(1_200), "{:?}", begun.elapsed());
    assert!(client.wait_event(Duration::from_millis(300)).is_none());
}

#[test]
fn a_name_that_does_not_exist_is_named_so() {
    let mut client = Socket::client().unwrap();
    // No label of a name may have more than 63 characters, so no name server is asked.
    let nowhere = TorqueUrl { host: HostName::Name("x".repeat(64)), port: 1, key: None };
    let id = client.connect(nowhere, Trust::Anyone).unwrap();
    let begun = Instant::now();
    let event = client.wait_event(LIMIT);
    let Some(Event::Close { connection, code, by, reason }) = event else { panic!("{event:?}") };
    assert_eq!((connection, code, by), (id, CloseCode::NameNotFound, ClosedBy::Socket));
    assert!(!reason.is_empty(), "what the system said");
    assert!(begun.elapsed() < Duration::from_secs(5), "the answer wakes the socket");
    assert!(client.wait_event(Duration::from_millis(20)).is_none());
}

#[test]
fn a_name_with_another_key_is_a_key_mismatch() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for mut client in [client_with(&[]), client_with(&[&silent])] {
        let mut host = loopback();
        let other = KeyPair::from_seed([9; 32]).public();
        let target = TorqueUrl { key: Some(other), ..url(&host, false) };
        let id = client.connect(target, Trust::Anyone).unwrap();
        turns(&mut [&mut host, &mut client], |_, index, event| match event {
            Event::Close { connection, code, .. } => {
                assert_eq!((index, connection, code), (1, id, CloseCode::KeyMismatch));
                true
            }
            other => panic!("{other:?}"),
        });
    }
}

#[test]
fn an_attempt_can_be_given_up_before_its_name_is_resolved() {
    let (host, mut client) = (loopback(), Socket::client().unwrap());
    let id = client.connect(url(&host, true), None).unwrap();
    client.close(id, b"").unwrap();
    let event = client.wait_event(LIMIT);
    assert!(
        matches!(event, Some(Event::Close { connection, code: CloseCode::Closed, by: ClosedBy::Application, .. }) if connection == id),
        "{event:?}"
    );
    assert!(client.wait_event(Duration::from_millis(300)).is_none());
    assert_eq!(client.close(id, b""), Err(CallError::Closed));
}

#[test]
fn an_attempt_can_be_given_up_while_its_addresses_are_tried() {
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut client = Socket::client().unwrap();
    let id = client.connect(format!("localhost:{}", gone.port()), Trust::Anyone).unwrap();
    assert!(client.wait_event(Duration::from_millis(400)).is_none());
    client.close(id, b"").unwrap();
    let event = client.wait_event(LIMIT);
    assert!(
        matches!(event, Some(Event::Close { connection, code: CloseCode::Closed, .. }) if connection == id)
    );
    assert!(client.wait_event(Duration::from_millis(300)).is_none());
}

#[test]
fn a_bad_text_and_two_pins_are_refused_at_once() {
    let mut client = Socket::client().unwrap();
    for bad in ["", "http://localhost:1", "torque://", "torque://host:port", "torque://tk1abc@host:1"] {
        let error = client.connect(bad, None).unwrap_err();
        assert!(matches!(error, ConnectError::BadUrl(_)), "{bad}: {error:?}");
        assert!(error.to_string().contains("torque://"), "{error}");
    }
    let [one, two] = [1, 2].map(|seed| KeyPair::from_seed([seed; 32]).public());
    let error = client.connect(format!("torque://{one}@localhost:1"), Trust::Pinned(two)).unwrap_err();
    assert!(matches!(error, ConnectError::TwoPins { .. }), "{error:?}");
}

#[test]
fn a_look_up_that_panics_has_failed() {
    let mut client = Socket::builder().resolve_with(|_, _| panic!("no table")).client().unwrap();
    // More than run at a time.
    for _ in 0..20 {
        let id = client.connect("name:1", Trust::Anyone).unwrap();
        let event = client.wait_event(LIMIT);
        let Some(Event::Close { connection, code, .. }) = event else { panic!("{event:?}") };
        assert_eq!((connection, code), (id, CloseCode::NameNotFound));
    }
}

/// Begins an attempt and gives it up; its id.
fn passing(client: &mut Socket, target: &str) -> ConnectionId {
    let id = client.connect(target, Trust::Anyone).unwrap();
    client.close(id, b"").unwrap();
    let event = client.next_event();
    assert!(matches!(event, Some(Event::Close { connection, .. }) if connection == id), "{event:?}");
    id
}

#[test]
fn the_answer_to_an_old_look_up_is_not_taken_for_that_of_a_new_attempt() {
    let (mut wrong, mut right) = (loopback(), loopback());
    let (ports, gates) = ([&wrong, &right].map(|host| host.local_addr().port()), [(); 2].map(|()| channel()));
    let [(old, old_gate), (new, new_gate)] = gates;
    let (old_gate, new_gate) = (Mutex::new(old_gate), Mutex::new(new_gate));
    let (answered, has_answered) = channel();
    let mut client = Socket::builder()
        .config(common::hasty())
        .resolve_with(move |name, _| {
            let is_old = name == "old";
            let gate = if is_old { &old_gate } else { &new_gate };
            let () = gate.lock().unwrap().recv().unwrap();
            answered.send(()).unwrap();
            Ok(vec![([127, 0, 0, 1], ports[usize::from(!is_old)]).into()])
        })
        .bind("127.0.0.1:0")
        .unwrap();
    // Ids come again after a while. How soon they do is found out, then the same id is that of a new attempt.
    let id = passing(&mut client, "old:1");
    let rest = (0..).find(|_| passing(&mut client, "127.0.0.1:9") == id).unwrap();
    for _ in 0..rest {
        assert_ne!(passing(&mut client, "127.0.0.1:9"), id);
    }
    assert_eq!(client.connect("new:1", Trust::Anyone).unwrap(), id);
    old.send(()).unwrap();
    has_answered.recv_timeout(LIMIT).unwrap();
    for _ in 0..20 {
        let event = client.wait_event(Duration::from_millis(5));
        assert!(event.is_none(), "{event:?}");
        wrong.poll();
    }
    assert_eq!(wrong.stats().datagrams_received, 0);
    new.send(()).unwrap();
    turns(&mut [&mut right, &mut client], |_, index, event| {
        matches!((index, event), (0, Event::ConnectRequest(_)))
    });
}
