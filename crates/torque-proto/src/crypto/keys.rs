//! The packet keys of one direction of a connection, and their ratchet (PROTOCOL.md 3.3, 6.5).
//!
//! The keys of packets are expanded at the first data packet, either way, and stay expanded until the connection rests: an
//! idle one does not pay for them in memory.

use alloc::boxed::Box;
use core::fmt;
use core::ops::Deref;

use super::cipher::Cipher;
use super::hash;
use super::nonce::Nonce;
use super::packet_cipher::{FullTag, PacketCipher, PacketKey, Purpose};
use super::secret::TrafficSecret;
use crate::settings::Settings;

/// Bytes of tag on ack and control packets.
pub(crate) const CONTROL_TAG_BYTES: u8 = Settings::MAX_TAG_BYTES;

/// The tag of a sealed packet, as long as it is on the wire.
#[derive(Clone, Copy)]
pub(crate) struct Tag {
    bytes: FullTag,
    len: u8,
}

impl Deref for Tag {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Returns the generation of a packet with this sequence (PROTOCOL.md 6.5).
pub(crate) const fn generation_of(sequence: u64) -> u64 {
    sequence >> 16
}

impl TrafficSecret {
    /// The secret of the next generation.
    fn next(&self) -> Self {
        let mut next = Self([0; 32]);
        hash::expand(self.expose(), &[b"next"], &mut next.0);
        next
    }
}

/// The packet keys of one generation, with all computed that does not depend on the packet.
struct PacketCiphers {
    data: PacketCipher,
    control: PacketCipher,
}

/// One generation: its secret, and its keys once data packets use them.
struct Generation {
    traffic: TrafficSecret,
    expanded: Option<Box<PacketCiphers>>,
}

impl Generation {
    fn new(traffic: TrafficSecret) -> Self {
        Self { traffic, expanded: None }
    }

    fn next(&self) -> Self {
        Self::new(self.traffic.next())
    }

    fn derive(&self, purpose: Purpose, cipher: Cipher) -> PacketCipher {
        PacketKey::derive(&self.traffic, purpose, cipher).expand(cipher)
    }

    fn expand(&mut self, cipher: Cipher) -> &PacketCiphers {
        let (traffic, expanded) = (&self.traffic, &mut self.expanded);
        let derive = |purpose| PacketKey::derive(traffic, purpose, cipher).expand(cipher);
        expanded.get_or_insert_with(|| {
            Box::new(PacketCiphers { data: derive(Purpose::Data), control: derive(Purpose::Control) })
        })
    }

    /// Uses the key for data. A connection that rests derives it each time: forged packets must cost it no memory.
    fn with_data<R>(&self, cipher: Cipher, call: impl FnOnce(&PacketCipher) -> R) -> R {
        match &self.expanded {
            Some(expanded) => call(&expanded.data),
            None => call(&self.derive(Purpose::Data, cipher)),
        }
    }

    /// Uses the control key. A connection that rests and only pings derives it each time.
    fn with_control<R>(&self, cipher: Cipher, call: impl FnOnce(&PacketCipher) -> R) -> R {
        match &self.expanded {
            Some(expanded) => call(&expanded.control),
            None => call(&self.derive(Purpose::Control, cipher)),
        }
    }
}

/// Keys for what this side sends.
pub(crate) struct SendKeys {
    cipher: Cipher,
    tag_bytes: u8,
    number: u64,
    keys: Generation,
    /// The lowest sequence and counter that have not been sealed: nothing below is sealed again.
    next_sequence: u64,
    next_counter: u64,
}

impl SendKeys {
    /// `tag_bytes` as settled on; ciphers that always have 16 do not heed it.
    pub(crate) fn new(traffic: TrafficSecret, cipher: Cipher, tag_bytes: u8) -> Self {
        Self::starting_at(0, traffic, cipher, tag_bytes)
    }

    /// Keys for the sequences from `start` on, so that others can take over at a sequence that both sides agree on.
    /// `traffic` is the secret of the generation of `start`.
    fn starting_at(start: u64, traffic: TrafficSecret, cipher: Cipher, tag_bytes: u8) -> Self {
        Self {
            cipher,
            tag_bytes: data_tag_bytes(cipher, tag_bytes),
            number: generation_of(start),
            keys: Generation::new(traffic),
            next_sequence: start,
            next_counter: 0,
        }
    }

    /// The generation of the keys.
    #[cfg(test)]
    fn generation(&self) -> u64 {
        self.number
    }

    /// Seals a data packet or report in place. `None`, with nothing sealed, if the sequence is not above the last one sealed
    /// or skips a generation.
    pub(crate) fn seal_data(&mut self, sequence: u64, ad: &[u8], text: &mut [u8]) -> Option<Tag> {
        if sequence < self.next_sequence {
            return None;
        }
        self.step_to(generation_of(sequence))?;
        self.next_sequence = sequence.checked_add(1)?;
        let key = &self.keys.expand(self.cipher).data;
        let bytes = key.seal(Nonce::data(key.salt(), sequence), ad, text)?;
        Some(Tag { bytes, len: self.tag_bytes })
    }

    /// Seals an ack or control packet in place. `sequence` is the last one
    /// sent. `None`, with nothing sealed, if the counter is not above the last one sealed or the sequence
    /// belongs to another generation than this or the next.
    pub(crate) fn seal_control(
        &mut self,
        sequence: u64,
        counter: u64,
        ad: &[u8],
        text: &mut [u8],
    ) -> Option<Tag> {
        if counter < self.next_counter {
            return None;
        }
        self.step_to(generation_of(sequence))?;
        self.next_counter = counter.checked_add(1)?;
        let bytes = self
            .keys
            .with_control(self.cipher, |key| key.seal(Nonce::control(key.salt(), counter), ad, text))?;
        Some(Tag { bytes, len: CONTROL_TAG_BYTES })
    }

    #[cfg(test)]
    pub(crate) fn is_resting(&self) -> bool {
        self.keys.expanded.is_none()
    }

    /// Computes what the packets to come need from the secrets.
    pub(crate) fn wake(&mut self) {
        self.keys.expand(self.cipher);
    }

    /// Forgets what is computed from the secrets until the next data packet.
    pub(crate) fn rest(&mut self) {
        self.keys.expanded = None;
    }

    /// Makes `generation` the present one; `None` if it is neither that nor the next.
    fn step_to(&mut self, generation: u64) -> Option<()> {
        match generation.checked_sub(self.number)? {
            0 => {}
            1 => {
                self.keys = self.keys.next();
                self.number = generation;
            }
            _ => return None,
        }
        Some(())
    }
}

/// The reason why a packet was not opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OpenError {
    /// Its sequence belongs to a generation whose keys are not, or no longer, held.
    NoKeys,
    /// It was not sealed with our keys, or was changed.
    Forged,
}

/// Keys for what the other side sends.
pub(crate) struct ReceiveKeys {
    cipher: Cipher,
    tag_bytes: u8,
    number: u64,
    keys: Generation,
    /// Generation `number + 1`, once a packet claimed to be of it: derived once, however many such claims are forged.
    next: Option<Box<Generation>>,
}

impl ReceiveKeys {
    /// `tag_bytes` as settled on; ciphers that always have 16 do not heed it.
    pub(crate) fn new(traffic: TrafficSecret, cipher: Cipher, tag_bytes: u8) -> Self {
        Self::starting_at(0, traffic, cipher, tag_bytes)
    }

    /// Keys for the sequences from `start` on, so that others can take over at a sequence that both sides agree on.
    /// `traffic` is the secret of the generation of `start`.
    fn starting_at(start: u64, traffic: TrafficSecret, cipher: Cipher, tag_bytes: u8) -> Self {
        Self {
            cipher,
            tag_bytes: data_tag_bytes(cipher, tag_bytes),
            number: generation_of(start),
            keys: Generation::new(traffic),
            next: None,
        }
    }

    /// Bytes of tag at the end of data packets and reports.
    pub(crate) fn tag_bytes(&self) -> u8 {
        self.tag_bytes
    }

    /// The generation of the keys.
    #[cfg(test)]
    fn generation(&self) -> u64 {
        self.number
    }

    #[cfg(test)]
    pub(crate) fn is_resting(&self) -> bool {
        self.keys.expanded.is_none() && self.next.is_none()
    }

    /// Computes what the packets to come need from the secrets.
    pub(crate) fn wake(&mut self) {
        self.keys.expand(self.cipher);
    }

    /// Forgets what is computed from the secrets until the next data packet.
    pub(crate) fn rest(&mut self) {
        self.keys.expanded = None;
        self.next = None;
    }

    /// Opens a data packet or report in place. After an error the content of `text` means nothing.
    pub(crate) fn open_data(
        &mut self,
        sequence: u64,
        ad: &[u8],
        text: &mut [u8],
        tag: &[u8],
    ) -> Result<(), OpenError> {
        if tag.len() != usize::from(self.tag_bytes) {
            return Err(OpenError::Forged);
        }
        let cipher = self.cipher;
        let generation = generation_of(sequence);
        let keys = self.generation_keys(generation)?;
        let authentic =
            keys.with_data(cipher, |key| key.open(Nonce::data(key.salt(), sequence), ad, text, tag));
        self.settle(authentic, generation)?;
        self.keys.expand(cipher);
        Ok(())
    }

    /// Opens an ack or control packet in place. After an error the content of `text` means nothing.
    pub(crate) fn open_control(
        &mut self,
        sequence: u64,
        counter: u64,
        ad: &[u8],
        text: &mut [u8],
        tag: &[u8],
    ) -> Result<(), OpenError> {
        if tag.len() != usize::from(CONTROL_TAG_BYTES) {
            return Err(OpenError::Forged);
        }
        let cipher = self.cipher;
        let generation = generation_of(sequence);
        let keys = self.generation_keys(generation)?;
        let authentic =
            keys.with_control(cipher, |key| key.open(Nonce::control(key.salt(), counter), ad, text, tag));
        self.settle(authentic, generation)
    }

    /// The keys of this or the next generation.
    fn generation_keys(&mut self, generation: u64) -> Result<&mut Generation, OpenError> {
        match generation.checked_sub(self.number) {
            Some(0) => Ok(&mut self.keys),
            Some(1) => {
                let keys = &self.keys;
                Ok(self.next.get_or_insert_with(|| Box::new(keys.next())))
            }
            _ => Err(OpenError::NoKeys),
        }
    }

    /// Steps to the packet's generation, and erases the older keys, only if the packet was authentic.
    #[inline]
    fn settle(&mut self, authentic: bool, generation: u64) -> Result<(), OpenError> {
        if authentic && generation == self.number { Ok(()) } else { self.settle_other(authentic, generation) }
    }

    /// Settles what is rare: a forged packet, or the first of a new generation.
    #[cold]
    fn settle_other(&mut self, authentic: bool, generation: u64) -> Result<(), OpenError> {
        if !authentic {
            // A forged packet must not make a resting connection use memory.
            if self.keys.expanded.is_none() {
                self.next = None;
            }
            return Err(OpenError::Forged);
        }
        if generation > self.number
            && let Some(next) = &mut self.next
        {
            // Swapped, so that the older keys are erased where they lie.
            core::mem::swap(&mut self.keys, &mut **next);
            self.next = None;
            self.number = generation;
        }
        Ok(())
    }
}

/// The length of tag, in bytes, that the cipher makes of the settled one; never outside the range of tags.
fn data_tag_bytes(cipher: Cipher, negotiated: u8) -> u8 {
    cipher.tag_bytes(negotiated).clamp(Settings::MIN_TAG_BYTES, Settings::MAX_TAG_BYTES)
}

impl fmt::Debug for SendKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendKeys").field("cipher", &self.cipher).field("generation", &self.number).finish()
    }
}

impl fmt::Debug for ReceiveKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveKeys").field("cipher", &self.cipher).field("generation", &self.number).finish()
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod vectors;
