//! Many packets take few system calls, where the operating system has calls for many.
#![cfg(any(target_os = "linux", target_os = "android"))]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::collections::{BTreeSet, HashSet};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use common::{LIMIT, connect, loopback, pinned, reach, turns};
use torque_socket::{Config, Event, Settings, Socket};

const PACKETS: usize = 1_000;
const MOST_CALLS: u64 = 40;

#[test]
fn a_thousand_packets_to_one_peer() {
    let mut config = Config::default();
    config.settings = Settings { packet_window: 2_048, ..Settings::default() };
    let mut host = Socket::builder().config(config.clone()).bind("127.0.0.1:0").unwrap();
    let mut client = Socket::builder().config(config).bind("127.0.0.1:0").unwrap();
    let (at_client, _) = connect(&mut host, &mut client);
    let before = client.io_stats().send_calls;
    for _ in 0..PACKETS {
        client.send(at_client, &[7; 100]).unwrap();
    }
    client.flush();
    let calls = client.io_stats().send_calls - before;
    assert!(calls <= MOST_CALLS, "{calls} send calls");
    let before = host.io_stats().receive_calls;
    host.poll();
    let mut arrived = 0;
    while let Some(event) = host.next_event() {
        arrived += usize::from(matches!(event, Event::Packet { .. }));
    }
    assert_eq!(arrived, PACKETS);
    let calls = host.io_stats().receive_calls - before;
    assert!(calls <= MOST_CALLS, "{calls} receive calls");
}

#[test]
fn a_thousand_info_packets_to_a_thousand_addresses() {
    let mut host = loopback();
    // Ten sockets, each of which a hundred addresses of 127.0.0.0/8 lead to.
    let receivers: Vec<UdpSocket> = (0..10).map(|_| UdpSocket::bind("0.0.0.0:0").unwrap()).collect();
    for index in 0..PACKETS {
        let port = receivers[index % 10].local_addr().unwrap().port();
        let ip = Ipv4Addr::new(127, 0, 1 + (index / 250) as u8, 1 + (index % 250) as u8);
        host.send_info(SocketAddr::from((ip, port)), format!("?{index}").as_bytes()).unwrap();
    }
    host.flush();
    let calls = host.io_stats().send_calls;
    assert!(calls <= MOST_CALLS, "{calls} send calls");
    let mut arrived = BTreeSet::new();
    for receiver in &receivers {
        receiver.set_read_timeout(Some(LIMIT)).unwrap();
        for _ in 0..PACKETS / 10 {
            let mut bytes = [0; 16];
            let (length, _) = receiver.recv_from(&mut bytes).unwrap();
            arrived.insert(bytes[..length].to_vec());
        }
    }
    assert_eq!(arrived.len(), PACKETS);
}

#[test]
fn a_packet_to_each_of_many_connections() {
    const CLIENTS: usize = 100;
    let mut host = loopback();
    let mut clients: Vec<Socket> = (0..CLIENTS).map(|_| loopback()).collect();
    for client in &mut clients {
        client.connect(reach(&host), pinned(&host)).unwrap();
    }
    let mut up = HashSet::new();
    {
        let mut all: Vec<&mut Socket> = std::iter::once(&mut host).chain(clients.iter_mut()).collect();
        turns(&mut all, |socket, index, event| {
            match event {
                Event::ConnectRequest(request) => socket.accept_connection(request.connection, b"").unwrap(),
                Event::Established { connection, .. } if index == 0 => {
                    up.insert(connection);
                }
                _ => {}
            }
            up.len() == CLIENTS
        });
    }
    let before = host.io_stats().send_calls;
    for connection in &up {
        for _ in 0..10 {
            host.send(*connection, &[1; 100]).unwrap();
        }
    }
    host.flush();
    let calls = host.io_stats().send_calls - before;
    assert!(calls <= MOST_CALLS, "{calls} send calls for {} packets", 10 * CLIENTS);
    let end = Instant::now() + LIMIT;
    for client in &mut clients {
        let mut arrived = 0;
        while arrived < 10 {
            assert!(Instant::now() < end);
            let event = client.wait_event(Duration::from_secs(1));
            arrived += usize::from(matches!(event, Some(Event::Packet { .. })));
        }
    }
}

#[test]
fn an_idle_socket_wakes_only_for_its_pings() {
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(200);
    let mut host = Socket::builder().config(config).bind("127.0.0.1:0").unwrap();
    let mut client = loopback();
    connect(&mut host, &mut client);
    // Let the handshake's last packets pass.
    let settle = Instant::now() + Duration::from_millis(300);
    while Instant::now() < settle {
        for socket in [&mut host, &mut client] {
            socket.wait(Duration::from_millis(1));
            socket.poll();
        }
    }
    let client = client.spawn().unwrap();
    let (before, until) = (host.io_stats().wakes, Instant::now() + Duration::from_millis(2_000));
    let before_client = client.io_stats().wakes;
    while Instant::now() < until {
        host.wait(until.saturating_duration_since(Instant::now()));
        host.poll();
    }
    let wakes = host.io_stats().wakes - before;
    let client_wakes = client.io_stats().wakes - before_client;
    // Ten intervals pass: a wake-up for each ping and one for each pong, and a little room.
    assert!((10..=24).contains(&wakes), "{wakes} wake-ups in ten ping intervals");
    assert!((8..=24).contains(&client_wakes), "{client_wakes} wake-ups of the other side's thread");
}
