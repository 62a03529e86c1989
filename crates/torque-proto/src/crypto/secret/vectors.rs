//! For the golden vectors: secrets from given bytes, and their bytes.

use super::*;

impl HandshakeSecret {
    pub(crate) fn from_parts(ck: [u8; 32], h: [u8; 32]) -> Self {
        Self { ck, h }
    }
}

impl AnswerSecret {
    pub(crate) fn prk0(&self) -> [u8; 32] {
        self.prk0
    }

    pub(crate) fn refuse_key(&self) -> [u8; 32] {
        *answer_key(&self.prk0, REFUSE)
    }

    pub(crate) fn pending_key(&self) -> [u8; 32] {
        *answer_key(&self.prk0, PENDING)
    }
}

impl PunchKey {
    pub(crate) fn expose(&self) -> [u8; 32] {
        self.0
    }
}

impl ConnectionSecret {
    pub(crate) fn from_prk(prk: [u8; 32]) -> Self {
        Self { prk }
    }

    pub(crate) fn prk(&self) -> [u8; 32] {
        self.prk
    }

    pub(crate) fn accept_key(&self) -> [u8; 32] {
        *answer_key(&self.prk, ACCEPT)
    }
}
