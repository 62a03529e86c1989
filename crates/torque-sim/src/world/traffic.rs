//! Datagrams on their way: links, partitions, the adversary, captures.

use std::time::Duration;

use torque_netem::{LinkConfig, LinkStats};
use torque_proto::Address;

use super::networks::Route;
use super::tap::Injected;
use super::{Captured, Fate, NetworkId, Node, NodeId, Passing, Step, World};
use crate::pcap::PcapWriter;

impl<N: Node> World<N> {
    /// Sets the behaviour of links without their own. A way that does not cross the core takes 0.3 ms instead.
    pub fn set_default_link(&mut self, config: LinkConfig) {
        self.default_link = config;
        self.reconfigure_links();
    }

    /// Sets the behaviour of the link from one node to another.
    pub fn set_link(&mut self, from: NodeId, to: NodeId, config: LinkConfig) {
        self.link_overrides.insert((from, to), config);
        self.reconfigure_links();
    }

    /// The counters of the link from one node's address to the other's.
    pub fn link_stats(&self, from: NodeId, to: NodeId) -> LinkStats {
        let route = Route::core(self.address(from), self.address(to));
        self.links.stats(route)
    }

    /// Cuts two nodes off from each other, or joins them again. Datagrams under way still arrive.
    pub fn set_partition(&mut self, a: NodeId, b: NodeId, cut: bool) {
        for pair in [(a, b), (b, a)] {
            if cut {
                self.partitioned.insert(pair);
            } else {
                self.partitioned.remove(&pair);
            }
        }
    }

    /// Sets the adversary; see [`Passing`].
    pub fn set_tap(&mut self, tap: impl FnMut(&mut Passing<'_>) -> Fate + 'static) {
        self.tap = Some(Box::new(tap));
    }

    /// Removes the adversary.
    pub fn clear_tap(&mut self) {
        self.tap = None;
    }

    /// Sends a datagram through the core from any address, to arrive after `delay`. It bypasses links and tap.
    pub fn inject(&mut self, delay: Duration, from: Address, to: Address, bytes: Vec<u8>) {
        self.push_injected(Injected { due: self.now + delay, route: Route::core(from, to), bytes });
    }

    /// Keeps datagrams to an address of the core without a node, for [`take_mail`](Self::take_mail).
    pub fn open_mailbox(&mut self, address: Address) {
        self.mailboxes.entry(address).or_default();
    }

    /// Takes the datagrams from the mailbox.
    pub fn take_mail(&mut self, address: Address) -> Vec<Captured> {
        self.mailboxes.get_mut(&address).map(std::mem::take).unwrap_or_default()
    }

    /// Sets whether to keep a copy of every datagram. The variable `TORQUE_PCAP` does so in every world.
    pub fn set_capture(&mut self, capture: bool) {
        match (capture, &self.capture) {
            (true, None) => self.capture = Some(Vec::new()),
            (false, _) => self.capture = None,
            (true, Some(_)) => {}
        }
    }

    /// The datagrams that were sent while capturing.
    pub fn captured(&self) -> &[Captured] {
        self.capture.as_deref().unwrap_or_default()
    }

    /// The number of datagrams that nodes have sent.
    pub fn datagrams_sent(&self) -> u64 {
        self.datagrams
    }

    /// Writes the captured datagrams as a pcap file.
    ///
    /// # Errors
    /// The errors of `out`.
    pub fn write_pcap(&self, out: impl std::io::Write) -> std::io::Result<()> {
        let mut pcap = PcapWriter::new(out)?;
        for captured in self.captured() {
            pcap.write(captured.at, captured.from, captured.to, &captured.bytes)?;
        }
        pcap.finish().map(|_| ())
    }

    pub(super) fn arrive(&mut self, route: Route, mut bytes: Vec<u8>) -> Step {
        let Route { from, to, .. } = route;
        if let Some(mailbox) = self.mailboxes.get_mut(&to).filter(|_| route.network == NetworkId::CORE) {
            mailbox.push(Captured { at: self.now, from, to, bytes });
            return Step::Astray;
        }
        let there = self.networks.inward(self.now, route);
        let socket = there.and_then(|(network, address)| self.networks.socket(network, address));
        let Some(socket) = socket else { return Step::Astray };
        match self.try_with(socket.node, |node, now| node.handle_datagram(now, socket.port, from, &mut bytes))
        {
            Some(()) => Step::Arrived(socket.node),
            None => Step::Astray,
        }
    }

    pub(super) fn send(
        &mut self,
        sender: NodeId,
        port: u16,
        to: Address,
        hop_limit: Option<u8>,
        mut bytes: Vec<u8>,
    ) {
        let slot = &self.nodes[sender.0];
        let network = slot.network;
        let from = if port == 0 { Some(slot.address) } else { slot.ports.get(&port).copied() };
        let Some(from) = from else { return };
        self.datagrams += 1;
        if let Some(capture) = &mut self.capture {
            capture.push(Captured { at: self.now, from, to, bytes: bytes.clone() });
        }
        let Some(route) = self.networks.outward(self.now, network, from, to, hop_limit) else { return };
        let from = route.from;
        let receiver = self.networks.resolve(self.now, route.network, from, to);
        if receiver.is_some_and(|receiver| self.partitioned.contains(&(sender, receiver))) {
            return;
        }
        if let Some(tap) = &mut self.tap {
            let mut injected = Vec::new();
            let fate =
                tap(&mut Passing { now: self.now, from, to, bytes: &mut bytes, injected: &mut injected });
            for datagram in injected {
                self.push_injected(datagram);
            }
            match fate {
                Fate::Pass => {}
                Fate::Drop => return,
                Fate::Hold(time) => {
                    return self.push_injected(Injected { due: self.now + time, route, bytes });
                }
            }
        }
        if receiver.is_none() && !self.networks.is_behind_box(route.network, to) {
            // An attacker's invented addresses get no links.
            return self.push_injected(Injected { due: self.now, route, bytes });
        }
        let config = self.link_config(route);
        let rng = &mut self.rng;
        self.links.push(self.now, route, &bytes, config, || rng.next_u64());
    }

    fn push_injected(&mut self, injected: Injected) {
        self.injections += 1;
        self.injected.insert((injected.due, self.injections), injected);
    }

    fn link_config(&self, route: Route) -> LinkConfig {
        let Route { network, from, to, .. } = route;
        let sender = self.networks.resolve(self.now, network, to, from);
        let receiver = self.networks.resolve(self.now, network, from, to);
        let own = sender.zip(receiver).and_then(|pair| self.link_overrides.get(&pair));
        own.copied().unwrap_or(if route.is_local { local_link() } else { self.default_link })
    }

    fn reconfigure_links(&mut self) {
        let mut links = std::mem::take(&mut self.links);
        links.reconfigure(|route| self.link_config(route));
        self.links = links;
    }
}

/// A link that does not cross the core.
fn local_link() -> LinkConfig {
    let mut link = LinkConfig::perfect();
    link.delay = Duration::from_micros(300);
    link
}
