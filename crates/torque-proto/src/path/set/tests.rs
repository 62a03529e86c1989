use alloc::vec;

use super::*;
use crate::address::Address;

const FACTS: Facts =
    Facts { probe_time: Micros::from_millis(100), round_trip: Micros::from_millis(40), is_overdue: false };

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
    let [answer] = asks[..] else { panic!("{asks:?}") };
    assert_eq!((answer.path, answer.echo), (path(1), 7));
    assert_ne!(answer.number, 0);
    assert_eq!(case.sources(), [path(1)]);
    // A false echo does nothing, and the right one counts once, wherever it comes from.
    assert!(case.punch(1, 0, answer.number ^ 1).1.is_empty());
    let (changed, asks) = case.punch(2, 0, answer.number);
    assert!(!changed);
    // The active path is asked whether it still works.
    assert!(matches!(asks[..], [Ask { path: asked, echo: 0, .. }] if asked == path(0)), "{asks:?}");
    assert!(case.set.standby(path(1)).is_some());
    // From now on its punches are answered without a number.
    let (_, asks) = case.punch(1, 8, 0);
    assert_eq!(asks, [Ask { path: path(1), number: 0, echo: 8 }]);
}

#[test]
fn the_old_path_wins_while_it_answers() {
    let mut case = Case::new();
    let (_, asks) = case.punch(1, 7, 0);
    let (_, suspicion) = case.punch(1, 0, asks[0].number);
    case.run(100);
    assert!(!case.punch(0, 0, suspicion[0].number).0);
    assert!(!case.run(10_000).0);
    assert_eq!(case.set.active(), path(0));
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
    case.facts.is_overdue = true;
    assert!(case.punch(1, 0, asks[0].number).0);
    assert_eq!(case.set.active(), path(1));
}

#[test]
fn in_doubt_every_valid_path_is_punched_less_and_less_often() {
    let mut case = Case::new();
    let (_, asks) = case.punch(1, 7, 0);
    let (_, suspicion) = case.punch(1, 0, asks[0].number);
    case.punch(0, 0, suspicion[0].number);
    let (_, round) = case.step(|set, step| set.begin_doubt(step));
    let asked = |asks: &[Ask], to: u64| asks.iter().filter(|ask| ask.path == path(to)).count();
    assert_eq!((asked(&round, 0), asked(&round, 1)), (1, 1));
    // After 100, 300, 700 and 1,500 ms, then every two seconds.
    let (_, rounds) = case.run(9_600);
    assert_eq!((asked(&rounds, 0), asked(&rounds, 1)), (8, 8));
    assert!(case.punch(5, 0, rounds.last().unwrap().number).0);
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
        answers += case.punch(from, 7, 0).1.len();
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
    case.facts.is_overdue = true;
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
