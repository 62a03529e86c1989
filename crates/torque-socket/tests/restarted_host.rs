//! Clients learn that their host was restarted (PATHS.md 8).
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::time::{Duration, Instant};

use common::{LIMIT, connect};
use torque_socket::{CloseCode, ClosedBy, Config, ConnectionId, Event, KeyPair, Socket};

fn config(sole_identity: bool) -> Config {
    let mut config = Config::default();
    config.ping_interval = Duration::from_secs(1);
    config.sole_identity = sole_identity;
    config
}

fn host(key_pair: &KeyPair, sole_identity: bool, address: &str) -> Socket {
    let builder = Socket::builder().config(config(sole_identity)).key_pair(key_pair.clone());
    // The old socket may take a moment to go.
    let begun = Instant::now();
    loop {
        match builder.clone().bind(address) {
            Ok(host) => return host,
            Err(error) => assert!(begun.elapsed() < LIMIT, "{error}"),
        }
    }
}

/// The same in each run.
fn key_pair() -> KeyPair {
    KeyPair::from_seed([7; 32])
}

/// A client of a host that was killed and started again: without a word to its clients.
fn restart(sole_identity: bool) -> (Socket, Socket, ConnectionId) {
    let key_pair = key_pair();
    let mut old = host(&key_pair, sole_identity, "127.0.0.1:0");
    let mut client = Socket::builder().config(config(false)).client().unwrap();
    let (id, _) = connect(&mut old, &mut client);
    let address = old.local_addr().to_string();
    // A socket that is dropped says goodbye. A simulated link that loses everything keeps it quiet.
    old.set_simulated_link("loss=100%".parse::<torque_socket::LinkConfig>().unwrap());
    drop(old);
    (host(&key_pair, sole_identity, &address), client, id)
}

/// Drives both until the client's connection has ended, at most for `limit`; sends all the while if it `sends`.
fn end(
    host: &mut Socket,
    client: &mut Socket,
    id: ConnectionId,
    sends: bool,
    limit: Duration,
) -> Option<(CloseCode, ClosedBy)> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if sends {
            let _ = client.send(id, b"anybody there?");
        }
        if let Some(event) = host.wait_event(Duration::from_millis(5)) {
            panic!("{event:?}");
        }
        while let Some(event) = client.wait_event(Duration::from_millis(5)) {
            match event {
                Event::Close { code, by, .. } => return Some((code, by)),
                Event::Verdict { delivery, .. } => assert!(!delivery.is_delivered()),
                other => panic!("{other:?}"),
            }
        }
    }
    None
}

#[test]
fn a_client_that_sends_knows_within_a_second() {
    let (mut host, mut client, id) = restart(true);
    let end = end(&mut host, &mut client, id, true, Duration::from_secs(1));
    assert_eq!(end, Some((CloseCode::HostRestarted, ClosedBy::Remote)));
    assert_eq!(host.stats().resets_sent, 1);
}

#[test]
fn a_client_that_is_silent_knows_after_its_next_ping() {
    let (mut host, mut client, id) = restart(true);
    let end = end(&mut host, &mut client, id, false, Duration::from_secs(3));
    assert_eq!(end, Some((CloseCode::HostRestarted, ClosedBy::Remote)));
}

#[test]
fn a_host_whose_key_others_may_have_tells_nobody() {
    let (mut host, mut client, id) = restart(false);
    assert_eq!(end(&mut host, &mut client, id, true, Duration::from_secs(2)), None);
    assert_eq!(host.stats().resets_sent, 0);
}

#[test]
fn one_of_several_shards_does_not_speak_for_the_others() {
    for (shards, tells) in [(1, true), (2, false)] {
        let (host, mut client, id) = restart(true);
        let (address, key_pair) = (host.local_addr(), key_pair());
        drop(host);
        let builder = Socket::builder().config(config(true)).key_pair(key_pair).shards(shards);
        let mut hosts = builder.bind_each(address).unwrap();
        let begun = Instant::now();
        let mut code = None;
        while code.is_none() && begun.elapsed() < Duration::from_secs(2) {
            let _ = client.send(id, b"anybody there?");
            hosts.iter_mut().for_each(|host| assert!(host.wait_event(Duration::from_millis(5)).is_none()));
            while let Some(event) = client.wait_event(Duration::from_millis(5)) {
                if let Event::Close { code: told, .. } = event {
                    code = Some(told);
                }
            }
        }
        assert_eq!(code, tells.then_some(CloseCode::HostRestarted), "{shards} shards");
        let asked: u64 = hosts.iter_mut().map(|host| host.stats().who_are_you_sent).sum();
        assert_eq!(asked > 0, tells, "{shards} shards");
    }
}
