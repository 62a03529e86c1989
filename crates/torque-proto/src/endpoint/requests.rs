//! Pending connections as host, and how many of them one source may have (PROTOCOL.md 5.4, step 7).

use alloc::vec::Vec;

use super::maps::{Map, Seeded};
use super::slab::Slab;
use super::slot::{Entry, Slot};
use crate::address::{Address, Network};
use crate::config::Limits;
use crate::id::ConnectionId;

/// The table of pending connections.
///
/// Its bound protects memory. Its shares protect the other initiators: a source that fills the table takes places
/// from itself before it takes them from anybody else. Shares are counted when somebody has paid for a place, which is
/// when Diffie-Hellman comes next, so counting may take a look at every place.
pub(super) struct Requests {
    /// By address and initiator_nonce.
    pending: Map<(Address, [u8; 16]), Pending>,
    /// How many there have been.
    count: u64,
}

#[derive(Clone, Copy)]
struct Pending {
    id: ConnectionId,
    /// Those that came earlier have lower ones.
    number: u64,
}

/// Whether the table takes another request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    Free,
    /// If this one is given up for it.
    InPlaceOf(ConnectionId),
    None,
}

impl Requests {
    pub(super) fn new(seeded: Seeded) -> Self {
        Self { pending: Map::with_hasher(seeded), count: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn get(&self, remote: Address, initiator_nonce: [u8; 16]) -> Option<ConnectionId> {
        self.pending.get(&(remote, initiator_nonce)).map(|pending| pending.id)
    }

    pub(super) fn insert(&mut self, remote: Address, initiator_nonce: [u8; 16], id: ConnectionId) {
        self.count += 1;
        self.pending.insert((remote, initiator_nonce), Pending { id, number: self.count });
    }

    pub(super) fn remove(&mut self, remote: Address, initiator_nonce: [u8; 16]) {
        self.pending.remove(&(remote, initiator_nonce));
    }

    /// Whether there is a place for another request of `remote`. `established` counts the connections of its network.
    pub(super) fn room(
        &self,
        remote: Address,
        established: impl FnOnce() -> usize,
        limits: &Limits,
        slots: &Slab<Entry>,
    ) -> Room {
        let network = remote.network();
        let of_network = self.count_of(network);
        if self.pending.keys().filter(|(other, _)| *other == remote).count() >= limits.pending_per_address {
            return self.in_place_of_a_refused_one(slots, |other| other == remote);
        }
        let places = limits.pending.min(limits.connections);
        if self.len() >= places / 2 && of_network >= limits.pending_per_network {
            return self.in_place_of_a_refused_one(slots, |other| other.network() == network);
        }
        let is_shared = limits.connections_per_network < limits.connections;
        if slots.is_full() || is_shared && of_network + established() >= limits.connections_per_network {
            return Room::None;
        }
        if self.len() < places {
            return Room::Free;
        }
        // Full: the network that holds most gives one up, if it still holds as many as the newcomer's afterwards.
        let Some((largest, held)) = self.largest_network() else { return Room::None };
        if held <= of_network + 1 {
            return Room::None;
        }
        match self.in_place_of_a_refused_one(slots, |other| other.network() == largest) {
            Room::None => self.in_place_of_oldest(|other, _| other.network() == largest),
            room => room,
        }
    }

    fn count_of(&self, network: Network) -> usize {
        self.pending.keys().filter(|(remote, _)| remote.network() == network).count()
    }

    fn largest_network(&self) -> Option<(Network, usize)> {
        let mut networks: Vec<_> = self.pending.keys().map(|(remote, _)| remote.network()).collect();
        networks.sort_unstable();
        let runs = networks.chunk_by(|one, next| one == next);
        runs.max_by_key(|run| run.len()).map(|run| (run[0], run.len()))
    }

    /// A refused one only waits to repeat its answer.
    fn in_place_of_a_refused_one(&self, slots: &Slab<Entry>, is_of: impl Fn(Address) -> bool) -> Room {
        let is_refused = |id| matches!(slots.get(id).map(|entry| &entry.slot), Some(Slot::Refused(_)));
        self.in_place_of_oldest(|remote, id| is_of(remote) && is_refused(id))
    }

    fn in_place_of_oldest(&self, is_of: impl Fn(Address, ConnectionId) -> bool) -> Room {
        let those = self.pending.iter().filter(|((remote, _), pending)| is_of(*remote, pending.id));
        those
            .min_by_key(|(_, pending)| pending.number)
            .map_or(Room::None, |(_, pending)| Room::InPlaceOf(pending.id))
    }
}
