//! Runs a list of steps: sets up what they need, runs them one after another with headings and times, and prints a table at the
//! end. A failing step does not stop the others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::setup::{self, Need};
use crate::shell;

/// The outcome of a step that did not fail.
pub enum Outcome {
    Done,
    /// Nothing was checked, for this reason.
    Skipped(String),
    /// Done, with a remark.
    Note(String),
}

/// One step.
pub struct Step {
    pub name: &'static str,
    pub about: &'static str,
    /// Its time from a clean checkout, after the steps before it, on two quiet cores of a cloud machine.
    pub seconds: u64,
    pub needs: &'static [Need],
    /// Needs that it can do without, checking less.
    pub wants: &'static [Need],
    pub run: fn() -> Result<Outcome, String>,
}

/// The choice made on the command line.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Choice {
    only: Vec<String>,
    from: Option<String>,
    list: bool,
}

impl Choice {
    /// Reads `--only STEP` (repeatable), `--from STEP` and `--list`.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut choice = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut name = || rest.next().cloned().ok_or(format!("{argument} wants the name of a step"));
            match argument.as_str() {
                "--only" => choice.only.push(name()?),
                "--from" => choice.from = Some(name()?),
                "--list" => choice.list = true,
                _ => {
                    return Err(format!(
                        "unknown option `{argument}`; use --only STEP, --from STEP or --list"
                    ));
                }
            }
        }
        Ok(choice)
    }

    /// The steps to run.
    fn of<'a>(&self, steps: &'a [Step]) -> Result<Vec<&'a Step>, String> {
        for name in self.only.iter().chain(&self.from) {
            if !steps.iter().any(|step| step.name == name) {
                let names: Vec<_> = steps.iter().map(|step| step.name).collect();
                return Err(format!("`{name}` is not a step; the steps are {}", names.join(", ")));
            }
        }
        let from = self.from.as_deref().unwrap_or(steps[0].name);
        let rest = steps.iter().skip_while(|step| step.name != from);
        let chosen: Vec<_> = rest
            .filter(|step| self.only.is_empty() || self.only.iter().any(|name| name == step.name))
            .collect();
        if chosen.is_empty() { Err("no step of --only comes after --from".to_owned()) } else { Ok(chosen) }
    }
}

/// Needs that could not be met, and what that means for the steps.
pub struct Lacking {
    /// Each need, with what to do about it.
    pub missing: BTreeMap<Need, String>,
    /// Nothing may be skipped: a step that cannot run has failed.
    pub strict: bool,
}

/// Runs the chosen steps. `task` is the word after `cargo xtask`.
pub fn run(task: &str, steps: &[Step], choice: &Choice) -> Result<(), String> {
    if choice.list {
        for step in steps {
            println!("{:<12} {:>8}  {}", step.name, about(step.seconds), step.about);
        }
        return Ok(());
    }
    let chosen = choice.of(steps)?;
    let begin = Instant::now();
    let seconds = chosen.iter().map(|step| step.seconds).sum();
    let plural = if chosen.len() == 1 { "" } else { "s" };
    println!(
        "=== {} step{plural}: {} from a clean checkout on two quiet cores, after set-up",
        chosen.len(),
        about(seconds)
    );
    let needs: BTreeSet<Need> =
        chosen.iter().flat_map(|step| step.needs.iter().chain(step.wants)).copied().collect();
    let missing = setup::provide(&needs);
    let set_up = begin.elapsed();
    let lacking = Lacking { missing, strict: shell::in_ci() };
    let rows = run_all(&chosen, &lacking);

    println!("\n{:<12} {:>8} {:>9}  result", "step", "seconds", "expected");
    println!("{:<12} {:>8.1}", "set-up", set_up.as_secs_f64());
    for Row { step, time, result } in &rows {
        let told = match result {
            Ok(outcome) => outcome.text(),
            Err(_) => "FAILED".to_owned(),
        };
        println!("{:<12} {:>8.1} {:>9}  {told}", step.name, time.as_secs_f64(), step.seconds);
    }
    println!("{:<12} {:>8.1} {seconds:>9}", "all", begin.elapsed().as_secs_f64());
    report(task, &rows)
}

/// A step with its time and result.
struct Row<'a> {
    step: &'a Step,
    time: Duration,
    result: Result<Outcome, String>,
}

impl Outcome {
    /// Downgrades the outcome if something that the step wants was missing.
    fn in_part(self, why: &str) -> Self {
        match self {
            Self::Done => Self::Note(format!("in part: {why}")),
            Self::Note(note) => Self::Note(format!("{note}; in part: {why}")),
            Self::Skipped(other) => Self::Skipped(other),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Done => "ok".to_owned(),
            Self::Skipped(why) => format!("skipped: {why}"),
            Self::Note(note) => format!("ok, {note}"),
        }
    }
}

/// Runs each step that the machine is set up for.
fn run_all<'a>(steps: &[&'a Step], lacking: &Lacking) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        println!(
            "\n=== {} of {}: {}: {} ({})",
            index + 1,
            steps.len(),
            step.name,
            step.about,
            about(step.seconds)
        );
        let start = Instant::now();
        let missing = |needs: &[Need]| {
            let texts: Vec<_> = needs.iter().filter_map(|need| lacking.missing.get(need)).cloned().collect();
            if texts.is_empty() { None } else { Some(texts.join("; and ")) }
        };
        let result = match (missing(step.needs), missing(step.wants)) {
            (Some(why), _) => Ok(Outcome::Skipped(why)),
            (None, Some(why)) if lacking.strict => Ok(Outcome::Skipped(why)),
            (None, Some(why)) => (step.run)().map(|outcome| outcome.in_part(&why)),
            (None, None) => (step.run)(),
        };
        let result = match result {
            Ok(Outcome::Skipped(why)) if lacking.strict => Err(format!("nothing is skipped in CI: {why}")),
            result => result,
        };
        let time = start.elapsed();
        let told = match &result {
            Ok(outcome) => outcome.text(),
            Err(error) => format!("FAILED: {error}"),
        };
        println!("=== {}: {told} ({:.1} s)", step.name, time.as_secs_f64());
        rows.push(Row { step, time, result });
    }
    rows
}

/// Lists what was skipped and what failed; fails if anything did.
fn report(task: &str, rows: &[Row<'_>]) -> Result<(), String> {
    let mut failures = Vec::new();
    let mut skipped = 0;
    for Row { step, result, .. } in rows {
        match result {
            Err(error) => failures.push(format!(
                "step `{}` failed: {error}\n  repeat it: cargo xtask {task} --only {0}",
                step.name
            )),
            Ok(Outcome::Skipped(why)) => {
                skipped += 1;
                println!("not checked: {}: {why}", step.name);
            }
            Ok(_) => {}
        }
    }
    println!(
        "\n{} passed, {} failed, {skipped} skipped",
        rows.len() - failures.len() - skipped,
        failures.len()
    );
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// Formats a duration for people.
fn about(seconds: u64) -> String {
    match seconds {
        0..=1 => "a second".to_owned(),
        2..=99 => format!("{seconds} s"),
        _ => format!("{} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests;
