//! Commands that end: whatever one side was told is delivered, the other side has shown.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]
#![cfg(unix)]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{Host, LIMIT, Running, ended, event, lines, signal, torque};
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
fn start_client(url: &str) -> Running {
    let mut client = Running::start(&["connect", url, "--count", "1000000", "--rate", "1000"]);
    for _ in 0..300 {
        client.until("verdict");
    }
    client
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
            let client = start_client(host.url());
            signal("INT", host.pid());
            let (code, host) = host.end();
            assert_eq!(code, Some(0));
            check(&host, &client.end().1);
        }
    }
}

#[test]
fn a_host_whose_time_is_over_has_shown_what_it_reported_as_delivered() {
    for _ in 0..2 {
        let host = Host::start(&["--verbose", "--seconds", "2"]);
        let client = start_client(host.url());
        let (code, host) = host.end();
        assert_eq!(code, Some(0));
        check(&host, &client.end().1);
    }
}

#[test]
fn a_client_that_is_interrupted_has_shown_what_it_reported_as_delivered() {
    for _ in 0..2 {
        let host = Host::start(&["--verbose", "--once"]);
        let client = start_client(host.url());
        signal("INT", client.pid());
        let (_, client) = client.end();
        check(&host.end().1, &client);
    }
}

#[test]
fn the_round_trip_time_is_told_after_a_time_out_too() {
    let host = Host::start(&[]);
    let arguments = ["--count", "1000000", "--rate", "20", "--link", "delay=30"];
    let client = Running::start(&[&["connect", host.url()][..], &arguments].concat());
    thread::sleep(Duration::from_secs(2));
    signal("KILL", host.pid());
    let (_, told) = client.end();
    assert!(event(&told, "error")["message"].as_str().unwrap().contains("timed_out"));
    // 30 ms each way are 60 there and back.
    assert!(event(&told, "summary")["rtt_ms"].as_f64().unwrap() >= 60.0, "{}", event(&told, "summary"));
}

#[test]
fn a_query_that_is_interrupted_ends_and_says_so() {
    // Somebody who never answers.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_read_timeout(Some(LIMIT)).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let query = Running::start(&["query", &address, "--wait", "3600"]);
    // Until the pauses between its questions are longer than a glance.
    for _ in 0..4 {
        silent.recv(&mut [0; 2_048]).unwrap();
    }
    signal("INT", query.pid());
    let (code, told) = query.end();
    let message = event(&told, "error")["message"].as_str().unwrap();
    assert!(message.contains("stopped") && code == Some(1), "{message}");
    // It asks no more once it was stopped.
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut [0; 2_048]).is_err());
}

#[test]
fn a_host_whose_output_nobody_reads_any_more_closes_its_connections() {
    // The delay keeps a close from leaving with the last breath.
    let mut host = torque()
        .args(["host", "--bind", "127.0.0.1:0", "--verbose", "--link", "delay=20", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(host.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    let url = lines(&first)[0]["url"].as_str().unwrap().to_owned();
    let is_read = Arc::new(AtomicBool::new(true));
    let reads = Arc::clone(&is_read);
    let reader = thread::spawn(move || {
        let mut line = String::new();
        while reads.load(Ordering::Relaxed) {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "the host has ended");
        }
    });
    let client = start_client(&url);
    is_read.store(false, Ordering::Relaxed);
    reader.join().unwrap();
    let (_, told) = client.end();
    let message = event(&told, "error")["message"].as_str().unwrap();
    assert!(message.contains("closed") && !message.contains("timed_out"), "{message}");
    assert_eq!(ended(&mut host).code(), Some(1));
}

#[test]
fn packets_of_a_ping_whose_verdict_is_unknown_are_not_told_as_dropped() {
    let host = Host::start(&[]);
    let mut ping = Running::start(&["ping", host.url(), "-i", "0.05"]);
    ping.until("echo");
    signal("KILL", host.pid());
    let (_, told) = ping.end();
    let of = |name: &str| told.iter().filter(|object| object["event"] == name).count();
    let summary = event(&told, "summary");
    assert!(summary["unknown"].as_u64().unwrap() > 0, "{summary}");
    for verdict in ["unknown", "dropped"] {
        assert_eq!(summary[verdict], of(verdict), "{verdict}");
    }
}

#[test]
fn lines_that_cannot_be_sent_yet_are_not_read() {
    let host = Host::start(&[]);
    let mut client = Running::start(&["connect", host.url()]);
    client.until("established");
    // The host takes nothing more, so the window fills.
    signal("STOP", host.pid());
    let mut input = client.child.stdin.take().unwrap();
    let (sender, all_read) = std::sync::mpsc::channel();
    thread::spawn(move || {
        if input.write_all(&b"0123456789\n".repeat(1_000_000)).is_ok() {
            let _ = sender.send(());
        }
    });
    assert!(all_read.recv_timeout(Duration::from_secs(3)).is_err(), "it has read a million lines");
}
