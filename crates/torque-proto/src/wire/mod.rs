//! Bytes to legal values and back, nothing else: no keys, no state, no time (PROTOCOL.md 2, 4, 6, 8; PATHS.md 2, 3; INTRODUCTIONS.md 2, 3).
//!
//! Every parser takes any bytes and either returns a value that obeys the document or says what is wrong.

pub mod control;
mod handshake;
pub mod header;
pub mod introduction;
mod kind;
mod lengths;
mod probe;
mod punch;
mod relayed;
mod reply;
mod sealed;

pub use handshake::{
    ACCEPT_HEADER_BYTES, CHALLENGE_REQUEST_BYTES, KEY_TYPE_ED25519, MAX_CONNECT_DATA, MAX_HANDSHAKE_BYTES,
    MAX_INITIAL_SEQUENCE, MAX_INTRODUCED_DATA, MAX_SHORT_DATA, REPLY_HEADER_BYTES,
};
pub use handshake::{
    ChallengeRequest, ChallengeResponse, ConnectAccept, ConnectRequest, Offers, Reject, ReplyKind,
    SealedReply,
};
pub use kind::DatagramKind;
pub use probe::{PROBE_BYTES, parse_probe, parse_probe_echo, probe, probe_echo};
pub use punch::{PATH_ID_BYTES, Punch, RESET_BYTES, WHO_ARE_YOU, parse_path_id, parse_reset, path_id, reset};
pub use relayed::{MAX_RELAYED, RELAYED_HEAD_BYTES, is_relayable, parse_relayed, relayed_head};
pub use reply::Reply;
pub use sealed::{AcceptPayload, RefusePayload, RequestPayload};

use core::fmt;

/// The version of the protocol that this library speaks.
pub const PROTOCOL_VERSION: u8 = 1;

/// The fault of a datagram or a sealed text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ParseError {
    /// The first byte belongs to another kind of datagram.
    Kind,
    /// Too short, too long, or a length within runs past the end.
    Length,
    /// The magic of a challenge_request is not there.
    Magic,
    /// Bytes that have to be zero are not.
    Padding,
    /// Another version of the protocol. What is told here is promised for every version.
    Version {
        /// The version that came.
        version: u8,
        /// The attempt that it belongs to.
        initiator_nonce: [u8; 16],
    },
    /// A challenge_response with a kind of key that this version does not know; the rest cannot be read.
    KeyType {
        /// The key type that came.
        key_type: u8,
        /// The attempt that it belongs to.
        initiator_nonce: [u8; 16],
    },
    /// The list of ciphers is empty, has one twice, or has a gap.
    Offers,
    /// A figure of the settings is out of range.
    Settings,
    /// The initial sequence is above 4,095.
    InitialSequence,
    /// A reject code that this version does not know.
    RejectCode,
    /// A number is 0 that may not be.
    Zero,
    /// A number stands for nothing that this version knows.
    Unknown,
    /// A list has more entries than it may have.
    TooMany,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind => f.write_str("another kind of datagram"),
            Self::Length => f.write_str("a length is wrong"),
            Self::Magic => f.write_str("the magic is missing"),
            Self::Padding => f.write_str("the padding is not zero"),
            Self::Version { version, .. } => write!(f, "version {version} of the protocol"),
            Self::KeyType { key_type, .. } => write!(f, "unknown key type {key_type}"),
            Self::Offers => f.write_str("the list of ciphers is malformed"),
            Self::Settings => f.write_str("the settings are out of range"),
            Self::InitialSequence => f.write_str("the initial sequence is out of range"),
            Self::RejectCode => f.write_str("unknown reject code"),
            Self::Zero => f.write_str("a number is zero"),
            Self::Unknown => f.write_str("a number stands for nothing known"),
            Self::TooMany => f.write_str("a list is too long"),
        }
    }
}

impl core::error::Error for ParseError {}

/// Takes fields off the front of a byte string.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(ParseError::Length)?;
        self.0 = rest;
        Ok(*field)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, ParseError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ParseError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ParseError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, ParseError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], ParseError> {
        let (field, rest) = self.0.split_at_checked(count).ok_or(ParseError::Length)?;
        self.0 = rest;
        Ok(field)
    }

    /// A byte string that its length, two bytes, stands before.
    pub(crate) fn counted(&mut self) -> Result<&'a [u8], ParseError> {
        let count = self.u16()?;
        self.bytes(usize::from(count))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Ends the reading: nothing may be left.
    pub(crate) fn end(self) -> Result<(), ParseError> {
        if self.0.is_empty() { Ok(()) } else { Err(ParseError::Length) }
    }
}
