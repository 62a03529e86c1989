//! Finding hosts on the local network, and asking one host about itself, with info packets
//! (PROTOCOL.md, appendix B).
//!
//! A host answers; a program that looks for hosts asks everybody on its networks:
//!
//! ```
//! use std::time::Duration;
//! use torque_socket::{Socket, discovery::{Finder, HostInfo, Responder}};
//!
//! // The host: hand the responder each event, it takes those that are questions.
//! let mut host = Socket::bind("127.0.0.1:0")?;
//! let info = HostInfo { name: "Grandma's pond".into(), players: 2, max_players: 8, data: Vec::new() };
//! let mut responder = Responder::new("pond", info)?;
//!
//! // The one who looks. `ask(28_000)` asks the whole network at that port; here one host will do.
//! let mut finder = Finder::new("pond")?;
//! finder.ask_at(host.local_addr())?;
//!
//! if let Some(event) = host.wait_event(Duration::from_secs(5)) {
//!     responder.handle(&mut host, &event);
//!     host.flush();
//! }
//! let found = finder.next_answer(Duration::from_secs(5)).expect("the host answers");
//! println!("{} ({} of {} players): {}", found.info.name, found.info.players, found.info.max_players, found.url());
//! # assert_eq!(found.public_key, host.public_key());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Answers are not authenticated**: anybody on the network can answer in anybody's name. What they cannot do
//! is finish a handshake with the key that they name, so connect with [`FoundHost::url`], which pins it, and show
//! players what was found as unproven claims.

mod finder;
mod responder;
mod source;
mod wire;

pub use finder::{Finder, FoundHost};
pub use responder::Responder;
pub use wire::{DiscoveryError, HostInfo};

#[cfg(test)]
mod tests;
