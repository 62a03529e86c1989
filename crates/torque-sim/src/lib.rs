//! A network in virtual time, for tests: seeded, without sockets, threads or clocks.
//!
//! - [`World`]: nodes with addresses and clocks, joined by links of `torque-netem`.
//! - [`nat`]: boxes between networks, and [`Access`]: the kinds of access that parties have.
//! - [`Play`]: applications that act in a world.
//! - [`Oracle`]: compares what two applications were told, and fails when they were told a lie.
//! - [`pcap`]: capture files, to look at what happened.
//! - [`for_seeds`]: runs a test over many seeds and names the one that failed.
//!
//! The same seed gives the same run, datagram for datagram.
#![forbid(unsafe_code)]

pub mod access;
pub mod nat;
pub mod oracle;
pub mod pcap;
pub mod play;
pub mod seeds;
pub mod world;

pub use access::Access;
pub use oracle::Oracle;
pub use play::Play;
pub use seeds::for_seeds;
pub use torque_netem::{Burst, Link, LinkConfig, LinkStats, SimRng};
pub use world::{NetworkId, NodeId, World};

/// The README's example has to work.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
