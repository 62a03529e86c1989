//! `torque gateway`, with the real command.
#![cfg(feature = "gateway")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Directory, ended, run, torque};
use serde_json::Value;

/// A `torque gateway` that runs until the value is dropped.
struct Gateway {
    child: Child,
    listening: Value,
}

impl Gateway {
    fn start(arguments: &[&str]) -> Self {
        Self::logging("", arguments)
    }

    /// The same with a filter of logs.
    fn logging(filter: &str, arguments: &[&str]) -> Self {
        Self::run(torque(), filter, arguments)
    }

    fn run(mut command: Command, filter: &str, arguments: &[&str]) -> Self {
        let mut child = command
            .env("RUST_LOG", filter)
            .args(["gateway", "--listen", "localhost:0", "--json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let listening = serde_json::from_str(&first).unwrap_or_else(|error| panic!("{error}: {first}"));
        Self { child, listening }
    }

    /// Asks over HTTP, and returns the answer's head and body, however many pieces they come in.
    fn get(&self, address: &str, path: &str, headers: &str) -> String {
        let stream = TcpStream::connect(address).unwrap();
        write!(&stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n").unwrap();
        let mut stream = BufReader::new(stream);
        let mut answer = String::new();
        let mut body = 0;
        while !answer.ends_with("\r\n\r\n") {
            let start = answer.len();
            assert_ne!(stream.read_line(&mut answer).unwrap(), 0, "it hung up: {answer}");
            let line = answer[start..].to_ascii_lowercase();
            if let Some(length) = line.strip_prefix("content-length:") {
                body = length.trim().parse().unwrap();
            }
        }
        stream.take(body).read_to_string(&mut answer).unwrap();
        answer
    }

    /// Asks it to end, as systemd does, and returns its log.
    #[cfg(unix)]
    fn end(mut self) -> Vec<Value> {
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        let mut logs = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut logs).unwrap();
        assert_eq!(ended(&mut self.child).code(), Some(0));
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {logs}"));
        logs.lines().map(parse).collect()
    }

    fn address(&self) -> &str {
        self.listening["addresses"][0].as_str().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[test]
fn it_serves_pages_files_and_metrics_with_the_key_in_its_file() {
    let directory = Directory::new();
    std::fs::write(directory.file("index.html"), "<p>hello").unwrap();
    let key = directory.file("gateway.key");
    let files = directory.path().to_str().unwrap();
    let arguments =
        ["--key", &key, "--files", files, "--metrics", "127.0.0.1:0", "--allow-target", "localhost:28000"];
    let gateway = Gateway::start(&arguments);
    let told = &gateway.listening;
    assert_eq!(told["targets"], "127.0.0.1:28000, [::1]:28000");
    assert_eq!((&told["development"], &told["strangers"]), (&Value::Bool(true), &Value::from("any")));
    assert_eq!(told["description"]["public_key"], told["public_key"]);
    assert!(gateway.get(gateway.address(), "/", "").contains("<p>hello"));
    let local = "Origin: http://localhost:8080\r\n";
    let description = gateway.get(gateway.address(), "/.well-known/torque-gateway", local);
    assert!(description.contains("\"origin_allowed\":true"), "{description}");
    assert!(
        gateway.get(gateway.address(), "/torque", &format!("{local}{UPGRADE}")).starts_with("HTTP/1.1 101")
    );
    let evil = "Origin: https://evil.example\r\n";
    assert!(
        gateway.get(gateway.address(), "/torque", &format!("{evil}{UPGRADE}")).starts_with("HTTP/1.1 403")
    );
    // It is counted just after the page has its answer.
    let opened = "torque_gateway_sessions_opened_total{carrier=\"websocket\"} 1";
    let metrics = told["metrics"].as_str().unwrap();
    let mut tries = 0;
    while !gateway.get(metrics, "/metrics", "").contains(opened) {
        tries += 1;
        assert!(tries < 1_000, "{}", gateway.get(metrics, "/metrics", ""));
        std::thread::sleep(Duration::from_millis(5));
    }

    let again = Gateway::start(&["--key", &key]);
    assert_eq!(again.listening["public_key"], told["public_key"]);
}

#[cfg(unix)]
#[test]
fn a_request_to_end_ends_it_when_pages_have_had_their_time() {
    let gateway = Gateway::start(&["--drain", "1"]);
    let origin = "Origin: http://localhost:8080\r\n";
    // This page takes no notice.
    let mut page = TcpStream::connect(gateway.address()).unwrap();
    write!(page, "GET /torque HTTP/1.1\r\nHost: localhost\r\n{origin}{UPGRADE}\r\n").unwrap();
    let mut answer = [0; 512];
    assert!(page.read(&mut answer).unwrap() > 0);
    let logs = gateway.end();
    let told = |message: &str| logs.iter().find(|log| log["fields"]["message"] == message);
    assert_eq!(told("session opened").unwrap()["fields"]["origin"], "http://localhost:8080");
    assert_eq!(told("draining").unwrap()["fields"]["sessions"], 1);
    assert!(told("not all pages have left in time").is_some());
}

#[cfg(unix)]
#[test]
fn refusals_have_few_lines_in_the_log_and_the_rest_is_counted() {
    let gateway = Gateway::start(&[]);
    let evil = "Origin: https://evil.example\r\n";
    for _ in 0..300 {
        let answer = gateway.get(gateway.address(), "/torque", &format!("{evil}{UPGRADE}"));
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let logs = gateway.end();
    let with = |message: &str| -> Vec<&Value> {
        logs.iter().map(|log| &log["fields"]).filter(|fields| fields["message"] == message).collect()
    };
    let lines = with("session refused").len() as u64;
    let more = with("more sessions or connections were refused");
    assert!(more.iter().all(|fields| fields["reason"] == "origin"));
    let counted: u64 = more.iter().map(|fields| fields["count"].as_u64().unwrap()).sum();
    assert_eq!(lines + counted, 300, "{logs:?}");
    assert!((1..100).contains(&lines), "{lines} lines");
}

#[cfg(unix)]
#[test]
fn a_gateway_without_descriptors_says_so_and_recovers() {
    let command = torque();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(command.get_program());
    let gateway = Gateway::run(limited, "", &[]);
    let description = || gateway.get(gateway.address(), "/.well-known/torque-gateway", "");
    assert!(description().contains("public_key"));
    let held: Vec<_> = (0..100).map(|_| TcpStream::connect(gateway.address()).unwrap()).collect();
    // As long as it tries in vain several times.
    std::thread::sleep(Duration::from_millis(700));
    drop(held);
    assert!(description().contains("public_key"));
    let logs = gateway.end();
    let said = "no connections can be accepted at present";
    assert_eq!(logs.iter().filter(|log| log["fields"]["message"] == said).count(), 1, "{logs:?}");
}

#[cfg(unix)]
#[test]
fn logs_have_a_time_and_a_level_and_the_environment_says_which() {
    let logs = |filter: &str| {
        let gateway = Gateway::logging(filter, &[]);
        let evil = "Origin: https://evil.example\r\n";
        gateway.get(gateway.address(), "/torque", &format!("{evil}{UPGRADE}"));
        gateway.end()
    };
    for filter in ["", "this is, for others=?"] {
        let logs = logs(filter);
        assert!(logs.iter().any(|log| log["fields"]["message"] == "session refused"), "{logs:?}");
        for log in &logs {
            let time = log["timestamp"].as_str().unwrap();
            assert!(time.starts_with("20") && time.ends_with('Z') && log["level"] == "INFO", "{log}");
        }
    }
    assert_eq!(logs("warn"), Vec::<Value>::new());
}

#[cfg(unix)]
#[test]
fn what_requests_hold_does_not_reach_the_log_however_much_is_asked_for() {
    let directory = Directory::new();
    let gateway = Gateway::logging("trace", &["--files", directory.path().to_str().unwrap()]);
    let local = "Origin: http://localhost:8080\r\nCookie: id=secret\r\nAuthorization: Bearer secret\r\n";
    for path in ["/torque?token=secret", "/secret.html", "/?token=secret"] {
        gateway.get(gateway.address(), path, &format!("{local}{UPGRADE}"));
    }
    let logs = gateway.end();
    assert!(logs.iter().any(|log| log["fields"]["message"] == "session opened"), "{logs:?}");
    let told = logs.iter().find(|log| log.to_string().contains("secret"));
    assert_eq!(told, None);
}

#[test]
fn what_cannot_be_is_refused_with_what_to_write() {
    for (arguments, hint) in [
        (&["--allow-target", "game.example"][..], "HOST:PORT"),
        (&["--allow-origin", "game.example"], "https://game.example"),
        (&["--listen", "nowhere"], "IP:PORT"),
        (&["--strangers", "all"], "none, public, any"),
        (&["--certificate", "chain.pem"], "--certificate-key"),
        (&["--certificate", "a", "--certificate-key", "b", "--development"], "cannot be used with"),
        (&["--certificate", "a", "--certificate-key", "b"], "--allow-origin"),
    ] {
        let output = run(&[&["gateway"][..], arguments].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(hint), "{arguments:?}: {told}");
    }
}

#[test]
fn a_second_public_address_of_one_family_is_a_usage_error() {
    for (first, second) in [
        ("198.51.100.1", "198.51.100.2"),
        ("2001:db8::1", "2001:db8::2"),
        ("198.51.100.1", "::ffff:198.51.100.2"),
    ] {
        let arguments = ["gateway", "--listen", "localhost:0", "--public-ip", first, "--public-ip", second];
        let mut child =
            torque().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut told = String::new();
        out.read_line(&mut told).unwrap();
        assert_eq!(told, "", "it runs, and ignores {second}");
        assert_eq!(ended(&mut child).code(), Some(2));
    }
    let both = Gateway::start(&["--public-ip", "198.51.100.1", "--public-ip", "2001:db8::1"]);
    assert!(both.address().contains(':'));
}
