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
