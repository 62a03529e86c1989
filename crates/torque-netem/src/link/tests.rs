use alloc::vec;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// Pushes `count` numbered datagrams a millisecond apart; what arrives, with its time and in its order.
fn run(config: LinkConfig, seed: u64, count: u32) -> (Vec<(Instant, Vec<u8>)>, LinkStats) {
    let mut link = Link::new(config, seed);
    let mut arrived = Vec::new();
    for number in 0..count {
        let now = Instant::from_millis(u64::from(number));
        while let Some(due) = link.next_delivery().filter(|due| *due <= now) {
            arrived.extend(link.poll(due).map(|datagram| (due, datagram)));
        }
        link.push(now, &number.to_be_bytes());
    }
    while let Some(due) = link.next_delivery() {
        arrived.extend(link.poll(due).map(|datagram| (due, datagram)));
    }
    assert_eq!(link.in_flight(), 0);
    (arrived, link.stats())
}

fn number(datagram: &[u8]) -> u32 {
    u32::from_be_bytes(datagram.try_into().unwrap())
}

fn numbers(arrived: &[(Instant, Vec<u8>)]) -> Vec<u32> {
    arrived.iter().map(|(_, datagram)| number(datagram)).collect()
}

#[test]
fn a_perfect_link_delivers_everything_at_once_in_order() {
    let (arrived, stats) = run(LinkConfig::perfect(), 1, 1_000);
    assert_eq!(numbers(&arrived), (0..1_000).collect::<Vec<_>>());
    assert!(arrived.iter().all(|(at, datagram)| *at == Instant::from_millis(u64::from(number(datagram)))));
    assert_eq!((stats.pushed, stats.delivered, stats.lost), (1_000, 1_000, 0));
}

#[test]
fn the_same_seed_does_the_same() {
    let config = LinkConfig::terrible();
    assert_eq!(run(config, 5, 500), run(config, 5, 500));
    assert_ne!(run(config, 5, 500).0, run(config, 6, 500).0);
}

#[test]
fn delay_and_jitter_stay_in_their_bounds_and_keep_order() {
    let config = LinkConfig { delay: 40 * MS, jitter: 10 * MS, ..LinkConfig::perfect() };
    let (arrived, _) = run(config, 2, 1_000);
    assert_eq!(numbers(&arrived), (0..1_000).collect::<Vec<_>>());
    let takes: Vec<Duration> = arrived
        .iter()
        .map(|(at, datagram)| at.saturating_since(Instant::from_millis(u64::from(number(datagram)))))
        .collect();
    assert!(takes.iter().all(|takes| (40 * MS..=50 * MS).contains(takes)));
    assert!(takes.iter().max() > takes.iter().min());
}

#[test]
fn losses_come_out_as_asked() {
    for loss in [0.05, 0.4] {
        let (arrived, stats) = run(LinkConfig { loss, ..LinkConfig::perfect() }, 3, 20_000);
        assert_eq!(arrived.len() as u64 + stats.lost, 20_000);
        let share = stats.lost as f64 / 20_000.0;
        assert!((share - loss).abs() < 0.02, "{share} instead of {loss}");
    }
    assert!(run(LinkConfig { loss: 1.0, ..LinkConfig::perfect() }, 3, 100).0.is_empty());
}

#[test]
fn bursts_lose_neighbours() {
    let burst = Burst { enter: 0.02, leave: 0.2, loss: 1.0 };
    let (arrived, stats) = run(LinkConfig { burst: Some(burst), ..LinkConfig::perfect() }, 4, 50_000);
    // The share of time in the bad state is enter / (enter + leave), its mean length 1 / leave.
    let share = stats.lost as f64 / 50_000.0;
    assert!((share - 0.02 / 0.22).abs() < 0.02, "{share}");
    let gaps = numbers(&arrived).windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
    let mean = stats.lost as f64 / gaps as f64;
    assert!((4.0..6.0).contains(&mean), "mean burst {mean}");
}

#[test]
fn only_held_back_datagrams_are_overtaken() {
    let config = LinkConfig { reorder: 0.1, reorder_delay: 20 * MS, ..LinkConfig::perfect() };
    let (arrived, stats) = run(config, 5, 5_000);
    assert_eq!(arrived.len(), 5_000);
    let mut highest = 0;
    let mut overtaken = 0;
    for number in numbers(&arrived) {
        overtaken += u64::from(number < highest);
        highest = highest.max(number);
    }
    assert!((400..600).contains(&stats.reordered), "{}", stats.reordered);
    assert!(overtaken > 300 && overtaken <= stats.reordered, "{overtaken} of {}", stats.reordered);
}

#[test]
fn copies_damage_and_cuts_come_out_as_asked() {
    let config = LinkConfig { duplicate: 0.1, corrupt: 0.1, truncate: 0.1, ..LinkConfig::perfect() };
    let (arrived, stats) = run(config, 6, 10_000);
    assert_eq!(arrived.len() as u64, 10_000 + stats.duplicated);
    assert!((850..1_150).contains(&stats.duplicated), "{stats:?}");
    assert!((950..1_300).contains(&stats.corrupted), "{stats:?}");
    assert!((950..1_300).contains(&stats.truncated), "{stats:?}");
    let short = arrived.iter().filter(|(_, datagram)| datagram.len() < 4).count() as u64;
    assert_eq!(short, stats.truncated);
}

#[test]
fn long_datagrams_do_not_pass() {
    let mut link = Link::new(LinkConfig { mtu: 100, ..LinkConfig::perfect() }, 7);
    link.push(Instant::ZERO, &[0; 101]);
    link.push(Instant::ZERO, &[1; 100]);
    assert_eq!(link.poll(Instant::ZERO), Some(vec![1; 100]));
    assert_eq!(link.poll(Instant::ZERO), None);
    assert_eq!(link.stats().too_long, 1);
}

#[test]
fn a_rate_limit_spaces_datagrams_and_its_queue_overflows() {
    // 1,000 bytes take 10 ms; ten fit the queue.
    let config = LinkConfig { rate: 800_000, queue: 10_000, ..LinkConfig::perfect() };
    let mut link = Link::new(config, 8);
    for _ in 0..20 {
        link.push(Instant::ZERO, &[0; 1_000]);
    }
    assert_eq!(link.stats().overflowed, 10);
    for place in 1..=10 {
        assert_eq!(link.next_delivery(), Some(Instant::from_millis(place * 10)));
        assert!(link.poll(Instant::from_millis(place * 10)).is_some());
    }
    assert_eq!(link.next_delivery(), None);
    // Afterwards there is room again.
    link.push(Instant::from_millis(100), &[0; 1_000]);
    assert_eq!(link.next_delivery(), Some(Instant::from_millis(110)));
}

#[test]
fn nothing_arrives_before_its_time() {
    let mut link = Link::new(LinkConfig { delay: 5 * MS, ..LinkConfig::perfect() }, 9);
    link.push(Instant::from_millis(10), b"x");
    assert_eq!(link.poll(Instant::from_millis(14)), None);
    assert_eq!(link.poll(Instant::from_millis(15)), Some(vec![b'x']));
}
