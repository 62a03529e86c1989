//! Control packets: sends their messages, and does what those of the other side say (PROTOCOL.md 8).

pub(crate) mod reliable;

use alloc::boxed::Box;
use alloc::vec::Vec;

use self::reliable::{ControlError, ControlLayer, ControlStats, Reliable};
use super::{Connection, Output};
use crate::instant::Instant;
use crate::transmits::Outbox;
use crate::wire::control::reliable::ReliableKind;
use crate::wire::control::{ControlMessage, ControlMessages};
use crate::wire::header::PacketKind;

impl Connection {
    pub(super) fn send_control(&mut self, messages: &[ControlMessage<'_>], outbox: &mut Outbox<'_>) {
        self.seal_report(PacketKind::Control, outbox, &mut |out| {
            messages.iter().for_each(|message| message.write(out));
        });
    }

    /// Reads control messages. Returns whether a side that lingers answers them.
    pub(super) fn read_messages(
        &mut self,
        now: Instant,
        report_counts: bool,
        body: &[u8],
        output: &mut impl Output,
        outbox: &mut Outbox<'_>,
    ) -> bool {
        // One answer of each kind a packet: nothing may make this side send much more than it got.
        let mut pong = None;
        let (mut has_close, mut has_close_ack) = (false, false);
        let mut wants_answer = false;
        // A malformed message and those after it are ignored, of whatever kind they are.
        let body = self.reliable.as_mut().map_or(body, |reliable| reliable.legal(body));
        let mut messages = ControlMessages::new(body);
        for message in &mut messages {
            wants_answer |=
                !matches!(message, Ok(ControlMessage::CloseAck { .. } | ControlMessage::Pong { .. }));
            match message {
                Ok(ControlMessage::Ping { id, settled }) => {
                    self.incoming.report_was_read(settled);
                    pong = Some(id);
                }
                Ok(ControlMessage::Pong { id, settled }) => {
                    self.incoming.report_was_read(settled);
                    if let Some(sample) = self.liveness.pong(now, id) {
                        self.path.rtt.sample(now, sample);
                    }
                }
                Ok(ControlMessage::Close { .. }) if has_close => self.counters.malformed += 1,
                Ok(ControlMessage::CloseAck { .. }) if has_close_ack => self.counters.malformed += 1,
                Ok(ControlMessage::Close { is_final, settled, code, reason }) => {
                    has_close = true;
                    self.incoming.report_was_read(settled);
                    self.on_close(now, is_final && report_counts, code, reason, output, outbox);
                }
                Ok(ControlMessage::CloseAck { is_final, settled }) => {
                    has_close_ack = true;
                    self.incoming.report_was_read(settled);
                    self.on_close_ack(now, is_final && report_counts, settled, output, outbox);
                }
                Err(_) => self.counters.malformed += 1,
            }
        }
        self.read_reliable(now, messages.legal(), output, outbox);
        // After the end the close_ack is the answer.
        if let Some(id) = pong.filter(|_| !self.is_over()) {
            let settled = self.outgoing.settled();
            self.send_control(&[ControlMessage::Pong { id, settled }], outbox);
            self.go_on_reporting(now);
        }
        wants_answer
    }

    /// Reads reliable control messages from now on, which are passed over otherwise.
    pub(crate) fn enable_reliable(&mut self) -> &mut dyn ControlLayer {
        &mut **self.reliable.get_or_insert_with(|| Box::new(Reliable::default()))
    }

    /// Sends a reliable control message, and repeats it until the other side has it. An address that was not asked gets it
    /// once it has been heard.
    pub(crate) fn send_reliable(
        &mut self,
        now: Instant,
        attempt: u32,
        kind: ReliableKind,
        body: &[u8],
        outbox: &mut Outbox<'_>,
    ) -> Result<u16, ControlError> {
        if !self.phase.takes_data() {
            return Err(ControlError::Closed);
        }
        let serial = self.enable_reliable().send(now, attempt, kind, body)?;
        self.flush_reliable(now, outbox);
        Ok(serial)
    }

    fn read_reliable(
        &mut self,
        now: Instant,
        body: &[u8],
        output: &mut impl Output,
        outbox: &mut Outbox<'_>,
    ) {
        let Some(reliable) = self.reliable.as_mut().filter(|_| self.phase.takes_data()) else { return };
        reliable.read(now, body, &mut |event| output.control(event));
        self.flush_reliable(now, outbox);
    }

    /// Repeats and gives up what is due.
    pub(super) fn run_reliable(&mut self, now: Instant, output: &mut impl Output, outbox: &mut Outbox<'_>) {
        let Some(reliable) = &mut self.reliable else { return };
        if reliable.deadline().is_some_and(|at| at <= now) {
            reliable.handle_timeout(now, &mut |event| output.control(event));
            self.flush_reliable(now, outbox);
        }
    }

    fn flush_reliable(&mut self, now: Instant, outbox: &mut Outbox<'_>) {
        if !self.phase.sends_data() {
            return;
        }
        let mut body = Vec::new();
        while self.reliable.as_mut().is_some_and(|reliable| reliable.write(now, &mut body)) {
            self.seal_report(PacketKind::Control, outbox, &mut |out| out.append(&mut body));
        }
    }

    /// Returns when a reliable control message is due. Like data, they wait until they may leave.
    pub(super) fn reliable_deadline(&self) -> Option<Instant> {
        let reliable = self.reliable.as_ref()?;
        if self.phase.sends_data() { reliable.deadline() } else { None }
    }

    /// Returns the counters of reliable control messages, if any were used.
    pub(crate) fn reliable_stats(&self) -> Option<&ControlStats> {
        self.reliable.as_ref().map(|reliable| reliable.stats())
    }
}
