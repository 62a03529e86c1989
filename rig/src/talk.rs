//! One run: three new processes, of which two come to talk to each other.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::Duration;

use patchbay::Device;
use serde::de::DeserializeOwned;

use crate::lab::{Net, spawn};
use crate::node::{Command, Gap, Looked, Ready, Report, Role, Way};

/// iroh's parties look at their network for some time after they are connected to their relay.
const LOOKS_AROUND: Duration = Duration::from_secs(3);

/// What runs in the places.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Program {
    /// This project: an introducer and two parties, who take its circuit at once or only when no direct path works.
    Torque { at_once: bool },
    /// iroh: its relay and two endpoints.
    Iroh(PathBuf),
}

/// Who talks to whom.
pub struct Plan<'a> {
    pub parties: &'a [Device; 2],
    /// The first party is initiator, unless this is set.
    pub swapped: bool,
    /// The silence before.
    pub idle: Duration,
    /// How long a relayed connection has to become direct.
    pub linger: Duration,
    /// When this project's parties try many ports.
    pub hard_nat: &'a str,
}

/// Two parties after their reports.
pub struct Talk {
    /// The introducer, or the relay.
    _between: Node,
    /// Initiator and host.
    parties: [Node; 2],
    pub reports: [Report; 2],
}

impl Talk {
    pub fn start(net: &Net, program: &Program, plan: &Plan<'_>) -> Result<Self, String> {
        let [first, second] = plan.parties;
        let places = if plan.swapped { [second, first] } else { [first, second] };
        let linger = plan.linger.as_millis().to_string();
        let (between, mut parties) = match program {
            Program::Torque { at_once } => torque(net, places, &linger, plan, *at_once)?,
            Program::Iroh(path) => iroh(net, path, places, &linger)?,
        };
        // A party that ended without a word has failed.
        let reports = parties.each_mut().map(|node| node.hear().unwrap_or_else(Report::failed));
        if std::env::var_os("TORQUE_RIG_VERBOSE").is_some() {
            eprintln!("{reports:?}");
        }
        Ok(Self { _between: between, parties, reports })
    }

    /// Returns the longest times without a packet, at initiator and host, while something happens and for a while after. `None` if a
    /// party has lost the connection.
    pub fn watch(
        &mut self,
        happens: impl FnOnce() -> Result<(), String>,
        after: Duration,
    ) -> Result<[Option<f64>; 2], String> {
        self.parties.iter_mut().for_each(|party| party.tell(Command::Watch.name()));
        thread::sleep(Duration::from_millis(500));
        happens()?;
        thread::sleep(after);
        self.parties.iter_mut().for_each(|party| party.tell(Command::Tell.name()));
        Ok(self.parties.each_mut().map(|party| party.hear().ok().map(|gap: Gap| gap.longest)))
    }
}

impl Report {
    fn failed(remark: String) -> Self {
        Self { way: Way::Failed, established: None, first: None, direct: None, punches: 0, remark }
    }
}

fn torque(
    net: &Net,
    places: [&Device; 2],
    linger: &str,
    plan: &Plan<'_>,
    at_once: bool,
) -> Result<(Node, [Node; 2]), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let idle = plan.idle.as_millis().to_string();
    let mut introducer = Node::start(net.introducer(), &program, &["node", "introducer", &idle])?;
    let ready: Ready = introducer.hear()?;
    let relaying = if at_once { "at_once" } else { "fallback" };
    let party = |place: &Device, role: Role| {
        let address = net.address_for(place)?.to_string();
        let words = ["node", role.name(), &address, &ready.key, linger, relaying, plan.hard_nat];
        Node::start(place, &program, &words)
    };
    let parties = [party(places[0], Role::Initiator)?, party(places[1], Role::Host)?];
    Ok((introducer, parties))
}

/// Has an introducer look at the NAT of a party.
pub fn look(net: &Net, place: &Device) -> Result<Looked, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut introducer = Node::start(net.introducer(), &program, &["node", "introducer", "0"])?;
    let Ready { key } = introducer.hear()?;
    let address = net.address_for(place)?.to_string();
    Node::start(place, &program, &["node", "look", &address, &key])?.hear()
}

fn iroh(net: &Net, program: &Path, places: [&Device; 2], linger: &str) -> Result<(Node, [Node; 2]), String> {
    let mut relay = Node::start(net.introducer(), program, &["relay"])?;
    let _: Ready = relay.hear()?;
    let party = |place: &Device, role: Role| {
        let ip = net.address_for(place)?.ip().to_string();
        Node::start(place, program, &[role.name(), &ip, linger])
    };
    let mut parties = [party(places[0], Role::Initiator)?, party(places[1], Role::Host)?];
    let [initiator, host] = &mut parties;
    // One that does not reach the relay has ended, and its report says so.
    if let (Ok(Ready { .. }), Ok(Ready { key })) = (initiator.hear(), host.hear()) {
        thread::sleep(LOOKS_AROUND);
        initiator.tell(&key);
    }
    Ok((relay, parties))
}

/// A process on a machine, which ends with this.
struct Node(Child, BufReader<std::process::ChildStdout>);

impl Node {
    fn start(place: &Device, program: &Path, words: &[&str]) -> Result<Self, String> {
        let mut child = spawn(place, program, words)?;
        let output = child.stdout.take().ok_or("no pipe from the node")?;
        Ok(Self(child, BufReader::new(output)))
    }

    /// Writes a line. One that has ended does not read it, and will be heard no more.
    fn tell(&mut self, line: &str) {
        if let Some(input) = &mut self.0.stdin {
            let _ = writeln!(input, "{line}");
        }
    }

    fn hear<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        let mut line = String::new();
        self.1.read_line(&mut line).map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| format!("a node said `{}`: {error}", line.trim()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
