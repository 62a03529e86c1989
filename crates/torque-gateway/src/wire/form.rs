//! The form that a datagram must have to pass at all (GATEWAY.md 4).

pub use torque_proto::wire::PROBE_BYTES;
use torque_proto::wire::{
    ChallengeRequest, DatagramKind, Punch, is_relayable, parse_probe_echo, parse_relayed,
};

/// The longest datagram that passes.
pub const MAX_DATAGRAM_BYTES: usize = 1_232;

/// The kinds of datagrams that the rules tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A challenge_request. A few may go to a remote that has not consented.
    Greeting,
    /// An echo of a probe.
    Echo {
        /// The probe's nonce.
        nonce: [u8; 16],
    },
    /// Any other datagram that may pass.
    Other,
}

impl Form {
    /// The form of a datagram; `None` if it must not pass.
    pub fn of(datagram: &[u8]) -> Option<Self> {
        let kind = DatagramKind::of(datagram);
        // Reserved kinds have no lengths. They would carry content of anyone's choice to hosts, which drop them.
        let is_possible = datagram.len() <= MAX_DATAGRAM_BYTES && kind.lengths()?.contains(&datagram.len());
        if !is_possible {
            return None;
        }
        match kind {
            // It may go to a remote that expects nothing, so it is checked whole: nobody else chooses its content.
            DatagramKind::ChallengeRequest => ChallengeRequest::parse(datagram).ok().map(|_| Self::Greeting),
            DatagramKind::Punch => Punch::parse(datagram).ok().map(|_| Self::Other),
            DatagramKind::ProbeEcho => parse_probe_echo(datagram).ok().map(|nonce| Self::Echo { nonce }),
            // Nobody looks at the NAT of a page: introducers see its gateway.
            DatagramKind::Observe => None,
            // A circuit of an introducer. What is inside goes to another party, and has the form of what may go through circuits.
            DatagramKind::Relayed => {
                let (_, inner) = parse_relayed(datagram).ok()?;
                inner.first().is_some_and(|first| is_relayable(*first)).then_some(Self::Other)
            }
            _ => Some(Self::Other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use torque_proto::wire::{Offers, WHO_ARE_YOU, probe, probe_echo, relayed_head, reset};

    fn challenge_request() -> Vec<u8> {
        let request = ChallengeRequest {
            initiator_nonce: [1; 16],
            application_tag: [2; 8],
            offers: Offers::from_bytes([1, 2, 0, 0]).unwrap(),
            introduction_id: 0,
        };
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        bytes
    }

    #[test]
    fn what_torque_sockets_never_send_does_not_pass() {
        // DNS, NTP, STUN and DHCP: services that an open relay would be used against.
        let dns = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\xff\x00\x01";
        let mut ntp = [0; 48];
        ntp[0] = 0x1b;
        let stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl";
        let mut dhcp = [0; 240];
        dhcp[0] = 1;
        for foreign in [
            &dns[..],
            &ntp,
            stun,
            &dhcp,
            b"",
            b"\x20info",
            &[0x08; 100],
            &[0x0e; 42],
            // An observe: no page sends one.
            &[0x0d; 17],
            &[0x80; 6],
            &[0x80; 1_233],
        ] {
            assert_eq!(Form::of(foreign), None, "{foreign:02x?}");
        }
        assert_eq!(Form::of(&[0x80; 1_232]), Some(Form::Other));
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
    fn what_looks_after_paths_passes_if_it_is_formed_rightly() {
        let punch = Punch { is_from_host: true, is_of_connection: true, id: 1, number: 2, echo: 0 };
        assert_eq!(Form::of(&punch.with_tag([9; 16])), Some(Form::Other));
        assert_eq!(Form::of(&Punch { id: 0, ..punch }.with_tag([9; 16])), None);
        assert_eq!(Form::of(&WHO_ARE_YOU), Some(Form::Other));
        assert_eq!(Form::of(&[WHO_ARE_YOU[0], 0]), None);
        assert_eq!(Form::of(&reset([3; 16])), Some(Form::Other));
        assert_eq!(Form::of(&reset([3; 16])[..16]), None);
    }

    #[test]
    fn what_a_circuit_may_carry_passes_in_it() {
        let relayed = |circuit: u32, inner: &[u8]| [&relayed_head(circuit)[..], inner].concat();
        assert_eq!(Form::of(&relayed(7, &[0x80; 1_227])), Some(Form::Other));
        assert_eq!(Form::of(&relayed(7, &challenge_request())), Some(Form::Other));
        // No circuit has this number.
        assert_eq!(Form::of(&relayed(0, &[0x80; 100])), None);
        for inner in [&[][..], &[0x80; 1_228], b"\x20info", &probe([1; 16]), &relayed(8, &[0x80; 100])] {
            assert_eq!(Form::of(&relayed(7, inner)), None, "{inner:02x?}");
        }
    }

    #[test]
    fn an_echo_tells_its_nonce() {
        assert_eq!(Form::of(&probe([9; 16])), Some(Form::Other));
        assert_eq!(Form::of(&probe_echo([9; 16])), Some(Form::Echo { nonce: [9; 16] }));
    }
}
