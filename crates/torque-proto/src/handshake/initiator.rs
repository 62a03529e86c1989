//! The states of an attempt to connect, one struct a state (PROTOCOL.md 5.5). Each is consumed by what ends it:
//!
//! ```text
//! Challenging -> Deciding -> Solving -> Requesting -> Established
//!      ^------------'  (old: ask anew)      |
//!      ^------------------------------------'  (stale_epoch, difficulty_too_low)
//! ```

use alloc::vec::Vec;
use core::time::Duration;

use super::attempt::{Common, Established};
use super::challenge::{Accepted, Challenge};
use super::introduced::AtInitiator;
use super::puzzle::{PuzzleJob, puzzle_digest};
use super::settle::check_answer;
use super::{ConnectionParts, Context, Role};
use crate::codes::CloseCode;
use crate::config::HandshakeConfig;
use crate::crypto::noise::{self, Prior};
use crate::crypto::secret::ConnectionSecret;
use crate::identity::KeyPair;
use crate::instant::Instant;
use crate::wire::{
    AcceptPayload, ChallengeRequest, ConnectAccept, ConnectRequest, RefusePayload, ReplyKind, RequestPayload,
    SealedReply,
};

/// The repeats of one request, and the limit of the wait for its answer.
pub(super) struct Repeats {
    /// The time of the first one.
    first: Instant,
    next: Instant,
    pause: Duration,
    limit: Instant,
    /// The number of repeats.
    count: u32,
}

impl Repeats {
    fn new(now: Instant, config: &HandshakeConfig) -> Self {
        let pause = config.retry_first.min(config.retry_max);
        Self { first: now, next: now + pause, pause, limit: now + config.wait, count: 0 }
    }

    /// Returns whether it was sent so many times, and is due again before the limit.
    pub(super) fn is_due_again(&self, now: Instant, times: u32) -> bool {
        self.count + 1 >= times && now >= self.next && !self.has_passed(now)
    }

    /// One repeat, however late it is; then a pause twice as long.
    fn take(&mut self, now: Instant, config: &HandshakeConfig) -> bool {
        let due = now >= self.next;
        if due {
            self.pause = self.pause.saturating_mul(2).min(config.retry_max);
            self.next = now + self.pause;
            self.count = self.count.saturating_add(1);
        }
        due
    }

    pub(super) fn deadline(&self) -> Instant {
        self.next.min(self.limit)
    }

    pub(super) fn has_passed(&self, now: Instant) -> bool {
        now >= self.limit
    }
}

/// Waiting for a challenge_response. With something accepted before, this is a silent refresh.
pub(super) struct Challenging {
    pub(super) initiator_nonce: [u8; 16],
    pub(super) repeats: Repeats,
    pub(super) accepted: Option<Accepted>,
    /// Why the last response was not gone on with, or what the last reject hinted at.
    pub(super) problem: Option<CloseCode>,
}

impl Challenging {
    /// Draws a nonce and sends the first challenge_request.
    pub(super) fn begin(
        common: &Common,
        cx: &mut Context<'_>,
        accepted: Option<Accepted>,
        out: &mut Vec<u8>,
    ) -> Self {
        let state = Self {
            initiator_nonce: cx.rng.array(),
            repeats: Repeats::new(cx.now, &cx.config.handshake),
            accepted,
            problem: None,
        };
        state.send(common, out);
        state
    }

    fn send(&self, common: &Common, out: &mut Vec<u8>) {
        ChallengeRequest {
            initiator_nonce: self.initiator_nonce,
            application_tag: common.application_tag,
            offers: common.offers,
            introduction_id: common.introduction_id(),
        }
        .write(out);
    }

    pub(super) fn repeat(&mut self, common: &Common, cx: &Context<'_>, out: &mut Vec<u8>) {
        if self.repeats.take(cx.now, &cx.config.handshake) {
            self.send(common, out);
        }
    }

    /// Counts the round trip of a response that is gone on with.
    pub(super) fn round_trip(&self, now: Instant) -> Duration {
        now.saturating_since(self.repeats.first)
    }
}

/// The application looks at key and data.
pub(super) struct Deciding {
    pub(super) challenge: Challenge,
    pub(super) limit: Instant,
}

impl Deciding {
    pub(super) fn begin(cx: &Context<'_>, challenge: Challenge) -> Self {
        Self { challenge, limit: cx.now + cx.config.handshake.application_wait }
    }

    /// Returns whether the challenge may have grown too old for its host while the application decided.
    pub(super) fn is_old(&self, cx: &Context<'_>) -> bool {
        cx.now.saturating_since(self.challenge.received) > cx.config.handshake.challenge_age
    }
}

/// The place where the puzzle is solved.
pub(super) enum Work {
    /// Solved here, in slices.
    Here(PuzzleJob),
    /// Taken by a worker, which will return it.
    Taken,
}

/// The request is made but for its solution.
pub(super) struct Solving {
    pub(super) challenge: Challenge,
    exchange: noise::Initiated,
    initial_sequence: u16,
    /// The connect_request without its last 8 bytes.
    unsolved: Vec<u8>,
    digest: [u8; 32],
    pub(super) work: Work,
    /// The time at which the puzzle was made.
    pub(super) since: Instant,
    pub(super) limit: Instant,
}

impl Solving {
    /// Makes the request, once for each challenge. `None` if the host's keys are of no use.
    pub(super) fn begin(common: &mut Common, cx: &mut Context<'_>, challenge: Challenge) -> Option<Self> {
        let initial_sequence = cx.initial_sequence();
        let mut payload = Vec::new();
        RequestPayload {
            initial_sequence,
            settings: common.wishes,
            sign_bit: cx.key_pair.public().sign_bit(),
            connect_data: common.connect_data.clone(),
            extensions: common.extensions.clone(),
        }
        .write(&mut payload);
        let mut noise_message = Vec::new();
        let exchange = noise::initiate(
            Prior {
                prologue: &challenge.prologue(cx.config, common.offers),
                psk: common.introduced().map(AtInitiator::psk),
            },
            &challenge.epoch_key,
            &challenge.public_key.x25519(),
            cx.rng.array(),
            cx.key_pair,
            &payload,
            &mut noise_message,
        )?;
        let [a, b, c, d, ..] = challenge.epoch_key;
        let mut unsolved = Vec::new();
        ConnectRequest {
            initiator_nonce: challenge.initiator_nonce,
            epoch_tag: [a, b, c, d],
            identity_token: challenge.identity_token,
            difficulty: challenge.difficulty,
            cipher: challenge.cipher.number(),
            offers: common.offers,
            introduction_id: common.introduction_id(),
            noise: &noise_message,
            solution: [0; ConnectRequest::SOLUTION_BYTES],
        }
        .write(&mut unsolved);
        unsolved.truncate(unsolved.len() - ConnectRequest::SOLUTION_BYTES);

        let digest = puzzle_digest(&unsolved);
        let job = PuzzleJob::new(common.connection, digest, challenge.difficulty, cx.rng.u64());
        common.stats.difficulty = challenge.difficulty;
        Some(Self {
            challenge,
            exchange,
            initial_sequence,
            unsolved,
            digest,
            work: Work::Here(job),
            since: cx.now,
            limit: cx.now + cx.config.handshake.application_wait,
        })
    }

    /// Returns whether a job that comes back is the one of this puzzle.
    pub(super) fn is_mine(&self, job: &PuzzleJob) -> bool {
        *job.digest() == self.digest
    }

    /// Sends the request with its solution for the first time.
    pub(super) fn solved(
        self,
        common: &mut Common,
        cx: &Context<'_>,
        solution: [u8; 8],
        tries: u64,
        out: &mut Vec<u8>,
    ) -> Requesting {
        common.stats.puzzle_tries = common.stats.puzzle_tries.saturating_add(tries);
        common.stats.puzzle_time =
            common.stats.puzzle_time.saturating_add(cx.now.saturating_since(self.since));
        let mut request = self.unsolved;
        request.extend_from_slice(&solution);
        out.extend_from_slice(&request);
        Requesting {
            challenge: self.challenge,
            exchange: self.exchange,
            initial_sequence: self.initial_sequence,
            request,
            repeats: Repeats::new(cx.now, &cx.config.handshake),
            host_thinks: false,
            hint: None,
            anew: None,
        }
    }
}

/// The request is sent, and repeated byte for byte.
pub(super) struct Requesting {
    pub(super) challenge: Challenge,
    /// Kept whatever answers come: none is authentic before its tag has opened.
    exchange: noise::Initiated,
    initial_sequence: u16,
    request: Vec<u8>,
    pub(super) repeats: Repeats,
    /// A connect_pending came: the host has the request and its application is thinking.
    pub(super) host_thinks: bool,
    /// The hint of the last reject.
    pub(super) hint: Option<CloseCode>,
    /// The host said that it is busy, which used the request up: when to begin anew.
    pub(super) anew: Option<Instant>,
}

/// A sealed answer, opened.
pub(super) enum Answer {
    Accepted(AcceptPayload, ConnectionSecret),
    Refused(RefusePayload),
    Pending,
    /// Authentic, but not what the protocol allows.
    Violation,
}

impl Requesting {
    pub(super) fn repeat(&mut self, cx: &Context<'_>, out: &mut Vec<u8>) {
        if self.repeats.take(cx.now, &cx.config.handshake) {
            out.extend_from_slice(&self.request);
        }
    }

    /// Opens a connect_accept with the secret that its salt and E2 give; `None` if it is not authentic.
    pub(super) fn open_accept(&self, key_pair: &KeyPair, accept: &ConnectAccept<'_>) -> Option<Answer> {
        let noise::Initiated { secret, ephemeral } = &self.exchange;
        let secret =
            secret.answers(&accept.host_salt).accepted(ephemeral, key_pair.dh_secret(), &accept.e2)?;
        Some(match AcceptPayload::parse(&secret.open_accept(&accept.header(), accept.sealed)?) {
            Ok(payload) => Answer::Accepted(payload, secret),
            Err(_) => Answer::Violation,
        })
    }

    /// Opens another answer with the secret that its salt gives; `None` if it is not authentic.
    pub(super) fn open(&self, reply: &SealedReply<'_>) -> Option<Answer> {
        let secret = self.exchange.secret.answers(&reply.host_salt);
        let header = reply.header();
        Some(match reply.kind {
            ReplyKind::Pending => {
                secret.open_pending(&header, reply.sealed)?;
                Answer::Pending
            }
            ReplyKind::Refuse => match RefusePayload::parse(&secret.open_refuse(&header, reply.sealed)?) {
                Ok(payload) => Answer::Refused(payload),
                Err(_) => Answer::Violation,
            },
        })
    }

    /// Returns whether the host has said nothing to it for three repeats.
    pub(super) fn is_unanswered(&self) -> bool {
        self.repeats.count >= 3 && !self.host_thinks
    }

    /// The time of the next repeat, fresh beginning or end of the wait.
    pub(super) fn deadline(&self) -> Instant {
        let deadline = self.repeats.deadline();
        self.anew.map_or(deadline, |anew| anew.min(deadline))
    }

    /// The host's application is thinking: wait as long as an application may take, and repeat slowly.
    pub(super) fn pending(&mut self, now: Instant, config: &HandshakeConfig) {
        self.host_thinks = true;
        self.hint = None;
        self.anew = None;
        self.repeats.limit = self.repeats.first + config.application_wait;
        self.repeats.pause = config.retry_max;
        self.repeats.next = now + config.retry_max;
    }

    /// The connection is made. `None` if the host's answer breaks the rules for settings.
    pub(super) fn established(
        self,
        common: &mut Common,
        now: Instant,
        payload: AcceptPayload,
        secret: ConnectionSecret,
    ) -> Option<Established> {
        let cipher = self.challenge.cipher;
        let agreed = check_answer(cipher, &common.wishes, &payload.settings)?;
        common.stats.total_time = now.saturating_since(common.started);
        Some(Established {
            parts: ConnectionParts {
                role: Role::Initiator,
                secret,
                cipher,
                agreed,
                send_sequence: self.initial_sequence,
                receive_sequence: payload.initial_sequence,
                connection_number: payload.connection_id,
                reset_token: payload.reset_token,
                public_key: self.challenge.public_key,
                stats: common.stats,
            },
            accept_data: payload.accept_data,
        })
    }
}
