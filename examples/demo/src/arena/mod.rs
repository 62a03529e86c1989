//! The arena: a small game for pages and bots, whose host decides everything.
//!
//! It shows two uses of verdicts. **The newest state wins**: a dropped snapshot is never sent again. Each snapshot contains
//! only the differences from the newest one that was delivered (`delta`, `guest`). **A deed is done once**: a shot, a line
//! of chat or a point whose packet was dropped goes into the next packet. Verdicts are never false, so nobody has to look
//! for duplicates (`guaranteed`).
//!
//! `flight` and `rules` are the game without a network, `state` is its visible part, and `wire` the messages. `guest` is
//! the host's half of a connection and `view` the player's. `host` and `bots` drive sockets. Pages (js/demo) have the
//! player's half in TypeScript; `vectors` keeps both alike.

mod board;
mod bots;
mod brain;
mod delta;
mod flight;
mod guaranteed;
mod guest;
mod host;
mod rules;
mod state;
mod turns;
mod view;
mod wire;

#[cfg(test)]
mod lossy_tests;
#[cfg(test)]
mod vectors;

use std::time::Duration;

pub use board::{Board, Standing};
pub use bots::Bots;
pub use guaranteed::{Inbox, Letter, Outbox};
pub use host::Arena;
pub use rules::MAX_PLAYERS;
use turns::Turns;
pub use wire::{Reader, put_letters};

/// The application id: the game and the version of its messages.
pub const APPLICATION: &str = "torque arena 1";
/// The time that closing may take when the arena ends.
const CLOSE_AT_MOST: Duration = Duration::from_secs(2);
