//! One attempt that asks several addresses (PROTOCOL.md 5.5).

use alloc::collections::BTreeSet;

use super::replies::{Hosts, OURS, is_reply};
use super::*;
use crate::schedule::{MAX_CANDIDATES, NEXT_CANDIDATE};

/// Nobody answers here.
fn silent(number: u8) -> Address {
    Address::from(SocketAddr::from(([10, 1, 0, number], 28_000)))
}

impl Hosts {
    fn connect_to(&mut self, addresses: &[Address], trust: Trust) -> ConnectionId {
        self.client.connect_to(self.now, addresses, ConnectOptions::new(trust)).unwrap()
    }

    /// Lets time pass while every datagram arrives.
    fn pass(&mut self, millis: u64) {
        self.advance(millis, |host, _| Some(address(host as u8)));
    }

    /// The addresses that wait to be sent to.
    fn asked(&mut self) -> Vec<Address> {
        self.client.transmits().iter().map(|sent| sent.path.remote).collect()
    }

    #[track_caller]
    fn assert_ended(&self, id: ConnectionId, wanted: CloseCode, said: &[u8]) {
        match self.events.as_slice() {
            [Event::Close { connection, code, by: ClosedBy::Socket, reason }] => {
                assert_eq!((*connection, *code, reason.as_slice()), (id, wanted, said));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Who heard a request, counted by its host.
fn requests(hosts: &mut Hosts) -> Vec<u64> {
    hosts.hosts.iter_mut().map(|host| host.stats().challenges_answered).collect()
}

#[test]
fn the_next_address_is_asked_after_a_quarter_of_a_second() {
    let mut hosts = Hosts::new(2);
    let id = hosts.connect_to(&[silent(1), silent(2), address(0), address(1)], Trust::Anyone);
    assert_eq!(hosts.asked(), [silent(1)]);
    assert_eq!(hosts.client.remote_address(id), None, "nobody knows yet");
    hosts.pass(NEXT_CANDIDATE.as_millis() as u64 * 2 - 2);
    assert!(hosts.events.is_empty() && requests(&mut hosts) == [0, 0]);
    hosts.pass(20);
    assert_eq!(hosts.established(), [(id, address(0), None)]);
    hosts.pass(30_000);
    assert_eq!(hosts.events.len(), 1, "the other addresses end without a word: {:?}", hosts.events);
    assert_eq!(requests(&mut hosts), [1, 0]);
    assert_eq!(hosts.client.stats().connections_started, 1);
}

#[test]
fn the_application_is_asked_once_about_the_first_that_answers() {
    let mut hosts = Hosts::new(2);
    let id = hosts.connect_to(&[address(0), address(1)], Trust::Ask);
    // The first one's answers are slow, so that the second is asked as well.
    hosts.advance(600, |host, _| (host == 1).then_some(address(1)));
    hosts.pass(600);
    let [Event::ChallengeResponse(question)] = hosts.events.as_slice() else { panic!("{:?}", hosts.events) };
    assert_eq!((question.connection, question.public_key), (id, hosts.hosts[1].public_key()));
    hosts.events.clear();
    hosts.client.accept_challenge(hosts.now, id).unwrap();
    hosts.pass(5_000);
    assert_eq!(hosts.established(), [(id, address(1), None)]);
    assert_eq!(hosts.events.len(), 1);
    // Nothing holds the other address.
    hosts.client.connect(hosts.now, address(0), ConnectOptions::new(Trust::Anyone)).unwrap();
}

#[test]
fn a_pinned_key_is_looked_for_at_every_address() {
    let mut hosts = Hosts::new(2);
    let pin = hosts.hosts[1].public_key();
    let begun = hosts.now;
    let id = hosts.connect_to(&[address(0), address(1)], Trust::Pinned(pin));
    hosts.pass(100);
    assert_eq!(hosts.established(), [(id, address(1), None)]);
    assert!(
        hosts.now.saturating_since(begun) < NEXT_CANDIDATE,
        "an answer that is no use lets the next one begin"
    );

    let nobody = endpoint_key(77);
    let mut hosts = Hosts::new(2);
    let id = hosts.connect_to(&[address(0), silent(1), address(1)], Trust::Pinned(nobody));
    hosts.pass(5_000);
    assert_eq!(hosts.client.attempt_problem(id), Some(CloseCode::KeyMismatch));
    assert!(requests(&mut hosts)[0] > 3, "a forged answer ends nothing: {:?}", requests(&mut hosts));
    hosts.pass(10_000);
    hosts.assert_ended(id, CloseCode::KeyMismatch, b"");
}

fn endpoint_key(seed: u8) -> PublicKey {
    KeyPair::from_seed([seed; 32]).public()
}

#[test]
fn an_obstacle_lets_the_next_address_begin_and_is_the_reason_at_the_end() {
    let mut hosts = Hosts::new(1);
    let id = hosts.connect_to(&[silent(1), silent(2), address(0)], Trust::Anyone);
    hosts.client.obstacle(hosts.now, silent(1), "no route", false);
    assert_eq!(hosts.asked(), [silent(1), silent(2)]);
    hosts.client.obstacle(hosts.now, silent(2), "wrong family", true);
    assert_eq!(hosts.asked(), [silent(1), silent(2), address(0)]);
    hosts.pass(100);
    assert_eq!(hosts.established(), [(id, address(0), None)]);

    let mut hosts = Hosts::new(0);
    let id = hosts.connect_to(&[silent(1), silent(2)], Trust::Anyone);
    for _ in 0..20 {
        hosts.client.obstacle(hosts.now, silent(1), "no route", false);
        hosts.pass(1_000);
    }
    hosts.assert_ended(id, CloseCode::Unreachable, b"no route");

    let mut hosts = Hosts::new(0);
    let id = hosts.connect_to(&[silent(1)], Trust::Anyone);
    hosts.client.obstacle(hosts.now, silent(1), "no route", false);
    hosts.pass(20_000);
    hosts.assert_ended(id, CloseCode::NoAnswer, b"");

    let mut hosts = Hosts::new(0);
    let id = hosts.connect_to(&[silent(1)], Trust::Anyone);
    hosts.client.obstacle(hosts.now, silent(1), &"ä".repeat(400), true);
    hosts.pass(1);
    hosts.assert_ended(id, CloseCode::Unreachable, "ä".repeat(255).as_bytes());
}

#[test]
fn an_attempt_waits_for_its_addresses_and_ends_without_any() {
    let mut hosts = Hosts::new(1);
    let options = || ConnectOptions::new(Trust::Anyone);
    let id = hosts.client.connect_unresolved(hosts.now, options()).unwrap();
    hosts.pass(300_000);
    assert!(hosts.events.is_empty() && hosts.client.stats().datagrams_sent == 0);
    assert_eq!(hosts.client.send(hosts.now, id, b"too early"), Err(SendError::NotEstablished));
    assert_eq!(hosts.client.accept_challenge(hosts.now, id), Err(CallError::NotWaiting));
    hosts.client.add_candidates(hosts.now, id, &[silent(1)]).unwrap();
    hosts.client.add_candidates(hosts.now, id, &[silent(1)]).unwrap();
    hosts.pass(20_000);
    assert!(hosts.events.is_empty(), "more may come: {:?}", hosts.events);
    hosts.client.add_candidates(hosts.now, id, &[address(0)]).unwrap();
    hosts.pass(50);
    assert_eq!(hosts.established(), [(id, address(0), None)]);
    assert_eq!(hosts.client.add_candidates(hosts.now, id, &[silent(2)]), Err(CallError::NotWaiting));
    assert_eq!(
        hosts.client.end_candidates(hosts.now, id, CloseCode::NameNotFound, ""),
        Err(CallError::NotWaiting)
    );

    hosts.events.clear();
    let id = hosts.client.connect_unresolved(hosts.now, options()).unwrap();
    for _ in 0..3 {
        hosts.client.add_candidates(hosts.now, id, &[silent(1)]).unwrap();
    }
    hosts.client.end_candidates(hosts.now, id, CloseCode::NameNotFound, "").unwrap();
    hosts.pass(20_000);
    hosts.assert_ended(id, CloseCode::NoAnswer, b"");

    hosts.events.clear();
    let id = hosts.client.connect_unresolved(hosts.now, options()).unwrap();
    hosts.client.end_candidates(hosts.now, id, CloseCode::NameNotFound, "no such host").unwrap();
    hosts.pass(1);
    hosts.assert_ended(id, CloseCode::NameNotFound, b"no such host");
    assert_eq!(hosts.client.add_candidates(hosts.now, id, &[address(0)]), Err(CallError::Closed));

    hosts.events.clear();
    let id = hosts.client.connect_unresolved(hosts.now, options()).unwrap();
    hosts.client.close(hosts.now, id, b"").unwrap();
    hosts.pass(1);
    assert!(
        matches!(hosts.events.as_slice(), [Event::Close { connection, code: CloseCode::Closed, .. }] if *connection == id)
    );
    assert_eq!(hosts.client.slots_used(), 1);
}

#[test]
fn the_addresses_of_an_attempt_are_bounded_and_belong_to_nobody_else() {
    let mut hosts = Hosts::new(2);
    let first = hosts.connect_to(&[address(0)], Trust::Anyone);
    hosts.pass(100);
    let many: Vec<_> = (0..100).map(silent).collect();
    let racing = hosts.connect_to(&many, Trust::Anyone);
    hosts.advance(6_000, |_, _| None);
    let started: BTreeSet<_> = hosts.addresses_asked.iter().filter(|asked| many.contains(asked)).collect();
    assert_eq!(started.len(), MAX_CANDIDATES);
    // What the connection and the attempt have is not asked again; the rest is.
    let id = hosts.connect_to(&[address(0), silent(3), address(1)], Trust::Anyone);
    hosts.pass(100);
    assert!(hosts.established().contains(&(id, address(1), None)), "{:?}", hosts.events);
    assert!(hosts.client.connections().any(|open| open == first));
    hosts.events.clear();
    let options = || ConnectOptions::new(Trust::Anyone);
    assert_eq!(hosts.client.connect(hosts.now, silent(3), options()), Err(CallError::AddressInUse));
    let id = hosts.connect_to(&[address(0), silent(3)], Trust::Anyone);
    hosts.pass(1);
    hosts.assert_ended(id, CloseCode::AddressInUse, b"");
    hosts.client.close(hosts.now, racing, b"").unwrap();
    assert!(hosts.client.connect(hosts.now, silent(3), options()).is_ok());
}

#[test]
fn a_request_from_one_address_leaves_the_others_their_chance() {
    // The first host asks us while we ask it: the smaller nonce survives.
    let mut superseded = 0;
    for seed in 0..8 {
        let mut hosts = Hosts::new(2);
        hosts.client = endpoint(100 + seed);
        let id = hosts.connect_to(&[address(0), address(1)], Trust::Anyone);
        let options = ConnectOptions::new(Trust::Anyone);
        hosts.hosts[0].connect(hosts.now, address(OURS), options).unwrap();
        // Its challenge_responses are lost.
        hosts.advance(1_000, |host, bytes| (host == 1 || bytes[0] != 2).then_some(address(host as u8)));
        assert_eq!(hosts.established(), [(id, address(1), None)], "{:?}", hosts.events);
        let requested = hosts.events.iter().any(|event| matches!(event, Event::ConnectRequest(_)));
        superseded += u32::from(requested);
    }
    assert!((1..8).contains(&superseded), "{superseded}");
}

/// Whatever is called in whatever order, nothing of an attempt stays behind, and each has one end.
#[test]
fn attempts_that_end_in_any_order_leave_nothing_behind() {
    for seed in 0..60 {
        let mut rng = Rng::new([seed; 32]);
        let mut hosts = Hosts::new(3);
        let mut ids = Vec::new();
        for _ in 0..120 {
            let now = hosts.now;
            let addresses: Vec<_> =
                (0..rng.below(5))
                    .map(|_| {
                        if rng.below(2) == 0 {
                            silent(rng.below(6) as u8)
                        } else {
                            address(rng.below(3) as u8)
                        }
                    })
                    .collect();
            let trust = match rng.below(3) {
                0 => Trust::Anyone,
                1 => Trust::Ask,
                _ => Trust::Pinned(hosts.hosts[1].public_key()),
            };
            let id = ids.get(rng.below(8) as usize % ids.len().max(1)).copied();
            let client = &mut hosts.client;
            match (rng.below(8), id) {
                (0, _) => ids.push(client.connect_to(now, &addresses, ConnectOptions::new(trust)).unwrap()),
                (1, _) => ids.push(client.connect_unresolved(now, ConnectOptions::new(trust)).unwrap()),
                (2, Some(id)) => drop(client.add_candidates(now, id, &addresses)),
                (3, Some(id)) => drop(client.end_candidates(now, id, CloseCode::NameNotFound, "")),
                (4, Some(id)) => drop(client.close(now, id, b"")),
                (5, Some(id)) => drop(client.accept_challenge(now, id)),
                (6, _) => addresses.iter().for_each(|at| client.obstacle(now, *at, "no", rng.below(2) == 0)),
                _ => {}
            }
            hosts.advance(rng.below(400), |host, bytes| match rng.below(6) {
                0 => None,
                // Answers that come from elsewhere, also from where others are.
                1 if is_reply(bytes) => Some(address(rng.below(4) as u8)),
                _ => Some(address(host as u8)),
            });
        }
        for id in &ids {
            let _ = hosts.client.end_candidates(hosts.now, *id, CloseCode::NameNotFound, "");
            let _ = hosts.client.close(hosts.now, *id, b"");
        }
        hosts.pass(30_000);
        assert_eq!(hosts.client.slots_used(), 0, "seed {seed}");
        assert!(hosts.client.attempts.is_empty(), "seed {seed}");
        assert_eq!(hosts.client.poll_timeout(), None, "seed {seed}");
        let ends = hosts.events.iter().filter(|event| matches!(event, Event::Close { .. })).count();
        assert_eq!(ends, ids.len(), "seed {seed}");
    }
}

#[test]
fn a_bad_answer_that_is_repeated_lets_one_address_begin_early() {
    let mut hosts = Hosts::new(1);
    hosts.connect_to(&[address(0), silent(1), silent(2), silent(3), silent(4)], Trust::Anyone);
    let mut bad = Vec::new();
    hosts.advance(1, |_, bytes| {
        bad.clone_from(bytes);
        None
    });
    // The signature is wrong.
    bad[60] ^= 1;
    for _ in 0..15 {
        let datagram = Datagram { path: Path::to(address(0)), bytes: &mut bad.clone() };
        hosts.client.handle_datagram(hosts.now, datagram);
    }
    assert_eq!(hosts.asked(), [silent(1)]);
}
