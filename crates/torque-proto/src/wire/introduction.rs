//! Messages of introductions, between a party and its introducer (INTRODUCTIONS.md 3).
//!
//! Each is the body of a reliable message; its kind is that of [`ReliableKind`](super::control::reliable::ReliableKind).
//! A body that is not laid out as the document says is an error, to its last byte.

mod bytes;
mod observation;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use zeroize::Zeroizing;

pub use self::bytes::{parse_candidates, parse_withdraw, withdraw, write_candidates};
pub use self::observation::{OBSERVE_BYTES, observe, parse_observe, parse_tokens_wanted};
use crate::codes::CloseCode;

/// The most candidates in a message.
pub const MAX_CANDIDATES: usize = 8;

/// How an address became a candidate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CandidateKind {
    /// The introducer sees the party there.
    Observed,
    /// It is an address of an interface.
    Interface,
    /// A router maps it to the party.
    Mapped,
}

/// An address at which a party may be reachable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// How it became one.
    pub kind: CandidateKind,
    /// The address. Scope and flow of an IPv6 address do not travel; an IPv4-mapped one travels, and is read, as the IPv4 address.
    pub address: SocketAddr,
}

/// The abilities and wishes of a party.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PartyFlags {
    /// It is host of the connection to come.
    pub is_host: bool,
    /// It takes a circuit.
    pub takes_circuit: bool,
    /// It wants the circuit at once, not only when direct paths have had their time.
    pub wants_circuit_at_once: bool,
    /// It takes direct paths.
    pub takes_direct: bool,
    /// It can open more ports.
    pub opens_ports: bool,
    /// It can speak WebRTC.
    pub speaks_webrtc: bool,
}

/// Kind 5: a party asks to be introduced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The introducer's id of its connection with the other party.
    pub remote: u32,
    /// Its abilities and wishes.
    pub flags: PartyFlags,
    /// Random.
    pub nonce: [u8; 16],
    /// Where it may be reachable, at most [`MAX_CANDIDATES`]: kinds `Interface` and `Mapped`, as far as the party is honest.
    pub candidates: Vec<Candidate>,
}

/// How a party's NAT behaves, as far as the introducer knows (INTRODUCTIONS.md 9.1).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Nat {
    /// Not enough was seen.
    #[default]
    Unknown,
    /// The port does not depend on the destination.
    Independent,
    /// It does, and each new one is above the last one, by this much or a multiple of it.
    Sequential(u8),
    /// It does, and cannot be foreseen.
    Unpredictable,
}

/// Kind 6: how far an introduction is.
#[derive(Debug)]
pub enum Introduction {
    /// Both parties can begin.
    Complete(Box<Introduced>),
    /// The other party has not asked yet.
    WaitingForParty,
    /// The introducer's application has not said yes yet.
    WaitingForApplication,
}

/// The other party, as the introducer describes it.
pub struct Introduced {
    /// Names the introduction; not 0.
    pub id: u64,
    /// Flags of the other party's request.
    pub flags: PartyFlags,
    /// Its public key, Ed25519. Not checked here.
    pub public_key: [u8; 32],
    /// The nonce of its request.
    pub nonce: [u8; 16],
    /// The introduced secret.
    pub secret: Zeroizing<[u8; 32]>,
    /// The number of the circuit here, 0 if none is granted.
    pub circuit: u32,
    /// Bytes a second that it may carry each way.
    pub circuit_rate: u32,
    /// The other party's NAT.
    pub nat: Nat,
    /// The NAT of the party that is told. Its stride does not travel: it is read as 0.
    pub own_nat: Nat,
    /// Where the introducer sees the party that is told; `None` if that party takes no direct paths.
    pub observed: Option<SocketAddr>,
    /// Where the other party may be reachable, at most [`MAX_CANDIDATES`].
    pub candidates: Vec<Candidate>,
}

/// Shows everything but the secret.
impl fmt::Debug for Introduced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introduced")
            .field("id", &self.id)
            .field("flags", &self.flags)
            .field("public_key", &self.public_key)
            .field("nonce", &self.nonce)
            .field("circuit", &self.circuit)
            .field("circuit_rate", &self.circuit_rate)
            .field("nat", &self.nat)
            .field("own_nat", &self.own_nat)
            .field("observed", &self.observed)
            .field("candidates", &self.candidates)
            .finish_non_exhaustive()
    }
}

/// How an introduction ended, by the word of a party.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutcomeResult {
    /// Established on a direct path.
    Direct,
    /// Established on a circuit.
    Relayed,
    /// It was relayed, and now takes a direct path.
    BecameDirect,
    /// It failed, with this code.
    Failed(CloseCode),
}

/// Kind 7: a party tells what became of an introduction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The introduction.
    pub introduction: u64,
    /// Its end.
    pub result: OutcomeResult,
    /// Milliseconds since the party's request.
    pub millis: u32,
}

/// The state of a circuit that *circuit* tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CircuitState {
    /// More came than it may carry in a second; what was above was dropped.
    Throttled,
    /// It has carried all that it may.
    UsedUp,
    /// It is no more.
    Ended,
}

/// Kind 14: the state of a circuit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CircuitNotice {
    /// The circuit's number at the party that is told.
    pub circuit: u32,
    /// Its state.
    pub state: CircuitState,
}

/// The most tokens in a message.
pub const MAX_TOKENS: usize = 8;

/// Shows an introducer where a datagram comes from (INTRODUCTIONS.md 9.1).
pub type ObserveToken = [u8; 16];

/// Kind 10 of an introducer: tokens to be observed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tokens {
    /// For a look at the party's NAT: where the second token goes. An unspecified IP address is the one at which the party reaches the
    /// introducer. `None` if the party asked for these tokens by their number.
    pub second: Option<SocketAddr>,
    /// 1 to [`MAX_TOKENS`].
    pub tokens: Vec<ObserveToken>,
}

/// Kind 11: the address from which a token came that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observed {
    /// Whether the other party sent it.
    pub is_other: bool,
    /// The place of the token among those that were asked for, from 0.
    pub round: u8,
    /// Where it came from.
    pub address: SocketAddr,
}

/// Kind 21: what is known of both NATs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nats {
    /// The other party's.
    pub other: Nat,
    /// That of the party that is told. Its stride does not travel: it is read as 0.
    pub own: Nat,
    /// Where the introducer sees the party that is told, if that is an IP address.
    pub observed: Option<SocketAddr>,
}

#[cfg(test)]
mod tests;
