//! X25519 (RFC 7748).

use core::fmt;

use curve25519_dalek::montgomery::MontgomeryPoint;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::native;

/// An X25519 private key: of an epoch, of one handshake, or an identity's in its X25519 form.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct DhSecret {
    secret: [u8; 32],
    public: [u8; 32],
}

impl DhSecret {
    /// Any 32 random bytes; they are clamped in use.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        let public = native::x25519_base(&bytes)
            .unwrap_or_else(|| MontgomeryPoint::mul_base_clamped(bytes).to_bytes());
        Self { secret: bytes, public }
    }

    pub(crate) fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The private key as it is used.
    #[cfg(test)]
    pub(crate) fn clamped(&self) -> [u8; 32] {
        curve25519_dalek::scalar::clamp_integer(self.secret)
    }

    /// The shared secret; `None` if it is all zeros, which a public key of small order gives.
    pub(crate) fn agree(&self, public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let shared = native::x25519(&self.secret, public)
            .unwrap_or_else(|| MontgomeryPoint(*public).mul_clamped(self.secret).to_bytes());
        let shared = Zeroizing::new(shared);
        let zero = shared.ct_eq(&[0; 32]);
        (!bool::from(zero)).then_some(shared)
    }
}

impl fmt::Debug for DhSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DhSecret")
    }
}

#[cfg(test)]
#[path = "dh_tests.rs"]
mod tests;
