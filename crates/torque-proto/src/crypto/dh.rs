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

    /// The private key as it was given.
    #[cfg(feature = "measure")]
    pub(crate) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The private key as it is used.
    #[cfg(test)]
    pub(crate) fn clamped(&self) -> [u8; 32] {
        curve25519_dalek::scalar::clamp_integer(self.secret)
    }

    /// The shared secret; `None` if it is all zeros, which a public key of small order gives.
    pub(crate) fn agree(&self, public: &[u8; 32]) -> Option<Shared> {
        let shared = self.multiply(public);
        let zero = shared.ct_eq(&[0; 32]);
        (!bool::from(zero)).then_some(shared)
    }

    /// As [`agree`](Self::agree), and the public key as one to agree with again.
    pub(crate) fn agree_first(&self, public: &[u8; 32]) -> Option<(UsableKey, Shared)> {
        let shared = self.agree(public)?;
        Some((UsableKey(*public), shared))
    }

    /// The shared secret with a key that has given one before.
    pub(crate) fn agree_again(&self, public: &UsableKey) -> Shared {
        self.multiply(&public.0)
    }

    fn multiply(&self, public: &[u8; 32]) -> Shared {
        Zeroizing::new(
            native::x25519(&self.secret, public)
                .unwrap_or_else(|| MontgomeryPoint(*public).mul_clamped(self.secret).to_bytes()),
        )
    }
}

/// A shared secret.
pub(crate) type Shared = Zeroizing<[u8; 32]>;

/// A public key with which no private key gives all zeros. One that was agreed with once is such a key: the result is
/// all zeros exactly if the key is of small order, since every private key is a multiple of eight below 2^255, and eight
/// times the prime order of the curve or its twist is more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct UsableKey([u8; 32]);

impl UsableKey {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for DhSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DhSecret")
    }
}

#[cfg(test)]
mod tests;
