use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_budget_gives_its_burst_at_once_and_then_its_pace() {
    let now = Instant::now();
    let pace = Pace::new(4, SECOND);
    let mut budget = Budget::full(now);
    assert_eq!((0..10).filter(|_| budget.take(pace, 1, now)).count(), 4);
    let taken = (1..=100_u32).filter(|tick| budget.take(pace, 1, now + SECOND / 10 * *tick)).count();
    assert_eq!(taken, 40, "four a second for ten seconds");
    assert!(!budget.has(pace, 5, now + 100 * SECOND), "never more than the burst");
}

#[test]
fn a_meter_takes_nothing_of_one_budget_if_the_other_is_empty() {
    let now = Instant::now();
    let mut meter = Meter::new(Rate { datagrams: 4, bytes: 100_000 }, now);
    assert!(meter.take(1_000, now) && meter.take(1_000, now));
    for _ in 0..1_000 {
        assert!(!meter.take(1_000, now), "two datagrams are half a second's");
    }
    assert!(meter.take(1_000, now + SECOND / 4), "refused ones have cost nothing");
}

#[test]
fn one_full_datagram_passes_even_a_very_low_rate() {
    let now = Instant::now();
    let mut meter = Meter::new(Rate { datagrams: 1, bytes: 1 }, now);
    assert!(meter.take(1_232, now));
    assert!(!meter.take(1, now));
    let mut meter = Meter::new(Rate { datagrams: 0, bytes: 0 }, now);
    assert!(meter.take(1, now), "a rate of nothing is taken for the lowest");
}

#[test]
fn ten_times_the_rate_for_five_seconds_is_a_flood_and_less_is_none() {
    let rate = Rate { datagrams: 10, bytes: 1_000_000 };
    let flood_after = |a_second: u32, pause_after: Option<u32>| {
        let start = Instant::now();
        let mut gauge = FloodGauge::new(start);
        let mut at = start;
        for second in 0..20 {
            if pause_after == Some(second) {
                at += 2 * SECOND;
            }
            for _ in 0..a_second {
                if gauge.count(rate, 100, at) {
                    return Some(second);
                }
                at += SECOND / a_second;
            }
        }
        None
    };
    assert_eq!(flood_after(110, None), Some(5));
    assert_eq!(flood_after(90, None), None);
    assert_eq!(flood_after(110, Some(4)), Some(9), "a pause begins the count again");
}

#[test]
fn clients_share_the_meter_of_a_target_and_none_takes_it_all() {
    let now = Instant::now();
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    // Half a second's: eight, and two for one client.
    let meters =
        TargetMeters::new(Rate { datagrams: 16, bytes: 1_000_000 }, Rate { datagrams: 4, bytes: 1_000_000 });
    let target = "192.0.2.1:1".parse().unwrap();
    let passing = |meter: &TargetMeter| (0..100).filter(|_| meter.take(100, now)).count();
    let one = meters.of(ip("198.51.100.1"), target, now);
    assert_eq!(passing(&one), 2);
    assert_eq!(passing(&meters.of(ip("198.51.100.1"), target, now)), 0, "another session of the client");
    assert!(meters.of(ip("198.51.100.1"), "192.0.2.1:2".parse().unwrap(), now).take(100, now));
    let of_others: Vec<_> = ["198.51.100.2", "2001:db8:1::1", "2001:db8:1:2::1", "2001:db8:2::1"]
        .map(|client| meters.of(ip(client), target, now))
        .into_iter()
        .collect();
    let passed: Vec<_> = of_others.iter().map(passing).collect();
    assert_eq!(passed, [2, 2, 0, 2], "two networks of one site are one client");
    let last = meters.of(ip("198.51.100.3"), target, now);
    assert_eq!(passing(&last), 0, "all have taken eight together");
    drop((one, of_others, last));
    assert_eq!(passing(&meters.of(ip("198.51.100.1"), target, now)), 2, "meters of nobody are forgotten");
}
