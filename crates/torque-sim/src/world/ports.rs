//! Further UDP ports of a node's machine: those that it asks for, and the one at which an introducer observes.

use std::net::SocketAddr;

use torque_proto::{Address, OBSERVING_PORT, PortRequest};

use super::networks::Socket;
use super::{Node, NodeId, World};

/// The ports that the system gives.
const LOWEST: u64 = 32_768;
const HIGHEST: u64 = 60_999;

impl<N: Node> World<N> {
    /// The number of further ports that the node has asked for and that are open.
    pub fn further_ports(&self, id: NodeId) -> usize {
        self.nodes[id.0].ports.keys().filter(|port| **port != OBSERVING_PORT).count()
    }

    /// Gives a node a second port, or with `own_ip` a second IP address. What arrives there is handed in with [`OBSERVING_PORT`]. It
    /// stays there if the node moves.
    ///
    /// # Panics
    /// If the node has one, or has a virtual address.
    pub fn add_observing_port(&mut self, id: NodeId, own_ip: bool) -> SocketAddr {
        let bound = self.nodes[id.0].address.socket_addr().expect("sockets have IP addresses");
        let network = self.nodes[id.0].network;
        let address = match own_ip {
            true => SocketAddr::new(self.networks.free_ip(network), bound.port()),
            false => SocketAddr::new(bound.ip(), bound.port() ^ 1),
        };
        self.networks.insert(network, address.into(), Socket { node: id, port: OBSERVING_PORT });
        let before = self.nodes[id.0].ports.insert(OBSERVING_PORT, address.into());
        assert_eq!(before, None, "{id:?} has an observing port");
        address
    }

    /// Does what a node asks for.
    pub(super) fn perform(&mut self, id: NodeId, request: PortRequest) {
        let seed = self.seed;
        match request {
            PortRequest::Open(port) => {
                assert_ne!(port, 0, "seed {seed}: {id:?} opens port 0");
                let Some(address) = self.free_port(id) else { return };
                let before = self.nodes[id.0].ports.insert(port, address);
                assert_eq!(before, None, "seed {seed}: {id:?} opens port {port} twice");
                let network = self.nodes[id.0].network;
                self.networks.insert(network, address, Socket { node: id, port });
            }
            PortRequest::Close(port) => {
                let network = self.nodes[id.0].network;
                let address = self.nodes[id.0].ports.remove(&port);
                let address = address.unwrap_or_else(|| panic!("seed {seed}: {id:?} closes port {port}"));
                self.networks.remove(network, address, id);
            }
        }
    }

    /// Closes all that a node has asked for, as the system does when a process ends.
    pub(super) fn close_ports(&mut self, id: NodeId) {
        let open = self.nodes[id.0].ports.keys().copied().filter(|port| *port != OBSERVING_PORT);
        for port in open.collect::<Vec<_>>() {
            self.perform(id, PortRequest::Close(port));
        }
    }

    /// Takes all that a node has asked for to its present address, after it has left `before`. They get other port numbers if a NAT
    /// has given it another one.
    pub(super) fn move_ports(&mut self, id: NodeId, left: super::NetworkId, before: Address) {
        let slot = &self.nodes[id.0];
        let (network, here) = (slot.network, slot.address);
        let open: Vec<_> = slot.ports.iter().map(|(port, address)| (*port, *address)).collect();
        for (port, address) in open.into_iter().filter(|(port, _)| *port != OBSERVING_PORT) {
            self.networks.remove(left, address, id);
            let old = address.socket_addr().zip(before.socket_addr());
            let kept = old.zip(here.socket_addr()).and_then(|((old, before), here)| {
                let kept = Address::from(SocketAddr::new(here.ip(), old.port()));
                (before.ip() != here.ip() && self.networks.socket(network, kept).is_none()).then_some(kept)
            });
            self.nodes[id.0].ports.remove(&port);
            if let Some(address) = kept.or_else(|| self.free_port(id)) {
                self.nodes[id.0].ports.insert(port, address);
                self.networks.insert(network, address, Socket { node: id, port });
            }
        }
    }

    /// An address of the node's machine with a port that nobody has. Virtual addresses have none.
    fn free_port(&mut self, id: NodeId) -> Option<Address> {
        let bound = self.nodes[id.0].address.socket_addr()?;
        let network = self.nodes[id.0].network;
        loop {
            let address = SocketAddr::new(bound.ip(), self.rng.between(LOWEST, HIGHEST) as u16).into();
            if self.networks.socket(network, address).is_none() {
                return Some(address);
            }
        }
    }
}

#[cfg(test)]
mod tests;
