use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::codes::RejectCode;
use crate::wire::{ChallengeRequest, MAX_SHORT_DATA, Offers, ParseError, SealedReply, parse_probe, probe};

fn bytes_of(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// A datagram passes its parser, and is refused for its length one byte shorter or longer.
fn is_at_the_limits<T>(
    shortest: &[u8],
    longest: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, ParseError>,
) -> RangeInclusive<usize> {
    assert!(parse(shortest).is_ok() && parse(longest).is_ok());
    assert!(matches!(parse(&shortest[..shortest.len() - 1]), Err(ParseError::Length)));
    let longer = [longest, &[0]].concat();
    assert!(matches!(parse(&longer), Err(ParseError::Length)));
    shortest.len()..=longest.len()
}

#[test]
fn every_parser_takes_exactly_the_lengths_of_its_kind() {
    let offers = Offers::from_bytes([1, 2, 0, 0]).unwrap();
    let request =
        ChallengeRequest { initiator_nonce: [1; 16], application_tag: [2; 8], offers, introduction_id: 3 };
    let request = bytes_of(|out| request.write(out));
    let limits = is_at_the_limits(&request, &request, |bytes| ChallengeRequest::parse(bytes).map(drop));
    assert_eq!(DatagramKind::ChallengeRequest.lengths(), Some(limits));

    let response = |data: &[u8], introduced_data: Option<&[u8]>| {
        let response = ChallengeResponse {
            initiator_nonce: [1; 16],
            epoch_start: 2,
            epoch_key: [3; 32],
            signature: [4; 64],
            identity_token: [5; 16],
            difficulty: 6,
            cipher: 1,
            host_key: [7; 32],
            data,
            introduced_data,
        };
        bytes_of(|out| response.write(out))
    };
    let (shortest, longest) = (response(&[], None), response(&[8; MAX_SHORT_DATA], Some(&[9; 496])));
    let limits = is_at_the_limits(&shortest, &longest, |bytes| ChallengeResponse::parse(bytes).map(drop));
    assert_eq!(DatagramKind::ChallengeResponse.lengths(), Some(limits));

    let connect = |noise: usize| {
        let connect = ConnectRequest {
            initiator_nonce: [1; 16],
            epoch_tag: [2; 4],
            identity_token: [3; 16],
            difficulty: 4,
            cipher: 1,
            offers,
            introduction_id: 0,
            noise: &vec![5; noise],
            solution: [6; 8],
        };
        bytes_of(|out| connect.write(out))
    };
    let (shortest, longest) = (connect(ConnectRequest::MIN_NOISE), connect(ConnectRequest::MAX_NOISE));
    let limits = is_at_the_limits(&shortest, &longest, |bytes| ConnectRequest::parse(bytes).map(drop));
    assert_eq!(DatagramKind::ConnectRequest.lengths(), Some(limits));

    let accept = |sealed: usize| {
        let accept = ConnectAccept {
            initiator_nonce: [1; 16],
            host_salt: [2; 16],
            e2: [3; 32],
            sealed: &vec![4; sealed],
        };
        bytes_of(|out| accept.write(out))
    };
    let least = ConnectAccept::MIN_BYTES - accept(0).len();
    let (shortest, longest) = (accept(least), accept(least + MAX_SHORT_DATA));
    let limits = is_at_the_limits(&shortest, &longest, |bytes| ConnectAccept::parse(bytes).map(drop));
    assert_eq!(DatagramKind::ConnectAccept.lengths(), Some(limits));

    let reject = Reject { version: 1, initiator_nonce: [1; 16], code: RejectCode::Busy };
    let reject = bytes_of(|out| reject.write(out));
    let limits = is_at_the_limits(&reject, &reject, |bytes| Reject::parse(bytes).map(drop));
    assert_eq!(DatagramKind::Reject.lengths(), Some(limits));

    let probe = probe([1; 16]);
    let limits = is_at_the_limits(&probe, &probe, |bytes| parse_probe(bytes).map(drop));
    assert_eq!(DatagramKind::Probe.lengths(), Some(limits));

    for (kind, reply) in
        [(DatagramKind::ConnectRefuse, ReplyKind::Refuse), (DatagramKind::ConnectPending, ReplyKind::Pending)]
    {
        let sealed = |bytes: usize| {
            let reply = SealedReply {
                kind: reply,
                initiator_nonce: [1; 16],
                host_salt: [2; 16],
                sealed: &vec![3; bytes],
            };
            bytes_of(|out| reply.write(out))
        };
        let (least, most) = reply.sealed_bytes();
        let limits =
            is_at_the_limits(&sealed(least), &sealed(most), |bytes| SealedReply::parse(bytes).map(drop));
        assert_eq!(kind.lengths(), Some(limits));
    }
}

#[test]
fn lengths_are_those_of_the_document_where_no_parser_takes_the_whole() {
    // A packet's header and tag depend on what the handshake settled: the least are 3 and 4 bytes.
    for (kind, lengths) in [
        (DatagramKind::ChallengeResponse, Some(175..=1_184)),
        (DatagramKind::ProbeEcho, DatagramKind::Probe.lengths()),
        (DatagramKind::Packet, Some(7..=65_507)),
        (DatagramKind::Reserved, None),
        (DatagramKind::Info, None),
        (DatagramKind::Empty, None),
    ] {
        assert_eq!(kind.lengths(), lengths, "{kind:?}");
    }
}
