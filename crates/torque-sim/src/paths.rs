//! A bad network for trying things out: every datagram of a real socket, out and in, passes a simulated link.

use alloc::vec::Vec;
use core::net::IpAddr;

use torque_proto::{Address, Instant, Transmits};

use crate::link::{Link, LinkConfig};

/// Paths to more remotes than this are forgotten, those first on which nothing is under way.
const MAX_PATHS: usize = 4_096;

/// One link each way for every remote, so that a rate limit is one of the path. What a driver puts between its
/// endpoint and its carrier.
#[derive(Debug)]
pub struct SimulatedPaths {
    config: LinkConfig,
    seed: u64,
    /// In the order of addresses. Few, as a rule, and a map would weigh much in a page.
    paths: Vec<(Address, Path)>,
}

#[derive(Debug)]
struct Path {
    out: Link,
    back: Link,
    /// The local address that the other side knows.
    local: Option<IpAddr>,
}

impl Path {
    /// When something next leaves or arrives.
    fn next(&self) -> Option<Instant> {
        [self.out.next_delivery(), self.back.next_delivery()].into_iter().flatten().min()
    }
}

impl SimulatedPaths {
    /// Paths that all do the same, and draw their chances from `seed`.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self { config, seed, paths: Vec::new() }
    }

    /// Makes all paths do something else from now on. What is under way arrives as it would have.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
        for (_, path) in &mut self.paths {
            path.out.set_config(config);
            path.back.set_config(config);
        }
    }

    fn path(&mut self, remote: Address) -> &mut Path {
        let mut place = self.paths.binary_search_by_key(&remote, |(known, _)| *known);
        if place.is_err() && self.paths.len() >= MAX_PATHS {
            self.paths.retain(|(_, path)| path.next().is_some());
            if self.paths.len() >= MAX_PATHS {
                self.paths.clear();
            }
            place = self.paths.binary_search_by_key(&remote, |(known, _)| *known);
        }
        let at = place.unwrap_or_else(|at| {
            self.seed = self.seed.wrapping_add(2);
            let (out, back) =
                (Link::new(self.config, self.seed), Link::new(self.config, self.seed.wrapping_add(1)));
            self.paths.insert(at, (remote, Path { out, back, local: None }));
            at
        });
        &mut self.paths[at].1
    }

    /// Takes everything that is to be sent.
    pub fn take(&mut self, now: Instant, transmits: &mut Transmits) {
        for transmit in transmits.iter() {
            let path = self.path(transmit.remote);
            path.local = transmit.local.or(path.local);
            path.out.push(now, transmit.bytes);
        }
        transmits.clear();
    }

    /// Takes a datagram that came to the local address `local`, where that is known.
    pub fn take_received(&mut self, now: Instant, remote: Address, local: Option<IpAddr>, bytes: &[u8]) {
        let path = self.path(remote);
        path.local = local.or(path.local);
        path.back.push(now, bytes);
    }

    /// Gives what leaves now: where to, from which local address, and the datagram.
    pub fn departures(&mut self, now: Instant, mut give: impl FnMut(Address, Option<IpAddr>, &[u8])) {
        for (remote, path) in &mut self.paths {
            while let Some(datagram) = path.out.poll(now) {
                give(*remote, path.local, &datagram);
            }
        }
    }

    /// Gives what arrives now: where from, at which local address, and the datagram.
    pub fn arrivals(&mut self, now: Instant, mut give: impl FnMut(Address, Option<IpAddr>, &mut [u8])) {
        for (remote, path) in &mut self.paths {
            while let Some(mut datagram) = path.back.poll(now) {
                give(*remote, path.local, &mut datagram);
            }
        }
    }

    /// When something next leaves or arrives.
    pub fn deadline(&self) -> Option<Instant> {
        self.paths.iter().filter_map(|(_, path)| path.next()).min()
    }
}

#[cfg(test)]
mod tests;
