//! What a program may count on in every face of a socket: trust is never silent, events are taken by the same two calls,
//! and a request is answered by one of three.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{LIMIT, hasty};
use torque_socket::{
    BanSet, CallError, CloseCode, ClosedBy, ConnectError, ConnectOptions, ConnectRequest, ConnectionId,
    Delivery, Event, EventSocket, Generate, KeyPair, LinkConfig, PublicKey, ShardedSocket, Socket,
    ThreadedSocket, ToTarget, Trust,
};

/// A face, and how it waits.
trait Face {
    fn calls(&mut self) -> &mut dyn EventSocket;
    fn wait(&mut self, timeout: Option<Duration>) -> Option<Event>;
}

macro_rules! face_that_blocks {
    ($face:ty) => {
        impl Face for $face {
            fn calls(&mut self) -> &mut dyn EventSocket {
                self
            }

            fn wait(&mut self, timeout: Option<Duration>) -> Option<Event> {
                self.wait_event(timeout)
            }
        }
    };
}

face_that_blocks!(Socket);
face_that_blocks!(ThreadedSocket);
face_that_blocks!(ShardedSocket);

#[cfg(feature = "tokio")]
struct InTokio(tokio::runtime::Runtime, torque_socket::AsyncSocket);

#[cfg(feature = "tokio")]
impl InTokio {
    fn new(socket: Socket) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let socket = runtime.block_on(async { torque_socket::AsyncSocket::new(socket).unwrap() });
        Self(runtime, socket)
    }
}

#[cfg(feature = "tokio")]
impl Face for InTokio {
    fn calls(&mut self) -> &mut dyn EventSocket {
        &mut self.1
    }

    fn wait(&mut self, timeout: Option<Duration>) -> Option<Event> {
        self.0.block_on(self.1.wait_event(timeout))
    }
}

/// Every face, each with another socket.
fn faces() -> Vec<(&'static str, Box<dyn Face>)> {
    let socket = || Socket::builder().config(hasty()).bind("127.0.0.1:0").unwrap();
    let shards = Socket::builder().config(hasty()).shards(2).bind("127.0.0.1:0").unwrap();
    #[cfg_attr(not(feature = "tokio"), expect(unused_mut, reason = "one face less"))]
    let mut faces: Vec<(&'static str, Box<dyn Face>)> = vec![
        ("Socket", Box::new(socket())),
        ("ThreadedSocket", Box::new(socket().spawn().unwrap())),
        ("ShardedSocket", Box::new(shards)),
    ];
    #[cfg(feature = "tokio")]
    faces.push(("AsyncSocket", Box::new(InTokio::new(socket()))));
    faces
}

fn client() -> Socket {
    Socket::builder().config(hasty()).client().unwrap()
}

/// The next event of the host that `wanted` says something about, while the client goes on.
fn until<T>(
    host: &mut dyn Face,
    client: &mut Socket,
    mut wanted: impl FnMut(bool, Event, &mut dyn Face, &mut Socket) -> Option<T>,
) -> T {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        if let Some(event) = host.wait(Some(Duration::from_millis(1)))
            && let Some(found) = wanted(true, event, host, client)
        {
            return found;
        }
        if let Some(event) = client.wait_event(Duration::from_millis(1))
            && let Some(found) = wanted(false, event, host, client)
        {
            return found;
        }
    }
    panic!("nothing more happened");
}

/// The request of a client that has just begun to connect.
fn request(host: &mut dyn Face, client: &mut Socket) -> ConnectRequest {
    until(host, client, |_, event, _, _| match event {
        Event::ConnectRequest(request) => Some(request),
        other => panic!("{other:?}"),
    })
}

#[test]
fn connecting_without_trust_fails_at_once_and_lists_the_choices() {
    let host = common::loopback();
    for (name, mut face) in faces() {
        // By address and by name.
        let failed = face.calls().connect_with(&host.local_addr(), ConnectOptions::default());
        assert_eq!(failed, Err(ConnectError::NoTrust), "{name}");
        let failed =
            face.calls().connect_with(&("localhost", 28_000), ConnectOptions::default().with_data("hi"));
        assert_eq!(failed, Err(ConnectError::NoTrust), "{name}");
        // Nothing has begun that could end.
        assert!(face.calls().next_event().is_none(), "{name}");
        // A key in the URL is enough, and so is each of the choices.
        let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
        face.calls().connect_with(&url, ConnectOptions::default()).unwrap();
        assert!(face.wait(Some(Duration::from_millis(1))).is_none(), "{name}");
    }
    let text = ConnectError::NoTrust.to_string();
    for choice in ["torque://tk1", "Trust::Pinned", "Trust::Ask", "known hosts", "Trust::Anyone"] {
        assert!(text.contains(choice), "{choice}: {text}");
    }
}

#[test]
fn a_face_that_threads_share_is_a_face_by_reference() {
    fn address(face: &mut dyn EventSocket) -> std::net::SocketAddr {
        face.local_addr()
    }
    let threaded = Socket::bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let sharded = Socket::builder().shards(2).bind("127.0.0.1:0").unwrap();
    assert_eq!(address(&mut &threaded), threaded.local_addr());
    for shard in sharded.shards() {
        assert_eq!(address(&mut &*shard), sharded.local_addr());
    }
    assert_eq!(address(&mut &sharded), sharded.local_addr());
}

#[test]
fn next_event_never_waits_and_wait_event_ends_with_its_time() {
    for (name, mut face) in faces() {
        assert!(face.calls().next_event().is_none(), "{name}");
        assert!(face.wait(Some(Duration::ZERO)).is_none(), "{name}");
        assert!(face.wait(Some(Duration::from_millis(20))).is_none(), "{name}");
        // Without a limit it waits until there is something.
        let address = face.calls().local_addr();
        let sender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(b"?", address).unwrap();
        });
        let event = face.wait(None);
        assert!(matches!(event, Some(Event::InfoPacket { .. })), "{name}: {event:?}");
        sender.join().unwrap();
    }
}

#[test]
fn one_server_serves_by_every_face() {
    for (name, mut host) in faces() {
        let mut client = client();
        let id = client.connect(host.calls().local_addr(), Trust::Pinned(host.calls().public_key())).unwrap();
        let echo = until(&mut *host, &mut client, |is_host, event, host, client| {
            match (is_host, event) {
                (true, Event::ConnectRequest(request)) => {
                    host.calls().set_user_data(request.connection, 7).unwrap();
                    host.calls().accept_connection(request.connection, b"welcome").unwrap();
                }
                (true, Event::Packet { connection, payload, .. }) => {
                    let peer = host.calls().peer(connection).unwrap();
                    assert_eq!((peer.public_key, peer.user_data), (client.public_key(), 7), "{name}");
                    let sent = host.calls().send_to_all(&[connection, connection], &Vec::from(payload));
                    assert!(
                        sent.iter().all(|(to, sent)| *to == connection && sent.is_ok()),
                        "{name}: {sent:?}"
                    );
                    host.calls().flush();
                }
                (false, Event::Established { .. }) => drop(client.send(id, b"quack").unwrap()),
                (false, Event::Packet { payload, .. }) => return Some(payload),
                _ => {}
            }
            None
        });
        assert_eq!(&*echo, b"quack", "{name}");
    }
}

/// Connects `client` to `host`; the ids at the client and at the host.
fn connected(host: &mut dyn Face, client: &mut Socket) -> (ConnectionId, ConnectionId) {
    let at_client =
        client.connect(host.calls().local_addr(), Trust::Pinned(host.calls().public_key())).unwrap();
    let (mut here, mut there) = (false, None);
    let at_host = until(host, client, |is_host, event, host, _| {
        match event {
            Event::ConnectRequest(request) => {
                host.calls().accept_connection(request.connection, b"").unwrap();
            }
            Event::Established { connection, .. } if is_host => there = Some(connection),
            Event::Established { .. } => here = true,
            other => panic!("{other:?}"),
        }
        there.filter(|_| here)
    });
    (at_client, at_host)
}

#[test]
fn the_peer_is_known_until_the_close_is_taken_in_every_face() {
    for (name, mut host) in faces() {
        let mut client = client();
        let (at_client, at_host) = connected(&mut *host, &mut client);
        for number in 0..3 {
            client.send(at_client, &[number]).unwrap();
        }
        client.close(at_client, b"enough").unwrap();
        // Until everything waits at the host: a face without a thread takes it from the kernel in its next turn.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(300)
            && !matches!(client.wait_event(Duration::from_millis(10)), Some(Event::Close { .. }))
        {}
        let mut number = 0;
        until(&mut *host, &mut client, |is_host, event, host, client| {
            match event {
                _ if !is_host => {}
                Event::Packet { connection, payload, .. } => {
                    assert_eq!((connection, &*payload), (at_host, &[number][..]), "{name}");
                    host.calls().set_user_data(at_host, number.into()).unwrap();
                    let peer = host.calls().peer(at_host).unwrap();
                    assert_eq!(
                        (peer.public_key, peer.user_data),
                        (client.public_key(), number.into()),
                        "{name}"
                    );
                    number += 1;
                }
                Event::Close { connection, .. } => {
                    assert_eq!((connection, number), (at_host, 3), "{name}");
                    return Some(());
                }
                other => panic!("{name}: {other:?}"),
            }
            None
        });
        assert_eq!(host.calls().peer(at_host), None, "{name}");
        assert_eq!(host.calls().set_user_data(at_host, 9), Err(CallError::Closed), "{name}");
    }
}

#[test]
fn a_slow_handler_of_many_events_keeps_its_connections() {
    for (name, mut host) in faces() {
        let mut client = client();
        let (at_client, _) = connected(&mut *host, &mut client);
        for number in 0..60 {
            client.send(at_client, &[number]).unwrap();
        }
        client.flush();
        let is_over = Arc::new(AtomicBool::new(false));
        let until_over = Arc::clone(&is_over);
        let client = std::thread::spawn(move || {
            while !until_over.load(Ordering::Acquire) {
                match client.wait_event(Duration::from_millis(10)) {
                    Some(Event::Verdict { .. }) | None => {}
                    Some(other) => panic!("{name}: {other:?}"),
                }
            }
        });
        let mut packets = 0;
        while packets < 60 {
            match host.wait(Some(LIMIT)) {
                Some(Event::Packet { .. }) => packets += 1,
                other => panic!("{name}: {other:?}"),
            }
            // Together more than twice the time after which the client gives up.
            std::thread::sleep(Duration::from_millis(25));
        }
        is_over.store(true, Ordering::Release);
        client.join().unwrap();
    }
}

#[test]
fn a_refused_client_hears_the_reason_in_every_face() {
    for (name, mut host) in faces() {
        let mut client = client();
        client.connect(host.calls().local_addr(), Trust::Pinned(host.calls().public_key())).unwrap();
        let request = request(&mut *host, &mut client);
        host.calls().refuse(request.connection, b"full").unwrap();
        let mut ends = [None, None];
        until(&mut *host, &mut client, |is_host, event, _, _| {
            let Event::Close { code, by, reason, .. } = event else { panic!("{name}: {event:?}") };
            ends[usize::from(is_host)] = Some((code, by, reason));
            ends.iter().all(Option::is_some).then_some(())
        });
        let end = |by| Some((CloseCode::Refused, by, b"full".to_vec()));
        assert_eq!(ends, [end(ClosedBy::Remote), end(ClosedBy::Application)], "{name}");
    }
}

#[test]
fn an_ignored_client_hears_nothing_in_every_face() {
    for (name, mut host) in faces() {
        let mut client = client();
        client.connect(host.calls().local_addr(), Trust::Pinned(host.calls().public_key())).unwrap();
        let request = request(&mut *host, &mut client);
        host.calls().ignore(request.connection).unwrap();
        assert_eq!(host.calls().refuse(request.connection, b""), Err(CallError::Closed), "{name}");
        assert!(host.calls().peer(request.connection).is_some(), "{name}: its close was not taken yet");
        let code = until(&mut *host, &mut client, |is_host, event, host, _| match event {
            Event::Close { connection, code, by, .. } if is_host => {
                assert_eq!(host.calls().peer(request.connection), None, "{name}");
                assert_eq!(
                    (connection, code, by),
                    (request.connection, CloseCode::Closed, ClosedBy::Application),
                    "{name}"
                );
                None
            }
            Event::Close { code, .. } => Some(code),
            other => panic!("{name}: {other:?}"),
        });
        assert_eq!(code, CloseCode::NoAnswer, "{name}");
    }
}

#[test]
fn a_ban_keeps_out_the_same_identity_in_another_encoding() {
    let (mut host, mut client) = (common::loopback(), client());
    let mut bytes = *client.public_key().as_bytes();
    bytes[31] ^= 0x80;
    let written_otherwise = PublicKey::from_bytes(&bytes).unwrap();
    assert_ne!(written_otherwise, client.public_key());
    let bans: BanSet = [written_otherwise, KeyPair::generate().unwrap().public()].into_iter().collect();
    client.connect(host.local_addr(), Trust::Pinned(host.public_key())).unwrap();
    let request = request(&mut host, &mut client);
    assert!(bans.contains(&request.public_key));
    assert!(!bans.contains(&host.public_key()));
}

#[test]
fn a_host_and_a_port_are_a_target() {
    let same = |one: &dyn ToTarget, other: &str| assert_eq!(one.to_target(), other.to_target(), "{other}");
    same(&("pond.example", 28_001), "torque://pond.example:28001");
    same(&(String::from("pond.example"), 9), "torque://pond.example:9");
    same(&("192.0.2.1", 28_001), "192.0.2.1:28001");
    same(&("2001:db8::1", 28_001), "[2001:db8::1]:28001");
    same(&(IpAddr::from(Ipv4Addr::LOCALHOST), 9), "127.0.0.1:9");
    for bad in ["pond.example:80", "a/b", ""] {
        let error = (bad, 9).to_target().unwrap_err();
        assert!(matches!(error, ConnectError::BadUrl(_)), "{bad}: {error:?}");
    }
}

#[test]
fn a_simulated_link_changes_while_the_connection_goes_on() {
    // With the ordinary limits, as a hasty client takes so much loss for a host that is gone.
    let (mut host, mut client) = (common::loopback(), Socket::client().unwrap());
    let (at_client, _) = common::connect(&mut host, &mut client);
    let mut delivered = |client: &mut Socket, count: usize| {
        for _ in 0..count {
            client.send(at_client, b"?").unwrap();
        }
        let mut told = Vec::new();
        until(&mut host, client, |is_host, event, _, _| {
            if let (false, Event::Verdict { delivery, .. }) = (is_host, event) {
                told.push(delivery);
            }
            (told.len() == count).then_some(())
        });
        told.iter().filter(|delivery| **delivery == Delivery::Delivered).count()
    };
    assert_eq!(delivered(&mut client, 20), 20);
    client.set_simulated_link("loss=40%".parse::<LinkConfig>().unwrap());
    let with_loss = delivered(&mut client, 100);
    assert!(with_loss < 95, "{with_loss} of 100");
    client.set_simulated_link(None);
    assert_eq!(delivered(&mut client, 20), 20);
    let stats = client.connection_stats(at_client).unwrap();
    let lost = (100 - with_loss) as f32 / 140.0;
    assert!((stats.loss() - lost).abs() < 0.001, "{} {lost}", stats.loss());
    let rate = stats.counters.bytes_per_second(Duration::from_secs(2));
    assert_eq!(rate.sent, stats.counters.bytes_sent / 2);
    assert_eq!(stats.counters.since(&stats.counters).loss(), 0.0);
}
