//! What an introducer lends to two parties.

use core::time::Duration;

/// A circuit that an introducer grants: it passes sealed datagrams on for two parties that have no direct path (INTRODUCTIONS.md 10).
///
/// Each figure counts for each direction. What is above a rate is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Relay {
    /// Bytes a second (default 128,000). The same number of bytes may come at once.
    pub bytes_per_second: u32,
    /// Datagrams a second (default 300). The same number of datagrams may come at once.
    pub datagrams_per_second: u32,
    /// Bytes in all (default `None`: no bound). The circuit ends when one direction has carried them.
    pub bytes: Option<u64>,
    /// How long the circuit lives (default 24 h). It ends sooner if it carries nothing for two minutes.
    pub lifetime: Duration,
}

impl Default for Relay {
    fn default() -> Self {
        Self {
            bytes_per_second: 128_000,
            datagrams_per_second: 300,
            bytes: None,
            lifetime: Duration::from_secs(24 * 60 * 60),
        }
    }
}
