//! What every session of a gateway has to keep to.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::metrics::Metrics;
use crate::policy::forbidden::is_forbidden;
use crate::policy::pacing::{Rate, TargetMeters};
use crate::policy::ports::{Owner, Ports};
use crate::policy::targets::Targets;

/// How much sessions may do (GATEWAY.md 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most sessions. Default: 1,000.
    pub sessions: u32,
    /// The most sessions of one client: an IPv4 address, or an IPv6 network of 64 bits. One of 48 bits has four times as many,
    /// but no more than a quarter of all unless one client may have that.
    /// Default: 128, as many players may be behind one address (a school, a provider's translation).
    pub sessions_of_client: u32,
    /// The most contexts of a session. Default: 256.
    pub contexts: u16,
    /// What may pass in a session, in each direction. Default: 2,000 datagrams and 2,000,000 bytes a second.
    pub session_rate: Rate,
    /// What all sessions together may send to one remote. Default: 20,000 datagrams and 20,000,000 bytes a second.
    pub target_rate: Rate,
    /// What the sessions of one client may send to one remote; of IPv6, one network of 48 bits. Less than
    /// [`target_rate`](Self::target_rate), or one client could keep all others away. Default: a quarter of it.
    pub target_rate_of_client: Rate,
    /// How long a session may be without a datagram in either direction, at most [`MAX_IDLE`](Self::MAX_IDLE). Default: one
    /// hour.
    pub idle: Duration,
}

impl Limits {
    /// The most that [`idle`](Self::idle) can be; what is more counts as this: one day.
    pub const MAX_IDLE: Duration = Duration::from_secs(86_400);

    /// When a session has been idle for too long that is not from now on.
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

/// Which remotes may write to a page first and be answered, beside those on the list of targets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strangers {
    /// None.
    Refused,
    /// Those with public addresses.
    Public,
    /// Any: those of this machine and of private networks too.
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

/// The operator's will, and what is shared to carry it out.
#[derive(Debug)]
pub struct Rules {
    /// What pages may reach.
    pub targets: Targets,
    /// Whether pages may talk to pages.
    pub allow_sessions: bool,
    /// Which remotes that are not on the list may write first.
    pub strangers: Strangers,
    /// How much.
    pub limits: Limits,
    /// The gateway's own ports.
    pub ports: Arc<Ports>,
    /// What goes to each target.
    pub target_meters: TargetMeters,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Rules {
    /// Whether a page may reach an address. `local`: from where this machine would send there.
    pub fn allow(&self, address: SocketAddr, is_named: bool, local: Option<IpAddr>) -> bool {
        match self.ports.owner(address, || local) {
            Some(Owner::Service) => false,
            Some(Owner::Session) => self.allow_sessions,
            None => address.port() != 0 && self.targets.allow(address, is_named),
        }
    }

    /// Whether a remote that writes first may be heard.
    pub fn allow_stranger(&self, remote: SocketAddr, local: impl FnOnce() -> Option<IpAddr>) -> bool {
        match self.ports.owner(remote, local) {
            Some(Owner::Service) => false,
            Some(Owner::Session) => self.allow_sessions,
            None => self.strangers.include(remote.ip()) || self.targets.allow(remote, false),
        }
    }

    /// Whether it is worth to resolve a name that is not on the list.
    pub fn may_have_address(&self, port: u16) -> bool {
        self.targets.has_addresses(port) || (self.allow_sessions && self.ports.is_session(port))
    }
}
