use alloc::collections::BTreeSet;
use core::net::Ipv4Addr;
use core::time::Duration;

use super::*;

const OTHER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 9), 40_000);
const SEQUENTIAL: Nat = Nat::Sequential(2);

/// One run, and what it wanted so far.
struct Side {
    run: Run,
    ports: Ports,
    now: Instant,
    /// Milliseconds, and the punch.
    punches: Vec<(f64, RunPunch)>,
    observes: Vec<(f64, u16, ObserveToken)>,
}

impl Side {
    fn new(seed: u64, own: Nat, other_nat: Nat, is_host: bool, other: SocketAddrV4) -> Self {
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = Rng::new(bytes);
        let tactic = Tactic::of(own, other_nat, true).unwrap();
        let run = Run::new(Instant::ZERO, &mut rng, tactic, is_host, other, other_nat);
        let (punches, observes) = (Vec::new(), Vec::new());
        Self { run, ports: Ports::default(), now: Instant::ZERO, punches, observes }
    }

    fn step(&mut self, act: impl FnOnce(&mut Run, &mut RunStep<'_>)) {
        let mut step = RunStep {
            now: self.now,
            ports: &mut self.ports,
            owner: ConnectionId::new(0, 1, 1),
            most_ports: 256,
            punches: Vec::new(),
            observes: Vec::new(),
            opened: 0,
        };
        act(&mut self.run, &mut step);
        let RunStep { punches, observes, .. } = step;
        let at = self.now.as_micros() as f64 / 1_000.0;
        self.punches.extend(punches.into_iter().map(|punch| (at, punch)));
        self.observes.extend(observes.into_iter().map(|(port, token)| (at, port, token)));
    }

    /// Lets time pass, and stops at each deadline.
    fn pass(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while !self.run.is_over(self.now) && self.run.deadline() <= end {
            self.now = self.now.max(self.run.deadline());
            self.step(Run::handle_timeout);
        }
        self.now = end;
    }

    fn hears(&mut self, is_other: bool, round: u8, address: SocketAddrV4) {
        self.step(|run, step| run.on_observed(step, is_other, round, address.into()));
    }

    fn gets_tokens(&mut self) {
        self.step(|run, step| run.on_tokens(step, &[[0; 16], [1; 16], [2; 16], [3; 16]]));
    }

    fn targets(&self) -> Vec<u16> {
        self.punches.iter().map(|(_, punch)| port_of(punch)).collect()
    }

    /// The most punches in a span.
    fn most_in(&self, millis: f64) -> usize {
        let is_in = |at: f64, other: f64| (at..at + millis).contains(&other);
        let from = |at: f64| self.punches.iter().filter(|(other, _)| is_in(at, *other)).count();
        self.punches.iter().map(|(at, _)| from(*at)).max().unwrap_or(0)
    }
}

fn port_of(punch: &RunPunch) -> u16 {
    let address = punch.path.remote.socket_addr().unwrap();
    assert_eq!(address.ip(), *OTHER.ip());
    address.port()
}

fn at(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(*OTHER.ip(), port)
}

#[test]
fn the_table_says_what_is_tried() {
    use Nat::{Independent, Unknown, Unpredictable};
    let row =
        |own| [Independent, Unknown, SEQUENTIAL, Unpredictable].map(|other| Tactic::of(own, other, true));
    for own in [Independent, Unknown] {
        let (both, follow, spray) = (Tactic::OpenAndSpray, Tactic::Follow, Tactic::Spray);
        assert_eq!(row(own), [Some(both), Some(both), Some(follow), Some(spray)]);
    }
    assert_eq!(row(SEQUENTIAL), [Some(Tactic::Predict), Some(Tactic::Predict), Some(Tactic::Burst), None]);
    assert_eq!(row(Unpredictable), [Some(Tactic::Open), Some(Tactic::Open), None, None]);
    // Without further ports there is less.
    let all = [Independent, Unknown, SEQUENTIAL, Unpredictable];
    for (own, other) in all.into_iter().flat_map(|own| all.map(|other| (own, other))) {
        let tactic = Tactic::of(own, other, false);
        assert!(matches!(tactic, None | Some(Tactic::Spray | Tactic::Follow)), "{own:?} {other:?}");
    }
}

#[test]
fn a_spray_takes_different_ports_and_half_of_the_first_are_near() {
    for (seed, observed) in [(1, 40_000), (2, 1_030), (3, 65_535), (4, 80)] {
        let mut side = Side::new(seed, Nat::Independent, Nat::Unpredictable, false, at(observed));
        side.pass(29_999);
        let ports = side.targets();
        assert_eq!(ports.len(), SPRAYED);
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), SPRAYED);
        assert!(ports.iter().all(|port| *port >= LOWEST && *port != observed));
        let near = ports[..SPRAYED_NEAR].iter().filter(|port| port.abs_diff(observed) <= NEAR).count();
        let most = usize::from(
            observed.saturating_add(NEAR).saturating_sub(observed.saturating_sub(NEAR).max(LOWEST)),
        );
        assert!(near >= most.min(SPRAYED_NEAR / 2) * 9 / 10, "{observed}: {near}");
        assert_eq!(side.most_in(1_000.0), 250);
        assert!(side.punches.iter().all(|(_, punch)| punch.path.port == 0 && punch.hop_limit.is_none()));
        assert!(side.ports.len() == 0 && side.run.is_over(side.now + Duration::from_millis(1)));
    }
}

#[test]
fn ports_are_opened_and_held_open() {
    let mut side = Side::new(1, Nat::Unpredictable, Nat::Independent, true, OTHER);
    side.pass(30_000);
    assert_eq!(side.ports.len(), usize::from(OPENED));
    let of_first: Vec<_> = side.punches.iter().filter(|(_, punch)| punch.path.port == 1).collect();
    let times: Vec<_> = of_first.iter().map(|(at, _)| *at).collect();
    assert_eq!(times[..4], [0.0, 3_000.0, 6_000.0, 9_000.0]);
    let limits: Vec<_> = of_first.iter().map(|(_, punch)| punch.hop_limit).collect();
    assert_eq!(limits[..6], [Some(5), Some(5), Some(5), Some(5), Some(5), None]);
    assert!(side.targets().iter().all(|port| *port == OTHER.port()));
    assert!(side.most_in(1_000.0) <= 256 && side.punches.len() <= MAX_PUNCHES);
}

#[test]
fn ports_that_a_look_has_are_opened_when_they_are_free() {
    let mut side = Side::new(1, Nat::Unpredictable, Nat::Independent, true, OTHER);
    let look = ConnectionId::new(0, 1, 2);
    (0..4).for_each(|_| _ = side.ports.open(look, 256));
    side.pass(2_000);
    assert_eq!(side.ports.len(), 256);
    side.ports.close_others(look, |_| false);
    side.pass(3_000);
    assert_eq!(side.ports.of(ConnectionId::new(0, 1, 1)).len(), usize::from(OPENED));
}

#[test]
fn a_run_ends_after_thirty_seconds_and_4096_punches() {
    let mut side = Side::new(1, Nat::Unknown, Nat::Unknown, false, OTHER);
    side.pass(60_000);
    assert_eq!(side.punches.len(), MAX_PUNCHES);
    assert!(side.punches.iter().all(|(at, _)| *at < 30_000.0) && side.most_in(1_000.0) <= 512);
}

#[test]
fn word_of_all_rounds_at_once_brings_no_flood() {
    let mut side = Side::new(1, Nat::Independent, SEQUENTIAL, true, OTHER);
    side.pass(800);
    (0..4).for_each(|round| side.hears(true, round, at(30_000)));
    side.pass(3_000);
    assert!(side.most_in(1_000.0) <= MOST_IN_SECOND, "{}", side.most_in(1_000.0));
}

#[test]
fn a_program_that_looks_every_33_ms_tries_nearly_as_much() {
    let mut side = Side::new(1, Nat::Independent, Nat::Unpredictable, false, OTHER);
    for _ in 0..90 {
        side.now += Duration::from_millis(33);
        side.step(Run::handle_timeout);
    }
    assert!((440..=750).contains(&side.punches.len()), "{}", side.punches.len());
}

#[test]
fn a_program_that_stood_still_sends_no_flood() {
    let mut side = Side::new(1, Nat::Independent, Nat::Unpredictable, false, OTHER);
    side.now = Instant::from_millis(10_000);
    side.step(Run::handle_timeout);
    assert!(side.punches.len() <= 6, "{}", side.punches.len());
    side.pass(1_000);
    assert!(side.punches.len() > 240 && side.punches.len() <= 260);
}

#[test]
fn prediction_opens_ports_when_a_token_was_observed() {
    let mut side = Side::new(1, SEQUENTIAL, Nat::Independent, false, OTHER);
    assert!(side.run.wants_tokens());
    side.pass(100);
    assert!(side.observes.is_empty() && side.punches.is_empty());
    side.gets_tokens();
    side.gets_tokens();
    side.pass(20_000);
    let sent: Vec<_> = side.observes.iter().map(|(at, port, token)| (*at - 100.0, *port, token[0])).collect();
    let round = |number: u8| {
        let (began, port) = (f64::from(number) * 3_000.0, u16::from(number) + 1);
        [0.0, 200.0, 400.0].map(|after| (began + after, port, number))
    };
    assert_eq!(sent, [round(0), round(1), round(2), round(3)].concat());
    // What is told of the other party, or of no round, opens nothing.
    side.hears(true, 0, OTHER);
    side.hears(false, 7, OTHER);
    assert!(side.punches.is_empty() && side.ports.len() == 4);
    let began = side.now.as_micros() as f64 / 1_000.0;
    side.hears(false, 2, at(50_000));
    side.hears(false, 2, at(50_000));
    side.pass(3_000);
    assert_eq!(side.ports.len(), 4 + 16);
    assert_eq!(side.punches.len(), 16 * 7);
    let mut of_last: Vec<_> = side.punches.iter().filter(|(_, punch)| punch.path.port == 20).collect();
    of_last.sort_by(|one, other| one.0.total_cmp(&other.0));
    let times: Vec<_> = of_last.iter().map(|(at, _)| *at - began).collect();
    assert_eq!(times, [15.0, 165.0, 315.0, 515.0, 815.0, 1_215.0, 2_015.0]);
}

#[test]
fn following_punches_the_ports_that_come_next() {
    let mut side = Side::new(1, Nat::Independent, SEQUENTIAL, true, OTHER);
    side.hears(true, 0, SocketAddrV4::new(Ipv4Addr::new(198, 51, 100, 1), 50_000));
    side.hears(false, 0, at(50_000));
    side.pass(1_000);
    assert!(side.punches.is_empty());
    side.hears(true, 1, at(65_500));
    side.hears(true, 1, at(50_000));
    side.pass(2_000);
    let ports = side.targets();
    assert_eq!(ports.len(), 256);
    assert_eq!(ports[..3], [65_502, 65_504, 65_506]);
    assert_eq!((ports[16], ports[17], ports[18]), (65_534, 1_024, 1_026));
    assert!(side.most_in(1_000.0) <= 256 && side.most_in(100.0) <= 50);
}

/// A NAT that gives out ports in turn to each new destination or source.
fn next(last: &mut u16, stride: u16) -> u16 {
    *last = port_after(*last, u32::from(stride));
    *last
}

#[test]
fn bursts_meet_as_long_as_few_others_take_ports() {
    // The initiator's punch k leaves from its port 1 + u + k; the host's from 1 + v + k (in strides behind what was observed).
    for (u, v) in (0..64u32).flat_map(|u| (0..33u32).map(move |v| (u, v))) {
        let [initiator, host] = [false, true].map(|is_host| {
            let base = if is_host { 30_000 } else { 50_000 };
            let mut side = Side::new(1, SEQUENTIAL, SEQUENTIAL, is_host, at(40_000));
            side.gets_tokens();
            side.hears(false, 0, at(9_999));
            side.hears(true, 0, at(base));
            side.pass(100);
            assert!(side.punches.len() == 64 && side.punches.iter().all(|(_, punch)| punch.path.port == 1));
            (base, side.targets())
        });
        // Each new destination takes a port, after those that others took meanwhile.
        let mappings = |base: u16, targets: &[u16], others: u32| -> BTreeSet<(u16, u16)> {
            let mut last = port_after(base, 2 * others);
            targets.iter().map(|to| (next(&mut last, 2), *to)).collect()
        };
        // The host knows the initiator's port, and the other way round.
        let of_initiator = mappings(host.0, &initiator.1, u);
        let of_host = mappings(initiator.0, &host.1, v);
        let meets = of_initiator.iter().any(|(from, to)| of_host.contains(&(*to, *from)));
        if u + 2 * v < 64 {
            assert!(meets, "{u} {v}");
        }
    }
}

#[test]
fn following_meets_prediction_though_others_take_ports() {
    for seed in 0..100u64 {
        let others = seed % 60;
        let mut predicting = Side::new(seed, SEQUENTIAL, Nat::Independent, false, OTHER);
        predicting.gets_tokens();
        predicting.pass(50);
        let mut last = 65_400;
        let observed = next(&mut last, 2);
        predicting.hears(false, 0, at(observed));
        predicting.pass(100);
        let mut mapped: BTreeSet<u16> = BTreeSet::new();
        (0..others).for_each(|_| _ = next(&mut last, 2));
        let from: BTreeSet<u16> = predicting.punches.iter().map(|(_, punch)| punch.path.port).collect();
        from.iter().for_each(|_| _ = mapped.insert(next(&mut last, 2)));
        let mut following = Side::new(seed, Nat::Independent, SEQUENTIAL, true, OTHER);
        following.hears(true, 0, at(observed));
        following.pass(500);
        assert!(following.targets().iter().any(|port| mapped.contains(port)), "{seed}");
    }
}

#[test]
fn a_spray_meets_open_ports() {
    let mut tries = Vec::new();
    for seed in 0..1_000 {
        let mut side = Side::new(seed, Nat::Independent, Nat::Unpredictable, false, OTHER);
        side.pass(29_000);
        let mut rng = Rng::new([(seed % 251) as u8; 32]);
        (0..seed).for_each(|_| _ = rng.u64());
        let mut open = BTreeSet::new();
        while open.len() < usize::from(OPENED) {
            open.insert(LOWEST + rng.below(64_512) as u16);
        }
        tries.push(side.targets().iter().position(|port| open.contains(port)).unwrap_or(SPRAYED));
    }
    tries.sort_unstable();
    // One half after 175.
    assert!((140..210).contains(&tries[500]), "{}", tries[500]);
    assert!(tries[999] < SPRAYED, "{:?}", &tries[990..]);
}
