//! The promises on time and memory: every wait ends, an idle connection lives, a dead one is found out, and
//! nothing stays behind.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::{MS, SECOND, link, random_behaviour, random_config, random_link};
use torque_proto::{CloseCode, ClosedBy, Config, ConnectOptions, ConnectionId, Instant};
use torque_sim::play::{Answer, Behaviour, Sending};
use torque_sim::world::{Fate, Step};
use torque_sim::{NodeId, Play, SimRng, for_seeds};

const MINUTE: Duration = Duration::from_secs(60);

fn two(seed: u64, behaviour: Behaviour) -> (Play, NodeId, NodeId) {
    let mut play = Play::new(seed);
    play.world.set_default_link(link("delay=20"));
    let a = play.add(Config::default(), behaviour.clone());
    let b = play.add(Config::default(), behaviour);
    (play, a, b)
}

fn steady(pause: Duration) -> Behaviour {
    Behaviour { sending: Some(Sending::steady(pause, 50)), ..Behaviour::default() }
}

/// Nothing is left of any connection: no slot, no timer but that of an epoch's end, no event.
fn assert_nothing_left(play: &mut Play, node: NodeId) {
    // An epoch's secrets are erased when it is two lifetimes old.
    play.run_for(3 * MINUTE);
    let stats = play.stats(node);
    assert_eq!(stats.connections_closed, stats.connections_started + stats.connections_requested);
    let endpoint = play.world.node(node);
    assert_eq!(endpoint.slots_used(), 0);
    assert_eq!(endpoint.connections().count(), 0);
    assert!(!endpoint.has_events());
    assert_eq!(endpoint.poll_timeout(), None, "seed {}: {node:?} has a timer left", play.world.seed());
}

#[test]
fn every_wait_of_a_handshake_ends_when_the_other_side_disappears() {
    for_seeds(300, |seed| {
        let mut rng = SimRng::new(seed);
        let answer = |rng: &mut SimRng| match rng.below(4) {
            0 => Answer::Never,
            1 => Answer::Close(rng.duration(SECOND)),
            _ => Answer::Accept(rng.duration(SECOND)),
        };
        let behaviours = [0, 1].map(|_| Behaviour {
            challenge: answer(&mut rng),
            request: answer(&mut rng),
            ..Behaviour::default()
        });
        let (mut play, a, b) = two(seed, Behaviour::default());
        for (node, behaviour) in [a, b].into_iter().zip(behaviours) {
            play.set_behaviour(node, behaviour);
        }
        play.connect(a, b, ConnectOptions::default());
        play.run_for(rng.duration(2_500 * MS));
        let (gone, left) = if rng.chance(0.5) { (a, b) } else { (b, a) };
        play.crash(gone);
        // The longest wait is the application's two minutes, then a refusal's ten seconds.
        play.finish(3 * MINUTE);
        assert_nothing_left(&mut play, left);
    });
}

#[test]
fn a_connection_ends_when_the_other_side_disappears() {
    for_seeds(150, |seed| {
        let mut rng = SimRng::new(seed);
        let mut play = Play::new(seed);
        play.world.set_default_link(link("delay=20,jitter=10,loss=2%"));
        let has_data = rng.chance(0.5);
        let behaviour = if has_data { steady(30 * MS) } else { Behaviour::default() };
        let a = play.add(random_config(&mut rng), behaviour.clone());
        let b = play.add(random_config(&mut rng), behaviour);
        let (at_a, at_b) = play.establish(a, b);
        play.run_for(rng.duration(10 * SECOND));
        let (gone, left, at_left) = if rng.chance(0.5) { (a, b, at_b) } else { (b, a, at_a) };
        play.crash(gone);
        let silent_since = play.world.now();
        play.run_for(SECOND);
        play.finish(MINUTE);
        let end = play.end(left, at_left).closed.clone().unwrap();
        assert_eq!((end.code, end.by), (CloseCode::TimedOut, ClosedBy::Socket));
        // Five pings, five seconds apart, and one interval more; one or two may have gone unanswered before. With data
        // under way they are a second and a half apart.
        let took = play.world.now().saturating_since(silent_since);
        let (least, most) = if has_data { (5 * SECOND, 10 * SECOND) } else { (15 * SECOND, 36 * SECOND) };
        assert!(took >= least && took <= most, "{took:?}");
        assert_nothing_left(&mut play, left);
    });
}

#[test]
fn nothing_is_left_after_connections_come_and_go() {
    for_seeds(20, |seed| {
        let mut rng = SimRng::new(seed);
        let mut play = Play::new(seed);
        play.world.set_default_link(link("delay=20,jitter=10,loss=10%,duplicate=5%"));
        let host = play.add(Config::default(), steady(100 * MS));
        let guests: Vec<NodeId> = (0..6).map(|_| play.add(Config::default(), steady(100 * MS))).collect();
        for _ in 0..40 {
            let guest = guests[rng.index(guests.len())];
            match rng.below(4) {
                0 => drop(play.try_connect(guest, host, ConnectOptions::default())),
                1 => {
                    for connection in play.open_connections(guest) {
                        play.close(guest, connection, b"guest");
                    }
                }
                2 => {
                    let open = play.open_connections(host);
                    if let Some(connection) = open.get(rng.index(open.len())) {
                        play.close(host, *connection, b"host");
                    }
                }
                _ => {
                    play.crash(guest);
                    play.run_for(rng.duration(3 * SECOND));
                    play.restart(guest);
                }
            }
            play.run_for(rng.duration(4 * SECOND));
        }
        play.close_all_and_finish(3 * MINUTE);
        for node in guests.into_iter().chain([host]) {
            let (closed, begun) =
                play.oracle.ends().filter(|end| end.node == node).fold((0, 0), |(closed, all), end| {
                    (closed + u32::from(end.closed.is_some() || end.crashed), all + 1)
                });
            assert_eq!(closed, begun);
            play.run_for(3 * MINUTE);
            assert_eq!(play.world.node(node).slots_used(), 0);
            assert_eq!(play.world.node(node).connections().count(), 0);
            assert_eq!(play.world.node(node).poll_timeout(), None);
        }
    });
}

#[test]
fn pending_places_come_back_however_an_attempt_ends() {
    let accept = Answer::Accept(Duration::ZERO);
    for (what, request) in [
        ("refused", Answer::Close(MS)),
        ("never", Answer::Never),
        ("lost", accept),
        ("given up", Answer::Never),
    ] {
        let mut play = Play::new(18);
        play.world.set_default_link(link("delay=20"));
        let mut config = Config::default();
        config.limits.pending = 3;
        config.limits.connections = 4;
        let host = play.add(config, Behaviour { request, ..Behaviour::default() });
        for _ in 0..6 {
            let guest = play.add_default();
            let attempt = play.connect(guest, host, ConnectOptions::default());
            match what {
                // The host's accept finds nobody.
                "lost" => {
                    play.run_for(61 * MS);
                    play.crash(guest);
                }
                "given up" => {
                    play.run_for(SECOND);
                    play.close(guest, attempt, b"");
                }
                _ => play.run_for(SECOND),
            }
            play.run_for(125 * SECOND);
        }
        assert_eq!(play.stats(host).connections_requested, 6, "{what}");
        play.set_behaviour(host, Behaviour::default());
        // All of them at once, and one connection for each slot.
        for _ in 0..4 {
            let guest = play.add_default();
            play.establish(guest, host);
        }
        play.close_all_and_finish(MINUTE);
        assert_nothing_left(&mut play, host);
    }
}

#[test]
fn anybody_may_do_anything_at_any_time() {
    for_seeds(150, |seed| {
        let mut rng = SimRng::new(seed);
        let mut play = Play::new(seed);
        play.world.set_default_link(random_link(&mut rng, 0.15));
        let nodes: Vec<NodeId> = (0..4)
            .map(|_| {
                let config = random_config(&mut rng);
                let behaviour = random_behaviour(&mut rng, 500);
                play.add(config, behaviour)
            })
            .collect();
        for _ in 0..60 {
            let (a, b) = (nodes[rng.index(4)], nodes[rng.index(4)]);
            match rng.below(12) {
                0..=4 if a != b && play.world.is_running(a) => {
                    play.try_connect(a, b, ConnectOptions::default()).ok();
                }
                5 => {
                    let open = play.open_connections(a);
                    if let Some(connection) = open.get(rng.index(open.len())) {
                        play.close(a, *connection, b"enough");
                    }
                }
                6 if play.world.is_running(a) => play.crash(a),
                7 => nodes.iter().for_each(|node| {
                    if !play.world.is_running(*node) {
                        play.restart(*node);
                    }
                }),
                8 => play.world.set_partition(a, b, rng.chance(0.5)),
                9 => play.world.step_clock(a, rng.between(0, 20_000_000) as i64 - 5_000_000),
                10 => {
                    let mut behaviour = random_behaviour(&mut rng, 500);
                    behaviour.challenge = random_answer(&mut rng);
                    behaviour.request = random_answer(&mut rng);
                    play.set_behaviour(a, behaviour);
                }
                11 => play.world.set_default_link(random_link(&mut rng, 0.15)),
                _ => {}
            }
            play.run_for(rng.duration(4 * SECOND));
        }
        for node in &nodes {
            if !play.world.is_running(*node) {
                play.restart(*node);
            }
            nodes.iter().for_each(|other| play.world.set_partition(*node, *other, false));
        }
        play.close_all_and_finish(4 * MINUTE);
        // Clocks went back by up to a few minutes, and timers with them.
        play.run_for(10 * MINUTE);
        for node in nodes {
            assert_nothing_left(&mut play, node);
        }
    });
}

fn random_answer(rng: &mut SimRng) -> Answer {
    match rng.below(6) {
        0 => Answer::Never,
        1 => Answer::Close(rng.duration(SECOND)),
        _ => Answer::Accept(rng.duration(3 * SECOND)),
    }
}

#[test]
fn pings_keep_an_idle_connection_for_an_hour() {
    for loss in [0, 10, 20] {
        let (mut play, a, b) = two(loss, Behaviour::default());
        let (at_a, at_b) = play.establish(a, b);
        play.world.set_default_link(link(&format!("delay=40,loss={loss}%")));
        let before = play.world.datagrams_sent();
        play.run_for(60 * MINUTE);
        assert_eq!((play.open_connections(a), play.open_connections(b)), (vec![at_a], vec![at_b]));
        let each = (play.world.datagrams_sent() - before) / 720;
        assert!(each <= 5, "{each} datagrams each five seconds");
        play.send(a, at_a, b"good morning").unwrap();
        play.run_for(10 * SECOND);
        play.close_all_and_finish(MINUTE);
    }
}

#[test]
fn a_connection_stays_through_a_short_partition() {
    for_seeds(60, |seed| {
        let mut rng = SimRng::new(seed);
        let (mut play, a, b) = two(seed, steady(30 * MS));
        let (at_a, at_b) = play.establish(a, b);
        play.run_for(SECOND);
        play.world.set_partition(a, b, true);
        play.run_for(2 * SECOND + rng.duration(5 * SECOND));
        play.world.set_partition(a, b, false);
        play.run_for(10 * SECOND);
        assert_eq!((play.open_connections(a), play.open_connections(b)), (vec![at_a], vec![at_b]));
        let (before, _) = (play.end(a, at_a).tally, play.end(b, at_b).tally);
        assert!(before.dropped > 0 && before.unknown == 0, "{before:?}");
        play.run_for(5 * SECOND);
        let after = play.end(a, at_a).tally;
        assert!(after.delivered >= before.delivered + 100, "{before:?} {after:?}");
        play.close_all_and_finish(MINUTE);
        assert_eq!(play.oracle.tally().unknown, 0);
    });
}

#[test]
fn a_long_partition_ends_with_timed_out_and_unknown_verdicts() {
    for_seeds(60, |seed| {
        let (mut play, a, b) = two(seed, steady(30 * MS));
        let (at_a, at_b) = play.establish(a, b);
        play.run_for(SECOND);
        play.world.set_partition(a, b, true);
        play.finish(MINUTE);
        for (node, connection) in [(a, at_a), (b, at_b)] {
            let end = play.end(node, connection);
            let closed = end.closed.as_ref().unwrap();
            assert_eq!((closed.code, closed.by), (CloseCode::TimedOut, ClosedBy::Socket));
            assert!(end.tally.unknown > 0, "{:?}", end.tally);
        }
        // And the way is open for the next connection.
        play.world.set_partition(a, b, false);
        play.establish(a, b);
        play.close_all_and_finish(MINUTE);
    });
}

#[test]
fn a_close_into_the_void_ends_after_its_wait() {
    for_seeds(40, |seed| {
        let (mut play, a, b) = two(seed, steady(30 * MS));
        let (at_a, at_b) = play.establish(a, b);
        play.run_for(SECOND);
        play.world.set_partition(a, b, true);
        play.close(a, at_a, b"nobody hears this");
        let start = play.world.now();
        assert!(play.run_until(|play| play.end(a, at_a).closed.is_some(), 4 * SECOND));
        assert!(play.world.now().saturating_since(start) >= 3 * SECOND - MS);
        let end = play.end(a, at_a);
        let closed = end.closed.as_ref().unwrap();
        assert_eq!((closed.code, closed.by), (CloseCode::Closed, ClosedBy::Application));
        assert!(end.tally.unknown > 0);
        play.finish(MINUTE);
        assert_eq!(play.end(b, at_b).closed.as_ref().map(|closed| closed.code), Some(CloseCode::TimedOut));
        assert_nothing_left(&mut play, a);
        assert_nothing_left(&mut play, b);
    });
}

#[test]
fn acknowledgments_of_one_way_traffic_are_few_and_prompt() {
    let (mut play, a, b) = two(14, Behaviour::default());
    let (at_a, _) = play.establish(a, b);
    play.run_for(2 * SECOND);
    let pace = SECOND / 60;
    let sent_before = play.stats(b).datagrams_sent;
    for packet in 1..=600u64 {
        play.send(a, at_a, &[7; 50]).unwrap();
        play.run_for(pace);
        // A round trip of 40 ms and the acknowledgment's delay of 50 ms: six packets are younger.
        assert!(play.end(a, at_a).tally.delivered + 6 >= packet, "{packet}");
    }
    play.run_for(91 * MS);
    let tally = play.end(a, at_a).tally;
    assert_eq!((tally.sent, tally.delivered), (600, 600));
    let back = play.stats(b).datagrams_sent - sent_before;
    assert!(back * 100 <= 600 * 35, "{back} datagrams came back for 600 packets");
    play.close_all_and_finish(MINUTE);
}

#[test]
fn two_way_traffic_costs_few_bytes_beside_its_payload() {
    let (mut play, a, b) = two(16, Behaviour::default());
    let (at_a, at_b) = play.establish(a, b);
    play.run_for(2 * SECOND);
    let bytes = |play: &mut Play| play.stats(a).bytes_sent + play.stats(b).bytes_sent;
    let before = bytes(&mut play);
    for _ in 0..1_800 {
        play.send(a, at_a, &[7; 50]).unwrap();
        play.send(b, at_b, &[7; 50]).unwrap();
        play.run_for(SECOND / 60);
    }
    let overhead = bytes(&mut play) - before - 2 * 1_800 * 50;
    // Header and tag are 3 + 8; acknowledgments and pings are in the rest.
    assert!(overhead * 10 <= 2 * 1_800 * 115, "{overhead} bytes for 3,600 packets");
    play.run_for(SECOND);
    assert_eq!(play.oracle.tally().delivered, 3_600);
    play.close_all_and_finish(MINUTE);
}

#[test]
fn an_idle_connection_wakes_its_endpoint_for_pings_only() {
    let (mut play, a, b) = two(17, Behaviour::default());
    play.establish(a, b);
    play.run_for(MINUTE);
    let mut wakes = 0;
    let end = play.world.now() + 10 * MINUTE;
    while play.world.next_time().is_some_and(|time| time <= end) {
        wakes += u32::from(matches!(play.world.step(), Some(Step::TimedOut(_))));
    }
    // A ping each five seconds from one side or the other, and timers that find they were put off.
    assert!(wakes <= 120 * 4, "{wakes} in 120 ping intervals");
    assert_eq!((play.open_connections(a).len(), play.open_connections(b).len()), (1, 1));
    play.close_all_and_finish(MINUTE);
}

#[test]
fn closing_everything_tells_each_connection() {
    let mut play = Play::new(15);
    play.world.set_default_link(link("delay=20,loss=5%"));
    let host = play.add(Config::default(), steady(50 * MS));
    let guests: Vec<NodeId> = (0..5).map(|_| play.add(Config::default(), steady(50 * MS))).collect();
    for guest in &guests {
        play.establish(*guest, host);
    }
    play.world.with(host, |host, now| host.close_all(now));
    play.finish(10 * SECOND);
    for guest in guests {
        let end = play.oracle.ends().find(|end| end.node == guest).unwrap();
        let closed = end.closed.as_ref().unwrap();
        assert_eq!((closed.code, &closed.reason[..]), (CloseCode::ShuttingDown, &b""[..]));
    }
    assert_nothing_left(&mut play, host);
}

fn rtt_ms(play: &Play, node: NodeId, connection: ConnectionId) -> u64 {
    play.world.node(node).connection_stats(connection).unwrap().rtt.as_millis() as u64
}

#[test]
fn a_queue_that_fills_shows_in_the_round_trip_time_at_once() {
    for both_ways in [false, true] {
        let mut play = Play::new(21);
        play.world.set_default_link(link("delay=45"));
        let quiet = if both_ways { steady(16 * MS) } else { Behaviour::default() };
        let (a, b) = (play.add(Config::default(), steady(5 * MS)), play.add(Config::default(), quiet));
        let (at_a, _) = play.establish(a, b);
        play.run_for(3 * SECOND);
        assert!((85..=100).contains(&rtt_ms(&play, a, at_a)), "{}", rtt_ms(&play, a, at_a));
        let pings = play.world.node(a).connection_stats(at_a).unwrap().counters.pings_sent;
        // From 90 to 340 ms in 2.5 s.
        for delay in 46..=295 {
            play.world.set_link(a, b, link(&format!("delay={delay}")));
            play.run_for(10 * MS);
        }
        let after = play.world.node(a).connection_stats(at_a).unwrap();
        assert!(after.rtt >= 250 * MS, "{:?}", after.rtt);
        assert!(after.counters.pings_sent <= pings + 3, "verdicts tell it, not pings");
        play.run_for(SECOND);
        assert!((320..=350).contains(&rtt_ms(&play, a, at_a)), "{}", rtt_ms(&play, a, at_a));
        let stats = play.world.node(a).connection_stats(at_a).unwrap();
        assert!((180..=210).contains(&stats.delivery_rate), "{}", stats.delivery_rate);
        assert!(stats.rtt_min >= 90 * MS && stats.rtt_min <= 100 * MS, "{:?}", stats.rtt_min);
    }
}

#[test]
fn a_paused_host_distorts_the_round_trip_time_for_a_second_at_most() {
    let mut play = Play::new(22);
    play.world.set_default_link(link("delay=1"));
    let (a, b) = (play.add(Config::default(), steady(20 * MS)), play.add_default());
    let (at_a, _) = play.establish(a, b);
    play.run_for(3 * SECOND);
    let host = play.world.address(b);
    let until = Rc::new(Cell::new(Instant::ZERO));
    let losing = Rc::new(Cell::new(false));
    let (stalled, lost) = (Rc::clone(&until), Rc::clone(&losing));
    play.world.set_tap(move |passing| {
        if passing.to != host {
            return Fate::Pass;
        }
        if lost.get() {
            return Fate::Drop;
        }
        // It reads what came meanwhile when it goes on.
        let left = stalled.get().saturating_since(passing.now);
        if left.is_zero() { Fate::Pass } else { Fate::Hold(left) }
    });
    until.set(play.world.now() + 4 * SECOND);
    play.run_for(5 * SECOND);
    assert!(rtt_ms(&play, a, at_a) <= 10, "{} ms", rtt_ms(&play, a, at_a));
    // So the verdict on a lost packet with nothing after it is there after a probe: ack_delay and a round trip.
    play.set_behaviour(a, Behaviour::default());
    play.run_for(SECOND);
    let before = play.end(a, at_a).tally;
    losing.set(true);
    play.send(a, at_a, b"lost").unwrap();
    play.run_for(MS);
    losing.set(false);
    play.run_for(80 * MS);
    assert_eq!(play.end(a, at_a).tally.dropped, before.dropped + 1);
    play.close_all_and_finish(MINUTE);
}

#[test]
fn a_lost_host_is_noticed_within_ten_seconds_at_every_window() {
    for window in [8, 128, 2_048, 32_768] {
        let mut play = Play::new(23);
        let mut config = Config::default();
        config.settings.packet_window = window;
        let (a, b) = (play.add(config.clone(), steady(16 * MS)), play.add(config, steady(16 * MS)));
        let (at_a, _) = play.establish(a, b);
        play.run_for(SECOND);
        play.crash(b);
        play.run_for(9 * SECOND + 100 * MS);
        let closed = play.end(a, at_a).closed.clone().map(|closed| closed.code);
        assert_eq!(closed, Some(CloseCode::TimedOut), "window {window}");
    }
}

#[test]
fn a_program_that_stood_still_itself_loses_nobody() {
    let mut play = Play::new(24);
    play.world.set_default_link(link("delay=20"));
    let (a, b) = (play.add(Config::default(), steady(16 * MS)), play.add_default());
    let (at_a, _) = play.establish(a, b);
    play.run_for(SECOND);
    for _ in 0..10 {
        // Its clock goes on, but it does nothing for ten seconds.
        play.world.step_clock(a, 10_000_000);
        play.run_for(200 * MS);
        assert_eq!(play.open_connections(a), [at_a]);
    }
    play.close_all_and_finish(MINUTE);
}
