//! Paths of connections that were introduced (INTRODUCTIONS.md 8.1, rule 3, and 10).

use super::*;

fn circuit() -> Path {
    Path::to(Address::from_circuit(9))
}

fn relayed() -> Case {
    let mut case = Case::new();
    case.set = PathSet::new(case.now, circuit(), FACTS);
    case
}

fn asked_at(asks: &[Ask], path: Path) -> Vec<Ask> {
    asks.iter().copied().filter(|ask| ask.path == path).collect()
}

#[test]
fn a_direct_path_takes_the_place_of_a_circuit_at_once_though_that_still_answers() {
    let mut case = relayed();
    let (_, asks) = case.step(|set, step| set.introduce(step, vec![path(1)], &[]));
    let [direct] = asked_at(&asks, path(1))[..] else { panic!("{asks:?}") };
    let (_, more) = case.step(|set, step| {
        set.poke(step);
        false
    });
    // The circuit echoes, so it is not suspected of anything.
    case.step(|set, step| set.on_punch(step, circuit(), 0, more[0].number));
    let (changed, _) = case.punch(1, 0, direct.number);
    assert!(changed);
    assert_eq!(case.set.active(), path(1));
}

#[test]
fn a_circuit_does_not_take_the_place_of_a_direct_path_that_answers() {
    let mut case = Case::new();
    let (_, asks) = case.step(|set, step| set.introduce(step, vec![circuit()], &[]));
    let [ask] = asked_at(&asks, circuit())[..] else { panic!("{asks:?}") };
    let ((), suspicion) = case.step(|set, step| _ = set.on_punch(step, circuit(), 0, ask.number));
    let asked = asked_at(&suspicion, path(0));
    case.punch(0, 0, asked[0].number);
    let (changed, _) = case.run(3_000);
    assert!(!changed && case.set.active() == path(0));
    // It is there when the direct path fails.
    case.facts.overdue_at = Some(case.now);
    let (_, asks) = case.run(200);
    let in_doubt = asked_at(&asks, circuit());
    let (changed, _) = case.step(|set, step| set.on_punch(step, circuit(), 0, in_doubt[0].number));
    assert!(changed && case.set.active() == circuit());
}

#[test]
fn while_a_circuit_is_active_rounds_go_on_after_5_15_and_60_seconds() {
    let mut case = relayed();
    let began = case.now;
    case.step(|set, step| set.introduce(step, vec![path(1), path(2)], &[]));
    let mut rounds = Vec::new();
    let mut punches = 0;
    for _ in 0..150_000 {
        case.now += core::time::Duration::from_millis(1);
        let (_, asks) = case.step(|set, step| set.handle_timeout(step));
        for _ in asked_at(&asks, path(1)) {
            punches += 1;
            let since = ask_time(case.now, began);
            if rounds.last().is_none_or(|last| since > last + 2_000) {
                rounds.push(since);
            }
        }
        // The circuit answers.
        for ask in asked_at(&asks, circuit()) {
            case.step(|set, step| set.on_punch(step, circuit(), 0, ask.number));
        }
    }
    assert_eq!(rounds, [200, 5_000, 20_000, 80_000, 140_000]);
    // Four in each round, the first of which was at the beginning.
    assert_eq!(punches, 4 * rounds.len() - 1);
}

fn ask_time(now: Instant, began: Instant) -> u128 {
    now.saturating_since(began).as_millis()
}

#[test]
fn new_addresses_begin_a_round_at_most_every_five_seconds() {
    let mut case = relayed();
    let mut punches = 0;
    for second in 0..60 {
        for _ in 0..4 {
            let (_, asks) = case.step(|set, step| set.introduce(step, vec![path(10 + second)], &[]));
            punches += asks.len();
        }
        punches += case.run(1_000).1.iter().filter(|ask| ask.path != circuit()).count();
    }
    // Whatever the introducer says, at most a round of four punches to each address in five seconds.
    assert!(punches <= 4 * 60 / 5 + 4, "{punches}");
}

#[test]
fn a_circuit_that_has_ended_is_looked_past_at_once() {
    let mut case = relayed();
    case.step(|set, step| set.introduce(step, vec![path(1)], &[]));
    case.run(2_000);
    let (_, asks) = case.step(|set, step| set.lose(step, circuit().remote));
    let [ask] = asked_at(&asks, path(1))[..] else { panic!("{asks:?}") };
    assert!(case.punch(1, 0, ask.number).0);
    assert_eq!(case.set.active(), path(1));
}
