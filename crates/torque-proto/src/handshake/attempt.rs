//! The handshake with one address of a host: passes each datagram, answer and deadline to the present state, and returns
//! the outcome (PROTOCOL.md 5.5).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use super::challenge::{Accepted, Challenge, Question, Trust};
use super::initiator::{Answer, Challenging, Deciding, Requesting, Solving, Work};
use super::introduced::AtInitiator;
use super::puzzle::{PuzzleJob, SLICE_TRIES};
use super::transcript::application_tag;
use super::{ConnectionParts, Context, DropReason};
use crate::codes::{CloseCode, RejectCode};
use crate::config::HandshakeConfig;
use crate::crypto::rng::Rng;
use crate::error::CallError;
use crate::event::{ClosedBy, Extension};
use crate::id::ConnectionId;
use crate::instant::Instant;
use crate::settings::Settings;
use crate::stats::HandshakeStats;
use crate::timer::TimerKind;
use crate::wire::{ChallengeResponse, MAX_CONNECT_DATA, Offers, ParseError, Reply, RequestPayload};

/// The application's choices for an attempt.
#[derive(Clone, Debug)]
pub(crate) struct AttemptOptions {
    /// For its puzzle jobs.
    pub(crate) connection: ConnectionId,
    pub(crate) trust: Trust,
    /// Wishes; must be valid.
    pub(crate) settings: Settings,
    pub(crate) connect_data: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
    /// The introduction that the whole attempt belongs to, whatever comes back: without it the psk could be left out.
    pub(crate) introduced: Option<Arc<AtInitiator>>,
}

impl AttemptOptions {
    /// Checks that a request has room for it.
    ///
    /// # Errors
    /// `TooLarge` if connect_data and extensions (three bytes more for each) exceed 1,000 bytes.
    pub(crate) fn check(&self) -> Result<(), CallError> {
        check_room(&self.connect_data, &self.extensions)
    }
}

/// The data that all states share.
pub(super) struct Common {
    pub(super) connection: ConnectionId,
    trust: Trust,
    pub(super) wishes: Settings,
    pub(super) connect_data: Vec<u8>,
    pub(super) extensions: Vec<Extension>,
    introduced: Option<Arc<AtInitiator>>,
    pub(super) offers: Offers,
    pub(super) application_tag: [u8; 8],
    pub(super) started: Instant,
    pub(super) stats: HandshakeStats,
}

impl Common {
    pub(super) fn introduced(&self) -> Option<&AtInitiator> {
        self.introduced.as_deref()
    }

    /// For requests: 0 if there was no introduction.
    pub(super) fn introduction_id(&self) -> u64 {
        self.introduced().map_or(0, |introduced| introduced.id().get())
    }

    fn examine(&self, cx: &Context<'_>, response: &ChallengeResponse<'_>) -> Result<Challenge, CloseCode> {
        Challenge::examine(cx, response, self.offers, &self.trust, self.introduced())
    }
}

/// The end of an attempt without a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Ended {
    pub(crate) code: CloseCode,
    pub(crate) by: ClosedBy,
    /// The refusing application's.
    pub(crate) reason: Vec<u8>,
}

/// The connection is made at the initiator. It pings until it hears the host (PROTOCOL.md 9.2).
pub(crate) struct Established {
    /// `parts.stats.challenge_time` is the first round-trip time.
    pub(crate) parts: ConnectionParts,
    pub(crate) accept_data: Vec<u8>,
}

/// The outcome of a call. It has also appended the bytes to send, at most one datagram.
pub(crate) enum AttemptOutcome {
    /// The attempt goes on.
    Waiting,
    /// The datagram came to nothing; the attempt goes on.
    Dropped(DropReason),
    /// The attempt waits for [`Attempt::accept`]. Raise `Event::ChallengeResponse`.
    Ask(Question),
    /// The attempt is over: make the connection.
    Established(Box<Established>),
    /// The attempt is over: raise `Event::Close`.
    Ended(Ended),
}

enum State {
    Challenging(Challenging),
    Deciding(Deciding),
    Solving(Solving),
    Requesting(Requesting),
    /// Established or ended; the endpoint forgets the attempt.
    Over,
}

/// One attempt to connect.
pub(crate) struct Attempt {
    common: Box<Common>,
    state: State,
    others: Others,
}

/// Responses to the challenge_request in use beside the one that was gone on with, as far as they show the same host: its
/// signature does not cover difficulty, cipher and token, so that the first one may be a true one that was altered.
#[derive(Default)]
struct Others {
    /// Those that are not tried yet.
    untried: Vec<Challenge>,
    /// Requests that stay without an answer. They are repeated, except while the puzzle of the next one is solved, and an answer to them counts.
    requesting: Vec<Requesting>,
}

impl Others {
    /// The most responses that are kept.
    const MAX: usize = 3;

    fn knows(&self, response: &ChallengeResponse<'_>) -> bool {
        let tried = self.requesting.iter().map(|other| &other.challenge);
        self.untried.iter().chain(tried).any(|other| other.is_of(response))
    }

    /// Keeps one more. If there are too many it takes the place of a random one, because the true one is not known.
    fn keep(&mut self, other: Challenge, rng: &mut Rng) {
        if self.untried.len() + self.requesting.len() < Self::MAX {
            self.untried.push(other);
        } else if !self.untried.is_empty() {
            let place = rng.u64() as usize % self.untried.len();
            self.untried[place] = other;
        }
    }
}

impl Attempt {
    /// Begins, and appends the first challenge_request. The options passed their [`check`](AttemptOptions::check).
    pub(crate) fn start(cx: &mut Context<'_>, options: AttemptOptions, out: &mut Vec<u8>) -> Self {
        let mut wishes = options.settings;
        wishes.tag_bytes = wishes.tag_bytes.max(cx.config.min_tag_bytes);
        let common = Common {
            connection: options.connection,
            trust: options.trust,
            wishes,
            connect_data: options.connect_data,
            extensions: options.extensions,
            introduced: options.introduced,
            // `Config::validate` sees to it that there is an offer.
            offers: Offers::new(&cx.config.ciphers).unwrap_or(Offers::DEFAULT),
            application_tag: application_tag(&cx.config.application_id),
            started: cx.now,
            stats: HandshakeStats::default(),
        };
        let state = State::Challenging(Challenging::begin(&common, cx, None, out));
        Self { common: Box::new(common), state, others: Others::default() }
    }

    /// Returns whether it still waits for a challenge_response that it goes on with.
    pub(crate) fn is_challenging(&self) -> bool {
        matches!(self.state, State::Challenging(_))
    }

    /// The initiator_nonce in use. It changes whenever a fresh challenge is fetched.
    pub(crate) fn initiator_nonce(&self) -> Option<&[u8; 16]> {
        match &self.state {
            State::Challenging(state) => Some(&state.initiator_nonce),
            State::Deciding(state) => Some(&state.challenge.initiator_nonce),
            State::Solving(state) => Some(&state.challenge.initiator_nonce),
            State::Requesting(state) => Some(&state.challenge.initiator_nonce),
            State::Over => None,
        }
    }

    /// The code that it would end with if nothing better came: the fault of the last answer, or the hint in it.
    pub(crate) fn problem(&self) -> Option<CloseCode> {
        match &self.state {
            State::Challenging(state) => state.problem,
            State::Requesting(state) => state.hint,
            State::Deciding(_) | State::Solving(_) | State::Over => None,
        }
    }

    /// Figures so far.
    #[cfg(test)]
    pub(crate) fn stats(&self) -> &HandshakeStats {
        &self.common.stats
    }

    /// The time at which [`handle_timeout`](Self::handle_timeout) is due, and what for; `None` when the attempt is over.
    pub(crate) fn deadline(&self) -> Option<(Instant, TimerKind)> {
        Some(match &self.state {
            State::Challenging(state) => (state.repeats.deadline(), TimerKind::Handshake),
            State::Deciding(state) => (state.limit, TimerKind::Handshake),
            State::Solving(state) => match state.work {
                Work::Here(_) => (state.since.min(state.limit), TimerKind::Puzzle),
                Work::Taken => (state.limit, TimerKind::Handshake),
            },
            State::Requesting(state) => (state.deadline(), TimerKind::Handshake),
            State::Over => return None,
        })
    }

    /// Takes an answer to what this attempt sent. One with another nonce than its present one is dropped.
    pub(crate) fn handle_reply(
        &mut self,
        cx: &mut Context<'_>,
        reply: Reply<'_>,
        out: &mut Vec<u8>,
    ) -> AttemptOutcome {
        if self.initiator_nonce() != Some(reply.initiator_nonce()) {
            return AttemptOutcome::Dropped(DropReason::Stray);
        }
        match reply {
            Reply::Challenge(response) => self.handle_challenge_response(cx, Ok(response)),
            Reply::Unreadable { error: ParseError::KeyType { .. }, .. } => {
                self.handle_challenge_response(cx, Err(CloseCode::UnknownKeyType))
            }
            Reply::Unreadable { .. } => self.handle_challenge_response(cx, Err(CloseCode::ProtocolViolation)),
            Reply::Accept(accept) => {
                self.handle_answer(cx, |request| request.open_accept(cx.key_pair, &accept))
            }
            Reply::Sealed(reply) => self.handle_answer(cx, |request| request.open(&reply)),
            Reply::Reject(reject) => self.handle_reject(cx, reject.code, out),
        }
    }

    fn handle_challenge_response(
        &mut self,
        cx: &mut Context<'_>,
        examined: Result<ChallengeResponse<'_>, CloseCode>,
    ) -> AttemptOutcome {
        let State::Challenging(state) = &mut self.state else {
            return examined.map_or(AttemptOutcome::Dropped(DropReason::Stray), |response| {
                self.keep_other_response(cx, &response)
            });
        };
        let examined = examined.and_then(|response| self.common.examine(cx, &response));
        let challenge = match examined {
            Ok(challenge) => challenge,
            Err(problem) => {
                // Anyone may have sent it: go on listening, and tell the last reason at the limit.
                state.problem = Some(problem);
                return AttemptOutcome::Dropped(DropReason::BadChallenge);
            }
        };
        self.common.stats.challenge_time = state.round_trip(cx.now);
        let known = state.accepted == Some(challenge.accepted());
        if known || !self.common.trust.asks() {
            return self.begin_solving(cx, challenge);
        }
        let question = challenge.question();
        self.state = State::Deciding(Deciding::begin(cx, challenge));
        AttemptOutcome::Ask(question)
    }

    /// A response that came after the one that is gone on with. It is kept if it leads to another request to the same host.
    fn keep_other_response(
        &mut self,
        cx: &mut Context<'_>,
        response: &ChallengeResponse<'_>,
    ) -> AttemptOutcome {
        let in_use = match &self.state {
            State::Deciding(state) => &state.challenge,
            State::Solving(state) => &state.challenge,
            State::Requesting(state) => &state.challenge,
            State::Challenging(_) | State::Over => return AttemptOutcome::Dropped(DropReason::Stray),
        };
        // Before the signature is checked, which costs most.
        if in_use.is_of(response) || self.others.knows(response) {
            return AttemptOutcome::Dropped(DropReason::Stray);
        }
        match self.common.examine(cx, response) {
            Ok(other) if other.accepted() == in_use.accepted() => {
                self.others.keep(other, cx.rng);
                AttemptOutcome::Waiting
            }
            Ok(_) => AttemptOutcome::Dropped(DropReason::Stray),
            Err(_) => AttemptOutcome::Dropped(DropReason::BadChallenge),
        }
    }

    /// When a request has stayed without an answer for three repeats, another response is tried; among the requests that
    /// are repeated, the one that is due next comes forward.
    fn try_others(&mut self, cx: &mut Context<'_>) {
        let State::Requesting(state) = &self.state else { return };
        if state.is_unanswered()
            && let Some(other) = self.others.untried.pop()
            && let Some(solving) = Solving::begin(&mut self.common, cx, other)
        {
            if let State::Requesting(state) = mem::replace(&mut self.state, State::Solving(solving)) {
                self.others.requesting.push(state);
            }
            return;
        }
        let State::Requesting(state) = &mut self.state else { return };
        for other in &mut self.others.requesting {
            if other.deadline() < state.deadline() {
                mem::swap(state, other);
            }
        }
    }

    /// The application accepts what it was shown, and may give other extensions than it gave at first. If it
    /// took long, a fresh challenge is fetched first.
    ///
    /// # Errors
    /// `NotWaiting` if nothing was asked, `TooLarge` if the extensions do not fit.
    pub(crate) fn accept(
        &mut self,
        cx: &mut Context<'_>,
        extensions: Option<Vec<Extension>>,
        out: &mut Vec<u8>,
    ) -> Result<AttemptOutcome, CallError> {
        if let (State::Deciding(_), Some(extensions)) = (&self.state, extensions) {
            check_room(&self.common.connect_data, &extensions)?;
            self.common.extensions = extensions;
        }
        match mem::replace(&mut self.state, State::Over) {
            State::Deciding(state) if state.is_old(cx) => {
                self.refresh(cx, Some(state.challenge.accepted()), out);
                Ok(AttemptOutcome::Waiting)
            }
            State::Deciding(state) => Ok(self.begin_solving(cx, state.challenge)),
            other => {
                self.state = other;
                Err(CallError::NotWaiting)
            }
        }
    }

    fn begin_solving(&mut self, cx: &mut Context<'_>, challenge: Challenge) -> AttemptOutcome {
        match Solving::begin(&mut self.common, cx, challenge) {
            Some(solving) => {
                self.state = State::Solving(solving);
                AttemptOutcome::Waiting
            }
            // The host signed an epoch key of small order.
            None => self.end(CloseCode::ProtocolViolation, ClosedBy::Socket, Vec::new()),
        }
    }

    fn refresh(&mut self, cx: &mut Context<'_>, accepted: Option<Accepted>, out: &mut Vec<u8>) {
        self.others = Others::default();
        self.state = State::Challenging(Challenging::begin(&self.common, cx, accepted, out));
    }

    /// As [`refresh`](Self::refresh), because the host asked for it. `hint` is the reason that it gave.
    fn begin_anew(&mut self, cx: &mut Context<'_>, accepted: Accepted, hint: CloseCode, out: &mut Vec<u8>) {
        self.common.stats.restarts += 1;
        self.refresh(cx, Some(accepted), out);
        if let State::Challenging(state) = &mut self.state
            && hint == CloseCode::Busy
        {
            state.problem = Some(hint);
        }
    }

    /// Returns whether what it sent three times in a row has no answer, and is due again.
    pub(crate) fn is_stuck(&self, cx: &Context<'_>) -> bool {
        let repeats = match &self.state {
            State::Challenging(state) => &state.repeats,
            State::Requesting(state) if !state.host_thinks => &state.repeats,
            _ => return false,
        };
        self.common.stats.restarts < cx.config.handshake.max_restarts && repeats.is_due_again(cx.now, 3)
    }

    /// Fetches a fresh challenge, which goes to another address.
    pub(crate) fn begin_elsewhere(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) {
        let accepted = match &self.state {
            State::Challenging(state) => state.accepted,
            State::Requesting(state) => Some(state.challenge.accepted()),
            _ => return,
        };
        self.common.stats.restarts += 1;
        self.refresh(cx, accepted, out);
    }

    /// Returns whether there is a puzzle that no worker has taken.
    pub(crate) fn has_puzzle(&self) -> bool {
        matches!(&self.state, State::Solving(state) if matches!(state.work, Work::Here(_)))
    }

    /// Takes the puzzle, if it is here. It is not solved here until it comes back.
    pub(crate) fn take_puzzle(&mut self) -> Option<PuzzleJob> {
        let State::Solving(state) = &mut self.state else { return None };
        match mem::replace(&mut state.work, Work::Taken) {
            Work::Here(job) => Some(job),
            Work::Taken => None,
        }
    }

    /// A job comes back, solved or given up. One of an earlier puzzle is forgotten.
    pub(crate) fn return_puzzle(
        &mut self,
        cx: &mut Context<'_>,
        job: PuzzleJob,
        out: &mut Vec<u8>,
    ) -> AttemptOutcome {
        match mem::replace(&mut self.state, State::Over) {
            State::Solving(state) if state.is_mine(&job) => self.go_on_solving(cx, state, job, out),
            other => self.state = other,
        }
        AttemptOutcome::Waiting
    }

    fn go_on_solving(&mut self, cx: &Context<'_>, mut state: Solving, job: PuzzleJob, out: &mut Vec<u8>) {
        self.state = match job.solution() {
            Some(solution) => {
                State::Requesting(state.solved(&mut self.common, cx, solution, job.tries(), out))
            }
            None => {
                state.work = Work::Here(job);
                State::Solving(state)
            }
        };
    }

    /// One of the three sealed answers. What `open` does not open changes nothing.
    fn handle_answer(
        &mut self,
        cx: &Context<'_>,
        open: impl Fn(&Requesting) -> Option<Answer>,
    ) -> AttemptOutcome {
        let Some(answer) = self.open_answer(open) else {
            let waits = matches!(self.state, State::Requesting(_)) || !self.others.requesting.is_empty();
            return AttemptOutcome::Dropped(if waits { DropReason::Forged } else { DropReason::Stray });
        };
        let State::Requesting(state) = &mut self.state else {
            return AttemptOutcome::Dropped(DropReason::Stray);
        };
        match answer {
            Answer::Pending => {
                state.pending(cx.now, &cx.config.handshake);
                AttemptOutcome::Waiting
            }
            Answer::Refused(payload) => self.end(payload.code, ClosedBy::Remote, payload.reason),
            Answer::Violation => self.end(CloseCode::ProtocolViolation, ClosedBy::Socket, Vec::new()),
            Answer::Accepted(payload, secret) => {
                let established = match mem::replace(&mut self.state, State::Over) {
                    State::Requesting(state) => state.established(&mut self.common, cx.now, payload, secret),
                    _ => None,
                };
                match established {
                    Some(established) => AttemptOutcome::Established(Box::new(established)),
                    None => self.end(CloseCode::ProtocolViolation, ClosedBy::Socket, Vec::new()),
                }
            }
        }
    }

    /// Opens an answer with the request that it answers, which is the one to go on with then.
    fn open_answer(&mut self, open: impl Fn(&Requesting) -> Option<Answer>) -> Option<Answer> {
        if let State::Requesting(state) = &self.state
            && let Some(answer) = open(state)
        {
            self.others = Others::default();
            return Some(answer);
        }
        let answers = self.others.requesting.iter().map(open);
        let (place, answer) =
            answers.enumerate().find_map(|(place, answer)| answer.map(|answer| (place, answer)))?;
        self.state = State::Requesting(self.others.requesting.swap_remove(place));
        self.others = Others::default();
        Some(answer)
    }

    /// A reject is not authentic: it may cause a few fresh beginnings, and else is a hint.
    fn handle_reject(&mut self, cx: &mut Context<'_>, code: RejectCode, out: &mut Vec<u8>) -> AttemptOutcome {
        let hint = match code {
            RejectCode::VersionMismatch => CloseCode::VersionMismatch,
            RejectCode::ApplicationMismatch => CloseCode::ApplicationMismatch,
            RejectCode::NoCommonCipher => CloseCode::NoCommonCipher,
            RejectCode::Busy => CloseCode::Busy,
            RejectCode::StaleEpoch | RejectCode::DifficultyTooLow => CloseCode::StaleChallenge,
        };
        match &mut self.state {
            // Without a challenge, none can be stale.
            State::Challenging(_) if hint == CloseCode::StaleChallenge => {
                return AttemptOutcome::Dropped(DropReason::Stray);
            }
            State::Challenging(state) => state.problem = Some(hint),
            State::Requesting(state)
                if hint == CloseCode::StaleChallenge
                    && self.common.stats.restarts < cx.config.handshake.max_restarts =>
            {
                let accepted = state.challenge.accepted();
                self.begin_anew(cx, accepted, hint, out);
            }
            State::Requesting(state) => {
                // A busy host has used the request up, but another one may find room. The reject may be forged, so there
                // is time for a true answer to one more repeat.
                if hint == CloseCode::Busy
                    && state.anew.is_none()
                    && self.common.stats.restarts < cx.config.handshake.max_restarts
                {
                    let HandshakeConfig { retry_max, retry_first, .. } = cx.config.handshake;
                    state.anew = Some(cx.now + retry_max + retry_first);
                }
                state.hint = Some(hint);
            }
            State::Deciding(_) | State::Solving(_) | State::Over => {
                return AttemptOutcome::Dropped(DropReason::Stray);
            }
        }
        AttemptOutcome::Waiting
    }

    /// Repeats what is due, computes a slice of the puzzle, or ends a wait that took too long.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> AttemptOutcome {
        let passed = match &mut self.state {
            State::Challenging(state) if state.repeats.has_passed(cx.now) => {
                Some(state.problem.unwrap_or(CloseCode::NoAnswer))
            }
            State::Challenging(state) => {
                state.repeat(&self.common, cx, out);
                None
            }
            State::Deciding(state) => (cx.now >= state.limit).then_some(CloseCode::NoDecision),
            State::Solving(state) if cx.now >= state.limit => match self.others.requesting.pop() {
                // Another response's puzzle was too hard; the request that waits meanwhile goes on.
                Some(other) => {
                    self.state = State::Requesting(other);
                    None
                }
                None => Some(CloseCode::DifficultyTooHigh),
            },
            State::Solving(_) => {
                self.solve_slice(cx, out);
                None
            }
            State::Requesting(state)
                if state.repeats.has_passed(cx.now) && self.others.requesting.is_empty() =>
            {
                let quiet = if state.host_thinks { CloseCode::NoDecision } else { CloseCode::NoAnswer };
                Some(state.hint.unwrap_or(quiet))
            }
            State::Requesting(state) => {
                if state.anew.is_some_and(|at| cx.now >= at) {
                    let accepted = state.challenge.accepted();
                    self.begin_anew(cx, accepted, CloseCode::Busy, out);
                } else if state.repeats.has_passed(cx.now) {
                    // Another request may still be answered.
                    let mut other = self.others.requesting.swap_remove(0);
                    other.hint = other.hint.or(state.hint);
                    self.state = State::Requesting(other);
                } else {
                    state.repeat(cx, out);
                }
                self.try_others(cx);
                None
            }
            State::Over => None,
        };
        match passed {
            Some(code) => self.end(code, ClosedBy::Socket, Vec::new()),
            None => AttemptOutcome::Waiting,
        }
    }

    fn solve_slice(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) {
        let Some(mut job) = self.take_puzzle() else { return };
        job.solve(SLICE_TRIES);
        self.return_puzzle(cx, job, out);
    }

    fn end(&mut self, code: CloseCode, by: ClosedBy, reason: Vec<u8>) -> AttemptOutcome {
        self.state = State::Over;
        AttemptOutcome::Ended(Ended { code, by, reason })
    }
}

/// Checks that both fit into one request.
pub(crate) fn check_room(connect_data: &[u8], extensions: &[Extension]) -> Result<(), CallError> {
    if RequestPayload::data_bytes(connect_data, extensions) > MAX_CONNECT_DATA {
        return Err(CallError::TooLarge { max: MAX_CONNECT_DATA });
    }
    Ok(())
}
