//! Boxes between a network and the one outside it: NATs, Linux masquerading, firewalls. The words are those of RFC 4787.
//!
//! A box stands at the only way out of its network. It translates the source of each datagram that leaves, and decides which of those
//! that come for its address get in, and to whom.

mod firewall;
mod masquerade;
mod ports;
mod translator;

use std::net::{IpAddr, SocketAddr};

use torque_netem::SimRng;
use torque_proto::Instant;

pub use firewall::Firewall;
pub use masquerade::Masquerade;
pub use ports::PortAssignment;
pub use translator::Nat;

/// The part of a remote address on which a box's behaviour depends (RFC 4787 sections 4.1 and 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dependence {
    /// Nothing: the same for all remote addresses.
    EndpointIndependent,
    /// The IP address.
    AddressDependent,
    /// The IP address and the port.
    AddressAndPortDependent,
}

impl Dependence {
    /// The part of `remote` that counts.
    fn of(self, remote: SocketAddr) -> Remote {
        match self {
            Self::EndpointIndependent => None,
            Self::AddressDependent => Some((remote.ip(), None)),
            Self::AddressAndPortDependent => Some((remote.ip(), Some(remote.port()))),
        }
    }
}

/// What a box remembers of a remote address.
type Remote = Option<(IpAddr, Option<u16>)>;

/// A kind of box.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Middlebox {
    /// A NAT.
    Nat(Nat),
    /// A Linux router.
    Masquerade(Masquerade),
    /// A firewall that translates nothing.
    Firewall(Firewall),
}

impl Middlebox {
    /// A new box with this external address, which a firewall does not use.
    pub(crate) fn start(self, address: IpAddr, rng: SimRng) -> Box<dyn Translate> {
        match self {
            Self::Nat(nat) => Box::new(translator::Translator::new(nat, address, rng)),
            Self::Masquerade(config) => Box::new(masquerade::Masquerading::new(config, address, rng)),
            Self::Firewall(config) => Box::new(firewall::Filter::new(config)),
        }
    }

    /// Whether inside addresses have others outside.
    pub fn translates(&self) -> bool {
        !matches!(self, Self::Firewall(_))
    }

    /// Whether the box gives an inside address the same outside address for all remote ones, if nothing came from there unasked.
    pub fn is_independent(&self) -> bool {
        match self {
            Self::Nat(nat) => nat.mapping == Dependence::EndpointIndependent,
            Self::Masquerade(_) | Self::Firewall(_) => true,
        }
    }

    /// Whether only remote addresses get in to which something went out, with the same port.
    pub fn is_strict(&self) -> bool {
        let filtering = match self {
            Self::Nat(nat) => nat.filtering,
            Self::Masquerade(_) => Dependence::AddressAndPortDependent,
            Self::Firewall(firewall) => firewall.filtering,
        };
        filtering == Dependence::AddressAndPortDependent
    }
}

/// A box at work.
pub(crate) trait Translate {
    /// Lets a datagram out. Returns its source address outside.
    fn outward(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> SocketAddr;

    /// The inside address to which a datagram from outside goes, if the box lets it in.
    fn inward(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr>;

    /// The inside address that has the outside address `to`, as `from` sees it.
    fn inside(&self, now: Instant, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr>;

    /// Maps an outside port to an inside address, as a client of PCP, NAT-PMP or UPnP asks for. Everybody gets in by it. `None`: the box
    /// does not.
    fn map(&mut self, now: Instant, inside: SocketAddr) -> Option<SocketAddr> {
        let _ = (now, inside);
        None
    }

    /// Whether datagrams from inside to an outside address of the box come back in.
    fn hairpins(&self) -> bool {
        false
    }

    /// Forgets everything. Ports that the box gives from now on are others.
    fn restart(&mut self);
}

#[cfg(test)]
mod tests;
