//! Sockets on loopback connect, exchange packets with true verdicts, refuse and close.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::{LIMIT, connect, hasty, loopback, pinned, reach, turns};
use torque_socket::{
    ChallengeResponse, CloseCode, ClosedBy, ConnectOptions, ConnectRequest, ConnectionId, Delivery, Event,
    LinkConfig, SendError, Sequence, Socket, Trust,
};

/// One side: what it has sent, got and been told.
#[derive(Default)]
struct Ledger {
    sent: BTreeMap<Sequence, Vec<u8>>,
    received: BTreeMap<Sequence, Vec<u8>>,
    verdicts: Vec<(Sequence, Delivery)>,
}

impl Ledger {
    fn turn(&mut self, socket: &mut Socket, id: ConnectionId, count: usize) {
        for _ in 0..8 {
            if self.sent.len() == count {
                break;
            }
            let payload = vec![self.sent.len() as u8; 1 + self.sent.len() * 7 % 1_150];
            match socket.send(id, &payload) {
                Ok(sequence) => self.sent.insert(sequence, payload),
                Err(SendError::WindowFull) => break,
                Err(error) => panic!("{error}"),
            };
        }
        socket.wait(Duration::from_micros(300));
        socket.poll();
        while let Some(event) = socket.next_event() {
            match event {
                Event::Packet { sequence, payload, .. } => {
                    let before = self.received.insert(sequence, payload.to_vec());
                    assert!(before.is_none(), "packet {sequence} came twice");
                }
                Event::Verdict { sequence, delivery, .. } => self.verdicts.push((sequence, delivery)),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Sends `count` packets each way and holds every verdict against what arrived. Returns how many arrived.
fn exchange(host: &mut Socket, client: &mut Socket, count: usize) -> [usize; 2] {
    let (at_client, at_host) = connect(host, client);
    let mut ledgers: [Ledger; 2] = Default::default();
    let end = Instant::now() + LIMIT;
    while ledgers.iter().any(|ledger| ledger.verdicts.len() < count) {
        assert!(Instant::now() < end, "verdicts are missing");
        ledgers[0].turn(host, at_host, count);
        ledgers[1].turn(client, at_client, count);
    }
    for side in 0..2 {
        let (ours, theirs) = (&ledgers[side], &ledgers[1 - side]);
        let told: Vec<_> = ours.verdicts.iter().map(|(sequence, _)| *sequence).collect();
        let sent: Vec<_> = ours.sent.keys().copied().collect();
        assert_eq!(told, sent, "each packet has one verdict, in the order of sending");
        for (sequence, delivery) in &ours.verdicts {
            let arrived = theirs.received.get(sequence);
            match delivery {
                Delivery::Delivered => assert_eq!(arrived, ours.sent.get(sequence)),
                Delivery::Dropped => assert_eq!(arrived, None),
                Delivery::Unknown => panic!("the connection is still up"),
            }
        }
    }
    ledgers.map(|ledger| ledger.received.len())
}

#[test]
fn packets_arrive_and_every_verdict_is_true() {
    let arrived = exchange(&mut loopback(), &mut Socket::client().unwrap(), 2_000);
    assert_eq!(arrived, [2_000, 2_000], "nothing is lost on loopback");
}

#[test]
fn packets_arrive_over_ipv6() {
    let Ok(mut host) = Socket::bind("[::1]:0") else { return }; // This machine has no IPv6.
    let arrived = exchange(&mut host, &mut Socket::client().unwrap(), 200);
    assert_eq!(arrived, [200, 200]);
}

#[test]
fn a_socket_for_all_addresses_is_reached_through_both_families() {
    let mut host = Socket::bind("0.0.0.0:0").unwrap();
    let port = host.local_addr().port();
    let mut both = vec![std::net::SocketAddr::from(([127, 0, 0, 1], port))];
    if host.local_addr().is_ipv6() {
        both.push((std::net::Ipv6Addr::LOCALHOST, port).into());
    }
    for address in both {
        let mut client = Socket::client().unwrap();
        let id = client.connect(address, pinned(&host)).unwrap();
        let mut up = false;
        turns(&mut [&mut host, &mut client], |socket, index, event| {
            match event {
                Event::ConnectRequest(request) => socket.accept_connection(request.connection, b"").unwrap(),
                Event::Established { connection, remote, .. } if index == 1 => {
                    assert_eq!((connection, remote), (id, address.into()));
                    up = true;
                }
                _ => {}
            }
            up
        });
    }
}

#[test]
fn verdicts_stay_true_over_a_simulated_link() {
    let link: LinkConfig = "delay=4,jitter=3,loss=15%,reorder=3%,duplicate=3%,corrupt=1%".parse().unwrap();
    let mut host = Socket::builder().simulated_link(link).simulated_link_seed(7).bind("127.0.0.1:0").unwrap();
    let mut client = Socket::client().unwrap();
    let arrived = exchange(&mut host, &mut client, 1_500);
    for count in arrived {
        assert!(
            (900..1_400).contains(&count),
            "{count} of 1500 arrived through a link that loses about 15 %"
        );
    }
}

#[test]
fn both_sides_see_key_data_and_accept_data() {
    let (mut host, mut client) = (loopback(), Socket::client().unwrap());
    host.set_challenge_response_data(b"the pond").unwrap();
    let (host_key, client_key) = (host.public_key(), client.public_key());
    let options = ConnectOptions::new(Trust::Ask).with_data(b"let me in");
    let id = client.connect_with(reach(&host), options).unwrap();
    let mut seen = Vec::new();
    turns(&mut [&mut host, &mut client], |socket, index, event| {
        match event {
            Event::ChallengeResponse(ChallengeResponse {
                connection,
                public_key,
                challenge_response_data,
                ..
            }) => {
                assert_eq!((index, connection, public_key), (1, id, host_key));
                assert_eq!(challenge_response_data, b"the pond");
                seen.push("challenge");
                socket.accept_challenge(connection).unwrap();
            }
            Event::ConnectRequest(ConnectRequest { connection, public_key, connect_data, .. }) => {
                assert_eq!((index, public_key, connect_data.as_slice()), (0, client_key, &b"let me in"[..]));
                seen.push("request");
                socket.accept_connection(connection, b"slot 3").unwrap();
            }
            Event::Established { accept_data, .. } if index == 1 => {
                assert_eq!(accept_data, b"slot 3");
                seen.push("established");
            }
            Event::Established { .. } => {}
            other => panic!("{other:?}"),
        }
        seen.len() == 3
    });
    assert_eq!(seen, ["challenge", "request", "established"]);
}

/// The close event that `client` gets when it connects to `host`, whose application answers with `answer`.
fn outcome(
    mut host: Socket,
    mut client: Socket,
    mut answer: impl FnMut(&mut Socket, ConnectionId),
) -> (CloseCode, ClosedBy, Vec<u8>) {
    let id = client.connect(reach(&host), pinned(&host)).unwrap();
    let mut outcome = None;
    turns(&mut [&mut host, &mut client], |socket, index, event| {
        match event {
            Event::ConnectRequest(ConnectRequest { connection, .. }) => answer(socket, connection),
            Event::Close { connection, code, by, reason } if index == 1 => {
                assert_eq!(connection, id);
                outcome = Some((code, by, reason));
            }
            _ => {}
        }
        outcome.is_some()
    });
    outcome.unwrap()
}

#[test]
fn a_refusal_carries_its_reason() {
    let refused =
        outcome(loopback(), Socket::client().unwrap(), |host, id| host.refuse(id, b"full").unwrap());
    assert_eq!(refused, (CloseCode::Refused, ClosedBy::Remote, b"full".to_vec()));
}

#[test]
fn an_undecided_host_ends_in_no_decision() {
    let mut config = hasty();
    config.handshake.application_wait = Duration::from_millis(300);
    let host = Socket::builder().config(config).bind("127.0.0.1:0").unwrap();
    let (code, ..) = outcome(host, Socket::client().unwrap(), |_, _| {});
    assert_eq!(code, CloseCode::NoDecision);
}

#[test]
fn a_close_is_told_on_both_sides_with_its_reason() {
    let (mut host, mut client) = (loopback(), Socket::client().unwrap());
    let (at_client, _) = connect(&mut host, &mut client);
    client.close(at_client, b"good night").unwrap();
    let mut told = [None, None];
    turns(&mut [&mut host, &mut client], |_, index, event| {
        if let Event::Close { code, by, reason, .. } = event {
            told[index] = Some((code, by, reason));
        }
        told.iter().all(Option::is_some)
    });
    assert_eq!(told[0], Some((CloseCode::Closed, ClosedBy::Remote, b"good night".to_vec())));
    assert!(matches!(told[1], Some((CloseCode::Closed, ClosedBy::Application, _))));
}

#[test]
fn a_socket_that_is_dropped_says_so() {
    let (mut host, mut client) = (loopback(), Socket::client().unwrap());
    connect(&mut host, &mut client);
    drop(client);
    let event = host.wait_event(Duration::from_secs(3));
    assert!(
        matches!(event, Some(Event::Close { code: CloseCode::ShuttingDown, by: ClosedBy::Remote, .. })),
        "{event:?}"
    );
}

#[test]
fn silence_ends_a_connection_after_its_pings() {
    let mut host = Socket::builder().config(hasty()).bind("127.0.0.1:0").unwrap();
    let mut client = Socket::client().unwrap();
    connect(&mut host, &mut client);
    // The client is not driven any more: for the host it has gone.
    let begun = Instant::now();
    let event = host.wait_event(LIMIT);
    assert!(matches!(event, Some(Event::Close { code: CloseCode::TimedOut, .. })), "{event:?}");
    assert!(
        begun.elapsed() >= Duration::from_millis(4 * 150),
        "three pings and one more interval pass first"
    );
}

#[test]
fn nobody_there_is_no_answer_and_a_closed_port_is_survived() {
    // Nothing listens there: the system answers with ICMP, which proves nothing and ends nothing.
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut client = Socket::builder().config(hasty()).bind("127.0.0.1:0").unwrap();
    let id = client.connect(gone, Trust::Anyone).unwrap();
    let begun = Instant::now();
    let event = client.wait_event(LIMIT);
    assert!(
        matches!(event, Some(Event::Close { connection, code: CloseCode::NoAnswer, .. }) if connection == id),
        "{event:?}"
    );
    assert!(begun.elapsed() >= Duration::from_millis(800));
    // And the socket is as good as before.
    connect(&mut loopback(), &mut client);
}

#[test]
fn an_address_that_cannot_be_sent_to_is_unreachable_at_once() {
    // A socket for IPv4 alone has no way to an IPv6 address.
    let mut client = loopback();
    let id = client.connect("[::1]:9", Trust::Anyone).unwrap();
    let event = client.wait_event(Duration::from_secs(2));
    assert!(
        matches!(event, Some(Event::Close { connection, code: CloseCode::Unreachable, by: ClosedBy::Socket, .. }) if connection == id),
        "{event:?}"
    );
    assert_eq!(client.io_stats().unreachable, 1);
    assert!(client.wait_event(Duration::from_millis(50)).is_none(), "a close is told once");
}

#[test]
fn an_echo_in_the_event_loop_compiles_and_works() {
    fn echo(socket: &mut Socket) -> Result<(), SendError> {
        while let Some(event) = socket.next_event() {
            if let Event::Packet { connection, payload, .. } = event {
                socket.send(connection, &payload)?;
            }
        }
        Ok(())
    }
    let (mut host, mut client) = (loopback(), Socket::client().unwrap());
    let (at_client, _) = connect(&mut host, &mut client);
    client.send(at_client, b"hello").unwrap();
    let end = Instant::now() + LIMIT;
    loop {
        assert!(Instant::now() < end);
        client.poll();
        host.poll();
        echo(&mut host).unwrap();
        host.flush();
        if let Some(Event::Packet { payload, .. }) = client.wait_event(Duration::from_millis(1)) {
            assert_eq!(&*payload, b"hello");
            break;
        }
    }
}

#[test]
fn a_hard_puzzle_is_solved_beside_the_caller() {
    let mut config = torque_socket::Config::default();
    config.puzzle.difficulty_min = 20;
    config.puzzle.difficulty_max = 20;
    config.puzzle.difficulty_limit = 20;
    // However long the tries take on this machine today.
    config.handshake.wait = 3 * LIMIT;
    config.handshake.challenge_age = 3 * LIMIT;
    config.handshake.epoch_lifetime = 3 * LIMIT;
    let mut host = Socket::builder().config(config.clone()).bind("127.0.0.1:0").unwrap();
    let mut client = Socket::builder().config(config).bind("127.0.0.1:0").unwrap();
    let id = client.connect(reach(&host), pinned(&host)).unwrap();
    let (mut up, mut busy) = (false, Duration::ZERO);
    let end = Instant::now() + 3 * LIMIT;
    while !up {
        assert!(Instant::now() < end);
        host.poll();
        while let Some(event) = host.next_event() {
            if let Event::ConnectRequest(request) = event {
                host.accept_connection(request.connection, b"").unwrap();
            }
        }
        host.flush();
        let begun = Instant::now();
        client.poll();
        while let Some(event) = client.next_event() {
            up |= matches!(event, Event::Established { connection, .. } if connection == id);
        }
        busy += begun.elapsed();
        // The solution ends the wait.
        client.wait(Duration::from_millis(5));
    }
    let handshake = client.connection_stats(id).unwrap().handshake;
    assert!(handshake.difficulty >= 20);
    // About a million tries take a while, but not the caller's.
    assert!(busy < handshake.puzzle_time / 2 + Duration::from_millis(40), "{busy:?} of {handshake:?}");
}
