//! Operating a host: metrics, logs, limits, and errors at the start.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
#[cfg(target_os = "linux")]
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Directory, Host, ended, event, finish, get, json, lines, output, run_to, torque};
#[cfg(unix)]
use torque_socket::{CloseCode, Event};
use torque_socket::{Credential, KeyPair, Socket};

#[test]
fn metrics_are_served_over_http() {
    let host = Host::start(&["--metrics", "127.0.0.1:0"]);
    json(0, &["connect", host.url(), "--send", "x"]);
    let answer = get(&host, "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\ntorque_connections_established_total 1\n"), "{answer}");
    assert!(get(&host, "/elsewhere").starts_with("HTTP/1.1 404"));
}

/// The samples of a text of metrics, after checking what Prometheus asks of it: every family says once what it is
/// and of which type, before its samples; counters end in `_total`, and nothing else does.
fn samples(text: &str) -> BTreeMap<String, u64> {
    let (mut samples, mut kinds, mut helped) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.ends_with('.') && !helped.contains(&name), "{line}");
            helped.push(name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(helped.last(), Some(&name), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(["counter", "gauge"].contains(&kind) && kinds.insert(name, kind).is_none(), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line}");
            let family = name.split('{').next().unwrap();
            assert_eq!(helped.last(), Some(&family), "{line}");
        }
    }
    samples
}

#[test]
fn metrics_show_verdicts_connections_and_difficulty() {
    for shards in ["1", "2"] {
        let host = Host::start(&["--metrics", "127.0.0.1:0", "--shards", shards, "--max", "7"]);
        let mut client = torque()
            .args(["connect", host.url(), "--count", "1000000", "--rate", "200", "--json"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            assert!(Instant::now() < end, "no verdicts");
            let answer = get(&host, "/metrics");
            let (_, text) = answer.split_once("\r\n\r\n").unwrap();
            let samples = samples(text);
            let figure =
                |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name} is missing: {text}"));
            if figure("torque_host_verdicts_total{delivery=\"delivered\"}") >= 20 {
                for (name, value) in [
                    ("torque_connections", 1),
                    ("torque_host_connections{state=\"established\"}", 1),
                    ("torque_host_connections{state=\"pending\"}", 0),
                    ("torque_host_connections_limit", 7),
                    ("torque_host_verdicts_total{delivery=\"dropped\"}", 0),
                    ("torque_host_verdicts_total{delivery=\"unknown\"}", 0),
                    ("torque_puzzle_difficulty", 4),
                    ("torque_io_receive_buffer_full_total", 0),
                ] {
                    assert_eq!(figure(name), value, "{name}");
                }
                assert!(figure("torque_host_packets_received_total") >= 20);
                break;
            }
        }
        client.kill().unwrap();
        client.wait().unwrap();
    }
}

#[test]
fn clients_that_are_slow_keep_nobody_from_the_metrics() {
    let host = Host::start(&["--metrics", "127.0.0.1:0"]);
    let place = host.listening["metrics"].as_str().unwrap();
    // One that says nothing, one that never ends its request, one that does not read the answer.
    let mut slow: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(place).unwrap()).collect();
    slow[1].write_all(b"GET /metrics HTTP/1.1\r\nX: ").unwrap();
    slow[2].write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    for _ in 0..3 {
        assert!(get(&host, "/metrics").starts_with("HTTP/1.1 200"));
    }
    // A byte now and then does not make the time longer that one may take.
    let mut byte_by_byte = TcpStream::connect(place).unwrap();
    byte_by_byte.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while byte_by_byte.write_all(b"a").is_ok() {
        assert!(Instant::now() < end, "it is never sent away");
        if byte_by_byte.read(&mut [0; 64]).is_ok() {
            break;
        }
    }
    assert!(get(&host, "/metrics").starts_with("HTTP/1.1 200"));
}

#[cfg(target_os = "linux")]
#[test]
fn one_address_does_not_keep_others_from_the_metrics() {
    let host = Host::start(&["--metrics", "[::]:0"]);
    let place: SocketAddr = host.listening["metrics"].as_str().unwrap().parse().unwrap();
    // Idle connections of one address, while another address asks.
    let idle: Vec<_> = (0..32).map(|_| TcpStream::connect((Ipv6Addr::LOCALHOST, place.port()))).collect();
    if idle.iter().any(Result::is_err) {
        return common::skip("there is no IPv6");
    }
    let mut other = TcpStream::connect((Ipv4Addr::LOCALHOST, place.port())).unwrap();
    other.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = other.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_host_without_descriptors_waits_and_serves_metrics_again_afterwards() {
    let host = Host::start(&["--metrics", "127.0.0.1:0"]);
    let limit = |number: &str| {
        let pid = host.pid().to_string();
        let set = std::process::Command::new("prlimit")
            .args(["--pid", &pid, &format!("--nofile={number}:")])
            .status();
        set.is_ok_and(|status| status.success())
    };
    let ticks = || {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", host.pid())).unwrap();
        let after_name = text.rsplit_once(')').unwrap().1;
        after_name
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|number| number.parse::<u64>().unwrap())
            .sum::<u64>()
    };
    assert!(get(&host, "/metrics").starts_with("HTTP/1.1 200"));
    // No new descriptor from here on.
    if !limit("3") {
        return common::skip("prlimit cannot change the number of descriptors");
    }
    // The kernel has set one aside for the connection that the listener waits for. That one gets no answer for two
    // seconds, as it does not ask; for the next there is none.
    let waiting = TcpStream::connect(host.listening["metrics"].as_str().unwrap()).unwrap();
    std::thread::sleep(Duration::from_millis(2_500));
    let before = ticks();
    std::thread::sleep(Duration::from_secs(2));
    // In hundredths of a second: a loop that does not wait takes all of them.
    assert!(ticks() - before < 50, "it spins: {} of 200", ticks() - before);
    assert!(limit("256"));
    drop(waiting);
    assert!(get(&host, "/metrics").starts_with("HTTP/1.1 200"));
}

#[test]
fn connect_data_is_logged_only_if_that_is_asked_for() {
    for (arguments, is_shown) in [(&[][..], false), (&["--log-connect-data"][..], true)] {
        for is_json in [true, false] {
            let host = Host::start(&[&["--once", "--require-data", "the secret word"], arguments].concat());
            let url = host.url().to_owned();
            if is_json {
                json(0, &["connect", &url, "--send", "x", "--data", "the secret word"]);
                let (_, told) = host.end();
                let request = event(&told, "request");
                assert_eq!(request["connect_data_bytes"], 15);
                assert_eq!(
                    told.iter().any(|object| object.to_string().contains("secret")),
                    is_shown,
                    "{request}"
                );
                continue;
            }
            // The lines for people, and what the protocol itself logs.
            let mut command = torque();
            command
                .env("RUST_LOG", "trace")
                .args(["host", "--bind", "127.0.0.1:0", "--once"])
                .args(arguments);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut out = child.stdout.take().unwrap();
            let mut text = String::new();
            while !text.contains("torque://") || !text.ends_with('\n') {
                let mut part = [0; 1_024];
                let length = out.read(&mut part).unwrap();
                assert!(length > 0, "{text}");
                text.push_str(str::from_utf8(&part[..length]).unwrap());
            }
            let url = text.split_whitespace().find(|word| word.starts_with("torque://")).unwrap().to_owned();
            json(0, &["connect", &url, "--send", "x", "--data", "the secret word"]);
            out.read_to_string(&mut text).unwrap();
            child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            ended(&mut child);
            assert!(text.contains("established"), "{text}");
            assert_eq!(text.contains("secret"), is_shown, "{text}");
        }
    }
}

#[test]
fn events_have_time_level_and_ids_and_the_environment_filters_them() {
    let told_by = |filter: Option<&str>| {
        let mut command = torque();
        command.args(["host", "--bind", "127.0.0.1:0"]);
        if let Some(filter) = filter {
            command.env("RUST_LOG", filter);
        }
        let host = Host::start_with(command, &["--once"]);
        json(0, &["connect", host.url(), "--send", "x"]);
        host.end().1
    };
    let of =
        |told: &[serde_json::Value], name: &str| told.iter().filter(|object| object["event"] == name).count();

    let told = told_by(None);
    let id = event(&told, "request")["connection"].as_str().unwrap();
    for name in ["request", "established", "closed"] {
        let one = event(&told, name);
        assert_eq!((one["level"].as_str(), one["connection"].as_str()), (Some("info"), Some(id)), "{one}");
        let time = one["time"].as_str().unwrap();
        assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");
    }
    assert_eq!(of(&told, "packet"), 0);
    let told = told_by(Some("debug"));
    assert_eq!((of(&told, "packet"), of(&told, "verdict")), (1, 1));
    // A filter of other programs' logs leaves the command's own as they are.
    for others in ["hyper=debug", "torque_proto=error"] {
        let told = told_by(Some(others));
        assert_eq!((of(&told, "closed"), of(&told, "packet")), (1, 0), "{others}");
    }
    assert_eq!(of(&told_by(Some("torque=off")), "closed"), 0);
    let told = told_by(Some("warn"));
    assert_eq!((of(&told, "request"), of(&told, "closed"), of(&told, "counters")), (0, 0, 1));
    // What was meant for another program stops nothing.
    assert_eq!(of(&told_by(Some("other[span]=nonsense")), "closed"), 1);

    let arguments = ["connect", "127.0.0.1:9", "--send", "x", "--trust-anyone", "--timeout", "1"];
    let output = output(torque().env("RUST_LOG", "torque_proto=debug").args(arguments));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("DEBUG torque_proto: connecting"), "{text}");
}

#[test]
fn the_commands_own_level_is_not_that_of_the_libraries() {
    for (filter, is_shown) in [
        ("torque=trace", false),
        ("torque", false),
        ("torque=trace,torque_proto=debug", true),
        ("torque=trace,debug", true),
    ] {
        let arguments = ["connect", "127.0.0.1:9", "--send", "x", "--trust-anyone", "--timeout", "1"];
        let output = output(torque().env("RUST_LOG", filter).args(arguments));
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.contains("torque_proto"), is_shown, "{filter}: {text}");
    }
}

#[test]
fn a_flood_of_refused_requests_is_told_in_summary() {
    let host = Host::start(&["--require-data", "sesame", "--seconds", "8"]);
    let clients: Vec<_> = (0..30)
        .map(|_| {
            let mut command = torque();
            command.args(["connect", host.url(), "--send", "x", "--json"]);
            command.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut client in clients {
        assert_eq!(ended(&mut client).code(), Some(4));
    }
    let (_, told) = host.end();
    let singly = told.iter().filter(|object| object["event"] == "request").count() as u64;
    let more = told.iter().filter(|object| object["event"] == "refused_more");
    assert_eq!(singly + more.map(|object| object["count"].as_u64().unwrap()).sum::<u64>(), 30, "{told:?}");
}

#[cfg(unix)]
#[test]
fn the_last_refused_requests_are_told_before_the_host_ends() {
    for (level, shown) in [("warn", 12), ("error", 0)] {
        let mut command = torque();
        command.env("RUST_LOG", level).args(["host", "--bind", "127.0.0.1:0"]);
        let host = Host::start_with(command, &["--require-data", "sesame"]);
        let mut client = Socket::client().unwrap();
        for _ in 0..12 {
            client.connect(host.url(), None).unwrap();
            let event = client.wait_event(Duration::from_secs(20));
            assert!(matches!(event, Some(Event::Close { code: CloseCode::Refused, .. })), "{event:?}");
        }
        common::signal("TERM", host.pid());
        let (_, told) = host.end();
        let singly = told.iter().filter(|object| object["event"] == "request").count() as u64;
        let more = told.iter().filter(|object| object["event"] == "refused_more");
        let all = singly + more.map(|object| object["count"].as_u64().unwrap()).sum::<u64>();
        assert_eq!(all, shown, "{told:?}");
    }
}

#[test]
fn a_connection_that_was_let_in_is_pending_until_it_is_established() {
    let host = Host::start(&["--metrics", "127.0.0.1:0"]);
    let mut client = Socket::client().unwrap();
    client.connect(host.url(), None).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        assert!(Instant::now() < end, "never pending");
        client.poll();
        // The client takes no answer meanwhile. The first text may be of the turn before the request.
        get(&host, "/metrics");
        let text = get(&host, "/metrics");
        if text.contains("torque_host_connections{state=\"pending\"} 1\n") {
            break;
        }
        assert!(!text.contains("torque_host_connections{state=\"established\"} 1\n"), "{text}");
    }
    while client.wait_event(Duration::from_millis(5)).is_none() {
        assert!(Instant::now() < end, "never established");
    }
    until_established(&host, 1);
    assert!(get(&host, "/metrics").contains("torque_host_connections{state=\"pending\"} 0\n"));
}

#[test]
fn a_credential_that_nobody_would_take_is_noticed_at_the_start() {
    let directory = Directory::new();
    let [mine, other, credential] = ["mine.key", "other.key", "credential"].map(|name| directory.file(name));
    let public = |path: &str| -> torque_socket::PublicKey {
        event(&json(0, &["keygen", "--out", path]), "key")["public_key"].as_str().unwrap().parse().unwrap()
    };
    let key = public(&mine);
    run_to(0, &["keygen", "--out", &other]);
    let write = |expires: u64| {
        let signed = Credential::sign(&KeyPair::from_seed([9; 32]), key, expires, "pond").unwrap();
        let digits: String = signed.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(&credential, digits).unwrap();
    };
    for command in [&["host", "--bind", "127.0.0.1:0", "--seconds", "1"][..], &["connect", "127.0.0.1:9"]] {
        for (key, expires, what) in [(&other, u64::MAX, "another key"), (&mine, 1_000_000_000, "expired")] {
            write(expires);
            let arguments = [command, &["--key", key, "--credential", &credential]].concat();
            let told = json(2, &arguments);
            let message = event(&told, "error")["message"].as_str().unwrap();
            assert!(message.contains(what), "{message}");
        }
    }
    write(u64::MAX);
    let good = ["--bind", "127.0.0.1:0", "--seconds", "1", "--key", &mine, "--credential", &credential];
    json(0, &[&["host"][..], &good].concat());
}

/// Waits until this number of connections is established.
fn until_established(host: &Host, connections: usize) {
    let sample = format!("torque_host_connections{{state=\"established\"}} {connections}\n");
    let end = Instant::now() + Duration::from_secs(20);
    while !get(host, "/metrics").contains(&sample) {
        assert!(Instant::now() < end, "never {connections} connections");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_host_accepts_no_more_than_its_limit_and_says_that_it_is_full() {
    let host = Host::start(&["--max", "2", "--metrics", "127.0.0.1:0"]);
    let first: Vec<_> = (0..2)
        .map(|_| {
            let mut command = torque();
            command.args(["connect", host.url(), "--json"]).stdin(Stdio::piped()).stdout(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    until_established(&host, 2);
    let found = json(0, &["query", host.address()]);
    assert_eq!(
        (&event(&found, "host")["players"], &event(&found, "host")["max_players"]),
        (&2.into(), &2.into())
    );
    let told = json(4, &["connect", host.url(), "--send", "x"]);
    assert!(event(&told, "error")["message"].as_str().unwrap().contains("the host is full"));
    for mut client in first {
        drop(client.stdin.take());
        let output = finish(client);
        assert!(output.status.success(), "{:?}", lines(&String::from_utf8(output.stdout).unwrap()));
    }
    json(0, &["connect", host.url(), "--send", "x"]);
}

#[test]
fn one_network_takes_no_more_connections_than_the_option_says() {
    let host = Host::start(&["--max-per-network", "1", "--metrics", "127.0.0.1:0"]);
    let mut command = torque();
    command.args(["connect", host.url(), "--json"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut first = command.spawn().unwrap();
    until_established(&host, 1);
    let told = json(4, &["connect", host.url(), "--send", "x", "--timeout", "1"]);
    assert!(event(&told, "error")["message"].as_str().unwrap().contains("busy"), "{told:?}");
    drop(first.stdin.take());
    assert!(ended(&mut first).success());
}
