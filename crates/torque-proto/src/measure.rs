//! Sealing and opening of packets by themselves, for this project's own measurements, and what its tests steal (feature
//! `measure`). Not part of the interface: it changes without notice.

use crate::crypto::Cipher;
use crate::crypto::keys::{ReceiveKeys, SendKeys, Tag};
use crate::crypto::secret::TrafficSecret;
use crate::handshake::EpochSecrets;
use crate::path::Path;
use crate::transmits::{Cause, Transmits};

/// A queue without an endpoint, for tests of drivers.
pub fn transmits() -> Transmits {
    Transmits::new(1_000, 1 << 20)
}

/// Appends a datagram as if the endpoint sent it, for tests of drivers.
pub fn push_transmit(transmits: &mut Transmits, path: Path, hop_limit: Option<u8>, bytes: &[u8]) {
    transmits.push_with_hop_limit(Cause::Own, path, hop_limit, |out| out.extend_from_slice(bytes));
}

/// The private key of an epoch, for tests in which a thief has it.
pub fn stolen_epoch_key(secrets: &EpochSecrets) -> [u8; 32] {
    *secrets.dh().secret()
}

/// Both ends of one direction of a connection, without windows, queues and timers.
pub struct Keys {
    send: SendKeys,
    receive: ReceiveKeys,
}

impl Keys {
    /// Fixed keys, tags of 8 bytes where the cipher has short ones.
    pub fn new(cipher: Cipher) -> Self {
        let secret = || TrafficSecret::from_log([7; 32]);
        Self { send: SendKeys::new(secret(), cipher, 8), receive: ReceiveKeys::new(secret(), cipher, 8) }
    }

    /// Seals the data packet with this sequence in place.
    pub fn seal(
        &mut self,
        sequence: u64,
        associated: &[u8],
        text: &mut [u8],
    ) -> Option<impl AsRef<[u8]> + use<>> {
        struct Sealed(Tag);
        impl AsRef<[u8]> for Sealed {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        self.send.seal_data(sequence, associated, text).map(Sealed)
    }

    /// Opens it in place; whether it was authentic.
    pub fn open(&mut self, sequence: u64, associated: &[u8], text: &mut [u8], tag: &[u8]) -> bool {
        self.receive.open_data(sequence, associated, text, tag).is_ok()
    }
}
