//! Handshake messages, and the datagrams that look after paths, field by field (PROTOCOL.md 4, PATHS.md 2).

use torque_proto::wire::introduction::{ObserveToken, parse_observe};
use torque_proto::wire::{
    ChallengeRequest, ChallengeResponse, ConnectAccept, ConnectRequest, DatagramKind, Offers, ParseError,
    Punch, Reject, ReplyKind, SealedReply, WHO_ARE_YOU, parse_probe, parse_probe_echo, parse_reset,
};
use torque_socket::{Cipher, Credential, PublicKey};

use super::fields::{Explained, data};
use crate::units::{hex, printable};

/// Explains a datagram of one of the kinds 0x01 to 0x0d.
pub fn explain(kind: DatagramKind, bytes: &[u8]) -> Explained {
    let name = name(kind);
    let explained = match kind {
        DatagramKind::ChallengeRequest => ChallengeRequest::parse(bytes).map(|message| request(&message)),
        DatagramKind::ChallengeResponse => ChallengeResponse::parse(bytes).map(|message| response(&message)),
        DatagramKind::ConnectRequest => ConnectRequest::parse(bytes).map(|message| connect(&message)),
        DatagramKind::ConnectAccept => ConnectAccept::parse(bytes).map(|message| accept(&message)),
        DatagramKind::Reject => Reject::parse(bytes).map(|message| reject(&message)),
        DatagramKind::Punch => Punch::parse(bytes).map(|(message, tag)| punch(&message, &tag)),
        DatagramKind::WhoAreYou if bytes == WHO_ARE_YOU => {
            Ok(Explained::new(name, "asks who sends packets from an address without a connection"))
        }
        DatagramKind::WhoAreYou => Err(ParseError::Length),
        DatagramKind::Reset => parse_reset(bytes).map(|token| reset(&token)),
        DatagramKind::Probe => {
            parse_probe(bytes).map(|nonce| probe(name, "whether a socket receives here", &nonce))
        }
        DatagramKind::ProbeEcho => {
            parse_probe_echo(bytes).map(|nonce| probe(name, "a socket receives here", &nonce))
        }
        DatagramKind::Observe => parse_observe(bytes).map(|token| observe(name, &token)),
        _ => SealedReply::parse(bytes).map(|message| reply(name, &message)),
    };
    explained.unwrap_or_else(|error| malformed(name, bytes, &error))
}

/// The name of a kind.
pub fn name(kind: DatagramKind) -> &'static str {
    match kind {
        DatagramKind::ChallengeRequest => "challenge_request",
        DatagramKind::ChallengeResponse => "challenge_response",
        DatagramKind::ConnectRequest => "connect_request",
        DatagramKind::ConnectAccept => "connect_accept",
        DatagramKind::ConnectRefuse => "connect_refuse",
        DatagramKind::ConnectPending => "connect_pending",
        DatagramKind::Reject => "reject",
        DatagramKind::Punch => "punch",
        DatagramKind::WhoAreYou => "who_are_you",
        DatagramKind::Reset => "reset",
        DatagramKind::Probe => "probe",
        DatagramKind::ProbeEcho => "probe_echo",
        DatagramKind::Info => "info",
        DatagramKind::Packet => "packet",
        DatagramKind::Empty => "empty",
        DatagramKind::Observe => "observe",
        DatagramKind::Relayed => "relayed",
        DatagramKind::Reserved => "reserved",
    }
}

/// Explains a datagram of this kind that its parser refuses.
pub fn malformed(name: &'static str, bytes: &[u8], error: &ParseError) -> Explained {
    let mut explained = Explained::new(name, format!("malformed {name}"));
    explained.problem = Some(format!("{error}; it would be dropped"));
    explained.field(0, bytes.len(), "bytes", hex(bytes));
    explained
}

fn ciphers(offers: &Offers) -> String {
    let names = offers.numbers().map(cipher).collect::<Vec<_>>();
    names.join(", ")
}

fn cipher(number: u8) -> String {
    match Cipher::from_number(number) {
        Some(cipher) => format!("{number} ({cipher})"),
        None => format!("{number} (unknown)"),
    }
}

fn request(message: &ChallengeRequest) -> Explained {
    let mut explained = Explained::new("challenge_request", "an initiator asks for a challenge");
    explained.field(1, 8, "magic", "TorqueSk");
    explained.field(9, 1, "version", "1");
    explained.field(10, 16, "initiator_nonce", hex(&message.initiator_nonce));
    explained.field(26, 8, "application_tag", hex(&message.application_tag));
    explained.field(34, 4, "ciphers_offered", ciphers(&message.offers));
    explained.field(38, 8, "introduction_id", message.introduction_id.to_string());
    explained.field(46, 722, "zeros", "padding: an answer is never longer than the question");
    explained
}

fn response(message: &ChallengeResponse<'_>) -> Explained {
    let summary = format!("a host shows its key and asks for a puzzle of {} bits", message.difficulty);
    let mut explained = Explained::new("challenge_response", summary);
    explained.field(1, 1, "version", "1");
    explained.field(2, 16, "initiator_nonce", hex(&message.initiator_nonce));
    explained.field(18, 8, "epoch_start", format!("{} (ms since 1970-01-01)", message.epoch_start));
    explained.field(26, 32, "epoch_key", hex(&message.epoch_key));
    explained.field(58, 64, "signature", hex(&message.signature));
    explained.field(122, 16, "identity_token", hex(&message.identity_token));
    explained.field(138, 1, "difficulty", format!("{} bits", message.difficulty));
    explained.field(139, 1, "cipher", cipher(message.cipher));
    explained.field(140, 1, "key_type", "1 (Ed25519)");
    match PublicKey::from_bytes(&message.host_key) {
        Ok(key) => explained.field(141, 32, "host_public_key", key.to_string()),
        Err(error) => {
            explained.field(141, 32, "host_public_key", hex(&message.host_key));
            explained.problem = Some(format!("the host's key is refused: {error}"));
        }
    }
    explained.field(173, 2, "data_length", message.data.len().to_string());
    let mut rest = (ChallengeResponse::HEAD_BYTES, message.data);
    if let Ok((credential, data)) = Credential::parse_prefix(message.data) {
        let size = message.data.len() - data.len();
        let text = format!("\"{}\" by {}", printable(credential.name().as_bytes()), credential.authority());
        explained.field(rest.0, size, "credential", text);
        rest = (rest.0 + size, data);
    }
    explained.field(rest.0, rest.1.len(), "challenge_response_data", data(rest.1));
    if let Some(sealed) = message.introduced_data {
        let at = ChallengeResponse::HEAD_BYTES + message.data.len();
        explained.field(at, 2, "introduced_length", sealed.len().to_string());
        explained.field(at + 2, sealed.len(), "introduced_data", format!("sealed: {}", hex(sealed)));
    }
    explained
}

fn connect(message: &ConnectRequest<'_>) -> Explained {
    let summary = format!("an initiator asks to connect, with a solution of {} bits", message.difficulty);
    let mut explained = Explained::new("connect_request", summary);
    explained.field(1, 1, "version", "1");
    explained.field(2, 16, "initiator_nonce", hex(&message.initiator_nonce));
    explained.field(18, 4, "epoch_tag", hex(&message.epoch_tag));
    explained.field(22, 16, "identity_token", hex(&message.identity_token));
    explained.field(38, 1, "difficulty", format!("{} bits", message.difficulty));
    explained.field(39, 1, "cipher", cipher(message.cipher));
    explained.field(40, 4, "ciphers_offered", ciphers(&message.offers));
    explained.field(44, 8, "introduction_id", message.introduction_id.to_string());
    let at = ConnectRequest::NOISE_OFFSET;
    let parts =
        message.noise.split_at_checked(32).and_then(|(e, rest)| Some((e, rest.split_at_checked(48)?)));
    if let Some((e, (sealed_s, sealed_p))) = parts {
        explained.field(at, 32, "e", hex(e));
        explained.field(at + 32, 48, "sealed_s", format!("the initiator's key, sealed: {}", hex(sealed_s)));
        let text = format!("sequence, settings and data, sealed: {}", hex(sealed_p));
        explained.field(at + 80, sealed_p.len(), "sealed_p", text);
    }
    explained.field(at + message.noise.len(), 8, "solution", hex(&message.solution));
    explained.opened = Some(false);
    explained
}

fn accept(message: &ConnectAccept<'_>) -> Explained {
    let mut explained = Explained::new("connect_accept", "the host accepts");
    explained.field(1, 16, "initiator_nonce", hex(&message.initiator_nonce));
    explained.field(17, 16, "host_salt", hex(&message.host_salt));
    explained.field(33, 32, "e2", hex(&message.e2));
    explained.field(65, message.sealed.len(), "sealed", hex(message.sealed));
    explained.opened = Some(false);
    explained
}

fn reply(name: &'static str, message: &SealedReply<'_>) -> Explained {
    let summary = match message.kind {
        ReplyKind::Refuse => "the host refuses",
        ReplyKind::Pending => "the host's application has not decided yet",
    };
    let mut explained = Explained::new(name, summary);
    explained.field(1, 16, "initiator_nonce", hex(&message.initiator_nonce));
    explained.field(17, 16, "host_salt", hex(&message.host_salt));
    explained.field(33, message.sealed.len(), "sealed", hex(message.sealed));
    explained.opened = Some(false);
    explained
}

fn reject(message: &Reject) -> Explained {
    let mut explained = Explained::new("reject", format!("rejected: {}", message.code.name()));
    explained.field(1, 1, "version", message.version.to_string());
    explained.field(2, 16, "initiator_nonce", hex(&message.initiator_nonce));
    let code = format!("{} ({}): {}", message.code.number(), message.code.name(), message.code);
    explained.field(18, 1, "reject_code", code);
    explained
}

fn probe(name: &'static str, summary: &str, nonce: &[u8; 16]) -> Explained {
    let mut explained = Explained::new(name, summary);
    explained.field(1, 16, "nonce", hex(nonce));
    explained
}

fn observe(name: &'static str, token: &ObserveToken) -> Explained {
    let mut explained = Explained::new(name, "shows an introducer where it comes from");
    explained.field(1, 16, "token", hex(token));
    explained
}

fn punch(message: &Punch, tag: &[u8; Punch::TAG_BYTES]) -> Explained {
    let side = if message.is_from_host { "host" } else { "initiator" };
    let of = if message.is_of_connection { "connection" } else { "introduction" };
    let does = match (message.number, message.echo) {
        (_, 0) => "asks",
        (0, _) => "answers",
        _ => "answers and asks",
    };
    let mut explained = Explained::new("punch", format!("the {side} of the {of} {does}"));
    explained.field(1, 1, "flags", format!("from the {side}, of the {of}"));
    explained.field(2, 8, "id", format!("{:016x}", message.id));
    explained.field(10, 8, "number", format!("{:016x}", message.number));
    explained.field(18, 8, "echo", format!("{:016x}", message.echo));
    explained.field(26, tag.len(), "tag", hex(tag));
    explained
}

fn reset(token: &[u8; 16]) -> Explained {
    let mut explained = Explained::new("reset", "the host has lost a connection");
    explained.field(1, 16, "reset_token", hex(token));
    explained
}
