use super::*;

#[test]
fn the_same_seed_gives_the_same_numbers() {
    // Reference values of SplitMix64 for seed 1234567 (Vigna's splitmix64.c).
    let mut rng = SimRng::new(1_234_567);
    let numbers: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
    assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
}

#[test]
fn numbers_stay_in_their_bounds_and_reach_them() {
    let mut rng = SimRng::new(1);
    let mut seen = [false; 5];
    for _ in 0..1_000 {
        let number = rng.between(3, 7);
        assert!((3..=7).contains(&number));
        seen[(number - 3) as usize] = true;
        assert!((0.0..1.0).contains(&rng.unit()));
        assert!((-2.0..3.0).contains(&rng.uniform(-2.0, 3.0)));
        assert!(rng.duration(Duration::from_millis(3)) <= Duration::from_millis(3));
    }
    assert_eq!(seen, [true; 5]);
    assert_eq!(rng.below(0), 0);
    assert_eq!(rng.between(9, 2), 9);
    assert!(rng.between(0, u64::MAX) > 0);
}

#[test]
fn chances_come_out_as_asked() {
    let mut rng = SimRng::new(2);
    let hits = (0..100_000).filter(|_| rng.chance(0.3)).count();
    assert!((29_000..31_000).contains(&hits), "{hits}");
    assert!(!(0..1_000).any(|_| rng.chance(0.0)));
    assert!((0..1_000).all(|_| rng.chance(1.0)));
}
