//! Making and opening packets (PROTOCOL.md 6.1, 6.2).

use alloc::vec::Vec;
use core::ops::Range;

use super::incoming::MAX_SHORT_REPORT;
use super::{Connection, Outbox, Refusal, numbers};
use crate::crypto::keys::{CONTROL_TAG_BYTES, OpenError};
use crate::wire::header::{Header, PacketKind};

/// The tag of ack and control packets, whatever data packets have.
const CONTROL_TAG: usize = CONTROL_TAG_BYTES as usize;
/// The longest header, and two full numbers.
const MAX_ASSOCIATED: usize = Header::MAX_BYTES + 16;

/// A packet that authenticated.
pub(crate) struct Opened {
    pub(super) kind: PacketKind,
    pub(super) sequence: u64,
    pub(super) ack: u64,
    pub(super) form: u8,
    /// Where its text lies in the datagram.
    pub(super) text: Range<usize>,
}

impl Opened {
    /// Ack bytes and what follows them; `None` if there are fewer than the form says.
    pub(super) fn split<'a>(&self, text: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        if usize::from(self.form) <= MAX_SHORT_REPORT {
            return text.split_at_checked(usize::from(self.form));
        }
        match text.split_first()? {
            (0, _) => None,
            (count, rest) => rest.split_at_checked(usize::from(*count)),
        }
    }
}

/// Writes header, counter, sequence and ack in full, and returns what was written.
fn associated<'a>(place: &'a mut [u8; MAX_ASSOCIATED], head: &[u8], sequence: u64, ack: u64) -> &'a [u8] {
    let (start, rest) = place.split_at_mut(head.len());
    start.copy_from_slice(head);
    rest[..8].copy_from_slice(&sequence.to_be_bytes());
    rest[8..16].copy_from_slice(&ack.to_be_bytes());
    &place[..head.len() + 16]
}

impl Connection {
    /// Writes one packet with a report of at most `max_report` ack bytes and the body that `body` appends.
    /// Whether it could be sealed; it always can before a sequence or counter runs out.
    pub(super) fn write(
        &mut self,
        kind: PacketKind,
        max_report: usize,
        outbox: &mut Outbox<'_>,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        let report = self.incoming.report(max_report);
        let sequence = self.outgoing.last() + u64::from(kind.is_sequenced());
        let counter = self.counter_sent + u64::from(!kind.is_sequenced());
        let size = self.size;
        let (keys, incoming) = (&mut self.send_keys, &mut self.incoming);
        let length = outbox.push(|out| {
            let start = out.len();
            let header = Header { kind, sequence_low: sequence, ack_low: report.ack, form: report.form() };
            header.write(size, out);
            if !kind.is_sequenced() {
                out.extend_from_slice(&(counter as u16).to_be_bytes());
            }
            let text = out.len();
            let mut place = [0; MAX_ASSOCIATED];
            let associated = associated(&mut place, &out[start..], sequence, report.ack);
            incoming.write_report(report, out);
            body(out);
            let sealed = if kind.is_sequenced() {
                keys.seal_data(sequence, associated, &mut out[text..])
            } else {
                keys.seal_control(sequence, counter, associated, &mut out[text..])
            };
            match sealed {
                Some(tag) => out.extend_from_slice(&tag),
                None => out.truncate(start),
            }
            out.len() - start
        });
        if length == 0 {
            return false;
        }
        if kind.is_sequenced() {
            self.outgoing.sent(report.ack, kind == PacketKind::Data);
        } else {
            self.counter_sent = counter;
        }
        if report.ack == self.incoming.known() {
            self.ack_at = None;
        }
        self.counters.datagrams_sent += 1;
        self.counters.bytes_sent += length as u64;
        true
    }

    /// Opens a datagram in place.
    pub(super) fn open_in_place(&mut self, bytes: &mut [u8]) -> Result<Opened, Refusal> {
        let header = Header::parse(self.size, bytes).ok_or(Refusal::Malformed)?;
        let sequenced = header.kind.is_sequenced();
        let window = self.settings.packet_window;
        let tag_bytes =
            if sequenced { usize::from(self.cipher.tag_bytes(self.settings.tag_bytes)) } else { CONTROL_TAG };
        let head = self.size.bytes() + if sequenced { 0 } else { 2 };
        let end = bytes.len().checked_sub(tag_bytes).filter(|end| *end >= head).ok_or(Refusal::Malformed)?;

        let known = self.incoming.known();
        let ack = numbers::expand_ack(self.size, window, self.outgoing.settled(), header.ack_low);
        let numbers = if sequenced {
            let sequence = numbers::expand_new(self.size, window, known, header.sequence_low);
            sequence.map(|sequence| (sequence, None))
        } else {
            let low = u16::from_be_bytes([bytes[head - 2], bytes[head - 1]]);
            let counter = numbers::expand_counter(self.counter_received, low);
            let sequence = numbers::expand_carried(self.size, window, known, header.sequence_low);
            sequence.zip(counter).map(|(sequence, counter)| (sequence, Some(counter)))
        };
        let (sequence, counter) = numbers.ok_or(Refusal::LateOrDuplicate)?;
        let ack = ack.ok_or(Refusal::AckRange)?;

        let mut place = [0; MAX_ASSOCIATED];
        let associated = associated(&mut place, &bytes[..head], sequence, ack);
        let (body, tag) = bytes.split_at_mut(end);
        let text = &mut body[head..];
        let opened = match counter {
            None => self.receive_keys.open_data(sequence, associated, text, tag),
            Some(counter) => self.receive_keys.open_control(sequence, counter, associated, text, tag),
        };
        opened.map_err(|error| match error {
            OpenError::NoKeys => Refusal::NoKeys,
            OpenError::Forged => Refusal::Forged,
        })?;
        if let Some(counter) = counter {
            self.counter_received = counter;
        }
        Ok(Opened { kind: header.kind, sequence, ack, form: header.form, text: head..end })
    }
}
