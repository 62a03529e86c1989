//! What a session asks of its driver.

use std::net::SocketAddr;

use crate::wire::control::{ClosingCode, ToPage};
use crate::wire::form::PROBE_BYTES;

/// What the driver has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Say this to the page.
    Tell(ToPage),
    /// Send a probe.
    Probe {
        /// Where to.
        remote: SocketAddr,
        /// The datagram.
        datagram: [u8; PROBE_BYTES],
    },
    /// Find the addresses of a host and call [`Session::resolved`].
    Resolve {
        /// The context that they are for.
        context: u32,
        /// A name or an IP address.
        host: String,
        /// UDP port.
        port: u16,
    },
    /// Sign an origin token and say it to the page.
    Attest {
        /// The page's number for it.
        request: u32,
        /// The host that it is for.
        remote: SocketAddr,
        /// The public key of the page's socket.
        initiator: [u8; 32],
        /// The host's.
        host: [u8; 32],
    },
    /// Expect a farewell that shows this key.
    ExpectFarewell([u8; 16]),
    /// The session is over, once this was said to the page.
    Close(ClosingCode, &'static str),
}
