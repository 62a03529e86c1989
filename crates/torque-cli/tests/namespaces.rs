//! Two machines, as far as the kernel can pretend: network namespaces with a cable between them.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]
#![cfg(target_os = "linux")]

mod common;

use std::process::{Command, Stdio};

use common::{Host, event, lines, skip};

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
        let names = ["a", "b"].map(|end| format!("tq{}{end}", std::process::id()));
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
        let output = self.torque(end).args(arguments).arg("--json").output().unwrap();
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
    // By broadcast or multicast, without knowing the address.
    let told = namespaces.json(1, &["discover", "--wait", "1.5"]);
    assert_eq!(event(&told, "host")["public_key"], host.key());
    assert_eq!(event(&told, "host")["name"], "over there");
}
