//! A NAT in front of a node. The node's address in the world is the one that the NAT gives it.

use core::time::Duration;
use std::collections::BTreeSet;

use torque_proto::{Address, Instant};

/// The behaviour of a NAT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nat {
    /// The time without outgoing datagrams after which the NAT forgets the node's port: incoming ones are lost, and the next outgoing
    /// one gets another port.
    pub idle: Duration,
    /// Whether only addresses to which the node has sent from its present port reach it.
    pub filters: bool,
}

/// The port that a NAT has given to its node.
#[derive(Debug)]
pub(super) struct Mapping {
    nat: Nat,
    sent: Instant,
    reached: BTreeSet<Address>,
}

impl Mapping {
    pub(super) fn new(nat: Nat, now: Instant) -> Self {
        Self { nat, sent: now, reached: BTreeSet::new() }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        now.saturating_since(self.sent) >= self.nat.idle
    }

    pub(super) fn lets_in(&self, now: Instant, from: Address) -> bool {
        !self.is_over(now) && (!self.nat.filters || self.reached.contains(&from))
    }

    pub(super) fn note_sent(&mut self, now: Instant, to: Address) {
        self.sent = now;
        self.reached.insert(to);
    }

    /// The node has another port, from which it has not sent anything.
    pub(super) fn renew(&mut self, now: Instant) {
        self.sent = now;
        self.reached.clear();
    }
}
