//! Slots for connections. A slot is used again only after its close event was taken, and then with
//! another generation, so that the id of an ended connection is not mistaken for the next one.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::id::ConnectionId;

pub(super) struct Slab<T> {
    shard: u8,
    limit: usize,
    slots: Vec<Slot<T>>,
    free: VecDeque<u32>,
    used: usize,
}

struct Slot<T> {
    generation: u8,
    content: Option<T>,
}

impl<T> Slab<T> {
    pub(super) fn new(shard: u8, limit: usize) -> Self {
        Self { shard, limit, slots: Vec::new(), free: VecDeque::new(), used: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.used
    }

    pub(super) fn is_full(&self) -> bool {
        self.used >= self.limit
    }

    /// Puts `content` into a slot, or `None` if all are used.
    pub(super) fn insert(&mut self, content: T) -> Option<ConnectionId> {
        if self.is_full() {
            return None;
        }
        // The slot that has been free for longest, so that generations last.
        let slot = match self.free.pop_front() {
            Some(slot) => slot,
            None => {
                self.slots.push(Slot { generation: 1, content: None });
                (self.slots.len() - 1) as u32
            }
        };
        let place = &mut self.slots[slot as usize];
        place.content = Some(content);
        self.used += 1;
        Some(ConnectionId::new(self.shard, place.generation, slot))
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<&T> {
        let slot = self.slots.get(id.slot())?;
        slot.content.as_ref().filter(|_| self.id(id.slot() as u32) == Some(id))
    }

    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut T> {
        if self.id(id.slot() as u32)? != id {
            return None;
        }
        self.slots.get_mut(id.slot())?.content.as_mut()
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<T> {
        if self.id(id.slot() as u32)? != id {
            return None;
        }
        let slot = self.slots.get_mut(id.slot())?;
        let content = slot.content.take()?;
        slot.generation = slot.generation % ((1 << ConnectionId::GENERATION_BITS) - 1) + 1;
        self.free.push_back(id.slot() as u32);
        self.used -= 1;
        Some(content)
    }

    /// The id of what is in a slot.
    pub(super) fn id(&self, slot: u32) -> Option<ConnectionId> {
        let place = self.slots.get(slot as usize)?;
        place.content.as_ref()?;
        Some(ConnectionId::new(self.shard, place.generation, slot))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionId, &T)> {
        self.slots.iter().enumerate().filter_map(|(slot, place)| {
            let content = place.content.as_ref()?;
            Some((ConnectionId::new(self.shard, place.generation, slot as u32), content))
        })
    }
}

#[cfg(test)]
mod tests;
