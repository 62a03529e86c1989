//! Events: everything that an endpoint tells its application.

mod flat;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

pub use flat::FlatEvent;

use crate::address::Address;
use crate::codes::CloseCode;
pub use crate::codes::{ClosedBy, Delivery};
use crate::crypto::Cipher;
use crate::id::{ConnectionId, Sequence};
use crate::identity::PublicKey;
use crate::introduction::{IntroductionId, IntroductionResult};
use crate::payload::Payload;
use crate::settings::Settings;
use crate::wire::introduction::Nat;

impl Delivery {
    /// Returns whether the other application is certain to have got the packet.
    pub const fn is_delivered(self) -> bool {
        matches!(self, Self::Delivered)
    }
}

/// The question that [`Event::ChallengeResponse`] asks an initiator: is this the right host?
///
/// Answer with [`accept_challenge`](crate::Endpoint::accept_challenge), or give the attempt up with
/// [`close`](crate::Endpoint::close). Without an answer the attempt ends after
/// [`application_wait`](crate::HandshakeConfig::application_wait).
///
/// Key and data belong together and are signed, but may be a recording: only [`Event::Established`] proves that the
/// host is there now.
#[must_use = "the attempt waits for `accept_challenge` or `close`"]
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ChallengeResponse {
    /// The connection that `connect` returned.
    pub connection: ConnectionId,
    /// The host's identity.
    pub public_key: PublicKey,
    /// The data that the host shows everybody who asks, at most 511 bytes.
    pub challenge_response_data: Vec<u8>,
    /// Bits of client puzzle that the host demands.
    pub difficulty: u8,
    /// The cipher that the host chose.
    pub cipher: Cipher,
    /// The connection with the introducer, if this host was introduced.
    pub introduced_by: Option<ConnectionId>,
    /// What the host's application gave for this introduction, at most 480 bytes. The introducer can read it, and could have
    /// made it up.
    pub introduced_data: Vec<u8>,
}

/// The question that [`Event::ConnectRequest`] asks a host: may this initiator in? It has proven its address and paid
/// the puzzle.
///
/// Answer with [`accept_connection`](crate::Endpoint::accept_connection), [`refuse`](crate::Endpoint::refuse), or
/// [`ignore`](crate::Endpoint::ignore). Without an answer the request is refused after
/// [`application_wait`](crate::HandshakeConfig::application_wait).
#[must_use = "the initiator waits for `accept_connection`, `refuse` or `ignore`"]
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// The new pending connection.
    pub connection: ConnectionId,
    /// The initiator's address.
    pub remote: Address,
    /// The initiator's identity.
    pub public_key: PublicKey,
    /// The data that the initiator sent with its request, at most 1,000 bytes, encrypted for this host.
    pub connect_data: Vec<u8>,
    /// Typed extensions of the request, for example a gateway's origin token.
    pub extensions: Vec<Extension>,
    /// The web page that asks, attested by one of [`trusted_gateways`](crate::OriginPolicy::trusted_gateways).
    /// `None` for a program, or a page that does not say which it is.
    pub origin: Option<String>,
    /// The connection with the introducer, if this initiator was introduced. Its key is the one that the introducer named.
    pub introduced_by: Option<ConnectionId>,
}

/// Something that the application should know, or has to answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// At the initiator: the host has shown its key and data, and the attempt waits for an answer.
    ChallengeResponse(ChallengeResponse),
    /// At the host: an initiator asks to be let in, and waits for an answer.
    ConnectRequest(ConnectRequest),
    /// The connection is up: both sides have proven their keys, or, at the initiator, the host has.
    Established {
        /// The connection.
        connection: ConnectionId,
        /// The other side's address.
        remote: Address,
        /// The other side's identity.
        public_key: PublicKey,
        /// At the initiator, what the host's application gave to `accept_connection`; empty at the host.
        accept_data: Vec<u8>,
        /// The settings that both sides agreed on.
        settings: Settings,
        /// The older connection with the same address that this one takes the place of.
        replaces: Option<ConnectionId>,
        /// The connection with the introducer, if the two sides were introduced.
        introduced_by: Option<ConnectionId>,
    },
    /// The connection, pending or established, has ended. Told once for each, as its last event.
    Close {
        /// The connection; its id may be used again for another one some time later.
        connection: ConnectionId,
        /// Why.
        code: CloseCode,
        /// The side that ended it.
        by: ClosedBy,
        /// The reason that the closing or refusing application gave, at most 511 bytes. With
        /// [`Unreachable`](CloseCode::Unreachable) and [`NameNotFound`](CloseCode::NameNotFound), this machine's error,
        /// as text.
        reason: Vec<u8>,
    },
    /// A packet of the other application.
    Packet {
        /// The connection.
        connection: ConnectionId,
        /// Its number; numbers rise, and those missing in between were dropped.
        sequence: Sequence,
        /// Its content. Return it to the pool by dropping it.
        payload: Payload,
    },
    /// The verdict on a packet that was sent.
    Verdict {
        /// The connection.
        connection: ConnectionId,
        /// The packet, as `send` numbered it.
        sequence: Sequence,
        /// The verdict.
        delivery: Delivery,
    },
    /// The connection takes another path: the other side has moved, or this one, or a better path was found. Nothing is to be
    /// done about it; packets on their way on the old path may come late, and be dropped.
    PathChanged {
        /// The connection.
        connection: ConnectionId,
        /// The other side's address, which is another one if it has moved.
        remote: Address,
        /// The round-trip time of the new path.
        round_trip: Duration,
    },
    /// At an introducer: a party asks to be introduced to another one, which may not have asked. Answer with
    /// [`introduce`](crate::Endpoint::introduce) or [`refuse_introduction`](crate::Endpoint::refuse_introduction). Not told if `introduce` named the two before.
    IntroductionRequested {
        /// The connection with the party that asks.
        from: ConnectionId,
        /// The connection with the other one.
        to: ConnectionId,
        /// Whether the one that asks wants to be the host of the connection to come.
        from_is_host: bool,
    },
    /// At an introducer: what became of an introduction, by the word of its parties. It may be told again when a relayed
    /// connection has become direct.
    Introduced {
        /// The introduction.
        introduction: IntroductionId,
        /// The connection with the initiator.
        initiator: ConnectionId,
        /// The connection with the host.
        host: ConnectionId,
        /// What became of it.
        result: IntroductionResult,
        /// From the first request until then, as the slower party measured it.
        took: Duration,
    },
    /// At a party: how the NAT between this socket and the introducer behaves. It follows [`look_at_nat`](crate::Endpoint::look_at_nat).
    NatFound {
        /// The connection with the introducer that looked.
        introducer: ConnectionId,
        /// What it saw. `Unknown` if it looks at no NATs, or did not see enough.
        nat: Nat,
        /// Where it sees this socket, if that is an IP address.
        observed: Option<SocketAddr>,
    },
    /// A datagram outside any connection. Its source may be forged: never answer it with more bytes than it has.
    InfoPacket {
        /// Where it claims to come from.
        remote: Address,
        /// The address of this machine that it was sent to, where the carrier tells: an answer leaves from there
        /// ([`send_info_from`](crate::Endpoint::send_info_from)), or firewalls on its way stop it.
        local: Option<IpAddr>,
        /// All of it, with its first byte (0x20 to 0x7f).
        payload: Payload,
    },
}

impl Event {
    /// The connection that this event is about, of several the first; `None` for info packets.
    pub fn connection(&self) -> Option<ConnectionId> {
        match self {
            Self::ChallengeResponse(ChallengeResponse { connection, .. })
            | Self::ConnectRequest(ConnectRequest { connection, .. })
            | Self::Established { connection, .. }
            | Self::Close { connection, .. }
            | Self::Packet { connection, .. }
            | Self::Verdict { connection, .. }
            | Self::PathChanged { connection, .. } => Some(*connection),
            Self::IntroductionRequested { from, .. } => Some(*from),
            Self::Introduced { initiator, .. } => Some(*initiator),
            Self::NatFound { introducer, .. } => Some(*introducer),
            Self::InfoPacket { .. } => None,
        }
    }
}

/// A typed, ignorable part of a connect_request (PROTOCOL.md 4.3).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Extension {
    /// Its kind.
    pub kind: u8,
    /// Its content.
    pub data: Vec<u8>,
}
