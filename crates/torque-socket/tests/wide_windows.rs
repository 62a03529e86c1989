//! A window that is wider than what one connection may queue loses nothing, as long as events are taken.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::time::{Duration, Instant};

use common::{LIMIT, connect, turns};
use torque_socket::{Config, Event, SendError, Settings, Socket};

const WINDOW: u16 = 8_192;

fn wide() -> Socket {
    let mut config = Config::default();
    config.settings = Settings { packet_window: WINDOW, ..Settings::default() };
    assert!(usize::from(WINDOW) > 4 * config.limits.queued_packets);
    Socket::builder().config(config).bind("127.0.0.1:0").unwrap()
}

/// Fills the window of `client`'s connection once, and sends it.
fn fill(client: &mut Socket, connection: torque_socket::ConnectionId) {
    loop {
        match client.send(connection, b"x") {
            Ok(_) => {}
            Err(SendError::WindowFull) => return client.flush(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_host_that_takes_all_events_gets_all_packets() {
    let (mut host, mut client) = (wide(), wide());
    let (at_client, _) = connect(&mut host, &mut client);
    fill(&mut client, at_client);
    let (mut arrived, mut verdicts) = (0, 0);
    turns(&mut [&mut host, &mut client], |_, index, event| {
        match (index, event) {
            (0, Event::Packet { .. }) => arrived += 1,
            (1, Event::Verdict { .. }) => verdicts += 1,
            (_, other) => panic!("{other:?}"),
        }
        verdicts == WINDOW
    });
    // The kernel's buffer may have been too small for all of them.
    assert!(arrived > 2_048, "{arrived} arrived");
    assert_eq!(host.stats().queue_full, 0);
}

#[test]
fn a_socket_with_a_thread_waits_for_its_application_too() {
    let (mut host, mut client) = (wide(), wide());
    let (at_client, _) = connect(&mut host, &mut client);
    let host = host.spawn().unwrap();
    fill(&mut client, at_client);
    let (mut arrived, mut verdicts, end) = (0, 0, Instant::now() + LIMIT);
    while verdicts < WINDOW {
        assert!(Instant::now() < end);
        arrived += std::iter::from_fn(|| host.next_event()).count();
        client.poll();
        while let Some(event) = client.next_event() {
            verdicts += u16::from(matches!(event, Event::Verdict { .. }));
        }
    }
    assert!(arrived > 2_048, "{arrived} arrived");
}

#[test]
fn a_host_that_takes_no_events_keeps_the_connection() {
    let (mut host, mut client) = (wide(), wide());
    let (at_client, _) = connect(&mut host, &mut client);
    fill(&mut client, at_client);
    let (mut delivered, mut dropped, end) = (0, 0, Instant::now() + LIMIT);
    while delivered + dropped < WINDOW {
        assert!(Instant::now() < end);
        host.poll();
        client.wait(Duration::from_millis(1));
        client.poll();
        while let Some(event) = client.next_event() {
            match event {
                Event::Verdict { delivery, .. } if delivery.is_delivered() => delivered += 1,
                Event::Verdict { .. } => dropped += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(delivered, 1_024, "what may be queued");
}
