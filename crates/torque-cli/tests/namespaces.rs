//! Two machines, as far as the kernel can pretend: network namespaces with a cable between them.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]
#![cfg(target_os = "linux")]

mod common;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Host, event, lines, output, skip};

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Two namespaces, removed with the value.
struct Namespaces([String; 2]);

impl Namespaces {
    fn new() -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let names = ["a", "b"].map(|end| format!("tq{}{end}{number}", std::process::id()));
        let namespaces = Self(names);
        let [a, b] = &namespaces.0;
        ip(&["netns", "add", a])?;
        ip(&["netns", "add", b])?;
        ip(&["link", "add", a, "netns", a, "type", "veth", "peer", "name", b, "netns", b])?;
        for (name, v4, v6) in [(a, "10.77.0.1/24", "fd77::1/64"), (b, "10.77.0.2/24", "fd77::2/64")] {
            ip(&["-n", name, "addr", "add", v4, "dev", name])?;
            // Without waiting to see whether somebody else has the address.
            let _ = ip(&["-n", name, "addr", "add", v6, "dev", name, "nodad"]);
            ip(&["-n", name, "link", "set", name, "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        Ok(namespaces)
    }

    /// `torque`, run in one of them.
    fn torque(&self, end: usize) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0[end], env!("CARGO_BIN_EXE_torque")]);
        command.env_remove("TORQUE_KEYLOG").stdin(Stdio::null());
        command
    }

    fn json(&self, end: usize, arguments: &[&str]) -> Vec<serde_json::Value> {
        let output = output(self.torque(end).args(arguments).arg("--json"));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{arguments:?}: {text}");
        lines(&text)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

#[test]
fn a_host_and_an_initiator_talk_between_two_network_namespaces() {
    let namespaces = match Namespaces::new() {
        Ok(namespaces) => namespaces,
        Err(why) => return skip(&format!("network namespaces need root and iproute2: {why}")),
    };
    let mut host = namespaces.torque(0);
    host.args(["host", "--bind", "0.0.0.0:28000", "--name", "over there"]);
    let host = Host::start_with(host, &[]);
    for place in ["10.77.0.1", "[fd77::1]"] {
        if place.starts_with('[') && !std::path::Path::new("/proc/sys/net/ipv6").exists() {
            skip("no IPv6 on this machine");
            continue;
        }
        let url = format!("torque://{}@{place}:28000", host.key());
        let told = namespaces.json(1, &["connect", &url, "--send", "hello", "--count", "20"]);
        let summary = event(&told, "summary");
        assert_eq!(
            (&summary["delivered"], &summary["received"]),
            (&20.into(), &20.into()),
            "{place}: {told:?}"
        );
    }
    // What the host itself prints can be copied.
    assert!(host.url().ends_with("@10.77.0.1:28000"), "{}", host.url());
    for url in host.listening["urls"].as_array().unwrap() {
        let told = namespaces.json(1, &["connect", url.as_str().unwrap(), "--send", "hello"]);
        assert_eq!(event(&told, "summary")["delivered"], 1, "{url}");
    }
    // By broadcast or multicast, without knowing the address; first over both families, then where IPv6 has
    // link-local addresses only, which are passed over.
    for round in 0..4 {
        if round == 1 {
            let [a, b] = &namespaces.0;
            for (name, v6) in [(a, "fd77::1/64"), (b, "fd77::2/64")] {
                let _ = ip(&["-n", name, "addr", "del", v6, "dev", name]);
            }
        }
        let told = namespaces.json(1, &["discover", "--wait", "1.5"]);
        assert_eq!(told.len(), 1, "{told:?}");
        let found = event(&told, "host");
        assert_eq!((&found["public_key"], &found["name"]), (&host.key().into(), &"over there".into()));
        assert!(host.listening["urls"].as_array().unwrap().contains(&found["url"]), "{found}");
        if round >= 1 {
            assert_eq!(found["url"].as_str(), Some(host.url()));
        }
    }
}

#[test]
fn a_machine_without_free_ports_says_so() {
    let namespaces = match Namespaces::new() {
        Ok(namespaces) => namespaces,
        Err(why) => return skip(&format!("network namespaces need root and iproute2: {why}")),
    };
    let mut narrow = Command::new("ip");
    narrow.args(["netns", "exec", &namespaces.0[0], "sh", "-c"]);
    narrow.arg("echo 40000 40001 > /proc/sys/net/ipv4/ip_local_port_range");
    if !narrow.status().is_ok_and(|status| status.success()) {
        return skip("the range of free ports cannot be changed here");
    }
    let mut hosts = Vec::new();
    for _ in 0..2 {
        let mut command = namespaces.torque(0);
        command.args(["host", "--bind", "127.0.0.1:0"]);
        hosts.push(Host::start_with(command, &[]));
    }
    let output = output(namespaces.torque(0).args(["host", "--bind", "127.0.0.1:0", "--json"]));
    let told = lines(&String::from_utf8_lossy(&output.stdout));
    let message = event(&told, "error")["message"].as_str().unwrap();
    assert!(message.contains("no UDP port of 127.0.0.1 is free"), "{message}");
}
