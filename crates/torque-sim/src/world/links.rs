//! The links of a world, and which of them delivers next.

use std::collections::{BTreeMap, BTreeSet};

use torque_netem::{Link, LinkConfig, LinkStats};
use torque_proto::Instant;

use super::networks::Route;

/// Links by route, so that datagrams under way survive a change of address.
#[derive(Default)]
pub(super) struct Links {
    links: BTreeMap<Route, Link>,
    /// The next delivery of each link that has one. A party that tries thousands of ports has as many links.
    deliveries: BTreeSet<(Instant, Route)>,
}

impl Links {
    /// Sends a datagram on the link of a route, which begins with this behaviour and seed.
    pub(super) fn push(
        &mut self,
        now: Instant,
        route: Route,
        bytes: &[u8],
        config: LinkConfig,
        seed: impl FnOnce() -> u64,
    ) {
        let link = self.links.entry(route).or_insert_with(|| Link::new(config, seed()));
        let before = link.next_delivery();
        link.push(now, bytes);
        plan(&mut self.deliveries, route, before, link);
    }

    /// The time of the next delivery.
    pub(super) fn next_delivery(&self) -> Option<Instant> {
        self.deliveries.first().map(|(due, _)| *due)
    }

    /// The next datagram that has arrived by `now`.
    pub(super) fn poll(&mut self, now: Instant) -> Option<(Route, Vec<u8>)> {
        let &(due, route) = self.deliveries.first().filter(|(due, _)| *due <= now)?;
        let link = self.links.get_mut(&route)?;
        let bytes = link.poll(now)?;
        plan(&mut self.deliveries, route, Some(due), link);
        Some((route, bytes))
    }

    /// The counters of a route's link.
    pub(super) fn stats(&self, route: Route) -> LinkStats {
        self.links.get(&route).map(Link::stats).unwrap_or_default()
    }

    /// Changes the behaviour of all links.
    pub(super) fn reconfigure(&mut self, config: impl Fn(Route) -> LinkConfig) {
        for (route, link) in &mut self.links {
            link.set_config(config(*route));
        }
    }
}

fn plan(deliveries: &mut BTreeSet<(Instant, Route)>, route: Route, before: Option<Instant>, link: &Link) {
    let after = link.next_delivery();
    if before == after {
        return;
    }
    if let Some(due) = before {
        deliveries.remove(&(due, route));
    }
    deliveries.extend(after.map(|due| (due, route)));
}
