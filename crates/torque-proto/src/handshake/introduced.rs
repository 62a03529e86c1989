//! The part of an introduction in a handshake: what each side knows beforehand of the other one (INTRODUCTIONS.md 7).

use alloc::vec::Vec;

use super::DropReason;
use crate::crypto::hash::sha256;
use crate::crypto::introduced::{DataKey, Psk};
use crate::error::CallError;
use crate::identity::PublicKey;
use crate::introduction::IntroductionId;
use crate::wire::MAX_INTRODUCED_DATA;

/// At most 480 bytes that the host's application gives for one introduction.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct IntroducedData(Vec<u8>);

impl IntroducedData {
    /// # Errors
    /// `TooLarge` above 480 bytes.
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Self, CallError> {
        if bytes.len() > MAX_INTRODUCED_DATA {
            return Err(CallError::TooLarge { max: MAX_INTRODUCED_DATA });
        }
        Ok(Self(bytes))
    }
}

/// The part of an introduction in the prologue of its handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Claim {
    pub(crate) id: IntroductionId,
    /// SHA-256 of the introduced data, before they are sealed.
    pub(crate) data_digest: [u8; 32],
}

/// An introduction at the party that is to be the initiator.
#[derive(Debug)]
pub(crate) struct AtInitiator {
    id: IntroductionId,
    host: PublicKey,
    psk: Psk,
    data_key: DataKey,
}

impl AtInitiator {
    pub(crate) fn new(id: IntroductionId, host: PublicKey, psk: Psk, data_key: DataKey) -> Self {
        Self { id, host, psk, data_key }
    }

    pub(crate) fn id(&self) -> IntroductionId {
        self.id
    }

    /// The host's key, as the introducer named it.
    pub(super) fn host(&self) -> &PublicKey {
        &self.host
    }

    pub(super) fn psk(&self) -> &Psk {
        &self.psk
    }

    /// The introduced data of a challenge_response; `None` if they are not authentic.
    pub(super) fn open(&self, sealed: &[u8]) -> Option<Shown> {
        let data = self.data_key.open(self.id.get(), sealed)?;
        Some(Shown { claim: Claim { id: self.id, data_digest: sha256(&[&data]) }, data })
    }
}

/// The introduced data that a host has shown.
pub(super) struct Shown {
    pub(super) claim: Claim,
    pub(super) data: Vec<u8>,
}

/// An introduction at the party that is to be the host.
#[derive(Debug)]
pub(crate) struct AtHost {
    claim: Claim,
    initiator: PublicKey,
    psk: Psk,
    sealed_data: Vec<u8>,
}

impl AtHost {
    /// Seals the data. The key seals nothing else, so it is used up.
    pub(crate) fn new(
        id: IntroductionId,
        initiator: PublicKey,
        psk: Psk,
        data_key: DataKey,
        IntroducedData(data): &IntroducedData,
    ) -> Self {
        let claim = Claim { id, data_digest: sha256(&[data]) };
        Self { claim, initiator, psk, sealed_data: data_key.seal(id.get(), data) }
    }

    /// Returns whether a request that names this introduction, or none with 0, belongs to the introduction that was found for it.
    pub(super) fn check(found: Option<&Self>, id: u64) -> Result<(), DropReason> {
        let found = found.map_or(0, |introduced| introduced.claim.id.get());
        if found == id { Ok(()) } else { Err(DropReason::UnknownIntroduction) }
    }

    pub(super) fn claim(&self) -> Claim {
        self.claim
    }

    /// The initiator's key, as the introducer named it.
    pub(super) fn initiator(&self) -> &PublicKey {
        &self.initiator
    }

    pub(super) fn psk(&self) -> &Psk {
        &self.psk
    }

    /// The introduced data as each challenge_response has them.
    pub(super) fn sealed_data(&self) -> &[u8] {
        &self.sealed_data
    }
}
