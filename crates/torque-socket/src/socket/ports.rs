//! The further ports of a socket: those that its endpoint asks for, and the one where it observes as an introducer.

use torque_proto::PortRequest;

use super::Socket;
use crate::error::BindError;
use crate::further_ports::{FurtherPorts, Observes};

impl Socket {
    /// Opens and closes what the endpoint asks for. To be called before its datagrams are sent.
    pub(super) fn serve_port_requests(&mut self) {
        while let Some(request) = self.endpoint.poll_port_request() {
            self.serve_port_request(request);
        }
    }

    fn serve_port_request(&mut self, request: PortRequest) {
        match request {
            PortRequest::Open(number) => match self.further.open(number) {
                Ok(()) => self.udp.stats_mut().ports_opened += 1,
                Err(_error) => {
                    self.udp.stats_mut().ports_not_opened += 1;
                    #[cfg(feature = "tracing")]
                    tracing::debug!(error = %_error, "a further port could not be opened");
                }
            },
            PortRequest::Close(number) => {
                if let Some(closed) = self.further.close(number) {
                    self.udp.stats_mut().add(closed.stats());
                }
            }
        }
    }

    /// Opens the port where this socket observes as an introducer, if it introduces.
    ///
    /// # Errors
    /// An address that the application named cannot be bound.
    pub(crate) fn observe(&mut self, observes: Observes) -> Result<(), BindError> {
        if self.shard.is_none()
            && self.endpoint.config().introduction.introduces
            && let Some(address) = self.further.observe(observes)?
        {
            self.endpoint.set_observing_address(address);
        }
        Ok(())
    }

    /// The address where this socket observes how the NATs of parties behave: where [`Builder::observe_at`](crate::Builder::observe_at)
    /// says. `None` if it observes nowhere.
    pub fn observing_addr(&self) -> Option<std::net::SocketAddr> {
        self.further.get(torque_proto::OBSERVING_PORT).map(crate::io::Udp::local_addr)
    }

    /// Gives all of the socket's ports to the tokio runtime of the calling task.
    #[cfg(feature = "tokio")]
    pub(crate) fn move_to_tokio(&mut self) -> std::io::Result<()> {
        self.udp.move_to_tokio()?;
        self.further.move_to_tokio()
    }

    pub(crate) fn further_ports(&self) -> &FurtherPorts {
        &self.further
    }
}

#[cfg(test)]
mod tests;
