//! Names to addresses, for pages, which have no resolver of their own (GATEWAY.md 3, open).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::opening::{Found, MAX_ADDRESSES};
use crate::udp::local_towards;

/// How long a name may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many names are looked up at a time; others wait.
const AT_ONCE: usize = 32;

/// Looks names up, a bounded number at a time.
#[derive(Debug, Clone)]
pub struct Resolver(Arc<Semaphore>);

impl Default for Resolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Resolver {
    /// The addresses of a host, best first; none if there are none, or they do not come in time.
    pub async fn resolve(&self, host: &str, port: u16) -> Vec<Found> {
        let addresses = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => tokio::time::timeout(PATIENCE, self.look_up(host, port)).await.unwrap_or_default(),
        };
        let mut found: Vec<Found> = Vec::new();
        for address in addresses {
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            if found.len() < MAX_ADDRESSES && found.iter().all(|other| other.address != address) {
                found.push(Found { address, local: local_towards(address) });
            }
        }
        found
    }

    async fn look_up(&self, host: &str, port: u16) -> Vec<SocketAddr> {
        let Ok(_permit) = self.0.acquire().await else { return Vec::new() };
        tokio::net::lookup_host((host, port)).await.map(Iterator::collect).unwrap_or_default()
    }
}
