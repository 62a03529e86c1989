//! Reliable control messages of opened packets (PROTOCOL.md 8.1).

use torque_proto::wire::control::reliable::{ReliableKind, ReliableMessage, ReliableMessages};
use torque_proto::wire::{ParseError, parse_path_id};

use super::fields::Explained;
use super::introduction;
use crate::units::hex;

/// Adds the reliable messages of a control packet.
pub fn messages(explained: &mut Explained, body: &[u8]) {
    for message in ReliableMessages::new(body) {
        let (size, name, value) = match message {
            Ok(ReliableMessage::Whole { kind, attempt, serial, body }) => {
                let what = content(kind, body).unwrap_or_else(|error| {
                    explained.problem =
                        Some(format!("a message of kind {} is malformed: {error}", kind.number()));
                    // It may hold a secret.
                    if kind == ReliableKind::INTRODUCTION { "not shown".to_owned() } else { hex(body) }
                });
                let number = kind.number();
                let text = format!("kind {number}, attempt {attempt}, serial {serial}: {what}");
                (9 + body.len(), kind_name(kind), text)
            }
            Ok(ReliableMessage::Part { kind, attempt, serial, length, offset, bytes }) => {
                let of = format!("kind {}, attempt {attempt}, serial {serial}", kind.number());
                let text = format!("{of}: from byte {offset} of {length}");
                (14 + bytes.len(), "part", text)
            }
            Ok(ReliableMessage::Received { attempt, serial }) => {
                (9, "received", format!("attempt {attempt}, serial {serial}"))
            }
            Err(_) => {
                explained.problem = Some("a reliable control message is malformed".into());
                return;
            }
        };
        explained.sealed_field(size, name, value);
    }
}

/// The message in words, or in hex if its kind has none here.
fn content(kind: ReliableKind, body: &[u8]) -> Result<String, ParseError> {
    if kind == ReliableKind::PATH_ID {
        let (id, token) = parse_path_id(body)?;
        return Ok(format!("id {id:016x}, reset token {}", hex(&token)));
    }
    introduction::explain(kind, body).unwrap_or_else(|| Ok(hex(body)))
}

const fn kind_name(kind: ReliableKind) -> &'static str {
    match (kind, introduction::name(kind)) {
        (_, Some(name)) => name,
        (ReliableKind::PATH_ID, None) => "path_id",
        _ => "reliable message",
    }
}
