//! The addresses at which the other party of an introduction may reach this socket (INTRODUCTIONS.md 3, kinds 1 and 2).

use std::net::SocketAddr;

use torque_proto::Instant;
use torque_proto::wire::introduction::{Candidate, CandidateKind};

use super::Socket;
use super::interfaces::interface_addresses;
#[cfg(feature = "port-mapping")]
use super::port_mapping::PortMapping;

/// The addresses that introducers are told of.
#[derive(Default)]
pub(super) struct OwnAddresses {
    /// Set from the first introduction with direct paths on: before, nothing is looked for.
    is_party: bool,
    interfaces: Vec<SocketAddr>,
    /// The address at the router.
    mapped: Option<SocketAddr>,
    #[cfg(feature = "port-mapping")]
    router: Router,
}

/// The port that this socket wants, or has, at its router.
#[cfg(feature = "port-mapping")]
#[derive(Default)]
enum Router {
    /// Nobody wants that, or there is nothing to ask for.
    #[default]
    Unasked,
    /// The router is asked when the first introduction begins.
    Wanted,
    Asked(PortMapping),
}

impl OwnAddresses {
    fn candidates(&self) -> Vec<Candidate> {
        let interfaces = self.interfaces.iter().map(|address| (CandidateKind::Interface, *address));
        let mapped = self.mapped.map(|address| (CandidateKind::Mapped, address));
        interfaces.chain(mapped).map(|(kind, address)| Candidate { kind, address }).collect()
    }
}

impl Socket {
    /// Looks for addresses at which this socket can be reached, and gives them to the endpoint, which tells introducers.
    pub(super) fn find_own_addresses(&mut self, now: Instant) {
        self.own_addresses.is_party = true;
        #[cfg(feature = "port-mapping")]
        self.ask_router();
        if self.endpoint.config().introduction.local_addresses {
            self.own_addresses.interfaces =
                interface_addresses(self.udp.local_addr(), self.udp.is_dual_stack());
        }
        self.endpoint.set_own_candidates(now, &self.own_addresses.candidates());
    }

    /// The same after a change of the network, if anybody was ever told.
    pub(super) fn find_own_addresses_again(&mut self, now: Instant) {
        if !self.own_addresses.is_party {
            return;
        }
        #[cfg(feature = "port-mapping")]
        if let Router::Asked(mapping) = &self.own_addresses.router {
            mapping.network_changed();
        }
        self.find_own_addresses(now);
    }

    /// Has the router asked for a port when the first introduction begins.
    #[cfg(feature = "port-mapping")]
    pub(crate) fn map_port(&mut self) {
        self.own_addresses.router = Router::Wanted;
    }

    /// The address at this machine's router from which datagrams come to the socket, if the router was asked
    /// ([`Builder::map_port`](crate::Builder::map_port)) and has given one by now.
    #[cfg(feature = "port-mapping")]
    pub fn mapped_addr(&self) -> Option<SocketAddr> {
        self.own_addresses.mapped
    }

    #[cfg(feature = "port-mapping")]
    pub(super) fn ask_router(&mut self) {
        if !matches!(self.own_addresses.router, Router::Wanted) {
            return;
        }
        let waker = self.waker();
        let changed = move || {
            if let Some(waker) = &waker {
                waker.wake();
            }
        };
        let mapping = PortMapping::begin(self.udp.local_addr(), self.udp.is_dual_stack(), changed);
        self.own_addresses.router = mapping.map_or(Router::Unasked, Router::Asked);
    }

    /// Takes what the router has given, or taken back.
    #[cfg(feature = "port-mapping")]
    pub(super) fn take_mapped_address(&mut self, now: Instant) {
        let own = &mut self.own_addresses;
        let Router::Asked(mapping) = &own.router else { return };
        let mapped = mapping.external();
        if std::mem::replace(&mut own.mapped, mapped) != mapped {
            self.endpoint.set_own_candidates(now, &own.candidates());
        }
    }
}
