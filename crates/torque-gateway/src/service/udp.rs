//! The UDP ports of sessions.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// The UDP port of one session, for IPv4 and IPv6 where the machine has both.
#[derive(Debug)]
pub struct SessionSocket {
    socket: UdpSocket,
    is_v6: bool,
    port: u16,
}

impl SessionSocket {
    /// Binds a free port at all addresses.
    pub fn bind() -> io::Result<Self> {
        let (socket, is_v6) = match bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0), Type::DGRAM) {
            Ok(socket) => (socket, true),
            Err(_) => (bind(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), Type::DGRAM)?, false),
        };
        let socket = UdpSocket::from_std(socket.into())?;
        let port = socket.local_addr()?.port();
        Ok(Self { socket, is_v6, port })
    }

    /// The port number.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until a datagram can be received.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Receives one datagram, if there is one. One that is longer than the buffer is cut.
    pub fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, from) = self.socket.try_recv_from(buffer)?;
        Ok((length, SocketAddr::new(from.ip().to_canonical(), from.port())))
    }

    /// Sends one datagram, if the operating system has space for it.
    pub fn try_send(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        let ip = match to.ip() {
            IpAddr::V4(ip) if self.is_v6 => ip.to_ipv6_mapped().into(),
            ip => ip,
        };
        self.socket.try_send_to(datagram, SocketAddr::new(ip, to.port())).map(drop)
    }
}

/// Binds a TCP (STREAM) or UDP (DGRAM) socket that does not listen yet. At `[::]` it accepts IPv4 too.
pub fn bind(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // On other systems this would let other programs take the port.
    if cfg!(unix) && kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Returns whether an error of receiving is about one remote, not about the port. Some systems report here that an earlier
/// datagram did not arrive, or that one is longer than the buffer.
pub fn is_of_a_remote(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable};
    // WSAEMSGSIZE and WSAENETRESET have no error kind. On other systems the numbers mean nothing.
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | NetworkUnreachable)
        || matches!(error.raw_os_error(), Some(10_040 | 10_052))
}

/// The address from which this machine would send to a remote; `None` if it has no route. Sends nothing.
pub fn local_towards(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match remote.ip().to_canonical() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::new(remote.ip().to_canonical(), remote.port())).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_that_a_remote_can_cause_are_not_errors_of_the_port() {
        for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::HostUnreachable] {
            assert!(is_of_a_remote(&kind.into()));
        }
        assert!(is_of_a_remote(&io::Error::from_raw_os_error(10_040)), "too long, on Windows");
        for kind in [io::ErrorKind::NotConnected, io::ErrorKind::OutOfMemory, io::ErrorKind::Other] {
            assert!(!is_of_a_remote(&kind.into()));
        }
    }
}
