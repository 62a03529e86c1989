//! A model of one direction of a network path.
//!
//! ```
//! use torque_proto::Instant;
//! use torque_netem::{Link, LinkConfig};
//!
//! let config: LinkConfig = "delay=40,jitter=10,loss=5%".parse()?;
//! let mut link = Link::new(config, 7);
//! let mut now = Instant::ZERO;
//! link.push(now, b"hello");
//! while let Some(due) = link.next_delivery() {
//!     now = due;
//!     while let Some(datagram) = link.poll(now) {
//!         assert_eq!(datagram, b"hello");
//!     }
//! }
//! # Ok::<(), torque_netem::LinkConfigError>(())
//! ```

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::time::Duration;

use torque_proto::Instant;

use crate::rng::SimRng;

/// The behaviour of a link. Probabilities range from 0 to 1, and each datagram draws its own chance.
///
/// As text: `delay=40,jitter=10,loss=5%`, or a preset and changes to it: `mobile,loss=10%`. The keys are
/// the field names; times are in milliseconds, or with a unit (`us`, `ms`, `s`); probabilities are `5%` or
/// `0.05`; `burst=1%/20%/90%` is enter, leave and loss; rates and sizes take `k` and `M`.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct LinkConfig {
    /// The delay of every datagram.
    pub delay: Duration,
    /// The most that is added to the delay, drawn evenly from zero. Order is kept, as on most real paths.
    pub jitter: Duration,
    /// Probability that a datagram is lost, apart from bursts.
    pub loss: f64,
    /// Loss in bursts.
    pub burst: Option<Burst>,
    /// Probability that a datagram is held back and overtaken by later ones.
    pub reorder: f64,
    /// The longest time that such a datagram is held back, drawn evenly from one microsecond.
    pub reorder_delay: Duration,
    /// Probability that a datagram arrives twice; the copy takes its own time.
    pub duplicate: f64,
    /// Probability that one to four bits of a datagram are flipped.
    pub corrupt: f64,
    /// Probability that the end of a datagram is cut off, at any length from zero.
    pub truncate: f64,
    /// The longest datagram that passes, in bytes; longer ones are lost.
    pub mtu: usize,
    /// The rate limit in bits per second; 0 means none.
    pub rate: u64,
    /// The size of the queue before the rate limit, in bytes. Datagrams that do not fit are lost.
    pub queue: usize,
}

/// Loss in bursts, after Gilbert and Elliott: a link is in a good or a bad state, and each datagram may change
/// it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Burst {
    /// Probability, at each datagram, that a good link turns bad.
    pub enter: f64,
    /// Probability, at each datagram, that a bad link turns good.
    pub leave: f64,
    /// Probability that a datagram is lost while the link is bad.
    pub loss: f64,
}

impl LinkConfig {
    /// The presets by name, mildest first.
    pub const PRESETS: [(&'static str, Self); 4] = [
        ("perfect", Self::perfect()),
        ("home", Self::home()),
        ("mobile", Self::mobile()),
        ("terrible", Self::terrible()),
    ];

    /// Every datagram arrives at once, unharmed.
    pub const fn perfect() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: None,
            reorder: 0.0,
            reorder_delay: Duration::from_millis(20),
            duplicate: 0.0,
            corrupt: 0.0,
            truncate: 0.0,
            mtu: 65_535,
            rate: 0,
            queue: 65_536,
        }
    }

    /// A wired home connection in one direction: 15 ms, a little jitter, hardly any loss.
    pub const fn home() -> Self {
        Self {
            delay: Duration::from_millis(15),
            jitter: Duration::from_millis(3),
            loss: 0.001,
            mtu: 1_472,
            rate: 20_000_000,
            queue: 131_072,
            ..Self::perfect()
        }
    }

    /// A mobile network in one direction: 40 ms, jitter, some loss in bursts, some reordering.
    pub const fn mobile() -> Self {
        Self {
            delay: Duration::from_millis(40),
            jitter: Duration::from_millis(25),
            loss: 0.01,
            burst: Some(Burst { enter: 0.005, leave: 0.3, loss: 0.7 }),
            reorder: 0.005,
            duplicate: 0.001,
            mtu: 1_400,
            rate: 5_000_000,
            queue: 131_072,
            ..Self::perfect()
        }
    }

    /// A path at the edge of use in one direction: 120 ms, heavy jitter, about a quarter lost, much of it
    /// in bursts, with reordering, copies and damage.
    pub const fn terrible() -> Self {
        Self {
            delay: Duration::from_millis(120),
            jitter: Duration::from_millis(100),
            loss: 0.15,
            burst: Some(Burst { enter: 0.03, leave: 0.2, loss: 0.8 }),
            reorder: 0.05,
            reorder_delay: Duration::from_millis(200),
            duplicate: 0.02,
            corrupt: 0.005,
            truncate: 0.002,
            mtu: 1_300,
            rate: 1_000_000,
            queue: 65_536,
        }
    }
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self::perfect()
    }
}

/// Counters of a link, in datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct LinkStats {
    /// Handed to `push`.
    pub pushed: u64,
    /// Handed out by `poll`, copies included.
    pub delivered: u64,
    /// Lost by chance, in bursts or not.
    pub lost: u64,
    /// Lost because the queue before the rate limit was full.
    pub overflowed: u64,
    /// Lost because they exceeded the MTU.
    pub too_long: u64,
    /// Held back for others to overtake.
    pub reordered: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Arrived, or will, with bits flipped.
    pub corrupted: u64,
    /// Arrived, or will, with the end cut off.
    pub truncated: u64,
}

/// One direction of a path. Datagrams go in by `push` and come out of `poll` when they arrive.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    rng: SimRng,
    /// Set in the bad state of a burst.
    bad: bool,
    /// The time at which the rate limit has passed everything that was pushed.
    free_at: Instant,
    /// The latest delivery that keeps order: the next one is not before it.
    last_in_order: Instant,
    pushes: u64,
    in_flight: BinaryHeap<InFlight>,
    stats: LinkStats,
}

impl Link {
    /// Makes a link that draws its chances from `seed`.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            config,
            rng: SimRng::new(seed),
            bad: false,
            free_at: Instant::ZERO,
            last_in_order: Instant::ZERO,
            pushes: 0,
            in_flight: BinaryHeap::new(),
            stats: LinkStats::default(),
        }
    }

    /// The behaviour of the link.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Changes the behaviour. Datagrams under way arrive as planned.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// The counters so far.
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// Sends a datagram. It arrives once, twice or never.
    pub fn push(&mut self, now: Instant, datagram: &[u8]) {
        self.push_with_hop_limit(now, datagram, None);
    }

    /// Does the same for a datagram that comes out with this hop limit. The link itself has no routers.
    pub(crate) fn push_with_hop_limit(&mut self, now: Instant, datagram: &[u8], hop_limit: Option<u8>) {
        self.stats.pushed += 1;
        if datagram.len() > self.config.mtu {
            self.stats.too_long += 1;
            return;
        }
        let Some(departure) = self.depart(now, datagram.len()) else {
            self.stats.overflowed += 1;
            return;
        };
        if self.draw_loss() {
            self.stats.lost += 1;
            return;
        }
        let due = self.arrive(departure);
        self.schedule(due, datagram, hop_limit);
        if self.rng.chance(self.config.duplicate) {
            self.stats.duplicated += 1;
            let due = self.arrive(departure);
            self.schedule(due, datagram, hop_limit);
        }
    }

    /// Returns the next datagram that has arrived by `now`. Call it until it returns `None`.
    pub fn poll(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.poll_with_hop_limit(now).map(|(datagram, _)| datagram)
    }

    /// Does the same, and tells the datagram's hop limit.
    pub(crate) fn poll_with_hop_limit(&mut self, now: Instant) -> Option<(Vec<u8>, Option<u8>)> {
        if self.next_delivery()? > now {
            return None;
        }
        let arrived = self.in_flight.pop()?;
        self.stats.delivered += 1;
        Some((arrived.datagram, arrived.hop_limit))
    }

    /// The time of the next arrival; `None` if nothing is under way.
    pub fn next_delivery(&self) -> Option<Instant> {
        self.in_flight.peek().map(|next| next.due)
    }

    /// The number of datagrams under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The time at which a datagram has passed the rate limit; `None` if the queue is full.
    fn depart(&mut self, now: Instant, len: usize) -> Option<Instant> {
        if self.config.rate == 0 {
            return Some(now);
        }
        let backlog = self.free_at.saturating_since(now);
        let backlog = u64::try_from(backlog.as_micros()).unwrap_or(u64::MAX);
        // 64 bits are enough for terabytes, and a division of more is a kilobyte of program in pages.
        let waiting = backlog.saturating_mul(self.config.rate) / 8_000_000;
        if waiting > 0 && waiting + len as u64 > self.config.queue as u64 {
            return None;
        }
        let takes = (len as u64).saturating_mul(8_000_000) / self.config.rate;
        self.free_at = now.max(self.free_at) + Duration::from_micros(takes);
        Some(self.free_at)
    }

    fn draw_loss(&mut self) -> bool {
        let lost = self.rng.chance(self.config.loss);
        let Some(burst) = self.config.burst else { return lost };
        let turns = self.rng.chance(if self.bad { burst.leave } else { burst.enter });
        self.bad ^= turns;
        let lost_in_burst = self.rng.chance(burst.loss);
        lost || (self.bad && lost_in_burst)
    }

    /// The arrival of a datagram that departs at `departure`.
    fn arrive(&mut self, departure: Instant) -> Instant {
        let due = departure + self.config.delay + self.rng.duration(self.config.jitter);
        if self.rng.chance(self.config.reorder) {
            self.stats.reordered += 1;
            let held = self.rng.duration(self.config.reorder_delay).max(Duration::from_micros(1));
            return due + held;
        }
        self.last_in_order = self.last_in_order.max(due);
        self.last_in_order
    }

    fn schedule(&mut self, due: Instant, datagram: &[u8], hop_limit: Option<u8>) {
        let mut datagram = datagram.to_vec();
        if self.rng.chance(self.config.corrupt) && !datagram.is_empty() {
            self.stats.corrupted += 1;
            for _ in 0..self.rng.between(1, 4) {
                let at = self.rng.index(datagram.len());
                datagram[at] ^= 1 << self.rng.below(8);
            }
        }
        if self.rng.chance(self.config.truncate) && !datagram.is_empty() {
            self.stats.truncated += 1;
            datagram.truncate(self.rng.index(datagram.len()));
        }
        self.pushes += 1;
        self.in_flight.push(InFlight { due, order: self.pushes, hop_limit, datagram });
    }
}

#[derive(Debug)]
struct InFlight {
    due: Instant,
    order: u64,
    hop_limit: Option<u8>,
    datagram: Vec<u8>,
}

impl Ord for InFlight {
    /// The greatest delivery is the earliest; of two at once, the one that was pushed first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.order).cmp(&(self.due, self.order))
    }
}

impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for InFlight {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for InFlight {}

#[cfg(test)]
mod tests;
