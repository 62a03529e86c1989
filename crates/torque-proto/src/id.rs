//! Names of connections and packets.

use core::fmt;
use core::num::NonZeroU32;

/// Names one connection of an endpoint, from `connect` or its request until its close event.
///
/// A small `Copy` number: 20 bits of slot, 6 of generation (1 to 63, so that the id of an ended
/// connection is not mistaken for the next one in its slot), 6 of shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(NonZeroU32);

impl ConnectionId {
    pub(crate) const SLOT_BITS: u32 = 20;
    pub(crate) const GENERATION_BITS: u32 = 6;
    /// The most connections that one endpoint can hold.
    pub const MAX_CONNECTIONS: usize = 1 << Self::SLOT_BITS;
    /// The most shards that one socket can have.
    pub const MAX_SHARDS: usize = 1 << (32 - Self::SLOT_BITS - Self::GENERATION_BITS);

    pub(crate) fn new(shard: u8, generation: u8, slot: u32) -> Self {
        let generation = u32::from(generation.max(1)) & ((1 << Self::GENERATION_BITS) - 1);
        let raw = u32::from(shard) << (Self::SLOT_BITS + Self::GENERATION_BITS)
            | generation << Self::SLOT_BITS
            | (slot & ((1 << Self::SLOT_BITS) - 1));
        Self(NonZeroU32::new(raw).unwrap_or(NonZeroU32::MIN))
    }

    pub(crate) fn slot(self) -> usize {
        (self.0.get() & ((1 << Self::SLOT_BITS) - 1)) as usize
    }

    /// The shard of a sharded socket that owns the connection; 0 for others.
    pub fn shard(self) -> u8 {
        (self.0.get() >> (Self::SLOT_BITS + Self::GENERATION_BITS)) as u8
    }

    /// As a number, for interfaces that have no types for it.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// From the number that [`get`](Self::get) gave; `None` for 0.
    pub fn from_u32(raw: u32) -> Option<Self> {
        NonZeroU32::new(raw).map(Self)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({:#x})", self.0)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// The number of a packet on its connection, below 2^53.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
