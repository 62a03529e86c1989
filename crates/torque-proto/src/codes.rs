//! Codes of closes, rejects and errors, and the numbers of events.
//!
//! Written by `cargo xtask codes` from `spec/codes.csv`: change them there.

mod close;

use core::fmt;

pub use close::CloseCode;

/// What a reject says (PROTOCOL.md 4.7).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RejectCode {
    /// The host does not speak the initiator's version.
    VersionMismatch,
    /// The application tags differ.
    ApplicationMismatch,
    /// The host allows none of the ciphers offered.
    NoCommonCipher,
    /// The challenge is too old: ask for a fresh one.
    StaleEpoch,
    /// The host's floor has risen: ask for a fresh one.
    DifficultyTooLow,
    /// The host has no room for another request of this source.
    Busy,
}

impl RejectCode {
    /// All codes, by number.
    pub const ALL: &'static [Self] = &[
        Self::VersionMismatch,
        Self::ApplicationMismatch,
        Self::NoCommonCipher,
        Self::StaleEpoch,
        Self::DifficultyTooLow,
        Self::Busy,
    ];

    /// The number that stands for it on the wire and in other languages.
    pub const fn number(self) -> u8 {
        match self {
            Self::VersionMismatch => 1,
            Self::ApplicationMismatch => 2,
            Self::NoCommonCipher => 3,
            Self::StaleEpoch => 4,
            Self::DifficultyTooLow => 5,
            Self::Busy => 6,
        }
    }

    /// Its name, as `spec/codes.csv` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VersionMismatch => "version_mismatch",
            Self::ApplicationMismatch => "application_mismatch",
            Self::NoCommonCipher => "no_common_cipher",
            Self::StaleEpoch => "stale_epoch",
            Self::DifficultyTooLow => "difficulty_too_low",
            Self::Busy => "busy",
        }
    }
}

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::VersionMismatch => "The host does not speak the initiator's version",
            Self::ApplicationMismatch => "The application tags differ",
            Self::NoCommonCipher => "The host allows none of the ciphers offered",
            Self::StaleEpoch => "The challenge is too old: ask for a fresh one",
            Self::DifficultyTooLow => "The host's floor has risen: ask for a fresh one",
            Self::Busy => "The host has no room for another request of this source",
        })
    }
}

impl RejectCode {
    /// The code with this number; `None` if this version knows none.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::VersionMismatch,
            2 => Self::ApplicationMismatch,
            3 => Self::NoCommonCipher,
            4 => Self::StaleEpoch,
            5 => Self::DifficultyTooLow,
            6 => Self::Busy,
            _ => return None,
        })
    }
}

/// What is wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum CallCode {
    /// The connection has ended or never was.
    Closed,
    /// The handshake is not finished.
    NotEstablished,
    /// As many packets as the window holds await their verdict.
    WindowFull,
    /// The data is longer than the message has room for.
    TooLarge,
    /// Too many datagrams wait to be sent.
    Blocked,
    /// The connection does not wait for this answer.
    NotWaiting,
    /// Nothing says which host keys to take.
    NoTrust,
    /// The endpoint holds as many connections as it may.
    TooManyConnections,
    /// A connection with this address exists already.
    AddressInUse,
    /// The first byte is not that of an info packet.
    NotAnInfoPacket,
    /// The settings are out of range.
    InvalidSettings,
    /// The key pair can be changed only while there are no connections.
    ConnectionsExist,
    /// This party asks already to be introduced to that one.
    AlreadyIntroducing,
    /// The connections belong to different shards of one socket.
    OtherShard,
    /// As many introductions are under way as may be.
    TooManyIntroductions,
    /// This socket's configuration does not let it introduce others.
    NotAnIntroducer,
}

impl CallCode {
    /// All codes, by number.
    pub const ALL: &'static [Self] = &[
        Self::Closed,
        Self::NotEstablished,
        Self::WindowFull,
        Self::TooLarge,
        Self::Blocked,
        Self::NotWaiting,
        Self::NoTrust,
        Self::TooManyConnections,
        Self::AddressInUse,
        Self::NotAnInfoPacket,
        Self::InvalidSettings,
        Self::ConnectionsExist,
        Self::AlreadyIntroducing,
        Self::OtherShard,
        Self::TooManyIntroductions,
        Self::NotAnIntroducer,
    ];

    /// The number that stands for it on the wire and in other languages.
    pub const fn number(self) -> u16 {
        match self {
            Self::Closed => 1,
            Self::NotEstablished => 2,
            Self::WindowFull => 3,
            Self::TooLarge => 4,
            Self::Blocked => 5,
            Self::NotWaiting => 6,
            Self::NoTrust => 7,
            Self::TooManyConnections => 8,
            Self::AddressInUse => 9,
            Self::NotAnInfoPacket => 10,
            Self::InvalidSettings => 11,
            Self::ConnectionsExist => 12,
            Self::AlreadyIntroducing => 13,
            Self::OtherShard => 14,
            Self::TooManyIntroductions => 15,
            Self::NotAnIntroducer => 16,
        }
    }

    /// Its name, as `spec/codes.csv` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::NotEstablished => "not_established",
            Self::WindowFull => "window_full",
            Self::TooLarge => "too_large",
            Self::Blocked => "blocked",
            Self::NotWaiting => "not_waiting",
            Self::NoTrust => "no_trust",
            Self::TooManyConnections => "too_many_connections",
            Self::AddressInUse => "address_in_use",
            Self::NotAnInfoPacket => "not_an_info_packet",
            Self::InvalidSettings => "invalid_settings",
            Self::ConnectionsExist => "connections_exist",
            Self::AlreadyIntroducing => "already_introducing",
            Self::OtherShard => "other_shard",
            Self::TooManyIntroductions => "too_many_introductions",
            Self::NotAnIntroducer => "not_an_introducer",
        }
    }
}

impl fmt::Display for CallCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "The connection has ended or never was",
            Self::NotEstablished => "The handshake is not finished",
            Self::WindowFull => "As many packets as the window holds await their verdict",
            Self::TooLarge => "The data is longer than the message has room for",
            Self::Blocked => "Too many datagrams wait to be sent",
            Self::NotWaiting => "The connection does not wait for this answer",
            Self::NoTrust => "Nothing says which host keys to take",
            Self::TooManyConnections => "The endpoint holds as many connections as it may",
            Self::AddressInUse => "A connection with this address exists already",
            Self::NotAnInfoPacket => "The first byte is not that of an info packet",
            Self::InvalidSettings => "The settings are out of range",
            Self::ConnectionsExist => "The key pair can be changed only while there are no connections",
            Self::AlreadyIntroducing => "This party asks already to be introduced to that one",
            Self::OtherShard => "The connections belong to different shards of one socket",
            Self::TooManyIntroductions => "As many introductions are under way as may be",
            Self::NotAnIntroducer => "This socket's configuration does not let it introduce others",
        })
    }
}

/// What an [`Event`](crate::Event) is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum EventKind {
    /// The host has shown its key and data and waits for an answer.
    ChallengeResponse,
    /// An initiator asks to be let in.
    ConnectRequest,
    /// The connection is up.
    Established,
    /// The connection has ended.
    Close,
    /// A packet of the other application came.
    Packet,
    /// The verdict on a packet that was sent.
    Verdict,
    /// A datagram outside any connection came.
    InfoPacket,
    /// The connection takes another path.
    PathChanged,
    /// A party asks to be introduced and waits for an answer.
    IntroductionRequested,
    /// What became of an introduction.
    Introduced,
    /// How this socket's NAT behaves.
    NatFound,
}

impl EventKind {
    /// All codes, by number.
    pub const ALL: &'static [Self] = &[
        Self::ChallengeResponse,
        Self::ConnectRequest,
        Self::Established,
        Self::Close,
        Self::Packet,
        Self::Verdict,
        Self::InfoPacket,
        Self::PathChanged,
        Self::IntroductionRequested,
        Self::Introduced,
        Self::NatFound,
    ];

    /// The number that stands for it on the wire and in other languages.
    pub const fn number(self) -> u8 {
        match self {
            Self::ChallengeResponse => 1,
            Self::ConnectRequest => 2,
            Self::Established => 3,
            Self::Close => 4,
            Self::Packet => 5,
            Self::Verdict => 6,
            Self::InfoPacket => 7,
            Self::PathChanged => 8,
            Self::IntroductionRequested => 9,
            Self::Introduced => 10,
            Self::NatFound => 11,
        }
    }

    /// Its name, as `spec/codes.csv` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ChallengeResponse => "challenge_response",
            Self::ConnectRequest => "connect_request",
            Self::Established => "established",
            Self::Close => "close",
            Self::Packet => "packet",
            Self::Verdict => "verdict",
            Self::InfoPacket => "info_packet",
            Self::PathChanged => "path_changed",
            Self::IntroductionRequested => "introduction_requested",
            Self::Introduced => "introduced",
            Self::NatFound => "nat_found",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ChallengeResponse => "The host has shown its key and data and waits for an answer",
            Self::ConnectRequest => "An initiator asks to be let in",
            Self::Established => "The connection is up",
            Self::Close => "The connection has ended",
            Self::Packet => "A packet of the other application came",
            Self::Verdict => "The verdict on a packet that was sent",
            Self::InfoPacket => "A datagram outside any connection came",
            Self::PathChanged => "The connection takes another path",
            Self::IntroductionRequested => "A party asks to be introduced and waits for an answer",
            Self::Introduced => "What became of an introduction",
            Self::NatFound => "How this socket's NAT behaves",
        })
    }
}

/// The verdict on one sent packet. It is told exactly once for each packet, in the order of sending.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Delivery {
    /// The packet was not and never will be given to the other application.
    Dropped,
    /// The packet was placed in the other application's event queue.
    Delivered,
    /// The connection ended without a word on the packet: treat it as dropped.
    Unknown,
}

impl Delivery {
    /// All codes, by number.
    pub const ALL: &'static [Self] = &[Self::Dropped, Self::Delivered, Self::Unknown];

    /// The number that stands for it on the wire and in other languages.
    pub const fn number(self) -> u8 {
        match self {
            Self::Dropped => 0,
            Self::Delivered => 1,
            Self::Unknown => 2,
        }
    }

    /// Its name, as `spec/codes.csv` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Delivered => "delivered",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dropped => "The packet was not and never will be given to the other application",
            Self::Delivered => "The packet was placed in the other application's event queue",
            Self::Unknown => "The connection ended without a word on the packet: treat it as dropped",
        })
    }
}

/// The side that ended a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ClosedBy {
    /// This application.
    Application,
    /// The other side: its application or its socket.
    Remote,
    /// This socket: a limit passed or the other side broke the protocol.
    Socket,
}

impl ClosedBy {
    /// All codes, by number.
    pub const ALL: &'static [Self] = &[Self::Application, Self::Remote, Self::Socket];

    /// The number that stands for it on the wire and in other languages.
    pub const fn number(self) -> u8 {
        match self {
            Self::Application => 0,
            Self::Remote => 1,
            Self::Socket => 2,
        }
    }

    /// Its name, as `spec/codes.csv` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Remote => "remote",
            Self::Socket => "socket",
        }
    }
}

impl fmt::Display for ClosedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Application => "This application",
            Self::Remote => "The other side: its application or its socket",
            Self::Socket => "This socket: a limit passed or the other side broke the protocol",
        })
    }
}
