//! NATs that depend on the destination: what the driver is asked for, and what applications may ask (INTRODUCTIONS.md 9).

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::Endpoint;
use super::slot::Slot;
use crate::error::CallError;
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::introduction::PortRequest;
use crate::introduction::party::{ObserveOut, second_address};
use crate::path::Path;
use crate::transmits::Cause;

impl Endpoint {
    /// The next thing that the driver is to do about further ports: before it sends what [`transmits`](Self::transmits) has.
    pub fn poll_port_request(&mut self) -> Option<PortRequest> {
        self.introductions.party.poll_port_request()
    }

    /// This socket, as an introducer, also receives at `address`: parties send datagrams there to show how their NATs behave. An unspecified IP
    /// address stands for the one at which they reach this socket. The driver hands in what arrives there with
    /// [`OBSERVING_PORT`](crate::OBSERVING_PORT) as the path's port.
    pub fn set_observing_address(&mut self, address: SocketAddr) {
        self.introductions.introducer.set_observing_address(address);
    }

    /// Asks the other side of an open connection, an introducer, how the NAT between it and this socket behaves.
    /// [`Event::NatFound`](crate::Event::NatFound) answers, once, after 4 s at most: also if it
    /// cannot say, or is no introducer. A call while another waits for the same introducer shares its answer.
    ///
    /// # Errors
    /// `Closed` if `introducer` is no open connection.
    pub fn look_at_nat(&mut self, now: Instant, introducer: ConnectionId) -> Result<(), CallError> {
        let hosts_introducer = self.begin_with_introducer(introducer)?;
        self.with_party(now, |party, step| party.look_at_nat(step, introducer, hosts_introducer));
        Ok(())
    }

    /// Shows an introducer where this socket's datagrams come from.
    pub(super) fn send_observe(&mut self, now: Instant, observe: &ObserveOut) {
        let ObserveOut { introducer, port, to, bytes } = observe;
        let Some(Slot::Connected(connected)) = self.slots.get(*introducer).map(|entry| &entry.slot) else {
            return;
        };
        let usual = connected.path;
        let Some(at) = usual.remote.socket_addr() else { return };
        let mut path = if *port == 0 { usual } else { Path { port: *port, ..Path::to(usual.remote) } };
        if let Some(second) = to.map(|second| second_address(second, at)) {
            path.remote = second.into();
            let is_own_ip = second.ip() == at.ip() && second.port() != 0;
            if !is_own_ip && !self.introductions.party.may_observe_at(now, *introducer, path.remote) {
                return;
            }
        }
        self.transmits.push(Cause::Own, path, |out| out.extend_from_slice(bytes));
    }

    /// Closes further ports of a connection on which it has no path; all of one that has ended.
    pub(super) fn close_idle_ports(&mut self, id: ConnectionId) {
        let is_over = self.introductions.introducer_of(id).is_none();
        let ports = if is_over { Vec::new() } else { self.ports_of(id) };
        self.introductions.party.close_ports(id, |port| ports.contains(&port));
        self.end_run_of(id);
    }
}
