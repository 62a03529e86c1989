//! What the kernel tells with each datagram.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Asks the kernel for no more than `receive` reads: how datagrams were joined (which is on already), and, if
/// `destination` is wanted, the address that they were sent to. Time stamps cost the most: with one socket asking, the
/// kernel looks at the clock for each datagram of the machine. How many datagrams were lost is told only if there are any.
/// An option that a system does not have is left as it was.
pub(in crate::io) fn ask_for(socket: BorrowedFd<'_>, destination: bool) {
    let wanted = libc::c_int::from(destination);
    // IPv6 sockets take IPv4 as well, so both families are set; the wrong one fails, which does no harm.
    let _ = set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 0);
    let _ = set(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1);
    let _ = set(socket, libc::IPPROTO_IP, libc::IP_RECVTOS, 0);
    let _ = set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, wanted);
    let _ = set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS, 0);
    let _ = set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, wanted);
}

fn set(socket: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the option's value is a c_int, which lives until the call returns, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
