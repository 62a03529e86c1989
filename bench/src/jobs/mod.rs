//! The jobs, one file each. A job is written once and runs with every peer.

mod allocations;
mod content;
mod fan_out;
mod handshake;
mod lock;
pub mod memory;
mod overhead;
mod pair;
mod ping_pong;
mod relay;
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
        if self.quick { Duration::from_millis(400) } else { Duration::from_millis(1_500) }
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
    /// The peer to which the others are compared.
    pub floor: &'static str,
    /// The most rounds that make sense: counts are the same each time.
    pub rounds: usize,
    pub run: Run,
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
    jobs
}
