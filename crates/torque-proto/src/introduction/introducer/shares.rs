//! Which record gives way when there are too many.

use core::cmp::Reverse;

use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::introduction::IntroductionId;
use crate::sorted::{SortedMap, SortedSet};

type Age = (Instant, IntroductionId);

/// Records that the application has not approved, by the connection that asked for them.
#[derive(Default)]
pub(super) struct Shares {
    of: SortedMap<ConnectionId, SortedSet<Age>>,
    /// The connections by how many they have; of equal ones the one with the oldest is last.
    ranks: SortedSet<(usize, Reverse<Age>, ConnectionId)>,
}

impl Shares {
    pub(super) fn insert(&mut self, asker: ConnectionId, begun: Instant, id: IntroductionId) {
        self.change(asker, |records| {
            records.insert((begun, id));
        });
    }

    pub(super) fn remove(&mut self, asker: ConnectionId, begun: Instant, id: IntroductionId) {
        self.change(asker, |records| {
            records.remove(&(begun, id));
        });
    }

    fn change(&mut self, asker: ConnectionId, change: impl FnOnce(&mut SortedSet<Age>)) {
        let mut records = self.of.remove(&asker).unwrap_or_default();
        if let Some(rank) = rank(asker, &records) {
            self.ranks.remove(&rank);
        }
        change(&mut records);
        if let Some(rank) = rank(asker, &records) {
            self.ranks.insert(rank);
            self.of.insert(asker, records);
        }
    }

    /// The oldest of one connection.
    pub(super) fn oldest_of(&self, asker: ConnectionId) -> Option<IntroductionId> {
        Some(self.of.get(&asker)?.first()?.1)
    }

    /// The one that gives way to another of `asker`: the oldest of the connection that has most, or of `asker`, if none has more.
    pub(super) fn next_for(&self, asker: Option<ConnectionId>) -> Option<IntroductionId> {
        let (most, Reverse((_, oldest)), _) = self.ranks.last()?;
        let own = asker.and_then(|asker| self.of.get(&asker)).filter(|own| own.len() >= *most);
        Some(own.and_then(SortedSet::first).map_or(*oldest, |(_, id)| *id))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty() && self.ranks.is_empty()
    }
}

fn rank(asker: ConnectionId, records: &SortedSet<Age>) -> Option<(usize, Reverse<Age>, ConnectionId)> {
    Some((records.len(), Reverse(*records.first()?), asker))
}
