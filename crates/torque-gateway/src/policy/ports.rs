//! The gateway's own ports, which pages must not reach like foreign ones (GATEWAY.md 4.1).

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// The owner of a port of this gateway.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    /// The gateway itself.
    Service,
    /// A session.
    Session,
}

/// The ports of a gateway and its sessions.
#[derive(Debug)]
pub struct Ports {
    services: Vec<u16>,
    public_ips: Vec<IpAddr>,
    sessions: Mutex<HashSet<u16>>,
}

impl Ports {
    /// The ports of a gateway that listens at `services`, and that remotes also know by `public_ips`.
    pub fn new(services: Vec<u16>, public_ips: Vec<IpAddr>) -> Self {
        Self { services, public_ips, sessions: Mutex::default() }
    }

    /// The owner of an address; `None` if it is not this gateway's. `local` returns the address from which this machine would
    /// send there: the machine's own addresses are sent to from themselves.
    pub fn owner(&self, address: SocketAddr, local: impl FnOnce() -> Option<IpAddr>) -> Option<Owner> {
        let owner = match address.port() {
            port if self.services.contains(&port) => Owner::Service,
            port if self.is_session(port) => Owner::Session,
            _ => return None,
        };
        let ip = address.ip().to_canonical();
        let is_own = ip.is_loopback()
            || ip.is_unspecified()
            || self.public_ips.contains(&ip)
            || local().is_some_and(|local| local.to_canonical() == ip);
        is_own.then_some(owner)
    }

    /// Returns whether a session has this port.
    pub fn is_session(&self, port: u16) -> bool {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).contains(&port)
    }

    /// Registers the port of a session until the returned value is dropped.
    pub fn register(self: &Arc<Self>, port: u16) -> SessionPort {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(port);
        SessionPort { ports: Arc::clone(self), port }
    }
}

/// The registration of a session's port.
#[derive(Debug)]
pub struct SessionPort {
    ports: Arc<Ports>,
    port: u16,
}

impl Drop for SessionPort {
    fn drop(&mut self) {
        self.ports.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_ports_are_recognised_at_every_address_of_the_machine() {
        let public = "198.51.100.9".parse().unwrap();
        let ports = Arc::new(Ports::new(vec![4433], vec![public]));
        let session = ports.register(50_000);
        let owner = |text: &str, local: Option<&str>| {
            ports.owner(text.parse().unwrap(), || local.map(|ip| ip.parse().unwrap()))
        };
        for ip in ["127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "198.51.100.9"] {
            assert_eq!(owner(&format!("{ip}:4433"), None), Some(Owner::Service), "{ip}");
            assert_eq!(owner(&format!("{ip}:50000"), None), Some(Owner::Session), "{ip}");
            assert_eq!(owner(&format!("{ip}:50001"), None), None, "{ip}");
        }
        assert_eq!(owner("192.168.1.2:4433", Some("192.168.1.2")), Some(Owner::Service));
        assert_eq!(owner("192.168.1.3:4433", Some("192.168.1.2")), None);
        drop(session);
        assert_eq!(owner("127.0.0.1:50000", None), None);
    }
}
