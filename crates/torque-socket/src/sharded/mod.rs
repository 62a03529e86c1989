//! A host on many cores: several sockets at one port, each with its own endpoint and thread.
//!
//! ```text
//!              the kernel, by the rule                       inboxes
//!   datagram ───────────────────────────► a shard ──── not its own? ────► its owner
//! ```
//!
//! - `rule`: which shard owns a datagram. Everything else follows from it.
//! - `steering`: the rule as a program for the kernel.
//! - `inbox`, `shard`: what one shard leaves for another: datagrams that are not its own, and new epochs.
//! - `binding`: the sockets, on each system.
//! - `socket`: what the application sees.

mod announcer;
mod binding;
mod inbox;
mod rule;
mod shard;
mod socket;
#[cfg(any(target_os = "linux", test))]
mod steering;

pub(crate) use announcer::Announcer;
pub use binding::{ShardedBuilder, Steering};
pub(crate) use shard::Shard;
pub use socket::ShardedSocket;
