//! The interface between a world and its nodes.

use torque_proto::{Address, Datagram, Endpoint, Event, Instant, Path, PortRequest};

/// A datagram that a node sends.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The local port: 0 for the one that the node is bound to. A datagram from one that is not open is lost.
    pub port: u16,
    /// Destination.
    pub to: Address,
    /// The number of routers that discards it; `None`: it passes all.
    pub hop_limit: Option<u8>,
    /// Content.
    pub bytes: &'a [u8],
}

/// A node takes datagrams and the time, and gives datagrams, events and its next deadline.
pub trait Node {
    /// The events for its application.
    type Event;

    /// Handles a datagram that came to a local port: 0 is the one that the node is bound to.
    fn handle_datagram(&mut self, now: Instant, port: u16, remote: Address, bytes: &mut [u8]);
    /// Handles the passing of its deadline.
    fn handle_timeout(&mut self, now: Instant);
    /// The time at which `handle_timeout` must be called.
    fn deadline(&self) -> Option<Instant>;
    /// The next thing that it asks for about further ports, before its datagrams are taken.
    fn poll_port_request(&mut self) -> Option<PortRequest> {
        None
    }
    /// Passes each datagram that waits to be sent to `send`.
    fn drain_transmits(&mut self, send: &mut dyn FnMut(Outgoing<'_>));
    /// The next event.
    fn poll_event(&mut self) -> Option<Self::Event>;
}

impl Node for Endpoint {
    type Event = Event;

    fn handle_datagram(&mut self, now: Instant, port: u16, remote: Address, bytes: &mut [u8]) {
        Endpoint::handle_datagram(self, now, Datagram { path: Path { port, ..Path::to(remote) }, bytes });
    }

    fn handle_timeout(&mut self, now: Instant) {
        Endpoint::handle_timeout(self, now);
    }

    fn deadline(&self) -> Option<Instant> {
        self.poll_timeout().map(|(deadline, _)| deadline)
    }

    fn poll_port_request(&mut self) -> Option<PortRequest> {
        Endpoint::poll_port_request(self)
    }

    fn drain_transmits(&mut self, send: &mut dyn FnMut(Outgoing<'_>)) {
        let transmits = self.transmits();
        for transmit in transmits.iter() {
            send(Outgoing {
                port: transmit.path.port,
                to: transmit.path.remote,
                hop_limit: transmit.hop_limit,
                bytes: transmit.bytes,
            });
        }
        transmits.clear();
    }

    fn poll_event(&mut self) -> Option<Event> {
        Endpoint::poll_event(self)
    }
}
