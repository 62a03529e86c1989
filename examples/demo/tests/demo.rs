//! The demo, as anybody would run it.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use common::{event, json, lines, run, run_to};
use serde_json::Value;

fn number(object: &Value, key: &str) -> f64 {
    object[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {object}"))
}

#[test]
fn over_a_lossy_link_packets_are_lost_and_no_verdict_is_false() {
    let told = json(0, &["--seconds", "3"]);
    let summary = told.last().unwrap();
    assert_eq!(number(summary, "connections"), 4.0);
    assert_eq!(number(summary, "mismatches"), 0.0);
    assert!(number(summary, "dropped") > 0.0, "{summary}");
    assert_eq!(
        number(summary, "delivered") + number(summary, "dropped"),
        number(summary, "sent"),
        "{summary}"
    );
    // 4 connections, both ways, 60/s for 3 s; how much of it a loaded machine gets done is its affair.
    assert!(number(summary, "sent") > 400.0, "{summary}");
    // 20 ms each way, or more.
    assert!(number(summary, "rtt_ms") >= 40.0 && number(summary, "handshake_ms") >= 80.0, "{summary}");
    let steps: Vec<&str> = told.iter().filter_map(|object| object["step"].as_str()).collect();
    for part in ["challenge ", "puzzle 4 bits", " tries ", "established "] {
        assert!(steps.iter().any(|step| step.contains(part)), "{part}: {steps:?}");
    }
}

#[test]
fn on_a_bad_link_with_a_small_window_no_verdict_is_false() {
    let link = "delay=20,jitter=30,loss=20%,reorder=5%,duplicate=2%,corrupt=1%";
    let settings = "window=16;tag=4;ack_delay=20";
    let bad = ["--clients", "8", "--rate", "200", "--link", link, "--settings", settings];
    let output = run(&[&["--seconds", "4", "--json"][..], &bad[..]].concat());
    let told = lines(&String::from_utf8_lossy(&output.stdout));
    let summary = told.last().unwrap();
    assert_eq!(number(summary, "mismatches"), 0.0, "{summary}");
    assert!(number(summary, "dropped") > 100.0, "{summary}");
    // A close may give up on such a link. Then verdicts stay open, few and flagged, and the demo says so.
    assert!(number(summary, "unknown") < 100.0, "{summary}");
    let all_well = number(summary, "unknown") == 0.0 && summary["troubles"] == Value::Array(Vec::new());
    assert_eq!(output.status.success(), all_well, "{summary}");
}

/// Bytes beyond the payload for each data packet, over ten seconds of real traffic.
fn overhead() -> f64 {
    let told = json(0, &["--seconds", "10", "--clients", "2", "--link", "perfect"]);
    let summary = told.last().unwrap();
    // Nothing is lost but what crosses a close, which is not taken any more.
    assert!(number(summary, "dropped") <= 8.0, "{summary}");
    assert_eq!(number(summary, "payload_bytes"), number(summary, "data_packets") * 100.0, "{summary}");
    let beyond = number(summary, "bytes_sent") - number(summary, "payload_bytes");
    let counted = beyond / number(summary, "data_packets");
    assert!((counted - number(summary, "overhead_bytes")).abs() < 0.01, "{summary}");
    counted
}

#[test]
fn a_packet_costs_at_most_eleven_and_a_half_bytes_without_loss() {
    // 3 bytes of header and 8 of tag, and what is left for pings, acks and closing. A machine that stalls makes
    // the protocol probe, which is not what a packet costs: then it is counted again.
    let mut counts = Vec::new();
    while counts.len() < 3 && counts.iter().all(|count| *count > 11.5) {
        counts.push(overhead());
    }
    assert!(counts.iter().all(|count| *count >= 11.0), "{counts:?}");
    assert!(counts.iter().any(|count| *count <= 11.5), "{counts:?}");
}

#[test]
fn without_a_terminal_it_tells_in_lines_what_it_found() {
    let text = run_to(0, &["--seconds", "2", "--clients", "2"]);
    for part in ["client 2  ", "established ", "in flight", "0 verdicts that disagree", "delivered"] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let told =
        json(0, &["--seconds", "1", "--clients", "1", "--difficulty", "12", "--cipher", "chacha20-poly1305"]);
    event(&told, "summary");
    assert!(
        told.iter().any(|object| object["step"].as_str().is_some_and(|step| step.contains("puzzle 12 bits")))
    );
}

/// The web part, on its own: the pages are whatever the directory holds.
#[cfg(feature = "gateway")]
mod web {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::path::{Path, PathBuf};

    use super::common::{demo, event, json, lines, run};

    /// A directory that is removed with the value.
    pub struct Directory(PathBuf);

    impl Directory {
        /// An empty directory for the test of this name.
        pub fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("torque-demo-{}-{test}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_arena_is_played_by_bots_and_its_pages_say_where_it_is() {
        let pages = Directory::new("bots");
        std::fs::write(pages.path().join("index.html"), "<title>here</title>").unwrap();
        let arguments = ["--web-only", "--web-port", "0", "--bots", "2", "--seconds", "3", "--json"];
        let mut command = demo();
        command.args(arguments).arg("--web").arg(pages.path()).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        std::io::BufRead::read_line(&mut out, &mut first).unwrap();
        let web = &lines(&first)[0];
        let page = web["page"].as_str().unwrap();
        let place = page.strip_prefix("http://").unwrap().strip_suffix('/').unwrap();

        let get = |path: &str| {
            let mut stream = TcpStream::connect(place).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n").unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        assert!(get("/").contains("<title>here</title>"));
        let arena = web["arena"].as_str().unwrap();
        assert!(arena.starts_with("torque://tk1") && get("/demo.json").contains(arena));
        assert!(get("/.well-known/torque-gateway").contains(web["gateway_key"].as_str().unwrap()));

        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert!(child.wait().unwrap().success());
        let joined: Vec<_> = lines(&rest).into_iter().filter(|line| line["event"] == "joined").collect();
        assert_eq!(joined.len(), 2, "{rest}");
        assert!(joined.iter().all(|line| line["bot"] == true));
    }

    #[test]
    fn beside_the_arena_the_clients_run_and_are_checked_as_ever() {
        let pages = Directory::new("clients");
        let told = json(
            0,
            &["--seconds", "1", "--clients", "1", "--web-port", "0", "--web", pages.path().to_str().unwrap()],
        );
        event(&told, "web");
        assert_eq!(event(&told, "summary")["mismatches"], 0);
    }

    #[test]
    fn what_cannot_be_is_said() {
        let output = run(&["--web-only"]);
        assert_eq!(output.status.code(), Some(2));
        let output = run(&["--web", "/nowhere/at/all", "--web-port", "0"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/at/all"));
    }
}
