//! Reliable control messages: each is repeated until the other side says that it has it, and handled once.
//!
//! A connection has a [`Reliable`] only once something uses it. It does no I/O: [`send`](ControlLayer::send) and
//! [`read`](ControlLayer::read) note what is to be sent, and [`write`](ControlLayer::write) puts it into packets. Packets are
//! opened once each, so a copy of a message is always one that its sender repeated.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::instant::Instant;
use crate::micros::Micros;
use crate::wire::control::reliable::{
    MAX_MESSAGE, PART_BYTES, PART_HEAD_BYTES, RECEIVED_BYTES, ReliableKind, ReliableMessage,
    ReliableMessages, WHOLE_HEAD_BYTES,
};

/// Pauses between repetitions double from the first to the longest.
const FIRST_PAUSE: Micros = Micros::from_millis(250);
const MAX_PAUSE: Micros = Micros::from_secs(2);
/// The time for which a message is repeated.
const PATIENCE: Micros = Micros::from_secs(10);
/// The time for which the parts of an incomplete message are kept: by then nobody repeats it any more.
const PARTS_KEPT: Micros = Micros::from_secs(15);
/// The time for which a receiver remembers an attempt in which nothing comes any more.
const RECEIVER_REMEMBERS: Micros = Micros::from_secs(30);
/// The same for the sender: longer, so that it never begins to count anew where the receiver goes on counting.
const SENDER_REMEMBERS: Micros = Micros::from_secs(60);

/// Attempts in one direction.
const MAX_ATTEMPTS: usize = 16;
/// Messages on their way, and how many of them one attempt may have.
const MAX_SENDING: usize = 16;
const MAX_SENDING_OF_ATTEMPT: usize = MAX_SENDING / 2;
/// Bytes of them.
const MAX_SENDING_BYTES: usize = 16 * 1_024;
const MAX_SENDING_BYTES_OF_ATTEMPT: usize = MAX_SENDING_BYTES / 2;
/// Messages of which a part has come, and how many of them one attempt may have.
const MAX_PARTIAL: usize = 4;
const MAX_PARTIAL_OF_ATTEMPT: usize = MAX_PARTIAL / 2;
/// Serials that a receiver remembers one by one, below the highest that it has handled. A sender keeps what is on its way
/// within that many.
const REMEMBERED_SERIALS: u16 = 64;
/// Control messages in a packet: with the longest report it stays below 1,200 bytes.
const MAX_PACKET_BODY: usize = 900;
const _: () =
    assert!(PART_HEAD_BYTES + PART_BYTES <= MAX_PACKET_BODY, "every message and part fits into a packet");
/// Messages of a packet that are read. No sender puts more into one, so the answers to a packet fit into one as well.
const MAX_READ: usize = MAX_PACKET_BODY / RECEIVED_BYTES;

/// An event of reliable control messages, for the endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ControlEvent {
    /// A message of the other side. It comes once.
    Message {
        /// The attempt it belongs to.
        attempt: u32,
        /// Its number in that attempt.
        serial: u16,
        /// What it is about.
        kind: ReliableKind,
        /// Its content. It may hold a secret.
        body: Zeroizing<Vec<u8>>,
    },
    /// The other side has a message of ours.
    Received {
        /// The attempt it belongs to.
        attempt: u32,
        /// Its number, as `send_control` gave it.
        serial: u16,
    },
    /// The other side did not say within ten seconds that it has a message of ours. It may have it all the same.
    Failed {
        /// The attempt it belongs to.
        attempt: u32,
        /// Its number, as `send_control` gave it.
        serial: u16,
    },
}

impl ControlEvent {
    /// The attempt it belongs to.
    pub(crate) fn attempt(&self) -> u32 {
        match self {
            Self::Message { attempt, .. } | Self::Received { attempt, .. } | Self::Failed { attempt, .. } => {
                *attempt
            }
        }
    }
}

/// The reason why a reliable control message was not sent. No serial was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ControlError {
    /// There is no such connection, or it is not open.
    Closed,
    /// The body is longer than a message can be.
    TooLong {
        /// The longest body, in bytes.
        max: usize,
    },
    /// Too many messages, bytes or attempts are on their way, or too many events wait. Take events, and try again when one
    /// of them says that a message was received.
    TooMany,
    /// The attempt has used all its serials: begin another one.
    Exhausted,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection has ended"),
            Self::TooLong { max } => {
                write!(f, "the control message is too long: there is room for {max} bytes")
            }
            Self::TooMany => {
                f.write_str("too many control messages are on their way: wait until one was received")
            }
            Self::Exhausted => f.write_str("the attempt has used all its serials: begin another one"),
        }
    }
}

impl core::error::Error for ControlError {}

/// The counters of a connection's reliable control messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ControlStats {
    /// Messages sent, without repetitions.
    pub sent: u64,
    /// Repetitions.
    pub repeated: u64,
    /// Messages that the other side has.
    pub received_there: u64,
    /// Messages given up.
    pub failed: u64,
    /// Messages refused because a bound of this side was reached.
    pub refused_here: u64,
    /// Messages of the other side handled.
    pub handled: u64,
    /// Messages that had been handled before.
    pub duplicates: u64,
    /// Messages about a state for which a newer one was handled.
    pub out_of_date: u64,
    /// Messages that the endpoint did not take because too many events waited. They come again.
    pub queue_full: u64,
    /// Messages of more attempts than are remembered.
    pub too_many_attempts: u64,
    /// Parts of more messages than are kept.
    pub too_many_parts: u64,
    /// Messages that were forgotten because their last part did not come.
    pub incomplete: u64,
    /// Packets with more messages than are read. The rest comes again.
    pub too_many_in_packet: u64,
    /// Parts that contradict others of their message, and messages of a wrong shape.
    pub malformed: u64,
}

/// A message on its way.
struct Sending {
    attempt: u32,
    serial: u16,
    kind: ReliableKind,
    body: Zeroizing<Box<[u8]>>,
    /// The time at which it is sent again, and the byte that it goes on from.
    due: Instant,
    offset: usize,
    pause: Micros,
    /// The time at which it is given up.
    until: Instant,
    is_repetition: bool,
}

/// An attempt in which this side sends.
struct Serials {
    attempt: u32,
    last: u16,
    used: Instant,
}

/// The messages of an attempt of the other side that were handled.
struct Heard {
    attempt: u32,
    /// The highest serial handled; 0 if none was.
    highest: u16,
    /// One bit for it, and for each of those below.
    handled: u64,
    /// The newest message of each kind that describes a state.
    states: Vec<(ReliableKind, u16)>,
    at: Instant,
}

impl Heard {
    fn has(&self, serial: u16) -> bool {
        let Some(below) = self.highest.checked_sub(serial) else { return false };
        below >= REMEMBERED_SERIALS || self.handled >> below & 1 == 1
    }

    fn note(&mut self, serial: u16) {
        match serial.checked_sub(self.highest) {
            Some(above) => {
                self.handled = self.handled.checked_shl(u32::from(above)).unwrap_or(0) | 1;
                self.highest = serial;
            }
            None => self.handled |= 1 << (self.highest - serial),
        }
    }

    /// Returns whether a newer message about the same state was handled.
    fn is_out_of_date(&self, kind: ReliableKind, serial: u16) -> bool {
        self.states.iter().any(|(other, newest)| *other == kind && *newest > serial)
    }
}

/// A message of which not all parts have come.
struct Partial {
    attempt: u32,
    serial: u16,
    kind: ReliableKind,
    body: Zeroizing<Box<[u8]>>,
    /// One bit for each part that has come.
    parts: u8,
    until: Instant,
}

impl Partial {
    fn is_complete(&self) -> bool {
        u32::from(self.parts) == (1 << self.body.len().div_ceil(PART_BYTES)) - 1
    }
}

/// The calls that a connection makes of its [`Reliable`].
///
/// A trait, so that only the call that begins to use control messages names the type: a program that never makes it, such as
/// the module for pages, is built without the rest.
pub(crate) trait ControlLayer: Send + Sync {
    /// Takes a message that is to be sent, now and until the other side has it.
    fn send(
        &mut self,
        now: Instant,
        attempt: u32,
        kind: ReliableKind,
        body: &[u8],
    ) -> Result<u16, ControlError>;
    /// The part of a control packet before a malformed reliable message, which is counted.
    fn legal<'a>(&mut self, body: &'a [u8]) -> &'a [u8];
    /// Does what the reliable messages of a control packet say, up to as many as a sender puts into one. `take` is offered
    /// each event, and tells whether it was taken; a message that was not is not received, and comes again.
    fn read(&mut self, now: Instant, body: &[u8], take: &mut Take<'_>);
    /// Gives up what was repeated for long enough.
    fn handle_timeout(&mut self, now: Instant, take: &mut Take<'_>);
    /// Writes what one packet can take of what is due. Returns whether there was anything; if so, there may be more.
    fn write(&mut self, now: Instant, out: &mut Vec<u8>) -> bool;
    /// Returns when something is due.
    fn deadline(&self) -> Option<Instant>;
    /// Returns the counters.
    fn stats(&self) -> &ControlStats;
}

/// Takes an event, or tells that there is no place for it.
pub(crate) type Take<'a> = dyn FnMut(ControlEvent) -> bool + 'a;

/// Both directions of a connection's reliable control messages.
#[derive(Default)]
pub(crate) struct Reliable {
    sending: Vec<Sending>,
    serials: Vec<Serials>,
    heard: Vec<Heard>,
    partial: Vec<Partial>,
    /// The messages that the next packet says were received: attempt and serial.
    answers: Vec<(u32, u16)>,
    stats: ControlStats,
}

impl Reliable {
    fn next_serial(&mut self, now: Instant, attempt: u32, bytes: usize) -> Result<u16, ControlError> {
        if bytes > MAX_MESSAGE {
            return Err(ControlError::TooLong { max: MAX_MESSAGE });
        }
        let own = || self.sending.iter().filter(|sending| sending.attempt == attempt);
        let has_room = self.sending.len() < MAX_SENDING
            && own().count() < MAX_SENDING_OF_ATTEMPT
            && bytes + total(self.sending.iter()) <= MAX_SENDING_BYTES
            && bytes + total(own()) <= MAX_SENDING_BYTES_OF_ATTEMPT;
        if !has_room {
            return Err(ControlError::TooMany);
        }
        let oldest = own().map(|sending| sending.serial).min();
        let sending = &self.sending;
        self.serials.retain(|serials| {
            now.micros_since(serials.used) < SENDER_REMEMBERS
                || sending.iter().any(|sending| sending.attempt == serials.attempt)
        });
        let index = match self.serials.iter().position(|serials| serials.attempt == attempt) {
            Some(index) => index,
            None if self.serials.len() >= MAX_ATTEMPTS => return Err(ControlError::TooMany),
            None => {
                self.serials.push(Serials { attempt, last: 0, used: now });
                self.serials.len() - 1
            }
        };
        let serials = &mut self.serials[index];
        let serial = serials.last.checked_add(1).ok_or(ControlError::Exhausted)?;
        if oldest.is_some_and(|oldest| serial - oldest >= REMEMBERED_SERIALS) {
            return Err(ControlError::TooMany);
        }
        (serials.last, serials.used) = (serial, now);
        Ok(serial)
    }

    /// Does what a message says.
    fn receive(&mut self, now: Instant, message: ReliableMessage<'_>, take: &mut Take<'_>) {
        match message {
            ReliableMessage::Received { attempt, serial } => {
                let is_it = |sending: &Sending| (sending.attempt, sending.serial) == (attempt, serial);
                if let Some(index) = self.sending.iter().position(is_it) {
                    self.sending.remove(index);
                    self.stats.received_there += 1;
                    take(ControlEvent::Received { attempt, serial });
                }
            }
            ReliableMessage::Whole { kind, attempt, serial, body } => {
                self.handle(now, attempt, serial, kind, body, take);
            }
            ReliableMessage::Part { kind, attempt, serial, length, offset, bytes } => {
                let Some(heard) = self.heard(now, attempt) else { return };
                if self.heard[heard].has(serial) {
                    return self.answer_again(attempt, serial);
                }
                let Some(index) = self.partial(now, attempt, serial, kind, usize::from(length)) else {
                    return;
                };
                let partial = &mut self.partial[index];
                let offset = usize::from(offset);
                if partial.kind != kind || partial.body.len() != usize::from(length) {
                    self.stats.malformed += 1;
                    return;
                }
                // The first that came of each part counts.
                let bit = 1 << (offset / PART_BYTES);
                if partial.parts & bit == 0
                    && let Some(place) = partial.body.get_mut(offset..offset + bytes.len())
                {
                    place.copy_from_slice(bytes);
                    partial.parts |= bit;
                }
                if partial.is_complete() {
                    // If it is not taken, all its parts come again.
                    let body = self.partial.swap_remove(index).body;
                    self.handle(now, attempt, serial, kind, &body, take);
                }
            }
        }
    }

    /// Handles a whole message, if it was not handled before, and has it confirmed.
    fn handle(
        &mut self,
        now: Instant,
        attempt: u32,
        serial: u16,
        kind: ReliableKind,
        body: &[u8],
        take: &mut Take<'_>,
    ) {
        let Some(index) = self.heard(now, attempt) else { return };
        if self.heard[index].has(serial) {
            return self.answer_again(attempt, serial);
        }
        let heard = &mut self.heard[index];
        let is_out_of_date = heard.is_out_of_date(kind, serial);
        if !is_out_of_date
            && !take(ControlEvent::Message { attempt, serial, kind, body: Zeroizing::new(body.to_vec()) })
        {
            self.stats.queue_full += 1;
            return;
        }
        heard.note(serial);
        if kind.is_state() && !is_out_of_date {
            heard.states.retain(|(other, _)| *other != kind);
            heard.states.push((kind, serial));
        }
        *if is_out_of_date { &mut self.stats.out_of_date } else { &mut self.stats.handled } += 1;
        self.answers.push((attempt, serial));
    }

    /// The word that it was received was lost.
    fn answer_again(&mut self, attempt: u32, serial: u16) {
        self.stats.duplicates += 1;
        if !self.answers.contains(&(attempt, serial)) {
            self.answers.push((attempt, serial));
        }
    }

    /// The place of what was heard of an attempt. When there are too many, one that is over gives way.
    fn heard(&mut self, now: Instant, attempt: u32) -> Option<usize> {
        let is_over = |heard: &Heard| now.micros_since(heard.at) >= RECEIVER_REMEMBERS;
        let fresh = Heard { attempt, highest: 0, handled: 0, states: Vec::new(), at: now };
        let index = match self.heard.iter().position(|heard| heard.attempt == attempt) {
            Some(index) => {
                // The sender began to count anew.
                if is_over(&self.heard[index]) {
                    self.heard[index] = fresh;
                }
                index
            }
            None if self.heard.len() < MAX_ATTEMPTS => {
                self.heard.push(fresh);
                self.heard.len() - 1
            }
            None => {
                let Some(index) = self.heard.iter().position(is_over) else {
                    self.stats.too_many_attempts += 1;
                    return None;
                };
                self.heard[index] = fresh;
                index
            }
        };
        self.heard[index].at = now;
        Some(index)
    }

    /// The place of a message that comes in parts.
    fn partial(
        &mut self,
        now: Instant,
        attempt: u32,
        serial: u16,
        kind: ReliableKind,
        length: usize,
    ) -> Option<usize> {
        let is_it = |partial: &Partial| (partial.attempt, partial.serial) == (attempt, serial);
        if let Some(index) = self.partial.iter().position(is_it) {
            return Some(index);
        }
        self.forget_partial(now);
        let of_attempt = self.partial.iter().filter(|partial| partial.attempt == attempt).count();
        if self.partial.len() >= MAX_PARTIAL || of_attempt >= MAX_PARTIAL_OF_ATTEMPT {
            self.stats.too_many_parts += 1;
            return None;
        }
        let body = Zeroizing::new(alloc::vec![0; length].into_boxed_slice());
        self.partial.push(Partial { attempt, serial, kind, body, parts: 0, until: now + PARTS_KEPT });
        Some(self.partial.len() - 1)
    }

    fn forget_partial(&mut self, now: Instant) {
        let before = self.partial.len();
        self.partial.retain(|partial| partial.until > now);
        self.stats.incomplete += (before - self.partial.len()) as u64;
    }
}

impl ControlLayer for Reliable {
    fn send(
        &mut self,
        now: Instant,
        attempt: u32,
        kind: ReliableKind,
        body: &[u8],
    ) -> Result<u16, ControlError> {
        let serial =
            self.next_serial(now, attempt, body.len()).inspect_err(|_| self.stats.refused_here += 1)?;
        self.stats.sent += 1;
        self.sending.push(Sending {
            attempt,
            serial,
            kind,
            body: Zeroizing::new(body.into()),
            due: now,
            offset: 0,
            pause: FIRST_PAUSE,
            until: now + PATIENCE,
            is_repetition: false,
        });
        Ok(serial)
    }

    fn legal<'a>(&mut self, body: &'a [u8]) -> &'a [u8] {
        let mut messages = ReliableMessages::new(body);
        self.stats.malformed += u64::from(messages.any(|message| message.is_err()));
        messages.legal()
    }

    fn read(&mut self, now: Instant, body: &[u8], take: &mut Take<'_>) {
        let mut messages = ReliableMessages::new(body).flatten();
        messages.by_ref().take(MAX_READ).for_each(|message| self.receive(now, message, take));
        self.stats.too_many_in_packet += u64::from(messages.next().is_some());
    }

    fn handle_timeout(&mut self, now: Instant, take: &mut Take<'_>) {
        self.forget_partial(now);
        let stats = &mut self.stats;
        self.sending.retain(|sending| {
            let goes_on = sending.until > now;
            if !goes_on {
                stats.failed += 1;
                take(ControlEvent::Failed { attempt: sending.attempt, serial: sending.serial });
            }
            goes_on
        });
    }

    fn write(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let has_room = |out: &Vec<u8>, bytes: usize| out.len() - start + bytes <= MAX_PACKET_BODY;
        while let Some((attempt, serial)) = self.answers.last().copied()
            && has_room(out, RECEIVED_BYTES)
        {
            ReliableMessage::Received { attempt, serial }.write(out);
            self.answers.pop();
        }
        for sending in self.sending.iter_mut().filter(|sending| sending.due <= now) {
            let Sending { attempt, serial, kind, .. } = *sending;
            loop {
                let rest = &sending.body[sending.offset..];
                let bytes = &rest[..rest.len().min(PART_BYTES)];
                let is_whole = sending.body.len() <= PART_BYTES;
                let head_bytes = if is_whole { WHOLE_HEAD_BYTES } else { PART_HEAD_BYTES };
                if !has_room(out, head_bytes + bytes.len()) {
                    return true;
                }
                if is_whole {
                    ReliableMessage::Whole { kind, attempt, serial, body: bytes }.write(out);
                } else {
                    let (length, offset) = (sending.body.len() as u16, sending.offset as u16);
                    ReliableMessage::Part { kind, attempt, serial, length, offset, bytes }.write(out);
                }
                sending.offset += bytes.len();
                if sending.offset == sending.body.len() {
                    break;
                }
            }
            sending.offset = 0;
            self.stats.repeated += u64::from(sending.is_repetition);
            sending.is_repetition = true;
            sending.due = now + sending.pause;
            sending.pause = (sending.pause * 2).min(MAX_PAUSE);
        }
        out.len() > start
    }

    fn deadline(&self) -> Option<Instant> {
        let sending = self.sending.iter().map(|sending| sending.due.min(sending.until));
        sending.chain(self.partial.iter().map(|partial| partial.until)).min()
    }

    fn stats(&self) -> &ControlStats {
        &self.stats
    }
}

fn total<'a>(sending: impl Iterator<Item = &'a Sending>) -> usize {
    sending.map(|sending| sending.body.len()).sum()
}

#[cfg(test)]
mod tests;
