//! When to acknowledge, and by what kind of packet (PROTOCOL.md 7.4).

use super::Connection;
use super::incoming::{MAX_REPORT, MAX_SHORT_REPORT};
use crate::instant::Instant;
use crate::micros::Micros;
use crate::transmits::Outbox;
use crate::wire::header::PacketKind;

/// Least time between reports of which the first could not say all.
const MIN_REPORT_PAUSE: Micros = Micros::from_millis(1);

impl Connection {
    /// A data packet came, and was taken or not: an acknowledgment is due (7.4).
    pub(super) fn data_came(&mut self, now: Instant, outbox: &mut Outbox<'_>) {
        if !self.phase.takes_data() {
            return;
        }
        self.liveness.data_came(now);
        self.rest_later();
        let is_much = self.incoming.unreported() >= u64::from(self.settings.packet_window / 2);
        if is_much && self.incoming.has_news() {
            self.send_ack(now, outbox);
        } else if self.ack_at.is_none() {
            self.ack_at = Some(now + self.ack_delay.get());
        }
    }

    pub(super) fn send_ack(&mut self, now: Instant, outbox: &mut Outbox<'_>) {
        self.counters.acks_sent += 1;
        let is_long = self.incoming.report(MAX_REPORT).bytes > MAX_SHORT_REPORT;
        let kind =
            if is_long && self.outgoing.has_room_for_report() { PacketKind::Report } else { PacketKind::Ack };
        self.seal_report(kind, outbox, &mut |_| ());
        self.ack_at = None;
        self.go_on_reporting(now);
    }

    /// Where even the longest report could not say all, another one is due. Before a round trip is over it could
    /// only say the same.
    pub(super) fn go_on_reporting(&mut self, now: Instant) {
        if !self.report_is_final() && self.ack_at.is_none() {
            let pause = self.ack_delay.get().max(self.path.rtt.smoothed()).max(MIN_REPORT_PAUSE);
            self.ack_at = Some(now + pause);
        }
    }
}
