//! How UDP sockets are opened.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Type};

use super::Udp;

/// Asked of the operating system for each direction, which may give less: a frame's worth of many players.
const BUFFER_BYTES: usize = 1 << 20;

/// What all UDP sockets of a socket have in common.
#[derive(Clone, Default)]
pub(crate) struct UdpOptions {
    pub(crate) send_buffer: Option<usize>,
    pub(crate) receive_buffer: Option<usize>,
    /// The network interface to which they are bound.
    pub(crate) device: Option<String>,
}

impl UdpOptions {
    /// A socket at this very address, bound, which shares its port with others if it `shares`.
    pub(crate) fn open(&self, address: SocketAddr, dual_stack: bool, shares: bool) -> io::Result<UdpSocket> {
        let udp = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            udp.set_only_v6(!dual_stack)?;
        }
        if let Some(interface) = &self.device {
            bind_device(&udp, interface)?;
        }
        if shares {
            share_port(&udp)?;
        }
        udp.bind(&address.into())?;
        udp.set_nonblocking(true)?;
        Ok(udp.into())
    }

    /// A bound socket with its buffers, whose paths have `port` as their port.
    pub(crate) fn set_up(&self, udp: UdpSocket, dual_stack: bool, port: u16) -> io::Result<Udp> {
        let options = socket2::SockRef::from(&udp);
        // The default of the system does as well, with more loss when a frame takes long.
        let _ = options.set_recv_buffer_size(self.receive_buffer.unwrap_or(BUFFER_BYTES));
        let _ = options.set_send_buffer_size(self.send_buffer.unwrap_or(BUFFER_BYTES));
        Udp::new(udp, dual_stack, port)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_device(udp: &socket2::Socket, interface: &str) -> io::Result<()> {
    udp.bind_device(Some(interface.as_bytes()))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bind_device(_: &socket2::Socket, _: &str) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system binds no socket to an interface"))
}

#[cfg(target_os = "linux")]
fn share_port(udp: &socket2::Socket) -> io::Result<()> {
    udp.set_reuse_port(true)
}

/// Nobody asks for it elsewhere.
#[cfg(not(target_os = "linux"))]
fn share_port(_: &socket2::Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
