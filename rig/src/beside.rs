//! This project and iroh in the same places, in turns: how soon two parties hear each other, how soon directly, and how long they do not
//! when an address changes.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::lab::{Change, Net};
use crate::matrix::{Choice, way_of};
use crate::node::{Report, Way};
use crate::talk::{Plan, Program, Talk};

/// How long a relayed connection has to become direct.
const LINGER: Duration = Duration::from_secs(5);
/// When this project tries many ports: as it does by default.
const HARD_NAT: &str = "verified";
/// How long is watched after a change.
const AFTER: Duration = Duration::from_secs(12);

/// Pairs with one program.
#[derive(Serialize)]
struct Row {
    a: &'static str,
    b: &'static str,
    program: &'static str,
    runs: usize,
    direct: usize,
    relayed: usize,
    failed: usize,
    /// From the initiator's call until it had a packet of the other party, and until its path was direct: medians.
    first_ms: Option<f64>,
    direct_ms: Option<f64>,
    /// The longest of them.
    first_max_ms: Option<f64>,
    direct_max_ms: Option<f64>,
}

/// A change of the address of one party, with one program.
#[derive(Serialize)]
struct Moved {
    change: &'static str,
    program: &'static str,
    /// Runs in which both parties heard each other before and after.
    heard: usize,
    runs: usize,
    /// The longest time without a packet, at the party that moved and at the other: median and longest.
    mover_ms: Option<[f64; 2]>,
    other_ms: Option<[f64; 2]>,
}

#[derive(Serialize)]
struct Rows {
    pairs: Vec<Row>,
    moves: Vec<Moved>,
}

/// Runs the pairs and the changes, prints tables, and writes the file.
///
/// # Errors
/// No network can be made, or a program does not start.
pub fn run(choice: &Choice, iroh: &Path) -> Result<(), String> {
    let programs = [
        ("torque", Program::Torque { at_once: false }),
        ("torque at_once", Program::Torque { at_once: true }),
        ("iroh", Program::Iroh(iroh.to_owned())),
    ];
    let mut net = Net::new()?;
    let mut places = Vec::new();
    for pair in choice.pairs() {
        places.push((pair, net.parties(&pair)?));
    }
    let mut movers = net.movers()?;
    let mut rows = Rows { pairs: Vec::new(), moves: Vec::new() };
    println!(
        "{:<11} {:<11} {:<15} {:>6} {:>7} {:>6} {:>9} {:>9} {:>9} {:>9}",
        "a", "b", "program", "direct", "relayed", "failed", "first ms", "max", "direct ms", "max"
    );
    for (pair, parties) in &places {
        let mut reports = [const { Vec::new() }; 3];
        for turn in 0..choice.runs {
            for ((_, program), reports) in programs.iter().zip(&mut reports) {
                let plan = Plan {
                    parties,
                    swapped: turn % 2 == 1,
                    idle: Duration::ZERO,
                    linger: LINGER,
                    hard_nat: HARD_NAT,
                };
                reports.push(Talk::start(&net, program, &plan)?.reports);
            }
        }
        for ((name, _), reports) in programs.iter().zip(&reports) {
            let row = Row::of(pair.names(), name, reports);
            println!(
                "{:<11} {:<11} {:<15} {:>6} {:>7} {:>6} {:>9} {:>9} {:>9} {:>9}",
                row.a,
                row.b,
                row.program,
                row.direct,
                row.relayed,
                row.failed,
                number(row.first_ms),
                number(row.first_max_ms),
                number(row.direct_ms),
                number(row.direct_max_ms),
            );
            rows.pairs.push(row);
        }
    }
    println!(
        "\n{:<16} {:<15} {:>5} {:>6} {:>9} {:>9} {:>9} {:>9}",
        "change of", "program", "runs", "heard", "mover ms", "max", "other ms", "max"
    );
    for (name, change) in [("address", Change::Address), ("network", Change::Network)] {
        let mut gaps = [const { Vec::new() }; 3];
        for turn in 0..choice.runs {
            for ((_, program), gaps) in programs.iter().zip(&mut gaps) {
                let parties = movers.parties.clone();
                let swapped = turn % 2 == 1;
                let plan = Plan {
                    parties: &parties,
                    swapped,
                    idle: Duration::ZERO,
                    linger: LINGER,
                    hard_nat: HARD_NAT,
                };
                let mut talk = Talk::start(&net, program, &plan)?;
                if way_of(&talk.reports) == Way::Failed {
                    gaps.push([None; 2]);
                    continue;
                }
                let mut both = talk.watch(|| net.change(&mut movers, change), AFTER)?;
                if swapped {
                    both.reverse();
                }
                gaps.push(both);
            }
        }
        for ((program, _), gaps) in programs.iter().zip(&gaps) {
            let row = Moved::of(name, program, gaps);
            let [mover, other] =
                [row.mover_ms, row.other_ms].map(|gap| gap.map_or([None; 2], |gap| gap.map(Some)));
            println!(
                "{:<16} {:<15} {:>5} {:>6} {:>9} {:>9} {:>9} {:>9}",
                row.change,
                row.program,
                row.runs,
                row.heard,
                number(mover[0]),
                number(mover[1]),
                number(other[0]),
                number(other[1]),
            );
            rows.moves.push(row);
        }
    }
    choice.write(&rows)
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

impl Row {
    fn of([a, b]: [&'static str; 2], program: &'static str, reports: &[[Report; 2]]) -> Self {
        let count = |way: Way| reports.iter().filter(|both| way_of(both) == way).count();
        let of_initiators = |time: fn(&Report) -> Option<f64>| {
            let times = reports.iter().filter(|both| way_of(both) != Way::Failed);
            median_and_most(times.filter_map(|[initiator, _]| time(initiator)).collect())
        };
        let first = of_initiators(|report| report.first);
        let direct = of_initiators(|report| report.direct);
        Self {
            a,
            b,
            program,
            runs: reports.len(),
            direct: count(Way::Direct),
            relayed: count(Way::Relayed),
            failed: count(Way::Failed),
            first_ms: first.map(|[median, _]| median),
            direct_ms: direct.map(|[median, _]| median),
            first_max_ms: first.map(|[_, most]| most),
            direct_max_ms: direct.map(|[_, most]| most),
        }
    }
}

impl Moved {
    fn of(change: &'static str, program: &'static str, gaps: &[[Option<f64>; 2]]) -> Self {
        let end = AFTER.as_secs_f64() * 1_000.0;
        // One that lasts until the end has not ended.
        let is_over = |gap: &Option<f64>| gap.is_some_and(|gap| gap < end);
        let over: Vec<_> = gaps.iter().filter(|both| both.iter().all(is_over)).collect();
        let side = |side: usize| median_and_most(over.iter().filter_map(|both| both[side]).collect());
        Self { change, program, heard: over.len(), runs: gaps.len(), mover_ms: side(0), other_ms: side(1) }
    }
}

fn median_and_most(mut values: Vec<f64>) -> Option<[f64; 2]> {
    values.sort_by(f64::total_cmp);
    let round = |value: f64| (value * 10.0).round() / 10.0;
    Some([round(*values.get(values.len() / 2)?), round(*values.last()?)])
}
