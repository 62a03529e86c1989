//! The crate `graviola`.

use alloc::boxed::Box;

use graviola::aead::{AesGcm, ChaCha20Poly1305};
use graviola::key_agreement::x25519::{PublicKey, StaticPrivateKey};
use graviola::signing::eddsa::Ed25519VerifyingKey;

use crate::crypto::Cipher;

/// One of the two ciphers with 16-byte tags. Erases its keys when dropped.
pub(in crate::crypto) enum Aead {
    Gcm(Box<AesGcm>),
    ChaCha(ChaCha20Poly1305),
}

impl Aead {
    /// With the first bytes of `key`, as many as the cipher takes.
    pub(in crate::crypto) fn new(cipher: Cipher, key: &[u8; 32]) -> Option<Self> {
        if !graviola::util::is_cpu_supported() {
            return None;
        }
        match cipher {
            Cipher::Aes128Gcm => Some(Self::Gcm(Box::new(AesGcm::new(&key[..16])))),
            Cipher::ChaCha20Poly1305 => Some(Self::ChaCha(ChaCha20Poly1305::new(*key))),
            Cipher::Aes128GcmSst => None,
        }
    }

    pub(in crate::crypto) fn seal(&self, nonce: &[u8; 12], ad: &[u8], text: &mut [u8]) -> [u8; 16] {
        let mut tag = [0; 16];
        match self {
            Self::Gcm(gcm) => gcm.encrypt(nonce, ad, text, &mut tag),
            Self::ChaCha(chacha) => chacha.encrypt(nonce, ad, text, &mut tag),
        }
        tag
    }

    /// Whether it is authentic. If it is not, `text` is overwritten with zeros.
    pub(in crate::crypto) fn open(
        &self,
        nonce: &[u8; 12],
        ad: &[u8],
        text: &mut [u8],
        tag: &[u8; 16],
    ) -> bool {
        match self {
            Self::Gcm(gcm) => gcm.decrypt(nonce, ad, text, tag).is_ok(),
            Self::ChaCha(chacha) => chacha.decrypt(nonce, ad, text, tag).is_ok(),
        }
    }
}

/// The public key of a secret.
pub(in crate::crypto) fn x25519_base(secret: &[u8; 32]) -> Option<[u8; 32]> {
    graviola::util::is_cpu_supported().then(|| StaticPrivateKey::from_array(secret).public_key().as_bytes())
}

/// The shared secret; all zeros for public keys of small order.
pub(in crate::crypto) fn x25519(secret: &[u8; 32], public: &[u8; 32]) -> Option<[u8; 32]> {
    graviola::util::is_cpu_supported().then(|| {
        let shared = StaticPrivateKey::from_array(secret).diffie_hellman(&PublicKey::from_array(public));
        shared.map_or([0; 32], |shared| shared.0)
    })
}

/// Returns whether `key`, which is of prime order, signed `message`.
pub(crate) fn ed25519_verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Option<bool> {
    /// The encoding of the neutral point.
    const NEUTRAL: [u8; 32] = {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    };
    graviola::util::is_cpu_supported().then(|| {
        // R is computed and compared byte for byte, so it is of prime order as well, or neutral; that is refused as the
        // portable code refuses it.
        signature[..32] != NEUTRAL
            && Ed25519VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify(signature, message).is_ok())
    })
}
