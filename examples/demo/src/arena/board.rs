//! The board between the arena and its view.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// A line of the table of points.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    pub player: u8,
    pub name: String,
    pub bot: bool,
    pub points: u16,
}

/// The state that the threads of an arena share with its view.
#[derive(Debug, Default)]
pub struct Board {
    standings: Mutex<Vec<Standing>>,
    stop: AtomicBool,
}

impl Board {
    /// The players, most points first.
    pub fn standings(&self) -> Vec<Standing> {
        self.standings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn tell(&self, mut standings: Vec<Standing>) {
        standings.sort_by_key(|standing| std::cmp::Reverse(standing.points));
        *self.standings.lock().unwrap_or_else(PoisonError::into_inner) = standings;
    }

    /// Asks the arena to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
