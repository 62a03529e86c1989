//! Places for pending connections as host: which request gets one, and which gives one up (PROTOCOL.md 5.4, step 7, and
//! 11.2).

use alloc::vec::Vec;

use super::Endpoint;
use super::requests::{Requests, Room};
use super::slab::Slab;
use super::slot::{Entry, Slot, Source};
use crate::address::Address;
use crate::codes::{CloseCode, RejectCode};
use crate::config::Limits;
use crate::event::ClosedBy;
use crate::handshake::reject;
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::transmits::Cause;

/// Finds a place for another request of `remote`.
pub(super) fn room(requests: &Requests, slots: &Slab<Entry>, limits: &Limits, remote: Address) -> Room {
    if limits.connections_per_network < limits.connections {
        let network = remote.network();
        // The connection that has this very address may be the one that the newcomer replaces.
        let established = slots.iter().filter(|(_, entry)| match &entry.slot {
            Slot::Connected(other) => {
                other.is_host
                    && other.path.remote != remote
                    && other.path.remote.network() == network
                    && !other.connection.is_over()
            }
            _ => false,
        });
        if requests.of_network(network) + established.count() >= limits.connections_per_network {
            return Room::None;
        }
    }
    // Those that still wait for the application go first: no answer was given yet.
    let rank = |id| match &slots.get(id)?.slot {
        Slot::Asking(_) => Some(0),
        Slot::Confirming(slot) if slot.displacing.is_none() && slot.connected.connection.is_open() => Some(1),
        _ => None,
    };
    match requests.room(remote, limits, rank) {
        // Its slot is free at once, because no close event has to be taken first.
        Room::Free if slots.is_full() => {
            let is_done = |id| slots.get(id).is_some_and(|entry| entry.close_taken);
            requests.oldest_refused(is_done).map_or(Room::None, Room::InPlaceOf)
        }
        Room::InPlaceOf(_) if slots.is_full() => Room::None,
        room => room,
    }
}

impl Endpoint {
    /// Puts a pending connection into the tables, for which there is this [`room`].
    pub(super) fn insert_request(
        &mut self,
        now: Instant,
        entry: Entry,
        source: Source,
        room: Room,
    ) -> Option<ConnectionId> {
        if let Room::InPlaceOf(id) = room {
            self.give_up(now, id);
        }
        let id = self.slots.insert(entry)?;
        self.requests.insert(source.path.remote, source.initiator_nonce, id);
        Some(id)
    }

    /// Notes that a pending connection only waits to repeat its refusal.
    pub(super) fn note_refused(&mut self, now: Instant, source: Source) {
        let limits = &self.config.limits;
        if let Some(oldest) = self.requests.refuse(source.path.remote, source.initiator_nonce, limits) {
            self.give_up(now, oldest);
        }
    }

    /// Ends a pending connection so that another one finds a place.
    fn give_up(&mut self, now: Instant, id: ConnectionId) {
        let (source, is_refused, is_accepted) = match self.slots.get(id).map(|entry| &entry.slot) {
            Some(Slot::Asking(slot)) => (slot.source, false, false),
            Some(Slot::Confirming(slot)) => (slot.source, false, true),
            Some(Slot::Refused(slot)) => (slot.source, true, false),
            _ => return,
        };
        if is_accepted {
            // Its initiator has the connection already, and would wait for the host.
            self.drive(id, Cause::Own, |connection, _, outbox| {
                connection.close(now, CloseCode::Closed, ClosedBy::Socket, b"busy", outbox);
            });
        } else if !is_refused {
            self.say_busy(source);
        }
        self.forget_request(id, source);
        if !is_refused {
            self.stats.given_up += 1;
            self.tell_close(id, CloseCode::Busy, ClosedBy::Socket, Vec::new());
        }
        self.end_slot(id);
    }

    /// Tells an initiator that it may begin again later.
    fn say_busy(&mut self, source: Source) {
        self.transmits.push(Cause::Stranger, source.path, |out| {
            reject(RejectCode::Busy, source.initiator_nonce, out);
        });
    }
}
