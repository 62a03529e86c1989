//! Hosts, connections, pings and queries, all on loopback with the real command.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::io::Write;
use std::net::UdpSocket;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Directory, Host, event, finish, get, json, lines, run_to, start};
use serde_json::Value;
use torque_socket::identity::origin::{EXTENSION_ORIGIN, OriginClaims, sign_origin};
use torque_socket::{CloseCode, ConnectOptions, Event, Extension, KeyPair, Socket};

#[test]
fn what_is_sent_comes_back_and_every_packet_has_its_verdict() {
    let host = Host::start(&["--once", "--accept-data", "welcome"]);
    let told = json(0, &["connect", host.url(), "--send", "hello", "--send", "world"]);
    assert_eq!(event(&told, "established")["accept_data"], "welcome");
    let of = |name: &str| told.iter().filter(|object| object["event"] == name).collect::<Vec<_>>();
    let texts: Vec<_> = of("packet").iter().map(|packet| packet["text"].clone()).collect();
    assert_eq!(texts, ["hello", "world"]);
    assert!(of("verdict").iter().all(|verdict| verdict["delivery"] == "delivered"));
    let summary = event(&told, "summary");
    assert_eq!(
        (&summary["sent"], &summary["delivered"], &summary["received"]),
        (&2.into(), &2.into(), &2.into())
    );
    let (code, told) = host.end();
    assert_eq!(code, Some(0));
    assert_eq!(event(&told, "closed")["code"], "closed");
    assert_eq!(event(&told, "closed")["echoed"], 2);
}

#[test]
fn a_host_of_several_shards_is_one_host() {
    let host = Host::start(&["--shards", "3", "--seconds", "20", "--metrics", "127.0.0.1:0"]);
    assert_eq!(host.listening["shards"], 3);
    for number in 0..8 {
        let text = format!("hello {number}");
        let told = json(0, &["connect", host.url(), "--send", &text]);
        assert_eq!(event(&told, "packet")["text"], text);
    }
    assert_eq!(event(&json(0, &["query", host.address()]), "host")["public_key"], host.key());
    // The metrics are those of all shards together.
    let text = get(&host, "/metrics");
    assert!(text.contains("torque_connections_established_total 8\n"), "{text}");
    assert!(text.contains("torque_io_inbox_full_total 0\n"), "{text}");
}

#[test]
fn a_host_tells_its_counters_when_it_ends() {
    for shards in ["1", "2"] {
        let host = Host::start(&["--shards", shards, "--once"]);
        json(0, &["connect", host.url(), "--send", "hello"]);
        let (code, told) = host.end();
        assert_eq!(code, Some(0));
        assert_eq!(event(&told, "counters")["protocol"]["connections_established"], 1);
        assert!(event(&told, "counters")["io"]["datagrams_received"].as_u64().unwrap() > 3);
    }
}

/// The packets that come back when `torque connect` reads these lines.
fn echoes_of(input: &[u8]) -> Vec<Value> {
    let host = Host::start(&[]);
    let mut child = start(&["connect", host.url()]);
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = finish(child);
    assert!(output.status.success());
    let told = lines(&String::from_utf8(output.stdout).unwrap());
    told.into_iter().filter(|object| object["event"] == "packet").collect()
}

#[test]
fn lines_of_standard_input_are_packets() {
    let packets = echoes_of("one\nzwei ü\n".as_bytes());
    assert_eq!(packets.iter().map(|packet| &packet["text"]).collect::<Vec<_>>(), ["one", "zwei ü"]);
}

#[test]
fn lines_of_standard_input_may_hold_any_bytes() {
    let packets = echoes_of(b"one\r\n\xff\xfe\nlast");
    let expected = ["6f6e65", "fffe", "6c617374"];
    assert_eq!(packets.iter().map(|packet| &packet["hex"]).collect::<Vec<_>>(), expected);
}

#[test]
fn numbers_that_are_too_large_are_taken_or_refused_and_nothing_breaks() {
    let most = u64::MAX.to_string();
    let host = Host::start(&["--seconds", &most]);
    run_to(2, &["connect", host.url(), "--count", "1", "--size", &most]);
    // A datagram holds less.
    run_to(1, &["connect", host.url(), "--count", "1", "--size", "65535"]);
    json(0, &["connect", host.url(), "--count", "1", "--size", "1000"]);
}

#[test]
fn over_a_bad_network_every_packet_gets_its_verdict() {
    let host = Host::start(&[]);
    let told =
        json(0, &["connect", host.url(), "--count", "200", "--rate", "200", "--link", "delay=5,loss=15%"]);
    let number = |key: &str| event(&told, "summary")[key].as_u64().unwrap();
    assert_eq!(number("sent"), 200);
    assert_eq!(number("delivered") + number("dropped"), 200);
    assert!(number("dropped") > 0, "{told:?}");
    assert_eq!(told.iter().filter(|object| object["event"] == "verdict").count(), 200);
}

#[test]
fn a_host_that_says_no_gives_its_reason_and_exit_code_4() {
    let directory = Directory::new();
    let [mine, other] = ["mine.key", "other.key"].map(|name| directory.file(name));
    let made = json(0, &["keygen", "--out", &mine]);
    let public = event(&made, "key")["public_key"].as_str().unwrap().to_owned();
    run_to(0, &["keygen", "--out", &other]);

    let host = Host::start(&["--accept-key", &public, "--require-data", "sesame"]);
    let told = json(4, &["connect", host.url(), "--send", "x", "--key", &other, "--data", "sesame"]);
    assert!(event(&told, "error")["message"].as_str().unwrap().contains("not on the list"));
    let told = json(4, &["connect", host.url(), "--send", "x", "--key", &mine]);
    assert!(event(&told, "error")["message"].as_str().unwrap().contains("connect data"));
    json(0, &["connect", host.url(), "--send", "x", "--key", &mine, "--data", "sesame"]);
    // Another application is told apart before anything else.
    json(4, &["connect", host.url(), "--send", "x", "--application", "another", "--timeout", "1"]);
}

#[test]
fn another_key_than_the_pinned_or_known_one_is_exit_code_5() {
    let directory = Directory::new();
    let known = directory.file("known_hosts");
    let host = Host::start(&[]);
    json(0, &["connect", host.address(), "--send", "x", "--known-hosts", &known]);
    json(0, &["connect", host.address(), "--send", "x", "--known-hosts", &known]);
    // Nothing speaks for the key, and there is nobody to ask.
    json(5, &["connect", host.address(), "--send", "x"]);
    json(0, &["connect", host.address(), "--send", "x", "--trust-anyone"]);

    let other = event(&json(0, &["keygen"]), "key")["public_key"].as_str().unwrap().to_owned();
    let text = std::fs::read_to_string(&known).unwrap().replace(host.key(), &other);
    std::fs::write(&known, text).unwrap();
    let told = json(5, &["connect", host.address(), "--send", "x", "--known-hosts", &known]);
    assert!(event(&told, "error")["message"].as_str().unwrap().contains(&other));
    json(5, &["connect", &format!("torque://{other}@{}", host.address()), "--send", "x", "--timeout", "1"]);
}

#[test]
fn what_seems_to_be_wrong_is_said_while_an_attempt_goes_on() {
    let host = Host::start(&["--application", "pond 2"]);
    let other = event(&json(0, &["keygen"]), "key")["public_key"].as_str().unwrap().to_owned();
    let wrong_pin = format!("torque://{other}@{}", host.address());
    for (code, url, application, hint, error) in [
        (5, &wrong_pin[..], "pond 2", "key_mismatch", "key_mismatch"),
        (4, host.url(), "pond 1", "application_mismatch", "application_mismatch"),
    ] {
        let arguments = ["connect", url, "--send", "x", "--application", application, "--timeout", "3"];
        let told = json(code, &arguments);
        assert_eq!(told.len(), 2, "the hint comes once, and before the end: {told:?}");
        assert_eq!((&told[0]["event"], &told[0]["hint"]), (&"hint".into(), &hint.into()));
        assert!(told[1]["message"].as_str().unwrap().contains(error), "{told:?}");
    }
    // An attempt that goes well has none, and neither has one that nobody answers.
    let good = json(0, &["connect", host.url(), "--send", "x", "--application", "pond 2"]);
    assert!(good.iter().all(|object| object["event"] != "hint"));
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = format!("torque://{other}@{}", silent.local_addr().unwrap());
    assert_eq!(json(3, &["connect", &silent, "--send", "x", "--timeout", "2"]).len(), 1);
}

#[test]
fn an_authority_vouches_for_hosts_and_for_initiators() {
    let directory = Directory::new();
    let names = ["authority.key", "host.key", "host.credential", "guest.key", "guest.credential"];
    let [authority, host_key, host_credential, guest_key, guest_credential] =
        names.map(|name| directory.file(name));
    let made = json(0, &["keygen", "--authority", "--out", &authority]);
    let trusted = event(&made, "key")["public_key"].as_str().unwrap().to_owned();
    for (key, credential) in [(&host_key, &host_credential), (&guest_key, &guest_credential)] {
        run_to(0, &["keygen", "--out", key]);
        run_to(0, &["sign", "--authority", &authority, key, "--out", credential]);
    }
    let host = Host::start(&["--key", &host_key, "--credential", &host_credential, "--authority", &trusted]);
    let connect = |code: i32, more: &[&str]| {
        json(code, &[&["connect", host.address(), "--send", "x", "--authority", &trusted], more].concat())
    };
    connect(0, &["--key", &guest_key, "--credential", &guest_credential]);
    let told = connect(4, &["--key", &guest_key]);
    assert!(event(&told, "error")["message"].as_str().unwrap().contains("no credential"));
    // A credential that is not this key's is noticed here, and if not, by the host.
    let told = connect(2, &["--key", &host_key, "--credential", &guest_credential]);
    assert!(event(&told, "error")["message"].as_str().unwrap().contains("another key"));
    let mut thief = Socket::bind("127.0.0.1:0").unwrap();
    let stolen = std::fs::read_to_string(&guest_credential).unwrap();
    let digits = stolen.lines().last().unwrap().as_bytes().chunks(2);
    let connect_data: Vec<u8> =
        digits.map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect();
    thief.connect_with(host.url(), ConnectOptions::default().with_data(connect_data)).unwrap();
    match thief.wait_event(Duration::from_secs(20)) {
        Some(Event::Close { code: CloseCode::Refused, reason, .. }) => {
            assert!(String::from_utf8_lossy(&reason).contains("another key"));
        }
        other => panic!("{other:?}"),
    }
    // A host that shows none is not trusted.
    let plain = Host::start(&[]);
    json(5, &["connect", plain.address(), "--send", "x", "--authority", &trusted]);
}

/// A page's socket: connects with a gateway's word that it is of this origin, and returns why it ended.
fn visit(host: &Host, gateway: &KeyPair, origin: &str) -> CloseCode {
    let mut page = Socket::bind("127.0.0.1:0").unwrap();
    let (initiator, key) = (page.public_key(), host.key().parse().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = OriginClaims {
        origin,
        initiator: &initiator,
        host: &key,
        address: page.local_addr(),
        expires: now + 60,
    };
    let token = Extension { kind: EXTENSION_ORIGIN, data: sign_origin(gateway, &claims).unwrap() };
    let options = ConnectOptions::default().with_extension(token);
    let connection = page.connect_with(host.url(), options).unwrap();
    loop {
        match page.wait_event(Duration::from_secs(20)).expect("something happens") {
            Event::Established { .. } => page.close(connection, b"").unwrap(),
            Event::Close { code, .. } => return code,
            _ => {}
        }
    }
}

#[test]
fn a_host_lets_in_the_pages_that_a_gateway_vouches_for() {
    let gateway = KeyPair::from_seed([5; 32]);
    let key = gateway.public().to_string();
    let pages = ["--trusted-gateway", &key, "--allowed-origin", "https://game.example"];
    let host = Host::start(&[&pages[..], &["--once"]].concat());
    json(4, &["connect", host.url(), "--send", "x"]);
    assert_eq!(visit(&host, &gateway, "https://evil.example"), CloseCode::OriginNotAllowed);
    assert_eq!(
        visit(&host, &KeyPair::from_seed([6; 32]), "https://game.example"),
        CloseCode::OriginNotAllowed
    );
    assert_eq!(visit(&host, &gateway, "https://game.example"), CloseCode::Closed);
    let (_, told) = host.end();
    assert_eq!(event(&told, "request")["origin"], "https://game.example");
    let counters = &event(&told, "counters")["protocol"];
    assert_eq!((&counters["origin_refused"], &counters["origin_token_bad"]), (&3.into(), &1.into()));

    let host = Host::start(&[&pages[..], &["--allow-native", "--once"]].concat());
    json(0, &["connect", host.url(), "--send", "x"]);
    assert_eq!(event(&host.end().1, "request")["origin"], Value::Null);
    json(2, &["host", "--allowed-origin", "https://game.example"]);
    let slash = ["host", "--trusted-gateway", &key, "--allowed-origin", "https://game.example/"];
    assert!(event(&json(2, &slash), "error")["message"].as_str().unwrap().contains("without a path"));
}

#[test]
fn silence_is_exit_code_3() {
    // Bound, so that nothing else answers there, and read by nobody.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let told = json(3, &["connect", &address, "--send", "x", "--trust-anyone", "--timeout", "1"]);
    assert_eq!(event(&told, "error")["error"], "no_answer");
    json(3, &["query", &address, "--wait", "0.3"]);
    json(3, &["discover", "--port", &silent.local_addr().unwrap().port().to_string(), "--wait", "0.3"]);
}

#[test]
fn ping_tells_round_trips_and_loss() {
    let host = Host::start(&[]);
    let told = json(0, &["ping", host.url(), "-c", "5", "-i", "0.02"]);
    assert_eq!(told.iter().filter(|object| object["event"] == "echo").count(), 5);
    let summary = event(&told, "summary");
    assert_eq!(
        (&summary["sent"], &summary["delivered"], &summary["dropped"]),
        (&5.into(), &5.into(), &0.into())
    );
    let ms = |key: &str| summary[key].as_f64().unwrap();
    assert!(0.0 < ms("min_ms") && ms("min_ms") <= ms("avg_ms") && ms("avg_ms") <= ms("max_ms"));

    // 30 ms each way are 60 there and back.
    let told = json(0, &["ping", host.address(), "-c", "60", "-i", "0.02", "--link", "delay=30,loss=20%"]);
    let summary = event(&told, "summary");
    assert!(summary["min_ms"].as_f64().unwrap() >= 60.0, "{summary}");
    assert!(summary["dropped"].as_u64().unwrap() > 0, "{summary}");
    assert!(run_to(0, &["ping", host.url(), "-c", "2", "-i", "0.02"]).contains("2 packets sent"));
}

#[test]
fn query_and_discover_find_a_host_with_the_key_it_has() {
    let host = Host::start(&["--name", "Grandma's pond", "--max", "8"]);
    let told = json(0, &["query", host.url()]);
    let found = event(&told, "host");
    assert_eq!((&found["name"], &found["max_players"]), (&"Grandma's pond".into(), &8.into()));
    assert_eq!(found["public_key"], host.key());
    json(0, &["connect", found["url"].as_str().unwrap(), "--send", "x"]);

    let port = host.address().rsplit_once(':').unwrap().1;
    let told = json(0, &["discover", "--port", port, "--wait", "1"]);
    assert_eq!(event(&told, "host")["public_key"], host.key());
    assert_eq!(told.len(), 1, "a host is told once: {told:?}");
    json(3, &["query", host.address(), "--service", "another", "--wait", "0.3"]);
}
