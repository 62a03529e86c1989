//! Control messages (PROTOCOL.md 8).

pub mod reliable;

use alloc::vec::Vec;

/// One message of a control packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlMessage<'a> {
    /// Asks for a pong at once.
    Ping {
        /// Comes back in the pong.
        id: u32,
        /// The last of its own sequences that the sender has a verdict on.
        settled: u64,
    },
    /// Answers a ping.
    Pong {
        /// The id of the ping.
        id: u32,
        /// The last of its own sequences that the sender has a verdict on.
        settled: u64,
    },
    /// Ends the connection.
    Close {
        /// True if the report in this packet's header is complete.
        is_final: bool,
        /// The last of its own sequences that the sender has a verdict on.
        settled: u64,
        /// The close code.
        code: u16,
        /// The application's reason, at most 511 bytes.
        reason: &'a [u8],
    },
    /// Answers a close.
    CloseAck {
        /// True if the report in this packet's header is complete.
        is_final: bool,
        /// The last of its own sequences that the sender has a verdict on.
        settled: u64,
    },
}

/// The longest reason of a close.
pub const MAX_REASON: usize = 511;

const PING: u8 = 1;
const PONG: u8 = 2;
const CLOSE: u8 = 3;
const CLOSE_ACK: u8 = 4;

impl<'a> ControlMessage<'a> {
    /// Appends the message.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut message = |kind: u8, parts: &[&[u8]]| write_message(kind, parts, out);
        match *self {
            Self::Ping { id, settled } => message(PING, &[&id.to_be_bytes(), &settled.to_be_bytes()]),
            Self::Pong { id, settled } => message(PONG, &[&id.to_be_bytes(), &settled.to_be_bytes()]),
            Self::Close { is_final, settled, code, reason } => message(
                CLOSE,
                &[
                    &[u8::from(is_final)],
                    &settled.to_be_bytes(),
                    &code.to_be_bytes(),
                    &reason[..reason.len().min(MAX_REASON)],
                ],
            ),
            Self::CloseAck { is_final, settled } => {
                message(CLOSE_ACK, &[&[u8::from(is_final)], &settled.to_be_bytes()]);
            }
        }
    }

    /// `None` for a kind that this version does not know, `Some(Err)` for a body of the wrong shape.
    fn parse(kind: u8, body: &'a [u8]) -> Option<Result<Self, MalformedControl>> {
        let ping = || match body.split_first_chunk::<4>() {
            Some((id, settled)) if settled.len() == 8 => Ok((u32::from_be_bytes(*id), u64_of(settled))),
            _ => Err(MalformedControl),
        };
        Some(match kind {
            PING => ping().map(|(id, settled)| Self::Ping { id, settled }),
            PONG => ping().map(|(id, settled)| Self::Pong { id, settled }),
            CLOSE => match body.split_first_chunk::<11>() {
                Some(([flags, settled @ .., c0, c1], reason)) if reason.len() <= MAX_REASON => {
                    Ok(Self::Close {
                        is_final: flags & 1 == 1,
                        settled: u64_of(settled),
                        code: u16::from_be_bytes([*c0, *c1]),
                        reason,
                    })
                }
                _ => Err(MalformedControl),
            },
            CLOSE_ACK => match body {
                [flags, settled @ ..] if settled.len() == 8 => {
                    Ok(Self::CloseAck { is_final: flags & 1 == 1, settled: u64_of(settled) })
                }
                _ => Err(MalformedControl),
            },
            _ => return None,
        })
    }
}

/// Splits kind and body of the first message from those after it; `None` if the first is cut off.
fn split_message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [kind, l0, l1, tail @ ..] = bytes else { return None };
    let (body, rest) = tail.split_at_checked(usize::from(u16::from_be_bytes([*l0, *l1])))?;
    Some((*kind, body, rest))
}

/// Appends a message.
fn write_message(kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    out.push(kind);
    out.extend_from_slice(&(length as u16).to_be_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

fn u64_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A control message that does not have the shape of its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedControl;

/// Reads control messages one after another; ends after a malformed one.
#[derive(Clone, Debug)]
pub struct ControlMessages<'a>(Reading<'a>);

impl<'a> ControlMessages<'a> {
    /// Begins to read the messages in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(Reading { bytes, read: 0 })
    }

    /// The bytes before the malformed message, once it was met. Until then, or if there is none, all of them.
    pub const fn legal(&self) -> &'a [u8] {
        self.0.bytes
    }
}

impl<'a> Iterator for ControlMessages<'a> {
    type Item = Result<ControlMessage<'a>, MalformedControl>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.0.next(ControlMessage::parse);
        // What is left is a message that is cut off.
        message.or_else(|| self.0.end().then_some(Err(MalformedControl)))
    }
}

/// A place in the messages of a control packet.
#[derive(Clone, Debug)]
struct Reading<'a> {
    bytes: &'a [u8],
    /// The number of bytes that were read.
    read: usize,
}

impl<'a> Reading<'a> {
    /// The next message of a kind that `parse` knows. Ends after a malformed one, and before one that is cut off.
    fn next<T>(
        &mut self,
        parse: impl Fn(u8, &'a [u8]) -> Option<Result<T, MalformedControl>>,
    ) -> Option<Result<T, MalformedControl>> {
        while let Some((kind, body, rest)) = self.bytes.get(self.read..).and_then(split_message) {
            let message = parse(kind, body);
            if let Some(Err(_)) = message {
                self.end();
            } else {
                self.read = self.bytes.len() - rest.len();
            }
            if message.is_some() {
                return message;
            }
        }
        None
    }

    /// Ends here, and returns whether anything was left.
    fn end(&mut self) -> bool {
        let has_rest = self.read < self.bytes.len();
        self.bytes = &self.bytes[..self.read];
        has_rest
    }
}
