//! A set of banned identities.

use alloc::collections::BTreeMap;
use core::fmt;

use super::key::{Identity, PublicKey};

/// A set of identities, for example of players who are banned.
///
/// It compares what a key can do, not how it is written: a key and its negative belong to one secret (PROTOCOL.md 3.1), so
/// somebody who is banned with the one does not get in with the other. To keep more with each, a reason or an end, use any
/// map with [`PublicKey::identity`] as its key.
///
/// ```
/// use torque_proto::KeyPair;
/// use torque_proto::identity::BanSet;
///
/// let (cheater, player) = (KeyPair::from_seed([1; 32]).public(), KeyPair::from_seed([2; 32]).public());
/// let mut bans = BanSet::new();
/// assert!(bans.insert(cheater));
/// assert!(bans.contains(&cheater) && !bans.contains(&player));
/// ```
///
/// Keys cost nothing to make. A ban keeps out a key, not a person, unless keys are tied to accounts
/// ([`Credential`](super::Credential)).
#[derive(Clone, Default)]
pub struct BanSet {
    /// Each identity with the key by which it was banned.
    keys: BTreeMap<Identity, PublicKey>,
}

impl BanSet {
    /// An empty set.
    pub const fn new() -> Self {
        Self { keys: BTreeMap::new() }
    }

    /// Bans an identity. Returns whether it was not banned before.
    pub fn insert(&mut self, key: PublicKey) -> bool {
        self.keys.insert(key.identity(), key).is_none()
    }

    /// Lifts a ban. Returns whether there was one.
    pub fn remove(&mut self, key: &PublicKey) -> bool {
        self.keys.remove(&key.identity()).is_some()
    }

    /// Returns whether the identity of this key is banned.
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.keys.contains_key(&key.identity())
    }

    /// The number of banned identities.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns whether nobody is banned.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys by which they were banned, to be written to a file.
    pub fn iter(&self) -> impl Iterator<Item = PublicKey> + '_ {
        self.keys.values().copied()
    }
}

impl fmt::Debug for BanSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys.values()).finish()
    }
}

impl Extend<PublicKey> for BanSet {
    fn extend<T: IntoIterator<Item = PublicKey>>(&mut self, keys: T) {
        self.keys.extend(keys.into_iter().map(|key| (key.identity(), key)));
    }
}

impl FromIterator<PublicKey> for BanSet {
    fn from_iter<T: IntoIterator<Item = PublicKey>>(keys: T) -> Self {
        let mut set = Self::new();
        set.extend(keys);
        set
    }
}

#[cfg(test)]
mod tests;
