//! Places that are taken and given back: so many altogether, and so many for one client (GATEWAY.md 4.3).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// A bounded number of places.
#[derive(Debug)]
pub struct Places {
    altogether: usize,
    of_client: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    altogether: usize,
    of: HashMap<IpAddr, usize>,
}

/// Why there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoPlace {
    /// All are taken.
    Full,
    /// This client has as many as it may.
    Client,
}

/// A place, as long as this lives.
#[derive(Debug)]
pub struct Place {
    client: IpAddr,
    places: Arc<Places>,
}

impl Places {
    /// So many, of which one client may have so many.
    pub fn new(altogether: usize, of_client: usize) -> Arc<Self> {
        Arc::new(Self { altogether, of_client, taken: Mutex::default() })
    }

    /// Takes one for a client.
    pub fn take(self: &Arc<Self>, client: IpAddr) -> Result<Place, NoPlace> {
        let client = network(client);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.altogether >= self.altogether {
            return Err(NoPlace::Full);
        }
        let of_client = taken.of.get(&client).copied().unwrap_or_default();
        if of_client >= self.of_client {
            return Err(NoPlace::Client);
        }
        taken.of.insert(client, of_client + 1);
        taken.altogether += 1;
        Ok(Place { client, places: Arc::clone(self) })
    }

    /// Whether fewer than half of all are left, or none for this client.
    pub fn is_crowded(&self, client: IpAddr) -> bool {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.altogether > self.altogether / 2
            || taken.of.get(&network(client)).is_some_and(|count| *count >= self.of_client)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.altogether -= 1;
        if let Entry::Occupied(mut entry) = taken.of.entry(self.client) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// One client: of IPv6 the network, as a client has all of its addresses.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Arc<Places>, client: &str) -> Result<Place, NoPlace> {
        places.take(client.parse().unwrap())
    }

    #[test]
    fn a_client_has_so_many_places_and_gives_them_back() {
        let places = Places::new(10, 2);
        let held = [take(&places, "192.0.2.1"), take(&places, "::ffff:192.0.2.1")];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(take(&places, "192.0.2.1").unwrap_err(), NoPlace::Client);
        assert!(places.is_crowded("192.0.2.1".parse().unwrap()));
        assert!(!places.is_crowded("192.0.2.2".parse().unwrap()));
        assert!(take(&places, "192.0.2.2").is_ok(), "another client");
        drop(held);
        assert!(take(&places, "192.0.2.1").is_ok());
        assert!(places.taken.lock().unwrap().of.is_empty(), "nothing is kept of clients without places");
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_client() {
        let places = Places::new(10, 1);
        let _held = take(&places, "2001:db8:0:1::1").unwrap();
        assert_eq!(take(&places, "2001:db8:0:1:ffff::9").unwrap_err(), NoPlace::Client);
        assert!(take(&places, "2001:db8:0:2::1").is_ok());
    }

    #[test]
    fn there_are_so_many_places_altogether() {
        let places = Places::new(2, 2);
        let _held = [take(&places, "192.0.2.1").unwrap(), take(&places, "192.0.2.2").unwrap()];
        assert_eq!(take(&places, "192.0.2.3").unwrap_err(), NoPlace::Full);
        assert!(places.is_crowded("192.0.2.3".parse().unwrap()));
        assert!(places.taken.lock().unwrap().of.len() == 2, "who was refused is not counted");
    }
}
