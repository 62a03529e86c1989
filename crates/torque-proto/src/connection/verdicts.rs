//! Reading reports: the verdicts on what was sent, and what they tell of the path (PROTOCOL.md 7.3, 9.1).

use super::incoming::{MAX_REPORT, MAX_SHORT_REPORT};
use super::outgoing;
use super::{Connection, Output};
use crate::event::Delivery;
use crate::instant::Instant;
use crate::micros::Micros;
use crate::wire::header::PacketKind;

impl Connection {
    /// Reads a packet's report. Returns whether it counts, which it does not if it is about what was never sent.
    pub(super) fn read_report(
        &mut self,
        now: Instant,
        kind: PacketKind,
        ack: u64,
        ack_bytes: &[u8],
        output: &mut impl Output,
    ) -> bool {
        if ack > self.outgoing.last() {
            self.counters.reports_ignored += 1;
            return false;
        }
        if self.outgoing.settled() < ack {
            let delivered_before = self.counters.delivered;
            while self.outgoing.settled() < ack {
                let delivery = outgoing::reported(ack, ack_bytes, self.outgoing.settled() + 1);
                self.settle_next(delivery, output);
            }
            self.rate.count(now, self.counters.delivered - delivered_before);
            // A report as long as its packet takes may end before the newest packet that had come. One in a control packet
            // was asked for.
            let is_whole = ![MAX_SHORT_REPORT, MAX_REPORT].contains(&ack_bytes.len());
            if is_whole && kind != PacketKind::Control {
                self.time_verdict(now);
            }
        }
        true
    }

    /// Learns the round-trip time from the verdict on the newest packet that a report is about (9.1). The other side
    /// held the report back for its ack_delay at most, and until the next packet came at most (a little longer if that was lost).
    fn time_verdict(&mut self, now: Instant) {
        let Some(sent_at) = self.outgoing.delivered_at() else { return };
        let most = now.since_low_micros(sent_at);
        // If it took a probe to get the report, an earlier one was lost, and this one says nothing about the path.
        if now.micros_since(self.liveness.last_probe()) < most {
            return;
        }
        let gap =
            self.outgoing.next_sent_at().map(|next| Micros::from_micros(next.wrapping_sub(sent_at).into()));
        let held = gap.map_or(self.peer_ack_delay.get(), |gap| gap.min(self.peer_ack_delay.get()));
        self.path.rtt.sample_between(now, most - held, most);
    }

    fn settle_next(&mut self, delivery: Delivery, output: &mut impl Output) {
        let Some(settled) = self.outgoing.settle_next(delivery) else { return };
        self.liveness.settled(self.outgoing.unsettled_data() == 0);
        if delivery.is_delivered() {
            self.incoming.report_with_low_bits_was_read(settled.ack_low);
        }
        if settled.is_data {
            match delivery {
                Delivery::Delivered => self.counters.delivered += 1,
                Delivery::Dropped => self.counters.dropped += 1,
                Delivery::Unknown => self.counters.unknown += 1,
            }
            output.verdict(settled.sequence, delivery);
        }
    }

    pub(super) fn settle_rest(&mut self, delivery: Delivery, output: &mut impl Output) {
        while self.outgoing.settled() < self.outgoing.last() {
            self.settle_next(delivery, output);
        }
    }
}
