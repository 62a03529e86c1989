//! Noticing that this machine's network has changed, so that connections look for a way at once (PATHS.md 7).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Type};
use torque_proto::{Address, Instant};

/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How many of the other sides are asked about. A client has one or a few; what changes for a host changes for many of its.
const ASKED_ABOUT: usize = 8;
/// A socket that was not driven for so long beyond the longest time that it waits by itself was asleep, and its machine with it
/// perhaps.
const SLEPT: Duration = Duration::from_secs(3);

/// What was seen of the network.
///
/// A look asks the operating system from which address of this machine a datagram to another side would leave. That takes four system calls
/// for each, and sends nothing. When the answer is another one than before, the machine is in another network, or its route leads elsewhere.
pub(crate) struct NetworkWatch {
    /// The address that the socket is bound to.
    bound: IpAddr,
    /// The longest time that a socket with connections waits.
    longest_wait: Duration,
    next_look: Instant,
    seen: Vec<(Address, Source)>,
}

/// The address that a datagram would leave from; `None`: it could not leave.
type Source = Option<IpAddr>;

impl NetworkWatch {
    /// `None` if nothing can change: for a socket on loopback.
    pub(crate) fn new(bound: IpAddr, longest_wait: Duration, now: Instant) -> Option<Self> {
        (!bound.is_loopback()).then(|| Self { bound, longest_wait, next_look: now, seen: Vec::new() })
    }

    /// Returns whether it is time for a look.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.next_look <= now
    }

    /// Looks. Returns whether the network has changed since the last time, or may have because the machine was asleep.
    /// `driven_last` is when the socket was last driven; `remotes` are the other sides of its connections.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        driven_last: Instant,
        remotes: impl Iterator<Item = Address>,
    ) -> bool {
        self.next_look = now + LOOK_EVERY;
        let bound = self.bound;
        let ask = |remote: Address| Some((remote, source_to(remote.socket_addr()?, bound)?));
        let seen: Vec<_> = remotes.take(ASKED_ABOUT).filter_map(ask).collect();
        let before = std::mem::replace(&mut self.seen, seen);
        let is_other = |(remote, source): &(Address, Source)| {
            before.iter().any(|(known, old)| known == remote && old != source)
        };
        let slept = now.saturating_since(driven_last) >= self.longest_wait + SLEPT;
        !self.seen.is_empty() && (slept || self.seen.iter().any(is_other))
    }
}

/// The address of this machine from which a socket that is bound to `bound` would send to `remote`. `None` if the operating system gives
/// no socket to ask with, or cannot tell.
fn source_to(remote: SocketAddr, bound: IpAddr) -> Option<Source> {
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
