//! For machines that have no other code than the portable one.

use crate::crypto::Cipher;

/// Never made.
pub(in crate::crypto) enum Aead {}

impl Aead {
    pub(in crate::crypto) fn new(_: Cipher, _: &[u8; 32]) -> Option<Self> {
        None
    }

    pub(in crate::crypto) fn seal(&self, _: &[u8; 12], _: &[u8], _: &mut [u8]) -> [u8; 16] {
        match *self {}
    }

    pub(in crate::crypto) fn open(&self, _: &[u8; 12], _: &[u8], _: &mut [u8], _: &[u8; 16]) -> bool {
        match *self {}
    }
}

pub(in crate::crypto) fn x25519_base(_: &[u8; 32]) -> Option<[u8; 32]> {
    None
}

pub(in crate::crypto) fn x25519(_: &[u8; 32], _: &[u8; 32]) -> Option<[u8; 32]> {
    None
}

pub(crate) fn ed25519_verify(_: &[u8; 32], _: &[u8], _: &[u8; 64]) -> Option<bool> {
    None
}
