//! Counters and gauges as text that Prometheus and its like read.

use std::fmt::Write;

use torque_proto::{IntroducerStats, PartyStats, Stats};

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

/// A counter of introductions: name, meaning, value.
pub(crate) type Counter = (&'static str, &'static str, u64);

macro_rules! counters {
    ($of:expr, $prefix:literal, $($field:ident => $help:literal,)*) => {
        [$((concat!($prefix, stringify!($field)), $help, $of.$field),)*]
    };
}

/// The counters of a socket that introduces others, or is introduced.
pub(crate) fn introductions(introducer: &IntroducerStats, party: &PartyStats) -> Vec<Counter> {
    let introducer = counters! { introducer, "introducer_",
        requests => "Requests taken.",
        completed => "Introductions of which both parties were told.",
        refused => "Requests that the application refused.",
        never_asked => "Introductions that ended because a party did not ask in time.",
        undecided => "Introductions that ended because the application did not answer in time.",
        role_conflicts => "Introductions that ended because both parties were host or both initiator, or not what the application had said.",
        withdrawn => "Attempts that parties withdrew.",
        gave_way => "Introductions that the application had not approved, and that gave way to newer ones.",
        too_many => "Introductions that found no room.",
        too_many_requests => "Requests, and messages that ask for tokens, above the rate of a connection.",
        stale_requests => "Requests of an attempt that was answered, or that is about another party.",
        unknown_attempt => "Messages of an attempt that is not known, or no longer.",
        malformed => "Messages of a wrong shape.",
        unwanted => "Messages that nobody asked for, such as those that are the introducer's to send.",
        vetted_away => "Candidates of parties that were not passed on.",
        candidates_passed => "Changed candidates that were passed on.",
        candidates_delayed => "Changes of candidates that had to wait, because a connection had more than it may.",
        looks => "Looks at the NATs of parties.",
        nats_unknown => "Looks that came to no conclusion: tokens were missing.",
        nats_independent => "NATs found whose port does not depend on the destination.",
        nats_sequential => "NATs found whose ports rise with each destination.",
        nats_unpredictable => "NATs found whose ports cannot be foreseen.",
        tokens => "Tokens given to parties.",
        tokens_refused => "Messages that asked for tokens where none are given.",
        observes => "Datagrams that showed where a token comes from.",
        observes_repeated => "Copies of them.",
        observes_refused => "Datagrams with a token that is not known, or from or to an address that is not the token's.",
        circuits => "Circuits granted.",
        too_many_circuits => "Circuits that were not granted because there were too many.",
        relayed => "Datagrams passed on.",
        relayed_bytes => "Bytes of them.",
        unknown_circuit => "Datagrams for a circuit that does not exist.",
        not_relayable => "Datagrams of a size or kind that no circuit carries.",
        throttled => "Datagrams above the rate of their circuit.",
        used_up => "Datagrams of a circuit that had carried all that it may.",
        over_budget => "Datagrams above the budget of all circuits.",
    };
    let left_out = counters! { party.punches_not_sent, "party_punches_not_sent_",
        in_all => "Punches of introductions left out: too many in a second.",
        of_introducer => "Punches of introductions left out: too many in a second because of one introducer.",
        to_network => "Punches of introductions left out: too many to one network.",
        networks => "Punches of introductions left out: to too many networks.",
    };
    let party = counters! { party, "party_",
        begun => "Attempts begun.",
        introduced => "Other parties that were made known.",
        ended => "Attempts that ended without a connection.",
        messages_ignored => "Messages of no attempt, or that are not laid out as they should be, or out of place.",
        introductions_refused => "Introductions that cannot be true.",
        circuits_throttled => "Word that a circuit carried more than it may.",
        punches_sent => "Punches sent.",
        punches_received => "Authentic punches.",
        answers_not_sent => "Answers left out: too many were asked for.",
        runs => "Runs begun against NATs that depend on the destination.",
        runs_met => "Runs that ended because a direct path was found.",
        run_punches => "Punches of runs. Those in attempts are among punches_sent.",
        ports_opened => "Further ports opened for runs.",
    };
    introducer.into_iter().chain(party).chain(left_out).collect()
}

/// Adds the counters of another socket, for one that is made of several.
pub(crate) fn add_introductions(sum: &mut Vec<Counter>, other: Vec<Counter>) {
    if sum.is_empty() {
        *sum = other;
        return;
    }
    for ((.., sum), (.., other)) in sum.iter_mut().zip(other) {
        *sum = sum.saturating_add(other);
    }
}

/// Each counter as `torque_<name>_total`, those of the driver as `torque_io_<name>_total`, those of introductions as
/// `torque_introducer_<name>_total` and `torque_party_<name>_total`, then the gauges.
pub(crate) fn text(stats: &Stats, io: &IoStats, introductions: &[Counter], gauges: Gauges) -> String {
    let mut text = String::new();
    for (name, value) in stats.iter() {
        add(&mut text, "counter", &format!("{name}_total"), help(name), value);
    }
    for ((name, value), help) in io.iter().zip(IoStats::help()) {
        add(&mut text, "counter", &format!("io_{name}_total"), help, value);
    }
    for (name, help, value) in introductions {
        add(&mut text, "counter", &format!("{name}_total"), help, *value);
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
        "introductions_not_told" => {
            "Requests to be introduced of which the application was not told: its queue was full."
        }
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
        let (introducer, party) = (IntroducerStats::default(), PartyStats::default());
        let introductions = introductions(&introducer, &party);
        // The nested ones have a line each, and their parent has none.
        let fields = format!("{introducer:?}{party:?}").matches(": ").count() - 1;
        assert_eq!(introductions.len(), fields);
        assert!(introductions.iter().all(|(_, help, _)| help.ends_with('.')));
        assert_eq!(IoStats::help().count(), IoStats::default().iter().count());
        assert!(IoStats::help().all(|help| help.ends_with('.') && !help.contains('\n')));
    }
}
