//! Sealing of one packet with one key, for each cipher (PROTOCOL.md 3.4).

use aes::Aes128Enc;
use aes::cipher::consts::U12;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipherCore};
use aes_gcm::AesGcm;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::AeadInOut;
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::cipher::Cipher;
use super::hash;
use super::nonce::{Nonce, Salt};
use super::secret::TrafficSecret;

/// A tag as it is computed; the first bytes of it, as many as were settled on, count.
pub(crate) type Tag = [u8; 16];

/// The longest key of any cipher, in bytes.
const MAX_KEY: usize = 48;

/// What a key is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Data,
    Control,
}

/// Key and salt as they are derived, not yet expanded.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct PacketKey {
    /// The first bytes of it, as many as the cipher takes.
    key: [u8; MAX_KEY],
    salt: Salt,
}

impl PacketKey {
    /// PROTOCOL.md 3.3.
    pub(super) fn derive(traffic: &TrafficSecret, purpose: Purpose, cipher: Cipher) -> Self {
        let (key_label, salt_label): (&[u8], &[u8]) = match purpose {
            Purpose::Data => (b"data key", b"data salt"),
            Purpose::Control => (b"control key", b"control salt"),
        };
        let mut derived = Self { key: [0; MAX_KEY], salt: [0; 12] };
        hash::expand(traffic.expose(), &[key_label], &mut derived.key[..cipher.key_bytes()]);
        hash::expand(traffic.expose(), &[salt_label], &mut derived.salt);
        derived
    }

    pub(super) fn expand(&self, cipher: Cipher) -> PacketCipher {
        PacketCipher { salt: self.salt, sealer: Sealer::new(cipher, &self.key) }
    }
}

/// A key with everything computed that does not depend on the packet.
pub(super) struct PacketCipher {
    salt: Salt,
    sealer: Sealer,
}

impl PacketCipher {
    pub(super) fn salt(&self) -> &Salt {
        &self.salt
    }

    /// Seals `text` in place. `tag_bytes` of the tag count.
    pub(super) fn seal(&self, nonce: Nonce, ad: &[u8], text: &mut [u8], tag_bytes: u8) -> Option<Tag> {
        let nonce = nonce.as_bytes();
        match &self.sealer {
            Sealer::Aes128Gcm(gcm) => {
                gcm.encrypt_inout_detached(nonce.into(), ad, text.into()).ok().map(Into::into)
            }
            Sealer::ChaCha20Poly1305(chacha) => {
                chacha.encrypt_inout_detached(nonce.into(), ad, text.into()).ok().map(Into::into)
            }
            Sealer::Aes128CtrHmac(pair) => Some(pair.seal(nonce, ad, text, tag_bytes)),
        }
    }

    /// Opens `text` in place; says whether it is authentic. The tag's length has been checked.
    pub(super) fn open(&self, nonce: Nonce, ad: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
        let nonce = nonce.as_bytes();
        match &self.sealer {
            Sealer::Aes128Gcm(gcm) => <&Tag>::try_from(tag).is_ok_and(|tag| {
                gcm.decrypt_inout_detached(nonce.into(), ad, text.into(), tag.into()).is_ok()
            }),
            Sealer::ChaCha20Poly1305(chacha) => <&Tag>::try_from(tag).is_ok_and(|tag| {
                chacha.decrypt_inout_detached(nonce.into(), ad, text.into(), tag.into()).is_ok()
            }),
            Sealer::Aes128CtrHmac(pair) => pair.open(nonce, ad, text, tag),
        }
    }
}

impl Drop for PacketCipher {
    fn drop(&mut self) {
        // The expanded keys erase themselves.
        self.salt.zeroize();
    }
}

enum Sealer {
    Aes128Gcm(AesGcm<Aes128Enc, U12>),
    ChaCha20Poly1305(ChaCha20Poly1305),
    Aes128CtrHmac(CtrHmac),
}

impl Sealer {
    fn new(cipher: Cipher, key: &[u8; MAX_KEY]) -> Self {
        match cipher {
            Cipher::Aes128Gcm => Self::Aes128Gcm(AesGcm::new((&*first::<16>(key)).into())),
            Cipher::ChaCha20Poly1305 => {
                Self::ChaCha20Poly1305(ChaCha20Poly1305::new((&*first::<32>(key)).into()))
            }
            Cipher::Aes128CtrHmac => Self::Aes128CtrHmac(CtrHmac::new(key)),
        }
    }
}

/// AES-128-CTR + HMAC-SHA-256 as RFC 9605 section 4.5.1 composes them: encrypt, then authenticate.
struct CtrHmac {
    aes: Aes128Enc,
    /// With the key taken in already.
    mac: Hmac<Sha256>,
}

impl CtrHmac {
    fn new(key: &[u8; 48]) -> Self {
        Self { aes: Aes128Enc::new((&*first::<16>(key)).into()), mac: hash::keyed(&[&key[16..]]) }
    }

    fn seal(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8], tag_bytes: u8) -> Tag {
        self.apply_keystream(nonce, text);
        let mut tag = [0; 16];
        tag.copy_from_slice(&self.authenticate(nonce, ad, text, tag_bytes).finalize().into_bytes()[..16]);
        tag
    }

    fn open(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
        // Tags are at most 16 bytes, and the MAC covers the length: a shorter tag is not the start of a longer.
        let authentic = u8::try_from(tag.len()).is_ok_and(|length| {
            self.authenticate(nonce, ad, text, length).verify_truncated_left(tag).is_ok()
        });
        if authentic {
            self.apply_keystream(nonce, text);
        }
        authentic
    }

    fn authenticate(&self, nonce: &[u8; 12], ad: &[u8], sealed: &[u8], tag_bytes: u8) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        let mut head = [0; 36];
        head[..8].copy_from_slice(&(ad.len() as u64).to_be_bytes());
        head[8..16].copy_from_slice(&(sealed.len() as u64).to_be_bytes());
        head[16..24].copy_from_slice(&u64::from(tag_bytes).to_be_bytes());
        head[24..].copy_from_slice(nonce);
        mac.update(&head);
        mac.update(ad);
        mac.update(sealed);
        mac
    }

    fn apply_keystream(&self, nonce: &[u8; 12], text: &mut [u8]) {
        let mut start = [0; 16];
        start[..12].copy_from_slice(nonce);
        CtrCore::<&Aes128Enc, Ctr32BE>::inner_iv_init(&self.aes, &start.into())
            .apply_keystream_partial(text.into());
    }
}

/// The first N bytes of a key.
fn first<const N: usize>(key: &[u8; MAX_KEY]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    out.copy_from_slice(&key[..N]);
    out
}

#[cfg(test)]
#[path = "packet_cipher_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "packet_cipher_vectors.rs"]
pub(super) mod vectors;
