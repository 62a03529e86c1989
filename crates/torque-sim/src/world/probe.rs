//! A node for tests of networks: it sends what it is told to, answers questions, and keeps what it received.

use std::collections::VecDeque;

use torque_proto::{Address, Instant};

use super::{Node, Outgoing};

pub(crate) const QUESTION: &[u8] = b"?";
pub(crate) const ANSWER: &[u8] = b"!";

#[derive(Default)]
pub(crate) struct Probe {
    outgoing: Vec<(Address, Option<u8>, Vec<u8>)>,
    received: VecDeque<(Address, Vec<u8>)>,
}

impl Probe {
    pub(crate) fn new(_: Instant) -> Self {
        Self::default()
    }

    pub(crate) fn send(&mut self, to: Address, hop_limit: Option<u8>, bytes: &[u8]) {
        self.outgoing.push((to, hop_limit, bytes.to_vec()));
    }
}

impl Node for Probe {
    type Event = (Address, Vec<u8>);

    fn handle_datagram(&mut self, _: Instant, remote: Address, bytes: &mut [u8]) {
        if bytes == QUESTION {
            self.send(remote, None, ANSWER);
        }
        self.received.push_back((remote, bytes.to_vec()));
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn drain_transmits(&mut self, send: &mut dyn FnMut(Outgoing<'_>)) {
        for (to, hop_limit, bytes) in self.outgoing.drain(..) {
            send(Outgoing { to, hop_limit, bytes: &bytes });
        }
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        self.received.pop_front()
    }
}
