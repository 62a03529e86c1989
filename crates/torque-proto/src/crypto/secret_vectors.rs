//! For the golden vectors: secrets from given bytes, and their bytes.

use super::*;

impl HandshakeSecret {
    pub(crate) fn from_parts(ck: [u8; 32], h: [u8; 32]) -> Self {
        Self { ck, h }
    }
}

impl ConnectionSecret {
    pub(crate) fn from_prk(prk: [u8; 32]) -> Self {
        Self { prk }
    }

    pub(crate) fn prk(&self) -> [u8; 32] {
        self.prk
    }

    /// The keys of connect_accept, connect_refuse and connect_pending.
    pub(crate) fn answer_keys(&self) -> [[u8; 32]; 3] {
        [Reply::Accept, Reply::Refuse, Reply::Pending].map(|reply| *self.reply_key(reply))
    }
}
