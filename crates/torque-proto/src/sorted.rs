//! Small tables in order: vectors that are searched by halves.
//!
//! For tables of a few thousand entries at most that change seldom. They have the names of `BTreeMap` and `BTreeSet` of the standard
//! library, with a tenth of the code, which pages have to load.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// A map, by key.
pub(crate) struct SortedMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Copy, V> SortedMap<K, V> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(key))
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.place(key).ok().map(|place| &self.0[place].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.place(key).ok().map(|place| &mut self.0[place].1)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.place(key).is_ok()
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(place) => Some(core::mem::replace(&mut self.0[place].1, value)),
            Err(place) => {
                self.0.insert(place, (key, value));
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.place(key).ok().map(|place| self.0.remove(place).1)
    }

    /// The value of a key, made if there is none.
    pub(crate) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let place = match self.place(&key) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, (key, make()));
                place
            }
        };
        &mut self.0[place].1
    }

    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&K, &mut V) -> bool) {
        self.0.retain_mut(|(key, value)| keeps(key, value));
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A set.
pub(crate) struct SortedSet<K>(Vec<K>);

impl<K> Default for SortedSet<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord + Copy> SortedSet<K> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns whether it was not there.
    pub(crate) fn insert(&mut self, key: K) -> bool {
        let place = self.0.binary_search(&key);
        if let Err(place) = place {
            self.0.insert(place, key);
        }
        place.is_err()
    }

    /// Returns whether it was there.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        let place = self.0.binary_search(key);
        if let Ok(place) = place {
            self.0.remove(place);
        }
        place.is_ok()
    }

    pub(crate) fn first(&self) -> Option<&K> {
        self.0.first()
    }

    pub(crate) fn last(&self) -> Option<&K> {
        self.0.last()
    }

    pub(crate) fn pop_first(&mut self) -> Option<K> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    pub(crate) fn range(&self, range: RangeInclusive<K>) -> impl Iterator<Item = &K> {
        let from = self.0.partition_point(|key| key < range.start());
        self.0[from..].iter().take_while(move |key| *key <= range.end())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::crypto::testing::for_seeds;

    #[test]
    fn they_do_what_the_ones_of_the_standard_library_do() {
        for_seeds(50, |rng| {
            let (mut map, mut same_map) = (SortedMap::new(), BTreeMap::new());
            let (mut set, mut same_set) = (SortedSet::new(), BTreeSet::new());
            for step in 0..300 {
                let key = rng.below(40);
                match rng.below(6) {
                    0 => assert_eq!(map.remove(&key), same_map.remove(&key)),
                    1 => assert_eq!(set.remove(&key), same_set.remove(&key)),
                    2 => assert_eq!(set.pop_first(), same_set.pop_first()),
                    3 => assert_eq!(set.insert(key), same_set.insert(key)),
                    4 => {
                        let value = *map.get_or_insert_with(key, || step);
                        assert_eq!(value, *same_map.entry(key).or_insert(step));
                    }
                    _ => assert_eq!(map.insert(key, step), same_map.insert(key, step)),
                }
                assert_eq!(
                    (map.get(&key), map.contains_key(&key)),
                    (same_map.get(&key), same_map.contains_key(&key))
                );
                assert!(map.iter().eq(same_map.iter()) && map.len() == same_map.len());
                assert!(set.range(10..=key.max(10)).eq(same_set.range(10..=key.max(10))));
                assert_eq!(
                    (set.first(), set.last(), set.len()),
                    (same_set.first(), same_set.last(), same_set.len())
                );
            }
            map.retain(|key, _| key % 2 == 0);
            same_map.retain(|key, _| key % 2 == 0);
            assert!(map.keys().eq(same_map.keys()) && map.values().eq(same_map.values()));
        });
    }
}
