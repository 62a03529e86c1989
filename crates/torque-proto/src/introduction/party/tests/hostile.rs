//! Punches that are forged or replayed, and introducers that lie.

use alloc::collections::BTreeMap;

use super::*;

const PEER: &str = "203.0.113.1:5000";
const VICTIM: &str = "192.0.2.66:5000";

#[test]
fn a_punch_that_is_forged_or_of_another_kind_is_dropped() {
    for is_host in [false, true] {
        let mut side = Side::new(is_host);
        let (_, wants) = side.is_introduced(&[PEER]);
        let good = side.punch_of_other(5, 0);
        let mut bad: Vec<[u8; Punch::BYTES]> = Vec::new();
        for index in [1, 5, 12, 20, 26, 41] {
            // The direction or the kind, the id, the number, the echo and the tag.
            let mut bytes = good;
            bytes[index] ^= if index == 1 { 2 } else { 1 };
            bad.push(bytes);
        }
        // This side's own, come back.
        bad.push(wants.punches[0].bytes);
        for bytes in bad {
            let (is_authentic, wants) = side.punched(path(PEER), &bytes);
            assert!(!is_authentic && wants.punches.is_empty() && wants.events.is_empty());
        }
        assert_eq!(side.party.counters().punches_received, 0);
        let (is_authentic, wants) = side.punched(path(PEER), &good);
        assert!(is_authentic && wants.punches.len() == 1);
    }
}

#[test]
fn an_unknown_source_is_answered_and_never_punched_unasked() {
    let mut side = Side::new(false);
    side.is_introduced(&[PEER]);
    let bytes = side.punch_of_other(5, 0);
    let (_, wants) = side.punched(path(VICTIM), &bytes);
    let [answer] = wants.punches[..] else { panic!("{wants:?}") };
    let (punch, _) = Punch::parse(&answer.bytes).unwrap();
    assert_eq!((answer.path, answer.is_answer, punch.echo), (path(VICTIM), true, 5));
    assert_ne!(punch.number, 0);
    let punches = side.run(20_000).into_iter().flat_map(|(_, wants)| wants.punches);
    assert!(punches.into_iter().all(|punch| punch.path == path(PEER)));
    assert!(!side.party.is_path(connection(), path(VICTIM)));
}

#[test]
fn an_echo_proves_the_path_on_which_its_number_was_sent_wherever_it_came_from() {
    let mut side = Side::new(false);
    let (_, wants) = side.is_introduced(&[PEER]);
    let (asked, _) = Punch::parse(&wants.punches[0].bytes).unwrap();
    let bytes = side.punch_of_other(6, asked.number);
    let (_, wants) = side.punched(path(VICTIM), &bytes);
    let [PartyEvent::PathReady { path: valid, .. }] = wants.events[..] else { panic!("{wants:?}") };
    assert_eq!(valid, path(PEER));
    assert!(!side.party.is_path(connection(), path(VICTIM)));
}

#[test]
fn a_source_that_sends_an_echo_of_another_path_is_no_path() {
    let mut side = Side::new(false);
    let (_, wants) = side.is_introduced(&[PEER]);
    side.punched(path(VICTIM), &side.punch_of_other(5, 0));
    let (asked, _) = Punch::parse(&wants.punches[0].bytes).unwrap();
    let (_, wants) = side.punched(path(VICTIM), &side.punch_of_other(6, asked.number));
    let [PartyEvent::PathReady { path: valid, .. }] = wants.events[..] else { panic!("{wants:?}") };
    assert_eq!(valid, path(PEER));
    assert!(!side.party.is_path(connection(), path(VICTIM)));
}

/// Nor does an introducer who goes on talking have it punched more often.
#[test]
fn a_path_that_is_shown_is_not_punched_but_to_hold_it() {
    let mut side = Side::new(false);
    let (number, wants) = side.is_introduced(&[PEER]);
    side.becomes_valid(&wants);
    for _ in 0..40 {
        side.now += Duration::from_millis(100);
        assert!(side.hears_candidates(number, &[PEER]).punches.is_empty());
    }
}

#[test]
fn punches_that_are_replayed_prove_nothing_and_are_answered_for_a_second() {
    let mut side = Side::new(false);
    side.is_introduced(&[PEER]);
    let asking = side.punch_of_other(5, 0);
    let mut answers = 0;
    for _ in 0..60_000 {
        let (_, wants) = side.punched(path(VICTIM), &asking);
        answers += wants.punches.len();
        assert!(wants.events.is_empty());
        if side.run(1).iter().any(|(_, wants)| !wants.events.is_empty()) {
            break;
        }
    }
    // Four in each of the two seconds that begin in this time.
    assert!((4..=8).contains(&answers), "{answers}");
}

#[test]
fn an_answer_that_is_replayed_counts_once_and_in_time() {
    let mut side = Side::new(false);
    let (_, wants) = side.is_introduced(&[PEER]);
    let (asked, _) = Punch::parse(&wants.punches[0].bytes).unwrap();
    let answer = side.punch_of_other(0, asked.number);
    let mut late = Side::new(false);
    late.is_introduced(&[PEER]);
    late.run(5_001);
    assert!(late.punched(path(PEER), &answer).1.events.is_empty());
    let mut in_time = Side::new(false);
    in_time.is_introduced(&[PEER]);
    in_time.run(5_000);
    assert_eq!(in_time.punched(path(PEER), &answer).1.events.len(), 1);
    // Replayed until the path would be lost, it is lost all the same.
    assert_eq!(side.punched(path(PEER), &answer).1.events.len(), 1);
    for _ in 0..30_000 {
        side.punched(path(VICTIM), &answer);
        side.run(1);
    }
    assert!(!side.party.is_path(connection(), path(PEER)));
}

#[test]
fn sources_get_four_answers_a_second_and_leave_twelve_to_candidates() {
    let mut side = Side::new(false);
    side.is_introduced(&[PEER]);
    let mut answers = BTreeMap::new();
    for number in 1..=200u64 {
        for from in [format_source(number), path(PEER)] {
            let bytes = side.punch_of_other(number * 2 + u64::from(from == path(PEER)), 0);
            let (_, wants) = side.punched(from, &bytes);
            *answers.entry(from == path(PEER)).or_insert(0) += wants.punches.len();
        }
    }
    assert_eq!(answers, BTreeMap::from([(false, 4), (true, 12)]));
    let counters = side.party.counters();
    assert_eq!(counters.answers_not_sent, 400 - 16);
}

fn format_source(number: u64) -> Path {
    Path::to(SocketAddr::new([192, 0, 2, 66].into(), 6_000 + number as u16).into())
}

/// An introducer names eight candidates four times a second for three minutes, with a new attempt when one ends. Returns when each of
/// the addresses was punched, in milliseconds.
fn lies(name: impl Fn(u64) -> SocketAddr) -> (Side, BTreeMap<Address, Vec<u64>>) {
    let mut side = Side::new(false);
    let mut sent: BTreeMap<Address, Vec<u64>> = BTreeMap::new();
    let (mut number, _) = side.is_introduced(&[]);
    let mut turn = 0;
    for tick in 0..180 * 4 {
        let begin = tick * 250;
        let mut all = Vec::new();
        if side.party.attempts.is_empty() {
            let (next, wants) = side.is_introduced(&[]);
            number = next;
            all.push((0, wants));
        }
        let mut body = Vec::new();
        let named: Vec<_> = (turn..turn + 8).map(&name).collect();
        turn += 8;
        let named: Vec<_> =
            named.into_iter().map(|address| Candidate { kind: CandidateKind::Observed, address }).collect();
        write_candidates(&named, &mut body);
        all.push((0, side.hears(number, ReliableKind::CANDIDATES, &body)));
        all.extend(side.run(250));
        for (at, wants) in all {
            for punch in wants.punches {
                sent.entry(punch.path.remote).or_default().push(begin + at);
            }
        }
    }
    (side, sent)
}

fn most_in(times: &[u64], span: u64) -> usize {
    let count = |start: &u64| times.iter().filter(|at| (*start..start + span).contains(at)).count();
    times.iter().map(count).max().unwrap_or(0)
}

#[test]
fn an_introducer_that_lies_has_a_victim_punched_forty_times_in_ten_seconds_and_eighty_times_a_minute() {
    // Each time another port of it.
    let name = |turn| SocketAddr::new([192, 0, 2, 66].into(), 1_024 + turn as u16);
    let (side, sent) = lies(name);
    let mut times: Vec<_> = sent.into_values().flatten().collect();
    times.sort_unstable();
    assert_eq!((most_in(&times, 10_000), most_in(&times, 60_000)), (40, 80));
    assert!(side.party.counters().punches_not_sent.to_network > 5_000);
}

#[test]
fn an_introducer_that_lies_has_sixty_four_networks_a_minute_punched() {
    let name = |turn| SocketAddr::from(([1, 2, (turn >> 8) as u8, turn as u8], 5_000));
    let (mut side, sent) = lies(name);
    // Each was named once.
    let mut first: Vec<_> = sent.values().map(|times| times[0]).collect();
    first.sort_unstable();
    assert_eq!(most_in(&first, 60_000), 64);
    let mut times: Vec<_> = sent.into_values().flatten().collect();
    times.sort_unstable();
    assert!(most_in(&times, 1_000) <= 250);
    side.party.forget(side.now, connection());
    side.run(60_001);
    assert!(side.party.is_empty());
}
