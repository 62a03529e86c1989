//! Codes of closes.
//!
//! Written by `cargo xtask codes` from `spec/codes.csv`: change them there.

use core::fmt;

/// Why a connection, pending or established, ended (PROTOCOL.md 10).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum CloseCode {
    /// The other side's or this application closed the connection.
    Closed,
    /// The application of the host refused the connection.
    Refused,
    /// An application did not answer the question it was asked in time.
    NoDecision,
    /// The other side broke the protocol.
    ProtocolViolation,
    /// The old connection with the same address still answers.
    AddressInUse,
    /// A newer connection from the same address took this one's place.
    Replaced,
    /// The socket is being closed.
    ShuttingDown,
    /// The host admits only pages of certain origins.
    OriginNotAllowed,
    /// The introducer's application refused the introduction.
    IntroductionRefused,
    /// Both parties of the introduction are host or both are initiator.
    RoleConflict,
    /// The other party of the introduction did not ask in time.
    RemoteNeverAsked,
    /// The other party of the introduction gave up or left.
    RemoteGone,
    /// The other side went silent.
    TimedOut,
    /// Nothing came back from the host.
    NoAnswer,
    /// The initiator never proved its keys.
    NotConfirmed,
    /// Both sides connected to each other at once and the other attempt won.
    Superseded,
    /// The host does not speak this version of the protocol.
    VersionMismatch,
    /// The host belongs to another application or another version of it.
    ApplicationMismatch,
    /// The host allows none of the ciphers offered.
    NoCommonCipher,
    /// The host has no room for another connection.
    Busy,
    /// The host's key did not sign what came.
    BadSignature,
    /// The host has another key than the one expected.
    KeyMismatch,
    /// The host has a kind of key that this version does not know.
    UnknownKeyType,
    /// The host demanded more work than allowed.
    DifficultyTooHigh,
    /// The host kept asking for a fresh beginning.
    StaleChallenge,
    /// The host's name could not be resolved.
    NameNotFound,
    /// The operating system could not send to the host.
    Unreachable,
    /// No address of the other party answered and no circuit was granted.
    NoPath,
    /// No address of the other party answered because NATs depend on the destination.
    HardNat,
    /// The connection with the introducer ended before it had introduced.
    IntroducerGone,
    /// The host was restarted and has lost the connection.
    HostRestarted,
}

impl CloseCode {
    /// All codes, by number.
    pub const ALL: &'static [Self] = &[
        Self::Closed,
        Self::Refused,
        Self::NoDecision,
        Self::ProtocolViolation,
        Self::AddressInUse,
        Self::Replaced,
        Self::ShuttingDown,
        Self::OriginNotAllowed,
        Self::IntroductionRefused,
        Self::RoleConflict,
        Self::RemoteNeverAsked,
        Self::RemoteGone,
        Self::TimedOut,
        Self::NoAnswer,
        Self::NotConfirmed,
        Self::Superseded,
        Self::VersionMismatch,
        Self::ApplicationMismatch,
        Self::NoCommonCipher,
        Self::Busy,
        Self::BadSignature,
        Self::KeyMismatch,
        Self::UnknownKeyType,
        Self::DifficultyTooHigh,
        Self::StaleChallenge,
        Self::NameNotFound,
        Self::Unreachable,
        Self::NoPath,
        Self::HardNat,
        Self::IntroducerGone,
        Self::HostRestarted,
    ];

    /// The number that stands for it on the wire and in other languages.
    pub const fn number(self) -> u16 {
        match self {
            Self::Closed => 0,
            Self::Refused => 1,
            Self::NoDecision => 2,
            Self::ProtocolViolation => 3,
            Self::AddressInUse => 4,
            Self::Replaced => 5,
            Self::ShuttingDown => 6,
            Self::OriginNotAllowed => 7,
            Self::IntroductionRefused => 8,
            Self::RoleConflict => 9,
            Self::RemoteNeverAsked => 10,
            Self::RemoteGone => 11,
            Self::TimedOut => 32,
            Self::NoAnswer => 33,
            Self::NotConfirmed => 34,
            Self::Superseded => 35,
            Self::VersionMismatch => 36,
            Self::ApplicationMismatch => 37,
            Self::NoCommonCipher => 38,
            Self::Busy => 39,
            Self::BadSignature => 40,
            Self::KeyMismatch => 41,
            Self::UnknownKeyType => 42,
            Self::DifficultyTooHigh => 43,
            Self::StaleChallenge => 44,
            Self::NameNotFound => 45,
            Self::Unreachable => 46,
            Self::NoPath => 47,
            Self::HardNat => 48,
            Self::IntroducerGone => 49,
            Self::HostRestarted => 50,
        }
    }

    /// Its name, as `spec/codes.csv` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Refused => "refused",
            Self::NoDecision => "no_decision",
            Self::ProtocolViolation => "protocol_violation",
            Self::AddressInUse => "address_in_use",
            Self::Replaced => "replaced",
            Self::ShuttingDown => "shutting_down",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::IntroductionRefused => "introduction_refused",
            Self::RoleConflict => "role_conflict",
            Self::RemoteNeverAsked => "remote_never_asked",
            Self::RemoteGone => "remote_gone",
            Self::TimedOut => "timed_out",
            Self::NoAnswer => "no_answer",
            Self::NotConfirmed => "not_confirmed",
            Self::Superseded => "superseded",
            Self::VersionMismatch => "version_mismatch",
            Self::ApplicationMismatch => "application_mismatch",
            Self::NoCommonCipher => "no_common_cipher",
            Self::Busy => "busy",
            Self::BadSignature => "bad_signature",
            Self::KeyMismatch => "key_mismatch",
            Self::UnknownKeyType => "unknown_key_type",
            Self::DifficultyTooHigh => "difficulty_too_high",
            Self::StaleChallenge => "stale_challenge",
            Self::NameNotFound => "name_not_found",
            Self::Unreachable => "unreachable",
            Self::NoPath => "no_path",
            Self::HardNat => "hard_nat",
            Self::IntroducerGone => "introducer_gone",
            Self::HostRestarted => "host_restarted",
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "The other side's or this application closed the connection",
            Self::Refused => "The application of the host refused the connection",
            Self::NoDecision => "An application did not answer the question it was asked in time",
            Self::ProtocolViolation => "The other side broke the protocol",
            Self::AddressInUse => "The old connection with the same address still answers",
            Self::Replaced => "A newer connection from the same address took this one's place",
            Self::ShuttingDown => "The socket is being closed",
            Self::OriginNotAllowed => "The host admits only pages of certain origins",
            Self::IntroductionRefused => "The introducer's application refused the introduction",
            Self::RoleConflict => "Both parties of the introduction are host or both are initiator",
            Self::RemoteNeverAsked => "The other party of the introduction did not ask in time",
            Self::RemoteGone => "The other party of the introduction gave up or left",
            Self::TimedOut => "The other side went silent",
            Self::NoAnswer => "Nothing came back from the host",
            Self::NotConfirmed => "The initiator never proved its keys",
            Self::Superseded => "Both sides connected to each other at once and the other attempt won",
            Self::VersionMismatch => "The host does not speak this version of the protocol",
            Self::ApplicationMismatch => "The host belongs to another application or another version of it",
            Self::NoCommonCipher => "The host allows none of the ciphers offered",
            Self::Busy => "The host has no room for another connection",
            Self::BadSignature => "The host's key did not sign what came",
            Self::KeyMismatch => "The host has another key than the one expected",
            Self::UnknownKeyType => "The host has a kind of key that this version does not know",
            Self::DifficultyTooHigh => "The host demanded more work than allowed",
            Self::StaleChallenge => "The host kept asking for a fresh beginning",
            Self::NameNotFound => "The host's name could not be resolved",
            Self::Unreachable => "The operating system could not send to the host",
            Self::NoPath => "No address of the other party answered and no circuit was granted",
            Self::HardNat => "No address of the other party answered because NATs depend on the destination",
            Self::IntroducerGone => "The connection with the introducer ended before it had introduced",
            Self::HostRestarted => "The host was restarted and has lost the connection",
        })
    }
}

impl CloseCode {
    /// The code with this number; `None` if this version knows none.
    pub const fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            0 => Self::Closed,
            1 => Self::Refused,
            2 => Self::NoDecision,
            3 => Self::ProtocolViolation,
            4 => Self::AddressInUse,
            5 => Self::Replaced,
            6 => Self::ShuttingDown,
            7 => Self::OriginNotAllowed,
            8 => Self::IntroductionRefused,
            9 => Self::RoleConflict,
            10 => Self::RemoteNeverAsked,
            11 => Self::RemoteGone,
            32 => Self::TimedOut,
            33 => Self::NoAnswer,
            34 => Self::NotConfirmed,
            35 => Self::Superseded,
            36 => Self::VersionMismatch,
            37 => Self::ApplicationMismatch,
            38 => Self::NoCommonCipher,
            39 => Self::Busy,
            40 => Self::BadSignature,
            41 => Self::KeyMismatch,
            42 => Self::UnknownKeyType,
            43 => Self::DifficultyTooHigh,
            44 => Self::StaleChallenge,
            45 => Self::NameNotFound,
            46 => Self::Unreachable,
            47 => Self::NoPath,
            48 => Self::HardNat,
            49 => Self::IntroducerGone,
            50 => Self::HostRestarted,
            _ => return None,
        })
    }

    /// The code that the other side sent. Numbers that are unknown, or that a socket only reports of itself,
    /// become [`Closed`](Self::Closed).
    pub const fn from_wire(number: u16) -> Self {
        match Self::from_number(number) {
            Some(code) if code.is_on_wire() => code,
            _ => Self::Closed,
        }
    }

    /// Returns whether the other side may send it. A socket finds the others out by itself.
    pub const fn is_on_wire(self) -> bool {
        matches!(
            self,
            Self::Closed
                | Self::Refused
                | Self::NoDecision
                | Self::ProtocolViolation
                | Self::AddressInUse
                | Self::Replaced
                | Self::ShuttingDown
                | Self::OriginNotAllowed
                | Self::IntroductionRefused
                | Self::RoleConflict
                | Self::RemoteNeverAsked
                | Self::RemoteGone
        )
    }
}
