//! Assembles packets and takes them apart (PROTOCOL.md 6.1, 6.2): the one place where header, full numbers, associated
//! data, sealed text and tag meet.
//!
//! Connections, the [inspector](crate::inspect) and the golden vectors all go through [`seal`] and [`SealedPacket`].

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::incoming::{MAX_REPORT, Report};
use super::{Connection, Output, Refusal, numbers};
use crate::crypto::keys::{CONTROL_TAG_BYTES, OpenError, ReceiveKeys, SendKeys};
use crate::instant::Instant;
use crate::transmits::Outbox;
use crate::wire::header::{Header, HeaderSize, PacketKind};

/// The longest associated data: the longest header, and two full numbers.
const MAX_ASSOCIATED: usize = Header::MAX_BYTES + 16;

/// The numbers of a packet in full. Only their low bits travel; the rest is authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Numbers {
    /// Its own sequence; for acks and control packets the last one sent.
    pub sequence: u64,
    pub ack: u64,
    /// The control counter, which only acks and control packets have.
    pub counter: Option<u64>,
}

impl Numbers {
    /// The associated data of a packet: its bytes before the sealed part, then sequence and ack in full.
    #[inline]
    fn associated<'a>(&self, place: &'a mut [u8; MAX_ASSOCIATED], head: &[u8]) -> &'a [u8] {
        let (start, rest) = place.split_at_mut(head.len());
        start.copy_from_slice(head);
        rest[..8].copy_from_slice(&self.sequence.to_be_bytes());
        rest[8..16].copy_from_slice(&self.ack.to_be_bytes());
        &place[..head.len() + 16]
    }
}

/// The connection has used up its sequences or control counters (6.3, 6.4). Nothing was sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KeysExhausted;

/// Appends a sealed packet to `out`, with the ack bytes and the body that `text` appends. Returns its length.
///
/// # Errors
/// `KeysExhausted` if the numbers are not above the last ones or skip a generation. `out` is then what it was.
#[inline]
pub(crate) fn seal(
    keys: &mut SendKeys,
    size: HeaderSize,
    (kind, form): (PacketKind, u8),
    numbers: Numbers,
    out: &mut Vec<u8>,
    text: impl FnOnce(&mut Vec<u8>),
) -> Result<usize, KeysExhausted> {
    let start = out.len();
    Header { kind, sequence_low: numbers.sequence, ack_low: numbers.ack, form }.write(size, out);
    if let Some(counter) = numbers.counter {
        out.extend_from_slice(&(counter as u16).to_be_bytes());
    }
    let head = out.len();
    let mut place = [0; MAX_ASSOCIATED];
    let associated = numbers.associated(&mut place, &out[start..]);
    text(out);
    let sealed = match numbers.counter {
        None => keys.seal_data(numbers.sequence, associated, &mut out[head..]),
        Some(counter) => keys.seal_control(numbers.sequence, counter, associated, &mut out[head..]),
    };
    let Some(tag) = sealed else {
        out.truncate(start);
        return Err(KeysExhausted);
    };
    out.extend_from_slice(&tag);
    Ok(out.len() - start)
}

/// A packet that came: its header, and where its parts lie in the datagram.
#[derive(Clone, Debug)]
pub(crate) struct SealedPacket {
    pub header: Header,
    /// The carried part of the control counter, if the kind has one.
    pub counter_low: Option<u16>,
    /// Between head and tag.
    text: Range<usize>,
}

impl SealedPacket {
    /// Takes a datagram apart; `None` if it is too short for its kind or not a packet.
    #[inline]
    pub(crate) fn parse(size: HeaderSize, keys: &ReceiveKeys, datagram: &[u8]) -> Option<Self> {
        let header = Header::parse(size, datagram)?;
        let tag_bytes = if header.kind.is_sequenced() { keys.tag_bytes() } else { CONTROL_TAG_BYTES };
        let head = header.head_bytes(size);
        let end = datagram.len().checked_sub(usize::from(tag_bytes)).filter(|end| *end >= head)?;
        Some(Self { header, counter_low: header.counter_low(size, datagram), text: head..end })
    }

    /// Opens the datagram that was parsed, in place, under the numbers it is expected to have. After an error
    /// its text means nothing.
    #[inline]
    pub(crate) fn open(
        &self,
        keys: &mut ReceiveKeys,
        numbers: Numbers,
        datagram: &mut [u8],
    ) -> Result<(), OpenError> {
        let mut place = [0; MAX_ASSOCIATED];
        let associated = numbers.associated(&mut place, &datagram[..self.text.start]);
        let (body, tag) = datagram.split_at_mut(self.text.end);
        let text = &mut body[self.text.start..];
        match numbers.counter {
            None => keys.open_data(numbers.sequence, associated, text, tag),
            Some(counter) => keys.open_control(numbers.sequence, counter, associated, text, tag),
        }
    }

    /// The text of the datagram once it is open: ack bytes and body.
    pub(crate) fn text<'a>(&self, datagram: &'a [u8]) -> &'a [u8] {
        &datagram[self.text.clone()]
    }
}

/// The numbers of a packet that opened.
#[derive(Clone, Debug)]
pub(super) struct OpenedPacket {
    pub(super) kind: PacketKind,
    pub(super) form: u8,
    pub(super) sequence: u64,
    pub(super) ack: u64,
    /// Where its text lies in the datagram.
    text: Range<usize>,
}

impl OpenedPacket {
    /// Ack bytes and body; `None` if there are fewer ack bytes than the form says.
    #[inline]
    pub(super) fn split<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        Report::split(self.form, &bytes[self.text.clone()])
    }
}

/// A packet that authenticated. Its sequence counts as used once it is [processed](Self::process), so it holds its
/// connection until then: nothing else can happen to the connection in between.
#[must_use = "a packet that was opened has to be processed, or it could be opened again"]
pub(crate) struct Opened<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) packet: OpenedPacket,
    pub(super) bytes: &'a [u8],
}

impl Opened<'_> {
    /// Does what the packet says.
    #[inline]
    pub(crate) fn process(self, now: Instant, output: &mut impl Output, outbox: &mut Outbox<'_>) {
        let Self { connection, packet, bytes } = self;
        connection.process(now, &packet, bytes, output, outbox);
    }
}

impl fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.packet.fmt(f)
    }
}

impl Connection {
    /// Sends one packet with a report of at most `max_report` ack bytes and the body that `body` appends.
    ///
    /// # Errors
    /// `KeysExhausted`, as [`seal`].
    pub(super) fn seal_packet(
        &mut self,
        kind: PacketKind,
        max_report: usize,
        outbox: &mut Outbox<'_>,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), KeysExhausted> {
        let report = self.incoming.report(max_report);
        let numbers = Numbers {
            sequence: self.outgoing.last() + u64::from(kind.is_sequenced()),
            ack: report.ack,
            counter: (!kind.is_sequenced()).then_some(self.counter_sent + 1),
        };
        let (size, keys, incoming) = (self.size, &mut self.send_keys, &mut self.incoming);
        let length = outbox.push(|out| {
            seal(keys, size, (kind, report.form()), numbers, out, |out| {
                incoming.write_report(report, out);
                body(out);
            })
        })?;
        match numbers.counter {
            None => self.outgoing.sent(report.ack, kind == PacketKind::Data),
            Some(counter) => self.counter_sent = counter,
        }
        if report.ack == self.incoming.known() {
            self.ack_at = None;
        }
        self.counters.datagrams_sent += 1;
        self.counters.bytes_sent += length as u64;
        Ok(())
    }

    /// Sends a packet without payload, with as long a report as there is to make. A connection that has used up its keys
    /// has nothing to say any more. All such packets are made by this one instance: they are rare beside data.
    pub(super) fn seal_report(
        &mut self,
        kind: PacketKind,
        outbox: &mut Outbox<'_>,
        body: &mut dyn FnMut(&mut Vec<u8>),
    ) {
        let _ = self.seal_packet(kind, MAX_REPORT, outbox, body);
    }

    /// Opens a datagram with first byte 0x80 or more, in place. After an error its bytes mean nothing; the
    /// connection has counted it.
    #[inline]
    pub(crate) fn open<'a>(&'a mut self, bytes: &'a mut [u8]) -> Result<Opened<'a>, Refusal> {
        let packet = self.open_in_place(bytes).inspect_err(|refusal| refusal.count(&mut self.counters))?;
        Ok(Opened { connection: self, packet, bytes })
    }

    /// Checks that a datagram opens, without using its numbers up: it can be opened afterwards.
    pub(crate) fn authenticate(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let counter = self.counter_received;
        let opened = self.open_in_place(&mut bytes.to_vec());
        self.counter_received = counter;
        opened.map(|_| ()).inspect_err(|refusal| refusal.count(&mut self.counters))
    }

    fn open_in_place(&mut self, bytes: &mut [u8]) -> Result<OpenedPacket, Refusal> {
        let packet = SealedPacket::parse(self.size, &self.receive_keys, bytes).ok_or(Refusal::Malformed)?;
        let numbers = self.expand(&packet)?;
        packet.open(&mut self.receive_keys, numbers, bytes).map_err(|error| match error {
            OpenError::NoKeys => Refusal::NoKeys,
            OpenError::Forged => Refusal::Forged,
        })?;
        if let Some(counter) = numbers.counter {
            self.counter_received = counter;
        }
        let SealedPacket { header: Header { kind, form, .. }, text, .. } = packet;
        Ok(OpenedPacket { kind, form, sequence: numbers.sequence, ack: numbers.ack, text })
    }

    /// The full numbers of a packet that came now.
    #[inline]
    fn expand(&self, packet: &SealedPacket) -> Result<Numbers, Refusal> {
        let (size, window, known) = (self.size, self.settings.packet_window, self.incoming.known());
        let header = &packet.header;
        let ack = numbers::expand_ack(size, window, self.outgoing.settled(), header.ack_low);
        let (sequence, counter) = match packet.counter_low {
            None => {
                let sequence = numbers::expand_new(size, window, known, header.sequence_low);
                (sequence.ok_or(Refusal::LateOrDuplicate)?, None)
            }
            Some(low) => {
                let counter = numbers::expand_counter(self.counter_received, low);
                let sequence = numbers::expand_carried(size, window, known, header.sequence_low);
                (sequence.ok_or(Refusal::LateOrDuplicate)?, Some(counter.ok_or(Refusal::LateOrDuplicate)?))
            }
        };
        Ok(Numbers { sequence, ack: ack.ok_or(Refusal::AckRange)?, counter })
    }
}
