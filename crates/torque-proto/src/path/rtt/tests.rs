use super::*;

const MS: u64 = 1_000;

struct Sampled {
    now: Instant,
    rtt: Rtt,
}

impl Sampled {
    fn new(first_ms: u64) -> Self {
        let now = Instant::from_millis(1_000);
        Self { now, rtt: Rtt::new(now, Some(Micros::from_millis(first_ms))) }
    }

    /// A verdict each `pause_ms`: a round trip of `true_ms`, and the report held back for `held_ms` of at most `most_held_ms`.
    fn verdict(&mut self, pause_ms: u64, true_ms: u64, held_ms: u64, most_held_ms: u64) {
        self.now = Instant::from_micros(self.now.as_micros() + pause_ms * MS);
        let most = Micros::from_millis(true_ms + held_ms);
        self.rtt.sample_between(self.now, most - Micros::from_millis(most_held_ms), most);
    }

    fn smoothed_ms(&self) -> u64 {
        self.rtt.smoothed().get() / MS
    }
}

#[test]
fn what_the_other_side_holds_back_is_not_the_path() {
    let mut path = Sampled::new(100);
    // One-way traffic so thin that each report waits for the whole ack_delay.
    for _ in 0..200 {
        path.verdict(100, 100, 50, 50);
    }
    assert_eq!(path.smoothed_ms(), 100);
    assert!(path.rtt.variation() <= Micros::from_millis(50));
    // Thick traffic: never more than the pause between two packets.
    for round in 0..200 {
        path.verdict(5, 100, round % 5, 5);
    }
    assert!((99..=101).contains(&path.smoothed_ms()), "{}", path.smoothed_ms());
    assert!(path.rtt.variation() <= Micros::from_millis(6));
}

#[test]
fn a_queue_that_grows_is_noticed_within_a_round_trip_or_two() {
    let mut path = Sampled::new(91);
    let mut true_ms = 91;
    while true_ms < 337 {
        true_ms += 2;
        path.verdict(10, true_ms, 3, 5);
    }
    let behind = true_ms - path.smoothed_ms();
    assert!(behind <= 60, "{behind} ms behind after {} ms of growth", (337 - 91) / 2 * 10);
    for _ in 0..100 {
        path.verdict(10, 337, 3, 5);
    }
    assert!((330..=340).contains(&path.smoothed_ms()), "{}", path.smoothed_ms());
    // And again when it empties.
    for _ in 0..400 {
        path.verdict(10, 91, 3, 5);
    }
    assert!((90..=97).contains(&path.smoothed_ms()), "{}", path.smoothed_ms());
}

#[test]
fn a_stall_is_forgotten_with_the_first_sample_that_is_as_before() {
    let mut path = Sampled::new(1);
    for _ in 0..50 {
        path.verdict(20, 1, 5, 20);
    }
    let before = path.rtt.overdue();
    // What was sent during four seconds is answered at once.
    for age in (1..=4).rev() {
        path.now = Instant::from_micros(path.now.as_micros() + 1_100 * MS);
        path.rtt.sample(path.now, Micros::from_secs(age));
    }
    assert!(path.rtt.overdue() > Micros::from_secs(1), "it counts at first");
    path.verdict(20, 1, 5, 20);
    assert!(path.rtt.overdue() <= before + Micros::from_millis(5), "{:?}", path.rtt);
}

#[test]
fn a_path_that_became_slow_for_good_is_believed() {
    let mut path = Sampled::new(10);
    for _ in 0..50 {
        path.verdict(20, 10, 0, 0);
    }
    for _ in 0..60 {
        path.verdict(50, 200, 0, 0);
    }
    assert!((195..=200).contains(&path.smoothed_ms()), "{}", path.smoothed_ms());
    // One fast answer does not bring the old estimate back.
    path.verdict(50, 10, 0, 0);
    assert!(path.smoothed_ms() > 150, "{}", path.smoothed_ms());
}

#[test]
fn pongs_count_while_verdicts_tell_nothing() {
    // Traffic so thin that the old figure stays possible: the pongs are exact, and are believed.
    for (old, new, held) in [(20, 60, 50), (20, 40, 33), (20, 30, 16)] {
        let mut path = Sampled::new(old);
        for _ in 0..100 {
            path.verdict(50, old, held, held);
        }
        for _ in 0..24 {
            for _ in 0..100 {
                path.verdict(50, new, held, held);
            }
            path.rtt.sample(path.now, Micros::from_millis(new));
        }
        assert!((new - 4..=new).contains(&path.smoothed_ms()), "{old} to {new}: {}", path.smoothed_ms());
        assert_eq!(path.rtt.latest(), Micros::from_millis(new));
    }
}

#[test]
fn delays_that_happen_all_the_time_are_variation() {
    let mut path = Sampled::new(10);
    for round in 0..200 {
        path.verdict(50, if round % 4 == 0 { 100 } else { 10 }, 0, 0);
    }
    assert!(path.rtt.variation() > Micros::from_millis(10), "{:?}", path.rtt);
}

#[test]
fn the_minimum_is_of_the_last_seconds() {
    let mut path = Sampled::new(30);
    assert_eq!(path.rtt.minimum(), Micros::from_millis(30));
    path.verdict(10, 20, 0, 0);
    assert_eq!(path.rtt.minimum(), Micros::from_millis(20));
    for _ in 0..110 {
        path.verdict(100, 50, 0, 0);
    }
    assert_eq!(path.rtt.minimum(), Micros::from_millis(50));
}
