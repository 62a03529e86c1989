//! What a host answers an initiator, whichever of the five messages it is (PROTOCOL.md 4.2, 4.4 to 4.7).

use super::{ChallengeResponse, ConnectAccept, DatagramKind, ParseError, Reject, SealedReply};

/// An answer of a host. Each names the attempt that it answers, by the initiator_nonce that the attempt drew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply<'a> {
    /// 4.2
    Challenge(ChallengeResponse<'a>),
    /// 4.2, of another version or with a kind of key that this version does not know: only its attempt can be read.
    Unreadable {
        /// The attempt that it answers.
        initiator_nonce: [u8; 16],
        /// [`ParseError::Version`] or [`ParseError::KeyType`].
        error: ParseError,
    },
    /// 4.4
    Accept(ConnectAccept<'a>),
    /// 4.5 and 4.6
    Sealed(SealedReply<'a>),
    /// 4.7
    Reject(Reject),
}

impl<'a> Reply<'a> {
    /// Reads a datagram of this kind.
    ///
    /// # Errors
    /// [`ParseError::Kind`] if this is no kind of reply; else what is wrong with the datagram.
    pub fn parse(kind: DatagramKind, bytes: &'a [u8]) -> Result<Self, ParseError> {
        match kind {
            DatagramKind::ChallengeResponse => match ChallengeResponse::parse(bytes) {
                Ok(response) => Ok(Self::Challenge(response)),
                Err(
                    error @ (ParseError::Version { initiator_nonce, .. }
                    | ParseError::KeyType { initiator_nonce, .. }),
                ) => Ok(Self::Unreadable { initiator_nonce, error }),
                Err(error) => Err(error),
            },
            DatagramKind::ConnectAccept => ConnectAccept::parse(bytes).map(Self::Accept),
            DatagramKind::ConnectRefuse | DatagramKind::ConnectPending => {
                SealedReply::parse(bytes).map(Self::Sealed)
            }
            DatagramKind::Reject => Reject::parse(bytes).map(Self::Reject),
            _ => Err(ParseError::Kind),
        }
    }

    /// The attempt that it answers.
    pub fn initiator_nonce(&self) -> &[u8; 16] {
        match self {
            Self::Challenge(response) => &response.initiator_nonce,
            Self::Unreadable { initiator_nonce, .. } => initiator_nonce,
            Self::Accept(accept) => &accept.initiator_nonce,
            Self::Sealed(reply) => &reply.initiator_nonce,
            Self::Reject(reject) => &reject.initiator_nonce,
        }
    }
}
