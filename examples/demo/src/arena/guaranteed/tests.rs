use super::*;
use torque_netem::SimRng;

fn letter(number: u32) -> Letter {
    Letter { number, content: number.to_be_bytes().to_vec() }
}

#[test]
fn dropped_letters_are_sent_again_first_and_delivered_ones_never() {
    let mut outbox = Outbox::default();
    (0..4).for_each(|number: u32| outbox.push(number.to_be_bytes().to_vec()));
    let (first, second) = (outbox.take(20), outbox.take(20));
    assert_eq!((first.len(), second.len()), (2, 2));
    outbox.settle(first, false);
    outbox.settle(second, true);
    outbox.push(4_u32.to_be_bytes().to_vec());
    assert_eq!(outbox.take(1_000), [letter(0), letter(1), letter(4)]);
    assert_eq!(outbox.len(), 3);
}

#[test]
fn letters_of_a_packet_that_could_not_go_wait_in_their_place() {
    let mut outbox = Outbox::default();
    (0..3).for_each(|number: u32| outbox.push(number.to_be_bytes().to_vec()));
    let taken = outbox.take(20);
    outbox.return_unsent(taken);
    assert_eq!(outbox.take(1_000), [letter(0), letter(1), letter(2)]);
}

#[test]
fn letters_do_not_run_further_ahead_than_an_inbox_keeps() {
    let mut outbox = Outbox::default();
    (0..200).for_each(|_| outbox.push(Vec::new()));
    let lost = outbox.take(6);
    let mut taken = Vec::new();
    loop {
        let more = outbox.take(10_000);
        if more.is_empty() {
            break;
        }
        taken.extend(more);
    }
    assert_eq!(taken.last().unwrap().number, AHEAD - 1);
    outbox.settle(lost, true);
    assert_eq!(outbox.take(10_000)[0].number, AHEAD);
}

#[test]
fn an_inbox_gives_out_each_letter_once_and_in_order() {
    let mut inbox = Inbox::default();
    assert!(inbox.take(letter(1)));
    assert_eq!(inbox.next(), None);
    assert!(inbox.take(letter(0)));
    assert_eq!(
        [inbox.next(), inbox.next(), inbox.next()].map(|next| next.map(|(number, _)| number)),
        [Some(0), Some(1), None]
    );
    assert!(!inbox.take(letter(1)), "was here");
    assert!(!inbox.take(letter(2 + AHEAD)), "too far ahead");
    assert!(inbox.take(letter(2)) && !inbox.take(letter(2)), "twice");
}

#[test]
fn whatever_is_lost_all_letters_arrive_once_and_in_order() {
    for seed in 0..50 {
        let mut chances = SimRng::new(seed);
        let loss = chances.uniform(0.0, 0.9);
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
        let mut under_way: VecDeque<(Vec<Letter>, bool)> = VecDeque::new();
        let (mut pushed, mut got, mut turns) = (0_u32, Vec::new(), 0);
        while got.len() < 500 {
            turns += 1;
            assert!(turns < 1_000_000, "seed {seed}: a letter is missing");
            while pushed < 500 && chances.chance(0.5) {
                outbox.push(pushed.to_be_bytes().to_vec());
                pushed += 1;
            }
            let packet = outbox.take((chances.next_u64() % 60) as usize);
            let delivered = !chances.chance(loss);
            if delivered {
                for letter in packet.clone() {
                    assert!(inbox.take(letter), "seed {seed}");
                }
            }
            under_way.push_back((packet, delivered));
            if under_way.len() > 12 {
                let (packet, delivered) = under_way.pop_front().unwrap();
                outbox.settle(packet, delivered);
            }
            while let Some((number, content)) = inbox.next() {
                assert_eq!(content, number.to_be_bytes());
                got.push(number);
            }
        }
        assert_eq!(got, (0..500).collect::<Vec<_>>(), "seed {seed}");
    }
}
