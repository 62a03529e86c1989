//! The kinds of access that parties have to the network, from a public address to two NATs one behind the other.

use torque_proto::{Instant, Nat as Seen};

use crate::nat::{Dependence, Firewall, Masquerade, Middlebox, Nat, PortAssignment};
use crate::world::{NetworkId, Node, NodeId, World};

use Dependence::{
    AddressAndPortDependent as Port, AddressDependent as Address, EndpointIndependent as Independent,
};

/// A kind of access: the boxes between a party and the core.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Access {
    /// A short name. For NATs it tells mapping, filtering and ports: EI, AD and APD are endpoint-independent, address-dependent, and
    /// address-and-port-dependent; s and r are sequential and random ports.
    pub name: &'static str,
    /// The boxes, the outermost one first.
    pub boxes: &'static [Middlebox],
}

impl Access {
    /// All kinds.
    pub const ALL: [Self; 22] = [
        Self::new("public", &[]),
        Self::new("fw4", &[Middlebox::Firewall(Firewall::new(false))]),
        Self::new("fw6", &[Middlebox::Firewall(Firewall::new(true))]),
        Self::new("EI/EI", &[random(Independent, Independent)]),
        Self::new("EI/AD", &[random(Independent, Address)]),
        Self::new("EI/APD", &[random(Independent, Port)]),
        Self::new("AD/EI s", &[sequential(Address, Independent)]),
        Self::new("AD/AD s", &[sequential(Address, Address)]),
        Self::new("AD/APD s", &[sequential(Address, Port)]),
        Self::new("AD/EI r", &[random(Address, Independent)]),
        Self::new("AD/AD r", &[random(Address, Address)]),
        Self::new("AD/APD r", &[random(Address, Port)]),
        Self::new("APD/EI s", &[sequential(Port, Independent)]),
        Self::new("APD/AD s", &[sequential(Port, Address)]),
        Self::new("APD/APD s", &[sequential(Port, Port)]),
        Self::new("APD/EI r", &[random(Port, Independent)]),
        Self::new("APD/AD r", &[random(Port, Address)]),
        Self::new("APD/APD r", &[random(Port, Port)]),
        Self::new("linux", &[Middlebox::Masquerade(Masquerade::new(false))]),
        Self::new("linux rej", &[Middlebox::Masquerade(Masquerade::new(true))]),
        Self::new("cgn easy", &[carrier(Independent, Independent), Middlebox::Nat(Nat::HOME)]),
        Self::new("cgn hard", &[carrier(Port, Port), Middlebox::Nat(Nat::HOME)]),
    ];

    const fn new(name: &'static str, boxes: &'static [Middlebox]) -> Self {
        Self { name, boxes }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|access| access.name == name)
    }

    /// Whether the party has the same outside address for all remote ones.
    pub fn is_independent(&self) -> bool {
        self.boxes.iter().all(Middlebox::is_independent)
    }

    /// Whether only those reach the party to whose address and port it has sent.
    pub fn is_strict(&self) -> bool {
        self.boxes.iter().any(Middlebox::is_strict)
    }

    /// Whether a direct path between two parties is promised: one of them has the same address for all (INTRODUCTIONS.md 9.2).
    pub fn meets(&self, other: &Self) -> bool {
        self.is_independent() || other.is_independent()
    }

    /// Whether two parties reach each other when both send to the address that the other one has for a third. Otherwise one of them
    /// has to guess ports, or it cannot work.
    pub fn meets_at_once(&self, other: &Self) -> bool {
        self.is_independent() && (other.is_independent() || !self.is_strict())
            || other.is_independent() && !other.is_strict()
    }

    /// The party's NAT as it looks to an introducer with a second port, or with `own_ip` a second IP address: without that, a mapping
    /// that depends on the address looks independent (INTRODUCTIONS.md 9.1). That address is an IPv4 one: a party with IPv6 cannot be
    /// looked at there.
    pub fn seen_nat(&self, own_ip: bool) -> Seen {
        if self.has_ipv6() {
            return Seen::Unknown;
        }
        let dependent = self.boxes.iter().find_map(|middlebox| match middlebox {
            Middlebox::Nat(nat) if nat.mapping == Port || own_ip && nat.mapping == Address => Some(nat.ports),
            _ => None,
        });
        match dependent {
            None => Seen::Independent,
            Some(PortAssignment::Sequential(stride)) => Seen::Sequential(stride as u8),
            Some(_) => Seen::Unpredictable,
        }
    }

    /// Whether the party has an IPv6 address only. To and from these nobody tries ports.
    pub fn has_ipv6(&self) -> bool {
        self.boxes.iter().any(|middlebox| matches!(middlebox, Middlebox::Firewall(firewall) if firewall.ipv6))
    }

    /// Adds the boxes to a world. Returns the innermost network. Parties that are added to the same one share all boxes.
    pub fn build<N: Node>(&self, world: &mut World<N>) -> NetworkId {
        self.boxes.iter().fold(NetworkId::CORE, |outside, middlebox| world.add_network(outside, *middlebox))
    }

    /// Adds a party with boxes of its own to a world.
    pub fn place<N: Node>(&self, world: &mut World<N>, make: impl FnOnce(Instant) -> N) -> NodeId {
        let network = self.build(world);
        world.add_in(network, make)
    }
}

const fn random(mapping: Dependence, filtering: Dependence) -> Middlebox {
    Middlebox::Nat(Nat::new(mapping, filtering, PortAssignment::Random))
}

const fn sequential(mapping: Dependence, filtering: Dependence) -> Middlebox {
    Middlebox::Nat(Nat::new(mapping, filtering, PortAssignment::Sequential(1)))
}

/// A carrier's NAT, at which others take many ports.
const fn carrier(mapping: Dependence, filtering: Dependence) -> Middlebox {
    let nat = Nat::new(mapping, filtering, PortAssignment::Random);
    Middlebox::Nat(Nat { other_traffic: 20.0, ..nat })
}

#[cfg(test)]
mod tests;
