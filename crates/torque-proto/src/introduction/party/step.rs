//! What a party is told, and what it wants sent and made known.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::address::Address;
use crate::codes::CloseCode;
use crate::crypto::rng::Rng;
use crate::id::ConnectionId;
use crate::identity::PublicKey;
use crate::instant::Instant;
use crate::introduction::{IntroductionConfig, Message};
use crate::micros::Micros;
use crate::path::Path;
use crate::wire::Punch;
use crate::wire::introduction::{Nat, OBSERVE_BYTES};

use super::hard_nat::RunPunch;

/// What an attempt is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartyOptions {
    /// The connection with the introducer.
    pub(crate) introducer: ConnectionId,
    /// The introducer's id of its connection with the other party.
    pub(crate) remote: u32,
    /// Whether this party hosts the connection to come.
    pub(crate) is_host: bool,
    pub(crate) takes_circuit: bool,
    /// Whether the circuit is used at once, if the other party wants that, too.
    pub(crate) circuit_at_once: bool,
    pub(crate) takes_direct: bool,
    /// Whether the connection's own handshake shows who the other side is, not only the introducer's word: its key is pinned, or the
    /// application is asked.
    pub(crate) is_verified: bool,
    /// Whether this side is the host of the connection with the introducer.
    pub(crate) hosts_introducer: bool,
}

/// What a step of a [`Party`] needs, and what it wants.
pub(crate) struct PartyStep<'a> {
    pub(crate) now: Instant,
    pub(crate) rng: &'a mut Rng,
    pub(crate) config: &'a IntroductionConfig,
    pub(crate) own_key: &'a PublicKey,
    /// To be sent to introducers.
    pub(crate) messages: Vec<Message>,
    pub(crate) punches: Vec<PunchOut>,
    pub(crate) observes: Vec<ObserveOut>,
    pub(crate) events: Vec<PartyEvent>,
}

impl<'a> PartyStep<'a> {
    pub(crate) fn new(
        now: Instant,
        rng: &'a mut Rng,
        config: &'a IntroductionConfig,
        own_key: &'a PublicKey,
    ) -> Self {
        let (messages, punches, observes, events) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { now, rng, config, own_key, messages, punches, observes, events }
    }
}

/// A punch to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PunchOut {
    pub(crate) path: Path,
    /// Routers that it passes at most; `None` for as many as usual.
    pub(crate) hop_limit: Option<u8>,
    pub(crate) bytes: [u8; Punch::BYTES],
    /// Whether a punch of the other party asked for it.
    pub(crate) is_answer: bool,
}

/// An *observe* to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ObserveOut {
    /// The connection with the introducer.
    pub(crate) introducer: ConnectionId,
    /// The local port that it leaves from; 0 for that from which packets to the introducer leave.
    pub(crate) port: u16,
    /// The second address, as the introducer named it; `None` for where packets to the introducer go.
    pub(crate) to: Option<SocketAddr>,
    pub(crate) bytes: [u8; OBSERVE_BYTES],
}

/// News of a [`Party`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PartyEvent {
    /// The other party is known: the facts of the handshake can be read.
    Introduced { connection: ConnectionId },
    /// The introducer lends a circuit. Datagrams to `address` go through it, under the number `circuit`.
    CircuitGranted { connection: ConnectionId, introducer: ConnectionId, circuit: u32, address: Address },
    /// The handshake may use this path: a direct one that has become valid, or the circuit. Each comes once, unless it was lost.
    PathReady { connection: ConnectionId, path: Path, round_trip: Option<Micros> },
    /// The circuit carries nothing any more.
    CircuitEnded { connection: ConnectionId, address: Address },
    /// The other party of an established connection may be reachable there.
    Candidates { connection: ConnectionId, candidates: Vec<SocketAddr> },
    /// A run of an established connection: these punches are to be sent, with its key.
    Punch { connection: ConnectionId, punches: Vec<RunPunch> },
    /// The further ports of a connection on which it has no path are of no use any more; nor is any of one that has ended.
    PortsIdle { connection: ConnectionId },
    /// An introducer has looked at the NAT between it and this socket.
    NatFound { introducer: ConnectionId, nat: Nat, observed: Option<SocketAddr> },
    /// The attempt is over without a connection.
    Ended { connection: ConnectionId, code: CloseCode },
}

/// What a connection takes over when it is established.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Handover {
    /// Direct paths that are valid.
    pub(crate) paths: Vec<Path>,
    /// From where it sends, too, as far as is known.
    pub(crate) sources: Vec<Path>,
    /// Addresses where the other party may be.
    pub(crate) candidates: Vec<SocketAddr>,
}
