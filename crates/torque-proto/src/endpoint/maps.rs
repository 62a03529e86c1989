//! Hash maps with a secret seed, so that an attacker cannot choose keys that collide.

use core::hash::BuildHasher;

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use crate::address::Address;
use crate::crypto::rng::Rng;
use crate::id::ConnectionId;

/// Makes SipHash-1-3 hashers with the endpoint's key.
#[derive(Clone)]
pub(crate) struct Seeded([u64; 2]);

impl Seeded {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self([rng.u64(), rng.u64()])
    }
}

impl BuildHasher for Seeded {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

pub(crate) type Map<K, V> = HashMap<K, V, Seeded>;
pub(crate) type AddressMap<V> = Map<Address, V>;

/// Which connection owns an address.
pub(crate) struct Owners {
    map: AddressMap<ConnectionId>,
    /// The last one that was found: datagrams of one source come in runs.
    last: Option<(Address, ConnectionId)>,
}

impl Owners {
    pub(crate) fn new(seeded: Seeded) -> Self {
        Self { map: AddressMap::with_hasher(seeded), last: None }
    }

    pub(crate) fn get(&self, remote: &Address) -> Option<&ConnectionId> {
        self.map.get(remote)
    }

    /// As `get`, for a datagram from `remote`.
    pub(crate) fn find(&mut self, remote: Address) -> Option<ConnectionId> {
        if let Some((address, owner)) = self.last
            && address == remote
        {
            return Some(owner);
        }
        let owner = *self.map.get(&remote)?;
        self.last = Some((remote, owner));
        Some(owner)
    }

    pub(crate) fn insert(&mut self, remote: Address, owner: ConnectionId) {
        self.last = None;
        self.map.insert(remote, owner);
    }

    pub(crate) fn remove(&mut self, remote: &Address) {
        self.last = None;
        self.map.remove(remote);
    }
}

/// The index of the endpoint's own attempts.
pub(crate) struct Attempts {
    /// Finds the attempt for an answer by initiator_nonce, wherever the answer came from, and recognises our own requests
    /// when they come back.
    owners: Map<[u8; 16], ConnectionId>,
    /// Finds the attempt that asks an address. Only one attempt asks an address at a time.
    asking: AddressMap<ConnectionId>,
}

impl Attempts {
    pub(crate) fn new(seeded: Seeded) -> Self {
        Self { owners: Map::with_hasher(seeded.clone()), asking: AddressMap::with_hasher(seeded) }
    }

    /// The attempt that drew this nonce.
    pub(crate) fn owner(&self, initiator_nonce: &[u8; 16]) -> Option<ConnectionId> {
        self.owners.get(initiator_nonce).copied()
    }

    /// The attempt that asks this address.
    pub(crate) fn asking(&self, remote: &Address) -> Option<ConnectionId> {
        self.asking.get(remote).copied()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.asking.is_empty()
    }

    pub(crate) fn insert(&mut self, remote: Address, id: ConnectionId) {
        self.asking.insert(remote, id);
    }

    pub(crate) fn remove(&mut self, remote: &Address) {
        self.asking.remove(remote);
    }

    /// Notes the present nonce of an attempt at one address, instead of the one that was `noted` before.
    pub(crate) fn note(&mut self, id: ConnectionId, noted: &mut Option<[u8; 16]>, present: Option<[u8; 16]>) {
        if *noted == present {
            return;
        }
        if let Some(old) = core::mem::replace(noted, present) {
            self.owners.remove(&old);
        }
        if let Some(nonce) = present {
            self.owners.insert(nonce, id);
        }
    }
}

#[cfg(test)]
mod tests;
