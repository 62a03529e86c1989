//! What the operating system refuses is named, counted and survived.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use common::{LIMIT, connect, loopback, pinned, turns};
use torque_socket::{BindError, CallError, CloseCode, Config, Delivery, Event, SendError, Settings, Socket};

#[test]
fn an_address_that_cannot_be_bound_says_what_to_do() {
    let taken = Socket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().port();
    for address in [format!("127.0.0.1:{port}"), format!("0.0.0.0:{port}")] {
        let error = Socket::bind(address.as_str()).unwrap_err();
        assert!(matches!(error, BindError::AddressInUse { .. }), "{error:?}");
        assert!(error.to_string().contains(&port.to_string()), "{error}");
    }
    // An address of the documentation's network, which nobody has.
    let error = Socket::bind("198.51.100.7:0").unwrap_err();
    assert!(matches!(error, BindError::NoSuchAddress { .. }), "{error:?}");
    for text in ["", "28000", "127.0.0.1", "127.0.0.1:99999", "[::1:5]:"] {
        let error = Socket::bind(text).unwrap_err();
        assert!(matches!(error, BindError::BadAddress { .. }), "{text}: {error:?}");
        assert!(error.to_string().contains("0.0.0.0:28000"), "{error}");
    }
    let mut config = Config::default();
    config.ping_limit = 0;
    let error = Socket::builder().config(config).bind("127.0.0.1:0").unwrap_err();
    assert!(matches!(error, BindError::Config(_)), "{error:?}");
}

#[test]
fn a_datagram_that_is_too_large_is_lost_and_counted_and_nothing_else() {
    let mut socket = loopback();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let remote = receiver.local_addr().unwrap();
    // A UDP datagram cannot be this long.
    match socket.send_info(remote, &[b'!'; 65_530]) {
        Ok(()) => {
            socket.flush();
            assert_eq!(socket.io_stats().too_large, 1, "{:?}", socket.io_stats());
        }
        Err(error) => assert!(matches!(error, CallError::TooLarge { .. }), "{error:?}"),
    }
    socket.send_info(remote, b"!small").unwrap();
    socket.flush();
    receiver.set_read_timeout(Some(LIMIT)).unwrap();
    let mut bytes = [0; 16];
    assert_eq!(receiver.recv(&mut bytes).unwrap(), 6);
    assert_eq!(socket.io_stats().datagrams_sent, 1);
}

#[test]
fn info_packets_with_other_first_bytes_are_refused() {
    let mut socket = loopback();
    for first in [0x00, 0x1f, 0x80, 0xff] {
        let refused = socket.send_info(std::net::SocketAddr::from(([127, 0, 0, 1], 9)), &[first]);
        assert_eq!(refused, Err(CallError::NotAnInfoPacket));
    }
}

#[test]
fn datagrams_to_a_closed_port_disturb_no_connection() {
    let (mut host, mut client) = (loopback(), loopback());
    let (at_client, _) = connect(&mut host, &mut client);
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for round in 0..20_u8 {
        // The answers (ICMP port unreachable) come in between the packets of the connection.
        client.send_info(gone, b"!anybody").unwrap();
        client.send(at_client, &[round]).unwrap();
        client.flush();
        let mut verdict = None;
        turns(&mut [&mut host, &mut client], |_, index, event| {
            if let (1, Event::Verdict { delivery, .. }) = (index, &event) {
                verdict = Some(*delivery);
            }
            verdict.is_some()
        });
        assert_eq!(verdict, Some(Delivery::Delivered));
    }
}

#[test]
fn noise_is_counted_and_answered_with_a_byte_a_second_at_most() {
    let mut host = loopback();
    let begun = Instant::now();
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut state = 0x9e37_79b9_u64;
    for length in 0..600_usize {
        let bytes: Vec<u8> = (0..length % 300)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        // Info packets are the application's; everything else from a stranger is noise.
        if bytes.first().is_none_or(|first| !(0x20..0x80).contains(first)) {
            noise.send_to(&bytes, host.local_addr()).unwrap();
        }
        host.poll();
        assert!(host.next_event().is_none());
    }
    // What looks like a packet may be of a connection whose other side has moved (PATHS.md 7).
    let asked = host.stats().who_are_you_sent;
    assert!((1..=begun.elapsed().as_secs() + 1).contains(&asked), "{asked}");
    assert_eq!((host.io_stats().datagrams_sent, host.io_stats().bytes_sent), (asked, asked));
    assert!(host.io_stats().datagrams_received > 300);
    let metrics = host.metrics();
    assert!(metrics.contains(&format!("torque_io_datagrams_sent_total {asked}\n")), "{metrics}");
    for (index, line) in metrics.lines().enumerate() {
        let of_three = ["# HELP torque_", "# TYPE torque_", "torque_"][index % 3];
        assert!(line.starts_with(of_three), "line {index}: {line}");
    }
    // And it still takes connections.
    connect(&mut host, &mut loopback());
}

#[test]
fn a_host_with_many_addresses_answers_from_the_one_that_was_asked() {
    if !cfg!(target_os = "linux") {
        return; // Elsewhere 127.0.0.5 is not an address of the machine.
    }
    let mut host = Socket::bind("0.0.0.0:0").unwrap();
    let mut client = Socket::builder().dual_stack(false).bind("127.0.0.1:0").unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 5], host.local_addr().port()));
    client.connect(address, pinned(&host)).unwrap();
    turns(&mut [&mut host, &mut client], |socket, index, event| match event {
        Event::ConnectRequest(request) => {
            socket.accept_connection(request.connection, b"").unwrap();
            false
        }
        Event::Established { remote, .. } if index == 1 => {
            assert_eq!(remote, address.into());
            true
        }
        Event::Close { code, .. } => panic!("{code}"),
        _ => false,
    });
}

#[test]
fn a_full_window_refuses_and_loses_nothing() {
    let mut config = Config::default();
    config.settings = Settings { packet_window: 16, ..Settings::default() };
    let mut host = Socket::builder().config(config).bind("127.0.0.1:0").unwrap();
    let mut client = loopback();
    let (at_client, _) = connect(&mut host, &mut client);
    let mut sent = Vec::new();
    let refused = loop {
        match client.send(at_client, b"x") {
            Ok(sequence) => sent.push(sequence),
            Err(error) => break error,
        }
    };
    assert_eq!((refused, sent.len()), (SendError::WindowFull, 16));
    assert!(matches!(client.send(at_client, &[0; 2_000]), Err(SendError::TooLarge { max: 1_150 })));
    let mut told = Vec::new();
    turns(&mut [&mut host, &mut client], |_, index, event| {
        if let (1, Event::Verdict { sequence, delivery, .. }) = (index, event) {
            assert_eq!(delivery, Delivery::Delivered);
            told.push(sequence);
        }
        told.len() == 16
    });
    assert_eq!(told, sent);
    client.send(at_client, b"x").unwrap();
}

#[test]
fn a_shutdown_settles_every_verdict() {
    let (mut host, mut client) = (loopback(), loopback());
    let (at_client, _) = connect(&mut host, &mut client);
    for number in 0..50_u8 {
        client.send(at_client, &[number]).unwrap();
    }
    let host = host.spawn().unwrap();
    let (mut delivered, mut closes) = (0, 0);
    client.shutdown(Duration::from_secs(10), |event| match event {
        Event::Verdict { delivery, .. } => delivered += usize::from(delivery.is_delivered()),
        Event::Close { .. } => closes += 1,
        other => panic!("{other:?}"),
    });
    assert_eq!((delivered, closes), (50, 1));
    let mut packets = 0;
    loop {
        match host.wait_event(LIMIT) {
            Some(Event::Packet { .. }) => packets += 1,
            Some(Event::Close { code, .. }) => {
                break assert_eq!((packets, code), (50, CloseCode::ShuttingDown));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_empty_datagram_is_counted_and_answered_with_nothing() {
    let mut host = loopback();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..3 {
        stranger.send_to(&[], host.local_addr()).unwrap();
    }
    let end = Instant::now() + LIMIT;
    while host.io_stats().datagrams_received < 3 {
        assert!(Instant::now() < end, "{:?}", host.io_stats());
        host.wait(Duration::from_millis(10));
        host.poll();
    }
    let stats = host.stats();
    assert_eq!((stats.datagrams_received, stats.reserved_kind, stats.datagrams_sent), (3, 3, 0));
}

#[cfg(target_os = "linux")]
#[test]
fn what_the_kernel_drops_from_a_full_receive_buffer_is_counted() {
    let mut host = Socket::builder().receive_buffer_size(4_096).bind("127.0.0.1:0").unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut sent = 0;
    // Loopback hands each datagram over at once, so all of them are there or lost when the host looks; the one that
    // comes after a loss tells of it.
    let end = Instant::now() + LIMIT;
    while host.io_stats().datagrams_received + host.io_stats().receive_buffer_full < sent || sent == 0 {
        assert!(Instant::now() < end, "{sent} sent, {:?}", host.io_stats());
        let burst = if sent == 0 { 1_000 } else { 1 };
        for _ in 0..burst {
            stranger.send_to(&[0xff; 100], host.local_addr()).unwrap();
            sent += 1;
        }
        host.poll();
    }
    let stats = host.io_stats();
    assert!(stats.receive_buffer_full > 0, "{stats:?}");
    assert_eq!(stats.datagrams_received + stats.receive_buffer_full, sent);
}
