//! Hash maps with a secret seed, so that nobody can choose keys that collide.

use core::hash::BuildHasher;

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use crate::address::Address;
use crate::crypto::rng::Rng;

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
