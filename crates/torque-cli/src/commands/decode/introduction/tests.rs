use std::path::Path;

use serde_json::Value;

use super::*;
use crate::commands::decode::fields::Explained;
use crate::commands::decode::reliable;
use crate::units::from_hex;
use torque_proto::wire::control::reliable::ReliableMessage;

/// The one field that a control packet with this message gets, and its problem.
fn told(kind: ReliableKind, body: &[u8]) -> (&'static str, String, Option<String>) {
    let mut packet = Vec::new();
    ReliableMessage::Whole { kind, attempt: 7, serial: 3, body }.write(&mut packet);
    let mut explained = Explained::new("control", "");
    reliable::messages(&mut explained, &packet);
    assert_eq!(explained.fields.len(), 1, "{kind:?}");
    let field = explained.fields.remove(0);
    assert_eq!(field.size, packet.len());
    (field.name, field.value, explained.problem)
}

#[test]
fn every_golden_message_is_named_and_every_refused_one_objected_to() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/layouts.json");
    if !file.exists() {
        return;
    }
    let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let kinds = [5, 6, 7, 8, 9, 10, 11, 14, 21].map(|number| ReliableKind::from_number(number).unwrap());
    let mut count = 0;
    for vector in vectors["vectors"].as_array().unwrap() {
        let vector_kind = match vector["kind"].as_str().unwrap() {
            "tokens_wanted" => "tokens",
            other => other,
        };
        let Some(kind) = kinds.into_iter().find(|kind| vector_kind == name(*kind).unwrap()) else {
            continue;
        };
        count += 1;
        let body = from_hex(vector["hex"].as_str().unwrap()).unwrap_or_default();
        let (name, value, problem) = told(kind, &body);
        assert_eq!(vector_kind, name);
        assert!(value.starts_with(&format!("kind {}, attempt 7, serial 3: ", kind.number())), "{value}");
        assert_eq!(problem.is_some(), vector["refused"].is_string(), "{}: {problem:?}", vector["name"]);
        if let Some(secret) = vector["fields"]["secret"].as_str() {
            assert!(!value.contains(secret), "{value}");
            assert!(value.contains(vector["fields"]["nonce"].as_str().unwrap()), "{value}");
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn messages_are_told_in_words() {
    let request = Request {
        remote: 9,
        flags: PartyFlags { takes_circuit: true, takes_direct: true, ..PartyFlags::default() },
        nonce: [0xab; 16],
        candidates: vec![
            Candidate { kind: CandidateKind::Interface, address: "192.168.1.2:5".parse().unwrap() },
            Candidate { kind: CandidateKind::Mapped, address: "[2001:db8::9]:6".parse().unwrap() },
        ],
    };
    let mut body = Vec::new();
    request.write(&mut body);
    let wanted = "remote 9, initiator, takes a circuit, takes direct paths, nonce abababababababababababababababab, \
                  candidates: interface 192.168.1.2:5, mapped [2001:db8::9]:6";
    assert_eq!(explain(ReliableKind::REQUEST, &body), Some(Ok(wanted.to_owned())));
    assert_eq!(explain(ReliableKind::WITHDRAW, &[0, 9]), Some(Ok("code 9 (role_conflict)".to_owned())));
    let ended = explain(ReliableKind::CIRCUIT, &[0, 0, 0, 0x2a, 3]);
    assert_eq!(ended, Some(Ok("circuit 0000002a, ended".to_owned())));
    let observed = explain(ReliableKind::OBSERVED, &[1, 3, 4, 203, 0, 113, 9, 0xff, 0xff]);
    assert_eq!(observed, Some(Ok("the other party's token 3 came from 203.0.113.9:65535".to_owned())));
    let nats = explain(ReliableKind::NATS, &[2, 2, 1, 4, 203, 0, 113, 9, 0, 80]);
    let wanted = "NAT sequential (stride 2), own NAT independent, observed 203.0.113.9:80";
    assert_eq!(nats, Some(Ok(wanted.to_owned())));
    assert_eq!(explain(ReliableKind::TOKENS, &[0]), Some(Ok("wants its NAT looked at".to_owned())));
    assert_eq!(explain(ReliableKind::PATH_ID, &[]), None);
}
