//! The text form of keys: a prefix and base32 of key type, key and check (PROTOCOL.md 3.1).

use alloc::string::String;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::key::KeyError;
use crate::crypto::hash::sha256;
use crate::wire::KEY_TYPE_ED25519;

/// Characters of a prefix, and after it.
const PREFIX: usize = 3;
const CHARACTERS: usize = 56;
/// Key type, key and check: 280 bits, which is 56 characters of 5 exactly.
const BYTES: usize = 35;

/// Which text it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Public,
    Secret,
}

impl Form {
    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Public => "tk1",
            Self::Secret => "ts1",
        }
    }

    fn check(self, key: &[u8; 32]) -> [u8; 2] {
        let label: &[u8] = match self {
            Self::Public => b"TorqueSocket key",
            Self::Secret => b"TorqueSocket secret",
        };
        let hash = sha256(&[label, &[KEY_TYPE_ED25519], key]);
        [hash[0], hash[1]]
    }
}

/// The text of a key. It may be secret, so no table is looked up by it.
pub(super) fn encode(form: Form, key: &[u8; 32]) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; BYTES]);
    bytes[0] = KEY_TYPE_ED25519;
    bytes[1..33].copy_from_slice(key);
    bytes[33..].copy_from_slice(&form.check(key));
    let mut text = Zeroizing::new(String::with_capacity(PREFIX + CHARACTERS));
    text.push_str(form.prefix());
    for group in bytes.chunks_exact(5) {
        let bits = group.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in (0..8).rev() {
            let value = (bits >> (5 * place)) as u8 & 31;
            // 0 to 25 are a to z, 26 to 31 are 2 to 7. The mask is all ones for the latter.
            let digit = 25_u8.wrapping_sub(value) >> 7;
            text.push(char::from(b'a' + value - digit * (b'a' - b'2' + 26)));
        }
    }
    text
}

/// Reads the key of a text, in either case. `Form` is the wanted form; the other one is a separate error.
pub(super) fn decode(form: Form, text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let text = text.trim();
    let (prefix, body) = text.split_at_checked(PREFIX).ok_or(KeyError::NotAKey)?;
    if !prefix.eq_ignore_ascii_case(form.prefix()) {
        let other = if form == Form::Public { Form::Secret } else { Form::Public };
        return Err(match prefix.eq_ignore_ascii_case(other.prefix()) {
            true if form == Form::Public => KeyError::SecretGiven,
            true => KeyError::PublicGiven,
            false => KeyError::NotAKey,
        });
    }
    let mut bytes = Zeroizing::new([0; BYTES]);
    let mut bits = Zeroizing::new(0_u64);
    let mut count = 0;
    for character in body.chars() {
        let value = match character.to_ascii_lowercase() {
            letter @ 'a'..='z' => letter as u64 - 'a' as u64,
            digit @ '2'..='7' => digit as u64 - '2' as u64 + 26,
            _ => return Err(KeyError::Character(character)),
        };
        *bits = *bits << 5 | value;
        count += 1;
        if count > CHARACTERS {
            return Err(KeyError::Length);
        }
        if count % 8 == 0 {
            let end = count / 8 * 5;
            bytes[end - 5..end].copy_from_slice(&bits.to_be_bytes()[3..]);
            *bits = 0;
        }
    }
    if count != CHARACTERS {
        return Err(KeyError::Length);
    }
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&bytes[1..33]);
    if bytes[0] != KEY_TYPE_ED25519 {
        return Err(KeyError::UnknownKeyType(bytes[0]));
    }
    if !bool::from(bytes[33..].ct_eq(&form.check(&key))) {
        return Err(KeyError::Check);
    }
    Ok(key)
}
