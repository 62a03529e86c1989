//! The routers and machines: network namespaces, made by patchbay, and what nftables adds to them.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use patchbay::{
    Device, Firewall, IpSupport, Lab, Nat, NatConfig, NatFiltering, NodeId, Router, RouterBuilder,
    RouterPreset,
};
use tokio::runtime::Runtime;

use crate::kinds::{Boxes, Kind, Pair, Shared, Unexpected};
use crate::node::PORT;

/// The network: an introducer at a public address, and places for parties, which are made when they are needed.
pub struct Net {
    runtime: Runtime,
    lab: Lab,
    introducer: Device,
    places: BTreeMap<String, Device>,
}

type Outcome<T> = Result<T, String>;

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

impl Net {
    pub fn new() -> Outcome<Self> {
        // Before any thread is there. Root needs no namespace of users, and may not be allowed one.
        let is_root = patchbay::check_caps().is_ok();
        if !is_root {
            patchbay::init_userns().map_err(text)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(text)?;
        let (lab, introducer) = runtime.block_on(async {
            let lab = if is_root { Lab::builder().allow_real_root() } else { Lab::builder() };
            let lab = lab.build().await.map_err(text)?;
            let core = lab.add_router("core").preset(RouterPreset::Public).build().await.map_err(text)?;
            let introducer = machine(&lab, "introducer", core.id()).await?;
            Ok::<_, String>((lab, introducer))
        })?;
        Ok(Self { runtime, lab, introducer, places: BTreeMap::new() })
    }

    pub fn introducer(&self) -> &Device {
        &self.introducer
    }

    /// The introducer's address for a party.
    pub fn address_for(&self, party: &Device) -> Outcome<SocketAddr> {
        let ip = match party.ip() {
            Some(_) => self.introducer.ip().map(Into::into),
            None => self.introducer.ip6().map(Into::into),
        };
        Ok(SocketAddr::new(ip.ok_or("the introducer has no address")?, PORT))
    }

    /// The machines of two parties.
    pub fn parties(&mut self, pair: &Pair) -> Outcome<[Device; 2]> {
        let names = match pair {
            Pair::Apart(first, second) => [format!("a {}", first.name), format!("b {}", second.name)],
            Pair::Together(_) => ["a", "b"].map(|side| format!("{side} {}", pair.names()[0])),
        };
        if !names.iter().all(|name| self.places.contains_key(name)) {
            let made = match pair {
                Pair::Apart(first, second) => {
                    let mut made = Vec::new();
                    for (kind, name) in [first, second].into_iter().zip(&names) {
                        if !self.places.contains_key(name) {
                            let device = self.runtime.block_on(place(&self.lab, kind, &file_name(name)))?;
                            made.push((name.clone(), device));
                        }
                    }
                    made
                }
                Pair::Together(shared) => {
                    let devices = self.runtime.block_on(together(&self.lab, *shared))?;
                    names.clone().into_iter().zip(devices).collect()
                }
            };
            self.places.extend(made);
        }
        Ok(names.map(|name| self.places[&name].clone()))
    }
}

impl Net {
    /// Makes a machine that can move between two homes, and another one in a third home.
    pub fn movers(&mut self) -> Outcome<Movers> {
        let lab = &self.lab;
        self.runtime.block_on(async {
            let home = async |name| outermost(lab.add_router(name).nat(Nat::Moderate)).await;
            let homes = [home("home-1").await?.id(), home("home-2").await?.id()];
            let parties = [
                machine(lab, "mover", homes[0]).await?,
                machine(lab, "stays", home("home-3").await?.id()).await?,
            ];
            Ok(Movers { homes, parties, is_away: false })
        })
    }

    /// Changes the address of the machine that moves.
    pub fn change(&self, movers: &mut Movers, change: Change) -> Outcome<()> {
        let wire = movers.parties[0].iface("eth0").ok_or("the machine has no interface")?;
        self.runtime.block_on(async {
            match change {
                Change::Address => {
                    wire.renew_ip().await.map_err(text)?;
                    // The kernel has forgotten it with the old address.
                    movers.parties[0].set_default_route("eth0").await.map_err(text)?;
                }
                Change::Network => {
                    movers.is_away = !movers.is_away;
                    wire.replug(movers.homes[usize::from(movers.is_away)]).await.map_err(text)?;
                }
            }
            Ok(())
        })
    }
}

/// A machine that moves, and one that stays, each behind an EI/APD.
pub struct Movers {
    homes: [NodeId; 2],
    pub parties: [Device; 2],
    is_away: bool,
}

/// How a machine's address changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It gets another address behind the same NAT.
    Address,
    /// It gets behind another NAT.
    Network,
}

/// Namespaces and interfaces have plain names.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Starts a program on a machine.
pub fn spawn(device: &Device, program: &Path, words: &[&str]) -> Outcome<Child> {
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    if std::env::var_os("TORQUE_RIG_VERBOSE").is_none() {
        command.stderr(Stdio::null());
    }
    device.spawn_command_sync(command).map_err(text)
}

async fn machine(lab: &Lab, name: &str, router: NodeId) -> Outcome<Device> {
    lab.add_device(name).iface("eth0", router).build().await.map_err(text)
}

/// Builds the boxes of a kind, and a machine behind them.
async fn place(lab: &Lab, kind: &Kind, name: &str) -> Outcome<Device> {
    let router = |inside: &str| lab.add_router(&format!("{name}-{inside}"));
    let inner = match kind.boxes {
        Boxes::Public => outermost(router("r").preset(RouterPreset::PublicV4)).await?,
        Boxes::Firewall { ipv6: false } => {
            let router = router("r").preset(RouterPreset::PublicV4).firewall(Firewall::BlockInbound);
            outermost(router).await?
        }
        Boxes::Firewall { ipv6: true } => {
            let router = router("r").preset(RouterPreset::Public).ip_support(IpSupport::V6Only);
            outermost(router.firewall(Firewall::BlockInbound)).await?
        }
        Boxes::Independent(filtering) => outermost(router("r").nat(independent(filtering, false)?)).await?,
        Boxes::Forgetful => {
            let nat = NatConfig::builder().udp_timeout(10).udp_stream_timeout(10).build().map_err(text)?;
            outermost(router("r").nat(nat)).await?
        }
        Boxes::Symmetric => outermost(router("r").nat(Nat::Strict)).await?,
        Boxes::Masquerade(unexpected) => {
            let router = outermost(router("r").nat(Nat::Moderate)).await?;
            nft(&router, &masquerade(unexpected))?;
            router
        }
        Boxes::Carrier { symmetric } => {
            let nat = if symmetric { Nat::Strict } else { Nat::Moderate };
            let carrier = outermost(router("c").nat(nat)).await?;
            router("r").nat(Nat::Moderate).upstream(carrier.id()).build().await.map_err(text)?
        }
    };
    machine(lab, name, inner.id()).await
}

/// Builds boxes that two machines share.
async fn together(lab: &Lab, shared: Shared) -> Outcome<[Device; 2]> {
    let apd = NatFiltering::AddressAndPortDependent;
    match shared {
        Shared::Home => {
            let home = outermost(lab.add_router("home").nat(Nat::Moderate)).await?;
            Ok([machine(lab, "home-a", home.id()).await?, machine(lab, "home-b", home.id()).await?])
        }
        Shared::Carrier { hairpin } => {
            let name = if hairpin { "cgnhp" } else { "cgn" };
            let carrier = outermost(lab.add_router(name).nat(independent(apd, hairpin)?)).await?;
            if let Some(ip) = carrier.uplink_ip().filter(|_| hairpin) {
                nft(&carrier, &outer_source(ip))?;
            }
            let home = async |side| {
                let router = lab.add_router(&format!("{name}-{side}-r")).nat(Nat::Moderate);
                let router = router.upstream(carrier.id()).build().await.map_err(text)?;
                machine(lab, &format!("{name}-{side}"), router.id()).await
            };
            Ok([home("a").await?, home("b").await?])
        }
    }
}

fn independent(filtering: NatFiltering, hairpin: bool) -> Outcome<NatConfig> {
    NatConfig::builder().filtering(filtering).hairpin(hairpin).build().map_err(text)
}

/// Builds a router that stands at the core, far from all others.
async fn outermost(router: RouterBuilder) -> Outcome<Router> {
    let router = router.build().await.map_err(text)?;
    nft(&router, FAR)?;
    Ok(router)
}

/// A punch with a short life opens the own NAT and dies on its way. The rig's core is one hop long: its routers drop what would not
/// have come so far, before they take notice of it.
const FAR: &str = "
table inet far {
    chain prerouting {
        type filter hook prerouting priority -300; policy accept;
        iifname \"ix\" meta nfproto ipv4 meta l4proto udp ip ttl < 32 drop
        iifname \"ix\" meta nfproto ipv6 meta l4proto udp ip6 hoplimit < 32 drop
    }
}
";

/// What hairpins comes from the sender's outer address (RFC 4787, REQ-9), where patchbay would put the router's inner one.
fn outer_source(ip: std::net::Ipv4Addr) -> String {
    format!(
        "insert rule ip nat postrouting iifname != \"ix\" oifname != \"ix\" ct status dnat snat to {ip}\n"
    )
}

/// The rules of a plain Linux router, in place of patchbay's.
fn masquerade(unexpected: Unexpected) -> String {
    let rule = match unexpected {
        Unexpected::Drop => "iifname \"ix\" meta l4proto udp drop",
        Unexpected::Reject => "iifname \"ix\" meta l4proto udp reject",
        Unexpected::Answer => "",
    };
    format!(
        "flush ruleset
{FAR}
table ip nat {{
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname \"ix\" masquerade
    }}
}}
table ip filter {{
    chain input {{
        type filter hook input priority 0; policy accept;
        {rule}
    }}
    chain forward {{
        type filter hook forward priority 0; policy accept;
        iifname \"ix\" ct state established,related accept
        iifname \"ix\" drop
    }}
}}
"
    )
}

/// Loads rules into a router.
fn nft(router: &Router, rules: &str) -> Outcome<()> {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = router.spawn_command_sync(command).map_err(text)?;
    child.stdin.take().ok_or("no pipe to nft")?.write_all(rules.as_bytes()).map_err(text)?;
    let output = child.wait_with_output().map_err(text)?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("nft: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
