//! Keeps a flood of refused requests out of the logs.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::failure::Failure;
use crate::logs::{Level, Logs};

/// Refusals that are told one by one in each second; of further ones only the number is.
const TOLD: u64 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// The refusals of the current second.
#[derive(Default)]
pub struct Refusals {
    since: Option<Instant>,
    count: u64,
}

impl Refusals {
    /// Counts a refusal, and returns whether it gets a line in the log.
    pub fn is_told(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now);
        self.count += 1;
        self.count <= TOLD
    }

    /// Tells the number of those that got no line, if their second is over. Call it in every turn.
    pub fn tell_if_due(&mut self, logs: &Logs<'_>) -> Result<(), Failure> {
        if self.since.is_some_and(|since| since.elapsed() >= SECOND) { self.tell(logs) } else { Ok(()) }
    }

    /// Tells it at once. The next refusal begins a new second.
    pub fn tell(&mut self, logs: &Logs<'_>) -> Result<(), Failure> {
        let count = std::mem::take(self).count.saturating_sub(TOLD);
        if count == 0 {
            return Ok(());
        }
        logs.event(
            Level::Warn,
            "refused_more",
            format_args!("{count} more requests within a second"),
            || json!({ "count": count }),
        )
    }
}
