//! The contexts of one session: which number stands for which remote, and what is known of each (GATEWAY.md 2).

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::policy::client::network;
use crate::policy::pacing::TargetMeter;
use crate::session::consent::Consent;
use crate::session::sources::Source;
use crate::wire::frame::Prefix;

/// How long a remote is remembered without a datagram either way.
pub const REMEMBERED: Duration = Duration::from_secs(120);
/// The same for a remote that wrote first and has not consented: its address may be forged, and memory is finite.
pub const STRANGERS_REMEMBERED: Duration = Duration::from_secs(15);

/// One remote of a session.
#[derive(Debug)]
pub struct Remote {
    /// What datagrams to the page begin with.
    pub prefix: Prefix,
    context: u32,
    /// Whether the page has asked for it, and the operator's list has let it.
    pub is_asked_for: bool,
    /// What it wants.
    pub consent: Consent,
    /// What may still be sent to it.
    pub meter: TargetMeter,
    /// Where it writes from, which counts as long as it is a stranger.
    pub source: Source,
    last_datagram: Instant,
}

impl Remote {
    /// Notes a datagram of the remote.
    pub fn heard(&mut self, bytes: usize, now: Instant) {
        self.last_datagram = now;
        self.consent.heard(bytes, now);
    }

    /// Notes a datagram of the page. It does not keep a stranger: that is for the stranger to say.
    pub fn addressed(&mut self, now: Instant) {
        if !self.is_stranger(now) {
            self.last_datagram = now;
        }
    }

    /// Whether nothing but datagrams, which may be forged, speaks for it.
    pub fn is_stranger(&self, now: Instant) -> bool {
        !self.is_asked_for && !self.consent.is_given(now)
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        let patience = if self.is_stranger(now) { STRANGERS_REMEMBERED } else { REMEMBERED };
        now >= self.last_datagram + patience
    }
}

/// The table.
#[derive(Debug, Default)]
pub struct Contexts {
    /// More than one may stand for the same remote; the remote knows the newest.
    addresses: HashMap<u32, SocketAddr>,
    remotes: HashMap<SocketAddr, Remote>,
}

impl Contexts {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// The address that a context stands for.
    pub fn address(&self, context: u32) -> Option<SocketAddr> {
        self.addresses.get(&context).copied()
    }

    /// The remote that a context stands for.
    pub fn remote(&mut self, context: u32) -> Option<(SocketAddr, &mut Remote)> {
        let address = *self.addresses.get(&context)?;
        Some((address, self.remotes.get_mut(&address)?))
    }

    /// The remote with an address.
    pub fn at(&mut self, address: SocketAddr) -> Option<&mut Remote> {
        self.remotes.get_mut(&address)
    }

    /// Has a context stand for an address from now on. `meter` and `source` are asked if the remote is new.
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

    /// Forgets a context, and its remote if nothing else stands for it.
    pub fn remove(&mut self, context: u32) {
        let Some(address) = self.addresses.remove(&context) else { return };
        let other = self.addresses.iter().find(|(_, other)| **other == address).map(|(context, _)| *context);
        match (other, self.remotes.get_mut(&address)) {
            (None, _) => drop(self.remotes.remove(&address)),
            (Some(other), Some(remote)) if remote.context == context => {
                remote.context = other;
                remote.prefix = Prefix::new(other);
            }
            _ => {}
        }
    }

    /// Who has to go for one more stranger, if there may be so many, and so many of one network: one of the newcomer's network
    /// if that has as many, else one of the network that has the most; the one that was heard longest ago.
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

    /// Forgets what has been idle; the contexts that stand for nothing any more.
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
