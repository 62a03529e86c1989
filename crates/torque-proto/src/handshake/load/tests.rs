use super::*;
use crate::crypto::rng::Rng;

const LIMIT: usize = 1_024;

struct Flood {
    now: Instant,
    load: LoadController,
    config: PuzzleConfig,
}

impl Flood {
    fn new() -> Self {
        let config = PuzzleConfig::default();
        let now = Instant::from_millis(5_000);
        Self { now, load: LoadController::new(now, &config), config }
    }

    /// So many requests a second for so long, evenly spread; the difficulty at the end.
    fn run(&mut self, rate: u64, millis: u64) -> u8 {
        let gap = 1_000_000 / rate.max(1);
        let end = self.now + Duration::from_millis(millis);
        while rate > 0 && self.now + Duration::from_micros(gap) <= end {
            self.now += Duration::from_micros(gap);
            self.load.count_request(self.now);
        }
        self.now = end;
        self.ask(0)
    }

    fn ask(&mut self, pending: usize) -> u8 {
        self.load.difficulty(self.now, &self.config, pending, LIMIT)
    }
}

#[test]
fn a_quiet_host_asks_for_the_least() {
    let mut flood = Flood::new();
    assert_eq!(flood.ask(0), 4);
    assert_eq!(flood.run(60, 10_000), 4);
}

#[test]
fn each_doubling_of_the_demand_adds_two_bits() {
    for (rate, difficulty) in [(64, 4), (150, 6), (300, 8), (600, 10), (5_000, 16)] {
        let mut flood = Flood::new();
        assert_eq!(flood.run(rate, 8_000), difficulty, "{rate} a second");
    }
}

#[test]
fn the_difficulty_never_exceeds_its_bound() {
    let mut flood = Flood::new();
    assert_eq!(flood.run(500_000, 3_000), 20);
    assert_eq!(flood.ask(usize::MAX), 20);
    flood.config.difficulty_max = 6;
    flood.load = LoadController::new(flood.now, &flood.config);
    assert_eq!(flood.ask(LIMIT), 6);
}

#[test]
fn it_rises_at_once_and_falls_by_one_each_second() {
    let mut flood = Flood::new();
    assert!(flood.run(0, 0) == 4);
    for _ in 0..1_100 {
        flood.load.count_request(flood.now);
    }
    let peak = flood.ask(0);
    assert_eq!(peak, 12);
    for second in 1..=8 {
        assert_eq!(flood.run(0, 999), peak - second + 1);
        assert_eq!(flood.run(0, 1), peak - second);
    }
    assert_eq!(flood.run(0, 5_000), 4);
}

#[test]
fn each_sixteenth_above_half_of_the_pending_table_adds_a_bit() {
    for (pending, difficulty) in [(0, 4), (512, 4), (575, 4), (576, 5), (640, 6), (1_024, 12), (5_000, 20)] {
        let mut flood = Flood::new();
        assert_eq!(flood.ask(pending), difficulty, "{pending} pending");
    }
    let config = PuzzleConfig::default();
    let mut load = LoadController::new(Instant::ZERO, &config);
    assert_eq!(load.difficulty(Instant::ZERO, &config, 0, 0), 4, "a table without places");
}

#[test]
fn a_clock_that_jumps_or_stands_still_does_no_harm() {
    let mut flood = Flood::new();
    flood.run(5_000, 2_000);
    flood.now += Duration::from_secs(3_600);
    assert_eq!(flood.ask(0), 4);
    for _ in 0..100_000 {
        flood.load.count_request(flood.now);
    }
    assert_eq!(flood.ask(0), 20);
    flood.now = Instant::ZERO;
    flood.load.count_request(flood.now);
    assert_eq!(flood.ask(0), 20);
    flood.now = Instant::from_micros(u64::MAX);
    flood.load.count_request(flood.now);
    assert_eq!(flood.ask(0), 4);
    assert_eq!(flood.ask(0), 4);
}

#[test]
fn demand_bits_are_those_that_a_division_gives() {
    let divided = |demand: u64, quiet_rate: u32| {
        let (demand, quiet) = (u128::from(demand), u128::from(quiet_rate.max(1)) * u128::from(ONE));
        (demand * demand / (quiet * quiet)).checked_ilog2().unwrap_or(0)
    };
    let check = |demand, quiet_rate| {
        assert_eq!(
            demand_bits(demand, quiet_rate),
            divided(demand, quiet_rate),
            "{demand} for a quiet rate of {quiet_rate}"
        );
    };
    for quiet_rate in [0, 1, 2, 3, 63, 64, 65, 1 << 20, u32::MAX / 2, u32::MAX - 1, u32::MAX] {
        for demand in [0, 1, ONE - 1, ONE, ONE + 1, MAX_DEMAND - 1, MAX_DEMAND, u64::MAX - 1, u64::MAX] {
            check(demand, quiet_rate);
        }
        // Where one bit more begins.
        let quiet = u128::from(quiet_rate.max(1)) * u128::from(ONE);
        for bits in 0..80 {
            let Some(demand) = (quiet * quiet).checked_mul(1 << bits).map(|square| square.isqrt() as u64)
            else {
                continue;
            };
            for near in [demand.saturating_sub(1), demand, demand.saturating_add(1)] {
                check(near, quiet_rate);
            }
        }
    }
    let mut rng = Rng::new([5; 32]);
    for _ in 0..100_000 {
        // Of every length, not nearly all of the greatest.
        let demand = rng.u64() >> rng.below(64);
        let quiet_rate = (rng.u64() as u32) >> rng.below(32);
        check(demand, quiet_rate);
    }
}
