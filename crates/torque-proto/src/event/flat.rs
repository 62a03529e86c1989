//! Events for languages that have no enums with content.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::{ChallengeResponse, ConnectRequest, Event};
use crate::address::Address;
use crate::codes::{CloseCode, EventKind};
use crate::crypto::Cipher;
use crate::id::ConnectionId;
use crate::identity::PublicKey;
use crate::settings::Settings;

/// An [`Event`] in one shape for all kinds: numbers, addresses and borrowed bytes. [`Event::flat`] makes it.
///
/// Fields that a kind does not have are zero, empty or `None`. Codes stand as their numbers, which `spec/codes.csv` lists.
///
/// ```
/// use torque_proto::{Address, ConnectionId, Delivery, Event, EventKind, Sequence};
///
/// let connection = ConnectionId::from_u32(0x0100_0001).unwrap();
/// let event = Event::Verdict { connection, sequence: Sequence(7), delivery: Delivery::Delivered };
/// let flat = event.flat();
/// assert_eq!((flat.kind.number(), flat.connection, flat.sequence), (6, 0x0100_0001, 7));
/// assert_eq!(flat.delivery, Delivery::Delivered.number());
/// assert!(flat.data.is_empty() && flat.remote.is_none());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FlatEvent<'a> {
    /// The kind of event.
    pub kind: EventKind,
    /// The connection; 0 for info packets. Of a request to introduce the party that asks, of an introduction the initiator.
    pub connection: u32,
    /// The other party of an introduction: the one that is asked for, or the host.
    pub other: u32,
    /// The connection with the introducer, of a challenge response, a request or an establishment of an introduction; else 0.
    pub introduced_by: u32,
    /// Whether the party that asks to be introduced wants to be host.
    pub is_host: bool,
    /// The introduction's id.
    pub introduction: u64,
    /// What became of it: 0 direct, 1 relayed, 2 became direct, 3 somebody never asked, 4 unknown, 255 failed, with `code`. Of a NAT
    /// that was found: 0 unknown, 1 independent of the destination, 2 sequential, 3 unpredictable.
    pub result: u8,
    /// The data that a host gave for an introduction, of a challenge response.
    pub introduced_data: &'a [u8],
    /// The bytes: data of a challenge response, a request or an establishment, reason of a close, or payload.
    pub data: &'a [u8],
    /// The packet's sequence, of a packet or a verdict.
    pub sequence: u64,
    /// The number of a verdict's [`Delivery`](crate::Delivery).
    pub delivery: u8,
    /// The number of the [`CloseCode`] of a close, or of an introduction that failed.
    pub code: u16,
    /// The number of a close's [`ClosedBy`](crate::ClosedBy).
    pub closed_by: u8,
    /// The older connection that an established one replaces; 0 if there is none.
    pub replaces: u32,
    /// Bits of puzzle, of a challenge response.
    pub difficulty: u8,
    /// The cipher that the host chose, of a challenge response.
    pub cipher: Option<Cipher>,
    /// The settings that both sides agreed on, of an establishment.
    pub settings: Option<&'a Settings>,
    /// The web page that made a request; empty for a program.
    pub origin: &'a str,
    /// The other side's identity, of a challenge response, a request or an establishment.
    pub public_key: Option<&'a PublicKey>,
    /// The round-trip time of a new path, or how long an introduction took.
    pub round_trip: Duration,
    /// The other side's address, of a request, an establishment, a new path or an info packet.
    pub remote: Option<&'a Address>,
    /// The address of this machine that an info packet was sent to, where the carrier tells.
    pub local: Option<&'a IpAddr>,
    /// Where an introducer sees this socket, with the NAT that it found.
    pub observed: Option<&'a SocketAddr>,
}

impl<'a> FlatEvent<'a> {
    fn new(kind: EventKind, connection: u32, data: &'a [u8]) -> Self {
        Self {
            kind,
            connection,
            other: 0,
            introduced_by: 0,
            is_host: false,
            introduction: 0,
            result: 0,
            introduced_data: &[],
            data,
            sequence: 0,
            delivery: 0,
            code: 0,
            closed_by: 0,
            replaces: 0,
            difficulty: 0,
            cipher: None,
            settings: None,
            origin: "",
            public_key: None,
            round_trip: Duration::ZERO,
            remote: None,
            local: None,
            observed: None,
        }
    }

    /// The code of a close.
    pub fn close_code(&self) -> Option<CloseCode> {
        CloseCode::from_number(self.code).filter(|_| self.kind == EventKind::Close)
    }
}

impl Event {
    /// The event in one shape for all kinds, for languages that have no enums with content.
    pub fn flat(&self) -> FlatEvent<'_> {
        let id = self.connection().map_or(0, ConnectionId::get);
        let number = |id: &Option<ConnectionId>| id.map_or(0, ConnectionId::get);
        let flat = |kind, data| FlatEvent::new(kind, id, data);
        match self {
            Self::ChallengeResponse(ChallengeResponse {
                connection: _,
                public_key,
                challenge_response_data,
                difficulty,
                cipher,
                introduced_by,
                introduced_data,
            }) => FlatEvent {
                introduced_by: number(introduced_by),
                introduced_data,
                public_key: Some(public_key),
                difficulty: *difficulty,
                cipher: Some(*cipher),
                ..flat(EventKind::ChallengeResponse, challenge_response_data)
            },
            Self::ConnectRequest(ConnectRequest {
                remote,
                public_key,
                connect_data,
                origin,
                introduced_by,
                ..
            }) => FlatEvent {
                introduced_by: number(introduced_by),
                remote: Some(remote),
                public_key: Some(public_key),
                origin: origin.as_deref().unwrap_or_default(),
                ..flat(EventKind::ConnectRequest, connect_data)
            },
            Self::Established {
                connection: _,
                remote,
                public_key,
                accept_data,
                settings,
                replaces,
                introduced_by,
            } => FlatEvent {
                introduced_by: number(introduced_by),
                remote: Some(remote),
                public_key: Some(public_key),
                settings: Some(settings),
                replaces: number(replaces),
                ..flat(EventKind::Established, accept_data)
            },
            Self::Close { connection: _, code, by, reason } => {
                FlatEvent { code: code.number(), closed_by: by.number(), ..flat(EventKind::Close, reason) }
            }
            Self::Packet { connection: _, sequence, payload } => {
                FlatEvent { sequence: sequence.0, ..flat(EventKind::Packet, payload) }
            }
            Self::Verdict { connection: _, sequence, delivery } => FlatEvent {
                sequence: sequence.0,
                delivery: delivery.number(),
                ..flat(EventKind::Verdict, &[])
            },
            Self::PathChanged { connection: _, remote, round_trip } => FlatEvent {
                remote: Some(remote),
                round_trip: *round_trip,
                ..flat(EventKind::PathChanged, &[])
            },
            Self::IntroductionRequested { from: _, to, from_is_host } => FlatEvent {
                other: to.get(),
                is_host: *from_is_host,
                ..flat(EventKind::IntroductionRequested, &[])
            },
            Self::Introduced { introduction, initiator: _, host, result, took } => FlatEvent {
                other: host.get(),
                introduction: introduction.get(),
                result: result.number(),
                code: result.code().map_or(0, CloseCode::number),
                round_trip: *took,
                ..flat(EventKind::Introduced, &[])
            },
            Self::NatFound { introducer: _, nat, observed } => FlatEvent {
                result: nat.number(),
                observed: observed.as_ref(),
                ..flat(EventKind::NatFound, &[])
            },
            Self::InfoPacket { remote, local, payload } => FlatEvent {
                remote: Some(remote),
                local: local.as_ref(),
                ..flat(EventKind::InfoPacket, payload)
            },
        }
    }
}

#[cfg(test)]
mod tests;
