mod introduced;

use alloc::vec;

use super::super::limits::MAX_FOREIGN;
use super::*;
use crate::address::Address;
use crate::crypto::rng::Rng;

const FACTS: Facts =
    Facts { probe_time: Micros::from_millis(100), round_trip: Micros::from_millis(40), overdue_at: None };

fn path(number: u64) -> Path {
    Path::to(Address::from_virtual(number))
}

struct Case {
    set: PathSet,
    rng: Rng,
    now: Instant,
    facts: Facts,
}

impl Case {
    fn new() -> Self {
        let now = Instant::from_millis(1_000);
        Self { set: PathSet::new(now, path(0), FACTS), rng: Rng::new([1; 32]), now, facts: FACTS }
    }

    fn step<T>(&mut self, act: impl FnOnce(&mut PathSet, &mut Step<'_>) -> T) -> (T, Vec<Ask>) {
        let mut step = Step::new(self.now, self.facts, &mut self.rng);
        let result = act(&mut self.set, &mut step);
        (result, step.asks)
    }

    fn punch(&mut self, from: u64, number: u64, echo: u64) -> (bool, Vec<Ask>) {
        self.step(|set, step| set.on_punch(step, path(from), number, echo))
    }

    /// Runs the timers for `millis` milliseconds; returns what was asked, and whether the active path has changed.
    fn run(&mut self, millis: u64) -> (bool, Vec<Ask>) {
        let (mut has_changed, mut all) = (false, Vec::new());
        for _ in 0..millis {
            self.now += core::time::Duration::from_millis(1);
            let (changed, asks) = self.step(|set, step| set.handle_timeout(step));
            has_changed |= changed;
            all.extend(asks);
        }
        (has_changed, all)
    }

    fn sources(&self) -> Vec<Path> {
        self.set.others().collect()
    }
}

#[test]
fn a_punch_from_a_new_address_is_answered_with_a_number_and_only_its_echo_makes_a_path() {
    let mut case = Case::new();
    let (changed, asks) = case.punch(1, 7, 0);
    assert!(!changed);
    let [answer, suspicion] = asks[..] else { panic!("{asks:?}") };
    assert_eq!((answer.path, answer.echo), (path(1), 7));
    // The active path is asked whether it still works.
    assert_eq!((suspicion.path, suspicion.echo), (path(0), 0));
    assert_ne!(answer.number, 0);
    assert_eq!(case.sources(), [path(1)]);
    // A false echo does nothing, and the right one counts once, wherever it comes from.
    assert!(case.punch(1, 0, answer.number ^ 1).1.is_empty());
    let (changed, asks) = case.punch(2, 0, answer.number);
    assert!(!changed && asks.is_empty(), "{asks:?}");
    assert!(case.set.standby(path(1)).is_some());
    // From now on its punches are answered without a number.
    let (_, asks) = case.punch(1, 8, 0);
    assert_eq!(asks, [Ask { path: path(1), number: 0, echo: 8 }]);
}

#[test]
fn the_old_path_wins_while_it_answers() {
    // It is asked three times, as each datagram may be lost.
    for lost in 0..SUSPICION_ASKS as usize {
        let mut case = Case::new();
        let (_, asks) = case.punch(1, 7, 0);
        let mut suspicion = asks[1..].to_vec();
        case.punch(1, 0, asks[0].number);
        suspicion.extend(case.run(249).1);
        assert!(suspicion.iter().all(|ask| ask.path == path(0)) && suspicion.len() == 3, "{suspicion:?}");
        assert!(!case.punch(0, 0, suspicion[lost].number).0);
        assert!(!case.run(10_000).0);
        assert_eq!(case.set.active(), path(0));
    }
}

#[test]
fn when_an_answer_becomes_overdue_a_path_that_works_takes_the_place_of_the_suspected_one() {
    // Whether it is new, or a standby that the other side comes back to.
    for is_new in [true, false] {
        let mut case = Case::new();
        let (_, asks) = case.punch(1, 7, 0);
        let mut echo = asks[0].number;
        if !is_new {
            case.punch(1, 0, echo);
            case.punch(0, 0, asks[1].number);
            case.run(1_000);
            let (_, asks) = case.punch(1, 8, 0);
            let [_, active, standby] = asks[..] else { panic!("{asks:?}") };
            assert_eq!((active.path, standby.path), (path(0), path(1)));
            echo = standby.number;
        }
        // Known before a look is due.
        case.facts.overdue_at = Some(case.now + core::time::Duration::from_millis(60));
        case.run(30);
        assert!(!case.punch(1, 0, echo).0);
        assert!(!case.run(29).0, "{is_new}");
        let (changed, asks) = case.run(1);
        assert!(changed && asks.is_empty(), "{is_new} {asks:?}");
        assert_eq!(case.set.active(), path(1));
    }
}

#[test]
fn a_standby_takes_the_place_of_a_suspected_path_only_when_an_answer_is_overdue() {
    let mut case = Case::new();
    let (_, asks) = case.punch(1, 7, 0);
    case.punch(1, 0, asks[0].number);
    case.punch(0, 0, asks[1].number);
    case.run(1_000);
    let (_, asks) = case.punch(1, 8, 0);
    case.punch(1, 0, asks[2].number);
    assert!(!case.run(5_000).0);
}

#[test]
fn punches_from_elsewhere_cause_few_suspicions() {
    let mut case = Case::new();
    let mut asked = 0;
    for millis in 0..1_000 {
        for from in 1..=10 {
            asked += case.punch(from, millis * 10 + from, 0).1.iter().filter(|ask| ask.echo == 0).count();
        }
        asked += case.run(1).1.len();
    }
    assert_eq!(asked, 6);
}

#[test]
fn the_new_path_takes_its_place_when_the_old_one_is_silent() {
    let mut case = Case::new();
    let (_, asks) = case.punch(1, 7, 0);
    case.punch(1, 0, asks[0].number);
    assert!(!case.run(249).0);
    assert!(case.run(1).0);
    assert_eq!(case.set.active(), path(1));
    // The old one is kept for 30 seconds without an echo, and punched meanwhile.
    let (_, asks) = case.run(29_000);
    assert!(asks.iter().any(|ask| ask.path == path(0)) && case.sources().contains(&path(0)));
    case.run(2_000);
    assert_eq!(case.sources(), []);
}

#[test]
fn when_an_answer_is_overdue_the_first_echo_decides() {
    let mut case = Case::new();
    let (_, asks) = case.punch(1, 7, 0);
    case.facts.overdue_at = Some(case.now);
    assert!(case.punch(1, 0, asks[0].number).0);
    assert_eq!(case.set.active(), path(1));
}

#[test]
fn in_doubt_every_valid_path_is_punched_less_and_less_often() {
    let mut case = Case::new();
    let (_, asks) = case.punch(1, 7, 0);
    case.punch(1, 0, asks[0].number);
    case.punch(0, 0, asks[1].number);
    let (_, round) = case.step(|set, step| set.begin_doubt(step));
    let asked = |asks: &[Ask], to: u64| asks.iter().filter(|ask| ask.path == path(to)).count();
    assert_eq!((asked(&round, 0), asked(&round, 1)), (1, 1));
    // After 100, 300 and 700 ms, then every second: at 1,500, 2,500 … 6,500.
    let (_, rounds) = case.run(6_600);
    assert_eq!((asked(&rounds, 0), asked(&rounds, 1)), (9, 9));
    assert!(case.punch(5, 0, rounds.last().unwrap().number).0);
    assert_eq!(case.set.active(), path(1));
}

#[test]
fn in_doubt_sources_are_punched_too() {
    let mut case = Case::new();
    case.punch(1, 7, 0);
    let (_, round) = case.step(|set, step| set.begin_doubt(step));
    let ask = round.iter().find(|ask| ask.path == path(1)).expect("the answer to it may have been lost");
    assert!(case.punch(1, 0, ask.number).0);
    assert_eq!(case.set.active(), path(1));
}

#[test]
fn a_number_is_echoed_within_five_seconds_and_once() {
    for (wait, counts) in [(4_999, true), (5_001, false)] {
        let mut case = Case::new();
        let (_, asks) = case.punch(1, 7, 0);
        case.run(wait);
        case.punch(1, 0, asks[0].number);
        assert_eq!(case.set.standby(path(1)).is_some(), counts, "{wait}");
        assert!(case.punch(1, 0, asks[0].number).1.is_empty());
    }
}

#[test]
fn sources_and_answers_are_bounded_and_leave_room_for_paths() {
    let mut case = Case::new();
    let mut answers = 0;
    for from in 1..=100 {
        answers += case.punch(from, from, 0).1.iter().filter(|ask| ask.echo == from).count();
    }
    assert_eq!(answers, 4);
    assert_eq!(case.sources().len(), MAX_SOURCES);
    assert!(case.sources().contains(&path(100)) && !case.sources().contains(&path(1)));
    // The active path is answered all the same, up to 16 together.
    let answers: usize = (0..100).map(|_| case.punch(0, 7, 0).1.len()).sum();
    assert_eq!(answers, 12);
    case.run(1_000);
    assert_eq!(case.punch(0, 7, 0).1.len(), 1);
    case.run(5_000);
    assert_eq!(case.sources(), vec![]);
}

#[test]
fn a_number_from_elsewhere_is_ignored_a_second_after_it_first_came() {
    let mut case = Case::new();
    // Copies may outrun the original.
    (1..=3).for_each(|from| drop(case.punch(from, 7, 0)));
    assert_eq!(case.sources(), [path(1), path(2), path(3)]);
    case.run(1_001);
    (4..=100).for_each(|from| drop(case.punch(from, 7, 0)));
    assert_eq!(case.sources(), [path(1), path(2), path(3)]);
    // From a path it is answered, and so is another number from elsewhere.
    assert_eq!(case.punch(0, 7, 0).1.len(), 1);
    assert!(case.punch(4, 8, 0).1.iter().any(|ask| ask.echo == 8));
    // The last 64 are remembered.
    (10..10 + MAX_FOREIGN as u64).for_each(|number| drop(case.punch(4, number, 0)));
    case.run(1_000);
    assert!(case.punch(5, 7, 0).1.iter().any(|ask| ask.echo == 7));
}

#[test]
fn a_machine_with_another_address_is_found_by_a_punch_from_wherever_the_system_chooses() {
    let mut case = Case::new();
    let at = |last: u8| Path { local: Some([10, 0, 0, last].into()), ..path(0) };
    case.set.follow(at(1));
    let (_, round) = case.step(|set, step| set.begin_doubt(step));
    assert_eq!(round.iter().map(|ask| ask.path).collect::<Vec<_>>(), [at(1), path(0)]);
    let (changed, _) = case.step(|set, step| set.on_punch(step, at(2), 0, round[1].number));
    assert!(changed);
    assert_eq!(case.set.active(), path(0));
    // If the old address answers first, the other punch came over the same path, and changes nothing.
    let mut case = Case::new();
    case.set.follow(at(1));
    let (_, round) = case.step(|set, step| set.begin_doubt(step));
    for ask in round {
        let (changed, asks) = case.step(|set, step| set.on_punch(step, at(1), 0, ask.number));
        assert!(!changed && asks.is_empty());
    }
    assert_eq!((case.set.active(), case.sources()), (at(1), vec![]));
}

#[test]
fn the_second_echo_of_a_round_changes_nothing_while_answers_are_overdue() {
    let mut case = Case::new();
    let here = Path { local: Some([127, 0, 0, 1].into()), ..path(0) };
    case.set = PathSet::new(case.now, here, FACTS);
    case.facts.overdue_at = Some(case.now);
    let ((), asks) = case.step(|set, step| set.begin_doubt(step));
    let [from_here, from_anywhere] = asks[..] else { panic!("{asks:?}") };
    assert_eq!((from_here.path, from_anywhere.path), (here, path(0)));
    case.now += core::time::Duration::from_millis(40);
    // The verdicts come later than the echoes.
    for ask in [from_here, from_anywhere] {
        assert!(!case.punch(0, 0, ask.number).0);
        assert_eq!(case.set.active(), here);
    }
}

#[test]
fn after_the_active_path_has_echoed_a_standby_of_the_same_round_changes_nothing() {
    let mut case = Case::new();
    let (_, asks) = case.punch(1, 7, 0);
    case.punch(1, 0, asks[0].number);
    case.punch(0, 0, asks[1].number);
    case.run(10);
    case.facts.overdue_at = Some(case.now);
    let (_, round) = case.step(|set, step| set.begin_doubt(step));
    assert_eq!(round.iter().map(|ask| ask.path).collect::<Vec<_>>(), [path(0), path(1)]);
    case.run(1);
    assert!(!case.punch(0, 0, round[0].number).0);
    assert!(!case.punch(1, 0, round[1].number).0);
    assert_eq!(case.set.active(), path(0));
}

#[test]
fn an_answer_that_is_replayed_takes_no_source_its_place() {
    let mut case = Case::new();
    case.punch(1, 7, 0);
    for from in 2..100 {
        assert!(case.punch(from, 0, 99).1.is_empty());
    }
    assert_eq!(case.sources(), [path(1)]);
}

#[cfg(feature = "introductions")]
#[test]
fn paths_that_differ_in_their_local_port_are_different_paths() {
    let mut case = Case::new();
    let further = |port| Path { port, ..path(0) };
    // The other side's punch comes to a further port, and is answered from there.
    let (_, asks) = case.step(|set, step| set.on_punch(step, further(3), 7, 0));
    assert_eq!((asks[0].path, asks[0].echo), (further(3), 7));
    assert_eq!(case.sources(), [further(3)]);
    case.step(|set, step| set.on_punch(step, path(0), 0, asks[0].number));
    assert_eq!(case.set.standbys().collect::<Vec<_>>(), [further(3)]);
    // Packets that come to the bound port leave the active path as it is, and those to the further one, too.
    case.set.follow(further(3));
    assert_eq!(case.set.active(), path(0));
    // The active path is lost at that port alone.
    case.run(300);
    assert_eq!((case.set.active(), case.set.standbys().count()), (further(3), 1));
}

#[cfg(feature = "introductions")]
#[test]
fn a_run_has_more_numbers_that_wait_for_their_echo() {
    let mut case = Case::new();
    let path_of = |port: u64| path(100 + port);
    let draw = |case: &mut Case, port| case.set.draw_for_run(case.now, &mut case.rng, path_of(port));
    let first = draw(&mut case, 0);
    (1..1_000).for_each(|port| _ = draw(&mut case, port));
    let second = draw(&mut case, 1_000);
    (1_001..2_500).for_each(|port| _ = draw(&mut case, port));
    case.step(|set, step| set.on_punch(step, path_of(0), 0, first));
    assert_eq!(case.set.standbys().collect::<Vec<_>>(), [path_of(0)]);
    // When it has ended, they live as long as others, and go.
    case.set.end_run();
    case.step(|set, step| set.begin_doubt(step));
    assert!(case.set.asked.has(second));
    case.now += core::time::Duration::from_secs(6);
    case.step(|set, step| set.network_changed(step));
    assert!(!case.set.asked.has(second));
}
