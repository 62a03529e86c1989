//! Ctrl-C: the demo closes its connections and prints its summary.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::Failure;

static STOPPED: AtomicBool = AtomicBool::new(false);

/// From now on the first Ctrl-C only sets a flag, and the second one ends the process.
pub fn watch() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        if STOPPED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::new(format!("watching for Ctrl-C failed: {error}")))
}

/// Returns whether it is time to end.
pub fn requested() -> bool {
    STOPPED.load(Ordering::Relaxed)
}
