//! Introductions through the kernel's own NATs: network namespaces for the lobby, two routers, and a machine behind each.

#![allow(clippy::unwrap_used, reason = "that is how a test fails")]
#![cfg(target_os = "linux")]

mod common;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Host, Running, event, lines, output, skip};
use serde_json::Value;

/// How a router maps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nat {
    /// None: addresses are routed.
    Routed,
    /// The same port for all destinations, where it can.
    Independent,
    /// A random port for each destination.
    Unpredictable,
    /// The same by the older rule.
    Random,
}

/// The lobby's network, and two private ones with a router before each. Removed with the value.
struct Networks {
    world: String,
    routers: [String; 2],
    homes: [String; 2],
}

impl Networks {
    fn new(nats: [Nat; 2]) -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |place: &str| format!("tq{}{place}{number}", std::process::id());
        let networks =
            Self { world: name("w"), routers: ["r1", "r2"].map(name), homes: ["h1", "h2"].map(name) };
        let world = &networks.world;
        for name in networks.names() {
            // A run that was killed may have left one.
            let _ = run("ip", &["netns", "del", name]);
            run("ip", &["netns", "add", name])?;
            run("ip", &["-n", name, "link", "set", "lo", "up"])?;
        }
        run("ip", &["-n", world, "link", "add", "lan", "type", "bridge"])?;
        run("ip", &["-n", world, "addr", "add", "203.0.113.1/24", "dev", "lan"])?;
        run("ip", &["-n", world, "link", "set", "lan", "up"])?;
        for (index, nat) in nats.into_iter().enumerate() {
            networks.add_home(index, nat)?;
        }
        Ok(networks)
    }

    fn add_home(&self, index: usize, nat: Nat) -> Result<(), String> {
        let (world, router, home) = (&self.world, &self.routers[index], &self.homes[index]);
        let port = format!("port{index}");
        run(
            "ip",
            &["link", "add", "out", "netns", router, "type", "veth", "peer", "name", &port, "netns", world],
        )?;
        run("ip", &["-n", world, "link", "set", &port, "master", "lan", "up"])?;
        run(
            "ip",
            &["link", "add", "in", "netns", router, "type", "veth", "peer", "name", "eth", "netns", home],
        )?;
        let inside = format!("192.168.{index}.1");
        for (name, device, address) in [
            (router, "out", format!("{}/24", outside(index))),
            (router, "in", format!("{inside}/24")),
            (home, "eth", format!("192.168.{index}.2/24")),
        ] {
            run("ip", &["-n", name, "addr", "add", &address, "dev", device])?;
            run("ip", &["-n", name, "link", "set", device, "up"])?;
        }
        run("ip", &["-n", home, "route", "add", "default", "via", &inside])?;
        self.in_router(index, "echo 1 > /proc/sys/net/ipv4/ip_forward")?;
        if nat == Nat::Routed {
            let subnet = format!("192.168.{index}.0/24");
            run("ip", &["-n", world, "route", "add", &subnet, "via", &outside(index)])?;
        }
        let masquerade = match nat {
            Nat::Routed => "accept",
            Nat::Independent => "masquerade",
            Nat::Unpredictable => "masquerade fully-random",
            Nat::Random => "masquerade random",
        };
        // Nobody comes in who was not written to.
        let rules = format!(
            "table ip home {{
                chain after {{ type nat hook postrouting priority srcnat; oifname out {masquerade}; }}
                chain through {{ type filter hook forward priority filter; policy drop; \
                    ct state established accept; iifname in accept; }}
                chain to {{ type filter hook input priority filter; iifname out drop; }}
            }}"
        );
        self.in_router(index, &format!("nft '{rules}'"))
    }

    fn in_router(&self, index: usize, script: &str) -> Result<(), String> {
        run("ip", &["netns", "exec", &self.routers[index], "sh", "-c", script])
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.world).chain(&self.routers).chain(&self.homes)
    }

    /// A lobby that both homes reach.
    fn lobby(&self, arguments: &[&str]) -> Host {
        let mut command = torque(&self.world);
        command.args(["introduce", "0.0.0.0:28000"]);
        Host::start_with(command, arguments)
    }

    /// A host in the first home that has registered as `pond`, and how others name it.
    fn registered(&self, lobby: &Host, arguments: &[&str]) -> (Host, String) {
        let mut command = torque(&self.homes[0]);
        command.args(["host", "--via", lobby.url(), "--as", "pond"]);
        let mut host = Host::start_with(command, arguments);
        let target = host.until("registered")["target"].as_str().unwrap().to_owned();
        (host, target)
    }

    /// What `torque connect` tells in the second home.
    fn connect(&self, code: i32, arguments: &[&str]) -> Vec<Value> {
        let output = output(torque(&self.homes[1]).args(["connect", "--json"]).args(arguments));
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        lines(&text)
    }
}

impl Networks {
    /// What `torque nat` tells in a home.
    fn nat(&self, home: usize, lobby: &Host) -> Value {
        let output = output(torque(&self.homes[home]).args(["nat", "--json", lobby.url()]));
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{text}");
        event(&lines(&text), "nat").clone()
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in self.names() {
            let _ = run("ip", &["netns", "del", name]);
        }
    }
}

/// The address of a router that others see.
fn outside(index: usize) -> String {
    format!("203.0.113.{}", 11 + index)
}

/// `torque`, run in a network.
fn torque(network: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", network, env!("CARGO_BIN_EXE_torque")]);
    command.env_remove("TORQUE_KEYLOG").env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output =
        Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

#[test]
fn two_behind_nats_connect_directly_and_nobody_else_gets_in() {
    let networks = match Networks::new([Nat::Independent; 2]) {
        Ok(networks) => networks,
        Err(why) => return skip(&format!("NATs need root, iproute2 and nftables: {why}")),
    };
    let lobby = networks.lobby(&[]);
    let (host, target) = networks.registered(&lobby, &[]);
    // The router lets nobody in.
    let plain = format!("torque://{}@{}:28000", host.key(), outside(0));
    networks.connect(3, &[&plain, "--send", "x", "--timeout", "1"]);

    let told = networks.connect(0, &["--via", lobby.url(), &target, "--send", "hello"]);
    let established = event(&told, "established");
    assert_eq!(established["path"], "direct", "{established}");
    assert!(established["remote"].as_str().unwrap().starts_with(&outside(0)), "{established}");
    // It was shown how that path was found.
    let searches = || told.iter().filter(|object| object["event"] == "path_search");
    let found = searches().find(|search| search["working"][0] == established["remote"]).unwrap();
    assert_eq!(found["candidates"][0], established["remote"], "{found}");
    assert_eq!(found["relay_granted"], false);
    assert!(["punches_sent", "punches_received"].iter().all(|key| found[key].as_u64() >= Some(1)), "{found}");
    assert!(searches().any(|search| search["working"] == serde_json::json!([])), "{told:?}");
    assert_eq!(event(&told, "packet")["text"], "hello");
}

#[test]
fn where_nats_let_no_direct_path_through_the_lobby_relays() {
    let networks = match Networks::new([Nat::Unpredictable; 2]) {
        Ok(networks) => networks,
        Err(why) => return skip(&format!("NATs need root, iproute2 and nftables: {why}")),
    };
    let mut lobby = networks.lobby(&["--relay"]);
    let (_host, target) = networks.registered(&lobby, &[]);
    let told = networks.connect(0, &["--via", lobby.url(), &target, "--send", "hello"]);
    assert_eq!(event(&told, "established")["path"], "relayed", "{told:?}");
    let searched = told.iter().rfind(|object| object["event"] == "path_search").unwrap();
    assert_eq!((&searched["relay_granted"], &searched["punches_received"]), (&true.into(), &0.into()));
    assert!(searched["punches_sent"].as_u64() > Some(5), "{searched}");
    assert_eq!(event(&told, "packet")["text"], "hello");
    assert_eq!(lobby.until("introduced")["result"], "relayed");

    // Without a relay there is no way, and the reason is told.
    let told = networks.connect(3, &["--via", lobby.url(), &target, "--send", "x", "--relay", "never"]);
    assert!(event(&told, "error")["next"].as_str().unwrap().contains("--relay"), "{told:?}");
    let introduced = lobby.until("introduced");
    assert_eq!(introduced["result"], "failed");
    // The lobby may know by then what kind of NATs they are.
    assert!(["no_path", "hard_nat"].map(Value::from).contains(&introduced["reason"]), "{introduced}");
}

#[test]
fn one_unpredictable_nat_becomes_direct_with_many_ports() {
    let networks = match Networks::new([Nat::Independent, Nat::Unpredictable]) {
        Ok(networks) => networks,
        Err(why) => return skip(&format!("NATs need root, iproute2 and nftables: {why}")),
    };
    let lobby = networks.lobby(&[]);
    let always = ["--hard-nat", "always"];
    let (_host, target) = networks.registered(&lobby, &always);
    let words = [&["--via", lobby.url(), &target, "--send", "hello"][..], &always].concat();
    let told = networks.connect(0, &words);
    let established = event(&told, "established");
    assert_eq!(established["path"], "direct", "{established}");
    assert!(established["remote"].as_str().unwrap().starts_with(&outside(0)), "{established}");
    assert_eq!(event(&told, "packet")["text"], "hello");
}

#[test]
fn a_relayed_pair_that_knows_its_keys_becomes_direct_with_many_ports() {
    // The initiator opens the ports, and the host does.
    for nats in [[Nat::Independent, Nat::Unpredictable], [Nat::Unpredictable, Nat::Independent]] {
        let networks = match Networks::new(nats) {
            Ok(networks) => networks,
            Err(why) => return skip(&format!("NATs need root, iproute2 and nftables: {why}")),
        };
        let mut lobby = networks.lobby(&["--relay"]);
        let (_host, target) = networks.registered(&lobby, &[]);
        let mut command = torque(&networks.homes[1]);
        command.args(["connect", "--via", lobby.url(), &target, "--count", "1200", "--rate", "20"]);
        let mut connect = Running::of(command.arg("--json").stdout(Stdio::piped()).spawn().unwrap());
        assert_eq!(connect.until("established")["path"], "relayed");
        let changed = connect.until("path_changed");
        assert_eq!(changed["path"], "direct", "{changed}");
        assert!(changed["remote"].as_str().unwrap().starts_with(&outside(0)), "{changed}");
        assert_eq!(connect.until("verdict")["delivery"], "delivered");
        assert_eq!(lobby.until("introduced")["result"], "relayed");
    }
}

#[test]
fn a_lobby_tells_what_a_nat_is_like() {
    for (nats, kinds) in [
        ([Nat::Routed, Nat::Independent], ["none", "independent"]),
        ([Nat::Unpredictable, Nat::Random], ["unpredictable", "unpredictable"]),
    ] {
        let networks = match Networks::new(nats) {
            Ok(networks) => networks,
            Err(why) => return skip(&format!("NATs need root, iproute2 and nftables: {why}")),
        };
        let lobby = networks.lobby(&[]);
        assert_eq!(lobby.listening["observing"].as_str().unwrap().rsplit_once(':').unwrap().1, "28001");
        for home in [0, 1] {
            let told = networks.nat(home, &lobby);
            assert_eq!(told["nat"], kinds[home], "{told}");
            let routed = nats[home] == Nat::Routed;
            let seen = if routed { format!("192.168.{home}.2:") } else { outside(home) + ":" };
            assert!(told["observed"].as_str().unwrap().starts_with(&seen), "{told}");
            assert_eq!(told["opens_ports"], true, "{told}");
            let hard = kinds[home] == "unpredictable";
            assert_eq!(told["meets"]["unpredictable"], if hard { "relayed" } else { "many_ports" });
            assert_eq!(told["meets"]["independent"], if hard { "many_ports" } else { "direct" });
        }
    }
}

#[test]
fn a_lobby_without_a_second_port_knows_no_nat() {
    let networks = match Networks::new([Nat::Independent; 2]) {
        Ok(networks) => networks,
        Err(why) => return skip(&format!("NATs need root, iproute2 and nftables: {why}")),
    };
    // Its second port is behind a firewall.
    let rules =
        "table ip closed { chain input { type filter hook input priority 0; udp dport 28001 drop; }\n}";
    run("ip", &["netns", "exec", &networks.world, "nft", rules]).unwrap();
    let lobby = networks.lobby(&[]);
    let told = networks.nat(0, &lobby);
    assert_eq!(told["nat"], "unknown", "{told}");
    assert!(told["observed"].as_str().unwrap().starts_with(&outside(0)), "{told}");
}
