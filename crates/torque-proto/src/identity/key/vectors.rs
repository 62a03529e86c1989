//! Material for the golden vectors: the secret parts of a pair, texts that are not keys, and signatures that must be
//! refused.

use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};

use super::*;

impl KeyPair {
    pub(crate) fn reset_key_bytes(&self) -> [u8; 32] {
        *self.reset_key()
    }
}

/// The text of 32 bytes, whatever they are.
pub(crate) fn public_text(bytes: &[u8; 32]) -> String {
    (*text::encode(Form::Public, bytes)).clone()
}

/// A signature whose R is `encoding`, which stands for `r·B` and perhaps a point of small order, and which fits the
/// equation multiplied by the cofactor.
pub(crate) fn sign_with(seed: &[u8; 32], r: Scalar, encoding: &[u8; 32], message: &[u8]) -> [u8; 64] {
    let signing = SigningKey::from_bytes(seed);
    let mut hash = Sha512::new();
    hash.update(encoding);
    hash.update(signing.verifying_key().as_bytes());
    hash.update(message);
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let s = r + k * signing.to_scalar();
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(encoding);
    signature[32..].copy_from_slice(s.as_bytes());
    signature
}
