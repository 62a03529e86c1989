//! The examples' programs do not trust the other side: hosts go on and keep their bounds, and clients end with an error.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::LIMIT;
use torque_socket::{
    CloseCode, ConnectOptions, ConnectionId, Event, Generate, KeyPair, Socket, ThreadedSocket, Trust,
};

#[allow(dead_code, reason = "the test runs a part of it")]
#[path = "../examples/bans.rs"]
mod bans;
#[allow(dead_code, reason = "the test runs a part of it")]
#[path = "../examples/chat.rs"]
mod chat;
#[allow(dead_code, reason = "the test runs a part of it")]
#[path = "../examples/echo.rs"]
mod echo;
#[allow(dead_code, reason = "the test runs a part of it")]
#[path = "../examples/players.rs"]
mod players;

fn host() -> (Socket, String) {
    let host = Socket::bind("127.0.0.1:0").unwrap();
    let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
    (host, url)
}

/// A client of one of the hosts, and what has happened to it.
struct Client {
    socket: Socket,
    id: ConnectionId,
    is_in: bool,
    /// The reason with which the host has closed.
    closed: Option<Vec<u8>>,
}

impl Client {
    fn ask(url: &str, key_pair: KeyPair) -> Self {
        let mut socket = Socket::builder().key_pair(key_pair).client().unwrap();
        let id = socket.connect(url, None).unwrap();
        Self { socket, id, is_in: false, closed: None }
    }

    fn turn(&mut self) {
        while let Some(event) = self.socket.wait_event(Duration::ZERO) {
            match event {
                Event::Established { .. } => self.is_in = true,
                Event::Close { code: CloseCode::Closed | CloseCode::Refused, reason, .. } => {
                    (self.is_in, self.closed) = (false, Some(reason));
                }
                Event::Close { code, .. } => panic!("{code}"),
                _ => {}
            }
        }
    }

    fn turns_until(&mut self, is_done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !is_done(self) {
            assert!(Instant::now() < end, "in: {}, closed: {:?}", self.is_in, self.closed);
            self.turn();
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_crowd_gets_as_many_places_as_there_are() {
    let (host, url) = host();
    let host = thread::spawn(|| players::run_host(host));
    let count = 2 * players::MOST_PLAYERS;
    let mut crowd: Vec<_> = (0..count).map(|_| Client::ask(&url, KeyPair::generate().unwrap())).collect();
    let end = Instant::now() + LIMIT;
    // All ask at once, and answer in step, so that more are accepted than there are places.
    while crowd.iter().filter(|client| client.closed.is_some()).count() < players::MOST_PLAYERS {
        assert!(Instant::now() < end && !host.is_finished(), "nobody is turned away");
        crowd.iter_mut().for_each(Client::turn);
        thread::sleep(Duration::from_millis(50));
    }
    for client in &mut crowd {
        client.turns_until(|client| client.is_in || client.closed.is_some());
        assert!(client.closed.as_deref().is_none_or(|reason| reason == b"full"));
    }
    assert_eq!(crowd.iter().filter(|client| client.is_in).count(), players::MOST_PLAYERS);
    players::DONE.store(true, Ordering::Relaxed);
    // Told of the end, the host need not wait for them.
    drop(crowd);
    host.join().unwrap().unwrap();
}

#[test]
fn a_player_that_is_banned_while_it_connects_is_closed() {
    static DONE: AtomicBool = AtomicBool::new(false);
    let (host, url) = host();
    let host = thread::spawn(|| bans::run_host(host, &DONE));
    let bob = KeyPair::generate().unwrap();
    let (mut slow, mut banned) = (Client::ask(&url, bob.clone()), Client::ask(&url, bob));
    // The host accepts both. The second one hears of that only after the ban.
    banned.turns_until(|client| client.is_in);
    let end = Instant::now() + LIMIT;
    while slow.socket.stats().datagrams_received < 1 {
        assert!(Instant::now() < end);
        slow.socket.poll();
    }
    thread::sleep(Duration::from_millis(200));
    banned.socket.send(banned.id, b"cheap ducks").unwrap();
    banned.turns_until(|client| client.closed.is_some());
    slow.turns_until(|client| client.closed.is_some());
    assert_eq!(slow.closed.as_deref(), Some(&b"banned: advertising"[..]));
    DONE.store(true, Ordering::Relaxed);
    host.join().unwrap().unwrap();
}

#[test]
fn a_line_or_a_name_that_is_too_long_does_not_end_the_room() {
    let room = Socket::bind("127.0.0.1:0").unwrap().spawn().unwrap();
    let (address, key) = (room.local_addr(), room.public_key());
    let room = thread::spawn(|| chat::run_room(room));
    let enter = |name: &str| {
        let socket = Socket::client().unwrap().spawn().unwrap();
        let options = ConnectOptions::new(Trust::Pinned(key)).with_data(name.as_bytes());
        let id = socket.connect_with(address, options).unwrap();
        (socket, id)
    };
    let until = |socket: &ThreadedSocket, mut is_wanted: Box<dyn FnMut(&Event) -> bool>| loop {
        let event = socket.wait_event(LIMIT).expect("the room goes on");
        if is_wanted(&event) {
            break event;
        }
        assert!(!matches!(event, Event::Close { .. }), "{event:?}");
    };
    let (refused, _) = enter(&"n".repeat(33));
    until(&refused, Box::new(|event| matches!(event, Event::Close { code: CloseCode::Refused, .. })));
    let established = |socket: &ThreadedSocket| {
        until(socket, Box::new(|event| matches!(event, Event::Established { .. })));
    };
    let (listener, _) = enter("Ada");
    established(&listener);
    let binary = [0xff; 10];
    for line in [&"x".repeat(1_120).into_bytes()[..], &binary] {
        let (rude, id) = enter("Mallory");
        established(&rude);
        assert!(line.len() <= rude.max_packet_size(id).unwrap());
        rude.send(id, line).unwrap();
        rude.flush();
        let event = until(&rude, Box::new(|event| matches!(event, Event::Close { .. })));
        assert!(
            matches!(&event, Event::Close { code: CloseCode::Closed, reason, .. } if reason.starts_with(b"a line")),
            "{event:?}"
        );
    }
    let (polite, id) = enter(&"n".repeat(32));
    established(&polite);
    polite.send(id, "y".repeat(1_000).as_bytes()).unwrap();
    polite.flush();
    let event = until(&listener, Box::new(|event| matches!(event, Event::Packet { .. })));
    assert!(matches!(event, Event::Packet { payload, .. } if payload.len() == 32 + 2 + 1_000));
    drop((polite, listener));
    room.join().unwrap().unwrap();
}

#[test]
fn an_echo_that_is_none_ends_the_client_with_an_error() {
    for packet in [&b"short"[..], &[0xff; 8], b""] {
        let (mut host, url) = host();
        let client = thread::spawn(move || echo::run_client(&url).map_err(|error| error.to_string()));
        while !client.is_finished() {
            match host.wait_event(Duration::from_millis(20)) {
                Some(Event::ConnectRequest(request)) => {
                    host.accept_connection(request.connection, b"").unwrap();
                }
                Some(Event::Established { connection, .. }) => drop(host.send(connection, packet).unwrap()),
                _ => {}
            }
        }
        let end = client.join().expect("it does not panic").unwrap_err();
        assert!(end.contains("echo"), "{end}");
    }
}
