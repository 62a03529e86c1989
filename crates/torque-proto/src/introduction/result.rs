//! What became of an introduction.

use crate::codes::CloseCode;

/// What became of an introduction, as the introducer's application is told (INTRODUCTIONS.md 4).
///
/// [`Direct`](Self::Direct), [`Relayed`](Self::Relayed) and [`BecameDirect`](Self::BecameDirect) are the parties' word: the introducer
/// does not see their connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum IntroductionResult {
    /// The parties have a connection on a direct path.
    Direct,
    /// They have one on the circuit. `BecameDirect` may follow.
    Relayed,
    /// Their connection was relayed, and now takes a direct path.
    BecameDirect,
    /// At least one of the parties did not ask in time, so they were not introduced.
    NeverAsked {
        /// The initiator did not ask.
        initiator: bool,
        /// The host did not ask.
        host: bool,
    },
    /// The introduction failed: before it was complete, or by the word of a party.
    Failed(CloseCode),
    /// The parties were introduced, and neither said what became of it.
    Unknown,
}

impl IntroductionResult {
    /// The number that stands for it in other languages.
    pub const fn number(self) -> u8 {
        match self {
            Self::Direct => 0,
            Self::Relayed => 1,
            Self::BecameDirect => 2,
            Self::NeverAsked { .. } => 3,
            Self::Unknown => 4,
            Self::Failed(_) => 255,
        }
    }

    /// The reason of a failure.
    pub const fn code(self) -> Option<CloseCode> {
        match self {
            Self::Failed(code) => Some(code),
            Self::NeverAsked { .. } => Some(CloseCode::RemoteNeverAsked),
            _ => None,
        }
    }
}
