//! layouts.json: every layout, with what its reader takes and refuses (PROTOCOL.md 2, 4, 6.1, 7.2, 8; PATHS.md 2, 3;
//! INTRODUCTIONS.md 2, 3).

mod handshake;
mod introductions;
mod packets;
mod paths;

pub(super) use self::packets::{Message, message_json, type_name, write_messages};
pub(super) use self::paths::punch_fields;

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::json::{Json, object};
use crate::settings::Settings;
use crate::wire::{DatagramKind, ParseError};

pub(super) fn vectors() -> Vec<Json> {
    let mut rng = super::rng("layouts");
    let mut vectors = Vec::new();
    datagrams(&mut vectors);
    handshake::add(&mut rng, &mut vectors);
    paths::add(&mut vectors);
    settings(&mut vectors);
    packets::add(&mut rng, &mut vectors);
    introductions::add(&mut super::rng("introductions"), &mut vectors);
    vectors
}

/// Returns whether the parser's error says what the files call by this name.
fn is_named(error: ParseError, reason: &str) -> bool {
    match reason {
        "kind" | "reserved" => error == ParseError::Kind,
        "empty" | "size" | "length" | "trailing" => error == ParseError::Length,
        "magic" => error == ParseError::Magic,
        "version" => matches!(error, ParseError::Version { .. }),
        "zeros" => error == ParseError::Padding,
        "ciphers" => error == ParseError::Offers,
        "key_type" => matches!(error, ParseError::KeyType { .. } | ParseError::Unknown),
        "range" => {
            use ParseError::{InitialSequence, RejectCode, Settings, TooMany, Unknown, Zero};
            matches!(error, Settings | InitialSequence | RejectCode | Zero | Unknown | TooMany)
        }
        _ => false,
    }
}

fn vector(name: impl Into<String>, kind: &'static str, bytes: &[u8]) -> Json {
    object! { "name": name.into(), "kind": kind, "hex": bytes }
}

/// A vector with what a parser made of the bytes; `refused` is the reason that is wanted.
fn parsed<T>(
    (kind, name): (&'static str, &str),
    bytes: &[u8],
    result: Result<T, ParseError>,
    refused: Option<&str>,
    fields: impl FnOnce(T) -> Json,
) -> Json {
    let vector = vector(format!("{kind}_{name}"), kind, bytes);
    match (result, refused) {
        (Ok(value), None) => vector.with("fields", fields(value)),
        (Err(error), Some(reason)) if is_named(error, reason) => vector.with("refused", reason),
        (result, _) => panic!("{kind}_{name}: {:?}, wanted {refused:?}", result.err()),
    }
}

/// A good layout: that what was read is written again as the same bytes is checked by the caller.
fn decode_only(vector: Json) -> Json {
    vector.with("decode_only", true)
}

fn datagrams(vectors: &mut Vec<Json>) {
    let handshake = [(1_u8, 768), (2, 175), (3, 169), (4, 117), (5, 53), (6, 49), (7, 19)];
    let paths = [(8, 42), (9, 1), (0x0a, 17), (0x0e, 6)];
    let sizes = handshake.into_iter().chain(paths).chain([(0x0b, 17), (0x0c, 17), (0x0d, 17)]);
    let mut add = |name: String, bytes: &[u8], refused: Option<&str>| {
        let kind = match DatagramKind::of(bytes) {
            DatagramKind::ChallengeRequest => "challenge_request",
            DatagramKind::ChallengeResponse => "challenge_response",
            DatagramKind::ConnectRequest => "connect_request",
            DatagramKind::ConnectAccept => "connect_accept",
            DatagramKind::ConnectRefuse => "connect_refuse",
            DatagramKind::ConnectPending => "connect_pending",
            DatagramKind::Reject => "reject",
            DatagramKind::Probe => "probe",
            DatagramKind::ProbeEcho => "probe_echo",
            DatagramKind::Info => "info",
            DatagramKind::Packet => "packet",
            DatagramKind::Reserved => "reserved",
            DatagramKind::Punch => "punch",
            DatagramKind::WhoAreYou => "who_are_you",
            DatagramKind::Reset => "reset",
            DatagramKind::Observe => "observe",
            DatagramKind::Relayed => "relayed",
            DatagramKind::Empty => "empty",
        };
        let is_refused = matches!(kind, "reserved" | "empty");
        assert_eq!(refused, is_refused.then_some(kind), "{name}");
        let vector = vector(format!("datagram_{name}"), "datagram", bytes);
        vectors.push(match refused {
            Some(reason) => vector.with("refused", reason),
            None => vector.with("fields", object! { "kind": kind }),
        });
    };
    for (first, size) in sizes {
        let mut bytes = std::vec![0x5a; size];
        bytes[0] = first;
        add(format!("{first:02x}_of_{size}"), &bytes, None);
    }
    for first in [0x20_u8, 0x7f, 0x80, 0xff] {
        add(format!("{first:02x}"), &[first, 1, 2, 3], None);
    }
    for first in [0x00_u8, 0x0f, 0x1f] {
        add(format!("{first:02x}"), &[first, 1, 2, 3], Some("reserved"));
    }
    add("empty".to_string(), &[], Some("empty"));
}

pub(super) fn settings_fields(settings: &Settings) -> Json {
    object! {
        "packet_window": settings.packet_window,
        "tag_bytes": settings.tag_bytes,
        "ack_delay": settings.ack_delay.as_millis() as u64,
        "max_packet_size": settings.max_packet_size,
    }
}

fn settings(vectors: &mut Vec<Json>) {
    let good: [u8; 8] = Settings::default().to_wire();
    let mut add = |name: &str, changes: &[(usize, u16)], refused: bool| {
        let mut bytes = good;
        for (offset, value) in changes {
            bytes[*offset..offset + 2].copy_from_slice(&value.to_be_bytes());
        }
        let vector = vector(format!("settings_{name}"), "settings", &bytes);
        vectors.push(match Settings::from_wire(bytes) {
            Some(settings) if !refused => {
                let vector = vector.with("fields", settings_fields(&settings));
                if settings.to_wire() == bytes { vector } else { decode_only(vector) }
            }
            None if refused => vector.with("refused", "range"),
            _ => panic!("{name}"),
        });
    };
    add("default", &[], false);
    add("least", &[(0, 8), (2, 0x0400), (4, 0), (6, 1_150)], false);
    add("greatest", &[(0, 32_768), (2, 0x1000), (4, 1_000), (6, 65_535)], false);
    add("byte_3_ignored", &[(2, 0x08ff)], false);
    for (name, offset, value) in [
        ("window_7", 0, 7),
        ("window_32769", 0, 32_769),
        ("tag_3", 2, 0x0300),
        ("tag_17", 2, 0x1100),
        ("ack_delay_1001", 4, 1_001),
        ("max_packet_1149", 6, 1_149),
    ] {
        add(name, &[(offset, value)], true);
    }

    let mut add = |name: &str, text: &str, refused: bool| {
        let vector =
            object! { "name": format!("settings_text_{name}"), "kind": "settings_text", "text": text };
        vectors.push(match text.parse::<Settings>() {
            Ok(settings) if !refused => vector.with("fields", settings_fields(&settings)),
            Err(_) if refused => vector.with("refused", "text_setting"),
            other => panic!("{name}: {other:?}"),
        });
    };
    add("empty", "", false);
    add("default", &Settings::default().to_string(), false);
    add("other_order", "max_packet=1400;tag=12;window=2048;ack_delay=0", false);
    add("one", "window=32768", false);
    add("twice", "tag=8;tag=16", false);
    add("empty_parts", ";;window=8;", false);
    add("unknown", "windows=128", true);
    add("no_number", "window=many", true);
    add("no_value", "window=", true);
    add("no_equals", "window", true);
    add("signed", "window=+128", true);
    add("negative", "ack_delay=-1", true);
    add("too_small", "window=7", true);
    add("too_large", "window=70000", true);
    add("tag_of_264", "tag=264", true);
    add("out_of_range_first", "window=7;window=128", true);
}

fn changed(bytes: &[u8], offset: usize, value: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[offset] = value;
    bytes
}

fn shorter(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len() - 1]
}

fn longer(bytes: &[u8]) -> Vec<u8> {
    [bytes, &[0]].concat()
}
