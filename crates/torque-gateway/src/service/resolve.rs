//! Resolves names for pages, which have no resolver (GATEWAY.md 3, open).

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::policy::client::site;
use crate::service::udp::local_towards;
use crate::session::opening::{Found, MAX_ADDRESSES};
use crate::weak_map::WeakMap;

/// The time that a name may take, waiting included.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most look-ups at a time. Others wait.
const AT_ONCE: usize = 32;
/// The same for one client, so that its slow names do not make others wait.
const OF_CLIENT_AT_ONCE: usize = 4;

/// A look-up by the operating system, which may take long.
type LookUp = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

/// Resolves names, a bounded number at a time.
#[derive(Debug)]
pub struct Resolver {
    look_up: LookUp,
    all: Arc<Semaphore>,
    clients: WeakMap<IpAddr, Semaphore>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(|host, port| Ok((host, port).to_socket_addrs()?.collect()))
    }
}

impl Resolver {
    fn new(look_up: LookUp) -> Self {
        Self { look_up, all: Arc::new(Semaphore::new(AT_ONCE)), clients: WeakMap::default() }
    }

    /// The resolver for the pages of one client.
    pub fn of_client(&self, client: IpAddr) -> ClientResolver {
        let of_client = self.clients.of(site(client), || Semaphore::new(OF_CLIENT_AT_ONCE));
        ClientResolver { look_up: self.look_up, all: Arc::clone(&self.all), of_client }
    }
}

/// Resolves names for one client.
#[derive(Debug, Clone)]
pub struct ClientResolver {
    look_up: LookUp,
    all: Arc<Semaphore>,
    of_client: Arc<Semaphore>,
}

impl ClientResolver {
    /// The addresses of a host, best first. None if the name has none, or the look-up takes too long.
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
        let Some(permits) = self.permits().await else { return Vec::new() };
        let (look_up, host) = (self.look_up, host.to_owned());
        let looking = tokio::task::spawn_blocking(move || {
            // The look-up goes on when nobody waits for it, and counts until it is done.
            let _permits = permits;
            look_up(&host, port).unwrap_or_default()
        });
        looking.await.unwrap_or_default()
    }

    /// One permit of the client, and then one of all, so that a client never holds more than its share.
    async fn permits(&self) -> Option<[OwnedSemaphorePermit; 2]> {
        let of_client = Arc::clone(&self.of_client).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some([of_client, of_all])
    }
}

#[cfg(test)]
mod tests;
