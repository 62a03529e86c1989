//! The meaning of a send error for its datagram and for those behind it.

use std::io;

use torque_proto::Address;

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
    /// This socket can never send there: it has no addresses of that family.
    Impossible,
    /// Anything else, a firewall of this machine for example.
    Other,
}

/// A datagram to `remote` that could not be sent, for the attempts that wait for an answer from there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Trouble {
    pub(crate) remote: Address,
    /// No other datagram to there will fare better.
    pub(crate) is_final: bool,
    /// The operating system's words.
    pub(crate) cause: String,
}

impl Trouble {
    /// The trouble of a datagram of `length` bytes; `None` if it says nothing about the next datagram.
    pub(super) fn new(
        failure: Failure,
        remote: Address,
        length: usize,
        error: Option<&io::Error>,
    ) -> Option<Self> {
        let said = || error.map_or_else(String::new, |error| format!(": {error}"));
        let cause = match failure {
            Failure::WouldBlock | Failure::Refused | Failure::NoBuffers => return None,
            Failure::Impossible if error.is_none() => {
                "this socket has no addresses of the host's family".to_owned()
            }
            Failure::TooLarge => {
                format!("the link takes no datagrams of {length} bytes: its MTU is too small{}", said())
            }
            _ => format!("sending failed{}", said()),
        };
        Some(Self { remote, is_final: failure == Failure::Impossible, cause })
    }
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
            _ if error.raw_os_error().is_some_and(is_wrong_family) => Self::Impossible,
            _ => Self::Other,
        }
    }

    /// Returns whether a run of datagrams may have met it where each of them by itself would not.
    pub(super) fn may_be_of_a_run(self) -> bool {
        matches!(self, Self::TooLarge | Self::Other)
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
