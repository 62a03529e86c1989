//! Origin tokens: what the gateway tells hosts about pages (GATEWAY.md 5).

use std::net::SocketAddr;

use crate::gateway::Shared;

/// A token; empty if it cannot be made.
pub fn token(
    _shared: &Shared,
    _origin: &str,
    _address: Option<SocketAddr>,
    _initiator: &[u8; 32],
    _host: &[u8; 32],
) -> Vec<u8> {
    Vec::new()
}
