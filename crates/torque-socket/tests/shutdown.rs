//! What a socket promises when it ends: no event is lost, and the other side has its verdicts.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{LIMIT, hasty};
use torque_socket::{
    CloseCode, ClosedBy, ConnectionId, Delivery, Event, PublicKey, ShardedSocket, Shutdown, Socket,
    ThreadedSocket, Trust,
};

/// A host in each of the ways to drive one. Its application takes no events except where it says so.
enum Host {
    Own(Box<Socket>),
    Thread(ThreadedSocket),
    Shards(ShardedSocket),
}

impl Host {
    fn all() -> [Self; 3] {
        [
            Self::Own(Box::new(Socket::bind("127.0.0.1:0").unwrap())),
            Self::Thread(Socket::bind("127.0.0.1:0").unwrap().spawn().unwrap()),
            Self::Shards(Socket::builder().shards(2).bind("127.0.0.1:0").unwrap()),
        ]
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Own(_) => "a socket that the test drives",
            Self::Thread(_) => "a thread",
            Self::Shards(_) => "shards",
        }
    }

    fn place(&self) -> (SocketAddr, PublicKey) {
        match self {
            Self::Own(socket) => (socket.local_addr(), socket.public_key()),
            Self::Thread(socket) => (socket.local_addr(), socket.public_key()),
            Self::Shards(socket) => (socket.local_addr(), socket.public_key()),
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        let patience = Duration::from_millis(1);
        match self {
            Self::Own(socket) => socket.wait_event(patience),
            Self::Thread(socket) => socket.wait_event(patience),
            Self::Shards(socket) => socket.wait_event(patience),
        }
    }

    /// Lets everybody in.
    fn accept(&mut self, connection: ConnectionId) {
        match self {
            Self::Own(socket) => socket.accept_connection(connection, b""),
            Self::Thread(socket) => socket.accept_connection(connection, b""),
            Self::Shards(socket) => socket.accept_connection(connection, b""),
        }
        .unwrap();
    }

    /// Receives what has come, without taking events.
    fn turn(&mut self) {
        if let Self::Own(socket) = self {
            socket.poll();
        }
    }

    fn shutdown(self, limit: Duration, event: impl FnMut(Event)) -> Shutdown {
        match self {
            Self::Own(socket) => socket.shutdown(limit, event),
            Self::Thread(socket) => socket.shutdown(limit, event),
            Self::Shards(socket) => socket.shutdown(limit, event),
        }
    }
}

/// Connects a client to a host that is to be reached at `address`.
fn connect(host: &mut Host, client: &mut Socket, address: SocketAddr) -> ConnectionId {
    let id = client.connect(address, Trust::Pinned(host.place().1)).unwrap();
    let (mut here, mut there) = (false, false);
    let end = Instant::now() + LIMIT;
    while !(here && there) {
        assert!(Instant::now() < end, "{}: not connected", host.name());
        match host.next_event() {
            Some(Event::ConnectRequest(request)) => host.accept(request.connection),
            Some(Event::Established { .. }) => there = true,
            _ => {}
        }
        here |= matches!(client.wait_event(Duration::from_millis(1)), Some(Event::Established { .. }));
    }
    id
}

#[test]
fn a_host_gives_out_every_delivered_packet_before_it_ends() {
    for mut host in Host::all() {
        let name = host.name();
        let mut client = Socket::client().unwrap();
        let address = host.place().0;
        let id = connect(&mut host, &mut client, address);
        for number in 0..100_u8 {
            client.send(id, &[number]).unwrap();
        }
        let end = Instant::now() + LIMIT;
        let mut delivered = 0;
        while delivered < 100 {
            assert!(Instant::now() < end, "{name}: verdicts are missing");
            host.turn();
            if let Some(Event::Verdict { delivery: Delivery::Delivered, .. }) =
                client.wait_event(Duration::from_millis(1))
            {
                delivered += 1;
            }
        }
        let driven = client.spawn().unwrap();
        let (mut shown, mut closes) = (Vec::new(), 0);
        let shutdown = host.shutdown(LIMIT, |event| match event {
            Event::Packet { payload, .. } => shown.push(payload[0]),
            Event::Close { code, by, .. } => {
                assert_eq!((code, by), (CloseCode::ShuttingDown, ClosedBy::Application));
                closes += 1;
            }
            other => panic!("{name}: {other:?}"),
        });
        assert_eq!((shown, closes), ((0..100).collect(), 1), "{name}");
        assert_eq!((shutdown.unfinished, shutdown.stats.connections_closed), (0, 1), "{name}");
        drop(driven);
    }
}

/// Passes datagrams on between one client and a host, or in one direction only.
struct Relay {
    address: SocketAddr,
    /// While set, what the host sends is lost.
    loses: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Relay {
    fn to(host: SocketAddr) -> Self {
        let [client_side, host_side] = [0, 1].map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        });
        host_side.connect(host).unwrap();
        let address = client_side.local_addr().unwrap();
        let (loses, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (loses, stop) = (Arc::clone(&loses), Arc::clone(&stop));
            move || {
                let (mut buffer, mut client) = ([0; 2_000], None);
                while !stop.load(Ordering::Relaxed) {
                    while let Ok((bytes, from)) = client_side.recv_from(&mut buffer) {
                        client = Some(from);
                        let _ = host_side.send(&buffer[..bytes]);
                    }
                    while let Ok(bytes) = host_side.recv(&mut buffer) {
                        if let Some(client) = client.filter(|_| !loses.load(Ordering::Relaxed)) {
                            let _ = client_side.send_to(&buffer[..bytes], client);
                        }
                    }
                    thread::sleep(Duration::from_micros(200));
                }
            }
        });
        Self { address, loses, stop, thread: Some(thread) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

#[test]
fn a_host_that_shuts_down_answers_a_close_whose_answer_was_lost() {
    for mut host in Host::all() {
        let name = host.name();
        let relay = Relay::to(host.place().0);
        let mut client = Socket::client().unwrap();
        let id = connect(&mut host, &mut client, relay.address);
        relay.loses.store(true, Ordering::Relaxed);
        for number in 0..20_u8 {
            client.send(id, &[number]).unwrap();
        }
        client.close(id, b"good night").unwrap();
        client.flush();
        let end = Instant::now() + LIMIT;
        let mut packets = 0;
        loop {
            assert!(Instant::now() < end, "{name}: no close");
            match host.next_event() {
                Some(Event::Packet { .. }) => packets += 1,
                Some(Event::Close { by, .. }) => break assert_eq!(by, ClosedBy::Remote),
                _ => {}
            }
        }
        // The host's answer is lost. Now the network is well again, and the host goes.
        thread::sleep(Duration::from_millis(20));
        relay.loses.store(false, Ordering::Relaxed);
        let told = thread::spawn(move || {
            let mut told = Vec::new();
            loop {
                match client.wait_event(LIMIT) {
                    Some(Event::Verdict { delivery, .. }) => told.push(delivery),
                    Some(Event::Close { .. }) => return told,
                    other => panic!("{other:?}"),
                }
            }
        });
        let shutdown = host.shutdown(LIMIT, |event| panic!("{name}: {event:?}"));
        let told = told.join().unwrap();
        let delivered = told.iter().filter(|delivery| delivery.is_delivered()).count();
        assert_eq!((told.len(), delivered, packets), (20, 20, 20), "{name}: {told:?}");
        assert_eq!(shutdown.unfinished, 0);
    }
}

#[test]
fn a_shutdown_turns_newcomers_away_and_is_not_held_up_by_them() {
    let mut host = Host::Thread(Socket::bind("127.0.0.1:0").unwrap().spawn().unwrap());
    let (address, key) = host.place();
    let mut client = Socket::builder().config(hasty()).client().unwrap();
    connect(&mut host, &mut client, address);
    let mut newcomer = Socket::client().unwrap();
    newcomer.connect(address, Trust::Pinned(key)).unwrap();
    // The client is not driven any more, so the host waits three seconds for it. Meanwhile the newcomer asks.
    let newcomer = thread::spawn(move || match newcomer.wait_event(LIMIT) {
        Some(Event::Close { code, by, .. }) => (code, by),
        other => panic!("{other:?}"),
    });
    let mut closes = 0;
    let shutdown = host.shutdown(LIMIT, |event| match event {
        Event::Close { .. } => closes += 1,
        other => panic!("{other:?}"),
    });
    assert_eq!(newcomer.join().unwrap(), (CloseCode::ShuttingDown, ClosedBy::Remote));
    assert_eq!((closes, shutdown.unfinished, shutdown.stats.connections_requested), (1, 0, 2));
}

#[test]
fn a_shutdown_ends_when_its_limit_has_passed() {
    let mut host = Host::Own(Box::new(Socket::bind("127.0.0.1:0").unwrap()));
    let mut client = Socket::client().unwrap();
    let address = host.place().0;
    connect(&mut host, &mut client, address);
    // The client is not driven any more.
    let shutdown = host.shutdown(Duration::from_millis(50), |event| panic!("{event:?}"));
    assert_eq!(shutdown.unfinished, 1);
}
