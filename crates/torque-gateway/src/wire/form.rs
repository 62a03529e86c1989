//! What has the form of TorqueSocket, and so may pass at all (GATEWAY.md 4).

use std::ops::RangeInclusive;

pub use torque_proto::wire::PROBE_BYTES;
use torque_proto::wire::{ChallengeRequest, parse_probe_echo};

/// No datagram that passes is longer.
pub const MAX_DATAGRAM_BYTES: usize = 1_232;
const PROBE: u8 = 0x0b;
const PROBE_ECHO: u8 = 0x0c;
/// A header of three bytes and a tag of four (PROTOCOL.md 6).
const MIN_PACKET_BYTES: usize = 7;

/// What passing depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A challenge_request: may go to who has not consented, at a low pace.
    Greeting,
    /// An echo of a probe.
    Echo {
        /// What it echoes.
        nonce: [u8; 16],
    },
    /// Anything else that may pass.
    Other,
}

impl Form {
    /// The form of a datagram; `None` if it must not pass.
    pub fn of(datagram: &[u8]) -> Option<Self> {
        let first = *datagram.first()?;
        if !lengths(first)?.contains(&datagram.len()) {
            return None;
        }
        match first {
            // It may go where nobody has asked for it, so it carries nothing of somebody's choice but what it must.
            0x01 => ChallengeRequest::parse(datagram).ok().map(|_| Self::Greeting),
            PROBE_ECHO => parse_probe_echo(datagram).ok().map(|nonce| Self::Echo { nonce }),
            _ => Some(Self::Other),
        }
    }
}

/// The lengths that datagrams with this first byte can have.
fn lengths(first: u8) -> Option<RangeInclusive<usize>> {
    Some(match first {
        0x01 => 768..=768,
        0x02 => 175..=686,
        0x03 => 169..=1_169,
        0x04 => 117..=628,
        0x05 => 53..=564,
        0x06 => 49..=49,
        0x07 => 19..=19,
        // 0x08 to 0x0a are reserved for introductions and roaming. Hosts drop them, and they would carry what anybody likes.
        PROBE | PROBE_ECHO => PROBE_BYTES..=PROBE_BYTES,
        0x80..=0xff => MIN_PACKET_BYTES..=MAX_DATAGRAM_BYTES,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use torque_proto::wire::{Offers, probe, probe_echo};

    fn challenge_request() -> Vec<u8> {
        let request = ChallengeRequest {
            initiator_nonce: [1; 16],
            application_tag: [2; 8],
            offers: Offers::from_bytes([1, 2, 0, 0]).unwrap(),
        };
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        bytes
    }

    #[test]
    fn each_kind_passes_at_the_lengths_that_it_can_have_and_at_no_others() {
        for first in 0..=0xff_u8 {
            for length in 1..=1_300 {
                let mut datagram = vec![0; length];
                datagram[0] = first;
                let may = match first {
                    // Without magic and offers it is none, whatever its length.
                    0x01 => false,
                    0x02 => (175..=686).contains(&length),
                    0x03 => (169..=1_169).contains(&length),
                    0x04 => (117..=628).contains(&length),
                    0x05 => (53..=564).contains(&length),
                    0x06 => length == 49,
                    0x07 => length == 19,
                    0x0b | 0x0c => length == 17,
                    0x80.. => (7..=1_232).contains(&length),
                    _ => false,
                };
                assert_eq!(Form::of(&datagram).is_some(), may, "{first:#04x}, {length} bytes");
            }
        }
        assert_eq!(Form::of(&[]), None);
    }

    #[test]
    fn a_challenge_request_is_checked_whole() {
        let good = challenge_request();
        assert_eq!(Form::of(&good), Some(Form::Greeting));
        for position in [1, 8, 9, 34, 36, 100, 767] {
            let mut bent = good.clone();
            bent[position] ^= 1;
            assert_eq!(Form::of(&bent), None, "byte {position}");
        }
        assert_eq!(Form::of(&good[..767]), None);
    }

    #[test]
    fn an_echo_tells_its_nonce() {
        assert_eq!(Form::of(&probe([9; 16])), Some(Form::Other));
        assert_eq!(Form::of(&probe_echo([9; 16])), Some(Form::Echo { nonce: [9; 16] }));
    }
}
