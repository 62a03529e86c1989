//! Secrets, sealing and randomness (PROTOCOL.md 3). One subject a file; nothing here knows a wire layout.

mod aead;
mod cipher;
pub(crate) mod dh;
pub(crate) mod hash;
pub(crate) mod introduced;
pub(crate) mod keys;
pub(crate) mod native;
pub(crate) mod noise;
mod nonce;
mod packet_cipher;
pub(crate) mod rng;
pub(crate) mod secret;

pub use cipher::{Cipher, UnknownCipher};

#[cfg(test)]
pub(crate) mod testing;
