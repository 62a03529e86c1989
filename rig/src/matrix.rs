//! Runs pairs, and makes a table of what came of them.

use std::path::PathBuf;
use std::time::Duration;

use patchbay::Device;
use serde::Serialize;

use crate::kinds::{Kind, Pair};
use crate::lab::Net;
use crate::node::{Looked, Report, Way, parse_hard_nat};
use crate::talk::{self, Plan, Program, Talk};

/// How long a relayed connection has to become direct: a run that tries many ports takes 30 s.
const LINGER: Duration = Duration::from_secs(33);
/// The same where nothing is tried that could make it direct.
const SHORT_LINGER: Duration = Duration::from_secs(2);

/// What to run.
pub struct Choice {
    quick: bool,
    pub runs: usize,
    only: Vec<String>,
    json: Option<String>,
    /// When many ports are tried.
    pub hard_nat: String,
    /// A program that is measured beside.
    pub beside: Option<PathBuf>,
}

impl Choice {
    pub fn parse(words: &[&str]) -> Result<Self, String> {
        let mut choice = Self {
            quick: false,
            runs: 10,
            only: Vec::new(),
            json: None,
            hard_nat: "always".to_owned(),
            beside: None,
        };
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let mut value =
                || rest.next().map(|text| (*text).to_owned()).ok_or(format!("{word} wants a value"));
            match *word {
                "--quick" => (choice.quick, choice.runs) = (true, 1),
                "--runs" => choice.runs = value()?.parse().map_err(|error| format!("--runs: {error}"))?,
                "--only" => choice.only.push(value()?),
                "--json" => choice.json = Some(value()?),
                "--hard-nat" => {
                    choice.hard_nat = value()?;
                    parse_hard_nat(&choice.hard_nat)?;
                }
                "--beside" => choice.beside = Some(value()?.into()),
                _ => return Err(format!("unknown option `{word}`")),
            }
        }
        Ok(choice)
    }

    pub fn pairs(&self) -> Vec<Pair> {
        let mut pairs = match () {
            () if self.quick => Pair::quick(),
            () if self.beside.is_some() && self.only.is_empty() => Pair::beside(),
            () => Pair::all(),
        };
        let is_meant = |pair: &Pair| {
            let names = pair.names();
            self.only.iter().all(|name| names.contains(&name.as_str()))
                && (self.only.len() < 2 || names.iter().all(|name| self.only.iter().any(|only| only == name)))
        };
        pairs.retain(is_meant);
        pairs
    }

    /// Writes rows to the file that was asked for.
    pub fn write(&self, rows: &impl Serialize) -> Result<(), String> {
        let Some(file) = &self.json else { return Ok(()) };
        let text = serde_json::to_string_pretty(rows).map_err(|error| error.to_string())?;
        std::fs::write(file, text + "\n").map_err(|error| format!("{file}: {error}"))
    }
}

/// What came of one pair.
#[derive(Serialize)]
struct Row {
    a: &'static str,
    b: &'static str,
    expect: &'static str,
    runs: usize,
    direct: usize,
    relayed: usize,
    failed: usize,
    /// From the calls until the initiator was established.
    median_ms: Option<f64>,
    /// Punches that a party sent, on average.
    punches: f64,
}

/// Runs the pairs, prints the table, and writes the file.
///
/// # Errors
/// No network can be made, or a pair behaves differently from what is expected.
pub fn run(choice: &Choice) -> Result<(), String> {
    let mut net = Net::new()?;
    // All of them before the first run: nothing is built while parties talk.
    let mut places = Vec::new();
    for pair in choice.pairs() {
        places.push((pair, net.parties(&pair)?));
    }
    let mut surprises = look(&net, &places)?;
    let mut rows = Vec::new();
    println!(
        "{:<11} {:<11} {:<8} {:>4} {:>6} {:>7} {:>6} {:>9} {:>7}",
        "a", "b", "expected", "runs", "direct", "relayed", "failed", "median ms", "punches"
    );
    for (pair, parties) in places {
        let mut reports = Vec::new();
        for turn in 0..choice.runs {
            let idle = Duration::from_secs(pair.idle());
            let linger = if pair.meets() { LINGER } else { SHORT_LINGER };
            let hard_nat = &choice.hard_nat;
            let plan = Plan { parties: &parties, swapped: turn % 2 == 1, idle, linger, hard_nat };
            reports.push(Talk::start(&net, &Program::Torque { at_once: false }, &plan)?.reports);
        }
        let row = Row::of(&pair, &reports);
        println!(
            "{:<11} {:<11} {:<8} {:>4} {:>6} {:>7} {:>6} {:>9} {:>7.1}{}",
            row.a,
            row.b,
            row.expect,
            row.runs,
            row.direct,
            row.relayed,
            row.failed,
            row.median_ms.map_or_else(|| "-".to_owned(), |median| format!("{median:.1}")),
            row.punches,
            if row.is_expected() { "" } else { "  <- not as expected" },
        );
        surprises += usize::from(!row.is_expected());
        rows.push(row);
    }
    choice.write(&rows)?;
    match surprises {
        0 => Ok(()),
        _ => Err(format!("{surprises} of {} pairs or looks were not as expected", rows.len())),
    }
}

/// Has the introducer look at the NAT of each kind, and prints what it saw. Returns how often that was wrong.
fn look(net: &Net, places: &[(Pair, [Device; 2])]) -> Result<usize, String> {
    let mut kinds: Vec<(Kind, &Device)> = Vec::new();
    for (pair, parties) in places {
        for (kind, device) in pair.kinds().into_iter().flatten().zip(parties) {
            if kinds.iter().all(|(known, _)| known.name != kind.name) {
                kinds.push((kind, device));
            }
        }
    }
    let mut wrong = 0;
    println!("{:<11} {:<13} {:<13} observed", "access", "expected NAT", "seen NAT");
    for (kind, device) in kinds {
        let Looked { nat, observed } = talk::look(net, device)?;
        let expected = format!("{:?}", kind.seen()).to_lowercase();
        let is_right = expected.starts_with(&nat);
        wrong += usize::from(!is_right);
        let remark = if is_right { "" } else { "  <- not as expected" };
        println!("{:<11} {expected:<13} {nat:<13} {observed}{remark}", kind.name);
    }
    println!();
    Ok(wrong)
}

impl Row {
    fn of(pair: &Pair, reports: &[[Report; 2]]) -> Self {
        let [a, b] = pair.names();
        let count = |way: Way| reports.iter().filter(|both| way_of(both) == way).count();
        let mut times: Vec<f64> = reports.iter().filter_map(|[initiator, _]| initiator.established).collect();
        times.sort_by(f64::total_cmp);
        let punches: u64 = reports.iter().flatten().map(|report| report.punches).sum();
        Self {
            a,
            b,
            expect: if pair.meets() { "direct" } else { "relayed" },
            runs: reports.len(),
            direct: count(Way::Direct),
            relayed: count(Way::Relayed),
            failed: count(Way::Failed),
            median_ms: times.get(times.len() / 2).map(|median| (median * 10.0).round() / 10.0),
            punches: (punches as f64 / (2 * reports.len().max(1)) as f64 * 10.0).round() / 10.0,
        }
    }

    /// All runs were connected, and if a direct path was expected, by one.
    fn is_expected(&self) -> bool {
        self.failed == 0 && (self.expect == "relayed" || self.direct == self.runs)
    }
}

/// A connection is as good as its worse direction.
pub fn way_of(both: &[Report; 2]) -> Way {
    let is = |way| both.iter().any(|report| report.way == way);
    [Way::Failed, Way::Relayed].into_iter().find(|way| is(*way)).unwrap_or(Way::Direct)
}
