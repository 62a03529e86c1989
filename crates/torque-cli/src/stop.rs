//! Ctrl-C: commands that run until stopped close their connections and print a summary.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

static STOPPED: AtomicBool = AtomicBool::new(false);

/// From now on the first Ctrl-C (or request to terminate) only sets a flag, and the second one ends the process.
pub fn watch() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        if STOPPED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::failed(format!("watching for Ctrl-C failed: {error}")))
}

/// Returns whether it is time to end.
pub fn requested() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// The time that closing may take. It suffices for the last verdicts over a bad network, and to answer the other sides'
/// last repeats.
pub const END_AT_MOST: std::time::Duration = std::time::Duration::from_secs(10);

/// The longest time that a command may wait without checking [`requested`].
pub const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(100);
