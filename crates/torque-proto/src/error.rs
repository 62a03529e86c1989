//! Errors of calls, grouped by whom they blame. What the other side does wrong is never an error of a
//! call: it ends a connection with a [`CloseCode`](crate::CloseCode) or is counted in [`Stats`](crate::Stats).

use core::fmt;

use crate::codes::CallCode;

/// Why a packet was not sent. No sequence was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendError {
    /// As many packets as the window holds await their verdict, or the application has not taken the
    /// verdicts. Drain events, and send when a verdict has come.
    WindowFull,
    /// The payload is larger than the connection takes.
    TooLarge {
        /// The largest payload, in bytes.
        max: usize,
    },
    /// The handshake is not finished. Wait for the established event.
    NotEstablished,
    /// There is no such connection: it has ended, or never was.
    Closed,
    /// Too many datagrams wait to be handed to the operating system, or the host accepted from an address that was not
    /// asked and has not been heard there yet (PROTOCOL.md 5.5). Flush, then try again.
    Blocked,
}

impl SendError {
    /// The number and name of the error in every language (`spec/codes.csv`).
    pub const fn code(&self) -> CallCode {
        match self {
            Self::WindowFull => CallCode::WindowFull,
            Self::TooLarge { .. } => CallCode::TooLarge,
            Self::NotEstablished => CallCode::NotEstablished,
            Self::Closed => CallCode::Closed,
            Self::Blocked => CallCode::Blocked,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WindowFull => f.write_str("the packet window is full: drain events and wait for verdicts"),
            Self::TooLarge { max } => write!(f, "the packet is too large: this connection takes {max} bytes"),
            Self::NotEstablished => f.write_str("not established yet: wait for the established event"),
            Self::Closed => f.write_str("the connection has ended"),
            Self::Blocked => f.write_str("too many datagrams wait to be sent: flush and try again"),
        }
    }
}

impl core::error::Error for SendError {}

/// Why a call other than `send` was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CallError {
    /// There is no such connection: it has ended, or never was.
    Closed,
    /// The connection does not wait for this answer, or no longer.
    NotWaiting,
    /// The data is longer than the message has room for.
    TooLarge {
        /// The most, in bytes.
        max: usize,
    },
    /// Nothing says which host keys to take: no [`Trust`](crate::Trust) was given.
    NoTrust,
    /// The endpoint holds as many connections as `limits.connections` allows.
    TooManyConnections,
    /// A connection with this address exists, or is being made.
    AddressInUse,
    /// An info packet begins with a byte from 0x20 to 0x7f.
    NotAnInfoPacket,
    /// Too many datagrams wait to be handed to the operating system. Flush, then try again.
    Blocked,
    /// The wished settings are out of range; [`Settings`](crate::Settings) tells the ranges.
    InvalidSettings,
    /// The key pair can be changed only while there are no connections.
    ConnectionsExist,
    /// This party asks already to be introduced to that one.
    AlreadyIntroducing,
    /// The connections belong to different shards of one socket, or the socket is one of several shards and cannot be a party.
    OtherShard,
    /// As many introductions are under way as [`IntroductionConfig`](crate::IntroductionConfig) allows.
    TooManyIntroductions,
    /// The configuration does not let this socket introduce others
    /// ([`introduces`](crate::IntroductionConfig::introduces)).
    NotAnIntroducer,
}

impl CallError {
    /// The number and name of the error in every language (`spec/codes.csv`).
    pub const fn code(&self) -> CallCode {
        match self {
            Self::Closed => CallCode::Closed,
            Self::NotWaiting => CallCode::NotWaiting,
            Self::TooLarge { .. } => CallCode::TooLarge,
            Self::NoTrust => CallCode::NoTrust,
            Self::TooManyConnections => CallCode::TooManyConnections,
            Self::AddressInUse => CallCode::AddressInUse,
            Self::NotAnInfoPacket => CallCode::NotAnInfoPacket,
            Self::Blocked => CallCode::Blocked,
            Self::InvalidSettings => CallCode::InvalidSettings,
            Self::ConnectionsExist => CallCode::ConnectionsExist,
            Self::AlreadyIntroducing => CallCode::AlreadyIntroducing,
            Self::OtherShard => CallCode::OtherShard,
            Self::TooManyIntroductions => CallCode::TooManyIntroductions,
            Self::NotAnIntroducer => CallCode::NotAnIntroducer,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection has ended"),
            Self::NotWaiting => f.write_str("the connection does not wait for this answer (any more)"),
            Self::TooLarge { max } => write!(f, "the data is too long: there is room for {max} bytes"),
            Self::NoTrust => f.write_str(
                "say whom to trust: a pinned key, `ask` to decide when the host shows its key, or `anyone`",
            ),
            Self::TooManyConnections => f.write_str("limits.connections is reached: close some or raise it"),
            Self::AddressInUse => f.write_str("there is a connection with this address already"),
            Self::NotAnInfoPacket => f.write_str("an info packet begins with a byte from 0x20 to 0x7f"),
            Self::Blocked => f.write_str("too many datagrams wait to be sent: flush and try again"),
            Self::InvalidSettings => f.write_str(
                "settings: window is 8 to 32768, tag 4 to 16, ack_delay up to 1 s, max_packet 1150 or more",
            ),
            Self::ConnectionsExist => f.write_str("change the key pair before there are connections"),
            Self::AlreadyIntroducing => {
                f.write_str("an introduction of these two is under way already: wait for it, or close it")
            }
            Self::OtherShard => {
                f.write_str("sharded sockets introduce only within one shard, and are no parties themselves")
            }
            Self::NotAnIntroducer => f.write_str(
                "this socket introduces nobody: set `introduction.introduces` in its configuration",
            ),
            Self::TooManyIntroductions => {
                f.write_str("too many introductions are under way: wait until one has ended, or a minute if many were begun")
            }
        }
    }
}

impl core::error::Error for CallError {}
