//! Our own side at fault: slow or absent applications, clocks that jump.

use super::*;

#[test]
fn an_application_may_take_a_minute_to_accept() {
    for (challenge, request) in [(60, 0), (0, 60)] {
        let mut play = Play::new(101);
        play.world.set_default_link(link("delay=10"));
        play.world.set_capture(true);
        let slow = Behaviour {
            challenge: Answer::Accept(challenge * SECOND),
            request: Answer::Accept(request * SECOND),
            ..Behaviour::default()
        };
        let (client, host) = (play.add(Config::default(), slow.clone()), play.add(Config::default(), slow));
        let connection = play.connect(client, host, ConnectOptions::default());
        // Meanwhile everything that was said is said again, and others keep the epochs turning.
        let adversary = Address::from_virtual(666);
        play.world.open_mailbox(adversary);
        for second in 0..70u64 {
            play.run_for(SECOND);
            if play.end(client, connection).established {
                continue;
            }
            let recorded = play.world.captured().to_vec();
            let again = &recorded[second as usize % recorded.len()];
            play.world.inject(Duration::ZERO, again.from, again.to, again.bytes.clone());
            let mut nonce = [0; 16];
            nonce[..8].copy_from_slice(&second.to_be_bytes());
            play.world.inject(
                Duration::ZERO,
                adversary,
                play.world.address(host),
                foreign::challenge_request(nonce),
            );
        }
        assert!(play.end(client, connection).established, "{:?}", play.history(client));
        play.close_all_and_finish(130 * SECOND);
    }
}

#[test]
fn an_application_that_stops_draining_stays_within_its_limits() {
    let mut config = Config::default();
    config.limits.queued_packets = 100;
    config.limits.pending = 20;
    let mut siege = Siege::with(102, config);
    siege.play.set_behaviour(siege.host, Behaviour { draining: Draining::Never, ..busy() });
    // A minute of traffic, info packets and requests, and nobody takes anything.
    let guests: Vec<NodeId> = (0..40).map(|_| siege.play.add_default()).collect();
    for guest in &guests {
        siege.play.connect(*guest, siege.host, ConnectOptions::default());
        for _ in 0..20 {
            siege.ask(vec![0x20; 1_000]);
        }
        siege.play.run_for(1_500 * MS);
    }
    let stats = siege.play.stats(siege.host);
    assert!(stats.queue_full > 1_000 && stats.busy > 0, "{stats:?}");
    // One source has a quarter of the places.
    assert_eq!(stats.info_received, 16);
    assert!(siege.play.world.node(siege.host).slots_used() <= 1 + 40);
    // What it sends waits at most a window long for somebody to take the verdicts.
    assert!(siege.play.end(siege.host, siege.at_host).tally.sent < 51 * 3 + 128 + 100);
    // It comes back: exactly what was delivered is there, and no more than fits.
    let before = siege.play.end(siege.host, siege.at_host).tally.received;
    siege.play.set_behaviour(siege.host, busy());
    let taken = siege.play.end(siege.host, siege.at_host).tally.received - before;
    assert!((90..=100).contains(&taken), "{taken}");
    siege.play.run_for(130 * SECOND);
    for guest in guests {
        for connection in siege.play.open_connections(guest) {
            siege.play.close(guest, connection, b"");
        }
    }
    siege.play.run_for(30 * SECOND);
    siege.survives();
}

#[test]
fn connections_that_fill_the_queue_leave_room_for_the_others() {
    let mut play = Play::new(107);
    play.world.set_default_link(link("delay=10"));
    let mut config = Config::default();
    config.limits.queued_packets_total = 1_600;
    let host = play.add(config, Behaviour::default());
    let slow = Behaviour { sending: Some(Sending::steady(400 * MS, 100)), ..Behaviour::default() };
    let quiet = play.add(Config::default(), slow);
    let (at_quiet, _) = play.establish(quiet, host);
    let flooding = Behaviour { sending: Some(Sending::steady(MS, 100)), ..Behaviour::default() };
    for _ in 0..64 {
        let flooder = play.add(Config::default(), flooding.clone());
        play.establish(flooder, host);
    }
    play.set_behaviour(host, Behaviour { draining: Draining::Never, ..Behaviour::default() });
    play.run_for(5 * SECOND);
    assert!(play.stats(host).queue_full > 1_000);
    let counters = play.world.node(quiet).connection_stats(at_quiet).unwrap().counters;
    assert!(counters.delivered >= 12 && counters.dropped == 0, "{counters:?}");
    play.set_behaviour(host, Behaviour::default());
    play.close_all_and_finish(60 * SECOND);
}

#[test]
fn clock_steps_break_no_connection_and_end_attempts_by_name() {
    for_seeds(30, |seed| {
        let mut siege = Siege::new(seed);
        let mut rng = SimRng::new(seed);
        for _ in 0..6 {
            let node = if rng.chance(0.5) { siege.client } else { siege.host };
            match rng.below(4) {
                0 => siege.play.world.step_clock(node, 3_600_000_000),
                1 => siege.play.world.step_clock(node, rng.between(1, 100_000_000) as i64),
                2 => siege.play.world.step_clock(node, -(rng.between(1, 60_000_000) as i64)),
                _ => {
                    siege.play.world.stop_clock(node);
                    siege.play.run_for(rng.duration(15 * SECOND));
                    siege.play.world.start_clock(node);
                }
            }
            siege.play.run_for(rng.duration(3 * SECOND));
        }
        // After a jump back timers are late by as much; ahead of that the connection must not end.
        siege.play.run_for(70 * SECOND);
        siege.survives();
    });
    // An attempt under way may end early, but by name.
    for_seeds(60, |seed| {
        let mut rng = SimRng::new(seed);
        let (mut play, client, host, connection) = attempt(seed, ConnectOptions::default(), |_| Fate::Pass);
        play.run_for(rng.duration(80 * MS));
        let node = if rng.chance(0.5) { client } else { host };
        let step = rng.between(1, 4_000_000_000) as i64;
        play.world.step_clock(node, if rng.chance(0.5) { step } else { -step.min(60_000_000) });
        play.run_for(90 * SECOND);
        if let Some(code) = code(&play, client, connection) {
            assert!(
                matches!(
                    code,
                    CloseCode::NoAnswer
                        | CloseCode::TimedOut
                        | CloseCode::NoDecision
                        | CloseCode::StaleChallenge
                ),
                "{code:?}"
            );
        }
        play.close_all_and_finish(150 * SECOND);
    });
}
