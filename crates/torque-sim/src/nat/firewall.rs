//! Firewalls that keep state and translate nothing, as IPv6 routers have them (RFC 6092).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use torque_proto::Instant;

use super::{Dependence, Remote, Translate};

/// The behaviour of a firewall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Firewall {
    /// The remote addresses that get in: those like one to which the inside address has sent.
    pub filtering: Dependence,
    /// The time without outgoing datagrams after which it forgets a remote address.
    pub idle: Duration,
    /// Whether the world gives IPv6 addresses to the nodes behind it.
    pub ipv6: bool,
}

impl Firewall {
    /// A firewall that lets in only addresses and ports to which something was sent in the last minute.
    pub const fn new(ipv6: bool) -> Self {
        Self { filtering: Dependence::AddressAndPortDependent, idle: Duration::from_secs(60), ipv6 }
    }
}

/// A firewall at work.
#[derive(Debug)]
pub(super) struct Filter {
    config: Firewall,
    /// When an inside address last sent to a remote one.
    sent: BTreeMap<(SocketAddr, Remote), Instant>,
}

impl Filter {
    pub(super) fn new(config: Firewall) -> Self {
        Self { config, sent: BTreeMap::new() }
    }
}

impl Translate for Filter {
    fn outward(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> SocketAddr {
        self.sent.insert((from, self.config.filtering.of(to)), now);
        from
    }

    fn inward(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let sent = self.sent.get(&(to, self.config.filtering.of(from)))?;
        (now.saturating_since(*sent) < self.config.idle).then_some(to)
    }

    fn inside(&self, _: Instant, _: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        Some(to)
    }

    fn restart(&mut self) {
        self.sent.clear();
    }
}
