use std::vec::Vec;

use super::*;
use crate::crypto::testing::for_seeds;
use crate::wire::control::{ControlMessage, ControlMessages};

fn written(message: ReliableMessage<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write(&mut bytes);
    bytes
}

fn read(bytes: &[u8]) -> Vec<Result<ReliableMessage<'_>, MalformedControl>> {
    ReliableMessages::new(bytes).collect()
}

#[test]
fn kinds_are_those_that_are_reserved() {
    let reserved: Vec<u8> = (0..=255).filter(|number| ReliableKind::from_number(*number).is_some()).collect();
    assert_eq!(reserved, [5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 17, 18, 19, 20, 21]);
}

#[test]
fn layouts_are_attempt_serial_and_body() {
    let kind = ReliableKind::CANDIDATES;
    let whole = ReliableMessage::Whole { kind, attempt: 0x0102_0304, serial: 0x0506, body: b"!" };
    assert_eq!(written(whole), [8, 0, 7, 1, 2, 3, 4, 5, 6, b'!']);
    let received = ReliableMessage::Received { attempt: 1, serial: 2 };
    assert_eq!(written(received), [13, 0, 6, 0, 0, 0, 1, 0, 2]);
    let kind = ReliableKind::REKEY_OFFER;
    let part = ReliableMessage::Part { kind, attempt: 1, serial: 2, length: 881, offset: 880, bytes: b"!" };
    assert_eq!(written(part), [15, 0, 12, 0, 0, 0, 1, 0, 2, 18, 3, 0x71, 3, 0x70, b'!']);
    let lengths = [whole, part, received].map(|message| written(message).len());
    assert_eq!(lengths, [WHOLE_HEAD_BYTES + 1, PART_HEAD_BYTES + 1, RECEIVED_BYTES]);
}

#[test]
fn what_was_written_is_read_again_between_messages_of_other_kinds() {
    let kind = ReliableKind::FORWARD;
    let long = alloc::vec![7; PART_BYTES];
    let messages = [
        ReliableMessage::Whole { kind, attempt: u32::MAX, serial: u16::MAX, body: &long },
        ReliableMessage::Received { attempt: 0, serial: 1 },
        ReliableMessage::Part { kind, attempt: 9, serial: 8, length: 1_216, offset: 0, bytes: &long },
        ReliableMessage::Part {
            kind,
            attempt: 9,
            serial: 8,
            length: 1_216,
            offset: 880,
            bytes: &long[..336],
        },
    ];
    let mut bytes = Vec::new();
    ControlMessage::Ping { id: 1, settled: 2 }.write(&mut bytes);
    for message in messages {
        message.write(&mut bytes);
        bytes.extend_from_slice(&[99, 0, 1, 7]);
    }
    assert_eq!(read(&bytes), messages.map(Ok));
    let others: Vec<_> = ControlMessages::new(&bytes).collect();
    assert_eq!(others, [Ok(ControlMessage::Ping { id: 1, settled: 2 })], "they are unknown to the protocol");
}

#[test]
fn only_legal_messages_are_read() {
    let kind = ReliableKind::FORWARD;
    let bytes = alloc::vec![7; MAX_MESSAGE];
    let part = |length, offset, count: usize| {
        let bytes = &bytes[..count];
        written(ReliableMessage::Part { kind, attempt: 1, serial: 1, length, offset, bytes })
    };
    let whole = |serial, count: usize| {
        written(ReliableMessage::Whole { kind, attempt: 1, serial, body: &bytes[..count] })
    };
    let mut of_no_kind = part(1_216, 0, 880);
    of_no_kind[9] = 13;
    for (name, bytes) in [
        ("serial 0", whole(0, 3)),
        ("a body longer than a part", whole(1, PART_BYTES + 1)),
        ("a part of a message that needs none", part(880, 0, 880)),
        ("a part of a message that is too long", part(MAX_MESSAGE as u16 + 1, 0, 880)),
        ("a part between places", part(1_216, 879, 337)),
        ("a part past the end", part(1_216, 1_760, 0)),
        ("a part that is too short", part(1_216, 0, 879)),
        ("a last part that is too long", part(1_216, 880, 337)),
        ("a part of no kind", of_no_kind),
        ("received, and more", [13, 0, 7, 0, 0, 0, 1, 0, 1, 0].to_vec()),
        ("no serial", [5, 0, 4, 0, 0, 0, 1].to_vec()),
        ("a part without its place", [15, 0, 7, 0, 0, 0, 1, 0, 1, 5].to_vec()),
    ] {
        let then_a_legal_one = [&bytes[..], &whole(1, 3)].concat();
        assert_eq!(read(&then_a_legal_one), [Err(MalformedControl)], "{name}");
    }
    let before = [[1, 0, 0].to_vec(), whole(1, 3), [99, 0, 1, 7].to_vec()].concat();
    let bytes = [&before[..], &whole(0, 3), &whole(1, 3)].concat();
    let mut messages = ReliableMessages::new(&bytes);
    assert_eq!((messages.by_ref().count(), messages.legal()), (2, &before[..]));
    assert_eq!(read(&[5, 0]), [], "a message that is cut off is for the reader of the packet");
}

#[test]
fn random_bytes_never_panic_and_what_is_read_is_written_as_it_was() {
    for_seeds(2_000, |rng| {
        let mut bytes = alloc::vec![0; rng.below(1_200) as usize];
        rng.fill(&mut bytes);
        if let [kind, l0, l1, ..] = &mut bytes[..] {
            (*kind, *l0, *l1) = (5 + rng.below(16) as u8, rng.below(4) as u8, *l1);
        }
        for message in ReliableMessages::new(&bytes).flatten() {
            let again = written(message);
            assert!(bytes.windows(again.len()).any(|window| window == again));
        }
    });
}
