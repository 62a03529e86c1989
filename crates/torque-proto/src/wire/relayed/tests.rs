use alloc::vec;

use super::*;
use crate::wire::DatagramKind;

#[test]
fn a_relayed_is_its_byte_the_circuit_and_the_datagram() {
    assert_eq!(relayed_head(0x0102_0304), [0x0e, 1, 2, 3, 4]);
    for size in [1, 2, MAX_RELAYED] {
        let inner = vec![0x80; size];
        let bytes = [&relayed_head(u32::MAX)[..], &inner].concat();
        assert_eq!(parse_relayed(&bytes), Ok((u32::MAX, &inner[..])));
        assert_eq!(DatagramKind::of(&bytes), DatagramKind::Relayed);
        assert!(DatagramKind::Relayed.lengths().unwrap().contains(&bytes.len()));
    }
    assert_eq!(DatagramKind::Relayed.lengths(), Some(6..=1_232));
}

#[test]
fn what_is_no_relayed_is_refused() {
    let head = relayed_head(1);
    for length in 0..=head.len() {
        assert_eq!(parse_relayed(&head[..length]), Err(ParseError::Length), "{length}");
    }
    let too_long = [&head[..], &[0x80; MAX_RELAYED + 1]].concat();
    assert_eq!(parse_relayed(&too_long), Err(ParseError::Length));
    assert_eq!(parse_relayed(&[0x0e, 0, 0, 0, 0, 0x80]), Err(ParseError::Zero));
    for kind in [0x0d, 0x0f] {
        assert_eq!(parse_relayed(&[kind, 0, 0, 0, 1, 0x80]), Err(ParseError::Kind));
    }
}

#[test]
fn handshakes_punches_and_packets_are_relayed_and_nothing_else() {
    for first in 0..=u8::MAX {
        use DatagramKind::*;
        let is_wanted = match DatagramKind::of(&[first]) {
            ChallengeRequest | ChallengeResponse | ConnectRequest | ConnectAccept | ConnectRefuse => true,
            ConnectPending | Reject | Punch | Packet => true,
            WhoAreYou | Reset | Probe | ProbeEcho | Observe | Relayed | Reserved | Info | Empty => false,
        };
        assert_eq!(is_relayable(first), is_wanted, "{first:#04x}");
    }
}
