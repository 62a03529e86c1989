//! A simulated network for a real socket: each datagram, out and in, passes a link.

use alloc::vec::Vec;

use torque_proto::{Instant, Path, Transmit, Transmits};

use crate::link::{Link, LinkConfig};

/// The most remotes with a path. Beyond it, paths are forgotten, first those with nothing under way.
const MAX_PATHS: usize = 4_096;

/// A link each way for every remote, so that a rate limit belongs to one path. A driver puts it between its endpoint
/// and its carrier.
#[derive(Debug)]
pub struct SimulatedPaths {
    config: LinkConfig,
    seed: u64,
    /// Sorted by remote address and local port. There are few, and a map would add much code to a page.
    paths: Vec<Simulated>,
}

/// A path and its links.
#[derive(Debug)]
struct Simulated {
    /// With the local address that the other side knows.
    path: Path,
    out: Link,
    back: Link,
}

impl Simulated {
    /// The time of the next departure or arrival.
    fn next(&self) -> Option<Instant> {
        [self.out.next_delivery(), self.back.next_delivery()].into_iter().flatten().min()
    }
}

impl SimulatedPaths {
    /// Paths with the same behaviour, which draw their chances from `seed`.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self { config, seed, paths: Vec::new() }
    }

    /// Changes the behaviour of all paths. Datagrams under way arrive as planned.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
        for path in &mut self.paths {
            path.out.set_config(config);
            path.back.set_config(config);
        }
    }

    fn path(&mut self, path: Path) -> &mut Simulated {
        let key = |path: &Path| (path.remote, path.port);
        let find = |known: &Simulated| key(&known.path);
        let mut place = self.paths.binary_search_by_key(&key(&path), find);
        if place.is_err() && self.paths.len() >= MAX_PATHS {
            self.paths.retain(|path| path.next().is_some());
            if self.paths.len() >= MAX_PATHS {
                self.paths.clear();
            }
            place = self.paths.binary_search_by_key(&key(&path), find);
        }
        let at = place.unwrap_or_else(|at| {
            self.seed = self.seed.wrapping_add(2);
            let (out, back) =
                (Link::new(self.config, self.seed), Link::new(self.config, self.seed.wrapping_add(1)));
            self.paths.insert(at, Simulated { path: Path { local: None, ..path }, out, back });
            at
        });
        let simulated = &mut self.paths[at];
        simulated.path = Path { local: path.local.or(simulated.path.local), ..path };
        simulated
    }

    /// Takes all datagrams that wait to be sent.
    pub fn take(&mut self, now: Instant, transmits: &mut Transmits) {
        for transmit in transmits.iter() {
            self.path(transmit.path).out.push_with_hop_limit(now, transmit.bytes, transmit.hop_limit);
        }
        transmits.clear();
    }

    /// Takes a received datagram.
    pub fn take_received(&mut self, now: Instant, path: Path, bytes: &[u8]) {
        self.path(path).back.push(now, bytes);
    }

    /// Passes each datagram that leaves now to `give`.
    pub fn departures(&mut self, now: Instant, mut give: impl FnMut(Transmit<'_>)) {
        for Simulated { path, out, .. } in &mut self.paths {
            while let Some((datagram, hop_limit)) = out.poll_with_hop_limit(now) {
                give(Transmit { path: *path, hop_limit, bytes: &datagram });
            }
        }
    }

    /// Passes each datagram that arrives now to `give`, with its path.
    pub fn arrivals(&mut self, now: Instant, mut give: impl FnMut(Path, &mut [u8])) {
        for Simulated { path, back, .. } in &mut self.paths {
            while let Some(mut datagram) = back.poll(now) {
                give(*path, &mut datagram);
            }
        }
    }

    /// The time of the next departure or arrival.
    pub fn deadline(&self) -> Option<Instant> {
        self.paths.iter().filter_map(Simulated::next).min()
    }
}

#[cfg(test)]
mod tests;
