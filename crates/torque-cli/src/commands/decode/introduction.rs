//! Messages of introductions, each in a line (INTRODUCTIONS.md 3).

use std::net::SocketAddr;

use torque_proto::wire::ParseError;
use torque_proto::wire::control::reliable::ReliableKind;
use torque_proto::wire::introduction::{
    Candidate, CandidateKind, CircuitNotice, CircuitState, Introduced, Introduction, Nat, Nats, Observed,
    Outcome, OutcomeResult, PartyFlags, Request, Tokens, parse_candidates, parse_tokens_wanted,
    parse_withdraw,
};
use torque_socket::{CloseCode, PublicKey};

use crate::units::hex;

/// The message in words; `None` for a kind that has none here.
pub fn explain(kind: ReliableKind, body: &[u8]) -> Option<Result<String, ParseError>> {
    Some(match kind {
        ReliableKind::REQUEST => Request::parse(body).map(|message| request(&message)),
        ReliableKind::INTRODUCTION => Introduction::parse(body).map(|message| introduction(&message)),
        ReliableKind::OUTCOME => Outcome::parse(body).map(outcome),
        ReliableKind::CANDIDATES => parse_candidates(body).map(|list| candidates(&list)),
        ReliableKind::WITHDRAW => parse_withdraw(body).map(|code| format!("code {}", close_code(code))),
        ReliableKind::TOKENS => explain_tokens(body),
        ReliableKind::OBSERVED => Observed::parse(body).map(observed),
        ReliableKind::CIRCUIT => CircuitNotice::parse(body).map(circuit),
        ReliableKind::NATS => Nats::parse(body).map(nats),
        _ => return None,
    })
}

/// The name of a message of introductions.
pub const fn name(kind: ReliableKind) -> Option<&'static str> {
    Some(match kind {
        ReliableKind::REQUEST => "request",
        ReliableKind::INTRODUCTION => "introduction",
        ReliableKind::OUTCOME => "outcome",
        ReliableKind::CANDIDATES => "candidates",
        ReliableKind::WITHDRAW => "withdraw",
        ReliableKind::TOKENS => "tokens",
        ReliableKind::OBSERVED => "observed",
        ReliableKind::CIRCUIT => "circuit",
        ReliableKind::NATS => "nats",
        _ => return None,
    })
}

fn request(message: &Request) -> String {
    let Request { remote, flags: known, nonce, candidates: list } = message;
    format!("remote {remote}, {}, nonce {}, {}", flags(*known), hex(nonce), candidates(list))
}

fn introduction(message: &Introduction) -> String {
    match message {
        Introduction::Complete(told) => introduced(told),
        Introduction::WaitingForParty => "waits for the other party".into(),
        Introduction::WaitingForApplication => "waits for the introducer's application".into(),
    }
}

/// Everything but the secret, as this is often shown to others.
fn introduced(told: &Introduced) -> String {
    let key = match PublicKey::from_bytes(&told.public_key) {
        Ok(key) => key.to_string(),
        Err(error) => format!("{} ({error})", hex(&told.public_key)),
    };
    let circuit = match told.circuit {
        0 => "no circuit".into(),
        number => format!("circuit {number:08x} of {} bytes a second", told.circuit_rate),
    };
    format!(
        "id {:016x}, {}, key {key}, nonce {}, secret not shown, {circuit}, NAT {}, own NAT {}, observed {}, {}",
        told.id,
        flags(told.flags),
        hex(&told.nonce),
        nat(told.nat),
        own_nat(told.own_nat),
        or_none(told.observed),
        candidates(&told.candidates),
    )
}

fn outcome(message: Outcome) -> String {
    let result = match message.result {
        OutcomeResult::Direct => "direct".into(),
        OutcomeResult::Relayed => "relayed".into(),
        OutcomeResult::BecameDirect => "became direct".into(),
        OutcomeResult::Failed(code) => format!("failed with code {}", close_code(code)),
    };
    format!("id {:016x}, {result}, after {} ms", message.introduction, message.millis)
}

fn circuit(message: CircuitNotice) -> String {
    let state = match message.state {
        CircuitState::Throttled => "throttled",
        CircuitState::UsedUp => "used up",
        CircuitState::Ended => "ended",
    };
    format!("circuit {:08x}, {state}", message.circuit)
}

fn flags(flags: PartyFlags) -> String {
    let side = if flags.is_host { "host" } else { "initiator" };
    let others = [
        (flags.takes_circuit, "takes a circuit"),
        (flags.wants_circuit_at_once, "wants it at once"),
        (flags.takes_direct, "takes direct paths"),
        (flags.opens_ports, "opens ports"),
        (flags.speaks_webrtc, "speaks WebRTC"),
    ];
    let words = others.iter().filter(|(is_set, _)| *is_set).map(|(_, words)| *words);
    [side].into_iter().chain(words).collect::<Vec<_>>().join(", ")
}

/// What a party wants has one byte; what an introducer gives has more.
fn explain_tokens(body: &[u8]) -> Result<String, ParseError> {
    if body.len() == 1 {
        return Ok(match parse_tokens_wanted(body)? {
            0 => "wants its NAT looked at".into(),
            count => format!("wants {count}"),
        });
    }
    let Tokens { second, tokens } = Tokens::parse(body)?;
    let list = tokens.iter().map(|token| hex(token)).collect::<Vec<_>>().join(", ");
    let purpose = second.map_or_else(|| "as asked for".into(), |second| format!("for a look, with {second}"));
    Ok(format!("{purpose}: {list}"))
}

fn observed(message: Observed) -> String {
    let whose = if message.is_other { "the other party's" } else { "the party's" };
    format!("{whose} token {} came from {}", message.round, message.address)
}

fn nats(message: Nats) -> String {
    let Nats { other, own, observed } = message;
    format!("NAT {}, own NAT {}, observed {}", nat(other), own_nat(own), or_none(observed))
}

fn or_none(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| "none".into(), |address| address.to_string())
}

/// A stride is told to the other party only.
fn own_nat(own: Nat) -> String {
    match own {
        Nat::Sequential(_) => "sequential".into(),
        other => nat(other),
    }
}

fn nat(nat: Nat) -> String {
    match nat {
        Nat::Unknown => "unknown".into(),
        Nat::Independent => "independent".into(),
        Nat::Sequential(stride) => format!("sequential (stride {stride})"),
        Nat::Unpredictable => "unpredictable".into(),
    }
}

fn candidates(list: &[Candidate]) -> String {
    let one = |candidate: &Candidate| {
        let kind = match candidate.kind {
            CandidateKind::Observed => "observed",
            CandidateKind::Interface => "interface",
            CandidateKind::Mapped => "mapped",
        };
        format!("{kind} {}", candidate.address)
    };
    match list {
        [] => "no candidates".into(),
        list => format!("candidates: {}", list.iter().map(one).collect::<Vec<_>>().join(", ")),
    }
}

fn close_code(code: CloseCode) -> String {
    format!("{} ({})", code.number(), code.name())
}

#[cfg(test)]
mod tests;
