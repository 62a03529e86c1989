use super::*;

fn guest() -> Guest {
    Guest::new(0, false, "Ada".into())
}

fn input(number: u32, right: i8) -> Vec<u8> {
    Input { number, control: Control { right, ..Control::default() }, letters: Vec::new() }.write()
}

fn state(tick: u32) -> Arc<State> {
    Arc::new(State { tick, ..State::default() })
}

/// The age of the base in a packet's head.
fn base_age(packet: &Packet) -> u32 {
    Snapshot::read(&mut super::super::wire::Reader(&packet.bytes)).unwrap().base_age
}

#[test]
fn each_tick_takes_one_input_and_the_last_one_holds() {
    let mut guest = guest();
    guest.packet(&input(1, 10));
    guest.packet(&input(2, 20));
    assert_eq!([guest.control().right, guest.control().right, guest.control().right], [10, 20, 20]);
    guest.packet(&input(5, 50));
    guest.packet(&input(4, 40));
    assert_eq!(guest.control().right, 50, "an older one never counts");
    assert_eq!(guest.control().right, 50);
}

#[test]
fn of_too_many_inputs_the_oldest_are_passed_over() {
    let mut guest = guest();
    (1..=100).for_each(|number| drop(guest.packet(&input(number, number as i8))));
    assert_eq!(guest.control().right, 97);
}

#[test]
fn a_snapshot_is_told_against_the_newest_that_is_known_to_be_there() {
    let mut guest = guest();
    for tick in 1..=3 {
        let packet = guest.snapshot(&state(tick), 1_150);
        assert_eq!(base_age(&packet), 0, "nothing is known yet");
        guest.sent(packet, Sequence(u64::from(tick)));
    }
    guest.verdict(Sequence(1), true);
    guest.verdict(Sequence(2), true);
    guest.verdict(Sequence(3), false);
    assert_eq!(base_age(&guest.snapshot(&state(10), 1_150)), 8);
    assert_eq!(base_age(&guest.snapshot(&state(2 + BASE_AGE), 1_150)), BASE_AGE);
    assert_eq!(base_age(&guest.snapshot(&state(3 + BASE_AGE), 1_150)), 0, "the player keeps none so old");
}

#[test]
fn letters_leave_what_is_too_large_for_this_packet_to_the_next() {
    let mut guest = guest();
    (0..20).for_each(|_| guest.tell(&News::Said { player: 0, text: "x".repeat(100) }));
    let packet = guest.snapshot(&state(1), 500);
    assert!(packet.bytes.len() <= 500 && packet.letters.len() == 4, "{packet:?}");
    guest.unsent(packet);
    assert_eq!(guest.snapshot(&state(2), 1_150).letters[0].number, 0);
}

#[test]
fn who_says_too_much_is_not_heard_and_who_sends_nonsense_is_counted() {
    let mut guest = guest();
    let mut outbox = Outbox::default();
    (0..10).for_each(|_| outbox.push(Deed::Say { text: "hey".into() }.write()));
    let say = Input { number: 1, control: Control::default(), letters: outbox.take(1_000) }.write();
    assert_eq!(guest.packet(&say).len(), LINES as usize);
    assert_eq!(guest.malformed, 0);
    assert!(guest.packet(&say).is_empty(), "the same letters again");
    assert_eq!(guest.malformed, 10);
    assert!(guest.packet(b"junk").is_empty());
    assert_eq!(guest.malformed, 11);
}

#[test]
fn who_takes_nothing_falls_behind_in_bounds() {
    let mut guest = guest();
    for _ in 0..=LETTERS_BEHIND {
        assert!(!guest.is_behind());
        guest.tell(&News::Left { player: 1 });
    }
    assert!(guest.is_behind());
}
