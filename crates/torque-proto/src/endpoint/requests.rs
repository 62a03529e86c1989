//! Pending connections as host, and how many of them one source may have (PROTOCOL.md 5.4, step 7).

use alloc::collections::BinaryHeap;

use super::maps::{Map, Seeded};
use crate::address::{Address, Network};
use crate::config::Limits;
use crate::id::ConnectionId;

/// The table of pending connections.
///
/// Its bound protects memory. Its shares protect the other initiators: a source beyond its share is refused, and in a
/// full table the site that holds most gives one up. Refused ones, which only wait to repeat their answer, have as
/// many places of another kind, and the newest take those of the oldest.
///
/// Shares are counted once a request has paid for a place. Diffie-Hellman comes next, so counting may look at every place.
pub(super) struct Requests {
    /// Pending connections by address and initiator_nonce.
    pending: Map<(Address, [u8; 16]), Pending>,
    /// The number of refused ones.
    refused: usize,
    /// The number of requests so far.
    count: u64,
}

#[derive(Clone, Copy)]
struct Pending {
    id: ConnectionId,
    /// Earlier requests have lower numbers.
    number: u64,
    is_refused: bool,
}

/// Room in the table for another request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    Free,
    /// If this one is given up for it.
    InPlaceOf(ConnectionId),
    None,
}

impl Requests {
    pub(super) fn new(seeded: Seeded) -> Self {
        Self { pending: Map::with_hasher(seeded), refused: 0, count: 0 }
    }

    /// Those that are not refused.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len() - self.refused
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn get(&self, remote: Address, initiator_nonce: [u8; 16]) -> Option<ConnectionId> {
        self.pending.get(&(remote, initiator_nonce)).map(|pending| pending.id)
    }

    pub(super) fn insert(&mut self, remote: Address, initiator_nonce: [u8; 16], id: ConnectionId) {
        self.count += 1;
        let pending = Pending { id, number: self.count, is_refused: false };
        self.pending.insert((remote, initiator_nonce), pending);
    }

    /// This one is refused. Names the oldest refused one if there are more of them than `limits` allow.
    pub(super) fn refuse(
        &mut self,
        remote: Address,
        initiator_nonce: [u8; 16],
        limits: &Limits,
    ) -> Option<ConnectionId> {
        let pending = self.pending.get_mut(&(remote, initiator_nonce))?;
        pending.is_refused = true;
        self.refused += 1;
        if self.refused <= limits.pending { None } else { self.oldest_refused(|_| true) }
    }

    /// The oldest refused one of those that `is_meant`.
    pub(super) fn oldest_refused(&self, is_meant: impl Fn(ConnectionId) -> bool) -> Option<ConnectionId> {
        let refused = self.pending.values().filter(|pending| pending.is_refused && is_meant(pending.id));
        refused.min_by_key(|pending| pending.number).map(|pending| pending.id)
    }

    pub(super) fn remove(&mut self, remote: Address, initiator_nonce: [u8; 16]) {
        if let Some(pending) = self.pending.remove(&(remote, initiator_nonce)) {
            self.refused -= usize::from(pending.is_refused);
        }
    }

    /// Those that are not refused.
    fn iter(&self) -> impl Iterator<Item = (Address, Pending)> + '_ {
        let all = self.pending.iter().map(|((remote, _), pending)| (*remote, *pending));
        all.filter(|(_, pending)| !pending.is_refused)
    }

    /// The number of those that come from a network.
    pub(super) fn of_network(&self, network: Network) -> usize {
        self.iter().filter(|(remote, _)| remote.network() == network).count()
    }

    /// Finds a place for another request of `remote`. `may_end` says of a pending connection that it may be
    /// given up: the lower the number, the sooner.
    pub(super) fn room(
        &self,
        remote: Address,
        limits: &Limits,
        may_end: impl Fn(ConnectionId) -> Option<u8>,
    ) -> Room {
        if self.iter().filter(|(other, _)| *other == remote).count() >= limits.pending_per_address {
            return Room::None;
        }
        let places = limits.pending.min(limits.connections);
        let is_half_full = self.waiting() >= places / 2;
        if is_half_full && self.of_network(remote.network()) >= limits.pending_per_network {
            return Room::None;
        }
        if self.waiting() < places {
            return Room::Free;
        }
        // Full: the site that holds most gives one up, if it still holds as many as the newcomer's afterwards.
        let site = remote.site();
        let of_site = self.iter().filter(|(other, _)| other.site() == site).count();
        // A heap, because it sorts with a seventh of the code that a sort takes, and pages load it.
        let sites: BinaryHeap<_> = self.iter().map(|(other, _)| other.site()).collect();
        let sites = sites.into_sorted_vec();
        let runs = sites.chunk_by(|one, next| one == next);
        let Some(largest) = runs.max_by_key(|run| run.len()).filter(|run| run.len() > of_site + 1) else {
            return Room::None;
        };
        let held = self.iter().filter(|(other, _)| other.site() == largest[0]);
        held.filter_map(|(_, pending)| may_end(pending.id).map(|rank| (rank, pending.number, pending.id)))
            .min()
            .map_or(Room::None, |(_, _, id)| Room::InPlaceOf(id))
    }
}
