//! More than a host can do.

use super::*;

/// The difficulty in the challenges that the adversary is given.
fn difficulty(play: &mut Play, host: NodeId) -> u8 {
    play.world.with(host, |endpoint, now| endpoint.difficulty(now))
}

#[test]
fn a_flood_of_false_solutions_raises_the_difficulty_only() {
    let mut siege = Siege::new(103);
    let host_address = siege.address(siege.host);
    let resting = difficulty(&mut siege.play, siege.host);
    // A hundred addresses with true tokens, renewed each five seconds.
    let bots: Vec<Address> = (0..100).map(|bot| Address::from_virtual(10_000 + bot)).collect();
    for bot in &bots {
        siege.play.world.open_mailbox(*bot);
    }
    let mut requests: Vec<(Address, Vec<u8>)> = Vec::new();
    let mut guests = Vec::new();
    let mut highest = 0;
    let mut rng = SimRng::new(103);
    // Five legitimate handshakes a second, 500 false ones, for twenty seconds.
    for tick in 0..1_000u64 {
        if tick % 250 == 0 {
            for (place, bot) in bots.iter().enumerate() {
                let mut nonce = [0; 16];
                nonce[..8].copy_from_slice(&(tick * 1_000 + place as u64).to_be_bytes());
                siege.play.world.inject(
                    Duration::ZERO,
                    *bot,
                    host_address,
                    foreign::challenge_request(nonce),
                );
            }
            siege.play.run_for(MS);
            requests.clear();
            for bot in &bots {
                for mail in siege.play.world.take_mail(*bot).iter().filter(|mail| is_kind(&mail.bytes, 2)) {
                    let mut request = vec![3, 1];
                    request.extend(&mail.bytes[2..18]);
                    request.extend(&mail.bytes[26..30]);
                    request.extend(&mail.bytes[122..138]);
                    request.extend([mail.bytes[138], mail.bytes[139], 2, 0, 0, 0]);
                    request.extend([0; 8]);
                    request.extend(rng.bytes(150));
                    requests.push((*bot, request));
                }
            }
            assert_eq!(requests.len(), 100);
        }
        for _ in 0..10 {
            let place = rng.index(requests.len());
            let (bot, request) = &mut requests[place];
            let last = request.len() - 1;
            // Low difficulties are guessed now and then: that pays for the Diffie-Hellman, and is dropped there.
            request[last] = request[last].wrapping_add(1);
            request[last - 1] = request[last - 1].wrapping_add(rng.below(2) as u8);
            siege.play.world.inject(Duration::ZERO, *bot, host_address, request.clone());
        }
        if tick % 10 == 0 {
            let guest = siege.play.add_default();
            let connection = siege.play.connect(guest, siege.host, ConnectOptions::default());
            guests.push((guest, connection));
        }
        siege.play.run_for(20 * MS);
        highest = highest.max(difficulty(&mut siege.play, siege.host));
    }
    // Those who do not pay do not set the price.
    assert_eq!(highest, resting);
    siege.play.run_for(10 * SECOND);
    for (guest, connection) in &guests {
        let end = siege.play.end(*guest, *connection);
        assert!(end.established && end.closed.is_none(), "{:?}", siege.play.history(*guest));
    }
    let stats = siege.play.stats(siege.host);
    assert!(stats.false_solution > 5_000, "{stats:?}");
    for bot in bots {
        let answered: usize = siege.play.world.take_mail(bot).iter().map(|mail| mail.bytes.len()).sum();
        assert!(answered <= 100 * 158, "{answered}");
    }
    siege.play.run_for(30 * SECOND);
    for (guest, connection) in guests {
        siege.play.close(guest, connection, b"");
    }
    siege.play.run_for(30 * SECOND);
    siege.survives();
}

#[test]
fn a_flood_of_challenge_requests_makes_no_state() {
    // No state, no answer longer than the question.
    let mut siege = Siege::new(104);
    for number in 0..5_000u64 {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        siege.ask(foreign::challenge_request(nonce));
        assert!(siege.mail().iter().all(|answer| answer.bytes.len() <= 768));
    }
    assert_eq!(siege.play.world.node(siege.host).slots_used(), 1);
    siege.survives();
}

#[test]
fn a_flood_of_probes_gets_one_echo_each() {
    // One echo for each, of the same size, to where it came from; echoes that are sent back go nowhere.
    let mut siege = Siege::new(106);
    let mut rng = SimRng::new(106);
    let (mut probes, mut echoed) = (0, 0);
    for _ in 0..2_000 {
        let first = [0x0b, 0x0b, 0x0c][rng.index(3)];
        let size = [16, 16, 16, 15, 17, 700][rng.index(6)];
        probes += usize::from((first, size) == (0x0b, 16));
        let datagram = [&[first][..], &rng.bytes(size)].concat();
        siege.ask(datagram.clone());
        for answer in siege.mail() {
            assert_eq!((answer.bytes[0], &answer.bytes[1..]), (0x0c, &datagram[1..]));
            echoed += 1;
            siege.ask(answer.bytes);
            assert!(siege.mail().is_empty());
        }
    }
    assert_eq!(echoed, probes);
    assert!(probes > 500);
    // In the name of either end the other one gets them.
    for datagram in [0x0b, 0x0c].map(|first| [&[first][..], &[7; 16]].concat()) {
        siege.spray(&datagram);
    }
    assert_eq!(siege.play.world.node(siege.host).slots_used(), 1);
    siege.survives();
}

#[test]
fn a_flood_that_pays_fills_no_more_than_the_tables() {
    let mut config = Config::default();
    config.limits.pending = 50;
    config.puzzle.difficulty_min = 0;
    let mut siege = Siege::with(105, config);
    siege.play.set_behaviour(siege.host, Behaviour { request: Answer::Never, ..busy() });
    for number in 0..300u64 {
        let bot = Address::from_virtual(20_000 + number);
        siege.play.world.open_mailbox(bot);
        let host = siege.address(siege.host);
        siege.forge(bot, host, foreign::challenge_request([number as u8; 16]));
        let response = siege.play.world.take_mail(bot).remove(0).bytes;
        let request = foreign::connect_request(&response, [3; 32], Identity::honest([7; 32]), 128);
        siege.forge(bot, host, request.bytes.clone());
        let answers = siege.play.world.take_mail(bot);
        assert!(answers.iter().all(|answer| answer.bytes.len() <= request.bytes.len()));
    }
    let stats = siege.play.stats(siege.host);
    assert_eq!(stats.connections_requested, 1 + 50);
    assert!(stats.busy > 0);
    assert_eq!(siege.play.world.node(siege.host).slots_used(), 51);
    siege.survives();
}
