//! The three of a chat. Each is a process on a machine of the lab, which prints its news, and ends when its standard input does. The
//! lines that a party reads there are what it says.

use std::collections::{BTreeMap, VecDeque};
use std::io::BufRead;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use torque_socket::{
    Address, Config, ConnectOptions, ConnectionId, Delivery, Event, IntroducedOptions, IntroductionResult,
    LinkConfig, PublicKey, Relay, Relaying, SearchStage, SendError, Sequence, Socket, Trust,
};

use super::news::{News, Way, Who};
use crate::node::PORT;

type Outcome<T> = Result<T, String>;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// How long lines of the other side may be on their way in the end.
const ENDING: Duration = Duration::from_secs(2);

/// What the lobby tells each of the two.
#[derive(Serialize, Deserialize)]
struct Other {
    /// The lobby's number of its connection with the other one.
    number: u32,
    key: String,
}

/// `lobby LINK`, or `ann|ben ADDRESS KEY RELAY LINK`.
pub fn run(words: &[&str]) -> Outcome<()> {
    match *words {
        ["lobby", link] => lobby(link),
        [name, address, key, relay, link] => {
            let who = Who::named(name).ok_or_else(|| format!("nobody is called {name}"))?;
            let address: SocketAddr = address.parse().map_err(|error| format!("{address}: {error}"))?;
            let mut socket = Socket::builder().simulated_link(parse(link)?).client().map_err(text)?;
            let options = ConnectOptions::new(pin(key)?).with_data(name);
            let lobby = socket.connect_with(address, options).map_err(text)?;
            Party { socket, who, lobby, relay: relaying(relay)?, meeting: None, said: BTreeMap::new() }.run()
        }
        _ => Err(format!("not one of a chat: {words:?}")),
    }
}

/// Reads when a relay is used.
pub fn relaying(word: &str) -> Outcome<Relaying> {
    match word {
        "never" => Ok(Relaying::Never),
        "fallback" => Ok(Relaying::Fallback),
        "at-once" => Ok(Relaying::AtOnce),
        _ => Err(format!("--relay is never, fallback or at-once, and not `{word}`")),
    }
}

fn parse(link: &str) -> Outcome<LinkConfig> {
    link.parse().map_err(|error| format!("{link}: {error}"))
}

fn pin(key: &str) -> Outcome<Trust> {
    Ok(Trust::Pinned(key.parse().map_err(|error| format!("{key}: {error}"))?))
}

fn tell(news: &News) {
    println!("{}", serde_json::to_string(news).expect("a struct of numbers and texts"));
}

fn way(remote: Address) -> Way {
    Way { is_relayed: remote.is_circuit(), remote: remote.to_string() }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Reads the lines of standard input, on another thread.
fn input() -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.send(line));
    });
    lines
}

/// Introduces Ann and Ben as soon as both are there.
fn lobby(link: &str) -> Outcome<()> {
    let mut config = Config::default();
    config.introduction.introduces = true;
    let builder = Socket::builder().config(config).simulated_link(parse(link)?);
    let mut socket = builder.bind(("0.0.0.0", PORT)).map_err(text)?;
    tell(&News::Listening { key: socket.public_key().to_string() });
    let input = input();
    let mut names = BTreeMap::new();
    let mut parties: Vec<(Who, ConnectionId, PublicKey)> = Vec::new();
    // What the two are to know, until they do.
    let mut told = BTreeMap::new();
    while !matches!(input.try_recv(), Err(TryRecvError::Disconnected)) {
        match socket.wait_event(Duration::from_millis(20)) {
            Some(Event::ConnectRequest(request)) => {
                names.insert(request.connection, request.connect_data);
                socket.accept_connection(request.connection, b"").map_err(text)?;
            }
            Some(Event::Established { connection, remote, public_key, .. }) => {
                let name = names.remove(&connection).unwrap_or_default();
                let Some(who) = std::str::from_utf8(&name).ok().and_then(Who::named) else { continue };
                tell(&News::Joined { party: who, seen_at: remote.to_string() });
                parties.push((who, connection, public_key));
                if parties.len() == 2 {
                    for (to, message) in introduce(&mut socket, &parties)? {
                        told.insert((to, socket.send(to, &message).map_err(text)?), message);
                    }
                }
            }
            Some(Event::Verdict { connection, sequence, delivery }) => {
                let message = told.remove(&(connection, sequence));
                if let Some(message) = message.filter(|_| delivery != Delivery::Delivered) {
                    told.insert((connection, socket.send(connection, &message).map_err(text)?), message);
                }
            }
            Some(Event::Introduced { result, .. }) => tell(&News::Outcome { result: outcome(&result) }),
            _ => {}
        }
    }
    socket.shutdown(ENDING, |_| {});
    Ok(())
}

/// What came of an introduction, in words.
fn outcome(result: &IntroductionResult) -> String {
    match result {
        IntroductionResult::Direct => "direct".to_owned(),
        IntroductionResult::Relayed => "relayed".to_owned(),
        IntroductionResult::BecameDirect => "direct now".to_owned(),
        IntroductionResult::Failed(code) => format!("failed, {code}"),
        other => format!("{other:?}"),
    }
}

/// Introduces the two, and returns what each is to be told.
fn introduce(
    socket: &mut Socket,
    parties: &[(Who, ConnectionId, PublicKey)],
) -> Outcome<[(ConnectionId, Vec<u8>); 2]> {
    let party = |who: Who| parties.iter().find(|party| party.0 == who).ok_or("two parties of one name");
    let (ann, ben) = (party(Who::Ann)?, party(Who::Ben)?);
    tell(&News::Introduces);
    socket.introduce(ann.1, ben.1, Relay::default()).map_err(text)?;
    let message = |(_, other, key): &(Who, ConnectionId, PublicKey)| {
        serde_json::to_vec(&Other { number: other.get(), key: key.to_string() }).map_err(text)
    };
    Ok([(ann.1, message(ben)?), (ben.1, message(ann)?)])
}

/// Ann, the initiator, or Ben, the host.
struct Party {
    socket: Socket,
    who: Who,
    lobby: ConnectionId,
    relay: Relaying,
    meeting: Option<Meeting>,
    /// The lines that wait for their verdict.
    said: BTreeMap<Sequence, (Instant, String)>,
}

/// The connection with the other party.
struct Meeting {
    connection: ConnectionId,
    began: Instant,
    is_established: bool,
    shown: Shown,
}

/// What was told of the search for paths.
#[derive(Default)]
struct Shown {
    candidates: Vec<SocketAddr>,
    sources: Vec<Address>,
    working: Vec<Address>,
    has_circuit: bool,
    punches: (u64, u64),
}

impl Party {
    fn run(mut self) -> Outcome<()> {
        let input = input();
        let mut lines = VecDeque::new();
        loop {
            match input.try_recv() {
                Ok(line) => lines.push_back(line),
                Err(TryRecvError::Disconnected) if lines.is_empty() || !self.is_established() => break,
                Err(_) => {}
            }
            self.say(&mut lines)?;
            self.socket.wait(Duration::from_millis(10));
            self.socket.poll();
            self.watch();
            while let Some(event) = self.socket.next_event() {
                self.handle(event)?;
            }
        }
        let Self { socket, mut said, .. } = self;
        socket.shutdown(ENDING, |event| {
            if let Event::Verdict { sequence, delivery, .. } = event {
                tell_verdict(&mut said, sequence, delivery);
            }
        });
        Ok(())
    }

    fn is_established(&self) -> bool {
        self.meeting.as_ref().is_some_and(|meeting| meeting.is_established)
    }

    fn say(&mut self, lines: &mut VecDeque<String>) -> Outcome<()> {
        let Some(meeting) = self.meeting.as_ref().filter(|meeting| meeting.is_established) else {
            return Ok(());
        };
        while let Some(line) = lines.pop_front() {
            match self.socket.send(meeting.connection, line.as_bytes()) {
                Ok(sequence) => {
                    tell(&News::Says { text: line.clone() });
                    self.said.insert(sequence, (Instant::now(), line));
                }
                Err(SendError::WindowFull | SendError::Blocked) => {
                    lines.push_front(line);
                    return Ok(());
                }
                // The event that it has ended was told, or will be.
                Err(SendError::Closed) => return Ok(()),
                Err(error) => return Err(text(error)),
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Outcome<()> {
        match event {
            Event::Packet { connection, payload, .. } if connection == self.lobby => {
                let other: Other = serde_json::from_slice(&payload).map_err(text)?;
                self.meet(&other)?;
            }
            Event::Packet { connection, payload, .. } => {
                let Some(peer) = self.socket.peer(connection) else { return Ok(()) };
                let text = String::from_utf8_lossy(&payload).into_owned();
                tell(&News::Hears { text, way: way(peer.address) });
            }
            Event::ConnectRequest(request) => {
                self.socket.accept_connection(request.connection, b"").map_err(text)?;
            }
            Event::Established { connection, remote, .. } if connection != self.lobby => {
                let stats = self.socket.connection_stats(connection);
                let round_trip = stats.filter(|stats| !stats.rtt_latest.is_zero()).map(|stats| stats.rtt);
                let Some(meeting) = &mut self.meeting else { return Ok(()) };
                meeting.is_established = true;
                tell(&News::Established {
                    way: way(remote),
                    after_ms: millis(meeting.began.elapsed()),
                    round_trip_ms: round_trip.map(millis),
                });
            }
            Event::PathChanged { connection, remote, round_trip } if connection != self.lobby => {
                tell(&News::PathChanged { way: way(remote), round_trip_ms: millis(round_trip) });
            }
            Event::Verdict { connection, sequence, delivery } if connection != self.lobby => {
                tell_verdict(&mut self.said, sequence, delivery);
            }
            Event::Close { connection, code, .. } => {
                let other = if self.who == Who::Ann { Who::Ben } else { Who::Ann };
                let with = if connection == self.lobby { Who::Lobby } else { other };
                tell(&News::Closed { with, code: code.to_string() });
            }
            _ => {}
        }
        Ok(())
    }

    /// The lobby has named the other party.
    fn meet(&mut self, other: &Other) -> Outcome<()> {
        tell(&News::Told { key: other.key.clone() });
        let options = match self.who {
            Who::Ann => IntroducedOptions::initiator(ConnectOptions::new(pin(&other.key)?)),
            _ => IntroducedOptions::host(),
        };
        let options = options.with_relay(self.relay);
        let connection = self.socket.connect_introduced(self.lobby, other.number, options).map_err(text)?;
        let began = Instant::now();
        self.meeting = Some(Meeting { connection, began, is_established: false, shown: Shown::default() });
        Ok(())
    }

    /// Tells what is new of the search for paths.
    fn watch(&mut self) {
        let Some(meeting) = &mut self.meeting else { return };
        let Some(search) = self.socket.path_search(meeting.connection) else { return };
        let is_direct = search.stage == SearchStage::Established
            && self.socket.peer(meeting.connection).is_some_and(|peer| !peer.address.is_circuit());
        let stats = self.socket.stats();
        let punches = (stats.punches_sent, stats.punches_received);
        let shown = &mut meeting.shown;
        if search.candidates != shown.candidates && !search.candidates.is_empty() {
            let addresses = search.candidates.iter().map(ToString::to_string).collect();
            tell(&News::Candidates { addresses });
            shown.candidates = search.candidates;
        }
        if search.has_circuit && !shown.has_circuit {
            tell(&News::Circuit);
        }
        shown.has_circuit = search.has_circuit;
        // Those that keep paths are no news.
        if punches != shown.punches && !is_direct {
            tell(&News::Punches { sent: punches.0, received: punches.1 });
            shown.punches = punches;
        }
        for address in fresh(search.sources, &mut shown.sources) {
            tell(&News::Source { address: address.to_string() });
        }
        for address in fresh(search.working, &mut shown.working) {
            tell(&News::Works { address: address.to_string() });
        }
    }
}

/// Returns those that were not shown before, and notes them.
fn fresh(now: Vec<Address>, shown: &mut Vec<Address>) -> Vec<Address> {
    let fresh: Vec<Address> = now.into_iter().filter(|address| !shown.contains(address)).collect();
    shown.extend(&fresh);
    fresh
}

fn tell_verdict(said: &mut BTreeMap<Sequence, (Instant, String)>, sequence: Sequence, delivery: Delivery) {
    let Some((at, text)) = said.remove(&sequence) else { return };
    tell(&match delivery {
        Delivery::Delivered => News::Delivered { text, after_ms: millis(at.elapsed()) },
        Delivery::Dropped | Delivery::Unknown => News::Lost { text },
    });
}
