//! Counters and gauges as text that Prometheus and its like read.

use std::fmt::Write;

use torque_proto::Stats;

use crate::io::IoStats;

/// Figures that rise and fall.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Gauges {
    /// Established connections.
    pub(crate) connections: usize,
    /// Bits of puzzle that a request is asked for.
    pub(crate) difficulty: u8,
}

impl Gauges {
    /// Those of a socket that is made of several.
    pub(crate) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.difficulty = self.difficulty.max(other.difficulty);
    }
}

/// Each counter as `torque_<name>_total`, those of the driver as `torque_io_<name>_total`, then the gauges.
pub(crate) fn text(stats: &Stats, io: &IoStats, gauges: Gauges) -> String {
    let mut text = String::new();
    for (name, value) in stats.iter() {
        add(&mut text, "counter", &format!("{name}_total"), help(name), value);
    }
    for ((name, value), help) in io.iter().zip(IoStats::help()) {
        add(&mut text, "counter", &format!("io_{name}_total"), help, value);
    }
    let Gauges { connections, difficulty } = gauges;
    add(&mut text, "gauge", "connections", "Established connections.", connections as u64);
    let help = "Bits of client puzzle that a connect request is asked for; of several shards the most.";
    add(&mut text, "gauge", "puzzle_difficulty", help, difficulty.into());
    text
}

fn add(text: &mut String, kind: &str, name: &str, help: &str, value: u64) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP torque_{name} {help}\n# TYPE torque_{name} {kind}\ntorque_{name} {value}");
}

/// The description of a protocol's counter. A counter that is missing here gets its name, and a test tells.
fn help(name: &'static str) -> &'static str {
    match name {
        "datagrams_received" => "Datagrams handed in.",
        "bytes_received" => "Bytes of them.",
        "datagrams_sent" => "Datagrams handed out.",
        "bytes_sent" => "Bytes of them.",
        "malformed" => "Datagrams that are not of the shape of their kind.",
        "reserved_kind" => "Datagrams of a kind that is not used.",
        "unknown_address" => "Packets from an address that no connection has.",
        "stray_handshake" => "Handshake messages, and echoes of probes, that nobody waits for.",
        "reflected" => "Our own datagrams, come back.",
        "not_accepting" => "Requests, and probes of strangers, while `accept_incoming` is off.",
        "version_mismatch" => "Challenge requests of another protocol version.",
        "application_mismatch" => "Challenge requests of another application.",
        "no_common_cipher" => "Challenge requests without a cipher that is allowed.",
        "challenges_answered" => "Challenges answered.",
        "probes_answered" => "Probes echoed.",
        "stale_epoch" => "Connect requests whose epoch is over.",
        "false_token" => "Connect requests with an identity token that was not made for them.",
        "difficulty_too_low" => "Connect requests below the difficulty that is asked now.",
        "false_solution" => "Connect requests with a wrong puzzle solution.",
        "replayed_token" => "Connect requests with a token that was used before.",
        "busy" => "Connect requests for which a table, or their source's share of it, had no room.",
        "given_up" => {
            "Pending connections given up for another source, because theirs held most of a full table."
        }
        "bad_request" => "Connect requests that paid, but do not decrypt or carry a bad key.",
        "changed_request" => "Connect requests that differ from the one they repeat.",
        "unknown_introduction" => "Connect requests with an introduction that does not exist.",
        "origin_refused" => "Connect requests refused because of their origin.",
        "origin_token_bad" => "Connect requests with an origin token that is not to be believed.",
        "repeated_too_soon" => "Repeated requests that came too soon after an answer.",
        "crossed_request" => {
            "Requests that crossed an attempt of our own to the same address, which goes on instead."
        }
        "bad_challenge" => {
            "Challenge responses that were ignored (signature, key, version, cipher or difficulty)."
        }
        "bad_reply" => "Accepts, refusals and pending messages that do not open.",
        "rejects_heard" => "Rejects heard; they are hints without authentication.",
        "forged" => "Packets whose tag is wrong. Many of them mean that somebody is trying.",
        "late_or_duplicate" => "Packets that were late or duplicates.",
        "no_keys" => "Packets of a generation for which there are no keys.",
        "displacing" => "Packets that came while a connection waits to take another one's place.",
        "queue_full" => "Packets not taken because the application's queue was full.",
        "info_received" => "Info packets given to the application.",
        "info_dropped" => "Info packets dropped because their queue was full.",
        "info_sent" => "Info packets sent.",
        "punches_sent" => "Punches sent, to open, check, keep and answer paths.",
        "punches_not_sent" => "Punches left out because too many were sent.",
        "punches_received" => "Authentic punches.",
        "punches_refused" => "Punches that are not authentic, or of no connection.",
        "relayed_refused" => "Relayed datagrams of no circuit, or that no circuit carries.",
        "who_are_you_sent" => "Senders from an unknown address that were asked who they are.",
        "resets_sent" => "Resets sent for connections that this host does not know.",
        "resets_refused" => "Resets that say nothing about a connection here.",
        "paths_changed" => "Changes of the path that a connection takes.",
        "transmits_dropped" => "Outgoing datagrams dropped because too many waited.",
        "connections_started" => "Connections begun by this side.",
        "connections_requested" => "Requests shown to the application.",
        "connections_established" => "Connections established.",
        "connections_closed" => "Close events told.",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_says_what_it_counts() {
        for (name, _) in Stats::default().iter() {
            assert_ne!(help(name), name, "metrics::help has no text for {name}");
        }
        assert_eq!(IoStats::help().count(), IoStats::default().iter().count());
        assert!(IoStats::help().all(|help| help.ends_with('.') && !help.contains('\n')));
    }
}
