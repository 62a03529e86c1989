//! The limits of strangers, which are remotes that write first and have not consented: for all of them, and for each network,
//! so that one busy network does not keep the others out (GATEWAY.md 4.1).

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::policy::client::network;
use crate::policy::pacing::{Budget, Meter, Pace, Rate};
use crate::weak_map::WeakMap;

/// The pace of new strangers, from all networks and from one. Each costs memory here and a message to the page.
const ARRIVALS: Pace = Pace::new(32, Duration::from_secs(2));
const ARRIVALS_OF_ONE: Pace = Pace::new(8, Duration::from_secs(2));
/// The rate of their datagrams to the page, from all networks and from one.
const TO_PAGE: Rate = Rate { datagrams: 200, bytes: 200_000 };
const TO_PAGE_OF_ONE: Rate = Rate { datagrams: 50, bytes: 50_000 };
/// The part of a session's contexts that strangers may have.
const PART: usize = 4;
/// The part that one network may have: of the strangers' contexts, and of a session's by those that have consented.
const PART_OF_ONE: usize = 4;

/// The most contexts of strangers in a session: from all networks, and from one.
pub fn most_strangers(contexts: u16) -> (usize, usize) {
    let most = (usize::from(contexts) / PART).max(1);
    (most, (most / PART_OF_ONE).max(1))
}

/// The most contexts of those remotes of one network that wrote first and have consented.
pub fn most_consenting(contexts: u16) -> usize {
    (usize::from(contexts) / PART_OF_ONE).max(1)
}

/// The budgets of the strangers of one session.
#[derive(Debug)]
pub struct Sources {
    rate_of_one: Rate,
    all: Left,
    each: WeakMap<IpAddr, Mutex<Left>>,
}

/// The budgets of one network, kept as long as one of its remotes is.
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
    /// Full budgets, for a session with this rate.
    pub fn new(session_rate: Rate, now: Instant) -> Self {
        Self {
            rate_of_one: session_rate.at_most(TO_PAGE_OF_ONE),
            all: Left::all(session_rate.at_most(TO_PAGE), now),
            each: WeakMap::default(),
        }
    }

    /// The network that a remote writes from.
    pub fn of(&self, remote: SocketAddr, now: Instant) -> Source {
        let left = || Mutex::new(Left::all(self.rate_of_one, now));
        Source(self.each.of(network(remote.ip()), left))
    }

    /// Returns whether one more stranger may write.
    pub fn may_arrive(&self, source: &Source, now: Instant) -> bool {
        source.left().arrivals.has(ARRIVALS_OF_ONE, 1, now) && self.all.arrivals.has(ARRIVALS, 1, now)
    }

    /// Counts a new stranger.
    pub fn arrived(&mut self, source: &Source, now: Instant) {
        source.left().arrivals.take(ARRIVALS_OF_ONE, 1, now);
        self.all.arrivals.take(ARRIVALS, 1, now);
    }

    /// Takes one datagram of `bytes` to the page, first from the network's budget.
    pub fn take(&mut self, source: &Source, bytes: usize, now: Instant) -> bool {
        source.left().to_page.take(bytes, now) && self.all.to_page.take(bytes, now)
    }
}
