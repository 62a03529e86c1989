//! One attempt of a party: from its request to the connection (INTRODUCTIONS.md 5).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::candidates;
use super::prospect::Prospect;
use super::punching::Punching;
use super::{PartyOptions, PartyStep};
use crate::address::Address;
use crate::codes::CloseCode;
use crate::crypto::introduced::{DataKey, IntroducedKeys, Psk};
use crate::crypto::secret::PunchKey;
use crate::id::ConnectionId;
use crate::identity::PublicKey;
use crate::instant::Instant;
use crate::introduction::Message;
use crate::micros::Micros;
use crate::path::Path;
use crate::wire::control::reliable::ReliableKind;
use crate::wire::introduction::{
    Candidate, Introduced, Outcome, OutcomeResult, PartyFlags, Request, withdraw, write_candidates,
};

/// How long a party waits for the first word of the introducer.
const ANSWER_WAIT: Micros = Micros::from_secs(10);
/// The pause between requests while it waits for the other party.
const REQUEST_PAUSE: Micros = Micros::from_secs(10);
/// How long a party with a path waits for a handshake to begin.
const HANDSHAKE_WAIT: Micros = Micros::from_secs(120);

/// An attempt that is under way.
pub(super) struct Attempt {
    /// The connection to come.
    pub(super) connection: ConnectionId,
    pub(super) options: PartyOptions,
    /// Its number in messages.
    pub(super) number: u32,
    /// False when the connection with the introducer has ended.
    pub(super) has_introducer: bool,
    /// When it began.
    pub(super) began: Instant,
    nonce: [u8; 16],
    pub(super) state: State,
    /// What came before the other party was known: the last message of each kind.
    pub(super) early: Vec<(ReliableKind, Vec<u8>)>,
}

pub(super) enum State {
    /// The introducer has not answered.
    Asking { until: Instant },
    /// The other party, or the introducer's application, is awaited.
    Waiting { next_request: Instant },
    /// Both parties look for a path, and do the handshake on it.
    Meeting(Box<Meeting>),
}

/// The secrets of the handshake. Each is for one use.
pub(crate) struct HandshakeSecrets {
    pub(crate) psk: Psk,
    pub(crate) data: DataKey,
}

/// What two parties that were introduced know of each other.
pub(super) struct Meeting {
    pub(super) id: u64,
    pub(super) peer: PublicKey,
    peer_takes_direct: bool,
    pub(super) punch_key: PunchKey,
    /// Until they are taken.
    pub(super) secrets: Option<HandshakeSecrets>,
    pub(super) punching: Punching,
    /// Of a run through both NATs.
    pub(super) prospect: Prospect,
    pub(super) circuit: Option<Circuit>,
    /// When it is over without a path, and without a handshake.
    path_until: Instant,
    handshake_until: Option<Instant>,
}

/// A way through the introducer.
pub(super) struct Circuit {
    pub(super) number: u32,
    pub(super) address: Address,
    /// When it is used unless there is a direct path; `None` once it is.
    turn: Option<Instant>,
}

impl Attempt {
    pub(super) fn new(
        step: &mut PartyStep<'_>,
        connection: ConnectionId,
        number: u32,
        options: PartyOptions,
    ) -> Self {
        Self {
            connection,
            options,
            number,
            has_introducer: true,
            began: step.now,
            nonce: step.rng.array(),
            state: State::Asking { until: step.now + ANSWER_WAIT },
            early: Vec::new(),
        }
    }

    /// Returns whether messages of this introducer with this number are of the attempt.
    pub(super) fn hears(&self, introducer: ConnectionId, number: u32) -> bool {
        self.has_introducer && (self.options.introducer, self.number) == (introducer, number)
    }

    pub(super) fn meeting(&self) -> Option<&Meeting> {
        match &self.state {
            State::Meeting(meeting) => Some(meeting),
            _ => None,
        }
    }

    pub(super) fn meeting_mut(&mut self) -> Option<&mut Meeting> {
        match &mut self.state {
            State::Meeting(meeting) => Some(meeting),
            _ => None,
        }
    }

    /// Sends a message to the introducer, if there still is one.
    pub(super) fn send(&self, step: &mut PartyStep<'_>, kind: ReliableKind, body: Vec<u8>) {
        if self.has_introducer {
            let connection = self.options.introducer;
            step.messages.push(Message { connection, attempt: self.number, kind, body: body.into() });
        }
    }

    /// Asks, perhaps once more. The nonce stays: the keys come of it.
    pub(super) fn request(&self, step: &mut PartyStep<'_>, own: &[Candidate]) {
        let (options, opens_ports) =
            (&self.options, step.config.further_ports > 0 && !step.config.answers_only);
        let request = Request {
            remote: options.remote,
            flags: PartyFlags {
                is_host: options.is_host,
                takes_circuit: options.takes_circuit,
                wants_circuit_at_once: options.circuit_at_once,
                takes_direct: options.takes_direct,
                opens_ports,
                speaks_webrtc: false,
            },
            nonce: self.nonce,
            candidates: if options.takes_direct { own.to_vec() } else { Vec::new() },
        };
        let mut body = Vec::new();
        request.write(&mut body);
        self.send(step, ReliableKind::REQUEST, body);
    }

    /// Tells the introducer of other addresses of this machine.
    pub(super) fn send_candidates(&self, step: &mut PartyStep<'_>, own: &[Candidate]) {
        if self.options.takes_direct {
            let mut body = Vec::new();
            write_candidates(own, &mut body);
            self.send(step, ReliableKind::CANDIDATES, body);
        }
    }

    /// Tells the introducer that the attempt is over.
    pub(super) fn send_end(&self, step: &mut PartyStep<'_>, code: CloseCode) {
        match &self.state {
            State::Meeting(meeting) => {
                let body = outcome(meeting.id, OutcomeResult::Failed(code), self.millis(step.now));
                self.send(step, ReliableKind::OUTCOME, body);
            }
            _ => self.send(step, ReliableKind::WITHDRAW, withdraw(code).to_vec()),
        }
    }

    /// Milliseconds since the request.
    pub(super) fn millis(&self, now: Instant) -> u32 {
        u32::try_from(now.micros_since(self.began).get() / 1_000).unwrap_or(u32::MAX)
    }

    /// The introducer says that the other party has not asked yet, or that its application has not decided.
    pub(super) fn is_waiting(&mut self, now: Instant) {
        if matches!(self.state, State::Asking { .. }) {
            self.state = State::Waiting { next_request: now + REQUEST_PAUSE };
        }
    }

    /// Both parties have asked. `None` if what the introducer told cannot be.
    pub(super) fn meet(&mut self, step: &mut PartyStep<'_>, told: &Introduced) -> Option<&mut Meeting> {
        let (options, now) = (&self.options, step.now);
        let peer = PublicKey::from_bytes(&told.public_key).ok()?;
        if peer.same_identity(step.own_key) || told.flags.is_host == options.is_host {
            return None;
        }
        let (own, other) = ((&self.nonce, step.own_key.as_bytes()), (&told.nonce, peer.as_bytes()));
        let (initiator, host) = if options.is_host { (other, own) } else { (own, other) };
        let IntroducedKeys { psk, punch, data } =
            IntroducedKeys::derive(initiator.0, host.0, &told.secret, told.id, initiator.1, host.1);
        let are_direct = options.takes_direct && told.flags.takes_direct;
        let is_at_once = options.circuit_at_once && told.flags.wants_circuit_at_once || !are_direct;
        let circuit = (options.takes_circuit && told.circuit != 0).then(|| Circuit {
            number: told.circuit,
            address: Address::from_circuit(step.rng.u64()),
            turn: Some(if is_at_once { now } else { now + step.config.circuit_after }),
        });
        let mut punching = Punching::new(now);
        if are_direct && !step.config.answers_only {
            punching.set_candidates(now, &candidates::in_order(&told.candidates));
        }
        self.state = State::Meeting(Box::new(Meeting {
            id: told.id,
            peer,
            peer_takes_direct: told.flags.takes_direct,
            punch_key: punch,
            secrets: Some(HandshakeSecrets { psk, data }),
            punching,
            prospect: Prospect::new(now, told),
            circuit,
            path_until: now + step.config.path_wait,
            handshake_until: Some(now + HANDSHAKE_WAIT),
        }));
        self.meeting_mut()
    }

    /// Returns whether both parties take direct paths.
    pub(super) fn is_direct(&self) -> bool {
        self.options.takes_direct && self.meeting().is_some_and(|meeting| meeting.peer_takes_direct)
    }

    /// The reason why the attempt is over now, if it is.
    pub(super) fn overdue(&self, now: Instant) -> Option<CloseCode> {
        match &self.state {
            State::Asking { until } => (*until <= now).then_some(CloseCode::NoAnswer),
            State::Waiting { .. } => None,
            State::Meeting(meeting) if !meeting.has_path() && meeting.path_until <= now => {
                let is_hard = self.is_direct() && meeting.prospect.is_hard();
                Some(if is_hard { CloseCode::HardNat } else { CloseCode::NoPath })
            }
            State::Meeting(meeting) => {
                meeting.handshake_until.is_some_and(|until| until <= now).then_some(CloseCode::TimedOut)
            }
        }
    }

    /// Asks again if it is time.
    pub(super) fn repeat_request(&mut self, step: &mut PartyStep<'_>, own: &[Candidate]) {
        if let State::Waiting { next_request } = &mut self.state
            && *next_request <= step.now
        {
            *next_request = step.now + REQUEST_PAUSE;
            self.request(step, own);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Asking { until } => Some(*until),
            State::Waiting { next_request } => Some(*next_request),
            State::Meeting(meeting) => meeting.deadline(),
        }
    }
}

impl Meeting {
    fn has_path(&self) -> bool {
        self.punching.has_path() || self.circuit.is_some()
    }

    /// Returns whether the handshake may use this path.
    pub(super) fn is_path(&self, path: Path) -> bool {
        self.punching.is_valid(path)
            || self.circuit.as_ref().is_some_and(|circuit| circuit.address == path.remote)
    }

    /// The handshake has begun, and has a limit of its own.
    pub(super) fn handshake_began(&mut self) {
        self.handshake_until = None;
    }

    /// Returns whether a path or the circuit was used for a handshake.
    pub(super) fn is_in_handshake(&self) -> bool {
        self.handshake_until.is_none()
    }

    /// The circuit, once: if it is its turn, and there is no direct path.
    pub(super) fn take_circuit(&mut self, now: Instant) -> Option<Path> {
        if self.punching.has_path() {
            return None;
        }
        let circuit = self.circuit.as_mut()?;
        circuit.turn.take_if(|turn| *turn <= now).map(|_| Path::to(circuit.address))
    }

    fn deadline(&self) -> Option<Instant> {
        let has_direct = self.punching.has_path();
        let turn = self.circuit.as_ref().and_then(|circuit| circuit.turn).filter(|_| !has_direct);
        let path_until = (!self.has_path()).then_some(self.path_until);
        let run = self.prospect.deadline();
        [self.punching.deadline(), turn, path_until, self.handshake_until, run].into_iter().flatten().min()
    }
}

/// The body of an *outcome*.
pub(super) fn outcome(introduction: u64, result: OutcomeResult, millis: u32) -> Vec<u8> {
    let mut body = Vec::new();
    Outcome { introduction, result, millis }.write(&mut body);
    body
}
