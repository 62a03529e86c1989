//! Reliable control messages between two endpoints: each is handled once and in time, or told as failed, whatever the
//! network does, and a connection that uses none does not notice them.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use common::{MS, SECOND, link, random_config, random_link};
use torque_proto::control::{ControlError, ControlEvent};
use torque_proto::wire::control::reliable::{MAX_MESSAGE, ReliableKind};
use torque_proto::{Config, ConnectionId, Instant};
use torque_sim::play::{Behaviour, Sending};
use torque_sim::{NodeId, Play, SimRng, for_seeds};

const KIND: ReliableKind = ReliableKind::FORWARD;

/// Two nodes with a connection; where it ends at each.
fn two(play: &mut Play) -> [(NodeId, ConnectionId); 2] {
    let nodes: Vec<NodeId> = play.world.nodes().collect();
    let (a, b) = play.establish(nodes[0], nodes[1]);
    [(nodes[0], a), (nodes[1], b)]
}

/// Two nodes that send no data.
fn quiet() -> (Play, [(NodeId, ConnectionId); 2]) {
    let mut play = Play::new(1);
    play.world.set_default_link(link("delay=20"));
    for _ in 0..2 {
        play.add(Config::default(), Behaviour::default());
    }
    let sides = two(&mut play);
    (play, sides)
}

fn enable(play: &mut Play, (node, connection): (NodeId, ConnectionId)) {
    play.world.with(node, |endpoint, _| endpoint.enable_control(connection)).unwrap();
}

fn send(
    play: &mut Play,
    (node, connection): (NodeId, ConnectionId),
    attempt: u32,
    body: &[u8],
) -> Result<u16, ControlError> {
    play.world.with(node, |endpoint, now| endpoint.send_control(now, connection, attempt, KIND, body))
}

/// All events that wait at a node.
fn take(play: &mut Play, (node, connection): (NodeId, ConnectionId)) -> Vec<ControlEvent> {
    play.world.with(node, |endpoint, _| {
        std::iter::from_fn(|| endpoint.poll_control())
            .map(|(id, event)| {
                assert_eq!(id, connection);
                event
            })
            .collect()
    })
}

#[test]
fn each_message_is_handled_once_in_time_or_told_as_failed_over_any_link() {
    let (mut ends, mut runs) = ([0, 0], 0);
    for_seeds(60, |seed| {
        runs += 1;
        let mut rng = SimRng::new(seed);
        let mut play = Play::new(seed);
        let behaviour = Behaviour { sending: Some(Sending::steady(20 * MS, 50)), ..Behaviour::default() };
        for _ in 0..2 {
            play.add(random_config(&mut rng), behaviour.clone());
        }
        play.world.set_default_link(link("delay=20"));
        let sides = two(&mut play);
        sides.iter().for_each(|side| enable(&mut play, *side));
        play.world.set_default_link(random_link(&mut rng, 0.3));

        let mut sent = [BTreeMap::new(), BTreeMap::new()];
        let mut events: [Vec<(Instant, ControlEvent)>; 2] = [Vec::new(), Vec::new()];
        for turn in 0..300 {
            if turn < 150 && rng.chance(0.4) {
                let from = rng.index(2);
                let longest = if rng.chance(0.3) { MAX_MESSAGE as u64 } else { 80 };
                let body: Vec<u8> = (0..rng.between(0, longest)).map(|_| rng.below(256) as u8).collect();
                let attempt = 1 + rng.below(4) as u32;
                if let Ok(serial) = send(&mut play, sides[from], attempt, &body) {
                    sent[from].insert((attempt, serial), (play.world.now(), body));
                }
            }
            play.run_for(100 * MS);
            for side in [0, 1] {
                let now = play.world.now();
                events[side].extend(take(&mut play, sides[side]).into_iter().map(|event| (now, event)));
            }
        }
        for from in [0, 1] {
            let mut handled = BTreeMap::new();
            for (time, event) in &events[1 - from] {
                if let ControlEvent::Message { attempt, serial, kind, body } = event {
                    let (since, wanted) = &sent[from][&(*attempt, *serial)];
                    assert_eq!((&**body, *kind), (wanted, KIND));
                    assert!(time.saturating_since(*since) <= 11 * SECOND, "in time");
                    assert_eq!(handled.insert((*attempt, *serial), ()), None, "handled twice");
                }
            }
            let mut told = BTreeMap::new();
            for (_, event) in &events[from] {
                let (key, received) = match event {
                    ControlEvent::Message { .. } => continue,
                    ControlEvent::Received { attempt, serial } => ((*attempt, *serial), true),
                    ControlEvent::Failed { attempt, serial } => ((*attempt, *serial), false),
                };
                assert!(!received || handled.contains_key(&key), "received is true");
                assert_eq!(told.insert(key, received), None, "told twice");
                ends[usize::from(received)] += 1;
            }
            let is_open = play.open_connections(sides[from].0).contains(&sides[from].1);
            assert!(!is_open || told.len() == sent[from].len(), "each message has its end");
        }
    });
    // One run may be over a bad link.
    let few = runs < 60;
    assert!(few || (ends[1] > 33 * runs && ends[0] * 50 < ends[1]), "failed, received: {ends:?}");
}

#[test]
fn a_connection_that_uses_none_passes_them_over_and_keeps_nothing() {
    let (mut play, [a, b]) = quiet();
    let serial = send(&mut play, a, 7, b"anybody?").unwrap();
    send(&mut play, a, 7, &[7; MAX_MESSAGE]).unwrap();
    let malformed = play.stats(b.0).malformed;
    play.run_for(9 * SECOND);
    assert_eq!(take(&mut play, a), []);
    play.run_for(2 * SECOND);
    let failed = |serial| ControlEvent::Failed { attempt: 7, serial };
    assert_eq!(take(&mut play, a), [failed(serial), failed(serial + 1)]);
    assert_eq!(take(&mut play, b), []);
    assert!(play.world.node(b.0).control_stats(b.1).is_none());
    assert_eq!(play.stats(b.0).malformed, malformed);
    assert_eq!((play.open_connections(a.0).len(), play.open_connections(b.0).len()), (1, 1));
}

#[test]
fn an_endpoint_that_takes_no_events_keeps_a_few_and_hears_the_rest_later() {
    let (mut play, [a, b]) = quiet();
    enable(&mut play, b);
    let mut sent = 0;
    for attempt in 1..=10 {
        while send(&mut play, a, attempt, b"x").is_ok() {
            sent += 1;
        }
        play.run_for(100 * MS);
        take(&mut play, a);
    }
    let stats = play.world.node(b.0).control_stats(b.1).unwrap().clone();
    assert_eq!(stats.handled, 32, "as many as one connection may have waiting");
    assert!(stats.queue_full > 0 && sent > 32);
    assert_eq!(take(&mut play, b).len(), 32);
    play.run_for(3 * SECOND);
    assert_eq!(take(&mut play, b).len(), sent - 32);
}

#[test]
fn messages_of_other_connections_keep_none_from_sending() {
    const PEERS: usize = 9;
    let mut play = Play::new(1);
    play.world.set_default_link(link("delay=20"));
    for _ in 0..=PEERS {
        play.add(Config::default(), Behaviour::default());
    }
    let nodes: Vec<NodeId> = play.world.nodes().collect();
    let hub = nodes[PEERS];
    let pairs: Vec<_> = nodes[..PEERS].iter().map(|peer| (*peer, play.establish(*peer, hub))).collect();
    let (last, others) = pairs.split_last().unwrap();
    for (peer, (there, here)) in others {
        enable(&mut play, (hub, *here));
        for attempt in 1..=4 {
            for _ in 0..8 {
                send(&mut play, (*peer, *there), attempt, b"x").unwrap();
            }
            play.run_for(100 * MS);
            take(&mut play, (*peer, *there));
        }
        assert_eq!(play.world.node(hub).control_stats(*here).unwrap().handled, 32);
    }
    let (peer, (there, here)) = *last;
    enable(&mut play, (hub, here));
    send(&mut play, (hub, here), 1, b"none of its messages waits").unwrap();
    send(&mut play, (peer, there), 1, b"x").unwrap();
    play.run_for(SECOND);
    assert_eq!(play.world.node(hub).control_stats(here).unwrap().handled, 0, "no room for a message");
    for (peer, (there, _)) in others {
        play.close(*peer, *there, b"");
    }
    play.run_for(9 * SECOND);
    let events = take(&mut play, (hub, here));
    assert!(matches!(events[..], [.., ControlEvent::Message { .. }]), "{events:?}");
}

#[test]
fn a_connection_that_has_ended_takes_none() {
    let (mut play, [a, b]) = quiet();
    send(&mut play, a, 7, b"x").unwrap();
    play.close(a.0, a.1, b"");
    assert_eq!(send(&mut play, a, 7, b"x"), Err(ControlError::Closed));
    play.run_for(Duration::from_secs(20));
    assert_eq!((take(&mut play, a), take(&mut play, b)), (Vec::new(), Vec::new()));
}
