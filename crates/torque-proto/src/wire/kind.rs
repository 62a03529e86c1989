//! The first byte's kinds (PROTOCOL.md 2).

/// The kinds of datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DatagramKind {
    /// 4.1
    ChallengeRequest,
    /// 4.2
    ChallengeResponse,
    /// 4.3
    ConnectRequest,
    /// 4.4
    ConnectAccept,
    /// 4.5
    ConnectRefuse,
    /// 4.6
    ConnectPending,
    /// 4.7
    Reject,
    /// PATHS.md 2.1
    Punch,
    /// PATHS.md 2.2
    WhoAreYou,
    /// PATHS.md 2.3
    Reset,
    /// 4.9: whether a socket receives here.
    Probe,
    /// 4.9
    ProbeEcho,
    /// INTRODUCTIONS.md 2: shows an introducer where it comes from.
    Observe,
    /// INTRODUCTIONS.md 2: a datagram that travels on a circuit.
    Relayed,
    /// A first byte that this version has no use for; dropped.
    Reserved,
    /// The application's own (2.1).
    Info,
    /// A packet of an established connection (6).
    Packet,
    /// Nothing at all; dropped.
    Empty,
}

impl DatagramKind {
    /// The kind of a datagram. Says nothing about the rest of it.
    pub const fn of(datagram: &[u8]) -> Self {
        match datagram.first() {
            None => Self::Empty,
            Some(first) => match first {
                0x01 => Self::ChallengeRequest,
                0x02 => Self::ChallengeResponse,
                0x03 => Self::ConnectRequest,
                0x04 => Self::ConnectAccept,
                0x05 => Self::ConnectRefuse,
                0x06 => Self::ConnectPending,
                0x07 => Self::Reject,
                0x08 => Self::Punch,
                0x09 => Self::WhoAreYou,
                0x0a => Self::Reset,
                0x0b => Self::Probe,
                0x0c => Self::ProbeEcho,
                0x0d => Self::Observe,
                0x0e => Self::Relayed,
                0x00 | 0x0f..=0x1f => Self::Reserved,
                0x20..=0x7f => Self::Info,
                0x80..=0xff => Self::Packet,
            },
        }
    }
}
