//! SHA-256, HMAC-SHA-256 and HKDF-SHA-256 over parts, so that nobody joins byte strings first.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// SHA-256 of the parts, joined.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// HMAC-SHA-256 of the parts, joined.
pub(crate) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    finish(keyed(&[key]), parts)
}

/// HKDF-Extract with the salt given in parts.
pub(crate) fn extract(salt_parts: &[&[u8]], ikm: &[u8]) -> [u8; 32] {
    finish(keyed(salt_parts), &[ikm])
}

/// HKDF-Expand with the info given in parts. Fills `out`, at most 255 · 32 bytes; the rest would be zeros.
pub(crate) fn expand(prk: &[u8], info_parts: &[&[u8]], out: &mut [u8]) {
    debug_assert!(out.len() <= 255 * 32);
    let key = keyed(&[prk]);
    let mut block = Zeroizing::new([0; 32]);
    for (index, chunk) in out.chunks_mut(32).enumerate() {
        let Ok(number) = u8::try_from(index + 1) else { return chunk.fill(0) };
        let mut mac = key.clone();
        if index > 0 {
            mac.update(&*block);
        }
        for part in info_parts {
            mac.update(part);
        }
        mac.update(&[number]);
        *block = mac.finalize().into_bytes().into();
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
}

/// HMAC state for a key given in parts. A key longer than a block is hashed first (RFC 2104).
pub(super) fn keyed(key_parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    let length: usize = key_parts.iter().map(|part| part.len()).sum();
    if length > block.len() {
        block[..32].copy_from_slice(&sha256(key_parts));
    } else {
        let mut at = 0;
        for part in key_parts {
            block[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }
    let mac = Hmac::new(&block.into());
    block.zeroize();
    mac
}

fn finish(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests;
