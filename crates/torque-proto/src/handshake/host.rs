//! What a host does before there is a pending connection: answer challenge_requests without keeping state,
//! and admit connect_requests in the order of PROTOCOL.md 5.4.

use alloc::vec::Vec;

use super::epoch::{Epoch, Epochs, Recorded};
use super::introduced::AtHost;
use super::load::LoadController;
use super::puzzle::{is_solution, puzzle_digest};
use super::token::TokenClaims;
use super::transcript::{Transcript, application_tag};
use super::{Context, DropReason, EpochSecrets, ShortData};
use crate::address::Address;
use crate::codes::RejectCode;
use crate::config::Config;
use crate::crypto::Cipher;
use crate::crypto::hash::sha256;
use crate::crypto::noise::{self, InitiatorKeys, Prior};
use crate::crypto::secret::HandshakeSecret;
use crate::identity::PublicKey;
use crate::instant::Instant;
use crate::wire::{
    ChallengeRequest, ChallengeResponse, ConnectRequest, PROTOCOL_VERSION, Reject, RequestPayload,
};

/// A request may ask for this much less than the host asks for at that moment.
const DIFFICULTY_SLACK: u8 = 4;

/// The state of the endpoint's table of pending connections.
pub(crate) struct Occupancy<F> {
    /// The number of pending connections, for the difficulty.
    pub(crate) pending: usize,
    /// Tells if there is a place for another one of this source. Called only for requests that have paid.
    pub(crate) has_room: F,
}

/// The outcome of a connect_request.
#[expect(clippy::large_enum_variant, reason = "returned and taken apart at once, never kept")]
pub(crate) enum Admission {
    /// Call [`Admitted::ask`], unless our own attempt survives (PROTOCOL.md 5.4, step 9).
    Admitted(Admitted),
    /// A reject was appended.
    Rejected(RejectCode),
    /// Nothing was appended.
    Dropped(DropReason),
}

/// A request that proved its address, paid its puzzle, and opened. Its token is used up.
pub(crate) struct Admitted {
    pub(super) initiator_nonce: [u8; 16],
    pub(super) public_key: PublicKey,
    pub(super) payload: RequestPayload,
    pub(super) initiator: InitiatorKeys,
    pub(super) secret: HandshakeSecret,
    pub(super) cipher: Cipher,
    pub(super) difficulty: u8,
    /// SHA-256 of the whole request, to know a repeat from a change.
    pub(super) digest: [u8; 32],
}

impl Admitted {
    /// The nonce of the request, to compare with that of our attempt to the same address.
    pub(crate) fn initiator_nonce(&self) -> &[u8; 16] {
        &self.initiator_nonce
    }
}

/// Why a challenge_request got no challenge_response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoChallenge {
    /// A reject was appended.
    Rejected(RejectCode),
    /// Nothing was appended.
    Dropped(DropReason),
}

/// The host's side of one socket.
pub(crate) struct Host {
    epochs: Epochs,
    load: LoadController,
    application_tag: [u8; 8],
    /// `clock_millis` milliseconds since 1970 it was at `clock_base`.
    clock_base: Instant,
    clock_millis: u64,
}

impl Host {
    pub(crate) fn new(now: Instant, config: &Config, unix_millis: u64) -> Self {
        Self {
            epochs: Epochs::new(config.handshake.epoch_lifetime, config.limits.replay_tokens),
            load: LoadController::new(now, &config.puzzle),
            application_tag: application_tag(&config.application_id),
            clock_base: now,
            clock_millis: unix_millis,
        }
    }

    /// The data that the next epoch shows everybody who asks.
    pub(crate) fn set_challenge_response_data(&mut self, data: ShortData<'_>) {
        self.epochs.set_data(data.bytes());
    }

    /// Forgets all epochs, because the identity that signed them changed.
    pub(crate) fn forget_epochs(&mut self) {
        self.epochs.clear();
    }

    /// The current epoch's secrets, for other shards of the same host. `None` before the first challenge.
    pub(crate) fn share_epoch(&self) -> Option<EpochSecrets> {
        self.epochs.share()
    }

    /// Returns whether the next challenge begins a new epoch.
    pub(crate) fn epoch_is_due(&self, now: Instant) -> bool {
        self.epochs.is_new_one_due(now)
    }

    /// Begins a new epoch if one is due.
    pub(crate) fn start_epoch(&mut self, cx: &mut Context<'_>) {
        let unix_millis = self.unix_millis(cx.now);
        self.epochs.current(cx.now, unix_millis, cx.key_pair, cx.rng);
    }

    /// Takes over another shard's epoch, data included.
    pub(crate) fn install_epoch(&mut self, now: Instant, secrets: EpochSecrets) {
        self.epochs.install(now, self.unix_millis(now), secrets);
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) has to erase an epoch.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.epochs.deadline()
    }

    /// Erases what has ended.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.epochs.erase_ended(now);
    }

    /// The difficulty that is asked for now.
    pub(crate) fn difficulty(&mut self, now: Instant, config: &Config, pending: usize) -> u8 {
        self.load.difficulty(now, &config.puzzle, pending, config.limits.pending)
    }

    /// From `now` on, the wall clock goes on from `unix_millis`.
    pub(crate) fn set_unix_millis(&mut self, now: Instant, unix_millis: u64) {
        (self.clock_base, self.clock_millis) = (now, unix_millis);
    }

    /// Milliseconds since 1970 by the wall clock that was handed in last.
    pub(crate) fn unix_millis(&self, now: Instant) -> u64 {
        let since = now.saturating_since(self.clock_base).as_millis();
        self.clock_millis.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// Answers a challenge_request: steps 3 and 4 of PROTOCOL.md 5.4. No state is kept. No answer is longer than the request, unless
    /// it belongs to an introduction: `introduced` is the one that the request names, if this is a place where it may (INTRODUCTIONS.md 7).
    ///
    /// # Errors
    /// Says what was done instead of a challenge_response.
    pub(crate) fn answer_challenge(
        &mut self,
        cx: &mut Context<'_>,
        remote: Address,
        request: &ChallengeRequest,
        introduced: Option<&AtHost>,
        pending: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), NoChallenge> {
        AtHost::check(introduced, request.introduction_id).map_err(NoChallenge::Dropped)?;
        let nonce = request.initiator_nonce;
        let mut rejected = |code| Err(NoChallenge::Rejected(reject(code, nonce, out)));
        if request.application_tag != self.application_tag {
            return rejected(RejectCode::ApplicationMismatch);
        }
        let Some(cipher) = request.offers.choose(&cx.config.ciphers) else {
            return rejected(RejectCode::NoCommonCipher);
        };
        let difficulty = difficulty_for(introduced, &mut self.load, cx, pending);
        let unix_millis = self.unix_millis(cx.now);
        let epoch = self.epochs.current(cx.now, unix_millis, cx.key_pair, cx.rng);
        let claims = TokenClaims {
            remote,
            initiator_nonce: &nonce,
            difficulty,
            cipher: cipher.number(),
            offers: request.offers,
        };
        ChallengeResponse {
            initiator_nonce: nonce,
            epoch_start: epoch.start_millis(),
            epoch_key: *epoch.key(),
            signature: *epoch.signature(),
            identity_token: claims.token(epoch.token_secret()),
            difficulty,
            cipher: cipher.number(),
            host_key: *cx.key_pair.public().as_bytes(),
            data: epoch.data(),
            introduced_data: introduced.map(AtHost::sealed_data),
        }
        .write(out);
        Ok(())
    }

    /// Admits a connect_request, or says why not: steps 3 to 8 of PROTOCOL.md 5.4. `bytes` is the datagram
    /// that `request` was read from. The caller has looked for a pending connection with this address and nonce, and for the
    /// introduction that the request names.
    #[expect(clippy::too_many_arguments, reason = "a request, what came with it, and what this side knows")]
    pub(crate) fn admit(
        &mut self,
        cx: &mut Context<'_>,
        remote: Address,
        request: &ConnectRequest<'_>,
        bytes: &[u8],
        introduced: Option<&AtHost>,
        occupancy: Occupancy<impl FnOnce() -> bool>,
        out: &mut Vec<u8>,
    ) -> Admission {
        let mut rejected = |code| Admission::Rejected(reject(code, request.initiator_nonce, out));
        let Some(epoch) = self.epochs.find(cx.now, request.epoch_tag) else {
            return rejected(RejectCode::StaleEpoch);
        };
        let claims = TokenClaims {
            remote,
            initiator_nonce: &request.initiator_nonce,
            difficulty: request.difficulty,
            cipher: request.cipher,
            offers: request.offers,
        };
        if !claims.verify(epoch.token_secret(), &request.identity_token) {
            return Admission::Dropped(DropReason::FalseToken);
        }

        let asked = difficulty_for(introduced, &mut self.load, cx, occupancy.pending);
        if request.difficulty < asked.saturating_sub(DIFFICULTY_SLACK) {
            return rejected(RejectCode::DifficultyTooLow);
        }
        if let Err(reason) = AtHost::check(introduced, request.introduction_id) {
            return Admission::Dropped(reason);
        }
        let unsolved = &bytes[..bytes.len().saturating_sub(ConnectRequest::SOLUTION_BYTES)];
        if !is_solution(&puzzle_digest(unsolved), &request.solution, request.difficulty) {
            return Admission::Dropped(DropReason::FalseSolution);
        }

        // Used up whatever comes of it: the epoch key is reused, and a replay would repeat keys.
        match epoch.record(request.identity_token) {
            Recorded::Fresh => {}
            Recorded::Used => return Admission::Dropped(DropReason::ReplayedToken),
            // The next epoch has another table.
            Recorded::Full => return rejected(RejectCode::StaleEpoch),
        }
        // Only what was paid for counts: others would raise the price for everybody. Introduced requests have places apart.
        if introduced.is_none() {
            self.load.count_request(cx.now);
        }
        if !(occupancy.has_room)() {
            return rejected(RejectCode::Busy);
        }
        match open_request(cx, epoch, request, bytes, introduced) {
            Some(admitted) => Admission::Admitted(admitted),
            None => Admission::Dropped(DropReason::HandshakeRejected),
        }
    }
}

/// The difficulty to ask for. An introduced request pays the least, because its path is proven and its psk admits one initiator.
fn difficulty_for(
    introduced: Option<&AtHost>,
    load: &mut LoadController,
    cx: &Context<'_>,
    pending: usize,
) -> u8 {
    match introduced {
        Some(_) => cx.config.puzzle.difficulty_min,
        None => load.difficulty(cx.now, &cx.config.puzzle, pending, cx.config.limits.pending),
    }
}

/// Diffie-Hellman and what it opens. The initiator's identity is checked as PROTOCOL.md 3.1 says.
fn open_request(
    cx: &Context<'_>,
    epoch: &Epoch,
    request: &ConnectRequest<'_>,
    bytes: &[u8],
    introduced: Option<&AtHost>,
) -> Option<Admitted> {
    let prologue = Transcript {
        application_id: &cx.config.application_id,
        initiator_nonce: &request.initiator_nonce,
        offers: request.offers,
        epoch_start: epoch.start_millis(),
        epoch_key: epoch.key(),
        signature: epoch.signature(),
        identity_token: &request.identity_token,
        difficulty: request.difficulty,
        cipher: request.cipher,
        host_key: cx.key_pair.public().as_bytes(),
        data_digest: epoch.data_digest(),
        introduction: introduced.map(AtHost::claim),
    }
    .prologue();
    let cipher = Cipher::from_number(request.cipher)?;
    let noise::Responded { initiator, payload, secret } = noise::respond(
        Prior { prologue: &prologue, psk: introduced.map(AtHost::psk) },
        epoch.dh(),
        cx.key_pair,
        request.noise,
    )?;
    let payload = RequestPayload::parse(&payload).ok()?;
    let public_key = PublicKey::from_x25519(initiator.s.as_bytes(), payload.sign_bit).ok()?;
    if introduced.is_some_and(|introduced| *introduced.initiator() != public_key) {
        return None;
    }
    Some(Admitted {
        initiator_nonce: request.initiator_nonce,
        public_key,
        payload,
        initiator,
        secret,
        cipher,
        difficulty: request.difficulty,
        digest: sha256(&[bytes]),
    })
}

/// Appends a reject.
pub(crate) fn reject(code: RejectCode, initiator_nonce: [u8; 16], out: &mut Vec<u8>) -> RejectCode {
    Reject { version: PROTOCOL_VERSION, initiator_nonce, code }.write(out);
    code
}
