//! Whatever happens in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::crypto::testing::for_seeds;

const SOCKETS: u32 = 6;

/// What one attempt of a socket was told.
#[derive(Default)]
struct Heard {
    introduced: Option<(u64, [u8; 32], u32)>,
    copies: u32,
    withdrawn: u32,
}

#[test]
fn every_request_comes_to_one_end_and_nothing_is_left() {
    for_seeds(400, |rng| {
        let mut world = World::seeded(SOCKETS, rng.array());
        world.config.records = 3 + rng.below(20) as usize;
        world.config.records_per_connection = 1 + rng.below(6) as usize;
        if rng.below(2) == 0 {
            world.introducer.set_observing_address(socket_address("0.0.0.0:9"));
        }
        for socket in world.sockets.values_mut() {
            socket.round_trip = Micros::from_millis(rng.below(500));
        }
        let mut next_attempt = 1_000;
        // Attempts that were asked for, those that another one replaced or that were withdrawn, and who has which.
        let mut asked: BTreeMap<(ConnectionId, u32), u32> = BTreeMap::new();
        let mut over: BTreeSet<(ConnectionId, u32)> = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        for _ in 0..rng.below(120) {
            let from = 1 + rng.below(SOCKETS.into()) as u32;
            let to = 1 + rng.below(u64::from(SOCKETS) + 1) as u32;
            match rng.below(16) {
                0..=5 => {
                    if world.sockets.contains_key(&id(from)) {
                        next_attempt += 1;
                        let is_host = if rng.below(8) == 0 { rng.below(2) == 0 } else { from > to };
                        let flags = PartyFlags { takes_circuit: rng.below(2) == 0, ..flags(is_host) };
                        let request =
                            Request { remote: id(to).get(), flags, nonce: rng.array(), candidates: vec![] };
                        let before = world.introducer.stats().too_many_requests;
                        world.request(from, next_attempt, &request);
                        assert_eq!(world.introducer.stats().too_many_requests, before);
                        // An older attempt for the same remote that has no answer yet is replaced.
                        let heard = heard(&world);
                        for ((socket, attempt), remote) in &asked {
                            let is_answered = heard
                                .get(&(*socket, *attempt))
                                .is_some_and(|heard| heard.introduced.is_some() || heard.withdrawn > 0);
                            let is_pending = world.introducer.attempts.contains_key(&(*socket, *attempt));
                            if (*socket, *remote) == (id(from), to) && !is_answered && !is_pending {
                                over.insert((*socket, *attempt));
                            }
                        }
                        asked.insert((id(from), next_attempt), to);
                    }
                }
                6..=9 => {
                    let (initiator, host) =
                        if rng.below(8) == 0 { (to, from) } else { (from.min(to), from.max(to)) };
                    let relay = (rng.below(2) == 0).then(Relay::default);
                    if let Ok(introduction) = world.introduce_with(initiator, host, relay) {
                        wanted.insert(introduction);
                    }
                }
                10 => _ = world.refuse(from, to),
                11 => {
                    if rng.below(6) == 0 {
                        world.end(from);
                        over.extend(asked.keys().filter(|(socket, _)| *socket == id(from)));
                    }
                }
                12 => {
                    let of: Vec<u32> = asked
                        .keys()
                        .filter(|(socket, _)| *socket == id(from))
                        .map(|(_, attempt)| *attempt)
                        .collect();
                    if let Some(attempt) = of.last()
                        && rng.below(2) == 0
                        && world.sockets.contains_key(&id(from))
                    {
                        world.withdraw(from, *attempt);
                        over.insert((id(from), *attempt));
                    }
                }
                13 => {
                    let told: Vec<_> = heard(&world)
                        .iter()
                        .filter_map(|(key, heard)| Some((*key, heard.introduced?.0)))
                        .collect();
                    if !told.is_empty() {
                        let ((socket, attempt), introduction) = told[rng.below(told.len() as u64) as usize];
                        let result = [
                            OutcomeResult::Direct,
                            OutcomeResult::Relayed,
                            OutcomeResult::BecameDirect,
                            OutcomeResult::Failed(CloseCode::NoPath),
                        ];
                        let outcome =
                            Outcome { introduction, result: result[rng.below(4) as usize], millis: 5 };
                        world.say(
                            socket.slot() as u32,
                            attempt,
                            ReliableKind::OUTCOME,
                            &body(|out| outcome.write(out)),
                        );
                    }
                }
                _ => {
                    let millis = [1, 30, 1_000, 20_000, 70_000][rng.below(5) as usize];
                    world.millis(rng.below(millis));
                }
            }
            assert!(world.introducer.records.len() <= world.config.records);
        }
        world.wait(Duration::from_secs(600));
        assert!(world.is_empty(), "something is left");

        let heard = heard(&world);
        let mut parties: BTreeMap<u64, Vec<(ConnectionId, u32, [u8; 32])>> = BTreeMap::new();
        for ((socket, attempt), remote) in &asked {
            let default = Heard::default();
            let told = heard.get(&(*socket, *attempt)).unwrap_or(&default);
            let is_over = over.contains(&(*socket, *attempt));
            assert!(told.withdrawn <= 1, "withdrawn twice");
            match told.introduced {
                Some((introduction, secret, copies_of_other_id)) => {
                    assert_eq!(copies_of_other_id, 0);
                    assert!(told.copies == 2 || told.copies == 1, "told {} times", told.copies);
                    parties.entry(introduction).or_default().push((*socket, *remote, secret));
                }
                None => assert!(
                    is_over || told.withdrawn == 1,
                    "attempt {attempt} of {socket} for {remote} has no end"
                ),
            }
        }
        for (introduction, parties) in parties {
            assert!(wanted.contains(&IntroductionId::from_u64(introduction).unwrap()));
            match parties[..] {
                // The other one had left, or has withdrawn before it was told; or it was told that this one failed.
                [(socket, remote, _)] => {
                    let mut others = asked.iter().filter(|((other, _), remote_of_other)| {
                        (*other, id(**remote_of_other)) == (id(remote), socket)
                    });
                    assert!(others.any(|(attempt, _)| {
                        over.contains(attempt) || heard.get(attempt).is_some_and(|heard| heard.withdrawn == 1)
                    }));
                }
                [one, two] => {
                    assert_eq!((one.0, id(one.1)), (id(two.1), two.0), "both are of one pair");
                    assert_eq!(one.2, two.2, "both have one secret");
                }
                _ => panic!("{} parties", parties.len()),
            }
        }
        // Each introduction that the application wanted has one end, and at most one more when it became direct.
        let mut ends: BTreeMap<IntroductionId, Vec<IntroductionResult>> = BTreeMap::new();
        for event in world.events() {
            if let IntroducerEvent::Ended { introduction, result, .. } = event {
                ends.entry(introduction).or_default().push(result);
            }
        }
        assert_eq!(ends.keys().copied().collect::<BTreeSet<_>>(), wanted);
        for results in ends.values() {
            let is_legal = match results[..] {
                [_] => true,
                [first, second] => {
                    first == IntroductionResult::Relayed && second == IntroductionResult::BecameDirect
                }
                _ => false,
            };
            assert!(is_legal, "{results:?}");
        }
    });
}

fn heard(world: &World) -> BTreeMap<(ConnectionId, u32), Heard> {
    let mut all: BTreeMap<(ConnectionId, u32), Heard> = BTreeMap::new();
    for (_, message) in &world.told {
        let heard = all.entry((message.connection, message.attempt)).or_default();
        match read(message) {
            Word::Introduced(introduced) => {
                assert_eq!(heard.withdrawn, 0, "introduced after the end");
                let others = heard.introduced.is_some_and(|(id, ..)| id != introduced.id);
                heard.introduced = Some((introduced.id, *introduced.secret, u32::from(others)));
                heard.copies += 1;
            }
            Word::Withdrawn(_) => heard.withdrawn += 1,
            Word::Waiting(_) => {
                assert!(heard.introduced.is_none() && heard.withdrawn == 0, "it waits after the end");
            }
            Word::Candidates(_) | Word::Circuit(_) | Word::Observed(_) => {
                assert!(heard.introduced.is_some());
            }
            Word::Tokens(_) | Word::Nats(_) => assert_eq!(heard.withdrawn, 0, "looked at after the end"),
        }
    }
    all
}

#[test]
fn messages_of_any_shape_and_order_break_nothing() {
    for_seeds(200, |rng| {
        let mut world = World::seeded(4, rng.array());
        world.introducer.set_observing_address(socket_address("[::]:9"));
        let kinds = [5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 21];
        for _ in 0..300 {
            let kind = ReliableKind::from_number(kinds[rng.below(11) as usize]).unwrap();
            let mut body: Vec<u8> = (0..rng.below(60)).map(|_| rng.below(6) as u8).collect();
            if kind == ReliableKind::REQUEST && rng.below(2) == 0 {
                let remote = id(1 + rng.below(5) as u32).get();
                let flags = PartyFlags { is_host: rng.below(2) == 0, ..flags(false) };
                body = super::body(|out| {
                    Request { remote, flags, nonce: rng.array(), candidates: vec![] }.write(out)
                });
            }
            let from = 1 + rng.below(5) as u32;
            world.say(from, rng.below(4) as u32, kind, &body);
            if rng.below(4) == 0 {
                _ = world.introduce_with(from, 1 + rng.below(4) as u32, Some(Relay::default()));
            }
            _ = world.introducer.relay(world.now, id(from), rng.below(3) as u32, &body);
            let (at, token) = (world.sockets.get(&id(from)).map(|socket| socket.address), rng.array());
            if let Some(at) = at {
                world.step(|introducer, step| introducer.on_observe(step, at, true, &token));
            }
            world.millis(rng.below(300));
        }
        world.wait(Duration::from_secs(600));
        assert!(world.is_empty());
    });
}
