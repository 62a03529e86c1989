//! Waking a thread that waits for a socket, whatever it waits with.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use socket2::SockRef;

use crate::io::Udp;

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

    /// A waker with a separate socket, its bell, which becomes readable when it wakes: for sockets that a datagram to their
    /// port may miss.
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

/// The waker of a socket, made at its first use.
pub(crate) fn get_waker(slot: &mut Option<(Waker, Option<UdpSocket>)>, udp: &mut Udp) -> Option<Waker> {
    if slot.is_none() {
        *slot = make_waker(udp);
    }
    slot.as_ref().map(|(waker, _)| waker.clone())
}

/// A waker of this socket, with a bell if a datagram to the socket's port might not wake it.
fn make_waker(udp: &mut Udp) -> Option<(Waker, Option<UdpSocket>)> {
    #[cfg(unix)]
    let handle = udp.fd();
    #[cfg(windows)]
    let handle = udp.socket();
    if !is_out_of_reach(&SockRef::from(&handle))
        && let Ok((waker, port)) = Waker::new(udp.local_addr())
    {
        udp.set_wake_port(port);
        return Some((waker, None));
    }
    Waker::with_bell().ok().map(|(waker, bell)| (waker, Some(bell)))
}

/// Returns whether a datagram that this thread sends to the port of `socket` may miss it: the socket is bound to an
/// interface, or is in another network namespace, or shares its port.
fn is_out_of_reach(socket: &SockRef<'_>) -> bool {
    shares_port(socket) || is_elsewhere(socket)
}

fn shares_port(socket: &SockRef<'_>) -> bool {
    #[cfg(unix)]
    if socket.reuse_port().unwrap_or(false) {
        return true;
    }
    socket.reuse_address().unwrap_or(false)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_elsewhere(socket: &SockRef<'_>) -> bool {
    let device = socket.device().unwrap_or(None);
    device.is_some_and(|device| device != b"lo") || is_in_other_namespace(socket)
}

/// Other systems bind no socket to an interface.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_elsewhere(_: &SockRef<'_>) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn is_in_other_namespace(socket: &SockRef<'_>) -> bool {
    let own = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None);
    let own = own.ok().and_then(|own| namespace_of(&SockRef::from(&own)));
    own.is_some() && own != namespace_of(socket)
}

/// The number of a socket's network namespace; `None` if the kernel does not tell it (before Linux 5.14).
#[cfg(target_os = "linux")]
fn namespace_of(socket: &SockRef<'_>) -> Option<u64> {
    use std::os::fd::AsRawFd;

    let (mut cookie, mut length) = (0_u64, size_of::<u64>() as libc::socklen_t);
    // SAFETY: the kernel writes at most `length` bytes to `cookie`, and the new length; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    (result == 0).then_some(cookie)
}

#[cfg(target_os = "android")]
fn is_in_other_namespace(_: &SockRef<'_>) -> bool {
    false
}
