//! Nodes in networks, the links between them, and a loop that advances virtual time from event to event.
//!
//! Nodes stand in the core or in networks behind boxes ([`nat`](crate::nat)). A datagram leaves through the boxes of its sender, crosses
//! the innermost network that both sides share, which is the core or one before it, and comes in through the boxes of its receiver.
//!
//! A world obeys the rule for callers of an endpoint: after every call it opens and closes the ports that were asked for, drains the
//! transmits, then the events (unless the node's application was told to stop draining), then asks for the deadline.

mod clock;
mod links;
mod networks;
mod node;
mod ports;
#[cfg(test)]
pub(crate) mod probe;
mod tap;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use torque_proto::{Address, Endpoint, Instant};

use crate::nat::Middlebox;
use clock::Clock;
use links::Links;
pub use networks::NetworkId;
use networks::{Networks, Socket};
pub use node::{Node, Outgoing};
use tap::Injected;
pub use tap::{Fate, Passing, Tap};
use torque_netem::{LinkConfig, SimRng};

/// The most calls in one instant of virtual time. More mean that a timer or an exchange loops.
const CALLS_IN_ONE_INSTANT: u32 = 1_000_000;

/// Names a node of a world.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

impl NodeId {
    /// The index of the node in its world, from 0.
    pub fn place(self) -> usize {
        self.0
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}

/// A datagram as it left its sender, before tap and link.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The world's time.
    pub at: Instant,
    /// Source address.
    pub from: Address,
    /// Destination address.
    pub to: Address,
    /// Content.
    pub bytes: Vec<u8>,
}

/// The result of one step of the world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// A datagram was handed to a node.
    Arrived(NodeId),
    /// A node's deadline passed.
    TimedOut(NodeId),
    /// A time set with [`World::wake_at`] has come.
    Woken,
    /// A datagram went to an address without a node.
    Astray,
}

struct Slot<N: Node> {
    /// `None` while it is crashed.
    node: Option<N>,
    network: NetworkId,
    /// In its network.
    address: Address,
    /// Its further ports there.
    ports: BTreeMap<u16, Address>,
    clock: Clock,
    draining: bool,
    inbox: VecDeque<N::Event>,
    /// The node's deadline by its own clock.
    deadline: Option<Instant>,
}

/// A network of nodes in virtual time. The same seed and the same calls give the same run.
pub struct World<N: Node = Endpoint> {
    seed: u64,
    rng: SimRng,
    now: Instant,
    calls_now: u32,
    nodes: Vec<Slot<N>>,
    networks: Networks,
    default_link: LinkConfig,
    link_overrides: BTreeMap<(NodeId, NodeId), LinkConfig>,
    links: Links,
    partitioned: BTreeSet<(NodeId, NodeId)>,
    tap: Option<Tap>,
    /// Datagrams that bypass links, by due time.
    injected: BTreeMap<(Instant, u64), Injected>,
    injections: u64,
    mailboxes: BTreeMap<Address, Vec<Captured>>,
    wakes: BTreeSet<Instant>,
    capture: Option<Vec<Captured>>,
    datagrams: u64,
}

impl<N: Node> World<N> {
    /// An empty world with perfect links, at time zero.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rng: SimRng::new(seed),
            now: Instant::ZERO,
            calls_now: 0,
            nodes: Vec::new(),
            networks: Networks::new(),
            default_link: LinkConfig::perfect(),
            link_overrides: BTreeMap::new(),
            links: Links::default(),
            partitioned: BTreeSet::new(),
            tap: None,
            injected: BTreeMap::new(),
            injections: 0,
            mailboxes: BTreeMap::new(),
            wakes: BTreeSet::new(),
            capture: std::env::var_os("TORQUE_PCAP").map(|_| Vec::new()),
            datagrams: 0,
        }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The world's time. Nodes see their own clocks instead.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// A generator for the test's choices, unrelated to the world's.
    pub fn fork_rng(&mut self) -> SimRng {
        self.rng.fork()
    }

    // Nodes

    /// Adds a node at a new IPv4 address of the core. `make` receives the node's time: each clock is ahead of the world's by
    /// some random hours.
    pub fn add(&mut self, make: impl FnOnce(Instant) -> N) -> NodeId {
        let place = self.nodes.len();
        let ip = Ipv4Addr::new(10, 0, (place / 250) as u8, (place % 250 + 1) as u8);
        self.add_at(SocketAddr::new(IpAddr::V4(ip), 4_000).into(), make)
    }

    /// Adds a node at `address` in the core.
    pub fn add_at(&mut self, address: Address, make: impl FnOnce(Instant) -> N) -> NodeId {
        self.add_at_in(NetworkId::CORE, address, make)
    }

    /// Adds a node at a new address of `network`: a public one in the core, a private one behind a NAT.
    pub fn add_in(&mut self, network: NetworkId, make: impl FnOnce(Instant) -> N) -> NodeId {
        let address = SocketAddr::new(self.networks.free_ip(network), 4_000);
        self.add_at_in(network, address.into(), make)
    }

    fn add_at_in(&mut self, network: NetworkId, address: Address, make: impl FnOnce(Instant) -> N) -> NodeId {
        let id = NodeId(self.nodes.len());
        let clock = Clock::ahead_by(self.rng.duration(Duration::from_secs(100_000)));
        let node = make(clock.read(self.now));
        self.nodes.push(Slot {
            node: Some(node),
            network,
            address,
            ports: BTreeMap::new(),
            clock,
            draining: true,
            inbox: VecDeque::new(),
            deadline: None,
        });
        self.networks.insert(network, address, Socket { node: id, port: 0 });
        self.drain(id);
        id
    }

    /// All nodes, crashed ones included.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<N> {
        (0..self.nodes.len()).map(NodeId)
    }

    /// Calls a node with its own time, then drains it. `None` if it has crashed.
    pub fn try_with<R>(&mut self, id: NodeId, call: impl FnOnce(&mut N, Instant) -> R) -> Option<R> {
        let slot = &mut self.nodes[id.0];
        let result = call(slot.node.as_mut()?, slot.clock.read(self.now));
        self.drain(id);
        Some(result)
    }

    /// Calls a node with its own time, then drains it.
    ///
    /// # Panics
    /// If the node has crashed.
    pub fn with<R>(&mut self, id: NodeId, call: impl FnOnce(&mut N, Instant) -> R) -> R {
        self.try_with(id, call).unwrap_or_else(|| panic!("{id:?} has crashed"))
    }

    /// Borrows a node.
    ///
    /// # Panics
    /// If the node has crashed.
    pub fn node(&self, id: NodeId) -> &N {
        self.nodes[id.0].node.as_ref().unwrap_or_else(|| panic!("{id:?} has crashed"))
    }

    /// Returns whether the node runs.
    pub fn is_running(&self, id: NodeId) -> bool {
        self.nodes[id.0].node.is_some()
    }

    /// The node's address in its network. Behind a NAT, others see another one.
    pub fn address(&self, id: NodeId) -> Address {
        self.nodes[id.0].address
    }

    /// The node at `address` in the core.
    pub fn owner(&self, address: Address) -> Option<NodeId> {
        self.networks.socket(NetworkId::CORE, address).map(|socket| socket.node)
    }

    /// Moves a node to another address of its network. Datagrams under way to the old address are lost, unless a node is
    /// there when they arrive. A node that was at the new address is reached no more.
    pub fn set_address(&mut self, id: NodeId, address: Address) {
        self.place(id, self.nodes[id.0].network, address);
    }

    /// Moves a node to a new address of another network. Boxes keep what they remember of the old one.
    pub fn move_to_network(&mut self, id: NodeId, network: NetworkId) {
        let address = SocketAddr::new(self.networks.free_ip(network), 4_000);
        self.place(id, network, address.into());
    }

    fn place(&mut self, id: NodeId, network: NetworkId, address: Address) {
        let slot = &mut self.nodes[id.0];
        let before = (slot.network, slot.address);
        self.networks.remove(before.0, before.1, id);
        (slot.network, slot.address) = (network, address);
        self.networks.insert(network, address, Socket { node: id, port: 0 });
        self.move_ports(id, before.0, before.1);
    }

    /// Moves a node to the next free port of its IP address, as a NAT does that has lost its state.
    ///
    /// # Panics
    /// If the node's address is virtual.
    pub fn rebind(&mut self, id: NodeId) {
        let Slot { network, address, .. } = self.nodes[id.0];
        let old = address.socket_addr().expect("a NAT has IP addresses");
        let next = (1..=u16::MAX)
            .map(|step| Address::from(SocketAddr::new(old.ip(), old.port().wrapping_add(step).max(1_024))))
            .find(|address| self.networks.socket(network, *address).is_none());
        self.set_address(id, next.expect("one of 64,000 ports is free"));
    }

    // Networks

    /// Adds an empty network behind a box, which stands in `outside` with a new address.
    pub fn add_network(&mut self, outside: NetworkId, middlebox: Middlebox) -> NetworkId {
        let rng = self.rng.fork();
        self.networks.add(outside, middlebox, rng)
    }

    /// The outside address of the network's box, if it has one.
    pub fn external_ip(&self, network: NetworkId) -> Option<IpAddr> {
        self.networks.external_ip(network)
    }

    /// Restarts the network's box: it forgets everything, and gives other ports from now on.
    pub fn restart_box(&mut self, network: NetworkId) {
        self.networks.restart_box(network);
    }

    /// Asks the box of the node's network for a port by which everybody reaches the node, until the box restarts or the node moves.
    pub fn map_port(&mut self, id: NodeId) -> Option<SocketAddr> {
        let Slot { network, address, .. } = self.nodes[id.0];
        self.networks.map(self.now, network, address)
    }

    /// Sets the number of routers in the core that each datagram passes (default 10), as far as hop limits count.
    pub fn set_core_hops(&mut self, routers: u8) {
        self.networks.core_hops = routers;
    }

    /// Crashes a node. It tells nobody, and its events are lost.
    pub fn crash(&mut self, id: NodeId) -> Option<N> {
        self.close_ports(id);
        let slot = &mut self.nodes[id.0];
        slot.inbox.clear();
        slot.deadline = None;
        slot.node.take()
    }

    /// Starts a new node at the same address, with the same clock.
    pub fn restart(&mut self, id: NodeId, make: impl FnOnce(Instant) -> N) {
        self.close_ports(id);
        let slot = &mut self.nodes[id.0];
        slot.inbox.clear();
        slot.node = Some(make(slot.clock.read(self.now)));
        self.drain(id);
    }

    // Events

    /// Sets whether events are taken from the node after every call, as they are at first. Otherwise they stay in the
    /// node.
    pub fn set_draining(&mut self, id: NodeId, draining: bool) {
        self.nodes[id.0].draining = draining;
        self.drain(id);
    }

    /// Takes up to `count` events from a node that does not drain by itself.
    pub fn drain_events(&mut self, id: NodeId, count: usize) {
        let slot = &mut self.nodes[id.0];
        if let Some(node) = &mut slot.node {
            slot.inbox.extend(std::iter::from_fn(|| node.poll_event()).take(count));
        }
        self.drain(id);
    }

    /// The next event that was taken from the node.
    pub fn next_event(&mut self, id: NodeId) -> Option<N::Event> {
        self.nodes[id.0].inbox.pop_front()
    }

    // Clocks

    /// The time on the node's clock.
    pub fn clock(&self, id: NodeId) -> Instant {
        self.nodes[id.0].clock.read(self.now)
    }

    /// Makes the node's clock jump, forwards or backwards.
    pub fn step_clock(&mut self, id: NodeId, micros: i64) {
        self.nodes[id.0].clock.step(micros);
    }

    /// Stops the node's clock, and with it its timers.
    pub fn stop_clock(&mut self, id: NodeId) {
        self.nodes[id.0].clock.stop(self.now);
    }

    /// Lets a stopped clock continue.
    pub fn start_clock(&mut self, id: NodeId) {
        self.nodes[id.0].clock.start(self.now);
    }

    // Time

    /// Makes [`step`](Self::step) stop at this time, so that an application can act.
    pub fn wake_at(&mut self, time: Instant) {
        self.wakes.insert(time.max(self.now));
    }

    /// The time of the next event.
    pub fn next_time(&self) -> Option<Instant> {
        let arrivals = self.links.next_delivery();
        let injected = self.injected.keys().next().map(|(due, _)| *due);
        let deadlines = self.nodes.iter().filter_map(|slot| slot.due(self.now)).min();
        let wake = self.wakes.first().copied();
        [arrivals, injected, deadlines, wake].into_iter().flatten().min().map(|time| time.max(self.now))
    }

    /// Advances time to the next event and performs it. `None`: nothing remains.
    ///
    /// # Panics
    /// If a node is called endlessly while time stands still.
    pub fn step(&mut self) -> Option<Step> {
        let time = self.next_time()?;
        self.move_to(time);
        self.calls_now += 1;
        assert!(
            self.calls_now < CALLS_IN_ONE_INSTANT,
            "seed {}: {CALLS_IN_ONE_INSTANT} calls at {} us and no end",
            self.seed,
            time.as_micros()
        );
        if let Some(entry) = self.injected.first_entry().filter(|entry| entry.key().0 <= time) {
            let Injected { route, bytes, .. } = entry.remove();
            return Some(self.arrive(route, bytes));
        }
        if let Some((route, bytes)) = self.links.poll(time) {
            return Some(self.arrive(route, bytes));
        }
        if let Some(place) = self.nodes.iter().position(|slot| slot.due(time).is_some_and(|due| due <= time))
        {
            let id = NodeId(place);
            self.with(id, |node, now| node.handle_timeout(now));
            return Some(Step::TimedOut(id));
        }
        while self.wakes.first().is_some_and(|wake| *wake <= time) {
            self.wakes.pop_first();
        }
        Some(Step::Woken)
    }

    /// Runs until `done` returns true, called after every step. Returns whether it did within `limit`.
    pub fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool, limit: Duration) -> bool {
        let end = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            if self.next_time().is_none_or(|time| time > end) {
                self.move_to(end);
                return false;
            }
            self.step();
        }
    }

    /// Runs for a span of virtual time.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(|_| false, span);
    }

    fn move_to(&mut self, time: Instant) {
        if time > self.now {
            self.now = time;
            self.calls_now = 0;
        }
    }

    /// Drains a node, as the rule demands after every call.
    fn drain(&mut self, id: NodeId) {
        while let Some(request) = self.nodes[id.0].node.as_mut().and_then(N::poll_port_request) {
            self.perform(id, request);
        }
        let slot = &mut self.nodes[id.0];
        let Some(node) = &mut slot.node else { return };
        let mut sent = Vec::new();
        node.drain_transmits(&mut |out| sent.push((out.port, out.to, out.hop_limit, out.bytes.to_vec())));
        if slot.draining {
            slot.inbox.extend(std::iter::from_fn(|| node.poll_event()));
        }
        slot.deadline = node.deadline();
        for (port, to, hop_limit, bytes) in sent {
            self.send(id, port, to, hop_limit, bytes);
        }
    }
}

impl<N: Node> Slot<N> {
    /// The node's deadline, in the world's time.
    fn due(&self, now: Instant) -> Option<Instant> {
        self.node.as_ref()?;
        self.clock.world_time(self.deadline?, now)
    }
}

impl<N: Node> Drop for World<N> {
    /// Writes the datagrams of a failing run, if that was requested.
    fn drop(&mut self) {
        let Some(directory) = std::env::var_os("TORQUE_PCAP").filter(|_| std::thread::panicking()) else {
            return;
        };
        let path = std::path::Path::new(&directory).join(format!("seed-{}.pcap", self.seed));
        let written =
            std::fs::File::create(&path).and_then(|file| self.write_pcap(std::io::BufWriter::new(file)));
        match written {
            Ok(()) => eprintln!("datagrams of seed {} are in {}", self.seed, path.display()),
            Err(error) => eprintln!("{}: {error}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests;
