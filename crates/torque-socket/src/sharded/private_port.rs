//! A shard's private port, from which it connects by name.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use crate::builder::Builder;
use crate::io::Udp;
use crate::io::wait::Watch;

/// A UDP port that one shard does not share with the others. The addresses of a name may belong to several shards by
/// the rule; whatever is asked from here is answered here.
pub(crate) struct PrivatePort {
    pub(crate) udp: Udp,
    /// For a thread that waits while others use the shard.
    handle: Arc<UdpSocket>,
}

impl PrivatePort {
    /// The handle to wait for, and whether datagrams wait for room in the send buffer.
    pub(crate) fn watched(&self) -> (Arc<UdpSocket>, bool) {
        (Arc::clone(&self.handle), self.udp.is_blocked())
    }

    pub(crate) fn watch(&self) -> Watch<'_> {
        Watch { socket: &self.handle, readable: true, writable: self.udp.is_blocked() }
    }
}

/// Opens private ports with the options of the host's sockets.
pub(super) struct Opener {
    builder: Builder,
    /// The host's local address, with port 0.
    address: SocketAddr,
    dual_stack: bool,
}

impl Opener {
    pub(super) fn new(builder: &Builder, mut address: SocketAddr, dual_stack: bool) -> Self {
        address.set_port(0);
        Self { builder: builder.without_key_pair(), address, dual_stack }
    }

    pub(super) fn open(&self) -> io::Result<PrivatePort> {
        let socket = self.builder.open_at(self.address, self.dual_stack, false)?;
        let handle = Arc::new(socket.try_clone()?);
        let mut udp = self.builder.set_up(socket, self.dual_stack)?;
        udp.leave_by_port();
        Ok(PrivatePort { udp, handle })
    }
}
