//! For the golden vectors: keys as bytes, and ciphers from given bytes.

use std::vec::Vec;

use super::*;

pub(crate) fn key_and_salt(key: &PacketKey, cipher: Cipher) -> (Vec<u8>, Salt) {
    (key.key[..cipher.key_bytes()].to_vec(), key.salt)
}

pub(crate) fn from_key(cipher: Cipher, key: &[u8], salt: &Salt) -> PacketCipher {
    let mut padded = [0; MAX_KEY];
    padded[..cipher.key_bytes()].copy_from_slice(key);
    PacketKey { key: padded, salt: *salt }.expand(cipher)
}
