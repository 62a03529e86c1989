//! What remotes that write first may take of a session until they have consented: all together, and those of one network, so
//! that one that writes much does not keep the others out (GATEWAY.md 4.1).

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::policy::client::network;
use crate::policy::pacing::{Budget, Meter, Pace, Rate};
use crate::weak_map::WeakMap;

/// Remotes that write first; each costs memory here and a message to the page. Of all networks, and of one.
const ARRIVALS: Pace = Pace::new(32, Duration::from_secs(2));
const ARRIVALS_OF_ONE: Pace = Pace::new(8, Duration::from_secs(2));
/// What they send to the page.
const TO_PAGE: Rate = Rate { datagrams: 200, bytes: 200_000 };
const TO_PAGE_OF_ONE: Rate = Rate { datagrams: 50, bytes: 50_000 };
/// The part of a session's contexts that may be theirs.
const PART: usize = 4;
/// The part of that that one network may have.
const PART_OF_ONE: usize = 4;

/// How many of a session's contexts may be strangers': of all networks, and of one.
pub fn most_strangers(contexts: u16) -> (usize, usize) {
    let most = (usize::from(contexts) / PART).max(1);
    (most, (most / PART_OF_ONE).max(1))
}

/// What is left for strangers of one session.
#[derive(Debug)]
pub struct Sources {
    rate_of_one: Rate,
    all: Left,
    each: WeakMap<IpAddr, Mutex<Left>>,
}

/// A network from which remotes write; what is left for them is remembered as long as one of them is.
#[derive(Clone, Debug)]
pub struct Source(Arc<Mutex<Left>>);

#[derive(Debug)]
struct Left {
    arrivals: Budget,
    to_page: Meter,
}

impl Left {
    fn all(rate: Rate, now: Instant) -> Self {
        Self { arrivals: Budget::full(now), to_page: Meter::new(rate, now) }
    }
}

impl Source {
    fn left(&self) -> MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources {
    /// Of a session with this rate.
    pub fn new(session_rate: Rate, now: Instant) -> Self {
        Self {
            rate_of_one: session_rate.at_most(TO_PAGE_OF_ONE),
            all: Left::all(session_rate.at_most(TO_PAGE), now),
            each: WeakMap::default(),
        }
    }

    /// Where a remote's datagrams come from.
    pub fn of(&self, remote: SocketAddr, now: Instant) -> Source {
        let left = || Mutex::new(Left::all(self.rate_of_one, now));
        Source(self.each.of(network(remote.ip()), left))
    }

    /// Whether one more remote may write first.
    pub fn may_arrive(&self, source: &Source, now: Instant) -> bool {
        source.left().arrivals.has(ARRIVALS_OF_ONE, 1, now) && self.all.arrivals.has(ARRIVALS, 1, now)
    }

    /// Counts one that does.
    pub fn arrived(&mut self, source: &Source, now: Instant) {
        source.left().arrivals.take(ARRIVALS_OF_ONE, 1, now);
        self.all.arrivals.take(ARRIVALS, 1, now);
    }

    /// Takes one datagram of so many bytes on its way to the page: first of what the network has left.
    pub fn take(&mut self, source: &Source, bytes: usize, now: Instant) -> bool {
        source.left().to_page.take(bytes, now) && self.all.to_page.take(bytes, now)
    }
}
