//! NATs of every kind.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use torque_netem::SimRng;
use torque_proto::Instant;

use super::ports::{PortAssignment, Ports};
use super::{Dependence, Remote, Translate};

/// The behaviour of a NAT.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Nat {
    /// The remote addresses for which an inside address keeps its outside address.
    pub mapping: Dependence,
    /// The remote addresses that get in: those like one to which the inside address has sent.
    pub filtering: Dependence,
    /// The choice of ports.
    pub ports: PortAssignment,
    /// Whether datagrams from inside reach inside addresses by their outside addresses.
    pub hairpinning: bool,
    /// Ports a second that other traffic takes, if ports are sequential.
    pub other_traffic: f64,
    /// The time without outgoing datagrams after which the NAT forgets a mapping, or a remote address that it lets in.
    pub idle: Duration,
    /// The time after which it forgets a mapping in any case.
    pub lifetime: Option<Duration>,
}

impl Nat {
    /// A NAT as many homes have: endpoint-independent mapping, address-and-port-dependent filtering, preserved ports.
    pub const HOME: Self = Self::new(
        Dependence::EndpointIndependent,
        Dependence::AddressAndPortDependent,
        PortAssignment::Preserved,
    );

    /// A NAT without hairpinning that forgets after a minute, and gives 2 ports a second to others.
    pub const fn new(mapping: Dependence, filtering: Dependence, ports: PortAssignment) -> Self {
        Self {
            mapping,
            filtering,
            ports,
            hairpinning: false,
            other_traffic: 2.0,
            idle: Duration::from_secs(60),
            lifetime: None,
        }
    }
}

/// What a mapping is for: an inside address, and as much of the remote one as counts.
type Key = (SocketAddr, Remote);

#[derive(Debug)]
struct Mapping {
    key: Key,
    since: Instant,
    used: Instant,
    /// Remote addresses that get in, and when something last went there.
    lets_in: BTreeMap<Remote, Instant>,
}

/// A NAT at work.
#[derive(Debug)]
pub(super) struct Translator {
    nat: Nat,
    address: IpAddr,
    ports: Ports,
    /// By outside port.
    mappings: BTreeMap<u16, Mapping>,
    port_of: BTreeMap<Key, u16>,
    /// Inside addresses of ports that were asked for.
    asked: BTreeMap<u16, SocketAddr>,
    /// No mapping ends before.
    first_end: Instant,
}

impl Translator {
    pub(super) fn new(nat: Nat, address: IpAddr, rng: SimRng) -> Self {
        let ports = Ports::new(nat.ports, nat.other_traffic, rng);
        let (mappings, port_of) = Default::default();
        Self { nat, address, ports, mappings, port_of, asked: BTreeMap::new(), first_end: Instant::ZERO }
    }

    fn end(nat: &Nat, mapping: &Mapping) -> Instant {
        let unused = mapping.used + nat.idle;
        nat.lifetime.map_or(unused, |most| unused.min(mapping.since + most))
    }

    fn mapping(&self, now: Instant, port: u16) -> Option<&Mapping> {
        self.mappings.get(&port).filter(|mapping| now < Self::end(&self.nat, mapping))
    }

    fn forget_old(&mut self, now: Instant) {
        if now < self.first_end {
            return;
        }
        let Self { nat, mappings, port_of, first_end, .. } = self;
        // Mappings from now on end later.
        *first_end = now + nat.lifetime.map_or(nat.idle, |most| most.min(nat.idle));
        mappings.retain(|_, mapping| {
            let end = Self::end(nat, mapping);
            if end <= now {
                port_of.remove(&mapping.key);
            } else {
                *first_end = end.min(*first_end);
            }
            now < end
        });
    }
}

impl Translate for Translator {
    fn outward(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> SocketAddr {
        self.forget_old(now);
        let key = (from, self.nat.mapping.of(to));
        let asked = self.asked.iter().find(|(_, inside)| **inside == from).map(|(port, _)| *port);
        if let Some(port) = asked.filter(|_| !self.port_of.contains_key(&key)) {
            return SocketAddr::new(self.address, port);
        }
        let Self { ports, mappings, port_of, asked, .. } = self;
        let is_taken = |port: u16| mappings.contains_key(&port) || asked.contains_key(&port);
        let port = *port_of.entry(key).or_insert_with(|| ports.choose(now, from.port(), is_taken));
        let mapping = self.mappings.entry(port).or_insert_with(|| Mapping {
            key,
            since: now,
            used: now,
            lets_in: BTreeMap::new(),
        });
        mapping.used = now;
        mapping.lets_in.insert(self.nat.filtering.of(to), now);
        SocketAddr::new(self.address, port)
    }

    fn inward(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        if let Some(inside) = self.asked.get(&to.port()) {
            return Some(*inside);
        }
        let mapping = self.mapping(now, to.port())?;
        let sent = mapping.lets_in.get(&self.nat.filtering.of(from))?;
        (now.saturating_since(*sent) < self.nat.idle).then_some(mapping.key.0)
    }

    fn inside(&self, now: Instant, _: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let asked = self.asked.get(&to.port()).copied();
        asked.or_else(|| self.mapping(now, to.port()).map(|mapping| mapping.key.0))
    }

    /// Mappings that are in use stay as they are; new ones of this inside address take the port (RFC 6887 section 11.3).
    fn map(&mut self, now: Instant, inside: SocketAddr) -> Option<SocketAddr> {
        self.forget_old(now);
        let Self { ports, mappings, asked, .. } = self;
        let is_taken = |port: u16| mappings.contains_key(&port) || asked.contains_key(&port);
        let port = ports.choose(now, inside.port(), is_taken);
        self.asked.insert(port, inside);
        Some(SocketAddr::new(self.address, port))
    }

    fn hairpins(&self) -> bool {
        self.nat.hairpinning
    }

    fn restart(&mut self) {
        self.mappings.clear();
        self.port_of.clear();
        self.asked.clear();
        self.ports.restart();
    }
}
