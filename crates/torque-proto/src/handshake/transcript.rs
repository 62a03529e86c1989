//! What is signed and what is mixed into the handshake's secrets: every field of the challenge phase
//! (PROTOCOL.md 3.2, 5.2).

use alloc::vec::Vec;

use super::introduced::Claim;
use crate::crypto::hash::sha256;
use crate::wire::{KEY_TYPE_ED25519, Offers, PROTOCOL_VERSION};

/// The message that a host's identity signs once for each epoch.
pub(crate) fn epoch_message(start_millis: u64, epoch_key: &[u8; 32], data_digest: &[u8; 32]) -> Vec<u8> {
    let mut message = Vec::with_capacity(96);
    message.extend_from_slice(b"TorqueSocket epoch v1");
    message.extend_from_slice(&[PROTOCOL_VERSION, KEY_TYPE_ED25519]);
    message.extend_from_slice(&start_millis.to_be_bytes());
    message.extend_from_slice(epoch_key);
    message.extend_from_slice(data_digest);
    message
}

/// The challenge phase as both sides saw it. If they saw different ones, nothing of the connect phase opens.
pub(crate) struct Transcript<'a> {
    pub(crate) application_id: &'a [u8],
    pub(crate) initiator_nonce: &'a [u8; 16],
    pub(crate) offers: Offers,
    pub(crate) epoch_start: u64,
    pub(crate) epoch_key: &'a [u8; 32],
    pub(crate) signature: &'a [u8; 64],
    pub(crate) identity_token: &'a [u8; 16],
    pub(crate) difficulty: u8,
    pub(crate) cipher: u8,
    pub(crate) host_key: &'a [u8; 32],
    pub(crate) data_digest: &'a [u8; 32],
    pub(crate) introduction: Option<Claim>,
}

impl Transcript<'_> {
    /// The Noise prologue.
    pub(crate) fn prologue(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(288);
        bytes.extend_from_slice(b"TorqueSocket v1");
        bytes.push(PROTOCOL_VERSION);
        // `Config::validate` keeps it within 32 bytes.
        bytes.push(self.application_id.len() as u8);
        bytes.extend_from_slice(self.application_id);
        bytes.extend_from_slice(self.initiator_nonce);
        bytes.extend_from_slice(&self.offers.to_bytes());
        bytes.extend_from_slice(&self.epoch_start.to_be_bytes());
        bytes.extend_from_slice(self.epoch_key);
        bytes.extend_from_slice(self.signature);
        bytes.extend_from_slice(self.identity_token);
        bytes.extend_from_slice(&[self.difficulty, self.cipher, KEY_TYPE_ED25519]);
        bytes.extend_from_slice(self.host_key);
        bytes.extend_from_slice(self.data_digest);
        match &self.introduction {
            None => bytes.extend_from_slice(&0_u64.to_be_bytes()),
            Some(claim) => {
                bytes.extend_from_slice(&claim.id.get().to_be_bytes());
                bytes.extend_from_slice(&claim.data_digest);
            }
        }
        bytes
    }
}

/// The application's tag in a challenge_request, which does not reveal its id (PROTOCOL.md 3.2).
pub(crate) fn application_tag(application_id: &[u8]) -> [u8; 8] {
    let digest = sha256(&[b"TorqueSocket application", application_id]);
    let mut tag = [0; 8];
    tag.copy_from_slice(&digest[..8]);
    tag
}

#[cfg(test)]
mod tests;
