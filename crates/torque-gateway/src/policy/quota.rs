//! Quota that are taken and given back: so many altogether, and so many for one client (GATEWAY.md 4.3).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::Refusal;
use crate::policy::client::{network, site};

/// The places of a site, in those of one client: an IPv6 client may have many networks.
const SITE_TIMES: usize = 4;
/// The part of all places that a site may have, if that is less.
const SITE_PART: usize = 4;

/// A bounded number of places.
#[derive(Debug)]
pub struct Quota {
    altogether: usize,
    of_client: usize,
    of_site: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    altogether: usize,
    of_networks: HashMap<IpAddr, usize>,
    of_sites: HashMap<IpAddr, usize>,
}

/// Why there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuotaError {
    /// All are taken.
    Full,
    /// This client has as many as it may.
    Client,
}

impl From<QuotaError> for Refusal {
    fn from(why: QuotaError) -> Self {
        match why {
            QuotaError::Full => Self::Full,
            QuotaError::Client => Self::Client,
        }
    }
}

/// A place, as long as this lives.
#[derive(Debug)]
pub struct Permit {
    client: IpAddr,
    places: Arc<Quota>,
}

impl Quota {
    /// So many, of which one client may have so many.
    pub fn new(altogether: usize, of_client: usize) -> Arc<Self> {
        let of_site = of_client.saturating_mul(SITE_TIMES).min((altogether / SITE_PART).max(of_client));
        Arc::new(Self { altogether, of_client, of_site, taken: Mutex::default() })
    }

    /// Takes one for a client.
    pub fn take(self: &Arc<Self>, client: IpAddr) -> Result<Permit, QuotaError> {
        let mut taken = self.taken();
        if taken.altogether >= self.altogether {
            return Err(QuotaError::Full);
        }
        if !taken.has_less(client, self.of_client, self.of_site) {
            return Err(QuotaError::Client);
        }
        *taken.of_networks.entry(network(client)).or_default() += 1;
        *taken.of_sites.entry(site(client)).or_default() += 1;
        taken.altogether += 1;
        Ok(Permit { client, places: Arc::clone(self) })
    }

    /// Whether half of all are taken, or half of this client's. The rest is for clients who have proven their address: somebody
    /// who forges it could take all that they have.
    pub fn is_crowded(&self, client: IpAddr) -> bool {
        let taken = self.taken();
        let half = |places: usize| places.div_ceil(2);
        taken.altogether >= half(self.altogether)
            || !taken.has_less(client, half(self.of_client), half(self.of_site))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Whether a client has less than so many, and its site less than so many.
    fn has_less(&self, client: IpAddr, of_client: usize, of_site: usize) -> bool {
        let count = |of: &HashMap<_, _>, key| of.get(&key).copied().unwrap_or_default();
        count(&self.of_networks, network(client)) < of_client && count(&self.of_sites, site(client)) < of_site
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.altogether -= 1;
        give_back(&mut taken.of_networks, network(self.client));
        give_back(&mut taken.of_sites, site(self.client));
    }
}

/// One less; nothing is kept of who has none.
fn give_back(of: &mut HashMap<IpAddr, usize>, key: IpAddr) {
    if let Entry::Occupied(mut entry) = of.entry(key) {
        *entry.get_mut() -= 1;
        if *entry.get() == 0 {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Arc<Quota>, client: &str) -> Result<Permit, QuotaError> {
        places.take(client.parse().unwrap())
    }

    #[test]
    fn a_client_has_so_many_places_and_gives_them_back() {
        let places = Quota::new(10, 2);
        let held = [take(&places, "192.0.2.1"), take(&places, "::ffff:192.0.2.1")];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(take(&places, "192.0.2.1").unwrap_err(), QuotaError::Client);
        assert!(places.is_crowded("192.0.2.1".parse().unwrap()));
        assert!(!places.is_crowded("192.0.2.2".parse().unwrap()));
        assert!(take(&places, "192.0.2.2").is_ok(), "another client");
        drop(held);
        assert!(take(&places, "192.0.2.1").is_ok());
        assert!(
            places.taken.lock().unwrap().of_networks.is_empty(),
            "nothing is kept of clients without places"
        );
    }

    #[test]
    fn half_of_all_places_and_of_a_clients_are_for_addresses_that_are_proven() {
        let places = Quota::new(100, 10);
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        // As if somebody forged the client's address, as often as that is believed.
        let forged = |client| -> Vec<_> {
            (0..1_000)
                .filter(|_| !places.is_crowded(client))
                .filter_map(|_| places.take(client).ok())
                .collect()
        };
        let forged_for_one = forged(one);
        assert_eq!(forged_for_one.len(), 5);
        assert!(places.take(one).is_ok() && !places.is_crowded(other));
        let everybodys: Vec<_> =
            (2..250).flat_map(|n| forged(format!("192.0.2.{n}").parse().unwrap())).collect();
        assert_eq!(forged_for_one.len() + everybodys.len(), 50);
        assert!(places.take("198.51.100.1".parse().unwrap()).is_ok());
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_client() {
        let places = Quota::new(10, 1);
        let _held = take(&places, "2001:db8:0:1::1").unwrap();
        assert_eq!(take(&places, "2001:db8:0:1:ffff::9").unwrap_err(), QuotaError::Client);
        assert!(take(&places, "2001:db8:0:2::1").is_ok());
    }

    #[test]
    fn all_networks_of_an_ipv6_site_have_the_places_of_four_clients() {
        let places = Quota::new(100, 2);
        let held: Vec<_> =
            (0..100).filter_map(|n| take(&places, &format!("2001:db8:0:{n:x}::1")).ok()).collect();
        assert_eq!(held.len(), 8);
        assert_eq!(take(&places, "2001:db8:0:ffff::1").unwrap_err(), QuotaError::Client);
        assert!(places.is_crowded("2001:db8:0:ffff::1".parse().unwrap()));
        assert!(take(&places, "2001:db8:1::1").is_ok(), "another site");
        drop(held);
        assert!(take(&places, "2001:db8:0:ffff::1").is_ok());
        assert!(places.taken.lock().unwrap().of_sites.is_empty());
    }

    #[test]
    fn a_site_has_a_quarter_of_all_places_at_most_but_no_less_than_a_client() {
        for (altogether, of_client, of_site) in [(1_000, 128, 250), (100, 30, 30), (2, 2, 2)] {
            let places = Quota::new(altogether, of_client);
            let held: Vec<_> =
                (0..1_000).filter_map(|n| take(&places, &format!("2001:db8:0:{n:x}::1")).ok()).collect();
            assert_eq!(held.len(), of_site);
        }
    }

    #[test]
    fn there_are_so_many_places_altogether() {
        let places = Quota::new(2, 2);
        let _held = [take(&places, "192.0.2.1").unwrap(), take(&places, "192.0.2.2").unwrap()];
        assert_eq!(take(&places, "192.0.2.3").unwrap_err(), QuotaError::Full);
        assert!(places.is_crowded("192.0.2.3".parse().unwrap()));
        assert!(places.taken.lock().unwrap().of_networks.len() == 2, "who was refused is not counted");
    }
}
