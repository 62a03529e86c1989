//! Every decoder of `torque_proto::wire`: no panic, and what was read and written is read again as the same.

use torque_proto::wire::control::{ControlMessage, ControlMessages};
use torque_proto::wire::header::{Header, HeaderSize};
use torque_proto::wire::introduction::{
    CircuitNotice, Introduction, MAX_CANDIDATES, MAX_TOKENS, Nats, Observed, Outcome, Request, Tokens,
    observe, parse_candidates, parse_observe, parse_tokens_wanted, parse_withdraw, withdraw,
    write_candidates,
};
use torque_proto::wire::{
    AcceptPayload, ChallengeRequest, ChallengeResponse, ConnectAccept, ConnectRequest, DatagramKind,
    MAX_HANDSHAKE_BYTES, Offers, Punch, RefusePayload, Reject, RequestPayload, SealedReply, is_relayable,
    parse_path_id, parse_probe, parse_probe_echo, parse_relayed, parse_reset, path_id, probe, probe_echo,
    relayed_head, reset,
};

/// Datagrams: what is read is written as the same bytes. `$more` bytes may differ, as they are ignored.
macro_rules! same_bytes {
    ($type:ident, $data:expr) => {
        if let Ok(value) = $type::parse($data) {
            let mut written = Vec::new();
            value.write(&mut written);
            assert_eq!(written, $data, concat!(stringify!($type), " is written as it was read"));
            assert!(written.len() <= MAX_HANDSHAKE_BYTES);
        }
    };
}

/// Sealed texts: some bits are ignored, so the value counts.
macro_rules! same_value {
    ($type:ident, $data:expr) => {
        if let Ok(value) = $type::parse($data) {
            let mut written = Vec::new();
            value.write(&mut written);
            assert_eq!(
                $type::parse(&written).as_ref(),
                Ok(&value),
                concat!(stringify!($type), " is read again")
            );
        }
    };
}

/// Reads the input as everything that it might be.
pub fn wire(data: &[u8]) {
    let kind = DatagramKind::of(data);
    assert_eq!(kind == DatagramKind::Empty, data.is_empty());
    same_bytes!(ChallengeRequest, data);
    same_bytes!(ChallengeResponse, data);
    same_bytes!(ConnectRequest, data);
    same_bytes!(ConnectAccept, data);
    same_bytes!(SealedReply, data);
    same_bytes!(Reject, data);
    if let Ok(nonce) = parse_probe(data) {
        assert_eq!((probe(nonce).as_slice(), kind), (data, DatagramKind::Probe));
    }
    if let Ok(nonce) = parse_probe_echo(data) {
        assert_eq!((probe_echo(nonce).as_slice(), kind), (data, DatagramKind::ProbeEcho));
    }
    if let Ok((punch, tag)) = Punch::parse(data) {
        assert_eq!((punch.with_tag(tag).as_slice(), kind), (data, DatagramKind::Punch));
        assert!(punch.id != 0 && (punch.number, punch.echo) != (0, 0));
    }
    if let Ok(token) = parse_reset(data) {
        assert_eq!((reset(token).as_slice(), kind), (data, DatagramKind::Reset));
    }
    if let Ok((id, token)) = parse_path_id(data) {
        assert!(id != 0);
        assert_eq!(path_id(id, token), data);
    }
    if let Ok((circuit, inner)) = parse_relayed(data) {
        assert!(circuit != 0 && !inner.is_empty());
        assert_eq!(
            ([&relayed_head(circuit)[..], inner].concat().as_slice(), kind),
            (data, DatagramKind::Relayed)
        );
        // Nothing that is relayed is relayed again.
        assert!(!is_relayable(data[0]));
    }
    if let Ok(token) = parse_observe(data) {
        assert_eq!((observe(&token).as_slice(), kind), (data, DatagramKind::Observe));
    }
    introductions(data);
    same_value!(RequestPayload, data);
    same_value!(AcceptPayload, data);
    same_value!(RefusePayload, data);
    headers(data);
    controls(data);
    if let Some(bytes) = data.first_chunk::<4>()
        && let Ok(offers) = Offers::from_bytes(*bytes)
    {
        assert_eq!(offers.to_bytes(), *bytes);
        assert!(offers.numbers().all(|number| offers.contains(number)));
    }
}

fn headers(data: &[u8]) {
    for size in [HeaderSize::Three, HeaderSize::Four, HeaderSize::Five] {
        let Some(header) = Header::parse(size, data) else { continue };
        assert_eq!(DatagramKind::of(data), DatagramKind::Packet);
        assert!(header.sequence_low < size.modulus() && header.ack_low < size.modulus() && header.form <= 7);
        let mut written = Vec::new();
        header.write(size, &mut written);
        assert_eq!(written, data[..size.bytes()]);
    }
}

fn controls(data: &[u8]) {
    let messages: Vec<ControlMessage<'_>> = ControlMessages::new(data).map_while(Result::ok).collect();
    let mut written = Vec::new();
    messages.iter().for_each(|message| message.write(&mut written));
    assert!(written.len() <= data.len(), "control messages take no more room than before");
    let again: Vec<_> = ControlMessages::new(&written).collect();
    assert_eq!(again, messages.into_iter().map(Ok).collect::<Vec<_>>());
}

/// Bodies of the messages of introductions. They are written no longer than they were: an address may become shorter.
fn introductions(data: &[u8]) {
    same_value!(Request, data);
    same_value!(Outcome, data);
    same_bytes!(CircuitNotice, data);
    same_value!(Tokens, data);
    same_value!(Observed, data);
    same_value!(Nats, data);
    let written = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut written = Vec::new();
        write(&mut written);
        assert!(written.len() <= data.len());
        written
    };
    if let Ok(request) = Request::parse(data) {
        assert!(request.candidates.len() <= MAX_CANDIDATES);
        written(&|out| request.write(out));
    }
    if let Ok(introduction) = Introduction::parse(data) {
        let bytes = written(&|out| introduction.write(out));
        let again = Introduction::parse(&bytes).map(|again| written(&|out| again.write(out)));
        assert_eq!(again.as_deref(), Ok(&bytes[..]), "an introduction is read again");
    }
    if let Ok(candidates) = parse_candidates(data) {
        assert!(candidates.len() <= MAX_CANDIDATES);
        let bytes = written(&|out| write_candidates(&candidates, out));
        assert_eq!(parse_candidates(&bytes), Ok(candidates));
    }
    if let Ok(tokens) = Tokens::parse(data) {
        assert!((1..=MAX_TOKENS).contains(&tokens.tokens.len()));
        written(&|out| tokens.write(out));
    }
    if let Ok(wanted) = parse_tokens_wanted(data) {
        assert!(data == [wanted] && usize::from(wanted) <= MAX_TOKENS);
    }
    if let Ok(code) = parse_withdraw(data) {
        assert!(code.is_on_wire());
        assert_eq!(parse_withdraw(&withdraw(code)), Ok(code));
    }
}
