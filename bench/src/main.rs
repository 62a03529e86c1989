//! TorqueSocket beside its peers: the same jobs for each, every job in a process of its own, peers in turn.

mod chart;
mod failure;
mod jobs;
mod machine;
mod measure;
mod peers;
mod report;
mod runner;
mod sys;

use std::path::PathBuf;
use std::process::ExitCode;

use failure::{Result, Unable};
use jobs::{Job, Scale};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

const USAGE: &str = "cargo xtask bench [options]

  --quick        shorter measurements and fewer rounds: within five minutes on two cores
  --job NAME     only jobs whose name begins with this; may come more than once
  --peer NAME    only this peer; may come more than once (the floor of each job is always measured)
  --rounds N     how often each peer takes its turn (default 5; 2 with --quick)
  --json FILE    write all figures
  --svg FILE     draw a chart of the figures that matter most
  --list         name the jobs and peers";

#[global_allocator]
static ALLOCATOR: measure::alloc::Counting = measure::alloc::Counting;

fn main() -> ExitCode {
    allow_many_sockets();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("worker") => {
            worker(&arguments[1..]);
            return ExitCode::SUCCESS;
        }
        Some("crowd") => jobs::memory::crowd(&arguments[1..]),
        _ => Options::parse(&arguments).and_then(|options| bench(&options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Jobs with 1,000 clients need more descriptors than many systems give by default.
fn allow_many_sockets() {
    let limit = getrlimit(Resource::Nofile);
    // Jobs that lack them say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// What is asked for on the command line.
#[derive(Default, Debug)]
struct Options {
    quick: bool,
    jobs: Vec<String>,
    peers: Vec<String>,
    rounds: Option<usize>,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
    list: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = || rest.next().cloned().ok_or(format!("{argument} wants a value\n\n{USAGE}"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--list" => options.list = true,
                "--job" => options.jobs.push(value()?),
                "--peer" => options.peers.push(value()?),
                "--rounds" => options.rounds = Some(value()?.parse()?),
                "--json" => options.json = Some(value()?.into()),
                "--svg" => options.svg = Some(value()?.into()),
                _ => return Err(format!("`{argument}`\n\n{USAGE}").into()),
            }
        }
        Ok(options)
    }
}

fn bench(options: &Options) -> Result {
    let mut chosen = jobs::all();
    if options.list {
        for job in &chosen {
            println!("{:<18} {}", job.name, job.about);
        }
        println!();
        for peer in peers::ALL {
            println!("{:<18} {}", peer.name, peer.about);
        }
        return Ok(());
    }
    for name in &options.jobs {
        if !chosen.iter().any(|job| job.name.starts_with(name)) {
            return Err(format!("no job's name begins with `{name}`; --list names them").into());
        }
    }
    for name in &options.peers {
        peers::find(name)?;
    }
    chosen
        .retain(|job| options.jobs.is_empty() || options.jobs.iter().any(|name| job.name.starts_with(name)));
    // A job that is asked for by its name is run in any case.
    chosen.retain(|job| job.quick || !options.quick || !options.jobs.is_empty());
    let plan = runner::Plan {
        scale: Scale { quick: options.quick },
        rounds: options.rounds.unwrap_or(if options.quick { 2 } else { 5 }).max(1),
        peers: options.peers.clone(),
    };
    let machine = machine::describe();
    let mut rows = Vec::new();
    for job in &chosen {
        let fresh = runner::run(job, &plan)?;
        print!("{}", report::table(job, &fresh));
        rows.extend(fresh);
    }
    println!("\n{}", machine::text(&machine));
    if let Some(path) = &options.svg {
        match chart::svg(&rows, &machine::text(&machine)) {
            Some(chart) => std::fs::write(path, chart)?,
            None => eprintln!("nothing to draw: none of the jobs is in the chart"),
        }
    }
    if let Some(path) = &options.json {
        let all = json!({
            "machine": machine,
            "quick": options.quick,
            "rounds": plan.rounds,
            "rows": rows.iter().map(report::Row::to_json).collect::<Vec<_>>(),
        });
        std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?;
    }
    Ok(())
}

/// `worker JOB PEER quick|full`: does one job with one peer and prints one line of JSON.
fn worker(arguments: &[String]) {
    let line = match work(arguments) {
        Ok(figures) => figures.to_json(),
        Err(error) => match error.downcast_ref::<Unable>() {
            Some(Unable(why)) => json!({ "unable": why }),
            None => json!({ "error": error.to_string() }),
        },
    };
    println!("{line}");
}

fn work(arguments: &[String]) -> Result<measure::figures::Figures> {
    let [job, peer, scale] = arguments else { return Err("worker JOB PEER quick|full".into()) };
    let job: Job = jobs::all().into_iter().find(|known| known.name == *job).ok_or("there is no such job")?;
    (job.run)(peers::find(peer)?, Scale { quick: scale == "quick" })
}
