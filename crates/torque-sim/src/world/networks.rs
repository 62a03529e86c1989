//! Networks as a tree: the core, and networks behind boxes. Where a datagram goes, and what becomes of its addresses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use torque_netem::SimRng;
use torque_proto::{Address, Instant};

use super::NodeId;
use crate::nat::{Middlebox, Translate};

/// Names a network of a world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NetworkId(usize);

impl NetworkId {
    /// The network in the middle, which all others lead to.
    pub const CORE: Self = Self(0);
}

/// The way of a datagram through one network, from the last box on its way out to the first on its way in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Route {
    pub(super) network: NetworkId,
    /// It turns before it reaches the core: in an inner network, or at a box that hairpins.
    pub(super) is_local: bool,
    pub(super) from: Address,
    pub(super) to: Address,
    /// Routers that it may still pass; `None`: all.
    pub(super) hops: Option<u8>,
}

impl Route {
    /// Through the core.
    pub(super) fn core(from: Address, to: Address) -> Self {
        Self { network: NetworkId::CORE, is_local: false, from, to, hops: None }
    }
}

/// The way out of a network.
struct Exit {
    to: NetworkId,
    /// The address of the box outside, if it translates.
    address: Option<IpAddr>,
    middlebox: Box<dyn Translate>,
}

/// A UDP socket of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Socket {
    pub(super) node: NodeId,
    /// The number that the node has for it: 0 for the one that it is bound to.
    pub(super) port: u16,
}

#[derive(Default)]
struct Network {
    sockets: BTreeMap<Address, Socket>,
    /// `None` in the core.
    exit: Option<Exit>,
    /// The number of boxes between it and the core that translate.
    depth: u8,
    has_ipv6: bool,
    addresses_given: u16,
}

impl Network {
    fn has(&self, ip: IpAddr) -> bool {
        let first = Address::from(SocketAddr::new(ip, 0));
        let next = self.sockets.range(first..).next().and_then(|(address, _)| address.socket_addr());
        next.is_some_and(|address| address.ip() == ip)
    }
}

/// All networks of a world.
pub(super) struct Networks {
    networks: Vec<Network>,
    pub(super) core_hops: u8,
}

impl Networks {
    pub(super) fn new() -> Self {
        Self { networks: vec![Network::default()], core_hops: 10 }
    }

    /// A new network behind a box.
    pub(super) fn add(&mut self, outside: NetworkId, middlebox: Middlebox, rng: SimRng) -> NetworkId {
        let translates = middlebox.translates();
        let address = self.free_ip(outside);
        let exit = Exit {
            to: outside,
            address: translates.then_some(address),
            middlebox: middlebox.start(address, rng),
        };
        let outer = &self.networks[outside.0];
        self.networks.push(Network {
            exit: Some(exit),
            depth: outer.depth + u8::from(translates),
            has_ipv6: match middlebox {
                Middlebox::Firewall(firewall) => firewall.ipv6,
                Middlebox::Nat(_) | Middlebox::Masquerade(_) => false,
            },
            ..Network::default()
        });
        NetworkId(self.networks.len() - 1)
    }

    /// A new address of the network. A network behind a firewall has addresses of the one outside.
    pub(super) fn free_ip(&mut self, network: NetworkId) -> IpAddr {
        let mut realm = network.0;
        while let Some(exit) = self.networks[realm].exit.as_ref().filter(|exit| exit.address.is_none()) {
            realm = exit.to.0;
        }
        self.networks[realm].addresses_given += 1;
        let number = self.networks[realm].addresses_given;
        let [high, low] = number.to_be_bytes();
        match (self.networks[network.0].has_ipv6, self.networks[realm].depth) {
            (true, depth) => Ipv6Addr::new(0x2a00, 0x1f00, depth.into(), number, 0, 0, 0, 1).into(),
            // All homes use the same private addresses, as real ones do.
            (false, 0) => Ipv4Addr::new(45, 80, high, low).into(),
            (false, depth) => Ipv4Addr::new(192, 168, depth, low).into(),
        }
    }

    /// The outside address of the network's box.
    pub(super) fn external_ip(&self, network: NetworkId) -> Option<IpAddr> {
        self.networks[network.0].exit.as_ref()?.address
    }

    /// Asks the network's box for an outside port.
    pub(super) fn map(&mut self, now: Instant, network: NetworkId, inside: Address) -> Option<SocketAddr> {
        self.networks[network.0].exit.as_mut()?.middlebox.map(now, inside.socket_addr()?)
    }

    pub(super) fn restart_box(&mut self, network: NetworkId) {
        if let Some(exit) = &mut self.networks[network.0].exit {
            exit.middlebox.restart();
        }
    }

    // Nodes

    pub(super) fn insert(&mut self, network: NetworkId, address: Address, socket: Socket) {
        self.networks[network.0].sockets.insert(address, socket);
    }

    /// Removes a node's address, unless it is another one's by now.
    pub(super) fn remove(&mut self, network: NetworkId, address: Address, node: NodeId) {
        let sockets = &mut self.networks[network.0].sockets;
        if sockets.get(&address).is_some_and(|socket| socket.node == node) {
            sockets.remove(&address);
        }
    }

    pub(super) fn socket(&self, network: NetworkId, address: Address) -> Option<Socket> {
        self.networks[network.0].sockets.get(&address).copied()
    }

    /// The node that has an address, as another address of the same network sees it. Filters do not matter.
    pub(super) fn resolve(
        &self,
        now: Instant,
        network: NetworkId,
        from: Address,
        to: Address,
    ) -> Option<NodeId> {
        let (mut network, mut to) = (network, to);
        while let Some(inner) = self.entry(network, to) {
            let exit = self.networks[inner.0].exit.as_ref()?;
            to = exit.middlebox.inside(now, from.socket_addr()?, to.socket_addr()?)?.into();
            network = inner;
        }
        self.socket(network, to).map(|socket| socket.node)
    }

    /// Whether a box takes what is for this address.
    pub(super) fn is_behind_box(&self, network: NetworkId, address: Address) -> bool {
        self.entry(network, address).is_some()
    }

    /// The network behind the box that takes what is for this address.
    fn entry(&self, network: NetworkId, address: Address) -> Option<NetworkId> {
        let ip = address.socket_addr()?.ip();
        (1..self.networks.len()).map(NetworkId).find(|inner| {
            let exit = self.networks[inner.0].exit.as_ref();
            exit.is_some_and(|exit| {
                exit.to == network
                    && match exit.address {
                        Some(external) => external == ip,
                        None => self.contains(*inner, ip),
                    }
            })
        })
    }

    /// Whether a node or a box of the network has this IP address.
    fn contains(&self, network: NetworkId, ip: IpAddr) -> bool {
        self.networks[network.0].has(ip) || self.entry(network, SocketAddr::new(ip, 0).into()).is_some()
    }

    // Datagrams

    /// Takes a datagram out through the boxes as far as it has to go. `None`: it is lost on the way.
    pub(super) fn outward(
        &mut self,
        now: Instant,
        network: NetworkId,
        from: Address,
        to: Address,
        hop_limit: Option<u8>,
    ) -> Option<Route> {
        let mut route = Route { network, is_local: network != NetworkId::CORE, from, to, hops: hop_limit };
        while route.network != NetworkId::CORE {
            let (from, to) = (route.from.socket_addr()?, route.to.socket_addr()?);
            if self.contains(route.network, to.ip()) {
                return Some(route);
            }
            // A router that may not forward a datagram opens nothing for it.
            let hops = hops_after(1, route.hops)?;
            let exit = self.networks[route.network.0].exit.as_mut()?;
            route.from = exit.middlebox.outward(now, from, to).into();
            route.network = exit.to;
            if exit.address == Some(to.ip()) {
                return exit.middlebox.hairpins().then_some(route);
            }
            route.hops = hops;
        }
        route.is_local = false;
        // Nodes of the core are as far from one another, but only datagrams with a hop limit are counted.
        route.hops = hops_after(self.core_hops, route.hops)?;
        Some(route)
    }

    /// Takes a datagram in through the boxes. Returns where it arrives; `None`: a box does not let it in.
    pub(super) fn inward(&mut self, now: Instant, route: Route) -> Option<(NetworkId, Address)> {
        let Route { mut network, from, mut to, mut hops, .. } = route;
        while let Some(inner) = self.entry(network, to) {
            hops = hops_after(1, hops)?;
            let exit = self.networks[inner.0].exit.as_mut()?;
            to = exit.middlebox.inward(now, from.socket_addr()?, to.socket_addr()?)?.into();
            network = inner;
        }
        Some((network, to))
    }
}

/// The hop limit of a datagram after so many routers. `None`: one of them discarded it.
fn hops_after(routers: u8, limit: Option<u8>) -> Option<Option<u8>> {
    match limit {
        None => Some(None),
        Some(limit) => limit.checked_sub(routers).filter(|left| *left > 0).map(Some),
    }
}

#[cfg(test)]
mod tests;
