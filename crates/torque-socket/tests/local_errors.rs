//! What this machine cannot send at the moment is a lost datagram; only if nothing comes of an attempt it is the reason.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;
#[path = "common/own_network.rs"]
mod own_network;

use std::time::{Duration, Instant};

use common::{LIMIT, connect, hasty, loopback, pinned, turns};
use own_network::in_own_network;
use torque_socket::{CloseCode, ClosedBy, Config, ConnectRequest, Event, Socket, Trust};

/// A client that finds the host behind every name.
fn client(config: Config) -> Socket {
    Socket::builder()
        .config(config)
        .resolve_with(|_, port| Ok(vec![([127, 0, 0, 1], port).into(), ([127, 0, 0, 2], port).into()]))
        .bind("0.0.0.0:0")
        .unwrap()
}

/// Drives `socket` until as many more of its datagrams could not be sent.
fn until_refused(socket: &mut Socket, datagrams: u64) {
    let (before, end) = (socket.io_stats().unreachable, Instant::now() + LIMIT);
    while socket.io_stats().unreachable < before + datagrams {
        assert!(Instant::now() < end);
        let event = socket.wait_event(Duration::from_millis(5));
        assert!(event.is_none(), "a local error ended the attempt: {event:?}");
    }
}

#[test]
fn a_time_without_a_route_ends_no_handshake() {
    in_own_network(|network| {
        for by_name in [false, true] {
            let mut config = hasty();
            config.handshake.wait = LIMIT;
            config.handshake.retry_max = Duration::from_millis(60);
            let (mut host, mut client) = (Socket::bind("0.0.0.0:0").unwrap(), client(config));
            let port = host.local_addr().port();
            network.set_route(false).unwrap();
            let (name, address) = (format!("host:{port}"), format!("127.0.0.1:{port}"));
            let id = client.connect(if by_name { name } else { address }, pinned(&host)).unwrap();
            until_refused(&mut client, 3);
            network.set_route(true).unwrap();
            let mut asked = None;
            turns(&mut [&mut host, &mut client], |_, index, event| {
                match (index, event) {
                    (0, Event::ConnectRequest(ConnectRequest { connection, .. })) => asked = Some(connection),
                    (index, other) => panic!("socket {index}: {other:?}"),
                }
                asked.is_some()
            });
            // And once more while the host's application is thinking.
            network.set_route(false).unwrap();
            host.accept_connection(asked.unwrap(), b"").unwrap();
            host.flush();
            until_refused(&mut client, 3);
            network.set_route(true).unwrap();
            turns(&mut [&mut host, &mut client], |_, index, event| match (index, event) {
                (1, Event::Established { connection, .. }) => {
                    assert_eq!(connection, id);
                    true
                }
                (1, other) => panic!("{other:?}"),
                _ => false,
            });
        }
    });
}

/// The end of an attempt that comes to nothing: its code and reason.
fn failed_attempt(client: &mut Socket, target: &str) -> (CloseCode, String) {
    let id = client.connect(target, Trust::Anyone).unwrap();
    match client.wait_event(LIMIT) {
        Some(Event::Close { connection, code, by: ClosedBy::Socket, reason }) if connection == id => {
            (code, String::from_utf8(reason).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_attempt_that_could_not_send_names_what_the_system_said() {
    in_own_network(|network| {
        for target in ["127.0.0.1:28000", "host:28000"] {
            network.set_route(false).unwrap();
            let (code, reason) = failed_attempt(&mut client(hasty()), target);
            assert_eq!(code, CloseCode::Unreachable, "{target}");
            assert!(reason.contains(&format!("os error {}", libc::ENETUNREACH)), "{target}: {reason}");
            // An obstacle that has gone is not the reason: this is silence.
            let mut config = hasty();
            config.handshake.retry_max = Duration::from_millis(60);
            let mut client = Socket::builder().config(config).bind("0.0.0.0:0").unwrap();
            let id = client.connect("127.0.0.1:28000", Trust::Anyone).unwrap();
            until_refused(&mut client, 1);
            network.set_route(true).unwrap();
            let event = client.wait_event(LIMIT);
            assert!(
                matches!(event, Some(Event::Close { connection, code: CloseCode::NoAnswer, .. }) if connection == id),
                "{event:?}"
            );
        }
    });
}

#[test]
fn runs_go_on_to_a_destination_that_did_not_take_all_of_one() {
    in_own_network(|network| {
        let (mut host, mut client) = (loopback(), loopback());
        let (connection, _) = connect(&mut host, &mut client);
        network.set_mtu(576).unwrap();
        // One run, of which only the last fits.
        client.send(connection, &[1; 1_000]).unwrap();
        client.send(connection, &[1; 10]).unwrap();
        client.flush();
        assert_eq!((client.io_stats().too_large, client.io_stats().sent_singly), (1, 1));
        // The next is tried as one again.
        client.send(connection, &[1; 1_000]).unwrap();
        client.send(connection, &[1; 10]).unwrap();
        client.flush();
        assert_eq!((client.io_stats().too_large, client.io_stats().sent_singly), (2, 2));
    });
}

#[test]
fn a_link_that_is_too_small_is_named() {
    in_own_network(|network| {
        let host = loopback();
        network.set_mtu(576).unwrap();
        for target in [host.local_addr().to_string(), format!("host:{}", host.local_addr().port())] {
            let (code, reason) = failed_attempt(&mut client(hasty()), &target);
            assert_eq!(code, CloseCode::Unreachable, "{target}");
            assert!(reason.contains("768 bytes") && reason.contains("MTU"), "{target}: {reason}");
        }
    });
}
