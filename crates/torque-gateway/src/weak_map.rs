//! A weak map: one shared value per key, dropped with its last user.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// One shared value per key. A value lives as long as someone holds it.
pub struct WeakMap<K, V>(Mutex<HashMap<K, Weak<V>>>);

impl<K, V> Default for WeakMap<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> WeakMap<K, V> {
    /// Returns the value of a key. `new` makes it if nobody holds one.
    pub fn of(&self, key: K, new: impl FnOnce() -> V) -> Arc<V> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = values.get(&key).and_then(Weak::upgrade) {
            return value;
        }
        // Before the map grows, values that nobody holds make room.
        if values.len() == values.capacity() {
            values.retain(|_, value| value.strong_count() > 0);
        }
        let value = Arc::new(new());
        values.insert(key, Arc::downgrade(&value));
        value
    }
}

impl<K, V> fmt::Debug for WeakMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakMap")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shared_and_dropped_with_its_last_user() {
        let shared = WeakMap::default();
        let one = shared.of("a", || 1);
        assert_eq!(*shared.of("a", || 2), 1);
        assert_eq!(*shared.of("b", || 3), 3);
        drop(one);
        assert_eq!(*shared.of("a", || 4), 4);
    }

    #[test]
    fn values_that_nobody_holds_make_room() {
        let shared = WeakMap::default();
        for key in 0..10_000 {
            shared.of(key, || ());
        }
        assert!(shared.0.lock().unwrap().len() < 100);
    }
}
