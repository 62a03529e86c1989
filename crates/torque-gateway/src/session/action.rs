//! The tasks that a session gives its driver.

use std::net::SocketAddr;

use crate::wire::control::{ClosingCode, ToPage};
use crate::wire::form::PROBE_BYTES;

/// A task for the driver.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Send this message to the page.
    Tell(ToPage),
    /// Send a probe.
    Probe {
        /// The destination.
        remote: SocketAddr,
        /// The datagram.
        datagram: [u8; PROBE_BYTES],
    },
    /// Resolve a host and call `Session::resolved`.
    Resolve {
        /// The context that waits for the addresses.
        context: u32,
        /// A name or an IP address.
        host: String,
        /// UDP port.
        port: u16,
    },
    /// Sign an origin token and send it to the page.
    Attest {
        /// The page's number for the request.
        request: u32,
        /// The host's address.
        remote: SocketAddr,
        /// The public key of the page's socket.
        initiator: [u8; 32],
        /// The host's public key.
        host: [u8; 32],
    },
    /// Expect a farewell with this key. A session asks for that once.
    ExpectFarewell([u8; 16]),
    /// Tell the page this, and end the session.
    Close(ClosingCode, &'static str),
}
