//! What packets of a connection are made of: headers, ack bytes and control messages.

use std::format;
use std::vec::Vec;

use super::{Json, object, vector};
use crate::connection::inspect;
use crate::crypto::rng::Rng;
use crate::wire::control::{ControlMessage, ControlMessages};
use crate::wire::header::{Header, HeaderSize, PacketKind};

pub(super) fn add(rng: &mut Rng, vectors: &mut Vec<Json>) {
    headers(rng, vectors);
    ack_bytes(rng, vectors);
    control_messages(vectors);
}

/// The name of a type of packet in the files.
pub(in crate::vectors) fn type_name(kind: PacketKind) -> &'static str {
    match kind {
        PacketKind::Data => "data",
        PacketKind::Report => "report",
        PacketKind::Ack => "ack",
        PacketKind::Control => "control",
    }
}

fn headers(rng: &mut Rng, vectors: &mut Vec<Json>) {
    const KINDS: [PacketKind; 4] =
        [PacketKind::Data, PacketKind::Report, PacketKind::Ack, PacketKind::Control];
    for (window, more) in [(128_u16, 8_u16), (2_048, 129), (32_768, 2_049)] {
        let size = HeaderSize::for_window(window);
        assert_eq!(HeaderSize::for_window(more), size);
        for (index, kind) in KINDS.into_iter().enumerate() {
            let low = |rng: &mut Rng| rng.below(size.modulus());
            let headers = [
                Header { kind, sequence_low: low(rng), ack_low: low(rng), form: index as u8 },
                Header { kind, sequence_low: size.modulus() - 1, ack_low: 0, form: 7 },
            ];
            for (header, name, window) in [(headers[0], "a", window), (headers[1], "b", more)] {
                let counter = rng.below(1 << 16) as u16;
                vectors.push(header_vector(&header, size, window, counter, name));
            }
        }
    }
    let mut refused = |name: &str, window: u16, bytes: &[u8], reason: &str| {
        let size = HeaderSize::for_window(window);
        let header = Header::parse(size, bytes);
        let counter =
            header.is_some_and(|header| !header.kind.is_sequenced()) && bytes.len() < size.bytes() + 2;
        assert!(header.is_none() || counter, "{name}");
        let vector = vector(format!("packet_header_{name}"), "packet_header", bytes);
        vectors.push(vector.with("packet_window", window).with("refused", reason));
    };
    refused("of_nothing", 128, &[], "empty");
    refused("top_bit_0", 128, &[0x46, 0x50, 0x38], "kind");
    refused("too_short", 128, &[0x86, 0x50], "size");
    refused("too_short_for_4", 2_048, &[0x86, 0x50, 0x38], "size");
    refused("without_counter", 128, &[0xe6, 0x50, 0x38], "size");
    refused("with_half_a_counter", 128, &[0xc6, 0x50, 0x38, 0], "size");
}

fn header_vector(header: &Header, size: HeaderSize, window: u16, counter: u16, name: &str) -> Json {
    let mut bytes = Vec::new();
    header.write(size, &mut bytes);
    assert_eq!(Header::parse(size, &bytes), Some(*header));
    let fields = object! {
        "type": type_name(header.kind),
        "sequence_low": header.sequence_low,
        "ack_low": header.ack_low,
        "ack_form": header.form,
    };
    let fields = if header.kind.is_sequenced() {
        fields
    } else {
        bytes.extend_from_slice(&counter.to_be_bytes());
        fields.with("counter_low", counter)
    };
    let name = format!("packet_header_{}_{}_{name}", size.bytes(), type_name(header.kind));
    vector(name, "packet_header", &bytes).with("packet_window", window).with("fields", fields)
}

fn ack_bytes(rng: &mut Rng, vectors: &mut Vec<Json>) {
    let mut add = |name: &str, kind: PacketKind, form: u8, ack: u64, text: &[u8], refused: bool| {
        let vector = vector(format!("ack_bytes_{name}"), "ack_bytes", text)
            .with("packet_type", type_name(kind))
            .with("ack_form", form)
            .with("ack", ack);
        vectors.push(match inspect::split_text(form, text) {
            Some((ack_bytes, rest)) if !refused => {
                let bits = 8 * (ack_bytes.len() - usize::from(form == 7)) as u64;
                let is_delivered = |n: &u64| inspect::is_reported(form, ack_bytes, ack, *n);
                let delivered: Vec<Json> =
                    (ack + 1 - bits..=ack).filter(is_delivered).map(Json::from).collect();
                vector.with("fields", object! { "delivered": delivered, "rest": rest })
            }
            None if refused => vector.with("refused", "ack_bytes"),
            _ => panic!("{name}"),
        });
    };
    let mut random = |count: usize| {
        let mut bytes = std::vec![0; count];
        rng.fill(&mut bytes);
        bytes
    };
    add("form_0", PacketKind::Data, 0, 5_000, b"payload", false);
    add("worked_gap", PacketKind::Data, 1, 104, &[0x0d, 0xff], false);
    add("worked_tail", PacketKind::Control, 1, 107, &[0x02], false);
    for form in 2..=6 {
        let text = random(usize::from(form) + 4);
        add(&format!("form_{form}"), PacketKind::Data, form, 1 << 40, &text, false);
    }
    for (name, kind, count) in [
        ("form_7_of_1", PacketKind::Report, 1_u8),
        ("form_7_of_7", PacketKind::Ack, 7),
        ("form_7_of_255", PacketKind::Control, 255),
        ("form_7_on_data", PacketKind::Data, 9),
    ] {
        let text = [&[count], &random(usize::from(count) + 2)[..]].concat();
        add(name, kind, 7, 70_000, &text, false);
    }
    add("form_1_without_bytes", PacketKind::Ack, 1, 5_000, &[], true);
    add("form_6_with_5", PacketKind::Data, 6, 5_000, &[1, 2, 3, 4, 5], true);
    add("form_7_without_count", PacketKind::Report, 7, 5_000, &[], true);
    add("form_7_of_0", PacketKind::Ack, 7, 5_000, &[0, 1, 2], true);
    add("form_7_past_end", PacketKind::Control, 7, 5_000, &[3, 1, 2], true);
}

/// A message as the files have it.
pub(in crate::vectors) fn message_json(message: &ControlMessage<'_>) -> Json {
    match *message {
        ControlMessage::Ping { id, settled } => object! { "message": "ping", "id": id, "settled": settled },
        ControlMessage::Pong { id, settled } => object! { "message": "pong", "id": id, "settled": settled },
        ControlMessage::Close { is_final, settled, code, reason } => object! {
            "message": "close",
            "flags": u8::from(is_final),
            "settled": settled,
            "close_code": code,
            "reason": reason,
        },
        ControlMessage::CloseAck { is_final, settled } => {
            object! { "message": "close_ack", "flags": u8::from(is_final), "settled": settled }
        }
    }
}

/// A message of a control packet: one that the code knows, or one that it skips.
pub(in crate::vectors) enum Message {
    Known(ControlMessage<'static>),
    /// Kind and body.
    Skipped(u8, Vec<u8>),
}

/// The bytes of these messages, and what the files say of them.
pub(in crate::vectors) fn write_messages(messages: &[Message]) -> (Vec<u8>, Vec<Json>) {
    let (mut bytes, mut json) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            Message::Known(known) => {
                known.write(&mut bytes);
                json.push(message_json(known));
            }
            Message::Skipped(kind, body) => {
                bytes.push(*kind);
                bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
                bytes.extend_from_slice(body);
                json.push(match kind {
                    0 => object! { "message": "padding", "body": body },
                    _ => object! { "message": "unknown", "number": *kind, "body": body },
                });
            }
        }
    }
    let known = messages.iter().filter_map(|message| match message {
        Message::Known(known) => Some(Ok(*known)),
        Message::Skipped(..) => None,
    });
    assert!(ControlMessages::new(&bytes).eq(known));
    (bytes, json)
}

fn control_messages(vectors: &mut Vec<Json>) {
    use Message::{Known, Skipped};
    // `tail` is what makes the reader stop, if anything.
    let mut add = |name: &str, messages: &[Message], tail: &[u8]| {
        let (mut bytes, json) = write_messages(messages);
        bytes.extend_from_slice(tail);
        let violation = ControlMessages::new(&bytes).any(|message| message.is_err());
        assert_eq!(violation, !tail.is_empty(), "{name}");
        let fields = object! { "messages": json, "violation": violation };
        let vector = vector(format!("control_messages_{name}"), "control_messages", &bytes);
        vectors.push(vector.with("fields", fields));
    };
    let close = |reason| Known(ControlMessage::Close { is_final: true, settled: 70_000, code: 6, reason });
    add("none", &[], &[]);
    add("ping", &[Known(ControlMessage::Ping { id: 0x0102_0304, settled: 70_000 })], &[]);
    add("pong", &[Known(ControlMessage::Pong { id: 7, settled: (1 << 53) - 1 })], &[]);
    add("close", &[close(b"bye")], &[]);
    add("close_longest", &[close(&[0x2e; 511])], &[]);
    add(
        "close_not_final",
        &[Known(ControlMessage::Close { is_final: false, settled: (1 << 53) - 1, code: 0, reason: b"" })],
        &[],
    );
    add("close_ack", &[Known(ControlMessage::CloseAck { is_final: true, settled: 1 })], &[]);
    add("padding", &[Skipped(0, std::vec![0; 5]), Skipped(0, Vec::new())], &[]);
    let several = [
        Skipped(0, std::vec![1, 2]),
        Known(ControlMessage::Pong { id: u32::MAX, settled: 0 }),
        Skipped(99, b"new".to_vec()),
        Skipped(5, Vec::new()),
        Skipped(23, std::vec![0]),
        Known(ControlMessage::Ping { id: 0, settled: 1 }),
    ];
    add("several_with_unknown_ones", &several, &[]);
    let ping = [Known(ControlMessage::Ping { id: 1, settled: 2 })];
    add("head_cut", &ping, &[1, 0]);
    add("body_past_end", &ping, &[99, 0, 3, 1, 2]);
    add("ping_of_4", &ping, &[1, 0, 4, 1, 2, 3, 4]);
    add("pong_of_13", &ping, &[2, 0, 13, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    add("close_of_10", &ping, &[3, 0, 10, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    add("close_ack_of_10", &ping, &[4, 0, 10, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    let reason_of_512 = [&[3, 2, 11][..], &[0; 523]].concat();
    add("close_reason_of_512", &[], &reason_of_512);
    add("ping_of_3_hides_the_rest", &[], &[1, 0, 3, 1, 2, 3, 99, 0, 0]);
}
