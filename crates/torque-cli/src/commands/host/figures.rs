//! The counters of the host itself, for its metrics.

use crate::metrics_listener::family;

/// Figures beside those of the socket.
#[derive(Clone, Copy, Default, Debug)]
pub struct Figures {
    pub delivered: u64,
    pub dropped: u64,
    pub unknown: u64,
    pub received: u64,
    pub echoed: u64,
    pub held_back: u64,
    pub refused: u64,
    pub limit: u64,
}

impl Figures {
    /// As text that Prometheus reads. `established` and `pending` are the connections that were let in.
    pub fn text(&self, established: usize, pending: usize) -> String {
        let mut text = String::new();
        family(
            &mut text,
            "counter",
            "torque_host_verdicts_total",
            "Verdicts on the packets that this host sent, by what became of them.",
            &[
                ("{delivery=\"delivered\"}", self.delivered),
                ("{delivery=\"dropped\"}", self.dropped),
                ("{delivery=\"unknown\"}", self.unknown),
            ],
        );
        let help = "Packets received from connections.";
        family(&mut text, "counter", "torque_host_packets_received_total", help, &[("", self.received)]);
        let help = "Packets received, by whether they were sent back.";
        let by_fate = [("{echoed=\"yes\"}", self.echoed), ("{echoed=\"no\"}", self.held_back)];
        family(&mut text, "counter", "torque_host_echoes_total", help, &by_fate);
        let help = "Requests that this host refused.";
        family(&mut text, "counter", "torque_host_requests_refused_total", help, &[("", self.refused)]);
        let help = "Connections that were let in, by whether they are established already.";
        let by_state =
            [("{state=\"established\"}", established as u64), ("{state=\"pending\"}", pending as u64)];
        family(&mut text, "gauge", "torque_host_connections", help, &by_state);
        let help = "The most connections that are let in (--max).";
        family(&mut text, "gauge", "torque_host_connections_limit", help, &[("", self.limit)]);
        text
    }
}
