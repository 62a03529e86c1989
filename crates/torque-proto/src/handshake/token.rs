//! Identity tokens: the host's stateless proof that an address was reached (PROTOCOL.md 5.1).

use subtle::ConstantTimeEq;

use crate::address::Address;
use crate::crypto::hash::hmac_sha256;
use crate::wire::{Offers, PROTOCOL_VERSION};

/// The claims that a token vouches for. None of them can change between the challenge and the request.
pub(crate) struct TokenClaims<'a> {
    pub(crate) remote: Address,
    pub(crate) initiator_nonce: &'a [u8; 16],
    pub(crate) difficulty: u8,
    /// The number of the cipher chosen.
    pub(crate) cipher: u8,
    pub(crate) offers: Offers,
}

impl TokenClaims<'_> {
    /// The token under an epoch's token secret.
    pub(crate) fn token(&self, secret: &[u8; 32]) -> [u8; 16] {
        let mac = hmac_sha256(
            secret,
            &[
                b"TorqueSocket token",
                &[PROTOCOL_VERSION],
                &self.remote.token_bytes(),
                self.initiator_nonce,
                &[self.difficulty, self.cipher],
                &self.offers.to_bytes(),
            ],
        );
        let mut token = [0; 16];
        token.copy_from_slice(&mac[..16]);
        token
    }

    /// Returns whether `token` is the one for these claims, in constant time.
    pub(crate) fn verify(&self, secret: &[u8; 32], token: &[u8; 16]) -> bool {
        self.token(secret).ct_eq(token).into()
    }
}
