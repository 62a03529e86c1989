//! Circuits: datagrams that the introducer passes on (INTRODUCTIONS.md 10).
//!
//! Each direction has its own number and its own rates. All circuits of a socket share one budget. When it is short, each connection
//! that sends is sure of an equal part of it, however many circuits it has: a datagram within that part always passes, one above it
//! only while the budget is not spent. So a connection takes from the others only what they leave.

use alloc::vec::Vec;

use super::bucket::{Bucket, Limit};
use crate::crypto::rng::Rng;
use crate::endpoint::maps::{Map, Seeded};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::introduction::{IntroductionId, Relay};
use crate::micros::Micros;
use crate::wire::introduction::CircuitState;
use crate::wire::{MAX_RELAYED, is_relayable};

/// A circuit that carries nothing for this time ends.
const IDLE: Micros = Micros::from_secs(120);
/// The pause between words that a circuit is throttled.
const THROTTLED_PAUSE: Micros = Micros::from_secs(60);
/// The time over which the connections that send are counted.
const WINDOW: Micros = Micros::from_secs(1);

/// What to do with a relayed datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RelayVerdict {
    /// Send it on, with this number.
    Forward { to: ConnectionId, circuit: u32 },
    /// Drop it.
    Drop(RelayDrop),
}

/// Why a relayed datagram is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RelayDrop {
    /// The connection has no circuit with this number.
    UnknownCircuit,
    /// It is empty, too long, or no datagram that may be inside.
    NotRelayable,
    /// The circuit's rate is reached.
    Throttled,
    /// The circuit has carried all that it may.
    UsedUp,
    /// The budget of all circuits is spent, and the connection has had its part.
    OverBudget,
}

/// One direction of a circuit.
struct Leg {
    introduction: IntroductionId,
    to: ConnectionId,
    to_circuit: u32,
    relay: Relay,
    bytes: Bucket,
    datagrams: Bucket,
    /// Bytes that it may still carry.
    left: u64,
    last: Instant,
    /// When it may be said again that the circuit is throttled.
    says_from: Instant,
    /// What its sender is to be told.
    notice: Option<CircuitState>,
}

/// A connection that has circuits.
struct Sender {
    legs: usize,
    share: Bucket,
    /// The window in which it sent last.
    window: u64,
}

/// A circuit's numbers at the two parties.
pub(super) type Ends = [(ConnectionId, u32); 2];

pub(super) struct Circuits {
    legs: Map<(ConnectionId, u32), Leg>,
    senders: Map<ConnectionId, Sender>,
    /// Bytes a second of all of them.
    rate: u64,
    common: Bucket,
    window: u64,
    window_began: Instant,
    /// Connections that sent in this window and the one before.
    sending: [u64; 2],
    /// Introductions about whose circuits something is to be told. Each circuit adds few in a minute.
    noticed: Vec<IntroductionId>,
    noticed_at: Option<Instant>,
}

impl Circuits {
    pub(super) fn new(seeded: Seeded) -> Self {
        Self {
            legs: Map::with_hasher(seeded.clone()),
            senders: Map::with_hasher(seeded),
            rate: 0,
            common: Bucket::full(Instant::ZERO, Limit::per_second(0)),
            window: 1,
            window_began: Instant::ZERO,
            sending: [0; 2],
            noticed: Vec::new(),
            noticed_at: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.legs.len() / 2
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.legs.is_empty() && self.senders.is_empty() && self.noticed.is_empty()
    }

    /// Grants a circuit between two parties, within `rate` bytes a second of all circuits.
    pub(super) fn grant(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        rate: u64,
        introduction: IntroductionId,
        parties: [ConnectionId; 2],
        relay: Relay,
    ) -> Ends {
        if self.rate != rate {
            self.rate = rate;
            self.common = Bucket::full(now, Limit::per_second(rate));
        }
        let first = self.free_number(rng, parties[0]);
        let mut second = self.free_number(rng, parties[1]);
        while parties[0] == parties[1] && second == first {
            second = self.free_number(rng, parties[1]);
        }
        let ends = [(parties[0], first), (parties[1], second)];
        for (end, (to, to_circuit)) in [(ends[0], ends[1]), (ends[1], ends[0])] {
            let leg = Leg {
                introduction,
                to,
                to_circuit,
                relay,
                bytes: Bucket::full(now, bytes_of(relay)),
                datagrams: Bucket::full(now, datagrams_of(relay)),
                left: relay.bytes.unwrap_or(u64::MAX),
                last: now,
                says_from: now,
                notice: None,
            };
            self.legs.insert(end, leg);
            let share = Bucket::full(now, Limit::per_second(rate));
            self.senders.entry(end.0).or_insert(Sender { legs: 0, share, window: 0 }).legs += 1;
        }
        ends
    }

    fn free_number(&self, rng: &mut Rng, party: ConnectionId) -> u32 {
        loop {
            let number = u32::from_be_bytes(rng.array());
            if number != 0 && !self.legs.contains_key(&(party, number)) {
                return number;
            }
        }
    }

    pub(super) fn end(&mut self, ends: &Ends) {
        for end in ends {
            if self.legs.remove(end).is_some()
                && let Some(sender) = self.senders.get_mut(&end.0)
            {
                sender.legs -= 1;
                if sender.legs == 0 {
                    self.senders.remove(&end.0);
                }
            }
        }
    }

    /// The time at which the circuit ends if it carries nothing until then.
    pub(super) fn idle_at(&self, ends: &Ends) -> Instant {
        let last = ends.iter().filter_map(|end| self.legs.get(end)).map(|leg| leg.last);
        last.max().unwrap_or_default() + IDLE
    }

    /// What is to be told at each end.
    pub(super) fn take_notices(&mut self, ends: &Ends) -> [Option<CircuitState>; 2] {
        ends.map(|end| self.legs.get_mut(&end)?.notice.take())
    }

    /// The introductions about whose circuits something is to be told.
    pub(super) fn take_noticed(&mut self) -> Vec<IntroductionId> {
        self.noticed_at = None;
        core::mem::take(&mut self.noticed)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.noticed_at
    }

    /// Judges a datagram, and counts it where it passes.
    pub(super) fn relay(
        &mut self,
        now: Instant,
        from: ConnectionId,
        circuit: u32,
        inner: &[u8],
    ) -> RelayVerdict {
        self.judge(now, from, circuit, inner)
            .map_or_else(RelayVerdict::Drop, |(to, circuit)| RelayVerdict::Forward { to, circuit })
    }

    fn judge(
        &mut self,
        now: Instant,
        from: ConnectionId,
        circuit: u32,
        inner: &[u8],
    ) -> Result<(ConnectionId, u32), RelayDrop> {
        let leg = self.legs.get_mut(&(from, circuit)).ok_or(RelayDrop::UnknownCircuit)?;
        if inner.len() > MAX_RELAYED || !inner.first().is_some_and(|first| is_relayable(*first)) {
            return Err(RelayDrop::NotRelayable);
        }
        let bytes = inner.len() as u64;
        if leg.left < bytes {
            if leg.left > 0 {
                // What is left is too little for this one: from now on nothing passes, so it is said once.
                leg.left = 0;
                leg.notice = Some(CircuitState::UsedUp);
                self.noticed.push(leg.introduction);
                self.noticed_at.get_or_insert(now);
            }
            return Err(RelayDrop::UsedUp);
        }
        let is_open = leg.bytes.is_open(now, bytes_of(leg.relay));
        if !leg.datagrams.is_open(now, datagrams_of(leg.relay)) || !is_open {
            if leg.says_from <= now {
                leg.says_from = now + THROTTLED_PAUSE;
                leg.notice = Some(CircuitState::Throttled);
                self.noticed.push(leg.introduction);
                self.noticed_at.get_or_insert(now);
            }
            return Err(RelayDrop::Throttled);
        }
        if now >= self.window_began + WINDOW {
            let is_next = now < self.window_began + WINDOW * 2;
            self.sending = [0, if is_next { self.sending[0] } else { 0 }];
            self.window += 1;
            self.window_began = now;
        }
        // It has a leg, so it is there.
        if let Some(sender) = self.senders.get_mut(&from) {
            if sender.window != self.window {
                sender.window = self.window;
                self.sending[0] += 1;
            }
            let part = self.rate / self.sending[0].max(self.sending[1]).max(1);
            let is_within = sender.share.is_open(now, Limit::per_second(part));
            let is_left = self.common.is_open(now, Limit::per_second(self.rate));
            if !is_within && !is_left {
                return Err(RelayDrop::OverBudget);
            }
            // What is taken of the rest is no debt of the part.
            if is_within {
                sender.share.spend(bytes);
            }
            self.common.spend(bytes);
        }
        leg.bytes.spend(bytes);
        leg.datagrams.spend(1);
        leg.left -= bytes;
        leg.last = now;
        Ok((leg.to, leg.to_circuit))
    }
}

fn bytes_of(relay: Relay) -> Limit {
    Limit::per_second(relay.bytes_per_second.into())
}

fn datagrams_of(relay: Relay) -> Limit {
    Limit::per_second(relay.datagrams_per_second.into())
}
