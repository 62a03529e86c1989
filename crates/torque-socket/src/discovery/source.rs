//! The sources of questions, and the budget of each.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use torque_proto::Address;

/// Sources whose budgets are remembered before those are forgotten that are full again.
const PRUNE_AT: usize = 256;

/// One source of datagrams: an IPv4 address, or an IPv6 /64, all of whose addresses one machine may have. A link-local
/// address counts by itself: all machines of a network share that prefix, and nobody else reaches them by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Source {
    Ip(IpAddr),
    Other(Option<u64>),
}

impl Source {
    pub(super) fn of(remote: Address) -> Self {
        match remote.socket_addr().map(|address| address.ip()) {
            Some(IpAddr::V6(ip)) if !ip.is_unicast_link_local() => {
                Self::Ip(Ipv6Addr::from(ip.to_bits() >> 64 << 64).into())
            }
            Some(ip) => Self::Ip(ip),
            None => Self::Other(remote.virtual_number()),
        }
    }
}

/// A limit on answers: a burst, and a rate in the long run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) burst: u32,
    pub(super) per_second: u32,
}

/// The unused part of a rate.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    rate: Rate,
    left: f64,
    counted_at: Instant,
}

impl Budget {
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, left: rate.burst.into(), counted_at: now }
    }

    /// Returns whether there may be one now.
    pub(super) fn has_any(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.counted_at).as_secs_f64();
        self.left = (self.left + since * f64::from(self.rate.per_second)).min(self.rate.burst.into());
        self.counted_at = now;
        self.left >= 1.0
    }

    pub(super) fn spend(&mut self) {
        self.left -= 1.0;
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.has_any(now) && self.left >= self.rate.burst.into()
    }
}

/// A budget for all, and a smaller one for each source, so that no source uses up what is there for the others.
#[derive(Clone, Debug)]
pub(super) struct Budgets {
    all: Budget,
    of_each: Rate,
    /// Budgets of sources that were answered lately. The rate for all bounds their number.
    sources: HashMap<Source, Budget>,
}

impl Budgets {
    pub(super) fn new(all: Rate, of_each: Rate) -> Self {
        Self { all: Budget::new(all, Instant::now()), of_each, sources: HashMap::new() }
    }

    /// Returns whether `source` may be given one now, and counts it if so.
    pub(super) fn spend(&mut self, source: Source, now: Instant) -> bool {
        if !self.all.has_any(now) {
            return false;
        }
        if self.sources.len() >= PRUNE_AT {
            self.sources.retain(|_, budget| !budget.is_full(now));
        }
        let own = self.sources.entry(source).or_insert_with(|| Budget::new(self.of_each, now));
        if !own.has_any(now) {
            return false;
        }
        own.spend();
        self.all.spend();
        true
    }

    #[cfg(test)]
    pub(super) fn sources(&self) -> usize {
        self.sources.len()
    }
}
