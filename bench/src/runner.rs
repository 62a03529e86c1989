//! Runs the workers of a job, each in a process of its own, peers in turn, and gathers what they print.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write, stderr};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::failure::Result;
use crate::jobs::{Job, Scale};
use crate::measure::figures::Figures;
use crate::peers::{self, Peer};
use crate::report::{Row, rows_of};

/// What is run of each job.
pub struct Plan {
    pub scale: Scale,
    pub rounds: usize,
    /// Names of peers; all if empty.
    pub peers: Vec<String>,
}

/// What the workers of one peer found.
#[derive(Default)]
pub struct Gathered {
    pub rounds: Vec<Figures>,
    /// Why the peer cannot do the job.
    pub unable: Option<String>,
    /// The last error.
    pub error: Option<String>,
    /// Whether a worker had to be ended.
    pub hung: bool,
}

/// All rounds of one job.
pub fn run(job: &Job, plan: &Plan) -> Result<Vec<Row>> {
    let chosen: Vec<&Peer> = peers::ALL
        .iter()
        .filter(|peer| job.only.is_none_or(|name| name == peer.name))
        .filter(|peer| {
            plan.peers.is_empty()
                || Some(peer.name) == job.floor
                || plan.peers.iter().any(|name| name == peer.name)
        })
        .collect();
    let mut gathered: Vec<Gathered> = chosen.iter().map(|_| Gathered::default()).collect();
    // What is to be repeated a few times at most is slow, and repeated only where there is time.
    let rounds = if plan.scale.quick && job.rounds < usize::MAX { 1 } else { plan.rounds.min(job.rounds) };
    for round in 1..=rounds {
        for (peer, gathered) in chosen.iter().zip(&mut gathered) {
            // What it cannot do now it will not later; another error may have been an accident.
            if gathered.unable.is_some() || gathered.hung {
                continue;
            }
            progress(&format!("{}: round {round} of {rounds}: {}", job.name, peer.name));
            match work(job, peer, plan.scale) {
                Ok(Answer::Figures(figures)) => gathered.rounds.push(figures),
                Ok(Answer::Unable(why)) => gathered.unable = Some(why),
                Ok(Answer::Hung) => {
                    gathered.hung = true;
                    gathered.error = Some(format!("took longer than {} s", job.limit.as_secs()));
                }
                Err(error) => gathered.error = Some(error.to_string()),
            }
        }
    }
    progress("");
    Ok(rows_of(job, &chosen, &gathered))
}

enum Answer {
    Figures(Figures),
    Unable(String),
    /// It was ended, as its time was over.
    Hung,
}

/// One worker, from start to end.
fn work(job: &Job, peer: &Peer, scale: Scale) -> Result<Answer> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["worker", &job.name, peer.name, if scale.quick { "quick" } else { "full" }]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let output = read_in_background(child.stdout.take());
    let errors = read_errors(child.stderr.take(), format!("{}: {}", job.name, peer.name));
    let ended = wait(&mut child, job.limit)?;
    let text = output.join().unwrap_or_default();
    let last = errors.join().unwrap_or_default();
    if !ended {
        return Ok(Answer::Hung);
    }
    let Ok(line) = serde_json::from_str::<Value>(text.trim()) else {
        return Err(format!("the worker ended: {last}").into());
    };
    if let Some(why) = line["unable"].as_str() {
        return Ok(Answer::Unable(why.to_owned()));
    }
    if let Some(error) = line["error"].as_str() {
        return Err(error.into());
    }
    Ok(Answer::Figures(Figures::from_json(&line)?))
}

/// Waits for a worker; ends it when its time is over, and says `false` then.
fn wait(child: &mut Child, limit: Duration) -> Result<bool> {
    let begin = Instant::now();
    loop {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        if begin.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn read_in_background(source: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut source) = source {
            // What is no text is no answer.
            let _ = source.read_to_string(&mut text);
        }
        text
    })
}

/// Shows each line that the worker writes, and keeps the last, which tells why it ended if it did.
fn read_errors(source: Option<impl Read + Send + 'static>, prefix: String) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut last = "without a word".to_owned();
        let lines = source.into_iter().flat_map(|source| BufReader::new(source).lines());
        for line in lines.map_while(io::Result::ok).filter(|line| !line.trim().is_empty()) {
            progress(&format!("{prefix}: {line}"));
            last = line;
        }
        last
    })
}

/// Shows what is being done, on one line of a terminal.
fn progress(text: &str) {
    if stderr().is_terminal() {
        // A terminal that does not take it loses nothing.
        let _ = write!(stderr(), "\r\x1b[K{text}");
        let _ = stderr().flush();
    } else if !text.is_empty() {
        eprintln!("{text}");
    }
}
