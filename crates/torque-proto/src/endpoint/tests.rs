//! Two endpoints that hand each other their datagrams directly. What a network does to them is tested in
//! torque-sim.

mod answers;
mod candidates;
#[cfg(feature = "introductions")]
mod further_ports;
mod hostile;
#[cfg(feature = "introductions")]
mod observing;
mod origins;
mod paths;
mod replies;
mod shares;

use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::*;
use crate::event::{ChallengeResponse, ConnectRequest, Delivery};
use crate::handshake::Trust;

pub(super) fn address(number: u8) -> Address {
    Address::from(SocketAddr::from(([10, 0, 0, number], 28_000)))
}

/// An endpoint that begins at one millisecond.
fn endpoint(seed: u8) -> Endpoint {
    endpoint_with(seed, Config::default())
}

fn endpoint_with(seed: u8, config: Config) -> Endpoint {
    let setup = Setup { config, key_pair: None, seed: [seed; 32], unix_millis: 1_700_000_000_000 };
    Endpoint::new(Instant::from_millis(1), setup).unwrap()
}

struct Pair {
    now: Instant,
    ends: [Endpoint; 2],
}

const HOST: usize = 0;
const CLIENT: usize = 1;

impl Pair {
    fn new(config: Config) -> Self {
        let ends = [1, 2].map(|seed| endpoint_with(seed, config.clone()));
        Self { now: Instant::from_millis(1), ends }
    }

    /// Hands datagrams over until none is left; those for which `keep` says no are lost.
    fn exchange_if(&mut self, mut keep: impl FnMut(usize, &[u8]) -> bool) {
        loop {
            let mut idle = true;
            for from in [HOST, CLIENT] {
                let datagrams: Vec<Vec<u8>> =
                    self.ends[from].transmits().iter().map(|transmit| transmit.bytes.to_vec()).collect();
                self.ends[from].transmits().clear();
                for mut bytes in datagrams {
                    idle = false;
                    if keep(from, &bytes) {
                        let datagram = Datagram { path: Path::to(address(from as u8)), bytes: &mut bytes };
                        self.ends[1 - from].handle_datagram(self.now, datagram);
                    }
                }
            }
            if idle {
                return;
            }
        }
    }

    fn exchange(&mut self) {
        self.exchange_if(|_, _| true);
    }

    fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while self.now < end {
            self.now += Duration::from_millis(1);
            for endpoint in &mut self.ends {
                endpoint.handle_timeout(self.now);
            }
            self.exchange();
        }
    }

    fn events(&mut self, end: usize) -> Vec<Event> {
        core::iter::from_fn(|| self.ends[end].poll_event()).collect()
    }

    /// Connects, and returns the host's and the client's id.
    fn connect(&mut self) -> [ConnectionId; 2] {
        let options = ConnectOptions::new(Trust::Anyone).with_data(b"hello");
        let client = self.ends[CLIENT].connect(self.now, address(HOST as u8), options).unwrap();
        self.exchange();
        self.advance(Duration::from_millis(5));
        let requests = self.events(HOST);
        let [Event::ConnectRequest(ConnectRequest { connection: host, connect_data, .. })] = &requests[..]
        else {
            panic!("{requests:?}")
        };
        assert_eq!(connect_data, b"hello");
        self.ends[HOST].accept_connection(self.now, *host, b"welcome").unwrap();
        self.exchange();
        let established = self.events(CLIENT);
        assert!(
            matches!(&established[..], [Event::Established { accept_data, .. }] if accept_data == b"welcome"),
            "{established:?}"
        );
        let established = self.events(HOST);
        assert!(matches!(established[..], [Event::Established { .. }]), "{established:?}");
        [*host, client]
    }
}

#[test]
fn the_first_packet_is_answered_from_where_it_arrived() {
    let mut pair = Pair::new(Config::default());
    let options = ConnectOptions::new(Trust::Anyone);
    pair.ends[CLIENT].connect(pair.now, address(HOST as u8), options).unwrap();
    pair.exchange();
    pair.advance(Duration::from_millis(5));
    let requests = pair.events(HOST);
    let [Event::ConnectRequest(request)] = &requests[..] else { panic!("{requests:?}") };
    pair.ends[HOST].accept_connection(pair.now, request.connection, b"").unwrap();
    let accept = pair.ends[HOST].transmits().get(0).unwrap().bytes.to_vec();
    pair.ends[HOST].transmits().clear();
    let path = Path::to(address(HOST as u8));
    pair.ends[CLIENT].handle_datagram(pair.now, Datagram { path, bytes: &mut accept.clone() });
    let mut ping = pair.ends[CLIENT].transmits().get(0).unwrap().bytes.to_vec();
    let path = Path { local: Some([10, 9, 9, 9].into()), ..Path::to(address(CLIENT as u8)) };
    pair.ends[HOST].handle_datagram(pair.now, Datagram { path, bytes: &mut ping });
    assert_eq!(pair.ends[HOST].transmits().get(0).unwrap().path, path);
}

#[test]
fn two_endpoints_connect_exchange_packets_and_close_with_all_verdicts() {
    let mut pair = Pair::new(Config::default());
    let ids = pair.connect();
    let mut numbers = Vec::new();
    for round in 0..300u32 {
        for end in [HOST, CLIENT] {
            let sequence = pair.ends[end].send(pair.now, ids[end], &round.to_be_bytes()).unwrap();
            if end == HOST {
                numbers.push(sequence);
            }
        }
        // Every seventh packet of the host is lost.
        pair.exchange_if(|from, _| from == CLIENT || round % 7 != 0);
        pair.advance(Duration::from_millis(2));
        for event in pair.events(CLIENT) {
            if let Event::Packet { payload, .. } = event {
                assert_eq!(payload, round.to_be_bytes()[..]);
                assert_ne!(round % 7, 0);
            }
        }
        for event in pair.events(HOST) {
            if let Event::Verdict { sequence, delivery, .. } = event {
                let index = numbers.iter().position(|number| *number == sequence).unwrap();
                let expected = if index % 7 == 0 { Delivery::Dropped } else { Delivery::Delivered };
                assert_eq!(delivery, expected, "packet {index}");
            }
        }
    }
    pair.ends[CLIENT].close(pair.now, ids[CLIENT], b"bye").unwrap();
    pair.exchange();
    let last = pair.events(HOST).pop();
    assert!(matches!(last, Some(Event::Close { by: ClosedBy::Remote, reason, .. }) if reason == b"bye"));
    let last = pair.events(CLIENT).pop();
    assert!(matches!(last, Some(Event::Close { by: ClosedBy::Application, .. })));
    pair.advance(Duration::from_secs(5));
    assert_eq!([pair.ends[0].slots_used(), pair.ends[1].slots_used()], [0, 0]);
}

#[test]
fn idle_connections_stay_and_silent_ones_time_out_as_unknown() {
    let mut pair = Pair::new(Config::default());
    let ids = pair.connect();
    pair.advance(Duration::from_secs(60));
    assert!(pair.events(HOST).is_empty() && pair.events(CLIENT).is_empty());
    let sequence = pair.ends[HOST].send(pair.now, ids[HOST], b"into the dark").unwrap();
    for _ in 0..40_000 {
        pair.now += Duration::from_millis(1);
        pair.ends[HOST].handle_timeout(pair.now);
        pair.ends[HOST].transmits().clear();
    }
    let events = pair.events(HOST);
    assert!(
        matches!(events[0], Event::Verdict { sequence: s, delivery: Delivery::Unknown, .. } if s == sequence)
    );
    assert!(matches!(events[1], Event::Close { code: CloseCode::TimedOut, .. }));
    assert_eq!(events.len(), 2);
    assert_eq!(pair.ends[HOST].slots_used(), 0);
}

#[test]
fn every_cipher_tag_and_window_carries_packets() {
    for cipher in crate::Cipher::DEFAULT_OFFER {
        for (window, tag) in [(8, 4), (128, 8), (129, 16), (2_048, 5), (32_768, 12)] {
            let mut config = Config { ciphers: vec![cipher], min_tag_bytes: 4, ..Config::default() };
            config.settings.packet_window = window;
            config.settings.tag_bytes = tag;
            let mut pair = Pair::new(config);
            let ids = pair.connect();
            let (mut received, mut delivered) = (0, 0);
            for round in 0..20u8 {
                pair.ends[HOST].send(pair.now, ids[HOST], &[round; 100]).unwrap();
                pair.advance(Duration::from_millis(60));
                received += count(pair.events(CLIENT), |event| matches!(event, Event::Packet { .. }));
                delivered += count(pair.events(HOST), |event| {
                    matches!(event, Event::Verdict { delivery: Delivery::Delivered, .. })
                });
            }
            assert_eq!((received, delivered), (20, 20), "{cipher:?} window {window} tag {tag}");
        }
    }
}

/// A report has at most 255 bytes: 2,040 sequences. What lies beyond has to follow.
#[test]
fn bursts_larger_than_a_report_get_all_their_verdicts() {
    for both_ways in [false, true] {
        let mut config = Config::default();
        config.settings.packet_window = 32_768;
        config.limits.queued_transmits = 20_000;
        config.limits.queued_packets = 20_000;
        let mut pair = Pair::new(config);
        let ids = pair.connect();
        let senders = if both_ways { vec![HOST, CLIENT] } else { vec![HOST] };
        for from in &senders {
            for _ in 0..10_000 {
                pair.ends[*from].send(pair.now, ids[*from], b"x").unwrap();
            }
        }
        let mut sent = [0; 2];
        pair.exchange_if(|from, _| {
            sent[from] += 1;
            !matches!(sent[from], 2 | 9_001)
        });
        pair.advance(Duration::from_secs(20));
        for from in senders {
            let verdicts: Vec<Delivery> = pair
                .events(from)
                .into_iter()
                .filter_map(|event| match event {
                    Event::Verdict { delivery, .. } => Some(delivery),
                    _ => None,
                })
                .collect();
            assert_eq!(verdicts.len(), 10_000, "both ways: {both_ways}");
            let dropped = verdicts.iter().filter(|delivery| **delivery == Delivery::Dropped).count();
            assert_eq!(dropped, 2);
        }
    }
}

fn count(events: Vec<Event>, which: impl Fn(&Event) -> bool) -> usize {
    events.iter().filter(|event| which(event)).count()
}

#[test]
fn data_one_way_wakes_the_keys_of_both_directions() {
    let mut pair = Pair::new(Config::default());
    let ids = pair.connect();
    pair.advance(Duration::from_secs(30));
    pair.ends[CLIENT].send(pair.now, ids[CLIENT], b"alone").unwrap();
    pair.exchange();
    // Acknowledgments come back by keys that would have to be derived for each of them.
    for end in [HOST, CLIENT] {
        let slot = &pair.ends[end].slots.get(ids[end]).unwrap().slot;
        assert!(slot.connection().unwrap().is_awake());
    }
}

#[test]
fn an_idle_connection_rests_and_works_as_before() {
    let mut pair = Pair::new(Config::default());
    let ids = pair.connect();
    for _ in 0..3 {
        for end in [HOST, CLIENT] {
            for _ in 0..100 {
                pair.ends[end].send(pair.now, ids[end], b"much").unwrap();
            }
        }
        pair.exchange();
        pair.advance(Duration::from_millis(200));
        for end in [HOST, CLIENT] {
            let events = pair.events(end);
            assert_eq!(events.iter().filter(|event| matches!(event, Event::Packet { .. })).count(), 100);
            assert_eq!(events.len(), 200);
        }
        let is_resting = |pair: &Pair, end: usize| {
            pair.ends[end].slots.get(ids[end]).unwrap().slot.connection().unwrap().is_resting()
        };
        assert!(!is_resting(&pair, HOST) && !is_resting(&pair, CLIENT));
        // Pings pass meanwhile, which does not keep it from resting.
        pair.advance(Duration::from_secs(11));
        assert!(is_resting(&pair, HOST) && is_resting(&pair, CLIENT));
        for end in [HOST, CLIENT] {
            let kind = pair.ends[end].poll_timeout().unwrap().1;
            assert_ne!(kind, crate::TimerKind::Rest, "it has nothing left to give back");
        }
    }
}

/// A driver with a queue of its own has taken the events; the application has taken none.
#[test]
fn held_packets_count_until_they_are_released() {
    let mut config = Config::default();
    config.limits.queued_packets = 10;
    let mut pair = Pair::new(config);
    let ids = pair.connect();
    let send = |pair: &mut Pair, packets: usize| {
        for _ in 0..packets {
            pair.ends[CLIENT].send(pair.now, ids[CLIENT], b"x").unwrap();
        }
        pair.exchange();
        pair.advance(Duration::from_secs(1));
        let mut taken = 0;
        while let Some(event) = pair.ends[HOST].poll_event_held() {
            taken += usize::from(matches!(event, Event::Packet { .. }));
        }
        let delivered = |event: &Event| matches!(event, Event::Verdict { delivery: Delivery::Delivered, .. });
        assert_eq!(count(pair.events(CLIENT), delivered), taken, "what was not taken is told to be dropped");
        taken
    };
    assert_eq!(send(&mut pair, 15), 10);
    assert_eq!(send(&mut pair, 15), 0);
    pair.ends[HOST].release_packets(ids[HOST], 4);
    assert_eq!(send(&mut pair, 15), 4);
    pair.ends[HOST].release_packets(ids[HOST], usize::MAX);
    assert_eq!(send(&mut pair, 15), 10);
    // They count towards the bound of all connections as well, and no longer when theirs has ended.
    assert_eq!(pair.ends[HOST].events.packets(), 10);
    pair.ends[HOST].config.limits.queued_packets_total = 10;
    pair.ends[HOST].config.limits.queued_packets = 1_000;
    assert_eq!(send(&mut pair, 15), 0);
    pair.ends[CLIENT].close(pair.now, ids[CLIENT], b"").unwrap();
    pair.advance(Duration::from_secs(8));
    assert_eq!(pair.ends[HOST].events.packets(), 0);
}

/// The timer of an end's connection is armed for its deadline (`send` asserts it as well where it leaves the timer alone).
#[test]
fn the_timer_is_right_whatever_happens_at_one_time() {
    let mut pair = Pair::new(Config::default());
    let [at_host, at_client] = pair.connect();
    let ids = [at_host, at_client];
    let mut draw = 7_u32;
    for step in 0..2_000_u32 {
        draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let end = (draw >> 9) as usize & 1;
        match (draw >> 10) % 8 {
            0..=4 => drop(pair.ends[end].send(pair.now, ids[end], b"one of several")),
            5 => pair.exchange_if(|_, bytes| bytes[0] & 1 == 0 || step % 3 > 0),
            6 => pair.advance(Duration::from_micros(u64::from(draw >> 16) % 40_000)),
            _ => drop((pair.events(HOST), pair.events(CLIENT))),
        }
        for (end, &id) in pair.ends.iter().zip(&ids) {
            let deadline = end.slots.get(id).unwrap().slot.deadline().map(|(at, _)| at);
            assert_eq!(end.wheel.due(id.slot() as u32), deadline, "step {step}");
        }
    }
}

#[test]
fn an_attempt_from_a_further_port_stays_at_that_port_and_nobody_may_connect_there() {
    const PORT: u16 = 40_000;
    let mut pair = Pair::new(Config::default());
    let mut now = pair.now;
    let options = ConnectOptions::new(Trust::Anyone);
    let [host, client] = &mut pair.ends;
    let id = client.connect_unresolved_from(now, PORT, options).unwrap();
    let address = Address::from_virtual(7);
    client.add_candidates(now, id, &[address]).unwrap();
    let mut is_established = false;
    for _ in 0..50 {
        // A puzzle is solved in slices.
        now += Duration::from_millis(1);
        client.handle_timeout(now);
        let mut sent = Vec::new();
        for transmit in client.transmits().iter() {
            assert_eq!(transmit.path, Path { remote: address, local: None, port: PORT });
            sent.push(transmit.bytes.to_vec());
        }
        client.transmits().clear();
        for bytes in &mut sent {
            host.handle_datagram(now, Datagram { path: Path::to(Address::from_virtual(8)), bytes });
        }
        while let Some(event) = host.poll_event() {
            if let Event::ConnectRequest(request) = event {
                host.accept_connection(now, request.connection, b"").unwrap();
            }
        }
        let answers: Vec<_> = host.transmits().iter().map(|transmit| transmit.bytes.to_vec()).collect();
        host.transmits().clear();
        for answer in answers {
            // A copy at the bound port comes first, and changes nothing for the attempt.
            let ports = if is_established { &[PORT, 0] } else { &[0, PORT] };
            for port in ports {
                let path = Path { remote: address, local: None, port: *port };
                client.handle_datagram(now, Datagram { path, bytes: &mut answer.clone() });
            }
        }
        while let Some(event) = client.poll_event() {
            is_established |= matches!(event, Event::Established { .. });
        }
    }
    assert!(is_established);
    assert!(client.stats().stray_handshake >= 2, "{:?}", client.stats());

    let stranger = Address::from_virtual(9);
    host.connect(now, stranger, ConnectOptions::new(Trust::Anyone)).unwrap();
    let mut request = host.transmits().get(0).unwrap().bytes.to_vec();
    let path = Path { remote: stranger, local: None, port: PORT };
    client.handle_datagram(now, Datagram { path, bytes: &mut request });
    assert_eq!(client.stats().not_accepting, 1);
    assert!(client.transmits().is_empty());
}
