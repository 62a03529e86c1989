//! The lengths that datagrams can have, for programs that judge them without keys, such as a gateway.

use core::ops::RangeInclusive;

use super::header::HeaderSize;
use super::introduction::OBSERVE_BYTES;
use super::{
    CHALLENGE_REQUEST_BYTES, ChallengeResponse, ConnectAccept, ConnectRequest, DatagramKind, MAX_RELAYED,
    PROBE_BYTES, Punch, RELAYED_HEAD_BYTES, REPLY_HEADER_BYTES, RESET_BYTES, Reject, ReplyKind, WHO_ARE_YOU,
};
use crate::settings::Settings;

/// The longest payload of UDP over IPv4.
const MAX_UDP_BYTES: usize = 65_507;

impl DatagramKind {
    /// The lengths, in bytes, that a datagram of this kind can have. `None`: this version gives the kind no form.
    ///
    /// ```
    /// use torque_proto::wire::DatagramKind;
    ///
    /// assert_eq!(DatagramKind::Probe.lengths(), Some(17..=17));
    /// assert_eq!(DatagramKind::Reserved.lengths(), None);
    /// ```
    pub const fn lengths(self) -> Option<RangeInclusive<usize>> {
        let (least, most) = match self {
            Self::ChallengeRequest => (CHALLENGE_REQUEST_BYTES, CHALLENGE_REQUEST_BYTES),
            Self::ChallengeResponse => (ChallengeResponse::HEAD_BYTES, ChallengeResponse::MAX_BYTES),
            Self::ConnectRequest => (ConnectRequest::MIN_BYTES, ConnectRequest::MAX_BYTES),
            Self::ConnectAccept => (ConnectAccept::MIN_BYTES, ConnectAccept::MAX_BYTES),
            Self::ConnectRefuse => reply(ReplyKind::Refuse),
            Self::ConnectPending => reply(ReplyKind::Pending),
            Self::Reject => (Reject::BYTES, Reject::BYTES),
            Self::Punch => (Punch::BYTES, Punch::BYTES),
            Self::WhoAreYou => (WHO_ARE_YOU.len(), WHO_ARE_YOU.len()),
            Self::Reset => (RESET_BYTES, RESET_BYTES),
            Self::Probe | Self::ProbeEcho => (PROBE_BYTES, PROBE_BYTES),
            Self::Observe => (OBSERVE_BYTES, OBSERVE_BYTES),
            Self::Relayed => (RELAYED_HEAD_BYTES + 1, RELAYED_HEAD_BYTES + MAX_RELAYED),
            Self::Packet => (HeaderSize::Three.bytes() + Settings::MIN_TAG_BYTES as usize, MAX_UDP_BYTES),
            Self::Reserved | Self::Info | Self::Empty => return None,
        };
        Some(least..=most)
    }
}

const fn reply(kind: ReplyKind) -> (usize, usize) {
    let (least, most) = kind.sealed_bytes();
    (REPLY_HEADER_BYTES + least, REPLY_HEADER_BYTES + most)
}

#[cfg(test)]
mod tests;
