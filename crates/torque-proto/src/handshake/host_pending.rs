//! Pending connections at the host: the application is asked, then the request is accepted or refused
//! (PROTOCOL.md 5.4). The initiator repeats its request meanwhile, and gets the answer of that state.

use alloc::vec::Vec;
use core::time::Duration;

use super::host::Admitted;
use super::settle::settle;
use super::{ConnectionParts, Context, DropReason, Role, ShortData};
use crate::codes::CloseCode;
use crate::config::HandshakeConfig;
use crate::crypto::Cipher;
use crate::crypto::dh::DhSecret;
use crate::crypto::hash::sha256;
use crate::crypto::noise::InitiatorKeys;
use crate::crypto::secret::AnswerSecret;
use crate::event::Extension;
use crate::identity::PublicKey;
use crate::instant::Instant;
use crate::settings::Settings;
use crate::stats::HandshakeStats;
use crate::wire::{AcceptPayload, ConnectAccept, REPLY_HEADER_BYTES, RefusePayload, ReplyKind, SealedReply};

/// Answers to repeats are no closer together than this.
const ANSWER_PAUSE: Duration = Duration::from_millis(50);

/// The question to the host's application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RequestQuestion {
    pub(crate) public_key: PublicKey,
    pub(crate) connect_data: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
}

/// Which request a pending connection answers, and when it did last.
struct Request {
    initiator_nonce: [u8; 16],
    digest: [u8; 32],
    host_salt: [u8; 16],
    answered: Option<Instant>,
}

impl Request {
    /// Checks that this is the same request, byte for byte, and that the last answer is not too fresh.
    fn may_answer(&mut self, now: Instant, bytes: &[u8]) -> Result<(), DropReason> {
        if sha256(&[bytes]) != self.digest {
            return Err(DropReason::ChangedRequest);
        }
        if self.answered.is_some_and(|last| now.saturating_since(last) < ANSWER_PAUSE) {
            return Err(DropReason::TooSoon);
        }
        self.answered = Some(now);
        Ok(())
    }

    /// The whole refusal or connect_pending. `seal` seals the text for the header that it is given.
    fn reply(
        &self,
        kind: ReplyKind,
        mut text: Vec<u8>,
        seal: impl FnOnce(&[u8; REPLY_HEADER_BYTES], &mut Vec<u8>),
    ) -> Vec<u8> {
        let mut reply = SealedReply {
            kind,
            initiator_nonce: self.initiator_nonce,
            host_salt: self.host_salt,
            sealed: &[],
        };
        seal(&reply.header(), &mut text);
        reply.sealed = &text;
        let mut bytes = Vec::with_capacity(reply.header().len() + text.len());
        reply.write(&mut bytes);
        bytes
    }
}

/// The application is thinking.
pub(crate) struct Asking {
    request: Request,
    public_key: PublicKey,
    initiator: InitiatorKeys,
    secret: AnswerSecret,
    cipher: Cipher,
    difficulty: u8,
    receive_sequence: u16,
    wishes: Settings,
    asked: Instant,
    deadline: Instant,
}

impl Admitted {
    /// Draws host_salt. The question is for the application.
    pub(crate) fn ask(self, cx: &mut Context<'_>) -> (Asking, RequestQuestion) {
        let host_salt = cx.rng.array();
        let asking = Asking {
            request: Request {
                initiator_nonce: self.initiator_nonce,
                digest: self.digest,
                host_salt,
                answered: None,
            },
            public_key: self.public_key,
            initiator: self.initiator,
            secret: self.secret.answers(&host_salt),
            cipher: self.cipher,
            difficulty: self.difficulty,
            receive_sequence: self.payload.initial_sequence,
            wishes: self.payload.settings,
            asked: cx.now,
            deadline: cx.now + cx.config.handshake.application_wait,
        };
        let question = RequestQuestion {
            public_key: self.public_key,
            connect_data: self.payload.connect_data,
            extensions: self.payload.extensions,
        };
        (asking, question)
    }
}

impl Asking {
    /// The initiator's identity.
    pub(crate) fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The time to refuse with `no_decision`.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// For a later request of the same introduction: the application has been asked with an earlier one, and has until the same time.
    pub(crate) fn take_place_of(&mut self, earlier: &Self) {
        (self.asked, self.deadline) = (earlier.asked, earlier.deadline);
    }

    /// Answers a repeated request with a connect_pending.
    ///
    /// # Errors
    /// Says why nothing was appended.
    pub(crate) fn repeat(&mut self, now: Instant, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DropReason> {
        self.request.may_answer(now, bytes)?;
        // Key, header and text are always the same, so it is always the same byte string.
        let reply = self.request.reply(ReplyKind::Pending, Vec::new(), |header, text| {
            self.secret.seal_pending(header, text);
        });
        out.extend_from_slice(&reply);
        Ok(())
    }

    /// The application accepts: only now is the connection's own key made (PROTOCOL.md 3.3). The connect_accept is
    /// appended; the parts are for a connection that waits for its first packet and sends nothing before.
    pub(crate) fn accept(
        self,
        cx: &mut Context<'_>,
        accept_data: ShortData<'_>,
        out: &mut Vec<u8>,
    ) -> (Confirming, ConnectionParts) {
        let config = cx.config;
        let agreed = settle(self.cipher, &config.settings, config.min_tag_bytes, &self.wishes);
        let send_sequence = cx.initial_sequence();
        let connection_number = cx.rng.u64();
        let reset_token = cx.key_pair.reset_token(connection_number);
        let (e2, secret) = self.secret.accept(&self.initiator, DhSecret::from_bytes(cx.rng.array()));
        let mut text = Vec::with_capacity(AcceptPayload::HEAD_BYTES + accept_data.bytes().len() + 16);
        AcceptPayload {
            initial_sequence: send_sequence,
            settings: agreed.settings,
            connection_id: connection_number,
            reset_token,
            accept_data: accept_data.bytes().to_vec(),
        }
        .write(&mut text);
        let mut reply = ConnectAccept {
            initiator_nonce: self.request.initiator_nonce,
            host_salt: self.request.host_salt,
            e2,
            sealed: &[],
        };
        secret.seal_accept(&reply.header(), &mut text);
        reply.sealed = &text;
        let mut bytes = Vec::with_capacity(reply.header().len() + text.len());
        reply.write(&mut bytes);
        let answer = Answer::first(self.request, cx.now, &cx.config.handshake, bytes, out);
        let parts = ConnectionParts {
            role: Role::Host,
            secret,
            cipher: self.cipher,
            agreed,
            send_sequence,
            receive_sequence: self.receive_sequence,
            connection_number,
            reset_token,
            public_key: self.public_key,
            stats: HandshakeStats {
                difficulty: self.difficulty,
                total_time: cx.now.saturating_since(self.asked),
                ..HandshakeStats::default()
            },
        };
        (Confirming(answer), parts)
    }

    /// Refuses, by the application or because it did not decide. The connect_refuse is appended.
    pub(crate) fn refuse(
        self,
        cx: &Context<'_>,
        code: CloseCode,
        reason: ShortData<'_>,
        out: &mut Vec<u8>,
    ) -> Refused {
        let mut text = Vec::with_capacity(RefusePayload::HEAD_BYTES + reason.bytes().len() + 16);
        RefusePayload { code, reason: reason.bytes().to_vec() }.write(&mut text);
        let reply = self.request.reply(ReplyKind::Refuse, text, |header, text| {
            self.secret.seal_refuse(header, text);
        });
        Refused(Answer::first(self.request, cx.now, &cx.config.handshake, reply, out))
    }
}

/// A connect_accept or connect_refuse: made once, repeated verbatim.
struct Answer {
    request: Request,
    bytes: Vec<u8>,
    first_sent: Instant,
    deadline: Instant,
}

impl Answer {
    fn first(
        mut request: Request,
        now: Instant,
        config: &HandshakeConfig,
        bytes: Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Self {
        out.extend_from_slice(&bytes);
        request.answered = Some(now);
        Self { request, bytes, first_sent: now, deadline: now + config.wait }
    }

    fn repeat(&mut self, now: Instant, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DropReason> {
        self.request.may_answer(now, bytes)?;
        out.extend_from_slice(&self.bytes);
        Ok(())
    }
}

/// Accepted; waits for a packet that proves the initiator's keys.
pub(crate) struct Confirming(Answer);

impl Confirming {
    /// The time to end with `not_confirmed`.
    pub(crate) fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// Time since the connect_accept was first sent: the first round-trip time, if the first packet comes now
    /// and nothing had to be repeated (PROTOCOL.md 9.1).
    pub(crate) fn round_trip(&self, now: Instant) -> Duration {
        now.saturating_since(self.0.first_sent)
    }

    /// Answers a repeated request with the same connect_accept.
    ///
    /// # Errors
    /// Says why nothing was appended.
    pub(crate) fn repeat(&mut self, now: Instant, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DropReason> {
        self.0.repeat(now, bytes, out)
    }
}

/// Refused; kept so that the refusal can be repeated.
pub(crate) struct Refused(Answer);

impl Refused {
    /// The time to forget it.
    pub(crate) fn deadline(&self) -> Instant {
        self.0.deadline
    }

    /// Answers a repeated request with the same connect_refuse.
    ///
    /// # Errors
    /// Says why nothing was appended.
    pub(crate) fn repeat(&mut self, now: Instant, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), DropReason> {
        self.0.repeat(now, bytes, out)
    }
}
