//! An introducer is shown where its parties are (INTRODUCTIONS.md 9.1).

use super::*;
use crate::introduction::OBSERVING_PORT;
use crate::wire::introduction::observe;

/// A datagram arrives at the host, at one of its ports.
fn show(pair: &mut Pair, from: Address, port: u16, bytes: &[u8]) {
    let path = Path { port, ..Path::to(from) };
    pair.ends[HOST].handle_datagram(pair.now, Datagram { path, bytes: &mut bytes.to_vec() });
}

/// Lets both do what is due. What the client shows by itself is lost.
fn settle(pair: &mut Pair) {
    for _ in 0..20 {
        pair.now += Duration::from_millis(1);
        pair.ends.iter_mut().for_each(|endpoint| endpoint.handle_timeout(pair.now));
        pair.exchange_if(|_, bytes| bytes[0] != 0x0d);
    }
}

#[test]
fn a_look_over_a_connection_is_concluded_from_what_arrives_at_both_ports() {
    let mut pair = Pair::new(Config::default().with(|config| config.introduction.introduces = true));
    pair.ends[HOST].set_observing_address(([0, 0, 0, 0], 28_001).into());
    let [host, client] = pair.connect();
    pair.ends[CLIENT].look_at_nat(pair.now, client).unwrap();
    settle(&mut pair);
    let stats = |pair: &Pair| pair.ends[HOST].introducer_stats().clone();
    assert_eq!((stats(&pair).looks, stats(&pair).tokens), (1, 6));
    let tokens = pair.ends[HOST].introductions.introducer.tokens_of(host);

    let from = address(CLIENT as u8);
    show(&mut pair, from, 0, &observe(&tokens[1]));
    show(&mut pair, from, OBSERVING_PORT, &observe(&tokens[0]));
    show(&mut pair, address(99), 0, &observe(&tokens[0]));
    for token in 0..1_000_u128 {
        show(&mut pair, from, 0, &observe(&token.to_be_bytes()));
    }
    show(&mut pair, from, 0, &observe(&tokens[0])[..16]);
    assert_eq!((stats(&pair).observes, stats(&pair).observes_refused), (0, 1_003));
    assert_eq!(pair.ends[HOST].stats().malformed, 1);
    assert!(pair.ends[HOST].transmits().is_empty(), "nothing is answered");

    show(&mut pair, from, 0, &observe(&tokens[0]));
    assert!(pair.ends[HOST].transmits().is_empty(), "one of two shows nothing");
    show(&mut pair, from, OBSERVING_PORT, &observe(&tokens[1]));
    assert_eq!((stats(&pair).observes, stats(&pair).nats_independent), (2, 1));
    assert!(!pair.ends[HOST].transmits().is_empty(), "the client is told in the connection");

    settle(&mut pair);
    pair.ends[CLIENT].close(pair.now, client, b"").unwrap();
    pair.advance(Duration::from_secs(5));
    assert_eq!(pair.ends[HOST].kept_for_introductions(), 0);
}

#[test]
fn a_socket_that_introduces_nobody_looks_at_nobody_and_drops_what_is_shown() {
    let mut pair = Pair::new(Config::default());
    pair.ends[HOST].set_observing_address(([0, 0, 0, 0], 28_001).into());
    let [_, client] = pair.connect();
    pair.ends[CLIENT].look_at_nat(pair.now, client).unwrap();
    settle(&mut pair);
    show(&mut pair, address(CLIENT as u8), 0, &observe(&[7; 16]));
    let stats = pair.ends[HOST].introducer_stats();
    assert_eq!((stats.looks, stats.observes_refused), (0, 1));
    assert!(pair.ends[HOST].transmits().is_empty());
    assert_eq!(pair.ends[HOST].kept_for_introductions(), 0);
}
