//! Datagrams and packets that are not what they should be, or not when or where.

use super::*;

#[test]
fn truncated_datagrams_are_dropped() {
    let mut siege = Siege::new(1);
    let recorded = siege.recorded();
    let mut rng = SimRng::new(1);
    let (drops, mut sent) = (siege.drops(), 0);
    for datagram in recorded.iter().take(12) {
        for _ in 0..30 {
            let len = rng.index(datagram.bytes.len());
            siege.spray(&datagram.bytes[..len]);
            sent += 3;
        }
    }
    assert!(siege.drops() >= drops + sent);
    siege.survives();
}

#[test]
fn oversized_datagrams_are_dropped() {
    let mut siege = Siege::new(2);
    let recorded = siege.recorded();
    let mut rng = SimRng::new(2);
    let (drops, mut sent) = (siege.drops(), 0);
    for datagram in recorded.iter().take(12) {
        for size in [1, 7, 100, 1_500, 60_000] {
            let fill = if rng.chance(0.5) { rng.bytes(size) } else { vec![0; size] };
            siege.spray(&[&datagram.bytes[..], &fill].concat());
            sent += 3;
        }
    }
    assert!(siege.drops() >= drops + sent);
    siege.survives();
}

#[test]
fn random_datagrams_are_dropped() {
    let mut siege = Siege::new(3);
    let mut rng = SimRng::new(3);
    for _ in 0..4_000 {
        let len = if rng.chance(0.1) { 768 } else { rng.index(1_300) };
        let mut bytes = rng.bytes(len);
        if rng.chance(0.5) && len > 0 {
            // Handshake messages are few among all first bytes.
            bytes[0] = rng.below(13) as u8;
        }
        siege.spray(&bytes);
    }
    siege.survives();
}

#[test]
fn changed_datagrams_are_dropped() {
    // One to three bytes of true ones are changed, where a parser would look.
    let mut siege = Siege::new(4);
    let recorded = siege.recorded();
    let mut rng = SimRng::new(4);
    for _ in 0..3_000 {
        let mut bytes = recorded[rng.index(recorded.len().min(40))].bytes.clone();
        for _ in 0..rng.between(1, 3) {
            let at = rng.index(bytes.len());
            bytes[at] = rng.next_u64() as u8;
        }
        siege.spray(&bytes);
    }
    siege.survives();
}

#[test]
fn replayed_datagrams_are_dropped() {
    for_seeds(10, |seed| {
        let mut siege = Siege::new(seed);
        let mut rng = SimRng::new(seed);
        siege.play.run_for(5 * SECOND);
        for datagram in siege.recorded() {
            for _ in 0..rng.below(4) {
                siege.play.world.inject(
                    rng.duration(20 * SECOND),
                    datagram.from,
                    datagram.to,
                    datagram.bytes.clone(),
                );
            }
        }
        let drops = siege.drops();
        siege.play.run_for(21 * SECOND);
        assert!(siege.drops() > drops + 100);
        siege.survives();
    });
}

#[test]
fn reordered_datagrams_do_no_harm() {
    for_seeds(10, |seed| {
        let mut siege = Siege::new(seed);
        let mut rng = SimRng::new(seed);
        siege
            .play
            .world
            .set_tap(move |_| if rng.chance(0.5) { Fate::Hold(rng.duration(500 * MS)) } else { Fate::Pass });
        siege.play.run_for(10 * SECOND);
        siege.survives();
    });
}

#[test]
fn reflected_datagrams_are_dropped() {
    // Everything comes back to its sender, from before the first handshake on.
    let mut play = Play::new(5);
    play.world.set_default_link(link("delay=10"));
    let (host, client) = (play.add(Config::default(), busy()), play.add(Config::default(), busy()));
    play.world.set_tap(|passing| {
        let copy = passing.bytes.clone();
        passing.inject(5 * MS, passing.to, passing.from, copy);
        Fate::Pass
    });
    play.establish(client, host);
    play.run_for(10 * SECOND);
    assert!(play.stats(client).reflected > 0);
    assert_eq!(
        play.history(client).len() + play.history(host).len(),
        4,
        "{:#?} {:#?}",
        play.history(client),
        play.history(host)
    );
    // A client whose peer is a mirror gets nowhere.
    let mirror = play.add_default();
    let lonely = play.add_default();
    let (from, to) = (play.world.address(lonely), play.world.address(mirror));
    play.crash(mirror);
    play.world.set_tap(move |passing| {
        if (passing.from, passing.to) == (from, to) {
            let copy = passing.bytes.clone();
            passing.inject(5 * MS, to, from, copy);
        }
        Fate::Pass
    });
    let connection = play.connect(lonely, mirror, ConnectOptions::default());
    play.run_for(12 * SECOND);
    assert_eq!(code(&play, lonely, connection), Some(CloseCode::NoAnswer));
    play.world.clear_tap();
    play.close_all_and_finish(60 * SECOND);
}

#[test]
fn datagrams_of_another_connection_are_dropped() {
    let mut siege = Siege::new(6);
    let other = siege.play.add(Config::default(), busy());
    siege.play.establish(other, siege.host);
    let (client, host, other_address) =
        (siege.address(siege.client), siege.address(siege.host), siege.address(other));
    siege.play.world.set_tap(move |passing| {
        // What goes to or comes from one client also appears at the other's connection.
        let copy = passing.bytes.clone();
        match (passing.from, passing.to) {
            (from, to) if from == client && to == host => passing.inject(MS, other_address, host, copy),
            (from, to) if from == other_address && to == host => passing.inject(MS, client, host, copy),
            (_, to) if to == client => passing.inject(MS, host, other_address, copy),
            (_, to) if to == other_address => passing.inject(MS, host, client, copy),
            _ => {}
        }
        Fate::Pass
    });
    siege.play.run_for(10 * SECOND);
    let stats = siege.play.stats(siege.host);
    assert!(stats.forged + stats.late_or_duplicate + stats.no_keys > 500);
    siege.play.world.clear_tap();
    let there = siege.play.open_connections(other);
    siege.play.close(other, there[0], b"");
    siege.play.run_for(10 * SECOND);
    siege.survives();
}

#[test]
fn other_versions_end_attempts_by_name_and_no_connection() {
    let at = |kind: u8, offset: usize| {
        move |passing: &mut Passing<'_>| {
            if is_kind(passing.bytes, kind) {
                passing.bytes[offset] = 2;
            }
            Fate::Pass
        }
    };
    let (mut play, client, host, connection) = attempt(7, ConnectOptions::default(), at(1, 9));
    play.run_for(11 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::VersionMismatch));
    assert!(play.stats(host).version_mismatch > 0);

    let (mut play, client, _, connection) = attempt(8, ConnectOptions::default(), at(2, 1));
    play.run_for(11 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::ProtocolViolation));

    let (mut play, client, host, connection) = attempt(9, ConnectOptions::default(), at(3, 1));
    play.run_for(21 * SECOND);
    assert_eq!(code(&play, client, connection), Some(CloseCode::NoAnswer));
    assert!(play.stats(host).version_mismatch > 0);
    assert_eq!(play.world.node(host).slots_used(), 0);

    // A connection that exists does not care.
    let mut siege = Siege::new(10);
    for datagram in siege.recorded().iter().take(20) {
        for version in [0, 2, 255] {
            let mut bytes = datagram.bytes.clone();
            let offset = if is_kind(&bytes, 1) { 9 } else { 1 };
            bytes[offset] = version;
            siege.spray(&bytes);
        }
    }
    siege.survives();
}

#[test]
fn a_forged_close_ends_nothing() {
    let mut siege = Siege::new(15);
    let (client, host) = (siege.address(siege.client), siege.address(siege.host));
    let mut rng = SimRng::new(15);
    let control: Vec<Captured> =
        siege.recorded().into_iter().filter(|datagram| datagram.bytes[0] & 0xe0 == 0xe0).collect();
    for _ in 0..2_000 {
        // Of the right shape: a recorded control packet with changed content, or one made up.
        let mut bytes = control[rng.index(control.len())].bytes.clone();
        if rng.chance(0.5) {
            let len = 5 + 16 + 12;
            bytes.resize(len, 0);
            rng.fill(&mut bytes[1..]);
        } else {
            let at = 3 + rng.index(bytes.len() - 3);
            bytes[at] ^= 1 << rng.below(8);
        }
        siege.forge(client, host, bytes.clone());
        siege.forge(host, client, bytes);
    }
    assert!(siege.play.stats(siege.host).forged > 100);
    siege.survives();
}

#[test]
fn a_forged_ack_makes_no_verdict_false() {
    let mut siege = Siege::new(16);
    let (client, host) = (siege.address(siege.client), siege.address(siege.host));
    let mut rng = SimRng::new(16);
    for _ in 0..4_000 {
        // Type 2 (ack) or 1 (report), any numbers, any form, any tag.
        let len = rng.between(3, 60) as usize;
        let mut bytes = rng.bytes(len);
        bytes[0] = if rng.chance(0.5) { 0xc0 } else { 0xa0 } | bytes[0] & 0x1f;
        siege.forge(client, host, bytes.clone());
        siege.forge(host, client, bytes);
    }
    // Nothing but the tag can tell; and the oracle sees that no verdict was false.
    assert!(siege.play.stats(siege.client).forged > 200);
    siege.survives();
}

#[test]
fn control_packets_held_back_for_seconds_and_then_released() {
    for_seeds(40, |seed| {
        let mut siege = Siege::new(seed);
        let mut rng = SimRng::new(seed);
        let held = Rc::new(RefCell::new(0));
        let count = Rc::clone(&held);
        siege.play.world.set_tap(move |passing| {
            // Acks and control packets.
            if passing.bytes[0] & 0xc0 == 0xc0 && rng.chance(0.7) {
                *count.borrow_mut() += 1;
                return Fate::Hold(SECOND + rng.duration(5 * SECOND));
            }
            if rng.chance(0.2) { Fate::Drop } else { Fate::Pass }
        });
        siege.play.run_for(15 * SECOND);
        assert!(*held.borrow() > 0);
        siege.play.world.clear_tap();
        siege.play.run_for(7 * SECOND);
        siege.survives();
    });
}
