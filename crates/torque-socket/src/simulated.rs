//! A bad network for trying things out: every datagram, out and in, passes a simulated link.

use std::collections::HashMap;
use std::net::IpAddr;

use torque_proto::{Address, Instant, Transmits};
use torque_sim::{Link, LinkConfig};

/// Paths to more remotes than this are forgotten, those first on which nothing is under way.
const MAX_PATHS: usize = 4_096;

/// One link each way for every remote, so that a rate limit is one of the path.
pub(crate) struct Simulated {
    config: LinkConfig,
    seed: u64,
    paths: HashMap<Address, Path>,
}

struct Path {
    out: Link,
    back: Link,
    local: Option<IpAddr>,
}

impl Simulated {
    pub(crate) fn new(config: LinkConfig, seed: u64) -> Self {
        Self { config, seed, paths: HashMap::new() }
    }

    fn path(&mut self, remote: Address) -> &mut Path {
        if self.paths.len() >= MAX_PATHS && !self.paths.contains_key(&remote) {
            self.paths
                .retain(|_, path| path.out.next_delivery().is_some() || path.back.next_delivery().is_some());
            if self.paths.len() >= MAX_PATHS {
                self.paths.clear();
            }
        }
        let (config, seed) = (self.config, &mut self.seed);
        self.paths.entry(remote).or_insert_with(|| {
            *seed = seed.wrapping_add(2);
            Path { out: Link::new(config, *seed), back: Link::new(config, seed.wrapping_add(1)), local: None }
        })
    }

    /// Takes everything that is to be sent.
    pub(crate) fn take(&mut self, now: Instant, transmits: &mut Transmits) {
        for transmit in transmits.iter() {
            self.path(transmit.remote).out.push(now, transmit.bytes);
        }
        transmits.clear();
    }

    /// Takes a datagram that came.
    pub(crate) fn take_received(
        &mut self,
        now: Instant,
        remote: Address,
        local: Option<IpAddr>,
        bytes: &[u8],
    ) {
        let path = self.path(remote);
        path.local = local;
        path.back.push(now, bytes);
    }

    /// What leaves now.
    pub(crate) fn departures(&mut self, now: Instant, mut give: impl FnMut(Address, &[u8])) {
        for (remote, path) in &mut self.paths {
            while let Some(datagram) = path.out.poll(now) {
                give(*remote, &datagram);
            }
        }
    }

    /// What arrives now.
    pub(crate) fn arrivals(
        &mut self,
        now: Instant,
        mut give: impl FnMut(Address, Option<IpAddr>, &mut [u8]),
    ) {
        for (remote, path) in &mut self.paths {
            while let Some(mut datagram) = path.back.poll(now) {
                give(*remote, path.local, &mut datagram);
            }
        }
    }

    /// When something next leaves or arrives.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.paths
            .values()
            .flat_map(|path| [path.out.next_delivery(), path.back.next_delivery()])
            .flatten()
            .min()
    }
}
