//! A challenge_response as the initiator sees it: what is checked, and what goes on with it
//! (PROTOCOL.md 5.5).

use alloc::vec::Vec;

use super::Context;
use super::introduced::{AtInitiator, Claim, Shown};
use super::transcript::{Transcript, epoch_message};
use crate::codes::CloseCode;
use crate::config::Config;
use crate::crypto::Cipher;
use crate::crypto::hash::sha256;
use crate::identity::PublicKey;
use crate::instant::Instant;
use crate::wire::{ChallengeResponse, Offers};

/// Which host keys an attempt takes. There is no default.
///
/// A key in the URL is a pin, which this can only narrow: with `Ask` the application is asked as well (`AskPinned`), with
/// `Anyone` nothing changes, and with another pin the call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// The application is shown the key and the data, by
    /// [`Event::ChallengeResponse`](crate::Event::ChallengeResponse), and decides. It has to answer, or the attempt ends
    /// with `NoDecision`. With a key in the URL, hosts with other keys are not shown.
    Ask,
    /// This key only, without asking. Other keys are ignored, and named if nothing better comes.
    Pinned(PublicKey),
    /// Both: this key only, and the application is asked as with [`Ask`](Self::Ask), for example to look at the data.
    /// `Ask` for a URL with a key means this.
    AskPinned(PublicKey),
    /// Any key, without asking. Anybody who can send from the host's address can be the host.
    Anyone,
}

impl Trust {
    /// The one key that is taken, if it is named. It has been checked (PROTOCOL.md 3.1).
    fn pin(&self) -> Option<&PublicKey> {
        match self {
            Self::Pinned(pinned) | Self::AskPinned(pinned) => Some(pinned),
            Self::Ask | Self::Anyone => None,
        }
    }

    /// Returns whether the application is asked.
    pub(super) fn asks(&self) -> bool {
        matches!(self, Self::Ask | Self::AskPinned(_))
    }
}

/// The question to the application at the initiator.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) public_key: PublicKey,
    pub(crate) challenge_response_data: Vec<u8>,
    /// Empty without an introduction.
    pub(crate) introduced_data: Vec<u8>,
    pub(crate) difficulty: u8,
    pub(crate) cipher: Cipher,
}

/// A challenge that passed every check.
pub(super) struct Challenge {
    pub(super) initiator_nonce: [u8; 16],
    epoch_start: u64,
    pub(super) epoch_key: [u8; 32],
    signature: [u8; 64],
    pub(super) identity_token: [u8; 16],
    pub(super) difficulty: u8,
    pub(super) cipher: Cipher,
    pub(super) public_key: PublicKey,
    data: Vec<u8>,
    data_digest: [u8; 32],
    introduced: Option<Shown>,
    /// The time at which it came.
    pub(super) received: Instant,
}

/// The key and data that the application or a rule accepted. A fresh challenge that shows the same raises no question.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    public_key: PublicKey,
    data_digest: [u8; 32],
    introduction: Option<Claim>,
}

impl Challenge {
    /// Checks a response, cheap checks first. The error names what is wrong with it.
    pub(super) fn examine(
        cx: &Context<'_>,
        response: &ChallengeResponse<'_>,
        offers: Offers,
        trust: &Trust,
        introduced: Option<&AtInitiator>,
    ) -> Result<Self, CloseCode> {
        let cipher = Cipher::from_number(response.cipher)
            .filter(|cipher| offers.contains(cipher.number()))
            .ok_or(CloseCode::ProtocolViolation)?;
        if response.difficulty > cx.config.puzzle.difficulty_limit {
            return Err(CloseCode::DifficultyTooHigh);
        }
        let public_key = examine_key(&response.host_key, trust.pin(), introduced.map(AtInitiator::host))?;
        let introduced = match (introduced, response.introduced_data) {
            (None, None) => None,
            (Some(introduced), Some(sealed)) => {
                Some(introduced.open(sealed).ok_or(CloseCode::ProtocolViolation)?)
            }
            // Anybody could take them away or add some.
            (Some(_), None) | (None, Some(_)) => return Err(CloseCode::ProtocolViolation),
        };
        let data_digest = sha256(&[response.data]);
        let message = epoch_message(response.epoch_start, &response.epoch_key, &data_digest);
        if !public_key.verify(&[&message], &response.signature) {
            return Err(CloseCode::BadSignature);
        }
        Ok(Self {
            initiator_nonce: response.initiator_nonce,
            epoch_start: response.epoch_start,
            epoch_key: response.epoch_key,
            signature: response.signature,
            identity_token: response.identity_token,
            difficulty: response.difficulty,
            cipher,
            public_key,
            data: response.data.to_vec(),
            data_digest,
            introduced,
            received: cx.now,
        })
    }

    pub(super) fn question(&self) -> Question {
        Question {
            public_key: self.public_key,
            challenge_response_data: self.data.clone(),
            introduced_data: self.introduced.as_ref().map_or_else(Vec::new, |shown| shown.data.clone()),
            difficulty: self.difficulty,
            cipher: self.cipher,
        }
    }

    /// Returns whether that response leads to the same request.
    pub(super) fn is_of(&self, response: &ChallengeResponse<'_>) -> bool {
        self.identity_token == response.identity_token
            && self.epoch_key == response.epoch_key
            && self.difficulty == response.difficulty
            && self.cipher.number() == response.cipher
    }

    pub(super) fn accepted(&self) -> Accepted {
        Accepted {
            public_key: self.public_key,
            data_digest: self.data_digest,
            introduction: self.introduction(),
        }
    }

    fn introduction(&self) -> Option<Claim> {
        self.introduced.as_ref().map(|shown| shown.claim)
    }

    /// The Noise prologue of the request that answers this challenge.
    pub(super) fn prologue(&self, config: &Config, offers: Offers) -> Vec<u8> {
        Transcript {
            application_id: &config.application_id,
            initiator_nonce: &self.initiator_nonce,
            offers,
            epoch_start: self.epoch_start,
            epoch_key: &self.epoch_key,
            signature: &self.signature,
            identity_token: &self.identity_token,
            difficulty: self.difficulty,
            cipher: self.cipher.number(),
            host_key: self.public_key.as_bytes(),
            data_digest: &self.data_digest,
            introduction: self.introduction(),
        }
        .prologue()
    }
}

/// The host's key, if it is each of the keys that were named beforehand.
fn examine_key(
    key: &[u8; 32],
    pinned: Option<&PublicKey>,
    introduced: Option<&PublicKey>,
) -> Result<PublicKey, CloseCode> {
    let mut named = [pinned, introduced].into_iter().flatten();
    if named.clone().any(|named| named.as_bytes() != key) {
        return Err(CloseCode::KeyMismatch);
    }
    match named.next() {
        Some(named) => Ok(*named),
        None => PublicKey::from_bytes(key).map_err(|_| CloseCode::KeyMismatch),
    }
}
