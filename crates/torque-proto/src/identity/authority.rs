//! Keys signed by an authority: a way to trust hosts that were never seen before (PROTOCOL.md appendix A).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::key::{KeyPair, PublicKey};
use crate::wire::{KEY_TYPE_ED25519, ParseError, Reader};

const MAGIC: &[u8; 4] = b"TqC1";
const LABEL: &[u8] = b"TorqueSocket credential v1";

/// An authority's word that a key belongs to a name until some time. Hosts put it at the beginning of their
/// challenge response data, initiators of their connect data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    subject: PublicKey,
    expires_unix_seconds: u64,
    name: String,
    authority: PublicKey,
    signature: [u8; 64],
}

impl Credential {
    /// The most bytes of a name, in UTF-8.
    pub const MAX_NAME: usize = 64;
    /// The most bytes of a credential.
    pub const MAX_BYTES: usize = 143 + Self::MAX_NAME;

    /// Signs `subject` with the authority's key.
    ///
    /// # Errors
    /// [`CredentialError::Name`] if the name is longer than [`MAX_NAME`](Self::MAX_NAME) bytes or has
    /// control characters.
    pub fn sign(
        authority: &KeyPair,
        subject: PublicKey,
        expires_unix_seconds: u64,
        name: &str,
    ) -> Result<Self, CredentialError> {
        check_name(name)?;
        let mut credential = Self {
            subject,
            expires_unix_seconds,
            name: name.to_owned(),
            authority: authority.public(),
            signature: [0; 64],
        };
        let body = credential.body();
        credential.signature = authority.sign(&[LABEL, body.as_slice()].concat());
        Ok(credential)
    }

    /// The key that is signed.
    pub fn subject(&self) -> PublicKey {
        self.subject
    }

    /// The key that signed, or claims to.
    pub fn authority(&self) -> PublicKey {
        self.authority
    }

    /// From this second since 1970-01-01 on it is void.
    pub fn expires_unix_seconds(&self) -> u64 {
        self.expires_unix_seconds
    }

    /// The authority's name for the subject: no control characters, at most 64 bytes of UTF-8.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything but the signature.
    fn body(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(Self::MAX_BYTES);
        body.extend_from_slice(MAGIC);
        body.push(KEY_TYPE_ED25519);
        body.extend_from_slice(self.subject.as_bytes());
        body.extend_from_slice(&self.expires_unix_seconds.to_be_bytes());
        body.push(KEY_TYPE_ED25519);
        body.extend_from_slice(self.authority.as_bytes());
        body.push(self.name.len() as u8);
        body.extend_from_slice(self.name.as_bytes());
        body
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.body();
        bytes.extend_from_slice(&self.signature);
        bytes
    }

    /// Reads a credential that is all of `bytes`. It is not verified yet.
    ///
    /// # Errors
    /// [`CredentialError`] says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, CredentialError> {
        match Self::parse_prefix(bytes)? {
            (credential, []) => Ok(credential),
            _ => Err(CredentialError::Malformed),
        }
    }

    /// Reads a credential at the beginning of `bytes`; the rest is the application's. It is not verified yet.
    ///
    /// # Errors
    /// [`CredentialError::None`] if there is none at the beginning; others say what is wrong with it.
    pub fn parse_prefix(bytes: &[u8]) -> Result<(Self, &[u8]), CredentialError> {
        let mut reader = Reader::new(bytes);
        if reader.array().ok().as_ref() != Some(MAGIC) {
            return Err(CredentialError::None);
        }
        let subject = read_key(&mut reader)?;
        let expires_unix_seconds = reader.u64()?;
        let authority = read_key(&mut reader)?;
        let length = reader.u8()?;
        let name = str::from_utf8(reader.bytes(usize::from(length))?).map_err(|_| CredentialError::Name)?;
        check_name(name)?;
        let signature = reader.array()?;
        let credential = Self { subject, expires_unix_seconds, name: name.to_owned(), authority, signature };
        Ok((credential, reader.rest()))
    }

    /// Checks everything: that it is about the key that was met, that a trusted authority signed it, and that
    /// it has not expired.
    ///
    /// # Errors
    /// The first of these that does not hold.
    pub fn verify(
        &self,
        subject_expected: PublicKey,
        trusted: &[PublicKey],
        now_unix_seconds: u64,
    ) -> Result<(), CredentialError> {
        if self.subject != subject_expected {
            return Err(CredentialError::OtherSubject);
        }
        if !trusted.contains(&self.authority) {
            return Err(CredentialError::UntrustedAuthority(self.authority));
        }
        if !self.authority.verify(&[LABEL, &self.body()], &self.signature) {
            return Err(CredentialError::BadSignature);
        }
        if now_unix_seconds >= self.expires_unix_seconds {
            return Err(CredentialError::Expired { since_unix_seconds: self.expires_unix_seconds });
        }
        Ok(())
    }
}

fn read_key(reader: &mut Reader<'_>) -> Result<PublicKey, CredentialError> {
    let key_type = reader.u8()?;
    if key_type != KEY_TYPE_ED25519 {
        return Err(CredentialError::UnknownKeyType(key_type));
    }
    PublicKey::from_bytes(&reader.array()?).map_err(|_| CredentialError::Malformed)
}

/// A name is shown to people: control characters would let it pretend to be something else.
fn check_name(name: &str) -> Result<(), CredentialError> {
    let good = name.len() <= Credential::MAX_NAME && !name.chars().any(char::is_control);
    if good { Ok(()) } else { Err(CredentialError::Name) }
}

/// Why a credential is worth nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CredentialError {
    /// The bytes do not begin with a credential.
    None,
    /// It is cut off, has something after it, or holds bytes that are not a key.
    Malformed,
    /// The name is too long, not UTF-8, or has control characters.
    Name,
    /// A kind of key that this version does not know.
    UnknownKeyType(u8),
    /// It is about another key than the one that was met.
    OtherSubject,
    /// The signer is not trusted.
    UntrustedAuthority(PublicKey),
    /// The authority did not sign it.
    BadSignature,
    /// It was good until some time.
    Expired {
        /// When that was, in seconds since 1970-01-01.
        since_unix_seconds: u64,
    },
}

impl From<ParseError> for CredentialError {
    fn from(_: ParseError) -> Self {
        Self::Malformed
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no credential was shown"),
            Self::Malformed => f.write_str("the credential is damaged"),
            Self::Name => f.write_str("the name is at most 64 bytes of UTF-8 without control characters"),
            Self::UnknownKeyType(number) => {
                write!(f, "key type {number} is newer than this program: update it")
            }
            Self::OtherSubject => f.write_str("the credential belongs to another key"),
            Self::UntrustedAuthority(key) => {
                write!(f, "the credential was signed by {key}, which is not among the trusted authorities")
            }
            Self::BadSignature => f.write_str("the credential's signature is false"),
            Self::Expired { since_unix_seconds } => {
                write!(
                    f,
                    "the credential expired at {since_unix_seconds} (seconds since 1970): ask for a new one"
                )
            }
        }
    }
}

impl core::error::Error for CredentialError {}

#[cfg(test)]
mod tests;
