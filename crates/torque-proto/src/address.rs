//! Where datagrams come from and go to.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The address of a remote socket on a carrier: an IP address and port, or a carrier's own number; or a circuit
/// through an introducer.
///
/// IPv4-mapped IPv6 addresses are made IPv4 on construction, so one remote has one `Address`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address(Repr);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Repr {
    V4(Ipv4Addr, u16),
    V6(Ipv6Addr, u16, u32),
    /// A number, and whether it names a circuit. One kind for both, because each packet compares addresses.
    Virtual(u64, bool),
}

impl Address {
    /// An address of a carrier that has no IP addresses, named by a number of the carrier's choice.
    pub const fn from_virtual(number: u64) -> Self {
        Self(Repr::Virtual(number, false))
    }

    /// The IP address and port, unless this is a virtual address.
    pub const fn socket_addr(&self) -> Option<SocketAddr> {
        match self.0 {
            Repr::V4(ip, port) => Some(SocketAddr::new(IpAddr::V4(ip), port)),
            Repr::V6(ip, port, scope) => Some(SocketAddr::V6(SocketAddrV6::new(ip, port, 0, scope))),
            Repr::Virtual(..) => None,
        }
    }

    /// The number of a virtual address.
    pub const fn virtual_number(&self) -> Option<u64> {
        match self.0 {
            Repr::Virtual(number, false) => Some(number),
            _ => None,
        }
    }

    /// A circuit through an introducer (INTRODUCTIONS.md 10), named by a number that the endpoint drew.
    pub(crate) const fn from_circuit(number: u64) -> Self {
        Self(Repr::Virtual(number, true))
    }

    /// The number of a circuit.
    pub(crate) const fn circuit_number(&self) -> Option<u64> {
        match self.0 {
            Repr::Virtual(number, true) => Some(number),
            _ => None,
        }
    }

    /// Returns whether this is no address of a socket, but a circuit through an introducer (INTRODUCTIONS.md 10).
    pub const fn is_circuit(&self) -> bool {
        matches!(self.0, Repr::Virtual(_, true))
    }

    /// The network that counts as one source: an IPv4 address, an IPv6 /64 or a carrier's own number.
    pub(crate) fn network(&self) -> Network {
        match self.0 {
            Repr::V4(ip, _) => Network(4, u64::from(ip.to_bits())),
            Repr::V6(ip, ..) => Network(6, (ip.to_bits() >> 64) as u64),
            Repr::Virtual(number, false) => Network(0, number),
            Repr::Virtual(number, true) => Network(1, number),
        }
    }

    /// What one holder of addresses can cheaply obtain: an IPv4 address, an IPv6 /48 or a carrier's own number.
    pub(crate) fn site(&self) -> Network {
        let Network(family, bits) = self.network();
        Network(family, if family == 6 { bits >> 16 } else { bits })
    }

    /// Family, address and port as the identity token covers them (PROTOCOL.md 5.1).
    pub(crate) fn token_bytes(&self) -> [u8; 19] {
        let mut bytes = [0; 19];
        match self.0 {
            Repr::V4(ip, port) => {
                bytes[0] = 4;
                bytes[1..5].copy_from_slice(&ip.octets());
                bytes[17..].copy_from_slice(&port.to_be_bytes());
            }
            Repr::V6(ip, port, _) => {
                bytes[0] = 6;
                bytes[1..17].copy_from_slice(&ip.octets());
                bytes[17..].copy_from_slice(&port.to_be_bytes());
            }
            Repr::Virtual(number, false) => bytes[1..9].copy_from_slice(&number.to_be_bytes()),
            Repr::Virtual(number, true) => {
                bytes[0] = 1;
                bytes[1..9].copy_from_slice(&number.to_be_bytes());
            }
        }
        bytes
    }
}

/// A network or a site: the family, and the leading bits that count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Network(u8, u64);

impl Hash for Address {
    /// As few words as possible: this is looked up for each datagram.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            Repr::V4(ip, port) => state.write_u64(u64::from(ip.to_bits()) << 16 | u64::from(port)),
            Repr::V6(ip, port, scope) => {
                let bits = ip.to_bits();
                state.write_u64((bits >> 64) as u64);
                state.write_u64(bits as u64);
                state.write_u64(u64::from(scope) << 16 | u64::from(port));
            }
            Repr::Virtual(number, _) => state.write_u64(number),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self(Repr::V4(*v4.ip(), v4.port())),
            SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
                Some(ip) => Self(Repr::V4(ip, v6.port())),
                None => Self(Repr::V6(*v6.ip(), v6.port(), v6.scope_id())),
            },
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Repr::Virtual(number, false) => write!(f, "virtual:{number}"),
            Repr::Virtual(_, true) => f.write_str("relayed"),
            _ => match self.socket_addr() {
                Some(address) => write!(f, "{address}"),
                None => Ok(()),
            },
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
