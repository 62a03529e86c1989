//! A lobby, hosts that register there and those that ask for them: the real commands, on loopback.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]
// They end lobbies as service managers do.
#![cfg(unix)]

mod common;

use std::time::Duration;

use common::{Directory, Host, Running, event, get, json, run_to, signal, torque};
use serde_json::Value;
use torque_socket::{CloseCode, ConnectOptions, ConnectionId, Event, IntroducedOptions, Socket, Trust};

/// A lobby on loopback, with metrics.
fn lobby(arguments: &[&str]) -> Host {
    lobby_at("127.0.0.1:0", arguments)
}

fn lobby_at(address: &str, arguments: &[&str]) -> Host {
    let mut command = torque();
    command.args(["introduce", address, "--metrics", "127.0.0.1:0"]);
    Host::start_with(command, arguments)
}

/// A host that has registered as `pond`, and how others name it: `KEY@pond`.
fn registered(lobby: &Host, arguments: &[&str]) -> (Host, String) {
    let mut host = Host::start(&[&["--via", lobby.url(), "--as", "pond"], arguments].concat());
    let target = host.until("registered")["target"].as_str().unwrap().to_owned();
    assert_eq!(target, format!("{}@pond", host.key()));
    (host, target)
}

/// The sample of a metric, by its name with labels.
fn sample(lobby: &Host, name: &str) -> f64 {
    let text = get(lobby, "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

fn texts(told: &[Value]) -> Vec<&Value> {
    told.iter().filter(|object| object["event"] == "packet").map(|packet| &packet["text"]).collect()
}

#[test]
fn a_lobby_introduces_two_that_connect_directly_and_exchange_packets() {
    let mut lobby = lobby(&[]);
    let (host, target) = registered(&lobby, &["--once", "--accept-data", "welcome"]);
    let told = json(0, &["connect", "--via", lobby.url(), &target, "--send", "hello", "--send", "world"]);
    assert_eq!(event(&told, "lobby")["named_key"], host.key());
    let established = event(&told, "established");
    assert_eq!((&established["path"], &established["remote"]), (&"direct".into(), &host.address().into()));
    assert_eq!(
        (&established["introduced_by"], &established["accept_data"]),
        (&lobby.key().into(), &"welcome".into())
    );
    assert_eq!(texts(&told), ["hello", "world"]);
    assert!(
        told.iter().filter(|object| object["event"] == "verdict").all(|one| one["delivery"] == "delivered")
    );

    let introduced = lobby.until("introduced");
    assert_eq!((&introduced["result"], &introduced["name"]), (&"direct".into(), &"pond".into()));
    assert!(introduced["took_ms"].is_number(), "{introduced}");
    assert_eq!(sample(&lobby, "torque_lobby_connected_total{path=\"direct\"}"), 1.0);
    assert_eq!(sample(&lobby, "torque_lobby_connected_total{path=\"relayed\"}"), 0.0);
    assert_eq!(sample(&lobby, "torque_lobby_introduction_seconds_count"), 1.0);

    let (code, told) = host.end();
    assert_eq!(code, Some(0), "{told:?}");
    let guest = event(&told, "established");
    assert!(guest["introduced_by"].is_string() && guest["path"] == "direct", "{guest}");
    assert_eq!(event(&told, "closed")["echoed"], 2);

    // Every line of a lobby is an object, too.
    signal("TERM", lobby.pid());
    let (code, told) = lobby.end();
    assert_eq!(code, Some(0), "{told:?}");
    assert_eq!(event(&told, "registered")["name"], "pond");
    assert_eq!(event(&told, "counters")["protocol"]["connections_established"], 2);
}

#[test]
fn a_host_that_is_registered_stays_an_ordinary_host() {
    let lobby = lobby(&[]);
    let (host, target) = registered(&lobby, &[]);
    let told = json(0, &["connect", host.url(), "--send", "plain"]);
    assert_eq!(event(&told, "established")["introduced_by"], Value::Null);
    assert_eq!(texts(&told), ["plain"]);
    // Names are the same in small letters and capitals.
    let target = target.replace("pond", "POND");
    let told = json(0, &["connect", "--via", lobby.url(), &target, "--send", "introduced"]);
    assert_eq!(texts(&told), ["introduced"]);
}

#[test]
fn without_direct_paths_a_lobby_that_relays_passes_packets_on() {
    let mut lobby = lobby(&["--relay", "--relay-rate", "64000"]);
    assert_eq!(lobby.listening["relay_rate"], 64_000);
    let (_host, target) = registered(&lobby, &[]);
    let told = json(0, &["connect", "--via", lobby.url(), &target, "--no-direct", "--send", "hello"]);
    let established = event(&told, "established");
    assert_eq!((&established["path"], &established["remote"]), (&"relayed".into(), &"relayed".into()));
    assert_eq!(texts(&told), ["hello"]);
    assert_eq!(event(&told, "summary")["delivered"], 1);
    assert_eq!(lobby.until("introduced")["result"], "relayed");
    assert_eq!(sample(&lobby, "torque_lobby_connected_total{path=\"relayed\"}"), 1.0);
    assert!(sample(&lobby, "torque_lobby_relayed_bytes_total") > 100.0);
}

#[test]
fn a_connection_that_begins_relayed_becomes_direct() {
    let mut lobby = lobby(&["--relay"]);
    let at_once = ["--relay", "at-once", "--link", "delay=20"];
    let (_host, target) = registered(&lobby, &at_once);
    // The delay keeps a direct path from being there before the circuit is used. If it is all the same, another client tries.
    let begins_relayed = || {
        let connect = [&["connect", "--via", lobby.url(), target.as_str()][..], &at_once].concat();
        let mut client = Running::start(&connect);
        if client.until("established")["path"] == "relayed" {
            return Some(client);
        }
        assert_eq!(client.end().0, Some(0));
        None
    };
    let mut client = (0..20).find_map(|_| begins_relayed()).unwrap();
    let change = client.until("path_changed");
    assert_eq!((&change["path_before"], &change["path"]), (&"relayed".into(), &"direct".into()), "{change}");
    assert!(change["rtt_ms"].is_number(), "{change}");
    client.type_line("direct now");
    assert_eq!(client.until("packet")["text"], "direct now");
    assert_eq!(client.end().0, Some(0));
    while lobby.until("introduced")["result"] != "became_direct" {}
    assert!(sample(&lobby, "torque_lobby_became_direct_total") >= 1.0);
}

#[test]
fn a_direct_connection_outlives_the_lobby() {
    for name in ["KILL", "TERM"] {
        let lobby = lobby(&[]);
        let (_host, target) = registered(&lobby, &[]);
        let mut client = Running::start(&["connect", "--via", lobby.url(), &target]);
        client.type_line("before");
        assert_eq!(client.until("packet")["text"], "before");
        signal(name, lobby.pid());
        if name == "TERM" {
            client.until("lobby_closed");
        }
        lobby.end();
        client.type_line("after");
        assert_eq!(client.until("packet")["text"], "after");
        let (code, told) = client.end();
        assert_eq!((code, event(&told, "summary")["delivered"].as_u64()), (Some(0), Some(2)), "{told:?}");
    }
}

#[test]
fn a_host_registers_again_when_its_lobby_was_restarted() {
    let directory = Directory::new();
    let key = directory.file("lobby.key");
    let lobby = lobby(&["--key", &key]);
    let address = lobby.address().to_owned();
    let (mut host, target) = registered(&lobby, &[]);
    drop(lobby);
    let lobby = lobby_at(&address, &["--key", &key]);
    host.until("lobby_lost");
    host.until("registered");
    let told = json(0, &["connect", "--via", lobby.url(), &target, "--send", "again"]);
    assert_eq!(texts(&told), ["again"]);
}

/// The message of a command that fails with this exit code.
fn message(code: i32, arguments: &[&str]) -> String {
    event(&json(code, arguments), "error")["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_name_that_is_not_there_is_said_so() {
    let lobby = lobby(&[]);
    let why = message(4, &["connect", "--via", lobby.url(), "pond", "--send", "x", "--trust-anyone"]);
    assert!(why.contains("nobody is here under the name pond"), "{why}");
    assert_eq!(sample(&lobby, "torque_lobby_refused_total"), 1.0);
}

#[test]
fn a_lobby_for_some_keys_refuses_others() {
    let directory = Directory::new();
    let [mine, hosts] = ["mine.key", "host.key"].map(|name| directory.file(name));
    let public = |path: &str| {
        event(&json(0, &["keygen", "--out", path]), "key")["public_key"].as_str().unwrap().to_owned()
    };
    let lobby = lobby(&["--allow-key", &public(&mine), "--allow-key", &public(&hosts)]);
    let (_host, target) = registered(&lobby, &["--key", &hosts]);
    let connect = ["connect", "--via", lobby.url(), &target, "--send", "x"];
    assert!(message(4, &connect).contains("not on the lobby's list"));
    let host = ["host", "--bind", "127.0.0.1:0", "--via", lobby.url(), "--as", "other"];
    assert!(message(4, &host).contains("not on the lobby's list"));
    json(0, &[&connect[..], &["--key", &mine]].concat());
}

#[test]
fn a_name_belongs_to_the_key_that_registered_it() {
    let directory = Directory::new();
    let key = directory.file("host.key");
    let mut lobby = lobby(&["--max-names-per-network", "2"]);
    let (mut first, target) = registered(&lobby, &["--key", &key, "--accept-data", "first"]);
    let register = |name| ["host", "--bind", "127.0.0.1:0", "--via", lobby.url(), "--as", name];
    assert!(message(4, &register("Pond")).contains("taken"));
    // One with the same key takes it over. The older one does not take it back.
    let (_second, _) = registered(&lobby, &["--key", &key, "--accept-data", "second"]);
    first.until("name_taken_over");
    let told = json(0, &["connect", "--via", lobby.url(), &target, "--send", "x"]);
    assert_eq!(event(&told, "established")["accept_data"], "second");
    let _third = Running::start(&register("third"));
    lobby.until("asked");
    lobby.until("registered");
    let register = ["host", "--bind", "127.0.0.1:0", "--via", lobby.url(), "--as", "fourth"];
    assert!(message(4, &register).contains("too many names"));
}

#[test]
fn a_key_that_only_the_lobby_tells_is_not_trusted() {
    let directory = Directory::new();
    let known = directory.file("known_hosts");
    let lobby = lobby(&[]);
    let (host, target) = registered(&lobby, &[]);
    let connect = |target: &str, code, more: &[&str]| {
        let arguments = ["connect", "--via", lobby.url(), target, "--send", "x"];
        json(code, &[&arguments[..], more].concat())
    };
    let told = connect("pond", 5, &[]);
    assert!(event(&told, "error")["next"].as_str().unwrap().contains(&target), "{told:?}");
    connect("pond", 0, &["--trust-anyone"]);
    connect("pond", 0, &["--known-hosts", &known]);
    let name = format!("pond@{}", lobby.address());
    assert_eq!(std::fs::read_to_string(&known).unwrap(), format!("{name} {}\n", host.key()));
    connect("pond", 0, &["--known-hosts", &known]);

    let other = event(&json(0, &["keygen"]), "key")["public_key"].as_str().unwrap().to_owned();
    let told = connect(&format!("{other}@pond"), 5, &[]);
    assert!(event(&told, "error")["message"].as_str().unwrap().contains(host.key()), "{told:?}");
    std::fs::write(&known, format!("{name} {other}\n")).unwrap();
    connect("pond", 5, &["--known-hosts", &known]);
    // The lobby's own key is not trusted unasked either.
    let arguments = ["connect", "--via", lobby.address(), &target, "--send", "x"];
    assert!(message(5, &arguments).contains(lobby.key()));
}

#[test]
fn what_cannot_work_is_said_before_anything_is_sent() {
    let host = Host::start(&[]);
    let url = host.url();
    for arguments in [
        &["connect", "--via", url, "a name"][..],
        &["connect", "--via", url, "tk1nonsense@pond"],
        &["connect", "--via", url, "pond", "--no-direct", "--relay", "never"],
        &["connect", url, "--no-direct"],
        &["host", "--via", url],
        &["host", "--as", "pond"],
        &["host", "--via", url, "--as", "a name"],
        &["host", "--via", url, "--as", "pond", "--shards", "2"],
        &["introduce", "127.0.0.1:0", "--relay-rate", "64000"],
    ] {
        run_to(2, arguments);
    }
    // A host is no lobby.
    for arguments in [
        &["connect", "--via", url, "pond", "--send", "x"][..],
        &["host", "--bind", "127.0.0.1:0", "--via", url, "--as", "pond"],
    ] {
        let why = message(1, arguments);
        assert!(why.contains("does not answer as a lobby"), "{why}");
    }
    // And a lobby is no host.
    let lobby = lobby(&[]);
    assert!(message(4, &["connect", lobby.url(), "--send", "x"]).contains("this is a lobby"));
}

#[test]
fn over_a_bad_network_everybody_is_introduced() {
    // So many losses may outlast the usual wait.
    let lobby = lobby(&["--link", "delay=5,loss=25%", "--timeout", "60"]);
    let (_host, target) = registered(&lobby, &["--timeout", "60"]);
    for number in 0..8 {
        let text = number.to_string();
        let connect = ["connect", "--via", lobby.url(), &target, "--send", &text, "--timeout", "60"];
        let told = json(0, &connect);
        assert_eq!(texts(&told), [&text]);
    }
    // What became of the last ones may not have come, because they ended.
    assert_eq!(sample(&lobby, "torque_lobby_introductions_total"), 8.0);
}

/// A client of a lobby that speaks its protocol by itself: its socket, and the connection.
fn strange_client(lobby: &Host, connect_data: &str) -> (Socket, ConnectionId) {
    let mut socket = Socket::client().unwrap();
    let options = ConnectOptions::default().with_data(connect_data);
    let id = socket.connect_with(lobby.url(), options).unwrap();
    assert!(matches!(next(&mut socket), Event::Established { .. }));
    (socket, id)
}

/// The next event that is no packet and no verdict.
fn next(socket: &mut Socket) -> Event {
    loop {
        match socket.wait_event(Duration::from_secs(60)).unwrap() {
            Event::Packet { .. } | Event::Verdict { .. } => {}
            event => return event,
        }
    }
}

#[test]
fn a_lobby_introduces_nobody_who_did_not_ask_it() {
    let mut lobby = lobby(&[]);
    let mut numbers = [0; 2];
    let mut clients = ["a", "b"].map(|name| strange_client(&lobby, &format!("torque lobby 1 host {name}")));
    for number in &mut numbers {
        *number = lobby.until("registered")["number"].as_u64().unwrap().try_into().unwrap();
    }
    // Both ask for each other, without the lobby's word. Packets that it does not know are nothing to it.
    for (index, (socket, id)) in clients.iter_mut().enumerate() {
        for packet in [&b""[..], b"asked 1 tk1", b"\xff\x00", &[b'x'; 1_000]] {
            socket.send(*id, packet).unwrap();
        }
        let options = match index {
            0 => IntroducedOptions::host(),
            _ => IntroducedOptions::initiator(ConnectOptions::new(Trust::Anyone)),
        };
        socket.connect_introduced(*id, numbers[1 - index], options).unwrap();
        socket.flush();
    }
    for (socket, id) in &mut clients {
        let event = next(socket);
        let Event::Close { connection, code, .. } = event else { panic!("{event:?}") };
        assert_ne!(connection, *id);
        assert!(matches!(code, CloseCode::IntroductionRefused | CloseCode::RemoteGone), "{code:?}");
    }
    assert_eq!(sample(&lobby, "torque_lobby_introductions_total"), 0.0);
}

#[test]
fn another_version_of_the_lobby_protocol_is_told_apart() {
    let lobby = lobby(&[]);
    let mut socket = Socket::client().unwrap();
    let options = ConnectOptions::default().with_data("torque lobby 2 host pond");
    socket.connect_with(lobby.url(), options).unwrap();
    let event = next(&mut socket);
    let Event::Close { code: CloseCode::Refused, reason, .. } = event else { panic!("{event:?}") };
    assert!(String::from_utf8(reason).unwrap().contains("version 1"));
}

#[test]
fn a_lobby_that_names_guests_in_a_loop_fills_no_log() {
    let mut lobby = Socket::bind("127.0.0.1:0").unwrap();
    let url = format!("torque://{}@{}", lobby.public_key(), lobby.local_addr());
    let mut host = Host::start(&["--via", &url, "--as", "pond"]);
    let Event::ConnectRequest(request) = next(&mut lobby) else { panic!("no request") };
    assert_eq!(request.connect_data, b"torque lobby 1 host pond");
    lobby.accept_connection(request.connection, b"torque lobby 1").unwrap();
    assert!(matches!(next(&mut lobby), Event::Established { .. }));
    for _ in 0..2 {
        lobby.send(request.connection, b"registered").unwrap();
    }
    for number in 1..=100 {
        let asked = format!("asked {number} {}", lobby.public_key());
        while lobby.send(request.connection, asked.as_bytes()).is_err() {
            let event = lobby.wait_event(Duration::from_millis(5));
            assert!(!matches!(event, Some(Event::Close { .. })), "the host has left: {event:?}");
        }
    }
    // Junk is nothing to the host.
    for junk in [&b"asked"[..], b"asked 1", b"asked -1 tk1", b"\xff"] {
        let _ = lobby.send(request.connection, junk);
    }
    lobby.flush();
    host.until("asked_for_more");
    signal("INT", host.pid());
    while !matches!(next(&mut lobby), Event::Close { .. }) {}
    let (code, told) = host.end();
    assert_eq!(code, Some(0), "{told:?}");
    let of = |name: &str| told.iter().filter(|object| object["event"] == name).count();
    assert!(of("asked_for") > 0 && of("asked_for") + of("introduction_failed") <= 100, "{told:?}");
    assert_eq!(of("registered"), 1);
    assert!(of("asked_for_more") > 0, "{told:?}");
}

#[test]
fn a_nat_is_looked_at_by_lobbies_only() {
    let lobby = lobby(&["--observe", "0"]);
    let told = json(0, &["nat", lobby.url()]);
    let nat = event(&told, "nat");
    // On loopback the lobby sees this machine itself.
    assert_eq!((&nat["nat"], &nat["opens_ports"]), (&"none".into(), &true.into()), "{nat}");
    let text = run_to(0, &["nat", lobby.url()]);
    assert!(text.contains("this machine's own") && text.contains("many ports"), "{text}");

    let host = Host::start(&[]);
    let told = json(1, &["nat", host.url()]);
    assert!(event(&told, "error")["next"].as_str().unwrap().contains("torque introduce"), "{told:?}");

    // An address for the second port that cannot be had is said at once, and where nobody listens, too.
    message(1, &["introduce", "127.0.0.1:0", "--observe", lobby.address()]);
    run_to(2, &["introduce", "127.0.0.1:0", "--observe", "here"]);
    message(3, &["nat", "--trust-anyone", "127.0.0.1:9", "--timeout", "1"]);
}
