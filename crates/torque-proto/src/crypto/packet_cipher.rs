//! Sealing of one packet with one key, for each cipher (PROTOCOL.md 3.4).

use aes::Aes128Enc;
use aes::cipher::KeyInit;
use aes::cipher::consts::U12;
use aes_gcm::AesGcm;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::AeadInOut;
use torque_gcm_sst::GcmSst;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::cipher::Cipher;
use super::hash;
use super::native;
use super::nonce::{Nonce, Salt};
use super::secret::TrafficSecret;

/// A tag as it is computed; the first bytes of it, as many as were settled on, go onto the wire.
pub(super) type FullTag = [u8; 16];

/// The longest key of any cipher, in bytes.
const MAX_KEY: usize = 32;

/// The use of a key.
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

    /// Seals `text` in place.
    pub(super) fn seal(&self, nonce: Nonce, ad: &[u8], text: &mut [u8]) -> Option<FullTag> {
        let nonce = nonce.as_bytes();
        match &self.sealer {
            Sealer::Native(native) => Some(native.seal(nonce, ad, text)),
            Sealer::Aes128Gcm(gcm) => {
                gcm.encrypt_inout_detached(nonce.into(), ad, text.into()).ok().map(Into::into)
            }
            Sealer::ChaCha20Poly1305(chacha) => {
                chacha.encrypt_inout_detached(nonce.into(), ad, text.into()).ok().map(Into::into)
            }
            Sealer::Aes128GcmSst(sst) => Some(sst.seal(nonce, ad, text)),
        }
    }

    /// Opens `text` in place; says whether it is authentic. If it is not, the content of `text` means nothing. The tag's
    /// length has been checked.
    pub(super) fn open(&self, nonce: Nonce, ad: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
        let nonce = nonce.as_bytes();
        match &self.sealer {
            Sealer::Native(native) => {
                <&FullTag>::try_from(tag).is_ok_and(|tag| native.open(nonce, ad, text, tag))
            }
            Sealer::Aes128Gcm(gcm) => <&FullTag>::try_from(tag).is_ok_and(|tag| {
                gcm.decrypt_inout_detached(nonce.into(), ad, text.into(), tag.into()).is_ok()
            }),
            Sealer::ChaCha20Poly1305(chacha) => <&FullTag>::try_from(tag).is_ok_and(|tag| {
                chacha.decrypt_inout_detached(nonce.into(), ad, text.into(), tag.into()).is_ok()
            }),
            Sealer::Aes128GcmSst(sst) => sst.open(nonce, ad, text, tag),
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
    /// Either of the next two, by faster code.
    Native(native::Aead),
    Aes128Gcm(AesGcm<Aes128Enc, U12>),
    ChaCha20Poly1305(ChaCha20Poly1305),
    Aes128GcmSst(GcmSst),
}

impl Sealer {
    fn new(cipher: Cipher, key: &[u8; MAX_KEY]) -> Self {
        if let Some(native) = native::Aead::new(cipher, key) {
            return Self::Native(native);
        }
        match cipher {
            Cipher::Aes128Gcm => Self::Aes128Gcm(AesGcm::new((&*first::<16>(key)).into())),
            Cipher::ChaCha20Poly1305 => {
                Self::ChaCha20Poly1305(ChaCha20Poly1305::new((&*first::<32>(key)).into()))
            }
            Cipher::Aes128GcmSst => Self::Aes128GcmSst(GcmSst::new(&first::<16>(key))),
        }
    }
}

/// The first N bytes of a key.
fn first<const N: usize>(key: &[u8; MAX_KEY]) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    out.copy_from_slice(&key[..N]);
    out
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod vectors;
