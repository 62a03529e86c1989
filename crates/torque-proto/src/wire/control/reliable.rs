//! Reliable control messages: they are repeated until the other side has received them.
//!
//! A connection uses `path_id` (PATHS.md 3) from its first punch on, and the kinds of introductions (INTRODUCTIONS.md 3) if its socket
//! introduces others or asks to be introduced. The other kinds are reserved. A connection that does neither skips all of them, as it
//! skips every kind that it does not know.
//!
//! A message begins with the *attempt* that it belongs to, a number that the side that began it chose, and a *serial*, which
//! counts from 1 for each attempt and direction. A message that is too long for a packet travels in parts.

use alloc::vec::Vec;

use super::{MalformedControl, Reading, write_message};

/// Bytes of body in each part but the last. A part fits into 1,200 bytes beside the longest report.
pub const PART_BYTES: usize = 880;
/// The longest body of a message, in bytes.
pub const MAX_MESSAGE: usize = 4 * PART_BYTES;
/// Bytes of a message before its body: kind, length, attempt, serial.
pub(crate) const WHOLE_HEAD_BYTES: usize = 3 + 4 + 2;
/// Bytes of a part before its body: those of a message, then the message's kind and length, and the part's place.
pub(crate) const PART_HEAD_BYTES: usize = WHOLE_HEAD_BYTES + 1 + 2 + 2;
/// Bytes of the word that a message was received. No message is shorter.
pub(crate) const RECEIVED_BYTES: usize = WHOLE_HEAD_BYTES;

const RECEIVED: u8 = 13;
const PART: u8 = 15;

/// The subject of a reliable message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReliableKind(u8);

impl ReliableKind {
    /// A party asks to be introduced.
    pub const REQUEST: Self = Self(5);
    /// The introducer tells how far an introduction is, and at last about the other party.
    pub const INTRODUCTION: Self = Self(6);
    /// A party tells what became of an introduction.
    pub const OUTCOME: Self = Self(7);
    /// The addresses where a party may be reachable, in place of earlier ones.
    pub const CANDIDATES: Self = Self(8);
    /// The attempt is over.
    pub const WITHDRAW: Self = Self(9);
    /// A party asks for tokens to be observed with, or the introducer gives them.
    pub const TOKENS: Self = Self(10);
    /// The address from which a token came.
    pub const OBSERVED: Self = Self(11);
    /// Bytes for the other party's carrier.
    pub const FORWARD: Self = Self(12);
    /// The state of a circuit.
    pub const CIRCUIT: Self = Self(14);
    /// The host gives the connection an id for use on other paths.
    pub const PATH_ID: Self = Self(16);
    /// The initiator has taken the id.
    pub const PATH_ID_TAKEN: Self = Self(17);
    /// The initiator offers a key exchange.
    pub const REKEY_OFFER: Self = Self(18);
    /// The host answers it.
    pub const REKEY_ANSWER: Self = Self(19);
    /// The initiator names the sequence from which the new keys count.
    pub const REKEY_CUT: Self = Self(20);
    /// The introducer tells what is known of the NATs of both parties.
    pub const NATS: Self = Self(21);

    /// The kind with this number; `None` if no reliable message has it.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            5..=12 | 14 | 16..=21 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Returns whether a message of this kind describes a state as a whole. One that is older than another one of its kind is
    /// out of date.
    pub const fn is_state(self) -> bool {
        matches!(self, Self::INTRODUCTION | Self::CANDIDATES | Self::CIRCUIT | Self::NATS)
    }
}

/// A reliable message, a part of one, or the word that one was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReliableMessage<'a> {
    /// A message that fits into a packet.
    Whole {
        /// What it is about.
        kind: ReliableKind,
        /// The attempt it belongs to.
        attempt: u32,
        /// Its number in that attempt, from 1.
        serial: u16,
        /// Its content, at most [`PART_BYTES`].
        body: &'a [u8],
    },
    /// A part of a longer one.
    Part {
        /// What the message is about.
        kind: ReliableKind,
        /// The attempt it belongs to.
        attempt: u32,
        /// The message's number in that attempt, from 1.
        serial: u16,
        /// Bytes of the whole body: more than [`PART_BYTES`], at most [`MAX_MESSAGE`].
        length: u16,
        /// Where the part lies in the body: a multiple of [`PART_BYTES`].
        offset: u16,
        /// The part: [`PART_BYTES`], or what is left of the body.
        bytes: &'a [u8],
    },
    /// The message with this serial was received. It is not repeated any more.
    Received {
        /// The attempt it belongs to.
        attempt: u32,
        /// The other side's serial.
        serial: u16,
    },
}

impl<'a> ReliableMessage<'a> {
    /// Appends the message.
    pub fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Whole { kind, attempt, serial, body } => {
                write_message(kind.0, &[&attempt.to_be_bytes(), &serial.to_be_bytes(), body], out);
            }
            Self::Part { kind, attempt, serial, length, offset, bytes } => {
                let head = [&attempt.to_be_bytes()[..], &serial.to_be_bytes(), &[kind.0]].concat();
                let place = [length.to_be_bytes(), offset.to_be_bytes()].concat();
                write_message(PART, &[&head, &place, bytes], out);
            }
            Self::Received { attempt, serial } => {
                write_message(RECEIVED, &[&attempt.to_be_bytes(), &serial.to_be_bytes()], out);
            }
        }
    }

    /// `None` for a kind that is not reliable, `Some(Err)` for a body of the wrong shape.
    fn parse(number: u8, body: &'a [u8]) -> Option<Result<Self, MalformedControl>> {
        let kind = ReliableKind::from_number(number);
        if kind.is_none() && ![RECEIVED, PART].contains(&number) {
            return None;
        }
        let Some(([a0, a1, a2, a3, s0, s1], rest)) = body.split_first_chunk() else {
            return Some(Err(MalformedControl));
        };
        let (attempt, serial) = (u32::from_be_bytes([*a0, *a1, *a2, *a3]), u16::from_be_bytes([*s0, *s1]));
        let message = match kind {
            Some(kind) => Self::Whole { kind, attempt, serial, body: rest },
            None if number == RECEIVED => Self::Received { attempt, serial },
            None => match rest {
                [kind, l0, l1, o0, o1, bytes @ ..] => {
                    let Some(kind) = ReliableKind::from_number(*kind) else {
                        return Some(Err(MalformedControl));
                    };
                    let (length, offset) = (u16::from_be_bytes([*l0, *l1]), u16::from_be_bytes([*o0, *o1]));
                    Self::Part { kind, attempt, serial, length, offset, bytes }
                }
                _ => return Some(Err(MalformedControl)),
            },
        };
        let is_legal = match message {
            Self::Whole { body, .. } => body.len() <= PART_BYTES,
            Self::Received { .. } => rest.is_empty(),
            Self::Part { length, offset, bytes, .. } => {
                let (length, offset) = (usize::from(length), usize::from(offset));
                (PART_BYTES + 1..=MAX_MESSAGE).contains(&length)
                    && offset < length
                    && offset % PART_BYTES == 0
                    && bytes.len() == PART_BYTES.min(length - offset)
            }
        };
        Some(if is_legal && serial != 0 { Ok(message) } else { Err(MalformedControl) })
    }
}

/// Reads the reliable messages of a control packet, one after another; ends after a malformed one.
#[derive(Clone, Debug)]
pub struct ReliableMessages<'a>(Reading<'a>);

impl<'a> ReliableMessages<'a> {
    /// Begins to read the messages in `bytes`. Other kinds are passed over.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(Reading { bytes, read: 0 })
    }

    /// The bytes before the malformed message, once it was met. Until then, or if there is none, all of them.
    pub const fn legal(&self) -> &'a [u8] {
        self.0.bytes
    }
}

impl<'a> Iterator for ReliableMessages<'a> {
    type Item = Result<ReliableMessage<'a>, MalformedControl>;

    fn next(&mut self) -> Option<Self::Item> {
        // `ControlMessages` tells of a message that is cut off.
        self.0.next(ReliableMessage::parse)
    }
}

#[cfg(test)]
mod tests;
