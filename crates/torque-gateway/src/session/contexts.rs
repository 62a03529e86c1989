//! The contexts of one session: the numbers that stand for remotes, and the state of each remote (GATEWAY.md 2).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::policy::client::network;
use crate::policy::pacing::TargetMeter;
use crate::session::consent::Consent;
use crate::session::sources::Source;
use crate::wire::frame::Prefix;

/// The idle time after which a remote is forgotten.
pub const REMEMBERED: Duration = Duration::from_secs(120);
/// The same for a stranger: its address may be forged, and memory is finite.
pub const STRANGERS_REMEMBERED: Duration = Duration::from_secs(15);

/// A remote of a session.
#[derive(Debug)]
pub struct Remote {
    /// The prefix of its datagrams to the page.
    pub prefix: Prefix,
    context: u32,
    /// Set if the page asked for it, and the operator's list allowed it.
    pub is_asked_for: bool,
    /// Its consent.
    pub consent: Consent,
    /// The budget for sending to it.
    pub meter: TargetMeter,
    /// The network that it writes from, which matters while it is a stranger.
    pub source: Source,
    last_datagram: Instant,
}

impl Remote {
    /// Notes a datagram from the remote.
    pub fn heard(&mut self, bytes: usize, now: Instant) {
        self.last_datagram = now;
        self.consent.heard(bytes, now);
    }

    /// Notes a datagram from the page. It does not prolong the memory of a stranger, which must write itself.
    pub fn addressed(&mut self, now: Instant) {
        if !self.is_stranger(now) {
            self.last_datagram = now;
        }
    }

    /// Returns whether it is a stranger: only datagrams, which may be forged, speak for it.
    pub fn is_stranger(&self, now: Instant) -> bool {
        !self.is_asked_for && !self.consent.is_given(now)
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        let patience = if self.is_stranger(now) { STRANGERS_REMEMBERED } else { REMEMBERED };
        now >= self.last_datagram + patience
    }
}

/// The contexts and remotes of a session.
#[derive(Debug, Default)]
pub struct Contexts {
    /// Several contexts may stand for one remote. The remote uses the newest.
    addresses: HashMap<u32, SocketAddr>,
    remotes: HashMap<SocketAddr, Remote>,
}

impl Contexts {
    /// The number of contexts.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// The address that a context stands for.
    pub fn address(&self, context: u32) -> Option<SocketAddr> {
        self.addresses.get(&context).copied()
    }

    /// The remote that a context stands for, with its address.
    pub fn remote(&mut self, context: u32) -> Option<(SocketAddr, &mut Remote)> {
        let address = *self.addresses.get(&context)?;
        Some((address, self.remotes.get_mut(&address)?))
    }

    /// The remote with an address.
    pub fn at(&mut self, address: SocketAddr) -> Option<&mut Remote> {
        self.remotes.get_mut(&address)
    }

    /// Makes a context stand for an address. `meter` and `source` are called if the remote is new.
    pub fn insert(
        &mut self,
        context: u32,
        address: SocketAddr,
        is_asked_for: bool,
        meter: impl FnOnce() -> TargetMeter,
        source: impl FnOnce() -> Source,
        now: Instant,
    ) -> &mut Remote {
        self.addresses.insert(context, address);
        let remote = self.remotes.entry(address).or_insert_with(|| Remote {
            prefix: Prefix::new(context),
            context,
            is_asked_for,
            consent: Consent::new(now),
            meter: meter(),
            source: source(),
            last_datagram: now,
        });
        remote.prefix = Prefix::new(context);
        remote.context = context;
        remote.is_asked_for |= is_asked_for;
        remote.last_datagram = now;
        remote
    }

    /// Forgets a context, and its remote if no other context stands for it.
    pub fn remove(&mut self, context: u32) {
        let Some(address) = self.addresses.remove(&context) else { return };
        let others = self.addresses.iter().filter(|(_, other)| **other == address);
        // The newest. The gateway gives an address a context, an odd one, only while the page has none for it.
        let other =
            others.map(|(context, _)| *context).max_by_key(|context| (context.is_multiple_of(2), *context));
        match (other, self.remotes.get_mut(&address)) {
            (None, _) => drop(self.remotes.remove(&address)),
            (Some(other), Some(remote)) if remote.context == context => {
                remote.context = other;
                remote.prefix = Prefix::new(other);
            }
            _ => {}
        }
    }

    /// The number of remotes of a [network] that wrote first and have consented.
    pub fn consenting(&self, of: IpAddr, now: Instant) -> usize {
        let is_one = |(address, remote): &(&SocketAddr, &Remote)| {
            !remote.is_asked_for && !remote.is_stranger(now) && network(address.ip()) == of
        };
        self.remotes.iter().filter(is_one).count()
    }

    /// The stranger that makes room for a new one, if the quota is full: the least recently heard one. It comes from the
    /// newcomer's network if that has `most_of_one`, and otherwise, if there are `most`, from the network with the most.
    pub fn displaced(
        &self,
        newcomer: SocketAddr,
        (most, most_of_one): (usize, usize),
        now: Instant,
    ) -> Option<u32> {
        let strangers = || {
            let all = self.remotes.iter().filter(|(_, remote)| remote.is_stranger(now));
            all.map(|(address, remote)| (network(address.ip()), remote))
        };
        let mut of_networks: HashMap<IpAddr, usize> = HashMap::new();
        for (network, _) in strangers() {
            *of_networks.entry(network).or_default() += 1;
        }
        let count = |network: &IpAddr| of_networks.get(network).copied().unwrap_or_default();
        let own = network(newcomer.ip());
        let goes = if count(&own) >= most_of_one {
            strangers().filter(|(network, _)| *network == own).min_by_key(|(_, remote)| remote.last_datagram)
        } else if of_networks.values().sum::<usize>() >= most {
            strangers().max_by_key(|(network, remote)| (count(network), Reverse(remote.last_datagram)))
        } else {
            None
        };
        goes.map(|(_, remote)| remote.context)
    }

    /// Forgets idle remotes, and returns their contexts.
    pub fn forget_idle(&mut self, now: Instant) -> Vec<u32> {
        let Self { addresses, remotes } = self;
        remotes.retain(|_, remote| !remote.is_forgotten(now));
        let mut forgotten = Vec::new();
        addresses.retain(|context, address| {
            let stays = remotes.contains_key(address);
            if !stays {
                forgotten.push(*context);
            }
            stays
        });
        forgotten.sort_unstable();
        forgotten
    }
}
