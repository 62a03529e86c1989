//! The TorqueSocket protocol, without sockets, clocks, threads or randomness of its own.
//!
//! An [`Endpoint`] is one socket's worth of protocol. Whoever drives it hands in datagrams, the time and
//! one random seed, and takes out datagrams to send, events and the next deadline. Simulation, WebAssembly,
//! C and native programs run this very code. Most applications want the `torque-socket` crate, which drives
//! an endpoint over UDP.
//!
//! **One rule: after any call, drain transmits, then events, then the deadline.**
//!
//! The bytes are specified in `spec/PROTOCOL.md`; items name the section that they implement.
#![no_std]
#![forbid(unsafe_code)]
// The parts that introductions alone use are small, and stay where they belong.
#![cfg_attr(not(feature = "introductions"), allow(dead_code, unused_imports))]

extern crate alloc;
#[cfg(test)]
extern crate std;

/// An event of the `tracing` crate, if the feature of that name is on.
macro_rules! trace_event {
    ($level:ident, $($field:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::event!(target: "torque_proto", tracing::Level::$level, $($field)*);
    };
}

mod address;
mod codes;
mod config;
mod connection;
#[doc(hidden)]
pub mod control {
    //! Reliable control messages between endpoints, for what is built on them. Not part of the interface yet.
    pub use crate::connection::control::reliable::{ControlError, ControlEvent, ControlStats};
}
pub mod crypto;
mod endpoint;
mod error;
mod event;
mod handshake;
mod id;
pub mod identity;
pub mod inspect;
mod instant;
mod introduction;
#[cfg(feature = "measure")]
#[doc(hidden)]
pub mod measure;
mod micros;
mod path;
mod payload;
pub mod schedule;
mod settings;
mod sorted;
mod stats;
mod timer;
mod transmits;
#[cfg(test)]
mod vectors;
pub mod wire;

pub use address::Address;
pub use codes::{CallCode, CloseCode, EventKind, RejectCode};
pub use config::{Config, ConfigError, HandshakeConfig, Limits, OriginPolicy, PuzzleConfig};
pub use crypto::Cipher;
pub use endpoint::{
    ConnectOptions, Datagram, Endpoint, IntroducedOptions, KeyLog, KeyLogEntry, Peer, Relaying, Setup,
};
pub use error::{CallError, SendError};
pub use event::{ChallengeResponse, ClosedBy, ConnectRequest, Delivery, Event, Extension, FlatEvent};
pub use handshake::{EpochSecrets, PuzzleJob, PuzzleProgress, Trust};
pub use id::{ConnectionId, Sequence};
pub use identity::{KeyPair, PublicKey};
pub use instant::Instant;
pub use introduction::{
    HardNat, IntroducerStats, IntroductionConfig, IntroductionId, IntroductionResult, OBSERVING_PORT,
    PartyStats, PathSearch, PortRequest, PunchesLeftOut, Relay, SearchStage,
};
pub use path::Path;
pub use payload::Payload;
pub use settings::{Settings, SettingsError};
pub use stats::{ByteRate, ConnectionCounters, ConnectionStats, HandshakeStats, Stats};
pub use timer::TimerKind;
pub use transmits::{Run, Transmit, Transmits};
pub use wire::introduction::Nat;

/// The README's example has to work.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
