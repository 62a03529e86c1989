//! The rules and limits of every session.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::metrics::Metrics;
use crate::policy::forbidden::is_forbidden;
use crate::policy::pacing::{Rate, TargetMeters};
use crate::policy::ports::{Owner, Ports};
use crate::policy::targets::Targets;

/// The limits of sessions (GATEWAY.md 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most sessions. Default: 1,000.
    pub sessions: u32,
    /// The most sessions of one client: an IPv4 address, or an IPv6 network of 64 bits. An IPv6 network of 48 bits has four
    /// times as many, but at most a quarter of all sessions, or one client's share if that is more.
    /// Default: 128, because many players may share one address (a school, a provider's translation).
    pub sessions_of_client: u32,
    /// The most contexts of a session. Default: 256.
    pub contexts: u16,
    /// The rate of a session, in each direction. Default: 2,000 datagrams and 2,000,000 bytes a second.
    pub session_rate: Rate,
    /// The rate of all sessions together to one remote. Default: 20,000 datagrams and 20,000,000 bytes a second.
    pub target_rate: Rate,
    /// The rate of one client's sessions together to one remote. An IPv6 network of 48 bits is one client here. Keep it below
    /// [`target_rate`](Self::target_rate), so that one client cannot keep all others away. Default: a quarter of it.
    pub target_rate_of_client: Rate,
    /// The longest time without a datagram in either direction, at most [`MAX_IDLE`](Self::MAX_IDLE). Default: one
    /// hour.
    pub idle: Duration,
}

impl Limits {
    /// The longest value of [`idle`](Self::idle), one day. Longer ones count as this.
    pub const MAX_IDLE: Duration = Duration::from_secs(86_400);

    /// The idle deadline of a session last active at `now`.
    pub(crate) fn idle_at(&self, now: Instant) -> Instant {
        now + self.idle.min(Self::MAX_IDLE)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 1_000,
            sessions_of_client: 128,
            contexts: 256,
            session_rate: Rate { datagrams: 2_000, bytes: 2_000_000 },
            target_rate: Rate { datagrams: 20_000, bytes: 20_000_000 },
            target_rate_of_client: Rate { datagrams: 5_000, bytes: 5_000_000 },
            idle: Duration::from_secs(3_600),
        }
    }
}

/// The remotes, beyond the list of targets, that may write to a page first and be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strangers {
    /// None.
    Refused,
    /// Remotes with public addresses.
    Public,
    /// All remotes, including this machine and private networks.
    Local,
}

impl Strangers {
    fn include(self, ip: IpAddr) -> bool {
        match self {
            Self::Refused => false,
            Self::Public => !is_forbidden(ip),
            Self::Local => true,
        }
    }
}

/// The operator's rules, and the shared state that they need.
#[derive(Debug)]
pub struct Rules {
    /// The targets that pages may reach.
    pub targets: Targets,
    /// Set if pages may talk to pages.
    pub allow_sessions: bool,
    /// The remotes beyond that list that may write first.
    pub strangers: Strangers,
    /// The limits of sessions.
    pub limits: Limits,
    /// The gateway's own ports.
    pub ports: Arc<Ports>,
    /// The meters of what all sessions send to each target.
    pub target_meters: TargetMeters,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

impl Rules {
    /// Returns whether a page may reach an address. `local` is the address from which this machine would send there.
    pub fn allow(&self, address: SocketAddr, is_named: bool, local: Option<IpAddr>) -> bool {
        match self.ports.owner(address, || local) {
            Some(Owner::Service) => false,
            Some(Owner::Session) => self.allow_sessions,
            None => address.port() != 0 && self.targets.allow(address, is_named),
        }
    }

    /// Returns whether a remote may write first.
    pub fn allow_stranger(&self, remote: SocketAddr, local: impl FnOnce() -> Option<IpAddr>) -> bool {
        match self.ports.owner(remote, local) {
            Some(Owner::Service) => false,
            Some(Owner::Session) => self.allow_sessions,
            None => self.strangers.include(remote.ip()) || self.targets.allow(remote, false),
        }
    }

    /// Returns whether a name that is not on the list is worth resolving.
    pub fn may_have_address(&self, port: u16) -> bool {
        self.targets.has_addresses(port) || (self.allow_sessions && self.ports.is_session(port))
    }
}
