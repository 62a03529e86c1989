use super::*;
use alloc::format;

const LIFETIME: Duration = Duration::from_secs(30);

struct Clockwork {
    now: Instant,
    epochs: Epochs,
    rng: Rng,
    key_pair: KeyPair,
}

impl Clockwork {
    fn new(seed: u8) -> Self {
        Self {
            now: Instant::from_millis(1_000_000),
            epochs: Epochs::new(LIFETIME, 2),
            rng: Rng::new([seed; 32]),
            key_pair: KeyPair::from_seed([1; 32]),
        }
    }

    fn unix(&self) -> u64 {
        1_800_000_000_000 + self.now.as_micros() / 1_000
    }

    fn current(&mut self) -> [u8; 32] {
        let unix = self.unix();
        *self.epochs.current(self.now, unix, &self.key_pair, &mut self.rng).key()
    }

    fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn lives(&mut self, key: &[u8; 32]) -> bool {
        let tag = [key[0], key[1], key[2], key[3]];
        self.epochs.find(self.now, tag).is_some_and(|epoch| epoch.key() == key)
    }
}

#[test]
fn no_epoch_is_made_before_it_is_needed() {
    let mut host = Clockwork::new(1);
    assert_eq!(host.epochs.deadline(), None);
    host.wait(3_600_000);
    host.epochs.erase_ended(host.now);
    assert!(host.epochs.share().is_none());
    let key = host.current();
    assert!(host.lives(&key));
}

#[test]
fn an_epoch_is_used_for_its_lifetime_and_known_for_two() {
    let mut host = Clockwork::new(2);
    let first = host.current();
    host.wait(30_000);
    assert_eq!(host.current(), first);
    host.wait(1);
    let second = host.current();
    assert_ne!(second, first);
    host.wait(29_998);
    assert!(host.lives(&first));
    host.wait(1);
    assert!(!host.lives(&first));
    assert!(host.lives(&second));
}

#[test]
fn an_epoch_ends_when_two_newer_ones_exist() {
    let mut host = Clockwork::new(3);
    let first = host.current();
    host.wait(10_000);
    host.epochs.set_data(b"b");
    let second = host.current();
    host.wait(10_000);
    host.epochs.set_data(b"c");
    assert!(host.lives(&first));
    let third = host.current();
    assert!(!host.lives(&first));
    assert!(host.lives(&second) && host.lives(&third));
}

#[test]
fn the_deadline_erases_each_epoch_in_turn() {
    let mut host = Clockwork::new(4);
    let begin = host.now;
    host.current();
    host.wait(40_000);
    host.current();
    for end in [60_000, 100_000] {
        let deadline = host.epochs.deadline().unwrap();
        assert_eq!(deadline, begin + Duration::from_millis(end));
        host.epochs.erase_ended(deadline);
    }
    assert_eq!(host.epochs.deadline(), None);
    assert!(host.epochs.share().is_none());
}

#[test]
fn the_signature_covers_start_key_and_data() {
    let mut host = Clockwork::new(5);
    host.epochs.set_data(b"data");
    let unix = host.unix();
    let epoch = host.epochs.current(host.now, unix, &host.key_pair, &mut host.rng);
    let public = host.key_pair.public();
    let message = epoch_message(unix, epoch.key(), &sha256(&[b"data"]));
    assert!(public.verify(&[&message], epoch.signature()));
    assert_eq!(message.len(), 21 + 2 + 8 + 32 + 32);
    let mut other = message;
    for index in 0..other.len() {
        other[index] ^= 1;
        assert!(!public.verify(&[&other], epoch.signature()), "byte {index}");
        other[index] ^= 1;
    }
}

#[test]
fn a_token_is_recorded_once_and_a_full_table_records_nothing() {
    let mut host = Clockwork::new(6);
    host.current();
    let unix = host.unix();
    let epoch = host.epochs.current(host.now, unix, &host.key_pair, &mut host.rng);
    assert_eq!(epoch.record([1; 16]), Recorded::Fresh);
    assert_eq!(epoch.record([1; 16]), Recorded::Used);
    assert_eq!(epoch.record([2; 16]), Recorded::Fresh);
    assert_eq!(epoch.record([3; 16]), Recorded::Full);
    assert_eq!(epoch.record([2; 16]), Recorded::Used);
}

#[test]
fn shards_that_share_an_epoch_answer_for_each_other() {
    let mut one = Clockwork::new(7);
    let mut two = Clockwork::new(8);
    one.epochs.set_data(b"shared");
    let first = one.current();
    two.wait(10_000);
    one.wait(10_000);
    let unix = two.unix();
    two.epochs.install(two.now, unix, one.epochs.share().unwrap());
    assert_eq!(two.current(), first, "no epoch of its own beside it");
    assert!(two.lives(&first));
    // Its age counts from its beginning, not from its arrival.
    assert_eq!(two.epochs.deadline(), Some(two.now + Duration::from_secs(50)));

    one.wait(21_000);
    two.wait(21_000);
    let second = one.current();
    let unix = two.unix();
    let late = one.epochs.share().unwrap();
    two.epochs.install(two.now, unix, late.clone());
    two.epochs.install(two.now, unix, late);
    assert!(two.lives(&first) && two.lives(&second));
    assert_eq!(two.current(), second);
}

#[test]
fn data_set_during_another_shards_epoch_change_is_shown_by_the_next() {
    let mut one = Clockwork::new(16);
    let mut two = Clockwork::new(17);
    one.epochs.set_data(b"old");
    one.current();
    let unix = two.unix();
    two.epochs.install(two.now, unix, one.epochs.share().unwrap());
    // The new data reaches one shard before, the other after an epoch that still shows the old data.
    one.wait(31_000);
    two.wait(31_000);
    two.epochs.set_data(b"new");
    one.current();
    two.epochs.install(two.now, unix + 31_000, one.epochs.share().unwrap());
    one.epochs.set_data(b"new");
    assert!(!one.epochs.is_new_one_due(one.now) && !two.epochs.is_new_one_due(two.now));
    one.wait(11_000);
    two.wait(11_000);
    assert!(one.epochs.is_new_one_due(one.now) && two.epochs.is_new_one_due(two.now));
    two.current();
    one.epochs.install(one.now, unix + 42_000, two.epochs.share().unwrap());
    assert!(!one.epochs.is_new_one_due(one.now));
    for shard in [&one, &two] {
        assert_eq!(shard.epochs.current.as_ref().unwrap().data(), b"new");
    }
}

#[test]
fn a_shared_epoch_ends_in_time_also_where_the_clock_began_after_it() {
    let mut one = Clockwork::new(14);
    let first = one.current();
    one.wait(50_000);
    let mut two = Clockwork::new(15);
    two.now = Instant::from_millis(1);
    two.epochs.install(two.now, one.unix(), one.epochs.share().unwrap());
    assert!(two.lives(&first));
    assert_eq!(two.epochs.deadline(), Some(two.now + Duration::from_secs(10)));
    two.wait(10_000);
    assert!(!two.lives(&first));
}

#[test]
fn an_older_or_ended_epoch_does_not_displace_the_current_one() {
    let mut one = Clockwork::new(9);
    let mut two = Clockwork::new(10);
    let old = one.current();
    let shared = one.epochs.share().unwrap();
    two.wait(5_000);
    let current = two.current();
    let unix = two.unix();
    two.epochs.install(two.now, unix, shared.clone());
    assert_eq!(two.current(), current);
    assert!(two.lives(&old), "it is taken as the previous one");

    let mut three = Clockwork::new(11);
    three.wait(60_000);
    let unix = three.unix();
    three.epochs.install(three.now, unix, shared);
    assert!(!three.lives(&old));
}

#[test]
fn a_clock_that_jumps_stands_still_or_ends_does_no_harm() {
    let mut host = Clockwork::new(12);
    let first = host.current();
    for _ in 0..1_000 {
        assert_eq!(host.current(), first);
    }
    host.wait(3_600_000);
    let second = host.current();
    assert_ne!(second, first);
    assert!(!host.lives(&first));
    host.now = Instant::ZERO;
    assert_eq!(host.current(), second);
    host.now = Instant::from_micros(u64::MAX);
    host.current();
    host.current();
}

#[test]
fn debug_output_tells_no_secret() {
    let mut host = Clockwork::new(13);
    host.epochs.set_data(b"data");
    host.current();
    let secrets = host.epochs.share().unwrap();
    let text = format!("{secrets:?}");
    assert_eq!(text, format!("EpochSecrets {{ start_millis: {}, .. }}", secrets.start_millis));
}
