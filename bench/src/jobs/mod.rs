//! The jobs, one file each. A job is written once and runs with every peer.

mod allocations;
mod ciphers;
mod circuits;
mod content;
mod core;
mod fan_out;
mod growth;
mod handshake;
mod introductions;
mod junk;
mod lock;
pub mod memory;
mod overhead;
mod pair;
mod ping_pong;
mod relay;
mod shards;
mod threads;

use std::time::Duration;

use crate::failure::Result;
use crate::measure::figures::Figures;
use crate::peers::Peer;

/// How long and how large.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub quick: bool,
}

impl Scale {
    /// How long one worker measures.
    pub fn measure(self) -> Duration {
        if self.quick { Duration::from_millis(200) } else { Duration::from_millis(1_500) }
    }

    /// How long it runs before that.
    pub fn warm_up(self) -> Duration {
        self.measure() / 4
    }
}

/// What a job does to one peer.
pub type Run = Box<dyn Fn(&Peer, Scale) -> Result<Figures>>;

/// One job.
pub struct Job {
    /// Its name on the command line and in rows.
    pub name: String,
    /// What is done, in a line.
    pub about: String,
    /// The peer to which the others are compared; none where raw UDP has nothing of the kind.
    pub floor: Option<&'static str>,
    /// The most rounds that make sense: counts are the same each time.
    pub rounds: usize,
    /// A worker that takes longer is ended.
    pub limit: Duration,
    /// The only peer that the job is for.
    pub only: Option<&'static str>,
    /// Whether the quick form has it.
    pub quick: bool,
    pub run: Run,
}

impl Job {
    /// A job for all peers, in as many rounds as are asked for.
    fn new(name: impl Into<String>, about: impl Into<String>, floor: Option<&'static str>, run: Run) -> Self {
        let (rounds, limit) = (usize::MAX, Duration::from_secs(60));
        Self { name: name.into(), about: about.into(), floor, rounds, limit, only: None, quick: true, run }
    }
}

/// Tells how far a worker is; the runner shows the last line.
pub fn report_progress(text: &str) {
    eprintln!("{text}");
}

/// All jobs, in the order in which they are run.
pub fn all() -> Vec<Job> {
    let mut jobs = Vec::new();
    jobs.extend(lock::jobs());
    jobs.extend(threads::jobs());
    jobs.extend(fan_out::jobs());
    jobs.extend(ping_pong::jobs());
    jobs.extend(overhead::jobs());
    jobs.extend(handshake::jobs());
    jobs.extend(memory::jobs());
    jobs.extend(allocations::jobs());
    jobs.extend(shards::jobs());
    jobs.extend(ciphers::jobs());
    jobs.extend(growth::jobs());
    jobs.extend(junk::jobs());
    jobs.extend(circuits::jobs());
    jobs.extend(introductions::jobs());
    jobs
}
