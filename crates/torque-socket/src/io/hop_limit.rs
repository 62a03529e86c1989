//! Hop limits where a system has them for a whole socket only: set around the call that sends.

use std::io;
use std::net::IpAddr;

use socket2::SockRef;

/// What a restored socket says if it had left the value to the system: the default of those systems that answer -1.
const USUAL: u32 = 64;

/// Calls `send` while the datagrams of `socket` to `destination` have this hop limit. A system that refuses the limit (some
/// do for IPv4 from a socket of both families) sends without: the datagram then goes further than it has to.
pub(super) fn with<T>(
    socket: &SockRef<'_>,
    destination: IpAddr,
    limit: u8,
    send: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let limit = u32::from(limit);
    if destination.to_canonical().is_ipv4() {
        let before = socket.ttl_v4().and_then(|before| socket.set_ttl_v4(limit).map(|()| before));
        let sent = send();
        if let Ok(before) = before {
            let _ = socket.set_ttl_v4(before);
        }
        return sent;
    }
    let before =
        socket.unicast_hops_v6().and_then(|before| socket.set_unicast_hops_v6(limit).map(|()| before));
    let sent = send();
    if let Ok(before) = before {
        // -1, "the system's own", would set the IPv4 limit of a socket of both families to 255 on some systems.
        let _ = socket.set_unicast_hops_v6(if before > 255 { USUAL } else { before });
    }
    sent
}
