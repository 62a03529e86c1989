//! Commands that end: whatever one side was told is delivered, the other side has shown.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]
#![cfg(unix)]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::{Host, event, lines, signal, torque};
use serde_json::Value;

/// The sequences of the events of one kind for which `is` holds.
fn sequences(told: &[Value], kind: &str, is: impl Fn(&Value) -> bool) -> BTreeSet<u64> {
    let of_kind = told.iter().filter(|object| object["event"] == kind && is(object));
    of_kind.map(|object| object["sequence"].as_u64().unwrap()).collect()
}

fn delivered(told: &[Value]) -> BTreeSet<u64> {
    sequences(told, "verdict", |verdict| verdict["delivery"] == "delivered")
}

fn shown(told: &[Value]) -> BTreeSet<u64> {
    sequences(told, "packet", |_| true)
}

/// A `torque connect` that sends 1,000 packets a second, and has the verdicts on 300 of them.
struct Client {
    child: Child,
    /// Reads the rest of its output as it comes: a client whose pipe is full stands still.
    rest: JoinHandle<String>,
}

impl Client {
    fn start(url: &str) -> Self {
        let mut child = torque()
            .args(["connect", url, "--count", "1000000", "--rate", "1000", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (mut text, mut verdicts) = (String::new(), 0);
        while verdicts < 300 {
            let before = text.len();
            assert!(out.read_line(&mut text).unwrap() > 0, "the client has ended: {text}");
            verdicts += usize::from(text[before..].contains("\"verdict\""));
        }
        let rest = thread::spawn(move || {
            out.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, rest }
    }

    fn end(mut self) -> Vec<Value> {
        let text = self.rest.join().unwrap();
        self.child.wait().unwrap();
        lines(&text)
    }
}

/// Nothing that one side was told is delivered is missing from what the other has shown, in both directions.
fn check(host: &[Value], client: &[Value]) {
    assert!(delivered(client).len() >= 300);
    for (there, here, who) in [(client, host, "the host"), (host, client, "the client")] {
        let missing: Vec<u64> = delivered(there).difference(&shown(here)).copied().collect();
        assert!(missing.is_empty(), "{who} never showed {missing:?}");
    }
    for told in [host, client] {
        let unknown = sequences(told, "verdict", |verdict| verdict["delivery"] == "unknown");
        assert!(unknown.is_empty(), "{unknown:?} are unknown");
    }
    let place = |name: &str| host.iter().position(|object| object["event"] == name).unwrap();
    assert_eq!(place("counters"), host.len() - 1, "the counters are the last word");
    assert!(place("closed") < place("counters"));
    let counters = &event(host, "counters")["protocol"];
    assert_eq!(counters["connections_closed"], 1, "they count what was told before them");
}

#[test]
fn a_host_that_is_interrupted_has_shown_what_it_reported_as_delivered() {
    for shards in ["1", "2"] {
        for _ in 0..3 {
            let host = Host::start(&["--verbose", "--shards", shards]);
            let client = Client::start(host.url());
            signal("INT", host.pid());
            let (code, host) = host.end();
            assert_eq!(code, Some(0));
            check(&host, &client.end());
        }
    }
}

#[test]
fn a_host_whose_time_is_over_has_shown_what_it_reported_as_delivered() {
    for _ in 0..2 {
        let host = Host::start(&["--verbose", "--seconds", "2"]);
        let client = Client::start(host.url());
        let (code, host) = host.end();
        assert_eq!(code, Some(0));
        check(&host, &client.end());
    }
}

#[test]
fn a_client_that_is_interrupted_has_shown_what_it_reported_as_delivered() {
    for _ in 0..2 {
        let host = Host::start(&["--verbose", "--once"]);
        let client = Client::start(host.url());
        signal("INT", client.child.id());
        let client = client.end();
        check(&host.end().1, &client);
    }
}

#[test]
fn the_round_trip_time_is_told_after_a_time_out_too() {
    let host = Host::start(&[]);
    let arguments = ["--count", "1000000", "--rate", "20", "--link", "delay=30", "--json"];
    let child = torque()
        .args([&["connect", host.url()][..], &arguments].concat())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_secs(2));
    signal("KILL", host.pid());
    let told = lines(&String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap());
    assert!(event(&told, "error")["message"].as_str().unwrap().contains("timed_out"));
    // 30 ms each way are 60 there and back.
    assert!(event(&told, "summary")["rtt_ms"].as_f64().unwrap() >= 60.0, "{}", event(&told, "summary"));
}
