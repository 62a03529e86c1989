use super::*;

const MS: u64 = 1_000;

#[test]
fn the_rate_is_that_of_the_last_second() {
    let mut now = Instant::from_millis(5);
    let mut rate = Rate::new(now);
    for _ in 0..250 {
        now = Instant::from_micros(now.as_micros() + 10 * MS);
        rate.count(now, 2);
    }
    assert!((198..=202).contains(&rate.last()), "{}", rate.last());
    rate.count(Instant::from_micros(now.as_micros() + 3_600_000 * MS), 0);
    assert_eq!(rate.last(), 0);
}
