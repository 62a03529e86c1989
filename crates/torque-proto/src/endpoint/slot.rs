//! The content of a slot, by the state of its connection.

use alloc::boxed::Box;
use core::time::Duration;

use crate::address::Address;
use crate::config::Limits;
use crate::connection::control::reliable::ControlEvent;
use crate::connection::{Connection, Output};
use crate::crypto::secret::PunchKey;
use crate::event::Delivery;
use crate::handshake::{Asking, Confirming, Refused};
use crate::id::{ConnectionId, Sequence};
use crate::identity::PublicKey;
use crate::instant::Instant;
use crate::path::{Path, PathIds};
use crate::payload::Pool;
use crate::stats::Stats;
use crate::timer::TimerKind;

use super::candidates::Candidates;
use super::control::ControlQueue;
use super::paths::Tracked;
use super::queue::EventQueue;

/// A slot, and what the application has noted or taken of it.
pub(super) struct Entry {
    pub slot: Slot,
    /// True if the application has taken the close event of what was in it.
    pub close_taken: bool,
    /// The number that the application noted.
    pub user_data: u64,
    /// The web page that asked.
    pub origin: Option<Box<str>>,
}

impl Entry {
    pub(super) fn new(slot: Slot) -> Self {
        Self { slot, close_taken: false, user_data: 0, origin: None }
    }
}

/// The states of a connection, from either side.
pub(super) enum Slot {
    /// Waits for an introduction, or for a way to the other party.
    Introducing,
    /// Asks a host; begun by this side.
    Attempt(Box<Candidates>),
    /// Waits for the application's answer to a request.
    Asking(Box<AskingSlot>),
    /// Accepted as host; waits for the first packet, or for the address to be free.
    Confirming(Box<ConfirmingSlot>),
    /// Refused as host; repeats the refusal for a while.
    Refused(Box<RefusedSlot>),
    /// Established, closing or lingering.
    Connected(Box<Connected>),
    /// Over; the close event was not taken yet. Holds what is left of the other side, if it was known.
    Ended(Option<Box<Other>>),
}

/// The other side of a connection: what `peer` tells of it.
#[derive(Clone, Copy)]
pub(super) struct Other {
    pub address: Address,
    pub public_key: PublicKey,
}

/// The origin of a request.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub path: Path,
    pub initiator_nonce: [u8; 16],
}

pub(super) struct AskingSlot {
    pub asking: Asking,
    pub source: Source,
    pub since: Instant,
}

pub(super) struct RefusedSlot {
    pub refused: Refused,
    pub source: Source,
    pub public_key: PublicKey,
}

pub(super) struct ConfirmingSlot {
    pub confirming: Confirming,
    pub source: Source,
    /// The time of the request.
    pub since: Instant,
    pub connected: Connected,
    pub displacing: Option<Displacing>,
}

/// A confirmed connection that waits to see if the owner of its address still answers (PROTOCOL.md 5.6).
#[derive(Clone, Copy)]
pub(super) struct Displacing {
    pub owner: ConnectionId,
    pub since: Instant,
    pub until: Instant,
    /// The time to ask the owner again, if it is asked again: one lost datagram must not cost it its address.
    pub next_ask: Option<Instant>,
}

impl Displacing {
    /// The owner is asked at the beginning, and after one and two quarters of the wait.
    const ASKS: u32 = 3;

    pub(super) fn begin(now: Instant, owner: ConnectionId, wait: Duration) -> Self {
        Self { owner, since: now, until: now + wait, next_ask: Some(now + wait / (Self::ASKS + 1)) }
    }

    /// Takes an ask that is due.
    pub(super) fn take_ask(&mut self, now: Instant) -> bool {
        let Some(at) = self.next_ask.filter(|at| *at <= now) else { return false };
        let pause = self.until.saturating_since(self.since) / (Self::ASKS + 1);
        let last = self.since + pause * (Self::ASKS - 1);
        self.next_ask = (at < last).then(|| at + pause);
        true
    }

    pub(super) fn deadline(&self) -> Instant {
        self.next_ask.map_or(self.until, |at| at.min(self.until))
    }
}

pub(super) struct Connected {
    pub connection: Connection,
    /// The path in use; what is known about it is the connection's [`PathData`](crate::path::PathData).
    pub path: Path,
    pub public_key: PublicKey,
    pub punching: Punching,
    /// Its paths, while it has several or looks for one.
    pub tracked: Option<Box<Tracked>>,
    /// Whether an event that the path has changed waits to be taken.
    pub path_told: bool,
    /// True if the other side began it.
    pub is_host: bool,
    /// Received packets that the application has not taken.
    pub queued: u32,
    /// Those of them that a driver holds.
    pub held: u32,
}

/// What a connection is found and believed by when it comes from elsewhere (PATHS.md 3).
pub(super) struct Punching {
    pub key: PunchKey,
    pub ids: PathIds,
}

impl Slot {
    pub(super) fn deadline(&self) -> Option<(Instant, TimerKind)> {
        match self {
            Self::Attempt(candidates) => candidates.deadline(),
            Self::Asking(slot) => Some((slot.asking.deadline(), TimerKind::Handshake)),
            Self::Refused(slot) => Some((slot.refused.deadline(), TimerKind::Handshake)),
            // A connection that is closing has its own timers.
            Self::Confirming(slot) if !slot.connected.connection.is_open() => {
                slot.connected.connection.deadline()
            }
            Self::Confirming(slot) => {
                let wait =
                    slot.displacing.map_or(slot.confirming.deadline(), |displacing| displacing.deadline());
                Some((wait, TimerKind::Handshake))
            }
            Self::Connected(slot) => slot.connection.deadline(),
            Self::Introducing | Self::Ended(_) => None,
        }
    }

    pub(super) fn remote(&self) -> Option<Address> {
        match self {
            Self::Attempt(candidates) => candidates.remote(),
            Self::Asking(slot) => Some(slot.source.path.remote),
            Self::Refused(slot) => Some(slot.source.path.remote),
            Self::Confirming(slot) => Some(slot.connected.path.remote),
            Self::Connected(slot) => Some(slot.path.remote),
            Self::Introducing | Self::Ended(_) => None,
        }
    }

    /// The other side, also after the end; `None` while nobody has shown a key.
    pub(super) fn other(&self) -> Option<Other> {
        let (address, public_key) = match self {
            Self::Asking(slot) => (slot.source.path.remote, slot.asking.public_key()),
            Self::Confirming(slot) => (slot.connected.path.remote, slot.connected.public_key),
            Self::Refused(slot) => (slot.source.path.remote, slot.public_key),
            Self::Connected(slot) => (slot.path.remote, slot.public_key),
            Self::Introducing | Self::Attempt(_) => return None,
            Self::Ended(other) => return other.as_deref().copied(),
        };
        Some(Other { address, public_key })
    }

    /// Where a request came from, until its connection is established.
    pub(super) fn source(&self) -> Option<Source> {
        match self {
            Self::Asking(slot) => Some(slot.source),
            Self::Confirming(slot) => Some(slot.source),
            Self::Refused(slot) => Some(slot.source),
            _ => None,
        }
    }

    /// The connection, established or waiting to be.
    pub(super) fn connection(&self) -> Option<&Connection> {
        match self {
            Self::Connected(slot) => Some(&slot.connection),
            Self::Confirming(slot) => Some(&slot.connected.connection),
            _ => None,
        }
    }

    pub(super) fn connection_mut(&mut self) -> Option<&mut Connection> {
        match self {
            Self::Connected(slot) => Some(&mut slot.connection),
            Self::Confirming(slot) => Some(&mut slot.connected.connection),
            _ => None,
        }
    }

    /// Returns whether this is an established connection that the application can use.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Connected(slot) if slot.connection.is_open())
    }
}

/// Puts a connection's events into the queue, within the limits.
pub(super) struct Sink<'a> {
    pub id: ConnectionId,
    /// True while the connection waits for its address (PROTOCOL.md 5.6). It may not get it, so nothing is taken
    /// from it; the numbers of its packets are used up all the same.
    pub is_waiting: bool,
    pub events: &'a mut EventQueue,
    pub pool: &'a mut Pool,
    pub queued: &'a mut u32,
    pub control: &'a mut ControlQueue,
    pub limits: &'a Limits,
    pub stats: &'a mut Stats,
}

impl Output for Sink<'_> {
    fn packet(&mut self, sequence: u64, payload: &[u8]) -> bool {
        if self.is_waiting {
            self.stats.displacing += 1;
            return false;
        }
        if !self.events.has_room(*self.queued as usize, self.limits) {
            self.stats.queue_full += 1;
            return false;
        }
        *self.queued += 1;
        let payload = self.pool.fill(payload);
        self.events.push_packet(self.id, Sequence(sequence), payload, *self.queued as usize);
        true
    }

    fn verdict(&mut self, sequence: u64, delivery: Delivery) {
        self.events.push_verdict(self.id, Sequence(sequence), delivery);
    }

    fn control(&mut self, event: ControlEvent) -> bool {
        !self.is_waiting && self.control.offer(self.id, event)
    }
}
