//! The packet ciphers that a connection may use (PROTOCOL.md 3.4).

use core::fmt;
use core::str::FromStr;

/// A cipher for the packets of a connection. The initiator offers several, the host chooses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Cipher {
    /// AES-128-GCM, 16-byte tags.
    Aes128Gcm,
    /// ChaCha20-Poly1305, 16-byte tags; fast without hardware AES.
    ChaCha20Poly1305,
    /// AES-128-GCM-SST: Galois/counter mode with tags that may be short, 4 to 16 bytes (default 8).
    Aes128GcmSst,
}

impl Cipher {
    /// The default offer: short tags first.
    pub const DEFAULT_OFFER: [Self; 3] = [Self::Aes128GcmSst, Self::Aes128Gcm, Self::ChaCha20Poly1305];

    /// The cipher with this number; `None` if this version knows none.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Aes128Gcm,
            2 => Self::ChaCha20Poly1305,
            3 => Self::Aes128GcmSst,
            _ => return None,
        })
    }

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Aes128Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
            Self::Aes128GcmSst => 3,
        }
    }

    /// Bytes of key.
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes128GcmSst => 16,
            Self::ChaCha20Poly1305 => 32,
        }
    }

    /// Bytes of tag on data packets and reports, if `negotiated` is what both sides settled on: only the
    /// short-tag cipher heeds it. Acks and control packets always have 16.
    pub const fn tag_bytes(self, negotiated: u8) -> u8 {
        match self {
            Self::Aes128GcmSst => negotiated,
            Self::Aes128Gcm | Self::ChaCha20Poly1305 => 16,
        }
    }

    /// Its name, as [`Display`](fmt::Display) writes and [`FromStr`] reads it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "aes128-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::Aes128GcmSst => "aes128-gcm-sst",
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no cipher.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownCipher;

impl fmt::Display for UnknownCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such cipher: there are")?;
        for (index, cipher) in Cipher::DEFAULT_OFFER.iter().enumerate() {
            write!(f, "{} {cipher}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownCipher {}

impl FromStr for Cipher {
    type Err = UnknownCipher;

    fn from_str(text: &str) -> Result<Self, UnknownCipher> {
        let text = text.trim();
        Self::DEFAULT_OFFER
            .into_iter()
            .find(|cipher| text.eq_ignore_ascii_case(cipher.name()))
            .ok_or(UnknownCipher)
    }
}

#[cfg(test)]
mod tests;
