//! Control packets: sends their messages, and does what those of the other side say (PROTOCOL.md 8).

use super::incoming::MAX_REPORT;
use super::{Connection, Output};
use crate::instant::Instant;
use crate::transmits::Outbox;
use crate::wire::control::{ControlMessage, ControlMessages};
use crate::wire::header::PacketKind;

impl Connection {
    pub(super) fn send_control(&mut self, messages: &[ControlMessage<'_>], outbox: &mut Outbox<'_>) {
        // As for acks: without keys there is nothing to be done.
        let _ = self.seal_packet(PacketKind::Control, MAX_REPORT, outbox, |out| {
            messages.iter().for_each(|message| message.write(out));
        });
    }

    /// Reads control messages; whether a side that lingers should answer them.
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
        for message in ControlMessages::new(body) {
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
        // After the end the close_ack is the answer.
        if let Some(id) = pong.filter(|_| !self.is_over()) {
            let settled = self.outgoing.settled();
            self.send_control(&[ControlMessage::Pong { id, settled }], outbox);
            self.go_on_reporting(now);
        }
        wants_answer
    }
}
