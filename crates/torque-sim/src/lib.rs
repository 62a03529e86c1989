//! A network that exists only in numbers: seeded, in virtual time, without sockets.
//!
//! Two things live here.
//!
//! - [`Link`]: what one direction of a network path does to datagrams (delay, loss, reordering, duplication,
//!   corruption, a rate limit). It is `no_std`, small, and used by real programs too: a lossy relay, or, as
//!   [`SimulatedPaths`], the simulated link of a driver.
//! - With the feature `std` (default): a [`World`] of nodes with addresses and clocks of their
//!   own, an [`Oracle`] that holds two applications against each other, a
//!   [`Play`] that lets applications act in a world, pcap files for looking at what happened, and
//!   [`for_seeds`], which names the seed of a failing run.
//!
//! The same seed gives the same run, datagram for datagram.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod link;
mod link_text;
pub mod paths;
pub mod rng;

#[cfg(feature = "std")]
pub mod oracle;
#[cfg(feature = "std")]
pub mod pcap;
#[cfg(feature = "std")]
pub mod play;
#[cfg(feature = "std")]
pub mod seeds;
#[cfg(feature = "std")]
pub mod world;

pub use link::{Burst, Link, LinkConfig, LinkStats};
pub use link_text::LinkConfigError;
pub use paths::SimulatedPaths;
pub use rng::SimRng;

#[cfg(feature = "std")]
pub use {
    oracle::Oracle,
    play::Play,
    seeds::for_seeds,
    world::{NodeId, World},
};
