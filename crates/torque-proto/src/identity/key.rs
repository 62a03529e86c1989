//! Ed25519 identities and their X25519 form (PROTOCOL.md 3.1).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::text::{self, Form};
use crate::crypto::dh::DhSecret;
use crate::crypto::hash::{expand, extract, hmac_sha256};
use crate::crypto::native;
use crate::crypto::rng::Rng;

/// The public key of a socket: 32 bytes, checked as PROTOCOL.md 3.1 demands. Its text form is `tk1…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Checks the 32 bytes of an Ed25519 public key.
    ///
    /// # Errors
    /// [`KeyError`] says why the bytes are no key.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let point = CompressedEdwardsY(*bytes).decompress().ok_or(KeyError::NotOnCurve)?;
        // Decoding reduces what is too large, and takes a negative zero, which only points of small order have.
        let mut y = *bytes;
        y[31] &= 0x7f;
        if !is_reduced(&y) || point.is_small_order() && point.compress().as_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        check_order(&point)?;
        Ok(Self(*bytes))
    }

    /// The key whose X25519 form is `u` and whose sign bit is `sign`.
    pub(crate) fn from_x25519(u: &[u8; 32], sign: bool) -> Result<Self, KeyError> {
        let point = MontgomeryPoint(*u).to_edwards(u8::from(sign)).ok_or(KeyError::NotOnCurve)?;
        check_order(&point)?;
        let key = Self(point.compress().to_bytes());
        // Two byte strings for one u would be two names for one key.
        if !is_reduced(u) || key.sign_bit() != sign {
            return Err(KeyError::NotCanonical);
        }
        Ok(key)
    }

    /// The 32 bytes of the Ed25519 encoding.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns whether both are one identity to the Diffie-Hellman exchange: equal X25519 forms. Compare bans so, or use a
    /// [`BanSet`](super::BanSet): one secret can use a key and its negative.
    pub fn same_identity(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    /// The part that keys of the [same identity](Self::same_identity) have in common, to be the key of a map.
    pub fn identity(&self) -> Identity {
        // u = (1 + y) / (1 - y), so two X25519 forms are equal when the encodings are, but for the sign.
        let mut bytes = self.0;
        bytes[31] &= 0x7f;
        Identity(bytes)
    }

    /// The X25519 form.
    pub(crate) fn x25519(&self) -> [u8; 32] {
        // The bytes were checked when the key was made, so there is a point.
        CompressedEdwardsY(self.0).decompress().map_or([0; 32], |point| point.to_montgomery().to_bytes())
    }

    /// The top bit of the Ed25519 encoding, which the X25519 form loses.
    pub(crate) fn sign_bit(&self) -> bool {
        self.0[31] & 0x80 != 0
    }

    /// Returns whether this key signed the message, given in parts. Strict: the signature has one form only.
    pub fn verify(&self, message_parts: &[&[u8]], signature: &[u8; 64]) -> bool {
        let message: Vec<u8> = message_parts.concat();
        if let Some(good) = native::ed25519_verify(&self.0, &message, signature) {
            return good;
        }
        let Ok(key) = VerifyingKey::from_bytes(&self.0) else { return false };
        // R needs no torsion check: this key has none, and the equation without cofactor leaves R none.
        key.verify_strict(&message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// An identity, however its public key is written: what [`PublicKey::identity`] gives. It stands for the key's X25519
/// form (PROTOCOL.md 3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Identity([u8; 32]);

fn check_order(point: &EdwardsPoint) -> Result<(), KeyError> {
    if point.is_small_order() {
        return Err(KeyError::SmallOrder);
    }
    if !point.is_torsion_free() {
        return Err(KeyError::Torsion);
    }
    Ok(())
}

/// Returns whether a little-endian number is below 2^255 − 19.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let is_large = bytes[31] == 0x7f && bytes[1..31].iter().all(|byte| *byte == 0xff) && bytes[0] >= 0xed;
    bytes[31] < 0x80 && !is_large
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::encode(Form::Public, &self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    /// Reads `tk1…`, in either case.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&*text::decode(Form::Public, text)?)
    }
}

/// The key pair of a socket. Its secret text form is `ts1…`; it is erased from memory when dropped.
#[derive(Clone)]
pub struct KeyPair {
    signing: SigningKey,
    dh: DhSecret,
}

impl KeyPair {
    /// The pair of a secret seed of 32 random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let signing = SigningKey::from_bytes(&seed);
        let scalar = Zeroizing::new(signing.to_scalar_bytes());
        Self { dh: DhSecret::from_bytes(*scalar), signing }
    }

    pub(crate) fn generate(rng: &mut Rng) -> Self {
        Self::from_seed(rng.array())
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.signing.verifying_key().to_bytes())
    }

    /// The secret text form, `ts1…`. Anybody who reads it can be this socket: keep it where only the program can read it.
    pub fn to_secret_text(&self) -> Zeroizing<String> {
        text::encode(Form::Secret, self.signing.as_bytes())
    }

    /// Reads `ts1…`, in either case.
    ///
    /// # Errors
    /// [`KeyError`] says what is wrong with the text; it never repeats the text.
    pub fn from_secret_text(text: &str) -> Result<Self, KeyError> {
        let seed = text::decode(Form::Secret, text).map_err(|error| match error {
            // One character of a secret is still a part of it.
            KeyError::Character(_) => KeyError::SecretCharacter,
            other => other,
        })?;
        Ok(Self::from_seed(*seed))
    }

    /// The Ed25519 signature over a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    /// The pair in its X25519 form.
    pub(crate) fn dh_secret(&self) -> &DhSecret {
        &self.dh
    }

    /// The reset token of a connection (PROTOCOL.md 5.8).
    pub(crate) fn reset_token(&self, connection_id: u64) -> [u8; 16] {
        let key = self.reset_key();
        let mac = hmac_sha256(&*key, &[b"TorqueSocket reset", &connection_id.to_be_bytes()]);
        let mut token = [0; 16];
        token.copy_from_slice(&mac[..16]);
        token
    }

    fn reset_key(&self) -> Zeroizing<[u8; 32]> {
        let prk = Zeroizing::new(extract(&[b"TorqueSocket"], self.signing.as_bytes()));
        let mut key = Zeroizing::new([0; 32]);
        expand(&*prk, &[b"reset"], &mut *key);
        key
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.public())
    }
}

/// Why a text or 32 bytes are no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// The text does not begin with the prefix of a key.
    NotAKey,
    /// The text is a secret key where a public one is wanted.
    SecretGiven,
    /// The text is a public key where a secret one is wanted.
    PublicGiven,
    /// The text has too few or too many characters.
    Length,
    /// A character of a public key's text that no key has.
    Character(char),
    /// A character of a secret key's text that no key has; it is not repeated.
    SecretCharacter,
    /// A character was mistyped: the check at the end does not fit.
    Check,
    /// A kind of key that this version does not know.
    UnknownKeyType(u8),
    /// The bytes are no point of the curve.
    NotOnCurve,
    /// The bytes are a second encoding of a key that has a shorter one.
    NotCanonical,
    /// The point is of small order.
    SmallOrder,
    /// The point is not in the group of prime order.
    Torsion,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAKey => f.write_str("not a key: public keys begin with tk1, secret ones with ts1"),
            Self::SecretGiven => f.write_str(
                "this is a secret key (ts1) and a public one (tk1) is wanted; if others may have seen it, make a new one",
            ),
            Self::PublicGiven => f.write_str("this is a public key (tk1) and a secret one (ts1) is wanted"),
            Self::Length => f.write_str("a key has 59 characters: some are missing or too many"),
            Self::Character(character) => {
                write!(f, "`{}` is in no key: after the prefix there are letters and 2 to 7", character.escape_debug())
            }
            Self::SecretCharacter => {
                f.write_str("a character that is in no key: after the prefix there are letters and 2 to 7")
            }
            Self::Check => f.write_str("the key is mistyped: copy it again from where it was shown"),
            Self::UnknownKeyType(number) => {
                write!(f, "key type {number} is newer than this program: update it")
            }
            Self::NotOnCurve | Self::NotCanonical | Self::SmallOrder | Self::Torsion => {
                f.write_str("the key was not made by a program that makes good keys: ask its owner for another")
            }
        }
    }
}

impl core::error::Error for KeyError {}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod vectors;
