//! The arena: a small game for pages and bots, whose host decides everything.
//!
//! It shows what verdicts are good for. **The newest state wins**: a snapshot that was dropped is never sent again, and
//! each one says only what differs from the newest that the verdicts say its player has (`delta`, `guest`). **A deed is
//! done once**: a shot, a line of chat or a point whose packet was dropped goes again with the next packet, and since a
//! verdict is never false, nobody has to look for doubles (`guaranteed`).
//!
//! `flight` and `rules` are the game without any network, `state` what can be seen of it, `wire` the messages, `guest` the host's half
//! of a connection and `view` the player's; `host` and `bots` drive sockets. The pages (js/demo) have the player's half
//! in TypeScript, held to this one by `vectors`.

mod board;
mod bots;
mod brain;
mod chances;
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
pub use host::Arena;
pub use rules::MAX_PLAYERS;
use turns::Turns;

/// What both programs must share: the game and the version of its messages.
pub const APPLICATION: &str = "torque arena 1";
/// How long the last packets may take when the arena ends.
const CLOSE_AT_MOST: Duration = Duration::from_secs(2);
