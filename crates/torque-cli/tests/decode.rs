//! Datagrams explained: hex, captures, golden vectors, and with a key log.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{Directory, Host, event, json, skip, torque};
use serde_json::Value;

fn field<'a>(datagram: &'a Value, name: &str) -> &'a str {
    let fields = datagram["fields"].as_array().unwrap();
    let found = fields.iter().find(|field| field["name"] == name);
    found.and_then(|field| field["value"].as_str()).unwrap_or_else(|| panic!("no {name} in {datagram:#}"))
}

#[test]
fn a_datagram_in_hex_is_explained_and_a_broken_one_objected_to() {
    let nonce = "00112233445566778899aabbccddeeff";
    let told = json(0, &["decode", "07", "01", nonce, "06"]);
    assert_eq!(told[0]["kind"], "reject");
    assert_eq!(field(&told[0], "initiator_nonce"), nonce);
    assert!(field(&told[0], "reject_code").contains("busy"));
    assert_eq!(told[0]["problem"], Value::Null);
    let told = json(0, &["decode", &format!("0701{nonce}09")]);
    assert!(told[0]["problem"].as_str().unwrap().contains("reject code"));
    // Data, sequence 5, ack 3, form 0.
    let told = json(0, &["decode", "80501800aabbccddeeff0011"]);
    assert_eq!((told[0]["kind"].as_str(), told[0]["opened"].as_bool()), (Some("data"), Some(false)));
    assert_eq!(json(0, &["decode", "1f00"])[0]["kind"], "reserved");
    assert!(field(&json(0, &["decode", "2068656c6c6f"])[0], "bytes").contains("hello"));
    json(2, &["decode", "no hex at all"]);
}

#[test]
fn a_relayed_datagram_is_explained_with_the_one_inside() {
    // A reject in circuit 0x2a, and a probe, which no introducer passes on.
    let told = json(0, &["decode", "0e0000002a", "0701", "00112233445566778899aabbccddeeff", "06"]);
    assert_eq!(told[0]["kind"], "relayed");
    assert_eq!(told[0]["summary"], "on circuit 0000002a, reject: rejected: busy");
    assert_eq!((field(&told[0], "circuit"), &told[0]["problem"]), ("0000002a", &Value::Null));
    let code = told[0]["fields"].as_array().unwrap().iter().find(|field| field["name"] == "reject_code");
    assert_eq!(code.unwrap()["offset"], 5 + 18);
    let told = json(0, &["decode", "0e0000002a", "0b", "00112233445566778899aabbccddeeff"]);
    assert!(told[0]["problem"].as_str().unwrap().contains("only handshakes"), "{}", told[0]);
    let told = json(0, &["decode", "0e00000000", "80"]);
    assert!(told[0]["problem"].as_str().unwrap().contains("dropped"), "{}", told[0]);
}

#[test]
fn every_golden_layout_is_named_and_every_refused_one_objected_to() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/layouts.json");
    if !file.exists() {
        return skip(&format!("{} is not there", file.display()));
    }
    let vectors: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let messages = [
        "challenge_request",
        "challenge_response",
        "connect_request",
        "connect_accept",
        "connect_refuse",
        "connect_pending",
        "reject",
        "punch",
        "who_are_you",
        "reset",
        "probe",
        "probe_echo",
        "relayed",
    ];
    let wanted: Vec<&Value> = vectors["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|vector| messages.contains(&vector["kind"].as_str().unwrap_or_default()))
        .filter(|vector| vector["hex"].as_str().is_some_and(|hex| !hex.is_empty()))
        .collect();
    assert!(wanted.len() > 30, "{} vectors", wanted.len());
    let directory = Directory::new();
    let path = directory.file("layouts.txt");
    let text: String = wanted.iter().map(|vector| format!("{}\n", vector["hex"].as_str().unwrap())).collect();
    std::fs::write(&path, text).unwrap();
    let told = json(0, &["decode", &path]);
    assert_eq!(told.len(), wanted.len());
    for (vector, datagram) in wanted.iter().zip(&told) {
        let name = &vector["name"];
        if vector["refused"].is_null() {
            // Keys in vectors of layouts need not be good ones, nor datagrams inside of others.
            let problem = datagram["problem"].as_str();
            let is_allowed =
                |problem: &str| problem.starts_with("the host's key") || problem.starts_with("inside: ");
            assert!(problem.is_none_or(is_allowed), "{name}: {problem:?}");
            assert_eq!(datagram["kind"], vector["kind"], "{name}");
            for key in [
                "initiator_nonce",
                "host_salt",
                "e2",
                "epoch_key",
                "identity_token",
                "nonce",
                "id",
                "number",
                "echo",
                "reset_token",
            ] {
                if let Some(value) = vector["fields"][key].as_str() {
                    assert_eq!(field(datagram, key), value, "{name}");
                }
            }
        } else if datagram["kind"] == vector["kind"] {
            assert!(datagram["problem"].is_string(), "{name}: {datagram}");
        }
    }
}

type Taken = Arc<Mutex<Vec<(SocketAddr, SocketAddr, Vec<u8>)>>>;

/// Hands datagrams on between one client and a host, and keeps a copy of each.
struct Relay {
    address: SocketAddr,
    taken: Taken,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Relay {
    fn start(host: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (taken, stop) = (Taken::default(), Arc::new(AtomicBool::new(false)));
        let (kept, stopped) = (Arc::clone(&taken), Arc::clone(&stop));
        let address = socket.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let mut client = None;
            let mut bytes = [0; 2_048];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut bytes) else { continue };
                let to = if from == host { client } else { Some(host) };
                if from != host {
                    client = Some(from);
                }
                let Some(to) = to else { continue };
                kept.lock().unwrap().push((from, to, bytes[..length].to_vec()));
                let _ = socket.send_to(&bytes[..length], to);
            }
        });
        Self { address, taken, stop, thread: Some(thread) }
    }

    fn end(mut self) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        std::mem::take(&mut self.taken.lock().unwrap())
    }
}

/// A pcap file of raw IPv4 packets.
fn pcap(datagrams: &[(SocketAddr, SocketAddr, Vec<u8>)]) -> Vec<u8> {
    let mut file = 0xa1b2_c3d4_u32.to_be_bytes().to_vec();
    file.extend_from_slice(&[0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 101]);
    for (index, (from, to, bytes)) in datagrams.iter().enumerate() {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        for address in [from, to] {
            let SocketAddr::V4(address) = address else { panic!("{address}") };
            packet.extend_from_slice(&address.ip().octets());
        }
        packet.extend_from_slice(&from.port().to_be_bytes());
        packet.extend_from_slice(&to.port().to_be_bytes());
        packet.extend_from_slice(&(bytes.len() as u16 + 8).to_be_bytes());
        packet.extend_from_slice(&[0, 0]);
        packet.extend_from_slice(bytes);
        for figure in [1_700_000_000, index as u32, packet.len() as u32, packet.len() as u32] {
            file.extend_from_slice(&figure.to_be_bytes());
        }
        file.extend_from_slice(&packet);
    }
    file
}

#[test]
fn a_key_log_opens_every_packet_of_a_capture() {
    let directory = Directory::new();
    let [keys, capture, text] =
        ["keys.txt", "capture.pcap", "datagrams.txt"].map(|name| directory.file(name));
    let host = Host::start(&[]);
    let relay = Relay::start(host.address().parse().unwrap());
    let url = format!("torque://{}@{}", host.key(), relay.address);
    let output = torque()
        .env("TORQUE_KEYLOG", &keys)
        .args([
            "connect",
            &url,
            "--count",
            "40",
            "--rate",
            "200",
            "--send",
            "secret word",
            "--link",
            "loss=10%",
        ])
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let datagrams = relay.end();
    std::fs::write(&capture, pcap(&datagrams)).unwrap();
    let hex: String = datagrams
        .iter()
        .map(|(_, _, bytes)| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n")
        .collect();
    std::fs::write(&text, hex).unwrap();

    let is_packet = |datagram: &&Value| {
        let kind = datagram["kind"].as_str().unwrap();
        ["data", "report", "ack", "control"].contains(&kind)
    };
    for file in [&capture, &text] {
        let told = json(0, &["decode", file, "--key-log", &keys]);
        assert_eq!(told.len(), datagrams.len());
        let packets: Vec<&Value> = told.iter().filter(is_packet).collect();
        assert!(packets.len() > 40, "{told:?}");
        assert!(packets.iter().all(|packet| packet["opened"] == true), "{file}");
        let data = packets.iter().filter(|packet| packet["kind"] == "data");
        assert!(data.clone().count() > 30);
        data.for_each(|packet| assert!(field(packet, "payload").contains("secret word")));
        assert!(packets.iter().any(|packet| packet["summary"].as_str().unwrap().contains("close_ack")));
        assert_eq!(event(&told, "datagram")["kind"], "challenge_request");

        let told = json(0, &["decode", file]);
        assert!(told.iter().filter(is_packet).all(|packet| packet["opened"] == false));
        assert!(!serde_json::to_string(&told).unwrap().contains("secret word"));
    }
    // Secrets of one connection open no other.
    let text = std::fs::read_to_string(&keys).unwrap();
    let at = text.find("from_initiator=").unwrap() + "from_initiator=".len();
    let digit = if &text[at..=at] == "0" { "1" } else { "0" };
    std::fs::write(&keys, [&text[..at], digit, &text[at + 1..]].concat()).unwrap();
    let told = json(0, &["decode", &capture, "--key-log", &keys]);
    let host_side = relay_host(&datagrams);
    for packet in told.iter().filter(is_packet) {
        assert_eq!(packet["opened"] == true, packet["from"] == host_side.to_string(), "{packet}");
    }
}

/// The first datagram goes from the client to the host.
fn relay_host(datagrams: &[(SocketAddr, SocketAddr, Vec<u8>)]) -> SocketAddr {
    datagrams[0].1
}
