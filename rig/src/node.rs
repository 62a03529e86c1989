//! What runs in a namespace: an introducer, or one of its parties. Each is a process, which says in lines of JSON what it saw, takes
//! commands in lines on its standard input, and ends when that does.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use torque_socket::{
    Config, ConnectOptions, ConnectionId, Event, HardNat, IntroducedOptions, Nat, PublicKey, Relay, Relaying,
    Socket, Trust,
};

/// The introducer's port.
pub const PORT: u16 = 28_000;

/// A party gives up after this time without an end. Attempts end sooner by themselves.
const LIMIT: Duration = Duration::from_secs(60);
/// The pause between packets on the new connection.
const PAUSE: Duration = Duration::from_millis(10);

/// The side that a party takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Initiator,
    Host,
}

impl Role {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initiator => "initiator",
            Self::Host => "host",
        }
    }
}

/// The first line of an introducer.
#[derive(Serialize, Deserialize)]
pub struct Ready {
    pub key: String,
}

/// What a party was told by the introducer's application about the other one.
#[derive(Serialize, Deserialize)]
struct Other {
    remote: u32,
    key: String,
}

/// How the connection of two parties goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Direct,
    Relayed,
    /// There is none, or nothing arrived by it.
    Failed,
}

/// The first line of a party.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    pub way: Way,
    /// Milliseconds from the call until the connection was established.
    pub established: Option<f64>,
    /// The same until the first packet of the other party arrived.
    pub first: Option<f64>,
    /// The same until the path was direct.
    pub direct: Option<f64>,
    pub punches: u64,
    /// What happened, for people.
    pub remark: String,
}

/// What an introducer saw of a party's NAT.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Looked {
    pub nat: String,
    pub observed: String,
}

/// What a party is asked after its report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Begin to watch how long nothing arrives.
    Watch,
    /// Tell the longest such time.
    Tell,
}

impl Command {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watch => "watch",
            Self::Tell => "tell",
        }
    }
}

/// The answer to [`Command::Tell`].
#[derive(Serialize, Deserialize)]
pub struct Gap {
    /// The longest time without a packet, in milliseconds.
    pub longest: f64,
}

/// `node introducer IDLE-MS` or `node initiator|host ADDRESS KEY LINGER-MS fallback|at_once HARD-NAT` or `node look ADDRESS KEY`.
pub fn run(words: &[&str]) -> Result<(), String> {
    let (sender, commands) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let known = [Command::Watch, Command::Tell].into_iter().find(|known| known.name() == line);
            // The party is at its end.
            let _ = known.map(|command| sender.send(command));
        }
        // The rig is gone, or wants no more.
        std::process::exit(0);
    });
    let duration =
        |text: &str| text.parse().map(Duration::from_millis).map_err(|error| format!("{text}: {error}"));
    match *words {
        ["introducer", idle] => introducer(duration(idle)?),
        [
            role @ ("initiator" | "host"),
            address,
            key,
            linger,
            relaying @ ("fallback" | "at_once"),
            hard_nat,
        ] => {
            let role = if role == "host" { Role::Host } else { Role::Initiator };
            let relaying = if relaying == "at_once" { Relaying::AtOnce } else { Relaying::Fallback };
            Party::begin(role, relaying, address, key, parse_hard_nat(hard_nat)?)?
                .run(duration(linger)?, &commands)
        }
        ["look", address, key] => {
            Party::begin(Role::Host, Relaying::Never, address, key, HardNat::Never)?.look()
        }
        _ => Err(format!("not a node: {words:?}")),
    }
}

/// Reads when many ports are tried.
pub fn parse_hard_nat(text: &str) -> Result<HardNat, String> {
    match text {
        "verified" => Ok(HardNat::Verified),
        "always" => Ok(HardNat::Always),
        "never" => Ok(HardNat::Never),
        _ => Err(format!("--hard-nat is verified, always or never, not {text}")),
    }
}

fn say(line: &impl Serialize) {
    println!("{}", serde_json::to_string(line).expect("a struct of numbers and texts"));
}

/// Introduces the first initiator to the first host, `idle` after both have come.
fn introducer(idle: Duration) -> Result<(), String> {
    let mut config = Config::default();
    config.introduction.introduces = true;
    let socket = Socket::builder().config(config).bind(("0.0.0.0", PORT));
    let mut socket = socket.map_err(|error| error.to_string())?;
    say(&Ready { key: socket.public_key().to_string() });
    let mut pending = BTreeMap::new();
    let mut parties: BTreeMap<Vec<u8>, (ConnectionId, PublicKey)> = BTreeMap::new();
    let mut both_since = None;
    loop {
        match socket.wait_event(Duration::from_millis(10)) {
            Some(Event::ConnectRequest(request)) => {
                pending.insert(request.connection, request.connect_data);
                let accepted = socket.accept_connection(request.connection, b"");
                accepted.map_err(|error| error.to_string())?;
            }
            Some(Event::Established { connection, public_key, .. }) => {
                parties.insert(pending.remove(&connection).unwrap_or_default(), (connection, public_key));
                if parties.len() == 2 {
                    both_since = Some(Instant::now());
                }
            }
            Some(Event::Introduced { result, took, .. }) => {
                eprintln!("introducer: {result:?} after {took:?}")
            }
            _ => {}
        }
        if both_since.is_some_and(|since| since.elapsed() >= idle) {
            both_since = None;
            introduce(&mut socket, &parties)?;
        }
    }
}

fn introduce(
    socket: &mut Socket,
    parties: &BTreeMap<Vec<u8>, (ConnectionId, PublicKey)>,
) -> Result<(), String> {
    let party = |role: Role| parties.get(role.name().as_bytes()).ok_or("two parties of one role");
    let (initiator, host) = (party(Role::Initiator)?, party(Role::Host)?);
    let introduced = socket.introduce(initiator.0, host.0, Relay::default());
    introduced.map_err(|error| error.to_string())?;
    for (to, other) in [(initiator, host), (host, initiator)] {
        let other = Other { remote: other.0.get(), key: other.1.to_string() };
        let text = serde_json::to_vec(&other).map_err(|error| error.to_string())?;
        socket.send(to.0, &text).map_err(|error| error.to_string())?;
    }
    Ok(())
}

struct Party {
    socket: Socket,
    role: Role,
    relaying: Relaying,
    introducer: ConnectionId,
    /// The connection with the other party, and when it was begun.
    attempt: Option<(ConnectionId, Instant)>,
    established: Option<Instant>,
    /// When the first packet of the other party arrived.
    first: Option<Instant>,
    /// When the path was seen to be direct.
    direct: Option<Instant>,
    /// While the rig watches: when a packet arrived last, and the longest time without one before.
    heard: Option<(Instant, Duration)>,
}

impl Party {
    fn begin(
        role: Role,
        relaying: Relaying,
        address: &str,
        key: &str,
        hard_nat: HardNat,
    ) -> Result<Self, String> {
        let address: SocketAddr = address.parse().map_err(|error| format!("{address}: {error}"))?;
        let config = Config::default().with(|config| config.introduction.hard_nat = hard_nat);
        let mut socket = Socket::builder().config(config).client().map_err(|error| error.to_string())?;
        let options = ConnectOptions::new(pin(key)?).with_data(role.name());
        let introducer = socket.connect_with(address, options).map_err(|error| error.to_string())?;
        Ok(Self {
            socket,
            role,
            relaying,
            introducer,
            attempt: None,
            established: None,
            first: None,
            direct: None,
            heard: None,
        })
    }

    /// Has the introducer look at the NAT, and reports that.
    fn look(mut self) -> Result<(), String> {
        let begin = Instant::now();
        while begin.elapsed() < LIMIT {
            match self.socket.wait_event(Duration::from_millis(50)) {
                Some(Event::Established { connection, .. }) => {
                    self.socket.look_at_nat(connection).map_err(|error| error.to_string())?;
                }
                Some(Event::NatFound { nat, observed, .. }) => {
                    let nat = match nat {
                        Nat::Unknown => "unknown",
                        Nat::Independent => "independent",
                        Nat::Sequential(_) => "sequential",
                        Nat::Unpredictable => "unpredictable",
                    };
                    let observed = observed.map_or_else(|| "-".to_owned(), |address| address.to_string());
                    say(&Looked { nat: nat.to_owned(), observed });
                    return Ok(());
                }
                _ => {}
            }
        }
        Err("nobody looked".to_owned())
    }

    /// Reports once, and goes on until the rig wants no more.
    fn run(mut self, linger: Duration, commands: &Receiver<Command>) -> Result<(), String> {
        let begin = Instant::now();
        let mut reported = false;
        let mut next = begin;
        loop {
            // Its first packet leaves at once.
            let pause = if self.established.is_some() { next - Instant::now() } else { PAUSE };
            let event = self.socket.wait_event(pause);
            let end = event.map(|event| self.handle(event)).transpose()?.flatten();
            self.look_at_path();
            if let Some((connection, _)) = self.attempt.filter(|_| self.established.is_some())
                && next <= Instant::now()
            {
                next = Instant::now().max(next + PAUSE);
                // Errors are told by what the other party hears.
                let _ = self.socket.send(connection, b"hello");
                self.socket.flush();
            }
            if let Ok(command) = commands.try_recv() {
                self.obey(command)?;
            }
            let late = (begin.elapsed() > LIMIT).then(|| (Way::Failed, "nothing arrives".to_owned()));
            if !reported && let Some((way, remark)) = end.or_else(|| self.outcome(linger)).or(late) {
                reported = true;
                self.report(way, remark);
            }
        }
    }

    /// Returns an outcome if the attempt has failed.
    fn handle(&mut self, event: Event) -> Result<Option<(Way, String)>, String> {
        match event {
            Event::Packet { connection, payload, .. } if connection == self.introducer => {
                let other: Other = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
                let options = match self.role {
                    Role::Initiator => IntroducedOptions::initiator(ConnectOptions::new(pin(&other.key)?)),
                    Role::Host => IntroducedOptions::host(),
                };
                let options = options.with_relay(self.relaying);
                let now = Instant::now();
                let begun = self.socket.connect_introduced(self.introducer, other.remote, options);
                self.attempt = Some((begun.map_err(|error| error.to_string())?, now));
            }
            Event::Packet { .. } => self.hear(),
            Event::ConnectRequest(request) => {
                let accepted = self.socket.accept_connection(request.connection, b"");
                accepted.map_err(|error| error.to_string())?;
            }
            Event::Established { connection, .. } if connection != self.introducer => {
                self.established = Some(Instant::now());
            }
            Event::Close { code, connection, .. } => {
                let which = if connection == self.introducer { "introducer: " } else { "" };
                return Ok(Some((Way::Failed, format!("{which}{code}"))));
            }
            _ => {}
        }
        Ok(None)
    }

    /// Returns what came of it once the connection carries packets. One that is relayed has `linger` to become direct.
    fn outcome(&self, linger: Duration) -> Option<(Way, String)> {
        let (connection, _) = self.attempt?;
        let established = self.established?;
        self.first?;
        let address = self.socket.peer(connection)?.address;
        if self.direct.is_some() {
            return Some((Way::Direct, address.to_string()));
        }
        (established.elapsed() >= linger).then(|| (Way::Relayed, address.to_string()))
    }

    /// Notes the time when the path is direct for the first time.
    fn look_at_path(&mut self) {
        if self.direct.is_none()
            && self.established.is_some()
            && let Some((connection, _)) = self.attempt
            && self.socket.peer(connection).is_some_and(|peer| !peer.address.is_circuit())
        {
            self.direct = Some(Instant::now());
        }
    }

    /// A packet of the other party has arrived.
    fn hear(&mut self) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        if let Some((last, longest)) = &mut self.heard {
            *longest = (now - *last).max(*longest);
            *last = now;
        }
    }

    fn obey(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Watch => self.heard = Some((Instant::now(), Duration::ZERO)),
            Command::Tell => {
                let (last, longest) = self.heard.ok_or("nothing was watched")?;
                say(&Gap { longest: millis(longest.max(last.elapsed())) });
            }
        }
        Ok(())
    }

    fn report(&mut self, way: Way, remark: String) {
        let began = self.attempt.map(|(_, began)| began);
        let after = |at: Option<Instant>| at.zip(began).map(|(at, began)| millis(at - began));
        say(&Report {
            way,
            established: after(self.established),
            first: after(self.first),
            direct: after(self.direct),
            punches: self.socket.stats().punches_sent,
            remark,
        });
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn pin(key: &str) -> Result<Trust, String> {
    Ok(Trust::Pinned(key.parse().map_err(|error| format!("{key}: {error}"))?))
}
