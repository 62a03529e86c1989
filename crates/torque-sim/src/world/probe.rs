//! A node for tests of networks: it sends what it is told to, answers questions, and keeps what it received.

use std::collections::VecDeque;
use std::time::Duration;

use torque_proto::{Address, Instant, PortRequest};

use super::{Node, Outgoing, World};
use crate::LinkConfig;

pub(crate) const QUESTION: &[u8] = b"?";
pub(crate) const ANSWER: &[u8] = b"!";

/// A world of probes whose links take 20 ms and lose nothing.
pub(crate) fn world(seed: u64) -> World<Probe> {
    let mut world = World::new(seed);
    let mut link = LinkConfig::perfect();
    link.delay = Duration::from_millis(20);
    world.set_default_link(link);
    world
}

#[derive(Default)]
pub(crate) struct Probe {
    requests: VecDeque<PortRequest>,
    outgoing: Vec<(u16, Address, Option<u8>, Vec<u8>)>,
    received: VecDeque<(Address, Vec<u8>)>,
    /// The local ports at which datagrams arrived.
    pub(crate) ports: Vec<u16>,
}

impl Probe {
    pub(crate) fn new(_: Instant) -> Self {
        Self::default()
    }

    pub(crate) fn send(&mut self, to: Address, hop_limit: Option<u8>, bytes: &[u8]) {
        self.outgoing.push((0, to, hop_limit, bytes.to_vec()));
    }

    pub(crate) fn send_from(&mut self, port: u16, to: Address, bytes: &[u8]) {
        self.outgoing.push((port, to, None, bytes.to_vec()));
    }

    pub(crate) fn ask(&mut self, request: PortRequest) {
        self.requests.push_back(request);
    }
}

impl Node for Probe {
    type Event = (Address, Vec<u8>);

    fn handle_datagram(&mut self, _: Instant, port: u16, remote: Address, bytes: &mut [u8]) {
        self.ports.push(port);
        if bytes == QUESTION {
            self.send_from(port, remote, ANSWER);
        }
        self.received.push_back((remote, bytes.to_vec()));
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn poll_port_request(&mut self) -> Option<PortRequest> {
        self.requests.pop_front()
    }

    fn drain_transmits(&mut self, send: &mut dyn FnMut(Outgoing<'_>)) {
        for (port, to, hop_limit, bytes) in self.outgoing.drain(..) {
            send(Outgoing { port, to, hop_limit, bytes: &bytes });
        }
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        self.received.pop_front()
    }
}
