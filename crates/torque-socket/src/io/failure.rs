//! What an error of sending means for the datagram and for those behind it.

use std::io;

/// Kinds of failure that are treated differently.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The send buffer is full: keep the datagrams and try again when there is room.
    WouldBlock,
    /// An earlier datagram met a closed port; this one was not tried.
    Refused,
    /// No buffers; nothing tells when there are again, so the datagram is lost.
    NoBuffers,
    /// Larger than the path takes.
    TooLarge,
    /// No route, no such network, interface or address.
    Unreachable,
    /// Anything else.
    Other,
}

impl Failure {
    pub(super) fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        if quinn_udp::is_msg_size_err(error) {
            return Self::TooLarge;
        }
        if error.raw_os_error().is_some_and(is_no_buffers) {
            return Self::NoBuffers;
        }
        match error.kind() {
            Kind::WouldBlock => Self::WouldBlock,
            Kind::ConnectionRefused | Kind::ConnectionReset => Self::Refused,
            Kind::OutOfMemory => Self::NoBuffers,
            Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::NetworkDown
            | Kind::AddrNotAvailable
            | Kind::NotConnected => Self::Unreachable,
            _ if error.raw_os_error().is_some_and(is_wrong_family) => Self::Unreachable,
            _ => Self::Other,
        }
    }
}

#[cfg(unix)]
fn is_no_buffers(code: i32) -> bool {
    code == libc::ENOBUFS
}

#[cfg(unix)]
fn is_wrong_family(code: i32) -> bool {
    code == libc::EAFNOSUPPORT
}

#[cfg(windows)]
fn is_no_buffers(code: i32) -> bool {
    code == windows_sys::Win32::Networking::WinSock::WSAENOBUFS
}

#[cfg(windows)]
fn is_wrong_family(code: i32) -> bool {
    code == windows_sys::Win32::Networking::WinSock::WSAEAFNOSUPPORT
}
