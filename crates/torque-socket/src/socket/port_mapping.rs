//! A port of this machine's router that leads to a socket, for parties of introductions (INTRODUCTIONS.md 3, kind 2).
//!
//! The router is asked by PCP, by NAT-PMP if it says that it speaks that, and else by UPnP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crab_nat::{
    GatewayAddress, InternetProtocol, PortMappingOptions, PortMappingType, TimeoutConfig, natpmp,
};
use igd_next::PortMappingProtocol::UDP;
use igd_next::SearchOptions;
use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::network::source_to;

/// How long a mapping is to last. It is renewed after half of the time that the router gives.
const LIFETIME: Duration = Duration::from_secs(3_600);
/// The pause after a router has given nothing.
const ASK_AGAIN: Duration = Duration::from_secs(600);
/// How long a router on the local network may take to answer a search.
const SEARCH: Duration = Duration::from_millis(1_500);
/// Searches, before there is no such router: they are multicast, of which wireless networks lose much.
const SEARCHES: usize = 3;
/// How long a socket that closes waits for its mapping to be removed. A mapping that stays ends with its lifetime.
const REMOVAL: Duration = Duration::from_millis(300);
/// Three requests in 1.4 s: routers on the local network answer within a few milliseconds.
const REQUESTS: TimeoutConfig = TimeoutConfig {
    initial_timeout: Duration::from_millis(200),
    max_retries: 2,
    max_retry_timeout: Some(Duration::from_millis(800)),
};

/// Keeps a port of the router mapped to a socket, from a thread beside it, until it is dropped.
pub(crate) struct PortMapping {
    /// Asks anew; the thread ends when this is gone.
    again: Option<UnboundedSender<()>>,
    external: Arc<Mutex<Option<SocketAddr>>>,
    ended: Receiver<()>,
}

impl PortMapping {
    /// Begins to ask for a mapping to a socket that is bound to `bound`, and returns at once. `changed` is called, on another
    /// thread, whenever [`external`](Self::external) has changed.
    ///
    /// `None` if there is nothing to ask for: the socket takes no IPv4 datagrams from other machines.
    pub(crate) fn begin(
        bound: SocketAddr,
        dual_stack: bool,
        changed: impl Fn() + Send + 'static,
    ) -> Option<Self> {
        Self::begin_for(LIFETIME, bound, dual_stack, changed)
    }

    fn begin_for(
        lifetime: Duration,
        bound: SocketAddr,
        dual_stack: bool,
        changed: impl Fn() + Send + 'static,
    ) -> Option<Self> {
        let bound_ip = match bound.ip().to_canonical() {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(ip) if ip.is_unspecified() && dual_stack => Ipv4Addr::UNSPECIFIED,
            IpAddr::V6(_) => return None,
        };
        if bound_ip.is_loopback() {
            return None;
        }
        let wanted = Wanted { bound_ip, port: NonZeroU16::new(bound.port())?, lifetime };
        let external = Arc::new(Mutex::new(None));
        let report = {
            let external = Arc::clone(&external);
            move |new: Option<SocketAddr>| {
                let mut external = external.lock().unwrap_or_else(PoisonError::into_inner);
                if std::mem::replace(&mut *external, new) != new {
                    drop(external);
                    changed();
                }
            }
        };
        let (again, orders) = unbounded_channel();
        let (end, ended) = channel();
        let work = move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(wanted.keep(orders, report));
            }
            drop(end);
        };
        // A machine without room for a thread has no mapping.
        std::thread::Builder::new().name("torque-port-mapping".to_owned()).spawn(work).ok()?;
        Some(Self { again: Some(again), external, ended })
    }

    /// The address at the router from which datagrams come to the socket; `None` as long as there is none.
    pub(crate) fn external(&self) -> Option<SocketAddr> {
        *self.external.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called when this machine's network has changed: there may be another router.
    pub(crate) fn network_changed(&self) {
        if let Some(again) = &self.again {
            // The thread may have ended for want of a runtime.
            let _ = again.send(());
        }
    }
}

impl Drop for PortMapping {
    /// Removes the mapping.
    fn drop(&mut self) {
        self.again = None;
        let _ = self.ended.recv_timeout(REMOVAL);
    }
}

/// The mapping that a socket wants.
#[derive(Clone, Copy)]
struct Wanted {
    bound_ip: Ipv4Addr,
    port: NonZeroU16,
    lifetime: Duration,
}

impl Wanted {
    /// Has a mapping from now on, until `orders` end.
    async fn keep(self, mut orders: UnboundedReceiver<()>, report: impl Fn(Option<SocketAddr>)) {
        let mut mapping: Option<Mapping> = None;
        loop {
            mapping = match mapping.take() {
                Some(old) => old.renewed(self).await,
                None => None,
            };
            if mapping.is_none() {
                mapping = self.ask().await;
            }
            report(mapping.as_ref().map(|mapping| mapping.external));
            let pause = mapping.as_ref().map_or(ASK_AGAIN, |mapping| mapping.lifetime / 2);
            match tokio::time::timeout(pause, orders.recv()).await {
                Err(_) => {}
                // Another router knows nothing of it. The same one may refuse the port while the old mapping lives.
                Ok(Some(())) => {
                    while orders.try_recv().is_ok() {}
                    if let Some(old) = mapping.take() {
                        let _ = tokio::time::timeout(REMOVAL, old.remove()).await;
                    }
                }
                Ok(None) => {
                    if let Some(mapping) = mapping {
                        mapping.remove().await;
                    }
                    return;
                }
            }
        }
    }

    /// Asks the router of the way to the internet, if this machine needs one.
    async fn ask(self) -> Option<Mapping> {
        let router = *netdev::get_default_gateway().ok()?.ipv4.first()?;
        let client = match source_to((router, 9).into(), self.bound_ip.into())?? {
            IpAddr::V4(ip) if is_behind_nat(ip) => ip,
            _ => return None,
        };
        let mapping = match self.ask_by_pcp(router, client).await {
            None => self.ask_by_upnp(router, client).await?,
            Some(mapping) => mapping,
        };
        #[cfg(feature = "tracing")]
        tracing::debug!(external = %mapping.external, "the router has given a port");
        Some(mapping)
    }

    async fn ask_by_pcp(self, router: Ipv4Addr, client: Ipv4Addr) -> Option<Mapping> {
        let options = PortMappingOptions {
            external_port: Some(self.port),
            lifetime_seconds: u32::try_from(self.lifetime.as_secs()).ok(),
            timeout_config: Some(REQUESTS),
        };
        let router = GatewayAddress::IpV4(router);
        let mapping =
            crab_nat::PortMapping::new(router, client.into(), InternetProtocol::Udp, self.port, options)
                .await
                .ok()?;
        Mapping::by_pcp(mapping).await
    }

    async fn ask_by_upnp(self, router: Ipv4Addr, client: Ipv4Addr) -> Option<Mapping> {
        let gateway = search(client).await?;
        // Any machine of the local network can answer a search.
        if gateway.addr.ip() != router {
            return None;
        }
        let ip = gateway.get_external_ip().await.ok()?;
        let local = SocketAddr::from((client, self.port.get()));
        let seconds = u32::try_from(self.lifetime.as_secs()).ok()?;
        // Routers that give none but permanent mappings give none: it would outlive a crash.
        let port = gateway.add_any_port(UDP, local, seconds, DESCRIPTION).await.ok()?;
        let external = usable(ip, port)?;
        Some(Mapping { external, lifetime: self.lifetime, kind: Kind::Upnp { gateway, local } })
    }
}

/// Looks for a router that speaks UPnP.
async fn search(client: Ipv4Addr) -> Option<Gateway<Tokio>> {
    for _ in 0..SEARCHES {
        let mut options = SearchOptions::default();
        options.bind_addr = (client, 0).into();
        options.timeout = Some(SEARCH);
        options.single_search_timeout = Some(SEARCH);
        if let Ok(gateway) = search_gateway(options).await {
            return Some(gateway);
        }
    }
    None
}

/// The words for a mapping in a router's list.
const DESCRIPTION: &str = "TorqueSocket";

/// A mapping that a router has given.
struct Mapping {
    external: SocketAddr,
    lifetime: Duration,
    kind: Kind,
}

/// How the router was asked.
enum Kind {
    Pcp(crab_nat::PortMapping),
    Upnp { gateway: Gateway<Tokio>, local: SocketAddr },
}

impl Mapping {
    /// One by PCP or NAT-PMP.
    async fn by_pcp(mapping: crab_nat::PortMapping) -> Option<Self> {
        let ip = match mapping.mapping_type() {
            PortMappingType::Pcp { external_ip, .. } => external_ip,
            PortMappingType::NatPmp => {
                natpmp::external_address(mapping.gateway(), Some(REQUESTS)).await.ok()?.into()
            }
        };
        Some(Self {
            external: usable(ip, mapping.external_port().get())?,
            lifetime: Duration::from_secs(mapping.lifetime().max(1).into()),
            kind: Kind::Pcp(mapping),
        })
    }

    /// The same mapping for another lifetime, possibly at another address; `None` if the router refuses, or is another one.
    async fn renewed(self, wanted: Wanted) -> Option<Self> {
        match self.kind {
            Kind::Pcp(mut mapping) => {
                mapping.renew().await.ok()?;
                Self::by_pcp(mapping).await
            }
            Kind::Upnp { gateway, local } => {
                let ip = gateway.get_external_ip().await.ok()?;
                let seconds = u32::try_from(wanted.lifetime.as_secs()).ok()?;
                gateway.add_port(UDP, self.external.port(), local, seconds, DESCRIPTION).await.ok()?;
                let external = usable(ip, self.external.port())?;
                Some(Self { external, kind: Kind::Upnp { gateway, local }, ..self })
            }
        }
    }

    async fn remove(self) {
        // A router that does not take it back ends it by itself.
        match self.kind {
            Kind::Pcp(mapping) => drop(mapping.try_drop().await),
            Kind::Upnp { gateway, .. } => drop(gateway.remove_port(UDP, self.external.port()).await),
        }
    }
}

/// The external address, if it is one that datagrams can be sent to.
fn usable(ip: IpAddr, port: u16) -> Option<SocketAddr> {
    (ip.is_ipv4() && !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast() && port != 0)
        .then_some(SocketAddr::new(ip, port))
}

/// Returns whether an address is none of the internet, so that there is a router that translates it.
fn is_behind_nat(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    // 100.64.0.0/10 is for NATs of carriers, and of some routers.
    ip.is_private() || (first == 100 && (64..128).contains(&second))
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
