//! Who gets a session: by origin, by how many there are, and by how many a client has (GATEWAY.md 1, 4.3).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::metrics::Refusal;
use crate::origins::Origins;
use crate::rules::Limits;

/// Counts sessions, and whose they are.
#[derive(Debug)]
pub struct Admission {
    origins: Origins,
    limits: Limits,
    clients: Mutex<Clients>,
}

#[derive(Debug, Default)]
struct Clients {
    sessions: u32,
    of: HashMap<IpAddr, u32>,
}

/// A place for a session, as long as this lives.
#[derive(Debug)]
pub struct Admitted {
    /// The client's address.
    pub client: SocketAddr,
    /// The page's origin.
    pub origin: String,
    admission: Arc<Admission>,
}

impl Admission {
    /// For these origins, within these limits.
    pub fn new(origins: Origins, limits: Limits) -> Self {
        Self { origins, limits, clients: Mutex::default() }
    }

    /// Whether a page with this `Origin` header may have a session at all.
    pub fn allows(&self, origin: Option<&str>) -> bool {
        origin.is_some_and(|origin| self.origins.allow(origin))
    }

    /// Gives a client's page a place.
    pub fn admit(self: &Arc<Self>, client: SocketAddr, origin: Option<&str>) -> Result<Admitted, Refusal> {
        let origin = origin.filter(|origin| self.origins.allow(origin)).ok_or(Refusal::Origin)?.to_owned();
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.sessions >= self.limits.sessions {
            return Err(Refusal::Full);
        }
        let of_client = clients.of.entry(network(client.ip())).or_default();
        if *of_client >= self.limits.sessions_of_client {
            return Err(Refusal::Client);
        }
        *of_client += 1;
        clients.sessions += 1;
        Ok(Admitted { client, origin, admission: Arc::clone(self) })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut clients = self.admission.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.sessions -= 1;
        if let Entry::Occupied(mut entry) = clients.of.entry(network(self.client.ip())) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// One client: of IPv6 the network, as a client has all of its addresses.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(sessions: u32, sessions_of_client: u32) -> Arc<Admission> {
        let limits = Limits { sessions, sessions_of_client, ..Limits::default() };
        Arc::new(Admission::new("https://a.example".parse().unwrap(), limits))
    }

    fn admit(admission: &Arc<Admission>, client: &str) -> Result<Admitted, Refusal> {
        admission.admit(client.parse().unwrap(), Some("https://a.example"))
    }

    #[test]
    fn an_origin_that_is_missing_or_another_is_refused() {
        let admission = admission(10, 10);
        let client = "192.0.2.1:5".parse().unwrap();
        for origin in [None, Some("null"), Some("https://b.example"), Some("")] {
            assert_eq!(admission.admit(client, origin).unwrap_err(), Refusal::Origin, "{origin:?}");
        }
        assert_eq!(admission.admit(client, Some("https://a.example")).unwrap().origin, "https://a.example");
    }

    #[test]
    fn a_client_has_so_many_sessions_and_gets_them_back() {
        let admission = admission(10, 2);
        let held = [admit(&admission, "192.0.2.1:1"), admit(&admission, "[::ffff:192.0.2.1]:2")];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(admit(&admission, "192.0.2.1:3").unwrap_err(), Refusal::Client);
        assert!(admit(&admission, "192.0.2.2:3").is_ok(), "another client");
        drop(held);
        assert!(admit(&admission, "192.0.2.1:3").is_ok());
        assert!(
            admission.clients.lock().unwrap().of.is_empty(),
            "nothing is kept of clients without sessions"
        );
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_client() {
        let admission = admission(10, 1);
        let _held = admit(&admission, "[2001:db8:0:1::1]:1").unwrap();
        assert_eq!(admit(&admission, "[2001:db8:0:1:ffff::9]:1").unwrap_err(), Refusal::Client);
        assert!(admit(&admission, "[2001:db8:0:2::1]:1").is_ok());
    }

    #[test]
    fn there_are_so_many_sessions_altogether() {
        let admission = admission(2, 2);
        let _held = [admit(&admission, "192.0.2.1:1").unwrap(), admit(&admission, "192.0.2.2:1").unwrap()];
        assert_eq!(admit(&admission, "192.0.2.3:1").unwrap_err(), Refusal::Full);
    }
}
