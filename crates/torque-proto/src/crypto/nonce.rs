//! The only place that makes nonces. Code that seals something passes a number that it never repeats under one key, and
//! gets its nonce here.

/// A nonce of 96 bits. Only this module makes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Nonce([u8; 12]);

/// What every nonce of one packet key is offset by; secret.
pub(super) type Salt = [u8; 12];

/// Data packets and reports, by sequence.
const DATA: u32 = 1;
/// Ack and control packets, by control counter.
const CONTROL: u32 = 2;

impl Nonce {
    /// For keys that seal exactly one byte string (PROTOCOL.md 3.3).
    pub(super) const ONLY: Self = Self([0; 12]);

    /// For the first text under a Noise key, which is the only one but in the first message of an introduced exchange (PROTOCOL.md 3.2).
    pub(super) const NOISE_FIRST: Self = Self([0; 12]);

    /// For the second text under a Noise key (INTRODUCTIONS.md 7).
    pub(super) const NOISE_SECOND: Self = Self([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);

    /// For a data packet or report (PROTOCOL.md 3.3).
    pub(super) fn data(salt: &Salt, sequence: u64) -> Self {
        Self::salted(salt, DATA, sequence)
    }

    /// For an ack or control packet (PROTOCOL.md 3.3).
    pub(super) fn control(salt: &Salt, counter: u64) -> Self {
        Self::salted(salt, CONTROL, counter)
    }

    fn salted(salt: &Salt, domain: u32, counter: u64) -> Self {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&domain.to_be_bytes());
        bytes[4..].copy_from_slice(&counter.to_be_bytes());
        bytes.iter_mut().zip(salt).for_each(|(byte, salt)| *byte ^= salt);
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 12] {
        &self.0
    }
}

#[cfg(test)]
mod tests;
