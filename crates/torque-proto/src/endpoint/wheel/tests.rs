//! The wheel against a plain list of timers, over seeds.

use alloc::collections::BTreeMap;

use super::*;
use crate::crypto::rng::Rng;

/// Ticks are rounded up, so a timer may fire this much late, and never early.
const TICK: u64 = 1 << TICK_BITS;

#[test]
fn every_timer_fires_once_never_early_and_at_most_a_tick_late() {
    for seed in 0..200u8 {
        let mut rng = Rng::new([seed; 32]);
        let start = rng.below(1 << 40);
        let mut now = start;
        let mut wheel = Wheel::new(Instant::from_micros(now));
        let mut armed: BTreeMap<u32, u64> = BTreeMap::new();
        for _ in 0..400 {
            let slot = rng.below(32) as u32;
            match rng.below(10) {
                0..5 => {
                    // From due already to days ahead.
                    let reach = 1 << rng.below(38);
                    let at = (now + rng.below(reach)).saturating_sub(rng.below(2_000));
                    wheel.arm(slot, Instant::from_micros(at));
                    armed.insert(slot, at);
                }
                5 => {
                    wheel.disarm(slot);
                    armed.remove(&slot);
                }
                _ => {
                    let reach = 1 << rng.below(36);
                    now += rng.below(reach);
                    while let Some(fired) = wheel.expire(Instant::from_micros(now)) {
                        let at = armed.remove(&fired);
                        assert!(
                            at.is_some_and(|at| at <= now),
                            "seed {seed}: slot {fired} at {at:?}, now {now}"
                        );
                    }
                    let overdue = armed.values().filter(|at| **at + TICK <= now).count();
                    assert_eq!(overdue, 0, "seed {seed}");
                }
            }
            if let Some(earliest) = armed.values().min() {
                let (next, _) = wheel.next().expect("a timer is armed");
                let latest = (*earliest).max(now) + TICK;
                assert!(next.as_micros() <= latest, "seed {seed}: sleeps past a timer");
            } else {
                assert!(wheel.next().is_none(), "seed {seed}");
            }
        }
    }
}

#[test]
fn without_moves_the_wheel_wakes_exactly_for_its_timers() {
    let mut wheel = Wheel::new(Instant::ZERO);
    let mut times: Vec<u64> = (0..100).map(|i| (i * 7_919_993 + 12_345) / TICK * TICK).collect();
    for (slot, at) in times.iter().enumerate() {
        wheel.arm(slot as u32, Instant::from_micros(*at));
    }
    times.sort_unstable();
    for at in times {
        let (next, _) = wheel.next().expect("armed");
        assert_eq!(next.as_micros(), at);
        assert!(wheel.expire(next).is_some());
    }
    assert!(wheel.next().is_none());
}

#[test]
fn a_timer_that_is_put_off_fires_once_at_its_last_time() {
    let mut wheel = Wheel::new(Instant::ZERO);
    for at in (1..=1_000).map(Instant::from_millis) {
        wheel.arm(7, at);
        // Half a second behind, so that its place is reached again and again before it is due.
        assert_eq!(wheel.expire(Instant::from_micros(at.as_micros() / 2)), None);
    }
    assert_eq!(wheel.expire(Instant::from_millis(999)), None);
    assert_eq!(wheel.expire(Instant::from_millis(1_001)), Some(7));
    assert_eq!(wheel.expire(Instant::from_millis(5_000)), None);
}

/// As a ping whose last pong came a little after the one before was sent.
#[test]
fn a_timer_that_is_put_off_by_less_than_a_tick_wakes_once() {
    for offset in 0..TICK {
        let mut wheel = Wheel::new(Instant::ZERO);
        let at = 200_000 + offset;
        wheel.arm(7, Instant::from_micros(at));
        wheel.arm(7, Instant::from_micros(at + 400));
        let (next, _) = wheel.next().expect("armed");
        assert!((at..=at + 400 + TICK).contains(&next.as_micros()));
        assert_eq!(wheel.expire(next), Some(7), "put off from {at}, woken at {next:?}");
    }
}

#[test]
fn a_timer_beyond_reach_fires_early_and_can_be_armed_again() {
    let reach = TICK << (DIGIT_BITS * LEVELS as u32);
    let mut wheel = Wheel::new(Instant::from_micros(reach - 10 * TICK));
    let at = Instant::from_micros(3 * reach);
    wheel.arm(7, at);
    let now = Instant::from_micros(reach + 10 * TICK);
    assert_eq!((wheel.expire(now), wheel.expire(now)), (Some(7), None));
    wheel.arm(7, at);
    assert_eq!(wheel.expire(Instant::from_micros(reach + 20 * TICK)), None);
}
