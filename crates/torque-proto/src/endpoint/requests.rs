//! Pending connections as host, and how many of them one source may have (PROTOCOL.md 5.4, step 7).

use alloc::vec::Vec;

use super::maps::{AddressMap, Map, Seeded};
use super::slab::Slab;
use super::slot::{Entry, Slot};
use crate::address::{Address, Network};
use crate::config::Limits;
use crate::id::ConnectionId;

/// The table of pending connections.
///
/// Its bound protects memory. Its shares protect the other initiators: a source that fills the table takes places
/// from itself before it takes them from anybody else.
pub(super) struct Requests {
    /// By address and initiator_nonce.
    ids: Map<(Address, [u8; 16]), ConnectionId>,
    /// The same ids by where they came from, oldest first.
    by_address: AddressMap<Vec<ConnectionId>>,
    by_network: Map<Network, Vec<ConnectionId>>,
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
    pub(super) fn new(seeded: &Seeded) -> Self {
        Self {
            ids: Map::with_hasher(seeded.clone()),
            by_address: AddressMap::with_hasher(seeded.clone()),
            by_network: Map::with_hasher(seeded.clone()),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn get(&self, remote: Address, initiator_nonce: [u8; 16]) -> Option<ConnectionId> {
        self.ids.get(&(remote, initiator_nonce)).copied()
    }

    pub(super) fn insert(&mut self, remote: Address, initiator_nonce: [u8; 16], id: ConnectionId) {
        self.ids.insert((remote, initiator_nonce), id);
        self.by_address.entry(remote).or_default().push(id);
        self.by_network.entry(remote.network()).or_default().push(id);
    }

    pub(super) fn remove(&mut self, remote: Address, initiator_nonce: [u8; 16]) {
        let Some(id) = self.ids.remove(&(remote, initiator_nonce)) else { return };
        take_out(&mut self.by_address, &remote, id);
        take_out(&mut self.by_network, &remote.network(), id);
    }

    /// Whether there is a place for another request of `remote`, from whose network there are `established` connections.
    pub(super) fn room(
        &self,
        remote: Address,
        established: usize,
        limits: &Limits,
        slots: &Slab<Entry>,
    ) -> Room {
        let network = remote.network();
        let of_address = self.by_address.get(&remote).map_or(&[][..], Vec::as_slice);
        let of_network = self.by_network.get(&network).map_or(&[][..], Vec::as_slice);
        let places = limits.pending.min(limits.connections);
        let is_half_full = self.len() >= places / 2;
        // A refused one only waits to repeat its answer.
        let is_refused = |id| matches!(slots.get(id).map(|entry| &entry.slot), Some(Slot::Refused(_)));
        let in_place_of_a_refused_one = |held: &[ConnectionId]| {
            held.iter().copied().find(|id| is_refused(*id)).map_or(Room::None, Room::InPlaceOf)
        };
        if of_address.len() >= limits.pending_per_address {
            return in_place_of_a_refused_one(of_address);
        }
        if is_half_full && of_network.len() >= limits.pending_per_network {
            return in_place_of_a_refused_one(of_network);
        }
        if slots.is_full() || of_network.len() + established >= limits.connections_per_network {
            return Room::None;
        }
        if self.len() < places {
            return Room::Free;
        }
        // Full: the network that holds most gives one up, if it still holds as many as the newcomer's afterwards.
        let largest = self.by_network.values().max_by_key(|held| held.len());
        match largest {
            Some(held) if held.len() > of_network.len() + 1 => match in_place_of_a_refused_one(held) {
                Room::None => Room::InPlaceOf(held[0]),
                room => room,
            },
            _ => Room::None,
        }
    }
}

fn take_out<K: core::hash::Hash + Eq>(map: &mut Map<K, Vec<ConnectionId>>, key: &K, id: ConnectionId) {
    if let Some(held) = map.get_mut(key) {
        held.retain(|other| *other != id);
        if held.is_empty() {
            map.remove(key);
        }
    }
}
