//! Noticing that this machine's network has changed, so that connections look for a way at once (PATHS.md 7).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Type};
use torque_proto::{Address, Instant};

use super::Socket;

/// The pause between two looks at a host, where each costs up to 32 system calls.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The same with few other sides, as a client has: it moves more often than a host, and what it sends until then is lost.
const LOOK_SOON: Duration = Duration::from_millis(50);
/// The most other sides that are few.
const FEW: usize = 3;
/// The pause while there are no connections, so that the source address of a new one is soon known.
const LOOK_FOR_CONNECTIONS: Duration = Duration::from_millis(100);
/// The most other sides that a look asks about. A client has one or a few, and a change of a host's network concerns many of
/// its connections.
const ASKED_ABOUT: usize = 8;
/// A socket that is driven this much later than the end of its longest wait was asleep, perhaps with its machine.
const SLEPT: Duration = Duration::from_secs(3);

impl Socket {
    /// Tells the socket that this machine's network has changed, or that the machine was asleep. Each connection makes sure
    /// that its path still works, and looks for the other side if not: it sends a datagram of 42 bytes, and a few more until one
    /// is answered.
    ///
    /// A socket notices most changes itself ([`Builder::watch_network`](crate::Builder::watch_network)). A program on a system
    /// that tells of changes, as Android, iOS and macOS do, calls this, so that even an idle connection follows at once. A
    /// call without a change does no harm. Does nothing without [`Config::roaming`](crate::Config::roaming).
    pub fn network_changed(&mut self) {
        let now = self.clock.now();
        self.endpoint.network_changed(now);
        self.find_own_addresses_again(now);
    }

    /// Begins to notice changes of the network, if there can be any.
    pub(crate) fn watch_network(&mut self) {
        let config = self.endpoint.config();
        if config.roaming {
            self.network =
                NetworkWatch::new(self.udp.local_addr().ip(), config.ping_interval, self.clock.now());
        }
    }

    pub(super) fn look_at_network(&mut self, now: Instant) {
        let Self { endpoint, network: Some(watch), polled_at, .. } = self else { return };
        if !watch.is_due(now) {
            return;
        }
        let remotes = endpoint.connections().filter_map(|id| endpoint.remote_address(id));
        if watch.look(now, *polled_at, remotes) {
            self.udp.stats_mut().network_changes += 1;
            #[cfg(feature = "tracing")]
            tracing::debug!("the network has changed");
            self.endpoint.network_changed(now);
            self.find_own_addresses_again(now);
        }
    }
}

/// What was seen of the network.
///
/// A look asks the operating system from which address of this machine a datagram to another side would leave. That takes
/// three or four system calls for each, and sends nothing. When the answer is another one than before, the machine is in another
/// network, or its route leads elsewhere.
pub(super) struct NetworkWatch {
    /// The address that the socket is bound to.
    bound: IpAddr,
    /// The longest time that a socket with connections waits.
    longest_wait: Duration,
    next_look: Instant,
    seen: Vec<(Address, Source)>,
}

/// The address that a datagram would leave from; `None`: it could not leave.
pub(super) type Source = Option<IpAddr>;

impl NetworkWatch {
    /// `None` if nothing can change: for a socket on loopback.
    fn new(bound: IpAddr, longest_wait: Duration, now: Instant) -> Option<Self> {
        (!bound.is_loopback()).then(|| Self { bound, longest_wait, next_look: now, seen: Vec::new() })
    }

    /// Returns whether it is time for a look.
    fn is_due(&self, now: Instant) -> bool {
        self.next_look <= now
    }

    /// Looks. Returns whether the network has changed since the last time, or may have because the machine was asleep.
    /// `driven_last` is when the socket was last driven; `remotes` are the other sides of its connections.
    fn look(&mut self, now: Instant, driven_last: Instant, remotes: impl Iterator<Item = Address>) -> bool {
        let bound = self.bound;
        let ask = |remote: Address| Some((remote, source_to(remote.socket_addr()?, bound)?));
        let seen: Vec<_> = remotes.take(ASKED_ABOUT).filter_map(ask).collect();
        self.next_look = now
            + match seen.len() {
                0 => LOOK_FOR_CONNECTIONS,
                1..=FEW => LOOK_SOON,
                _ => LOOK_EVERY,
            };
        let before = std::mem::replace(&mut self.seen, seen);
        let is_other = |(remote, source): &(Address, Source)| {
            before.iter().any(|(known, old)| known == remote && old != source)
        };
        let slept = now.saturating_since(driven_last) >= self.longest_wait + SLEPT;
        !self.seen.is_empty() && (slept || self.seen.iter().any(is_other))
    }
}

/// The address of this machine from which a socket that is bound to `bound` would send to `remote`. `None` if the operating
/// system gives no socket to ask with, or cannot tell.
pub(super) fn source_to(remote: SocketAddr, bound: IpAddr) -> Option<Source> {
    let socket = socket2::Socket::new(Domain::for_address(remote), Type::DGRAM, Some(Protocol::UDP)).ok()?;
    if !bound.is_unspecified() && socket.bind(&SocketAddr::new(bound, 0).into()).is_err() {
        return Some(None);
    }
    // Of UDP this sends nothing.
    if socket.connect(&remote.into()).is_err() {
        return Some(None);
    }
    let local = socket.local_addr().ok()?.as_socket()?.ip();
    (!local.is_unspecified()).then_some(Some(local))
}

#[cfg(test)]
mod tests;
