//! Waking a thread that waits for a socket, whatever it waits with.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

/// Makes a socket readable from another thread, by sending it an empty datagram from this machine. Works
/// with `wait`, with an application's own loop over the socket's descriptor, and with a runtime alike.
#[derive(Clone, Debug)]
pub(crate) struct Waker {
    socket: Arc<UdpSocket>,
}

impl Waker {
    /// A waker of the socket that is bound to `target`, and the port that it wakes from.
    pub(crate) fn new(target: SocketAddr) -> io::Result<(Self, u16)> {
        match target.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Self::between(target, Ipv4Addr::LOCALHOST.into()),
            // It may take IPv4 as well, and there are machines whose loopback has no IPv6 address.
            IpAddr::V6(ip) if ip.is_unspecified() => Self::between(target, Ipv6Addr::LOCALHOST.into())
                .or_else(|_| Self::between(target, Ipv4Addr::LOCALHOST.into())),
            ip => Self::between(target, ip),
        }
    }

    /// From `ip` to the port of `target` at `ip`.
    fn between(target: SocketAddr, ip: IpAddr) -> io::Result<(Self, u16)> {
        let mut own = target;
        own.set_ip(ip);
        own.set_port(0);
        let mut target = target;
        target.set_ip(ip);
        let socket = UdpSocket::bind(own)?;
        socket.set_nonblocking(true)?;
        socket.connect(target)?;
        let port = socket.local_addr()?.port();
        Ok((Self { socket: Arc::new(socket) }, port))
    }

    /// A waker with a separate socket, which becomes readable when it wakes: for sockets that share their port, so
    /// that a datagram to it might wake another one.
    pub(crate) fn with_bell() -> io::Result<(Self, UdpSocket)> {
        let wake_socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
            .or_else(|_| UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)))?;
        wake_socket.set_nonblocking(true)?;
        let (waker, port) = Self::new(wake_socket.local_addr()?)?;
        // Nobody else rings it.
        wake_socket.connect((wake_socket.local_addr()?.ip(), port))?;
        Ok((waker, wake_socket))
    }

    /// If this fails, the socket's buffer is full: then it is readable anyway.
    pub(crate) fn wake(&self) {
        let _ = self.socket.send(&[]);
    }
}
