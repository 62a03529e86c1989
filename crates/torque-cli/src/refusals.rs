//! Keeps a flood of requests out of the logs.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::failure::Failure;
use crate::logs::{Level, Logs};

/// The requests of a second that are told one by one; of further ones only the number is.
const TOLD: u64 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// The requests of the current second.
pub struct Refusals {
    /// The event that tells the number of further ones.
    event: &'static str,
    since: Option<Instant>,
    count: u64,
}

impl Refusals {
    pub fn new(event: &'static str) -> Self {
        Self { event, since: None, count: 0 }
    }

    /// Counts a request, and returns whether it gets a line in the log.
    pub fn is_told(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now);
        self.count += 1;
        self.count <= TOLD
    }

    /// Tells the number of those that got no line, if their second is over. Call it in every turn.
    pub fn tell_if_due(&mut self, logs: &Logs<'_>) -> Result<(), Failure> {
        if self.since.is_some_and(|since| since.elapsed() >= SECOND) { self.tell(logs) } else { Ok(()) }
    }

    /// Tells it at once. The next request begins a new second.
    pub fn tell(&mut self, logs: &Logs<'_>) -> Result<(), Failure> {
        let count = std::mem::replace(self, Self::new(self.event)).count.saturating_sub(TOLD);
        if count == 0 {
            return Ok(());
        }
        logs.event(
            Level::Warn,
            self.event,
            format_args!("{count} more requests within a second"),
            || json!({ "count": count }),
        )
    }
}
