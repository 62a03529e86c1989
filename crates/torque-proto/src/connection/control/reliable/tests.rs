use core::time::Duration;
use std::collections::BTreeMap;
use std::vec::Vec;

use super::*;
use crate::crypto::rng::Rng;
use crate::crypto::testing::for_seeds;
use crate::wire::control::reliable::ReliableMessages;

const KIND: ReliableKind = ReliableKind::FORWARD;
const STATE: ReliableKind = ReliableKind::CANDIDATES;
const LONGEST: [u8; MAX_MESSAGE] = [7; MAX_MESSAGE];

fn at(millis: u64) -> Instant {
    Instant::from_millis(1_000 + millis)
}

/// What one packet after another says that is due.
fn packets(reliable: &mut Reliable, now: Instant) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut body = Vec::new();
    while reliable.write(now, &mut body) {
        assert!(body.len() <= MAX_PACKET_BODY);
        packets.push(core::mem::take(&mut body));
    }
    packets
}

/// Gives a packet to a side whose endpoint takes everything.
fn receive(reliable: &mut Reliable, now: Instant, packet: &[u8]) -> Vec<ControlEvent> {
    let mut events = Vec::new();
    let malformed = reliable.stats.malformed;
    let legal = reliable.legal(packet);
    reliable.read(now, legal, &mut |event| {
        events.push(event);
        true
    });
    assert!(
        ReliableMessages::new(packet).all(|message| message.is_ok()) || reliable.stats.malformed > malformed
    );
    events
}

fn timeout(reliable: &mut Reliable, now: Instant) -> Vec<ControlEvent> {
    let mut events = Vec::new();
    reliable.handle_timeout(now, &mut |event| {
        events.push(event);
        true
    });
    events
}

fn whole(attempt: u32, serial: u16, kind: ReliableKind, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    ReliableMessage::Whole { kind, attempt, serial, body }.write(&mut packet);
    packet
}

fn part(attempt: u32, serial: u16, kind: ReliableKind, length: u16, offset: u16) -> Vec<u8> {
    let count = PART_BYTES.min(usize::from(length - offset));
    let mut packet = Vec::new();
    ReliableMessage::Part { kind, attempt, serial, length, offset, bytes: &LONGEST[..count] }
        .write(&mut packet);
    packet
}

fn message(attempt: u32, serial: u16, kind: ReliableKind, body: &[u8]) -> ControlEvent {
    ControlEvent::Message { attempt, serial, kind, body: Zeroizing::new(body.to_vec()) }
}

#[test]
fn a_message_is_repeated_with_back_off_for_ten_seconds() {
    let mut side = Reliable::default();
    let serial = side.send(at(0), 7, KIND, b"?").unwrap();
    let mut sent = Vec::new();
    loop {
        let due = side.deadline().unwrap();
        let events = timeout(&mut side, due);
        if !events.is_empty() {
            assert_eq!((due, events), (at(10_000), [ControlEvent::Failed { attempt: 7, serial }].to_vec()));
            break;
        }
        assert_eq!(packets(&mut side, due).len(), 1);
        sent.push(due.saturating_since(at(0)).as_millis());
    }
    assert_eq!(sent, [0, 250, 750, 1_750, 3_750, 5_750, 7_750, 9_750]);
    assert_eq!(side.deadline(), None);
    assert_eq!((side.stats().sent, side.stats().repeated, side.stats().failed), (1, 7, 1));
}

#[test]
fn a_message_is_handled_once_and_confirmed_each_time_it_comes() {
    let (mut a, mut b) = (Reliable::default(), Reliable::default());
    a.send(at(0), 7, KIND, b"once").unwrap();
    let first = packets(&mut a, at(0)).remove(0);
    assert_eq!(receive(&mut b, at(10), &first), [message(7, 1, KIND, b"once")]);
    assert_eq!(packets(&mut b, at(10)).len(), 1, "this word is lost");
    let again = packets(&mut a, at(250)).remove(0);
    assert_eq!(receive(&mut b, at(260), &again), []);
    let word = packets(&mut b, at(260)).remove(0);
    assert_eq!(receive(&mut a, at(270), &word), [ControlEvent::Received { attempt: 7, serial: 1 }]);
    assert_eq!((a.deadline(), b.deadline()), (None, None));
    assert_eq!(receive(&mut a, at(280), &word), [], "a second word says nothing new");
    assert_eq!(packets(&mut a, at(10_000)), Vec::<Vec<u8>>::new());
}

#[test]
fn a_long_message_arrives_in_parts_in_any_order_and_across_repetitions() {
    let (mut a, mut b) = (Reliable::default(), Reliable::default());
    let body: Vec<u8> = (0..1_216_u16).map(|number| number as u8).collect();
    a.send(at(0), 7, ReliableKind::REKEY_OFFER, &body).unwrap();
    let first = packets(&mut a, at(0));
    assert_eq!(first.len(), 2);
    assert_eq!(receive(&mut b, at(10), &first[1]), []);
    assert_eq!(packets(&mut b, at(10)), Vec::<Vec<u8>>::new(), "it is not received yet");
    let second = packets(&mut a, at(250));
    assert_eq!(receive(&mut b, at(260), &second[0]), [message(7, 1, ReliableKind::REKEY_OFFER, &body)]);
    assert_eq!(receive(&mut b, at(261), &second[1]), []);
    let words = packets(&mut b, at(261));
    assert_eq!(receive(&mut a, at(270), &words[0]), [ControlEvent::Received { attempt: 7, serial: 1 }]);
    assert_eq!(b.deadline(), None, "nothing is kept of its parts");
}

#[test]
fn an_older_state_than_one_handled_is_received_and_ignored() {
    let mut side = Reliable::default();
    assert_eq!(receive(&mut side, at(0), &whole(1, 2, STATE, b"new")), [message(1, 2, STATE, b"new")]);
    assert_eq!(receive(&mut side, at(1), &whole(1, 1, STATE, b"old")), []);
    assert_eq!(side.answers, [(1, 2), (1, 1)]);
    // Of other kinds every message counts, and other attempts have states of their own.
    assert_eq!(receive(&mut side, at(2), &whole(1, 4, KIND, b"b")), [message(1, 4, KIND, b"b")]);
    assert_eq!(receive(&mut side, at(3), &whole(1, 3, KIND, b"a")), [message(1, 3, KIND, b"a")]);
    assert_eq!(receive(&mut side, at(4), &whole(2, 1, STATE, b"x")), [message(2, 1, STATE, b"x")]);
    assert_eq!((side.stats().handled, side.stats().out_of_date), (4, 1));
}

#[test]
fn what_the_endpoint_does_not_take_is_not_received_and_comes_again() {
    for length in [3, 1_000] {
        let (mut a, mut b) = (Reliable::default(), Reliable::default());
        a.send(at(0), 7, KIND, &LONGEST[..length]).unwrap();
        for now in [at(0), at(250)] {
            for packet in packets(&mut a, now) {
                b.read(now, &packet, &mut |_| false);
            }
            assert_eq!(packets(&mut b, now), Vec::<Vec<u8>>::new());
        }
        let events: Vec<_> =
            packets(&mut a, at(750)).iter().flat_map(|packet| receive(&mut b, at(760), packet)).collect();
        assert_eq!(events, [message(7, 1, KIND, &LONGEST[..length])]);
        assert!(b.stats().queue_full > 0);
    }
}

#[test]
fn no_attempt_takes_the_places_of_the_others() {
    let mut side = Reliable::default();
    assert_eq!(
        side.send(at(0), 1, KIND, &[0; MAX_MESSAGE + 1]),
        Err(ControlError::TooLong { max: MAX_MESSAGE })
    );
    let send_all = |side: &mut Reliable, attempt, body: &[u8]| {
        (0..1_000).take_while(|_| side.send(at(0), attempt, KIND, body).is_ok()).count()
    };
    assert_eq!(send_all(&mut side, 1, b"x"), MAX_SENDING_OF_ATTEMPT);
    assert_eq!(side.send(at(0), 1, KIND, b"x"), Err(ControlError::TooMany));
    assert_eq!(side.send(at(0), 2, KIND, b"x"), Ok(1));
    let mut side = Reliable::default();
    assert_eq!(send_all(&mut side, 1, &LONGEST), MAX_SENDING_BYTES_OF_ATTEMPT / MAX_MESSAGE);
    assert_eq!(side.send(at(0), 2, KIND, &LONGEST), Ok(1));
    assert!(side.stats().refused_here > 0);

    let mut side = Reliable::default();
    let parts = |side: &mut Reliable, attempt| {
        for serial in 1..1_000 {
            receive(side, at(0), &part(attempt, serial, KIND, 2_000, 0));
        }
        side.partial.iter().filter(|partial| partial.attempt == attempt).count()
    };
    assert_eq!((parts(&mut side, 1), parts(&mut side, 2)), (MAX_PARTIAL_OF_ATTEMPT, MAX_PARTIAL_OF_ATTEMPT));
}

#[test]
fn an_attempt_ends_with_its_serials() {
    let (mut a, mut b) = (Reliable::default(), Reliable::default());
    for serial in 1..=u16::MAX {
        assert_eq!(a.send(at(u64::from(serial)), 1, KIND, b""), Ok(serial));
        for packet in packets(&mut a, at(u64::from(serial))) {
            assert_eq!(receive(&mut b, at(u64::from(serial)), &packet).len(), 1);
        }
        for packet in packets(&mut b, at(u64::from(serial))) {
            receive(&mut a, at(u64::from(serial)), &packet);
        }
    }
    assert_eq!(a.send(at(70_000), 1, KIND, b""), Err(ControlError::Exhausted));
    assert_eq!(a.send(at(70_000), 2, KIND, b""), Ok(1));
}

#[test]
fn an_attempt_number_that_comes_again_much_later_is_another_attempt() {
    let (mut a, mut b) = (Reliable::default(), Reliable::default());
    for start in [0, 61_000] {
        assert_eq!(a.send(at(start), 1, KIND, b"x"), Ok(1));
        let packet = packets(&mut a, at(start)).remove(0);
        assert_eq!(receive(&mut b, at(start), &packet), [message(1, 1, KIND, b"x")]);
        let word = packets(&mut b, at(start)).remove(0);
        receive(&mut a, at(start), &word);
    }
    // Attempts that are over make room for others.
    for attempt in 0..MAX_ATTEMPTS as u32 * 3 {
        let now = at(200_000 + 5_000 * u64::from(attempt));
        assert_eq!(a.send(now, attempt, KIND, b"x"), Ok(1));
        let packet = packets(&mut a, now).pop().unwrap();
        assert_eq!(receive(&mut b, now, &packet), [message(attempt, 1, KIND, b"x")]);
        let word = packets(&mut b, now).remove(0);
        receive(&mut a, now, &word);
    }
}

#[test]
fn thousands_of_messages_get_one_packet_of_answers() {
    let mut side = Reliable::default();
    receive(&mut side, at(0), &whole(1, u16::MAX, KIND, b""));
    packets(&mut side, at(0));
    // These are so old that they count as handled.
    let old: Vec<u8> = (1..7_200).flat_map(|serial| whole(1, serial, KIND, b"")).collect();
    let new: Vec<u8> = (1..7_200).flat_map(|serial| whole(2, serial, KIND, b"")).collect();
    for packet in [&old, &new] {
        receive(&mut side, at(1), packet);
        assert_eq!(packets(&mut side, at(1)).len(), 1);
    }
    assert_eq!(side.stats().handled, 1 + MAX_READ as u64);
    assert_eq!((side.stats().duplicates, side.stats().too_many_in_packet), (MAX_READ as u64, 2));
}

/// All that a side keeps, in bytes.
fn kept(side: &Reliable) -> usize {
    let partial: usize = side.partial.iter().map(|partial| partial.body.len() + 64).sum();
    let states: usize = side.heard.iter().map(|heard| heard.states.len() * 4 + 64).sum();
    partial + states + side.answers.len() * 8
}

#[test]
fn a_peer_that_breaks_the_rules_makes_a_connection_keep_a_bounded_amount() {
    let mut reached = [0; 3];
    for_seeds(50, |rng| {
        let (mut side, mut now, mut handled) = (Reliable::default(), at(0), Vec::new());
        for _ in 0..3_000 {
            now += Duration::from_millis(rng.below(100));
            let attempts = if rng.below(10) == 0 { 1_000 } else { 4 };
            let attempt = rng.below(attempts) as u32;
            let serial = match rng.below(200) {
                0 => 1 + rng.below(65_535) as u16,
                _ => 1 + rng.below(10) as u16,
            };
            let kind = [KIND, STATE, ReliableKind::CIRCUIT][rng.below(3) as usize];
            let length = PART_BYTES as u16 + 1 + rng.below((MAX_MESSAGE - PART_BYTES) as u64) as u16;
            let offset = rng.below(4) as u16 * PART_BYTES as u16;
            let packet = match rng.below(3) {
                0 => whole(attempt, serial, kind, &LONGEST[..rng.below(200) as usize]),
                1 if offset < length => part(attempt, serial, kind, length, offset),
                // The parts of one message contradict each other about kind and length.
                _ => part(attempt, 1, kind, length, 0),
            };
            let events = receive(&mut side, now, &packet);
            handled.extend(events.into_iter().map(|event| (now, event)));
            timeout(&mut side, now);
            assert!(kept(&side) <= MAX_PARTIAL * (MAX_MESSAGE + 64) + MAX_ATTEMPTS * 80 + 8);
            assert!(packets(&mut side, now).len() <= 1, "an answer is no longer than what it answers");
        }
        let stats = side.stats().clone();
        assert_eq!(stats.handled, handled.len() as u64);
        for (sum, count) in
            reached.iter_mut().zip([stats.too_many_attempts, stats.too_many_parts, stats.malformed])
        {
            *sum += count;
        }
        now += Duration::from_secs(60);
        timeout(&mut side, now);
        assert_eq!((side.partial.len(), side.deadline()), (0, None), "nothing incomplete stays");
        assert!(side.stats().incomplete > 0);
    });
    assert!(reached.iter().all(|count| *count > 0), "each bound was met: {reached:?}");
}

/// Two sides and what is between them.
struct Run {
    now: u64,
    sides: [Reliable; 2],
    /// When it arrives, at which side, and what.
    under_way: Vec<(u64, usize, Vec<u8>)>,
    /// What came out at each side, and when.
    events: [Vec<(u64, ControlEvent)>; 2],
}

impl Run {
    /// Until `end`, in milliseconds, packets are lost, doubled and overtake each other.
    fn pass(&mut self, rng: &mut Rng, loss: u64, end: u64) {
        for step in 0.. {
            assert!(step < 100_000, "something is always due");
            for from in 0..2 {
                for packet in packets(&mut self.sides[from], at(self.now)) {
                    let copies = u64::from(rng.below(100) >= loss) * (1 + u64::from(rng.below(10) == 0));
                    for _ in 0..copies {
                        let arrives = self.now + 10 + rng.below(200);
                        self.under_way.push((arrives, 1 - from, packet.clone()));
                    }
                }
            }
            let due =
                |side: &Reliable| side.deadline().map(|due| due.saturating_since(at(0)).as_millis() as u64);
            let deadlines = self.sides.iter().filter_map(due);
            let Some(next) = self.under_way.iter().map(|packet| packet.0).chain(deadlines).min() else {
                break;
            };
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            let (come, rest) = self.under_way.drain(..).partition(|packet| packet.0 <= self.now);
            self.under_way = rest;
            let come: Vec<(u64, usize, Vec<u8>)> = come;
            for (_, side, packet) in come {
                let events = receive(&mut self.sides[side], at(self.now), &packet);
                self.events[side].extend(events.into_iter().map(|event| (self.now, event)));
            }
            for side in 0..2 {
                let events = timeout(&mut self.sides[side], at(self.now));
                self.events[side].extend(events.into_iter().map(|event| (self.now, event)));
            }
        }
        self.now = end;
    }
}

#[test]
fn every_message_is_handled_once_and_in_time_or_told_as_failed() {
    let (mut sent_in_all, mut failed_in_all) = (0, 0);
    for_seeds(200, |rng| {
        let loss = [0, 5, 10, 30, 60, 100][rng.below(6) as usize];
        let mut run = Run {
            now: 0,
            sides: [Reliable::default(), Reliable::default()],
            under_way: Vec::new(),
            events: [Vec::new(), Vec::new()],
        };
        let mut sent = [BTreeMap::new(), BTreeMap::new()];
        for _ in 0..60 {
            let from = rng.below(2) as usize;
            let attempt = rng.below(5) as u32;
            let longest = if rng.below(3) == 0 { 3_500 } else { 60 };
            let mut body = alloc::vec![0; rng.below(longest) as usize];
            rng.fill(&mut body);
            if let Ok(serial) = run.sides[from].send(at(run.now), attempt, KIND, &body) {
                sent[from].insert((attempt, serial), (run.now, body));
            }
            let end = run.now + rng.below(700);
            run.pass(rng, loss, end);
        }
        let end = run.now + 20_000;
        run.pass(rng, loss, end);
        for from in [0, 1] {
            let mut handled = BTreeMap::new();
            for (time, event) in &run.events[1 - from] {
                if let ControlEvent::Message { attempt, serial, kind, body } = event {
                    let (since, wanted) = &sent[from][&(*attempt, *serial)];
                    assert_eq!((&**body, *kind), (wanted, KIND));
                    assert!(time - since <= 10_210, "in time");
                    assert_eq!(handled.insert((*attempt, *serial), *time), None, "handled twice");
                }
            }
            let mut told = BTreeMap::new();
            for (time, event) in &run.events[from] {
                let (attempt, serial, failed) = match event {
                    ControlEvent::Message { .. } => continue,
                    ControlEvent::Received { attempt, serial } => (*attempt, *serial, false),
                    ControlEvent::Failed { attempt, serial } => (*attempt, *serial, true),
                };
                assert!(time - sent[from][&(attempt, serial)].0 <= 10_000);
                assert!(failed || handled.contains_key(&(attempt, serial)), "received is true");
                assert_eq!(told.insert((attempt, serial), failed), None, "told twice");
                if loss <= 10 {
                    sent_in_all += 1;
                    failed_in_all += u32::from(failed);
                }
            }
            assert_eq!(told.len(), sent[from].len(), "each message has its end");
        }
    });
    assert!(failed_in_all * 200 <= sent_in_all, "{failed_in_all} of {sent_in_all} failed");
}
