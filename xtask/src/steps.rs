//! A list of steps, run one after another with a heading and a time each, and a table at the end.

use std::time::{Duration, Instant};

/// How a step went, if it did not fail.
pub enum Outcome {
    Done,
    /// Nothing was checked, and why.
    Skipped(String),
    /// Done, and something that should be known.
    Note(String),
}

/// One step.
pub struct Step {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn() -> Result<Outcome, String>,
}

/// What is asked for on the command line.
#[derive(Default, Debug, PartialEq, Eq)]
pub struct Choice {
    only: Vec<String>,
    from: Option<String>,
    list: bool,
}

impl Choice {
    /// Reads `--only STEP`, which may come more than once, `--from STEP` and `--list`.
    pub fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut choice = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut name = || rest.next().cloned().ok_or(format!("{argument} wants the name of a step"));
            match argument.as_str() {
                "--only" => choice.only.push(name()?),
                "--from" => choice.from = Some(name()?),
                "--list" => choice.list = true,
                _ => return Err(format!("`{argument}`: there are --only STEP, --from STEP and --list")),
            }
        }
        Ok(choice)
    }

    /// The steps to run.
    fn of<'a>(&self, steps: &'a [Step]) -> Result<Vec<&'a Step>, String> {
        for name in self.only.iter().chain(&self.from) {
            if !steps.iter().any(|step| step.name == name) {
                let names: Vec<_> = steps.iter().map(|step| step.name).collect();
                return Err(format!("`{name}` is no step; there are {}", names.join(", ")));
            }
        }
        let from = self.from.as_deref().unwrap_or(steps[0].name);
        let rest = steps.iter().skip_while(|step| step.name != from);
        Ok(rest
            .filter(|step| self.only.is_empty() || self.only.iter().any(|name| name == step.name))
            .collect())
    }
}

/// Runs the chosen steps; ends at the first that fails. `task` is what one types after `cargo xtask`.
pub fn run(task: &str, steps: &[Step], choice: &Choice) -> Result<(), String> {
    if choice.list {
        for step in steps {
            println!("{:<12} {}", step.name, step.about);
        }
        return Ok(());
    }
    let chosen = choice.of(steps)?;
    let mut rows: Vec<(&str, Duration, String)> = Vec::new();
    let begin = Instant::now();
    let mut failure = None;
    for (index, step) in chosen.iter().enumerate() {
        println!("\n=== {} of {}: {}: {}", index + 1, chosen.len(), step.name, step.about);
        let start = Instant::now();
        let outcome = (step.run)();
        let time = start.elapsed();
        let told = match &outcome {
            Ok(Outcome::Done) => "ok".to_owned(),
            Ok(Outcome::Skipped(why)) => format!("skipped: {why}"),
            Ok(Outcome::Note(note)) => format!("ok, {note}"),
            Err(_) => "FAILED".to_owned(),
        };
        println!("=== {}: {told} ({:.1} s)", step.name, time.as_secs_f64());
        rows.push((step.name, time, told));
        if let Err(error) = outcome {
            let name = step.name;
            failure = Some(format!(
                "step `{name}` failed: {error}\n\
                 repeat only this step: cargo xtask {task} --only {name}\n\
                 go on from here:       cargo xtask {task} --from {name}"
            ));
            break;
        }
    }
    println!("\n{:<12} {:>8}  result", "step", "seconds");
    for (name, time, told) in &rows {
        println!("{name:<12} {:>8.1}  {told}", time.as_secs_f64());
    }
    println!("{:<12} {:>8.1}", "all", begin.elapsed().as_secs_f64());
    failure.map_or(Ok(()), Err)
}

#[cfg(test)]
#[path = "steps_tests.rs"]
mod tests;
