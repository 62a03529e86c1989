//! Which attempt a host's answer belongs to, and what an answer can cost others (PROTOCOL.md 5.5).

use alloc::collections::BTreeSet;

use super::*;
use crate::codes::RejectCode;
use crate::wire::{Reject, Reply, WHO_ARE_YOU};

/// A socket that connects, and hosts that accept whatever comes. Each host has an address of its own.
pub(super) struct Hosts {
    pub(super) now: Instant,
    pub(super) client: Endpoint,
    pub(super) hosts: Vec<Endpoint>,
    pub(super) events: Vec<Event>,
    /// Where the client has sent to.
    pub(super) addresses_asked: BTreeSet<Address>,
}

/// The address of the client. That of a host is its index.
pub(super) const OURS: u8 = 200;

fn elsewhere() -> Address {
    Address::from(SocketAddr::from(([10, 0, 0, 0], 1_234)))
}

impl Hosts {
    pub(super) fn new(hosts: u8) -> Self {
        Self {
            now: Instant::from_millis(1),
            client: endpoint(100),
            hosts: (0..hosts).map(endpoint).collect(),
            events: Vec::new(),
            addresses_asked: BTreeSet::new(),
        }
    }

    fn connect(&mut self, host: u8) -> ConnectionId {
        let options = ConnectOptions::new(Trust::Anyone);
        self.client.connect(self.now, address(host), options).unwrap()
    }

    /// Lets time pass. `source` says where a host's datagram seems to come from; without one it is lost.
    pub(super) fn advance(
        &mut self,
        millis: u64,
        mut source: impl FnMut(usize, &mut Vec<u8>) -> Option<Address>,
    ) {
        for _ in 0..millis {
            self.now += Duration::from_millis(1);
            self.client.handle_timeout(self.now);
            let sent: Vec<_> =
                self.client.transmits().iter().map(|sent| (sent.path.remote, sent.bytes.to_vec())).collect();
            self.client.transmits().clear();
            for (to, mut bytes) in sent {
                self.addresses_asked.insert(to);
                // The first host is also reached elsewhere.
                let to = if to == elsewhere() { address(0) } else { to };
                for (host, number) in self.hosts.iter_mut().zip(0..) {
                    if address(number) == to {
                        let datagram = Datagram { path: Path::to(address(OURS)), bytes: &mut bytes };
                        host.handle_datagram(self.now, datagram);
                    }
                }
            }
            for index in 0..self.hosts.len() {
                let host = &mut self.hosts[index];
                host.handle_timeout(self.now);
                while let Some(event) = host.poll_event() {
                    if let Event::ConnectRequest(request) = event {
                        host.accept_connection(self.now, request.connection, b"").unwrap();
                    }
                }
                let sent: Vec<_> = host.transmits().iter().map(|sent| sent.bytes.to_vec()).collect();
                host.transmits().clear();
                for mut bytes in sent {
                    if let Some(from) = source(index, &mut bytes) {
                        let datagram = Datagram { path: Path::to(from), bytes: &mut bytes };
                        self.client.handle_datagram(self.now, datagram);
                    }
                }
            }
            self.events.extend(core::iter::from_fn(|| self.client.poll_event()));
        }
    }

    pub(super) fn established(&self) -> Vec<(ConnectionId, Address, Option<ConnectionId>)> {
        let established = |event: &Event| match event {
            Event::Established { connection, remote, replaces, .. } => {
                Some((*connection, *remote, *replaces))
            }
            _ => None,
        };
        self.events.iter().filter_map(established).collect()
    }
}

type Change = fn(&mut Vec<u8>);

pub(super) fn is_reply(bytes: &[u8]) -> bool {
    Reply::parse(DatagramKind::of(bytes), bytes).is_ok()
}

#[test]
fn answers_from_another_port_establish_the_connection_there() {
    let mut hosts = Hosts::new(1);
    let id = hosts.connect(0);
    hosts.advance(1_000, |_, _| Some(elsewhere()));
    assert_eq!(hosts.established(), [(id, elsewhere(), None)]);
    hosts.client.send(hosts.now, id, b"hello").unwrap();
    assert_eq!(hosts.client.transmits().get(0).unwrap().path.remote, elsewhere());
    hosts.advance(1_000, |_, _| Some(elsewhere()));
    let verdict = hosts.events.iter().any(|event| {
        matches!(event, Event::Verdict { connection, delivery: Delivery::Delivered, .. } if *connection == id)
    });
    assert!(verdict, "the connection works there: {:?}", hosts.events);
}

#[test]
fn an_answer_with_an_unknown_nonce_is_counted_and_nothing_else() {
    let mut hosts = Hosts::new(1);
    let id = hosts.connect(0);
    let mut forged = 0;
    hosts.advance(2_000, |_, bytes| {
        // Every kind of them begins with its kind; rejects and challenge_responses have a version, too.
        let at = if matches!(bytes[0], 2 | 7) { 2 } else { 1 };
        if is_reply(bytes) {
            bytes[at + 15] ^= 1;
            forged += 1;
        }
        Some(address(0))
    });
    assert!(forged > 2);
    assert_eq!(hosts.client.stats().stray_handshake, forged);
    assert_eq!(hosts.client.stats().malformed + hosts.client.stats().bad_reply, 0);
    assert_eq!((hosts.events.len(), hosts.client.attempt_problem(id)), (0, None));
    hosts.advance(3_000, |_, _| Some(address(0)));
    assert_eq!(hosts.established(), [(id, address(0), None)]);
}

#[test]
fn two_attempts_do_not_mix() {
    let mut hosts = Hosts::new(2);
    let ids = [hosts.connect(0), hosts.connect(1)];
    // Each host's answers come from the other one's address.
    hosts.advance(600, |host, _| Some(address(1 - host as u8)));
    assert!(hosts.events.is_empty(), "{:?}", hosts.events);
    assert!(hosts.client.stats().stray_handshake >= 4);
    hosts.advance(3_000, |host, _| Some(address(host as u8)));
    let mut established = hosts.established();
    established.sort_unstable();
    let keys: Vec<_> = hosts
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Established { connection, public_key, .. } => Some((*connection, *public_key)),
            _ => None,
        })
        .collect();
    assert_eq!(established, [(ids[0], address(0), None), (ids[1], address(1), None)]);
    for (id, key) in keys {
        let host = usize::from(id == ids[1]);
        assert_eq!(key, hosts.hosts[host].public_key());
    }
}

#[test]
fn answers_from_a_connected_address_cost_that_connection_nothing() {
    let mut hosts = Hosts::new(2);
    let first = hosts.connect(0);
    hosts.advance(1_000, |host, _| Some(address(host as u8)));
    let second = hosts.connect(1);
    hosts.advance(600, |_, _| Some(address(0)));
    assert_eq!(hosts.established(), [(first, address(0), None)]);
    hosts.advance(3_000, |host, _| Some(address(host as u8)));
    assert_eq!(hosts.established(), [(first, address(0), None), (second, address(1), None)]);
    assert_eq!(hosts.client.connections().count(), 2);
}

/// Lets a host's connect_accept come to nobody, and returns it.
fn intercept_accept(hosts: &mut Hosts) -> Vec<u8> {
    let mut accept = Vec::new();
    for _ in 0..2_000 {
        hosts.advance(1, |host, bytes| {
            if DatagramKind::of(bytes) != DatagramKind::ConnectAccept {
                return Some(address(host as u8));
            }
            accept.clone_from(bytes);
            None
        });
        if !accept.is_empty() {
            return accept;
        }
    }
    panic!("no host accepts");
}

fn hear(hosts: &mut Hosts, from: Address, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    hosts.client.handle_datagram(hosts.now, Datagram { path: Path::to(from), bytes: &mut bytes });
    hosts.events.extend(core::iter::from_fn(|| hosts.client.poll_event()));
}

#[test]
fn a_copied_accept_from_elsewhere_does_not_move_the_connection() {
    let mut hosts = Hosts::new(1);
    let id = hosts.connect(0);
    let accept = intercept_accept(&mut hosts);
    hear(&mut hosts, address(77), &accept);
    assert!(hosts.events.is_empty(), "it waits for the address that was asked: {:?}", hosts.events);
    hosts.advance(20, |_, _| None);
    hear(&mut hosts, address(0), &accept);
    assert_eq!(hosts.established(), [(id, address(0), None)]);
    hosts.client.send(hosts.now, id, b"at once").unwrap();
    hosts.advance(1_000, |_, _| Some(address(0)));
    assert!(!hosts.addresses_asked.contains(&address(77)), "nothing goes there");
}

#[test]
fn an_address_that_was_not_asked_gets_only_pings_until_it_is_heard() {
    let mut hosts = Hosts::new(1);
    let id = hosts.connect(0);
    let accept = intercept_accept(&mut hosts);
    hear(&mut hosts, elsewhere(), &accept);
    hosts.advance(2_000, |_, bytes| (DatagramKind::of(bytes) != DatagramKind::Packet).then(elsewhere));
    assert_eq!(hosts.established(), [(id, elsewhere(), None)]);
    assert_eq!(hosts.client.send(hosts.now, id, b"data"), Err(SendError::Blocked));
    let sent = hosts.client.connection_stats(id).unwrap().counters.bytes_sent;
    assert!(sent < 2 * accept.len() as u64, "{sent} bytes of pings for {}", accept.len());
    hosts.advance(3_000, |_, _| Some(elsewhere()));
    hosts.client.send(hosts.now, id, b"data").unwrap();
}

#[test]
fn a_closed_attempt_does_not_come_back_with_the_accept_that_it_holds() {
    let mut hosts = Hosts::new(1);
    let id = hosts.connect(0);
    let accept = intercept_accept(&mut hosts);
    hear(&mut hosts, elsewhere(), &accept);
    hosts.client.close(hosts.now, id, b"").unwrap();
    hosts.advance(1_000, |_, _| Some(elsewhere()));
    hear(&mut hosts, address(0), &accept);
    assert!(matches!(hosts.events[..], [Event::Close { .. }]), "{:?}", hosts.events);
    assert_eq!(hosts.client.slots_used(), 0);
}

#[test]
fn an_attempt_that_holds_an_accept_crosses_a_request_by_the_rule() {
    const SEEDS: u8 = 8;
    let mut superseded = 0;
    for seed in 0..SEEDS {
        let mut hosts = Hosts::new(1);
        hosts.client = endpoint(100 + seed);
        hosts.connect(0);
        let accept = intercept_accept(&mut hosts);
        hear(&mut hosts, elsewhere(), &accept);
        let options = ConnectOptions::new(Trust::Anyone);
        hosts.hosts[0].connect(hosts.now, address(OURS), options).unwrap();
        // Shorter than the wait for the address that was asked.
        hosts.advance(100, |_, _| Some(address(0)));
        let lost = |event: &&Event| matches!(event, Event::Close { code: CloseCode::Superseded, .. });
        superseded += hosts.events.iter().filter(lost).count();
        hosts.advance(30_000, |_, _| None);
        assert!(hosts.client.attempts.is_empty(), "seed {seed} leaves something of its attempt");
    }
    // The smaller nonce survives, and nonces are random.
    assert!((1..usize::from(SEEDS)).contains(&superseded), "{superseded} of {SEEDS}");
}

#[test]
fn an_answer_from_the_address_of_a_closing_connection_does_not_end_it() {
    let mut hosts = Hosts::new(2);
    let first = hosts.connect(0);
    hosts.advance(1_000, |host, _| Some(address(host as u8)));
    hosts.client.send(hosts.now, first, b"last words").unwrap();
    hosts.client.close(hosts.now, first, b"").unwrap();
    let second = hosts.connect(1);
    // The first host is far away, and the second one forges its address.
    hosts.advance(600, |host, _| (host == 1).then_some(address(0)));
    hosts.advance(3_000, |host, _| Some(address(host as u8)));
    assert_eq!(hosts.established(), [(first, address(0), None), (second, address(1), None)]);
    let verdict = hosts.events.iter().find_map(|event| match event {
        Event::Verdict { connection, delivery, .. } if *connection == first => Some(*delivery),
        _ => None,
    });
    assert_eq!(verdict, Some(Delivery::Delivered));
}

#[test]
fn a_host_answers_no_challenge_request_that_is_malformed_or_its_own() {
    let mut host = endpoint(1);
    let mut client = endpoint(2);
    let options = ConnectOptions::new(Trust::Anyone);
    client.connect(Instant::from_millis(1), address(0), options).unwrap();
    let good = client.transmits().get(0).unwrap().bytes.to_vec();
    client.transmits().clear();

    let hear = |endpoint: &mut Endpoint, change: Change| {
        let mut bytes = good.clone();
        change(&mut bytes);
        let datagram = Datagram { path: Path::to(address(OURS)), bytes: &mut bytes };
        endpoint.handle_datagram(Instant::from_millis(2), datagram);
        let answer = endpoint.transmits().get(0).map(|answer| answer.bytes.to_vec());
        endpoint.transmits().clear();
        answer
    };
    let malformed: [Change; 3] = [|bytes| bytes[1] ^= 1, |bytes| bytes[767] = 1, |bytes| bytes.truncate(767)];
    for change in malformed {
        assert_eq!(hear(&mut host, change), None);
    }
    assert_eq!(host.stats().malformed, 3);
    let reject = hear(&mut host, |bytes| bytes[9] = 2).unwrap();
    assert_eq!(Reject::parse(&reject).unwrap().code, RejectCode::VersionMismatch);
    assert_eq!(host.stats().version_mismatch, 1);
    assert_eq!(hear(&mut client, |_| {}), None, "its own request has come back");
    assert_eq!(client.stats().reflected, 1);
    assert!(hear(&mut host, |_| {}).is_some());
}

#[test]
fn a_close_opens_no_address_that_was_not_asked_to_punches() {
    let mut hosts = Hosts::new(1);
    let id = hosts.connect(0);
    let accept = intercept_accept(&mut hosts);
    hear(&mut hosts, elsewhere(), &accept);
    hosts.advance(300, |_, _| None);
    assert_eq!(hosts.established(), [(id, elsewhere(), None)]);
    hosts.client.close(hosts.now, id, b"").unwrap();
    hear(&mut hosts, elsewhere(), &WHO_ARE_YOU);
    hosts.client.transmits().iter().for_each(|transmit| {
        assert_ne!(DatagramKind::of(transmit.bytes), DatagramKind::Punch, "to {}", transmit.path.remote);
    });
    assert_eq!(hosts.client.stats().punches_sent, 0);
}
