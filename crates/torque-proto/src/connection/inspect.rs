//! For the golden vectors: what a connection knows, and packets of each type at will.

use super::incoming::{MAX_REPORT, Report};
use super::packets::{Numbers, Opened, OpenedPacket};
use super::*;
use crate::wire::header::Header;
use alloc::vec::Vec;

/// Both halves of the window in numbers (PROTOCOL.md 6.3, 6.4, 7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WindowState {
    pub(crate) r: u64,
    pub(crate) b: u64,
    pub(crate) c: u64,
    pub(crate) sent: u64,
    pub(crate) a_last: u64,
    pub(crate) open: u64,
}

/// Why a packet was refused, more finely than the counters tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reason {
    Late,
    LateCounter,
    AckRange,
    Negative,
    NoKeys,
    Forged,
    Malformed,
}

/// The header and numbers of the packet that was written last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Written {
    pub(crate) header: Header,
    pub(crate) numbers: Numbers,
}

/// What becomes of a report that was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReportFate {
    Read,
    Old,
    Beyond,
}

/// Ack bytes with their count, and what follows, of a text that was opened; `None` if there are too few.
pub(crate) fn split_text(form: u8, text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = Report::split(form, text)?;
    text.split_at_checked(text.len() - rest.len())
}

/// The bit of a sequence in ack bytes as [`split_text`] gives them.
pub(crate) fn is_reported(form: u8, ack_bytes: &[u8], ack: u64, sequence: u64) -> bool {
    let bits = if usize::from(form) > MAX_SHORT_REPORT { &ack_bytes[1..] } else { ack_bytes };
    outgoing::reported(ack, bits, sequence).is_delivered()
}

impl Connection {
    pub(crate) fn window_state(&self) -> WindowState {
        WindowState {
            r: self.incoming.known(),
            b: self.incoming.base(),
            c: self.counter_received,
            sent: self.outgoing.last(),
            a_last: self.outgoing.settled(),
            open: self.outgoing.open() as u64,
        }
    }

    pub(crate) fn header_bytes(&self) -> usize {
        self.size.bytes()
    }

    pub(crate) fn is_window_full(&self) -> bool {
        !self.outgoing.has_room()
    }

    /// An acknowledgment is due, and nothing carries it: an ack packet or a report.
    pub(crate) fn send_ack_now(&mut self, now: Instant, outbox: &mut Outbox<'_>) {
        self.send_ack(now, outbox);
    }

    /// A control packet with these messages, as they are.
    pub(crate) fn send_control_bytes(&mut self, messages: &[u8], outbox: &mut Outbox<'_>) {
        self.seal_packet(PacketKind::Control, MAX_REPORT, outbox, |out| out.extend_from_slice(messages))
            .unwrap();
    }

    /// Reads the header of the packet that was written last and completes its numbers.
    pub(crate) fn last_written(&self, datagram: &[u8]) -> Written {
        let header = Header::parse(self.size, datagram).unwrap();
        let most = if header.kind == PacketKind::Data { MAX_SHORT_REPORT } else { MAX_REPORT };
        let report = self.incoming.report(most);
        let counter = (!header.kind.is_sequenced()).then_some(self.counter_sent);
        Written { header, numbers: Numbers { sequence: self.outgoing.last(), ack: report.ack, counter } }
    }

    /// Why [`open`](Self::open) refused a datagram just now.
    pub(crate) fn reason(&self, refusal: Refusal, datagram: &[u8]) -> Reason {
        let (window, known, settled) =
            (self.settings.packet_window, self.incoming.known(), self.outgoing.settled());
        let header = Header::parse(self.size, datagram);
        match (refusal, header) {
            (Refusal::NoKeys, _) => Reason::NoKeys,
            (Refusal::Forged, _) => Reason::Forged,
            (Refusal::LateOrDuplicate, Some(header)) if header.kind.is_sequenced() => Reason::Late,
            (Refusal::LateOrDuplicate, Some(header)) => {
                match numbers::expand_carried(self.size, window, known, header.sequence_low) {
                    Some(_) => Reason::LateCounter,
                    None => Reason::Negative,
                }
            }
            (Refusal::AckRange, Some(header)) => {
                // Of a larger A_last with the same low bits it would be an older report.
                let larger = settled + self.size.modulus();
                match numbers::expand_ack(self.size, window, larger, header.ack_low) {
                    Some(_) => Reason::Negative,
                    None => Reason::AckRange,
                }
            }
            (Refusal::Malformed | Refusal::LateOrDuplicate | Refusal::AckRange, _) => Reason::Malformed,
        }
    }
}

impl Opened<'_> {
    pub(crate) fn kind(&self) -> PacketKind {
        self.packet.kind
    }

    /// What will become of the packet's report, and which sequences it will settle, each delivered or not.
    pub(crate) fn foresee(&self) -> (ReportFate, Vec<(u64, bool)>) {
        let (connection, &OpenedPacket { sequence, ack, .. }) = (&*self.connection, &self.packet);
        if ack > connection.outgoing.last() {
            return (ReportFate::Beyond, Vec::new());
        }
        if !self.kind().is_sequenced() && sequence < connection.incoming.known() {
            return (ReportFate::Old, Vec::new());
        }
        let (ack_bytes, _) = self.packet.split(self.bytes).unwrap();
        let settles = connection.outgoing.settled() + 1..=ack;
        let verdict = |sequence| (sequence, outgoing::reported(ack, ack_bytes, sequence).is_delivered());
        (ReportFate::Read, settles.map(verdict).collect())
    }
}
