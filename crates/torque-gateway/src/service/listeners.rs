//! The sockets that a gateway listens at: TCP and UDP, at every address, with one port.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::Type;

use crate::config::StartError;
use crate::service::udp::bind;

/// The buffer, each way, of the UDP port that all pages share. It is large, so that one page's bursts do not push out the
/// datagrams of others. Linux gives at most `net.core.rmem_max` and `wmem_max`.
const ALL_PAGES_BUFFER: usize = 4 * 1_024 * 1_024;
/// The number of ports that are tried.
const PORT_TRIES: usize = 64;

/// Sockets at all addresses, with one port.
pub struct Listeners {
    /// The port that they share.
    pub port: u16,
    /// The sockets of each address.
    pub sockets: Vec<(SocketAddr, TcpListener, UdpSocket)>,
}

impl Listeners {
    /// Binds all addresses, with one port. Port 0 finds one that is free for both at every address.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, StartError> {
        let port = addresses.first().ok_or(StartError::Listen)?.port();
        if addresses.iter().any(|address| address.port() != port) {
            return Err(StartError::Listen);
        }
        if port != 0 {
            return Self::at(addresses, port);
        }
        for _ in 0..PORT_TRIES {
            // A port that is free for TCP may be taken for UDP.
            let free = tcp(addresses[0]).and_then(|tcp| tcp.local_addr());
            let free = free.map_err(|error| StartError::Bind { address: addresses[0], error })?;
            match Self::at(addresses, free.port()) {
                Err(StartError::Bind { error, .. }) if is_taken(&error) => {}
                done => return done,
            }
        }
        Err(StartError::NoPort)
    }

    fn at(addresses: &[SocketAddr], port: u16) -> Result<Self, StartError> {
        let mut sockets = Vec::new();
        let mut missing = None;
        for address in addresses {
            let address = SocketAddr::new(address.ip(), port);
            let both = tcp(address).and_then(|tcp| Ok((address, tcp, udp(address)?)));
            match both {
                Ok(both) => sockets.push(both),
                Err(error) if is_missing_family(&error, address) => {
                    missing = Some(StartError::Bind { address, error })
                }
                Err(error) => return Err(StartError::Bind { address, error }),
            }
        }
        match missing {
            Some(error) if sockets.is_empty() => Err(error),
            _ => Ok(Self { port, sockets }),
        }
    }

    /// The addresses that were bound.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(address, ..)| *address).collect()
    }
}

/// A listening TCP socket.
pub fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bind(address, Type::STREAM)?;
    socket.listen(1_024)?;
    Ok(socket.into())
}

/// The UDP socket that all pages share.
pub fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = bind(address, Type::DGRAM)?;
    // A smaller buffer will do.
    let _ = socket.set_recv_buffer_size(ALL_PAGES_BUFFER);
    let _ = socket.set_send_buffer_size(ALL_PAGES_BUFFER);
    Ok(socket.into())
}

/// Returns whether binding failed because of the port. Windows reserves ports, and denies permission to use these.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

/// Returns whether binding failed because the machine lacks the address family. A machine whose IPv6 is switched off lacks
/// even the loopback address. Any other address that a machine lacks is a mistake of the operator.
fn is_missing_family(error: &io::Error, address: SocketAddr) -> bool {
    let is_everywhere = address.ip().is_loopback() || address.ip().is_unspecified();
    // EAFNOSUPPORT has no error kind.
    matches!(error.raw_os_error(), Some(47 | 97 | 10_047))
        || (error.kind() == io::ErrorKind::AddrNotAvailable && is_everywhere)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_shared_port_has_the_largest_buffer_that_the_system_gives() {
        let most: usize =
            std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
        let socket = udp("127.0.0.1:0".parse().unwrap()).unwrap();
        assert!(socket2::SockRef::from(&socket).recv_buffer_size().unwrap() >= most.min(ALL_PAGES_BUFFER));
    }

    #[test]
    fn an_address_that_is_not_this_machines_is_an_error_beside_a_good_one() {
        // 192.0.2.0/24 is for documentation, and belongs to no machine.
        let foreign: SocketAddr = "192.0.2.1:0".parse().unwrap();
        match Listeners::bind(&["127.0.0.1:0".parse().unwrap(), foreign]) {
            Err(StartError::Bind { address, .. }) => assert_eq!(address.ip(), foreign.ip()),
            Err(other) => panic!("{other}"),
            Ok(listeners) => panic!("only {:?}", listeners.addresses()),
        }
    }
}
