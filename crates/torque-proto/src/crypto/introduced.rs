//! The keys of an introduction, which both parties derive from what the introducer told them (INTRODUCTIONS.md 6).

use alloc::vec::Vec;
use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::nonce::Nonce;
use super::secret::{PunchKey, debug_without_content};
use super::{aead, hash};

/// All keys of one introduction. Two parties that were told different things share none of them.
pub(crate) struct IntroducedKeys {
    /// For the handshake's Noise exchange.
    pub(crate) psk: Psk,
    /// For punches until the connection is established.
    pub(crate) punch: PunchKey,
    /// For the introduced data.
    pub(crate) data: DataKey,
}

impl IntroducedKeys {
    /// Derives them. The nonces are those of the two requests, `secret` is the introduced secret, and the keys are the Ed25519
    /// identities of the two parties.
    pub(crate) fn derive(
        initiator_nonce: &[u8; 16],
        host_nonce: &[u8; 16],
        secret: &[u8; 32],
        id: u64,
        initiator_key: &[u8; 32],
        host_key: &[u8; 32],
    ) -> Self {
        let prk = Zeroizing::new(hash::extract(&[initiator_nonce, host_nonce], secret));
        let id = id.to_be_bytes();
        let expand = |label: &[u8], key: &mut [u8; 32]| {
            hash::expand(&*prk, &[label, &id, initiator_key, host_key], key);
        };
        let mut keys = Self { psk: Psk([0; 32]), punch: PunchKey([0; 32]), data: DataKey([0; 32]) };
        expand(b"TorqueSocket introduced psk", &mut keys.psk.0);
        expand(b"TorqueSocket introduced punch", &mut keys.punch.0);
        expand(b"TorqueSocket introduced data", &mut keys.data.0);
        keys
    }
}

/// The key that both sides mix into the Noise exchange of an introduced handshake.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Psk(pub(super) [u8; 32]);

/// The key that seals the data of the host's application for one introduction.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct DataKey([u8; 32]);

impl DataKey {
    /// Seals the data of this introduction. Once only: what comes out is kept and repeated, because the nonce is always the same.
    pub(crate) fn seal(self, id: u64, data: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(data.len() + aead::TAG_BYTES);
        sealed.extend_from_slice(data);
        aead::seal(&self.0, Nonce::ONLY, &id.to_be_bytes(), &mut sealed, 0);
        sealed
    }

    /// The data; `None` if they are not authentic.
    pub(crate) fn open(&self, id: u64, sealed: &[u8]) -> Option<Vec<u8>> {
        aead::open(&self.0, Nonce::ONLY, &id.to_be_bytes(), sealed)
    }
}

debug_without_content!(IntroducedKeys, Psk, DataKey);

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
