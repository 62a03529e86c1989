use super::*;
use crate::identity::KeyPair;

/// The same identity, written with the other sign.
fn negative(key: PublicKey) -> PublicKey {
    let mut bytes = *key.as_bytes();
    bytes[31] ^= 0x80;
    PublicKey::from_bytes(&bytes).unwrap()
}

#[test]
fn a_ban_holds_for_the_other_encoding_of_an_identity() {
    let keys: alloc::vec::Vec<_> = (0..20).map(|seed| KeyPair::from_seed([seed; 32]).public()).collect();
    let mut bans: BanSet = keys[..10].iter().copied().collect();
    for (index, key) in keys.iter().enumerate() {
        let other = negative(*key);
        assert_ne!(*key, other);
        assert!(key.same_identity(&other));
        assert_eq!(key.identity(), other.identity());
        assert_eq!((bans.contains(key), bans.contains(&other)), (index < 10, index < 10));
    }
    // It is one ban, whichever way it is written and lifted.
    assert!(!bans.insert(negative(keys[0])));
    assert_eq!(bans.len(), 10);
    assert!(bans.remove(&keys[0]) && !bans.contains(&negative(keys[0])));
    assert!(!bans.remove(&keys[0]));
    assert_eq!(bans.iter().count(), 9);
}
