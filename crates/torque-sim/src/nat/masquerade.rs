//! Masquerading as Linux does it: ports are preserved, and each entry is for both ends.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use torque_netem::SimRng;
use torque_proto::Instant;

use super::{Translate, ports};

/// How long a router that rejects remembers what it did not expect.
const REMEMBERS_REJECTED: Duration = Duration::from_secs(30);

/// The behaviour of a Linux router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Masquerade {
    /// Whether it rejects unexpected datagrams instead of dropping them. Then it remembers each of them for 30 seconds as a flow to
    /// itself: the port is taken when an inside address sends to where that datagram came from, and that flow gets another port.
    pub rejects: bool,
    /// The time without outgoing datagrams after which it forgets an entry.
    pub idle: Duration,
}

impl Masquerade {
    /// A router that forgets after a minute.
    pub const fn new(rejects: bool) -> Self {
        Self { rejects, idle: Duration::from_secs(60) }
    }
}

#[derive(Debug)]
struct Entry {
    inside: SocketAddr,
    used: Instant,
}

/// A router at work.
#[derive(Debug)]
pub(super) struct Masquerading {
    config: Masquerade,
    address: IpAddr,
    rng: SimRng,
    /// By outside port and remote address.
    entries: BTreeMap<(u16, SocketAddr), Entry>,
    /// By inside and remote address.
    port_of: BTreeMap<(SocketAddr, SocketAddr), u16>,
    rejected: BTreeMap<(u16, SocketAddr), Instant>,
    preserves: bool,
    /// Nothing ends before.
    first_end: Instant,
}

impl Masquerading {
    pub(super) fn new(config: Masquerade, address: IpAddr, rng: SimRng) -> Self {
        Self {
            config,
            address,
            rng,
            entries: BTreeMap::new(),
            port_of: BTreeMap::new(),
            rejected: BTreeMap::new(),
            preserves: true,
            first_end: Instant::ZERO,
        }
    }

    fn forget_old(&mut self, now: Instant) {
        if now < self.first_end {
            return;
        }
        let Self { config, entries, port_of, rejected, first_end, .. } = self;
        // What begins from now on ends later.
        *first_end = now + config.idle.min(REMEMBERS_REJECTED);
        entries.retain(|(_, remote), entry| {
            let end = entry.used + config.idle;
            if end <= now {
                port_of.remove(&(entry.inside, *remote));
            } else {
                *first_end = end.min(*first_end);
            }
            now < end
        });
        rejected.retain(|_, at| {
            let end = *at + REMEMBERS_REJECTED;
            if now < end {
                *first_end = end.min(*first_end);
            }
            now < end
        });
    }
}

impl Translate for Masquerading {
    fn outward(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> SocketAddr {
        self.forget_old(now);
        let Self { rng, entries, port_of, rejected, preserves, .. } = self;
        let port = *port_of.entry((from, to)).or_insert_with(|| {
            let is_free =
                |port: &u16| !entries.contains_key(&(*port, to)) && !rejected.contains_key(&(*port, to));
            let preserved = Some(from.port()).filter(|port| *preserves && is_free(port));
            preserved.unwrap_or_else(|| {
                loop {
                    let port = ports::any(rng);
                    if is_free(&port) {
                        break port;
                    }
                }
            })
        });
        entries.insert((port, to), Entry { inside: from, used: now });
        SocketAddr::new(self.address, port)
    }

    fn inward(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let inside = self.inside(now, from, to);
        if inside.is_none() && self.config.rejects {
            self.rejected.insert((to.port(), from), now);
        }
        inside
    }

    fn inside(&self, now: Instant, from: SocketAddr, to: SocketAddr) -> Option<SocketAddr> {
        let entry = self.entries.get(&(to.port(), from))?;
        (now.saturating_since(entry.used) < self.config.idle).then_some(entry.inside)
    }

    fn restart(&mut self) {
        self.entries.clear();
        self.port_of.clear();
        self.rejected.clear();
        self.preserves = false;
    }
}
