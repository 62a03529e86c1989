//! Paths: the two ends between which datagrams travel, and what is known about the way between them.

mod ids;
mod limits;
mod punching;
mod rtt;
mod step;
mod upgrade;

use core::net::IpAddr;

pub(crate) use ids::{PathId, PathIds, Sharing};
pub(crate) use limits::{
    Allowance, AskedNumbers, ForeignNumbers, MAX_ANSWERS, MAX_SOURCE_ANSWERS, MAX_SOURCES, PATH_LIVES,
    SOURCE_LIVES,
};
pub(crate) use punching::PathSet;
pub(crate) use rtt::Rtt;
pub(crate) use step::{Ask, Facts, Step};

use crate::address::Address;

/// A way for datagrams to and from another socket: its address, and where they leave and arrive here.
///
/// Drivers fill it in for each datagram they hand in, and read it for each one they send. Two datagrams took the
/// same path if their `Path`s are equal.
///
/// ```
/// use torque_proto::{Address, Path};
///
/// let host = Address::from_virtual(7);
/// assert_eq!(Path::to(host), Path { remote: host, local: None, port: 0 });
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Path {
    /// The other socket's address.
    pub remote: Address,
    /// The local IP address, where the carrier tells and can choose it; `None` leaves the choice to the system.
    pub local: Option<IpAddr>,
    /// The driver's local port: 0 for the one that its socket is bound to. Other numbers are
    /// those of further ports that the driver opened to connect from
    /// ([`Endpoint::connect_unresolved_from`](crate::Endpoint::connect_unresolved_from)); nobody may connect to them.
    pub port: u16,
}

impl Path {
    /// The path to `remote` from the bound port and whichever local address the system chooses.
    pub const fn to(remote: Address) -> Self {
        Self { remote, local: None, port: 0 }
    }

    /// The same remote, reached from the address at which `arrived` came in, if the carrier tells. The port stays: the other
    /// side knows this one by it, and anybody may copy a datagram to another port.
    pub(crate) fn follow(&mut self, arrived: Self) {
        if arrived.local.is_some() {
            self.local = arrived.local;
        }
    }
}

/// Returns whether a datagram that arrived so came over a path that may leave its local address open.
pub(crate) fn is_same(path: Path, arrived: Path) -> bool {
    path.remote == arrived.remote
        && path.port == arrived.port
        && (path.local.is_none() || arrived.local.is_none() || path.local == arrived.local)
}

/// A connection's knowledge of the path in use. It names no address: the endpoint keeps the [`Path`] beside it.
///
/// A connection has one of these inline. While it has several paths, or looks for one, a [`PathSet`] beside the slot has their
/// states and the choice between them; the connection itself goes on with the data of the path in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathData {
    /// Round-trip time.
    pub(crate) rtt: Rtt,
    /// The largest payload that the path and the other side take, in bytes.
    pub(crate) max_packet_size: u16,
}
