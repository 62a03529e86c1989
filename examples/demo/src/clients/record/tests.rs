use super::*;

/// Three packets, of which the second is lost, told truly.
fn truth() -> (Record, Record) {
    let (mut sender, mut receiver) = (Record::default(), Record::default());
    for number in 0..3 {
        sender.sent(Sequence(10 + u64::from(number)), number);
    }
    receiver.received(Sequence(10), Some(0));
    receiver.received(Sequence(12), Some(2));
    (sender, receiver)
}

fn tell(sender: &mut Record, verdicts: [Delivery; 3]) {
    for (sequence, delivery) in (10..).zip(verdicts) {
        sender.verdict(Sequence(sequence), delivery);
    }
}

use Delivery::{Delivered, Dropped, Unknown};

#[test]
fn true_verdicts_have_no_mismatch() {
    let (mut sender, receiver) = truth();
    tell(&mut sender, [Delivered, Dropped, Delivered]);
    let tally = Tally::compare(&sender, &receiver);
    assert_eq!(tally, Tally { sent: 3, delivered: 2, dropped: 1, unknown: 0, mismatches: 0 });
}

#[test]
fn every_kind_of_lie_is_a_mismatch() {
    let cases =
        [[Delivered, Delivered, Delivered], [Dropped, Dropped, Delivered], [Delivered, Dropped, Dropped]];
    for verdicts in cases {
        let (mut sender, receiver) = truth();
        tell(&mut sender, verdicts);
        assert_eq!(Tally::compare(&sender, &receiver).mismatches, 1, "{verdicts:?}");
    }
}

#[test]
fn missing_repeated_misordered_and_unfounded_verdicts_are_mismatches() {
    let (mut sender, receiver) = truth();
    sender.verdict(Sequence(10), Delivered);
    sender.verdict(Sequence(11), Dropped);
    let open = Tally::compare(&sender, &receiver);
    assert_eq!((open.mismatches, open.unknown), (0, 1), "still open");
    sender.ended = Some(("closed".into(), true));
    assert_eq!(Tally::compare(&sender, &receiver).mismatches, 1, "missing");
    sender.verdict(Sequence(12), Delivered);
    assert_eq!(Tally::compare(&sender, &receiver).mismatches, 0);
    sender.verdict(Sequence(12), Delivered);
    assert_eq!(Tally::compare(&sender, &receiver).mismatches, 1, "twice");

    let (mut sender, receiver) = truth();
    sender.verdict(Sequence(11), Dropped);
    assert!(Tally::compare(&sender, &receiver).mismatches > 0, "out of order");
}

#[test]
fn a_packet_that_nobody_sent_or_that_was_changed_is_a_mismatch() {
    let (mut sender, mut receiver) = truth();
    tell(&mut sender, [Delivered, Dropped, Delivered]);
    receiver.received(Sequence(13), Some(3));
    assert_eq!(Tally::compare(&sender, &receiver).mismatches, 1, "from nowhere");

    let (mut sender, mut receiver) = truth();
    tell(&mut sender, [Delivered, Dropped, Delivered]);
    receiver.received.insert(12, 7);
    assert_eq!(Tally::compare(&sender, &receiver).mismatches, 1, "another payload");

    let mut receiver = Record::default();
    receiver.received(Sequence(1), None);
    assert_eq!(receiver.faults, 1, "damaged");
}

#[test]
fn what_is_not_certain_is_neither_delivered_nor_dropped() {
    let (mut sender, receiver) = truth();
    tell(&mut sender, [Delivered, Unknown, Unknown]);
    let tally = Tally::compare(&sender, &receiver);
    assert_eq!((tally.delivered, tally.dropped, tally.unknown, tally.mismatches), (1, 0, 2, 0));
}
