//! A sharded socket connects by name, whichever shards the addresses of the name belong to, and hosts meanwhile.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use common::{LIMIT, hasty, loopback};
use torque_socket::{
    CloseCode, ConnectionId, Event, LinkConfig, ShardedBuilder, ShardedSocket, Socket, Steering, Trust,
};

const WAYS: [Steering; 3] = [Steering::OneSocket, Steering::HandOn, Steering::Kernel];
const NAMES: usize = 8;

/// Four shards, for which every name has these addresses, and 127.0.0.1 with the port that was asked for as the last.
fn shards_with(steering: Steering, dead: Vec<SocketAddr>) -> ShardedBuilder {
    let found = move |_: &str, port| {
        let last = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(dead.iter().copied().chain([last]).collect())
    };
    Socket::builder().config(hasty()).resolve_with(found).shards(4).steering(steering)
}

/// An address that stays silent, as long as the socket lives, and one that cannot be sent to.
fn dead() -> (UdpSocket, Vec<SocketAddr>) {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    (silent, vec![address, "127.0.0.1:0".parse().unwrap()])
}

/// A host or a guest of the sharded socket, which sends back what it gets, or counts what comes back.
struct Other {
    socket: Socket,
    /// Its connection, if it began one.
    guest: Option<ConnectionId>,
    /// Where the sharded socket asked from, if it did.
    asked_from: Option<SocketAddr>,
    packets: usize,
    delivered: usize,
}

impl Other {
    fn new(socket: Socket) -> Self {
        Self { socket, guest: None, asked_from: None, packets: 0, delivered: 0 }
    }

    fn guest_of(host: &ShardedSocket) -> Self {
        let mut other = Self::new(loopback());
        other.guest =
            Some(other.socket.connect(host.local_addr(), Trust::Pinned(host.public_key())).unwrap());
        other
    }

    fn turn(&mut self) {
        let socket = &mut self.socket;
        socket.poll();
        while let Some(event) = socket.next_event() {
            match event {
                Event::ConnectRequest(request) => {
                    self.asked_from = request.remote.socket_addr();
                    socket.accept_connection(request.connection, b"").unwrap();
                }
                Event::Established { connection, .. } if self.guest.is_some() => {
                    socket.send(connection, b"quack").unwrap();
                }
                Event::Packet { connection, payload, .. } => {
                    self.packets += 1;
                    if self.guest.is_none() {
                        socket.send(connection, &payload).unwrap();
                    }
                }
                Event::Verdict { delivery, .. } => {
                    assert!(delivery.is_delivered());
                    self.delivered += 1;
                }
                Event::Established { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        socket.flush();
    }
}

/// Connects by several names while guests connect to the same socket; a packet goes forth and back on each connection.
/// Returns the address that each attempt came from, by the shard that made it.
fn connect_and_host(sharded: &ShardedSocket) -> BTreeMap<u8, BTreeSet<SocketAddr>> {
    let mut others: Vec<_> = (0..NAMES).map(|_| Other::new(loopback())).collect();
    let ids: Vec<_> = others
        .iter()
        .enumerate()
        .map(|(number, other)| {
            let port = other.socket.local_addr().port();
            let url = format!("torque://{}@pond{number}.example:{port}", other.socket.public_key());
            sharded.connect(url, None).unwrap()
        })
        .collect();
    others.extend((0..NAMES).map(|_| Other::guest_of(sharded)));
    let (mut packets, mut delivered) = (0, 0);
    let end = Instant::now() + LIMIT;
    let is_done = |other: &Other| other.packets > 0 && other.delivered > 0;
    while packets < 2 * NAMES || delivered < 2 * NAMES || !others.iter().all(is_done) {
        assert!(Instant::now() < end, "{packets} packets, {delivered} delivered: {:?}", sharded.stats());
        while let Some(event) = sharded.wait_event(Duration::from_micros(200)) {
            match event {
                Event::ConnectRequest(request) => sharded.accept_connection(request.connection, b"").unwrap(),
                Event::Established { connection, .. } if ids.contains(&connection) => {
                    sharded.send(connection, b"quack").unwrap();
                }
                Event::Packet { connection, payload, .. } => {
                    packets += 1;
                    if !ids.contains(&connection) {
                        sharded.send(connection, &payload).unwrap();
                    }
                }
                Event::Verdict { delivery, .. } => {
                    assert!(delivery.is_delivered());
                    delivered += 1;
                }
                Event::Established { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        others.iter_mut().for_each(Other::turn);
    }
    let mut from = BTreeMap::<u8, BTreeSet<SocketAddr>>::new();
    for (id, other) in ids.iter().zip(&others) {
        from.entry(id.shard()).or_default().insert(other.asked_from.unwrap());
    }
    from
}

#[test]
fn a_sharded_socket_connects_by_names_with_several_addresses_while_it_hosts() {
    for steering in WAYS {
        let (_silent, dead) = dead();
        let sharded = shards_with(steering, dead).bind("127.0.0.1:0").unwrap();
        let from = connect_and_host(&sharded);
        assert!(from.len() > 1, "several shards connect: {from:?}");
        let ports: BTreeSet<_> = from.values().flatten().map(SocketAddr::port).collect();
        assert_eq!(ports.len(), from.len(), "each shard has one port for names: {from:?}");
        assert!(!ports.contains(&sharded.local_addr().port()), "{from:?}");
        assert_eq!(sharded.io_stats().inbox_full, 0);
    }
}

#[test]
fn names_work_through_a_simulated_link() {
    let (_silent, dead) = dead();
    let sharded = shards_with(Steering::Kernel, dead).bind("127.0.0.1:0").unwrap();
    let mut link = LinkConfig::default();
    link.delay = Duration::from_millis(5);
    sharded.set_simulated_link(link);
    connect_and_host(&sharded);
}

#[test]
fn nobody_may_connect_to_the_port_for_names() {
    let sharded = shards_with(Steering::Kernel, Vec::new()).bind("127.0.0.1:0").unwrap();
    let private = *connect_and_host(&sharded).values().next().unwrap().first().unwrap();
    let before = sharded.stats().not_accepting;
    let mut guest = Socket::builder().config(hasty()).bind("127.0.0.1:0").unwrap();
    guest.connect(private, Trust::Pinned(sharded.public_key())).unwrap();
    let event = guest.wait_event(LIMIT);
    assert!(matches!(event, Some(Event::Close { code: CloseCode::NoAnswer, .. })), "{event:?}");
    assert!(sharded.stats().not_accepting > before);
}

#[test]
fn a_shard_that_its_owner_drives_connects_by_name() {
    for steering in WAYS {
        let (_silent, dead) = dead();
        let mut shards = shards_with(steering, dead).bind_each("127.0.0.1:0").unwrap();
        for shard in &mut shards {
            let mut host = Other::new(loopback());
            let port = host.socket.local_addr().port();
            let trust = Trust::Pinned(host.socket.public_key());
            let id = shard.connect(("pond.example", port), trust).unwrap();
            let end = Instant::now() + LIMIT;
            let mut is_echoed = false;
            while !is_echoed {
                assert!(Instant::now() < end, "{:?}", shard.stats());
                host.turn();
                shard.wait(Duration::from_micros(500));
                shard.poll();
                while let Some(event) = shard.next_event() {
                    match event {
                        Event::Established { .. } => drop(shard.send(id, b"quack").unwrap()),
                        Event::Packet { .. } => is_echoed = true,
                        Event::Verdict { .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }
}
