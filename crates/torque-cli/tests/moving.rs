//! What the commands tell when an address changes, or a host is restarted.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;
#[path = "../../torque-socket/tests/common/nat.rs"]
mod nat;

use common::{Directory, Host, Running, event, run, torque};
use nat::Nat;

#[test]
fn both_sides_tell_of_another_path_and_go_on() {
    for command in [&["connect", "--rate", "50"][..], &["ping", "--interval", "0.02"]] {
        let host = Host::start(&["--once"]);
        let nat = Nat::to(host.address().parse().unwrap());
        let url = format!("torque://{}@{}", host.key(), nat.inner());
        let mut client = Running::start(&[command, &[&url, "--count", "250"]].concat());
        client.until(if command[0] == "ping" { "echo" } else { "verdict" });
        let host_moved = nat.rebind_host();
        client.until("path_changed");
        let client_moved = nat.rebind();
        let (code, told) = client.end();
        assert_eq!(code, Some(0), "{told:?}");
        let change = event(&told, "path_changed");
        assert_eq!(change["remote"], host_moved.to_string());
        assert!(change["rtt_ms"].is_number(), "{change}");
        assert!(event(&told, "summary")["delivered"].as_u64().unwrap() > 100, "{told:?}");
        let (_, told) = host.end();
        let change = event(&told, "path_changed");
        assert_eq!(change["remote"], client_moved.to_string());
        assert!(event(&told, "counters")["protocol"]["paths_changed"].as_u64().unwrap() >= 1);
    }
}

/// A client that was sending when its host was killed, which says goodbye to nobody. The host is back at the same address, with
/// the same key and these arguments.
fn with_restarted_host(arguments: &[&str]) -> (Running, Host) {
    let directory = Directory::new();
    let key = directory.file("host.key");
    let host = Host::start(&["--key", &key]);
    let address = host.address().to_owned();
    let mut client = Running::start(&["connect", host.url(), "--rate", "50", "--count", "1000000"]);
    client.until("verdict");
    drop(host);
    let mut again = torque();
    again.args(["host", "--bind", &address, "--key", &key]);
    (client, Host::start_with(again, arguments))
}

#[test]
fn a_client_is_told_that_its_host_was_restarted() {
    let (client, _host) = with_restarted_host(&[]);
    let (code, told) = client.end();
    let error = event(&told, "error");
    assert_eq!((code, &error["error"]), (Some(3), &"no_answer".into()), "{told:?}");
    assert!(error["message"].as_str().unwrap().contains("host_restarted"), "{error}");
    assert!(error["next"].as_str().unwrap().contains("connect again"), "{error}");
}

#[test]
fn a_host_whose_key_others_use_does_not_speak_for_them() {
    let (_client, host) = with_restarted_host(&["--shared-key", "--seconds", "3"]);
    let (_, told) = host.end();
    let counters = &event(&told, "counters")["protocol"];
    assert!(counters["who_are_you_sent"].as_u64().unwrap() > 0, "{counters}");
    assert_eq!(counters["resets_sent"], 0);
}

#[test]
fn sharing_a_key_needs_a_stored_one() {
    assert_eq!(run(&["host", "--shared-key"]).status.code(), Some(2));
}
