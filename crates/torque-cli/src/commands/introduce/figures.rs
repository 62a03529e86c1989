//! The counters of a lobby, for its metrics.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use torque_socket::{CloseCode, IntroducerStats, IntroductionResult};

use crate::metrics_listener::family;

/// The upper bounds of the classes of times, in milliseconds.
const CLASSES: [u64; 9] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];

/// Figures beside those of the socket.
#[derive(Default)]
pub struct Figures {
    pub refused: u64,
    pub introduced: u64,
    direct: u64,
    relayed: u64,
    became_direct: u64,
    /// By the name of the reason.
    failed: BTreeMap<&'static str, u64>,
    /// How many connections took at most the time of each class, and longer.
    times: [u64; CLASSES.len() + 1],
    time: Duration,
}

/// The figures of this moment.
pub struct Now {
    pub names: usize,
    pub connections: usize,
    pub connections_limit: u32,
}

impl Figures {
    /// Counts what became of an introduction.
    pub fn count(&mut self, result: IntroductionResult, took: Duration) {
        match result {
            IntroductionResult::Direct => self.direct += 1,
            IntroductionResult::Relayed => self.relayed += 1,
            IntroductionResult::BecameDirect => {
                self.became_direct += 1;
                return;
            }
            failed => {
                *self.failed.entry(failure_name(failed)).or_default() += 1;
                return;
            }
        }
        let class = CLASSES.iter().position(|most| took <= Duration::from_millis(*most));
        self.times[class.unwrap_or(CLASSES.len())] += 1;
        self.time += took;
    }

    /// As text that Prometheus reads.
    pub fn text(&self, now: &Now, stats: &IntroducerStats) -> String {
        let mut text = String::new();
        let mut add = |kind, name, help, values: &[(&str, u64)]| family(&mut text, kind, name, help, values);
        add("gauge", "torque_lobby_names", "Names that are registered.", &[("", now.names as u64)]);
        let help = "Connections of hosts and of those that ask.";
        add("gauge", "torque_lobby_connections", help, &[("", now.connections as u64)]);
        let help = "The most of them (--max).";
        add("gauge", "torque_lobby_connections_limit", help, &[("", now.connections_limit.into())]);
        let help = "Connections that this lobby refused.";
        add("counter", "torque_lobby_refused_total", help, &[("", self.refused)]);
        let help = "Introductions that this lobby began.";
        add("counter", "torque_lobby_introductions_total", help, &[("", self.introduced)]);
        let help = "Introductions that led to a connection, by its first path, by the word of the parties.";
        let by_path = [("{path=\"direct\"}", self.direct), ("{path=\"relayed\"}", self.relayed)];
        add("counter", "torque_lobby_connected_total", help, &by_path);
        let help = "Relayed connections that became direct.";
        add("counter", "torque_lobby_became_direct_total", help, &[("", self.became_direct)]);
        let failed: Vec<(String, u64)> =
            self.failed.iter().map(|(name, count)| (format!("{{reason=\"{name}\"}}"), *count)).collect();
        let failed: Vec<(&str, u64)> = failed.iter().map(|(label, count)| (label.as_str(), *count)).collect();
        let help = "Introductions that led to no connection, by reason.";
        add("counter", "torque_lobby_failed_total", help, &failed);
        add_relayed(&mut text, stats);
        self.add_times(&mut text);
        text
    }

    fn add_times(&self, text: &mut String) {
        let name = "torque_lobby_introduction_seconds";
        let help = "Time from the first request until the parties were connected, by their word.";
        family(text, "histogram", name, help, &[]);
        let mut count = 0;
        for (most, in_class) in CLASSES.iter().zip(self.times) {
            count += in_class;
            let most = *most as f64 / 1e3;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}_bucket{{le=\"{most}\"}} {count}");
        }
        count += self.times[CLASSES.len()];
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "{name}_sum {}\n{name}_count {count}", self.time.as_secs_f64());
    }
}

/// Adds what was relayed.
fn add_relayed(text: &mut String, stats: &IntroducerStats) {
    let mut add = |name, help, value| family(text, "counter", name, help, &[("", value)]);
    add(
        "torque_lobby_circuits_total",
        "Introductions for which this lobby offered to relay.",
        stats.circuits,
    );
    let help = "Introductions for which it did not, because it relayed for too many.";
    add("torque_lobby_circuits_refused_total", help, stats.too_many_circuits);
    add("torque_lobby_relayed_total", "Datagrams that this lobby passed on.", stats.relayed);
    add("torque_lobby_relayed_bytes_total", "Bytes of them.", stats.relayed_bytes);
    let help = "Datagrams that it did not pass on, because they were above --relay-rate.";
    add("torque_lobby_relay_throttled_total", help, stats.throttled);
    let help = "Datagrams that it did not pass on, because they were above --relay-rate-total.";
    add("torque_lobby_relay_over_budget_total", help, stats.over_budget);
}

/// The name of the reason why an introduction failed, `unknown` if neither party told what became of it.
pub fn failure_name(result: IntroductionResult) -> &'static str {
    match result {
        IntroductionResult::Failed(code) => code.name(),
        IntroductionResult::NeverAsked { .. } => CloseCode::RemoteNeverAsked.name(),
        _ => "unknown",
    }
}

/// The name of a result, for JSON.
pub fn result_name(result: IntroductionResult) -> &'static str {
    match result {
        IntroductionResult::Direct => "direct",
        IntroductionResult::Relayed => "relayed",
        IntroductionResult::BecameDirect => "became_direct",
        _ => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metrics_tell_results_reasons_and_times() {
        let mut figures = Figures::default();
        figures.count(IntroductionResult::Direct, Duration::from_millis(70));
        figures.count(IntroductionResult::Relayed, Duration::from_secs(60));
        figures.count(IntroductionResult::BecameDirect, Duration::from_secs(61));
        figures.count(IntroductionResult::Failed(CloseCode::NoPath), Duration::from_secs(25));
        let text = figures
            .text(&Now { names: 3, connections: 5, connections_limit: 9 }, &IntroducerStats::default());
        for line in [
            "torque_lobby_names 3",
            "torque_lobby_connected_total{path=\"direct\"} 1",
            "torque_lobby_connected_total{path=\"relayed\"} 1",
            "torque_lobby_became_direct_total 1",
            "torque_lobby_failed_total{reason=\"no_path\"} 1",
            "torque_lobby_introduction_seconds_bucket{le=\"0.05\"} 0",
            "torque_lobby_introduction_seconds_bucket{le=\"0.1\"} 1",
            "torque_lobby_introduction_seconds_bucket{le=\"30\"} 1",
            "torque_lobby_introduction_seconds_bucket{le=\"+Inf\"} 2",
            "torque_lobby_introduction_seconds_sum 60.07",
            "torque_lobby_introduction_seconds_count 2",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
    }
}
