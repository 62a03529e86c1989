//! The summary of a demo: the comparison of both ends, and the cost.

use serde_json::json;

use super::client::Client;
use super::host::Hosted;
use super::record::{Record, Tally};
use crate::failure::Failure;
use crate::output::{BAD, GOOD, Output, WARN};
use crate::units::{median, percent, rounded};

/// The figures of the last line.
pub struct Summary {
    connections: u64,
    tally: Tally,
    handshake_ms: f64,
    rtt_ms: f64,
    bytes_sent: u64,
    payload_bytes: u64,
    /// Datagrams of every kind.
    datagrams_sent: u64,
    data_packets: u64,
    /// Connections with an unexpected beginning or end.
    troubles: Vec<String>,
}

impl Summary {
    pub fn new(clients: &[Client], hosted: &Hosted) -> Self {
        let nothing = Record::default();
        let mut summary = Self {
            connections: 0,
            tally: Tally::default(),
            handshake_ms: 0.0,
            rtt_ms: 0.0,
            bytes_sent: 0,
            payload_bytes: 0,
            datagrams_sent: 0,
            data_packets: 0,
            troubles: Vec::new(),
        };
        let (mut handshakes, mut rtts) = (Vec::new(), Vec::new());
        for Client { number, record } in clients {
            let other = hosted.get(number).unwrap_or(&nothing);
            for (end, record, receiver) in [("client", record, other), ("host", other, record)] {
                let tally = Tally::compare(record, receiver);
                summary.tally.add(tally);
                if tally.unknown > 0 {
                    let count = tally.unknown;
                    let text = format!(
                        "client {} at the {end}: {count} packets without a certain verdict",
                        number + 1
                    );
                    summary.troubles.push(text);
                }
                match &record.ended {
                    Some((_, true)) => {}
                    Some((how, false)) => {
                        summary.troubles.push(format!("client {} at the {end}: {how}", number + 1));
                    }
                    None => {
                        summary.troubles.push(format!("client {} at the {end}: never closed", number + 1))
                    }
                }
                if let Some(stats) = &record.stats {
                    rtts.push(stats.rtt.as_secs_f64() * 1e3);
                    summary.bytes_sent += stats.counters.bytes_sent;
                    summary.payload_bytes += stats.counters.payload_sent;
                    summary.datagrams_sent += stats.counters.datagrams_sent;
                    summary.data_packets += stats.counters.sent;
                }
            }
            if let Some(stats) = &record.stats {
                summary.connections += 1;
                handshakes.push(stats.handshake.total_time.as_secs_f64() * 1e3);
            }
        }
        summary.handshake_ms = median(handshakes);
        summary.rtt_ms = median(rtts);
        summary
    }

    /// Bytes beyond the payload for each data packet.
    fn overhead_bytes(&self) -> f64 {
        if self.data_packets == 0 {
            return 0.0;
        }
        self.bytes_sent.saturating_sub(self.payload_bytes) as f64 / self.data_packets as f64
    }

    pub fn print(&self, output: &Output) -> Result<(), Failure> {
        let Tally { sent, delivered, dropped, unknown, mismatches } = self.tally;
        let overhead = self.overhead_bytes();
        output.line(format_args!(
            "\n{} connections, handshake {:.1} ms, round trip {:.1} ms (medians)",
            self.connections, self.handshake_ms, self.rtt_ms
        ))?;
        output.line(format_args!(
            "{sent} packets sent: {GOOD}{delivered} delivered{GOOD:#}, {WARN}{dropped} dropped{WARN:#} ({:.2} %)",
            percent(dropped, sent)
        ))?;
        if unknown > 0 {
            output.line(format_args!("{BAD}{unknown} without a certain verdict{BAD:#}"))?;
        }
        let style = if mismatches == 0 { GOOD } else { BAD };
        output.line(format_args!(
            "{style}{mismatches} verdicts that disagree with what the other side received{style:#}"
        ))?;
        output.line(format_args!(
            "{overhead:.2} bytes beyond the payload for each data packet, acknowledgments and pings included"
        ))?;
        for trouble in &self.troubles {
            output.line(format_args!("{BAD}{trouble}{BAD:#}"))?;
        }
        output.record(|| {
            json!({
                "event": "summary",
                "connections": self.connections,
                "sent": sent,
                "delivered": delivered,
                "dropped": dropped,
                "unknown": unknown,
                "mismatches": mismatches,
                "handshake_ms": rounded(self.handshake_ms, 3),
                "rtt_ms": rounded(self.rtt_ms, 3),
                "overhead_bytes": rounded(overhead, 3),
                "bytes_sent": self.bytes_sent,
                "payload_bytes": self.payload_bytes,
                "datagrams_sent": self.datagrams_sent,
                "data_packets": self.data_packets,
                "troubles": self.troubles,
            })
        })
    }

    /// Returns success if all went well. The summary has already said what did not.
    pub fn verdict(&self) -> Result<(), Failure> {
        let good = self.tally.mismatches == 0 && self.tally.unknown == 0 && self.troubles.is_empty();
        if good { Ok(()) } else { Err(Failure::new("")) }
    }
}
