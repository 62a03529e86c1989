//! Quotas: a limit for all clients together, and one for each (GATEWAY.md 4.3).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::metrics::Refusal;
use crate::policy::client::{network, site};

/// The limit of a site, in limits of one client: an IPv6 client may have many networks.
const SITE_TIMES: usize = 4;
/// The part of the total that a site may use, if that is less.
const SITE_PART: usize = 4;

/// A number of permits, of which each client may hold some.
#[derive(Debug)]
pub struct Quota {
    total: usize,
    per_client: usize,
    per_site: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    networks: HashMap<IpAddr, usize>,
    sites: HashMap<IpAddr, usize>,
}

/// The limit that was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum QuotaError {
    /// The limit of all clients together.
    Full,
    /// The limit of this client.
    Client,
}

impl From<QuotaError> for Refusal {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Full => Self::Full,
            QuotaError::Client => Self::Client,
        }
    }
}

/// One unit of a quota. Dropping it gives the unit back.
#[derive(Debug)]
pub struct Permit {
    client: IpAddr,
    quota: Arc<Quota>,
}

impl Quota {
    /// A limit of `total`, at most `per_client` of them to one client.
    pub fn new(total: usize, per_client: usize) -> Arc<Self> {
        let per_site = per_client.saturating_mul(SITE_TIMES).min((total / SITE_PART).max(per_client));
        Arc::new(Self { total, per_client, per_site, used: Mutex::default() })
    }

    /// Takes a permit for a client.
    pub fn take(self: &Arc<Self>, client: IpAddr) -> Result<Permit, QuotaError> {
        let mut used = self.used();
        if used.total >= self.total {
            return Err(QuotaError::Full);
        }
        if !used.is_below(client, self.per_client, self.per_site) {
            return Err(QuotaError::Client);
        }
        *used.networks.entry(network(client)).or_default() += 1;
        *used.sites.entry(site(client)).or_default() += 1;
        used.total += 1;
        Ok(Permit { client, quota: Arc::clone(self) })
    }

    /// Returns whether half of the total is used, or half of what this client may use. The rest is reserved for clients that
    /// have proven their address, because forged addresses could use up everything.
    pub fn is_crowded(&self, client: IpAddr) -> bool {
        let used = self.used();
        let half = |limit: usize| limit.div_ceil(2);
        used.total >= half(self.total) || !used.is_below(client, half(self.per_client), half(self.per_site))
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    /// Returns whether a client uses less than `per_client`, and its site less than `per_site`.
    fn is_below(&self, client: IpAddr, per_client: usize, per_site: usize) -> bool {
        let count = |of: &HashMap<_, _>, key| of.get(&key).copied().unwrap_or_default();
        count(&self.networks, network(client)) < per_client && count(&self.sites, site(client)) < per_site
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut used = self.quota.used();
        used.total -= 1;
        give_back(&mut used.networks, network(self.client));
        give_back(&mut used.sites, site(self.client));
    }
}

/// Counts one less. Clients without permits leave no entry.
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

    fn take(quota: &Arc<Quota>, client: &str) -> Result<Permit, QuotaError> {
        quota.take(client.parse().unwrap())
    }

    #[test]
    fn a_client_has_a_limit_and_gives_permits_back() {
        let quota = Quota::new(10, 2);
        let held = [take(&quota, "192.0.2.1"), take(&quota, "::ffff:192.0.2.1")];
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(take(&quota, "192.0.2.1").unwrap_err(), QuotaError::Client);
        assert!(quota.is_crowded("192.0.2.1".parse().unwrap()));
        assert!(!quota.is_crowded("192.0.2.2".parse().unwrap()));
        assert!(take(&quota, "192.0.2.2").is_ok(), "another client");
        drop(held);
        assert!(take(&quota, "192.0.2.1").is_ok());
        assert!(quota.used.lock().unwrap().networks.is_empty(), "clients without permits leave no entry");
    }

    #[test]
    fn half_of_each_limit_is_reserved_for_proven_addresses() {
        let quota = Quota::new(100, 10);
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        // Forges the client's address as often as that works.
        let forged = |client| -> Vec<_> {
            (0..1_000).filter(|_| !quota.is_crowded(client)).filter_map(|_| quota.take(client).ok()).collect()
        };
        let forged_for_one = forged(one);
        assert_eq!(forged_for_one.len(), 5);
        assert!(quota.take(one).is_ok() && !quota.is_crowded(other));
        let forged_for_all: Vec<_> =
            (2..250).flat_map(|n| forged(format!("192.0.2.{n}").parse().unwrap())).collect();
        assert_eq!(forged_for_one.len() + forged_for_all.len(), 50);
        assert!(quota.take("198.51.100.1".parse().unwrap()).is_ok());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_client() {
        let quota = Quota::new(10, 1);
        let _held = take(&quota, "2001:db8:0:1::1").unwrap();
        assert_eq!(take(&quota, "2001:db8:0:1:ffff::9").unwrap_err(), QuotaError::Client);
        assert!(take(&quota, "2001:db8:0:2::1").is_ok());
    }

    #[test]
    fn an_ipv6_site_has_the_limit_of_four_clients() {
        let quota = Quota::new(100, 2);
        let held: Vec<_> =
            (0..100).filter_map(|n| take(&quota, &format!("2001:db8:0:{n:x}::1")).ok()).collect();
        assert_eq!(held.len(), 8);
        assert_eq!(take(&quota, "2001:db8:0:ffff::1").unwrap_err(), QuotaError::Client);
        assert!(quota.is_crowded("2001:db8:0:ffff::1".parse().unwrap()));
        assert!(take(&quota, "2001:db8:1::1").is_ok(), "another site");
        drop(held);
        assert!(take(&quota, "2001:db8:0:ffff::1").is_ok());
        assert!(quota.used.lock().unwrap().sites.is_empty());
    }

    #[test]
    fn a_site_has_at_most_a_quarter_but_no_less_than_a_client() {
        for (total, per_client, per_site) in [(1_000, 128, 250), (100, 30, 30), (2, 2, 2)] {
            let quota = Quota::new(total, per_client);
            let held: Vec<_> =
                (0..1_000).filter_map(|n| take(&quota, &format!("2001:db8:0:{n:x}::1")).ok()).collect();
            assert_eq!(held.len(), per_site);
        }
    }

    #[test]
    fn the_total_is_a_limit_for_all_clients() {
        let quota = Quota::new(2, 2);
        let _held = [take(&quota, "192.0.2.1").unwrap(), take(&quota, "192.0.2.2").unwrap()];
        assert_eq!(take(&quota, "192.0.2.3").unwrap_err(), QuotaError::Full);
        assert!(quota.is_crowded("192.0.2.3".parse().unwrap()));
        assert!(quota.used.lock().unwrap().networks.len() == 2, "refused clients are not counted");
    }
}
