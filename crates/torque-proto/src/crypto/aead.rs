//! ChaCha20-Poly1305 for keys that seal one text: those of the handshake.

use alloc::vec::Vec;

use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut, KeyInit};

use super::cipher::Cipher;
use super::native::Aead;
use super::nonce::Nonce;

/// Bytes of its tag.
pub(super) const TAG_BYTES: usize = 16;

/// Seals `text[from..]` in place and appends the tag.
pub(super) fn seal(key: &[u8; 32], nonce: Nonce, ad: &[u8], text: &mut Vec<u8>, from: usize) {
    if let Some(cipher) = Aead::new(Cipher::ChaCha20Poly1305, key) {
        let tag = cipher.seal(nonce.as_bytes(), ad, &mut text[from..]);
        return text.extend_from_slice(&tag);
    }
    let cipher = ChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_inout_detached(nonce.as_bytes().into(), ad, (&mut text[from..]).into());
    match tag {
        Ok(tag) => text.extend_from_slice(&tag),
        // Only a text of 256 GiB or more is refused; nothing of it may leave.
        Err(_) => text.truncate(from),
    }
}

/// The text within `sealed` (text and tag); `None` if it is not authentic.
pub(super) fn open(key: &[u8; 32], nonce: Nonce, ad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (text, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
    let mut text = text.to_vec();
    if let Some(cipher) = Aead::new(Cipher::ChaCha20Poly1305, key) {
        return cipher.open(nonce.as_bytes(), ad, &mut text, tag).then_some(text);
    }
    ChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(nonce.as_bytes().into(), ad, text.as_mut_slice().into(), tag.into())
        .ok()?;
    Some(text)
}

#[cfg(test)]
mod tests;
