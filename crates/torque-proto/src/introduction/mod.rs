//! Introductions: how two sockets that are connected to a third get a connection of their own (INTRODUCTIONS.md).
//!
//! Nothing here sends, and nothing knows slots. The [`introducer`] brings requests together; a [`party`] asks, and looks for a first path.
//! Messages and datagrams that they want sent are appended to lists, which the endpoint sees to. What is learned of paths later belongs
//! to [`path`](crate::path), and the handshake to [`handshake`](crate::handshake).

mod config;
#[cfg(feature = "introductions")]
pub(crate) mod introducer;
#[cfg(feature = "introductions")]
pub(crate) mod party;
mod port_request;
#[cfg(feature = "introductions")]
mod reach;
mod relay;
mod result;
mod search;
mod stats;

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU64;

use zeroize::Zeroizing;

pub use config::{HardNat, IntroductionConfig};
pub use port_request::PortRequest;
pub use relay::Relay;
pub use result::IntroductionResult;
pub use search::{PathSearch, SearchStage};
pub use stats::{IntroducerStats, PartyStats, PunchesLeftOut};

use crate::id::ConnectionId;
use crate::wire::control::reliable::ReliableKind;

/// The bit of an attempt's number that says which side of the connection with the introducer is the party.
const HOST_BIT: u32 = 1 << 31;

/// The [`Path`](crate::Path) port of what arrives at an introducer's
/// [observing address](crate::Endpoint::set_observing_address). No further port has this number.
pub const OBSERVING_PORT: u16 = u16::MAX;

/// Names one introduction: random, drawn by its introducer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntroductionId(NonZeroU64);

impl IntroductionId {
    pub(crate) const MIN: Self = Self(NonZeroU64::MIN);
    pub(crate) const MAX: Self = Self(NonZeroU64::MAX);

    /// As a number, for interfaces that have no types for it.
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// From the number that [`get`](Self::get) gave; `None` for 0.
    pub const fn from_u64(raw: u64) -> Option<Self> {
        match NonZeroU64::new(raw) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }
}

impl fmt::Debug for IntroductionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IntroductionId({:#x})", self.0)
    }
}

impl fmt::Display for IntroductionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A reliable message to be sent (PROTOCOL.md 8.1).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The connection between party and introducer.
    pub(crate) connection: ConnectionId,
    /// The party's number of the attempt.
    pub(crate) attempt: u32,
    pub(crate) kind: ReliableKind,
    /// It may hold the introduced secret.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

/// Shows everything but the body, which may hold a secret.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("connection", &self.connection)
            .field("attempt", &self.attempt)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
