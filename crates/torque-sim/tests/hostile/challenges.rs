//! Handshake messages: false, old, changed or made up.

use super::*;

#[test]
fn a_replayed_solution_opens_no_second_connection() {
    let mut siege = Siege::new(13);
    let request = siege.recorded_kind(3);
    // The very same again, from the true address: its token is used up.
    let before = siege.play.stats(siege.host).clone();
    siege.forge(request.from, request.to, request.bytes.clone());
    assert_eq!(siege.play.stats(siege.host).replayed_token, before.replayed_token + 1);
    // From elsewhere: the token is not for there.
    siege.ask(request.bytes.clone());
    assert_eq!(siege.play.stats(siege.host).false_token, before.false_token + 1);
    // The solution on another body.
    let mut changed = request.bytes.clone();
    while {
        changed[100] = changed[100].wrapping_add(1);
        solves(&changed)
    } {}
    siege.forge(request.from, request.to, changed);
    assert_eq!(siege.play.stats(siege.host).false_solution, before.false_solution + 1);
    assert!(siege.mail().is_empty());
    assert_eq!(siege.play.stats(siege.host).connections_requested, before.connections_requested);
    siege.survives();
}

#[test]
fn a_forged_reject_does_not_end_an_attempt() {
    for_seeds(60, |seed| {
        let mut rng = SimRng::new(seed);
        let count = Rc::new(Cell::new(0u32));
        let seen = Rc::clone(&count);
        // The adversary sees every request and answers first, with any code.
        let (mut play, client, host, connection) = attempt(seed, ConnectOptions::default(), move |passing| {
            let nonce = match passing.bytes.first() {
                Some(1) => passing.bytes[10..26].to_vec(),
                Some(3) => passing.bytes[2..18].to_vec(),
                _ => return Fate::Pass,
            };
            // For a while; somebody who can do it for ever can drop the requests as well.
            seen.set(seen.get() + 1);
            if seen.get() <= 3 {
                for _ in 0..rng.between(1, 5) {
                    let reject = foreign::reject(&nonce, rng.between(0, 8) as u8);
                    passing.inject(MS, passing.to, passing.from, reject);
                }
            }
            Fate::Pass
        });
        play.run_for(20 * SECOND);
        assert!(play.end(client, connection).established, "{:?}", play.history(client));
        assert!(play.stats(client).rejects_heard > 0);
        assert_eq!(play.open_connections(host).len(), 1);
        play.close_all_and_finish(60 * SECOND);
    });
    // With a nonce that is not the attempt's: nothing at all.
    let (mut play, client, _, connection) = attempt(14, ConnectOptions::default(), |passing| {
        for code in 0..=8 {
            passing.inject(MS, passing.to, passing.from, foreign::reject(&[9; 16], code));
        }
        Fate::Pass
    });
    play.run_for(SECOND);
    assert!(play.end(client, connection).established);
    assert_eq!(play.end(client, connection).closed, None);
}

#[test]
fn a_request_replayed_within_its_epoch_asks_nobody_again() {
    let mut siege = Siege::new(98);
    let request = siege.recorded_kind(3);
    let requested = siege.play.stats(siege.host).connections_requested;
    for _ in 0..50 {
        siege.forge(request.from, request.to, request.bytes.clone());
        siege.play.run_for(500 * MS);
    }
    let stats = siege.play.stats(siege.host);
    assert_eq!(stats.replayed_token, 50);
    assert_eq!(stats.connections_requested, requested);
    siege.survives();
}

#[test]
fn a_request_replayed_after_its_epoch_asks_nobody_again() {
    let mut siege = Siege::new(99);
    let request = siege.recorded_kind(3);
    // The host makes new epochs as it needs them.
    let visitor = siege.play.add_default();
    for _ in 0..5 {
        let visit = siege.play.connect(visitor, siege.host, ConnectOptions::default());
        siege.play.run_for(25 * SECOND);
        siege.play.close(visitor, visit, b"");
        siege.play.run_for(2 * SECOND);
    }
    let before = siege.play.stats(siege.host);
    for _ in 0..50 {
        siege.ask(request.bytes.clone());
        siege.forge(request.from, request.to, request.bytes.clone());
    }
    let stats = siege.play.stats(siege.host);
    assert_eq!(stats.stale_epoch, before.stale_epoch + 100);
    assert_eq!(stats.connections_requested, before.connections_requested);
    // 19 bytes for each.
    assert!(siege.mail().iter().all(|answer| answer.bytes.len() == 19 && answer.bytes[0] == 7));
    siege.survives();
}

#[test]
fn a_request_replayed_while_it_is_decided_gets_few_answers() {
    // The same datagram again and again, before and after the host's application accepts: the answer is
    // repeated, not more often than each 50 ms.
    let mut stranger =
        Stranger::at(100, Behaviour { request: Answer::Accept(5 * SECOND), ..Behaviour::default() });
    let request = foreign::connect_request(&stranger.response, [3; 32], Identity::honest([7; 32]), 128);
    let (mut pending, mut accepts) = (0, Vec::new());
    let start = stranger.play.world.now();
    while stranger.play.world.now().saturating_since(start) < 10 * SECOND {
        for answer in stranger.ask(request.bytes.clone()) {
            assert!(answer.len() <= request.bytes.len());
            match answer[0] {
                6 => pending += 1,
                4 => accepts.push(answer),
                other => panic!("{other}"),
            }
        }
    }
    assert!((50..=101).contains(&pending), "{pending}");
    assert!((50..=101).contains(&accepts.len()), "{}", accepts.len());
    assert!(accepts.windows(2).all(|pair| pair[0] == pair[1]), "verbatim");
    // Changed, it is nothing.
    let mut changed = request.bytes.clone();
    changed[140] ^= 1;
    foreign::solve(&mut changed);
    assert!(stranger.ask(changed).is_empty());
    let stats = stranger.play.stats(stranger.host);
    assert_eq!((stats.connections_requested, stats.changed_request), (1, 1));
}
