//! What an introducer remembers of those who ask, beyond their connections: the protocol core alone. Bytes that the introducer has
//! allocated are counted around each call of it, so that nothing of the parties, which are in the same process, is among them.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, SystemTime};

use torque_proto::wire::introduction::{Candidate, CandidateKind};
use torque_proto::{
    Address, CloseCode, Config, ConnectOptions, ConnectionId, Datagram, Endpoint, Event, Instant,
    IntroducedOptions, Path, PuzzleProgress, Relay, Setup, Trust,
};

use super::{Job, Scale};
use crate::failure::Result;
use crate::measure::alloc;
use crate::measure::figures::Figures;
use crate::peers::Peer;

const PAIRS: usize = 1_000;
/// A turn of all sockets.
const TURN: Duration = Duration::from_millis(10);
/// Time in which messages have come and are acknowledged.
const SETTLE: Duration = Duration::from_secs(2);
/// Attempts fail after 25 s, because no punch arrives, and records are kept for a minute.
const OVER: Duration = Duration::from_secs(90);

pub fn jobs() -> Vec<Job> {
    let about = format!("memory of an introducer beyond its connections, of {PAIRS} pairs of parties");
    let (rounds, only) = (1, Some("torque"));
    let run: super::Run = Box::new(|_: &Peer, _: Scale| run());
    vec![Job { rounds, only, ..Job::new("introductions", about, None, run) }]
}

fn run() -> Result<Figures> {
    alloc::start();
    let direct = Held::of(None)?;
    let relayed = Held::of(Some(Relay::default()))?;
    let mut figures = Figures::default();
    figures.push("a party that waits", "B", direct.waiting);
    figures.push("two parties that were introduced", "B", direct.introduced);
    figures.push("a circuit of theirs", "B", relayed.introduced - direct.introduced);
    figures.push("two parties, when all is over", "B", direct.over);
    Ok(figures)
}

/// Bytes for each pair of parties, above those of their connections.
struct Held {
    waiting: f64,
    introduced: f64,
    over: f64,
}

impl Held {
    fn of(relay: Option<Relay>) -> Result<Self> {
        let mut lobby = Lobby::connect()?;
        lobby.pass(SETTLE)?;
        let before = lobby.held;
        let each = |held: i64| (held - before) as f64 / PAIRS as f64;
        lobby.ask(INITIATORS)?;
        lobby.pass(SETTLE)?;
        let waiting = each(lobby.held);
        lobby.ask(HOSTS)?;
        for pair in 0..PAIRS {
            let [initiator, host] = lobby.crowds.each_ref().map(|crowd| crowd.at_introducer[pair]);
            let now = lobby.now;
            lobby.at_introducer(|introducer| introducer.introduce(now, initiator, host, relay))?;
        }
        lobby.pass(SETTLE)?;
        let told = lobby.crowds.iter().all(|crowd| crowd.endpoint.party_stats().introduced == PAIRS as u64);
        if !told {
            return Err("not all parties were introduced".into());
        }
        let introduced = each(lobby.held);
        lobby.pass(OVER)?;
        Ok(Self { waiting, introduced, over: each(lobby.held) })
    }
}

const INITIATORS: usize = 0;
const HOSTS: usize = 1;

/// Parties of one role: connections of one endpoint. Number n has an address of its own, by which the introducer knows it, and by
/// which the party knows the introducer.
struct Crowd {
    endpoint: Endpoint,
    at_party: Vec<ConnectionId>,
    at_introducer: Vec<ConnectionId>,
}

struct Lobby {
    introducer: Endpoint,
    crowds: [Crowd; 2],
    now: Instant,
    /// Bytes that the introducer has allocated.
    held: i64,
}

fn address(role: usize, number: usize) -> Address {
    let [.., high, low] = (number as u32).to_be_bytes();
    Address::from(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(100, role as u8, high, low), 28_000)))
}

/// Returns whether it is an address of this role.
fn is_of(role: usize, address: Address) -> bool {
    let ip = address.socket_addr().map(|address| address.ip());
    matches!(ip, Some(std::net::IpAddr::V4(ip)) if usize::from(ip.octets()[1]) == role)
}

fn endpoint(seed: u8) -> Result<Endpoint> {
    let mut config = Config::default();
    config.introduction.introduces = true;
    config.introduction.records = 2 * PAIRS;
    config.introduction.circuits = PAIRS;
    config.introduction.attempts = PAIRS;
    config.limits.connections = 4 * PAIRS;
    config.puzzle.quiet_rate = u32::MAX;
    let unix_millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as u64;
    Ok(Endpoint::new(Instant::ZERO, Setup { config, key_pair: None, seed: [seed; 32], unix_millis })?)
}

impl Lobby {
    fn connect() -> Result<Self> {
        let crowd = |seed| -> Result<Crowd> {
            let mut endpoint = endpoint(seed)?;
            let home = SocketAddr::from((Ipv4Addr::new(192, 168, 1, 2), 28_000));
            let own = Candidate { kind: CandidateKind::Interface, address: home };
            endpoint.set_own_candidates(Instant::ZERO, &[own]);
            Ok(Crowd { endpoint, at_party: Vec::new(), at_introducer: Vec::new() })
        };
        let crowds = [crowd(2)?, crowd(3)?];
        let mut lobby = Self { introducer: endpoint(1)?, crowds, now: Instant::ZERO, held: 0 };
        for number in 0..PAIRS {
            for role in [INITIATORS, HOSTS] {
                let options = ConnectOptions::new(Trust::Pinned(lobby.introducer.public_key()));
                let crowd = &mut lobby.crowds[role].endpoint;
                let id = crowd.connect(lobby.now, address(role, number), options)?;
                lobby.crowds[role].at_party.push(id);
                lobby.exchange()?;
                if lobby.crowds[role].at_introducer.len() != number + 1 {
                    return Err("a party did not connect".into());
                }
            }
        }
        Ok(lobby)
    }

    /// Calls the introducer, and counts what that allocates and frees.
    fn at_introducer<T>(&mut self, act: impl FnOnce(&mut Endpoint) -> T) -> T {
        let before = alloc::count().live;
        let result = act(&mut self.introducer);
        self.held += alloc::count().live - before;
        result
    }

    /// All parties of a role ask for those of the other one.
    fn ask(&mut self, role: usize) -> Result {
        let key = self.crowds[HOSTS].endpoint.public_key();
        let others = self.crowds[1 - role].at_introducer.clone();
        let Crowd { endpoint, at_party, .. } = &mut self.crowds[role];
        for (introducer, other) in at_party.iter().zip(others) {
            let options = match role {
                HOSTS => IntroducedOptions::host(),
                _ => IntroducedOptions::initiator(ConnectOptions::new(Trust::Pinned(key))),
            };
            endpoint.connect_introduced(self.now, *introducer, other.get(), options)?;
        }
        self.exchange()
    }

    /// Lets time pass, and timers run.
    fn pass(&mut self, time: Duration) -> Result {
        let end = self.now + time;
        while self.now < end {
            self.now += TURN;
            let now = self.now;
            let run = move |endpoint: &mut Endpoint| {
                if endpoint.poll_timeout().is_some_and(|(due, _)| due <= now) {
                    endpoint.handle_timeout(now);
                }
            };
            self.at_introducer(run);
            self.crowds.iter_mut().for_each(|crowd| run(&mut crowd.endpoint));
            self.exchange()?;
        }
        Ok(())
    }

    /// Hands datagrams back and forth until there are none, and takes the events. Punches of parties to parties are lost.
    fn exchange(&mut self) -> Result {
        loop {
            let mut any = false;
            for role in [INITIATORS, HOSTS] {
                for (to, bytes) in taken(&mut self.crowds[role].endpoint) {
                    if is_of(role, to) {
                        any = true;
                        self.hand_to_introducer(role, to, bytes)?;
                    }
                }
            }
            // What leaves the introducer was allocated by it.
            let before = alloc::count().live;
            let there = taken(&mut self.introducer);
            let copies: usize = there.iter().map(|(_, bytes)| bytes.capacity()).sum();
            let table = there.capacity() * size_of::<(Address, Vec<u8>)>();
            self.held += alloc::count().live - before - (copies + table) as i64;
            for (to, mut bytes) in there {
                any = true;
                let Some(crowd) = [INITIATORS, HOSTS].into_iter().find(|role| is_of(*role, to)) else {
                    continue;
                };
                let datagram = Datagram { path: Path::to(to), bytes: &mut bytes };
                self.crowds[crowd].endpoint.handle_datagram(self.now, datagram);
            }
            for crowd in &mut self.crowds {
                while let Some(event) = crowd.endpoint.poll_event() {
                    // No punch arrives.
                    if let Event::Close { code, .. } = event
                        && code != CloseCode::NoPath
                    {
                        return Err(format!("a party: {code}").into());
                    }
                }
                while let Some(mut job) = crowd.endpoint.poll_puzzle() {
                    while job.solve(u64::MAX) == PuzzleProgress::Working {}
                    crowd.endpoint.puzzle_solved(self.now, job);
                    any = true;
                }
            }
            if !any {
                return Ok(());
            }
        }
    }

    fn hand_to_introducer(&mut self, role: usize, from: Address, mut bytes: Vec<u8>) -> Result {
        let now = self.now;
        let established = self.at_introducer(|introducer| -> Result<Option<ConnectionId>> {
            introducer.handle_datagram(now, Datagram { path: Path::to(from), bytes: &mut bytes });
            let mut established = None;
            while let Some(event) = introducer.poll_event() {
                match event {
                    Event::ConnectRequest(request) => {
                        introducer.accept_connection(now, request.connection, b"")?;
                    }
                    Event::Established { connection, .. } => established = Some(connection),
                    Event::Close { code, .. } => return Err(format!("the introducer: {code}").into()),
                    _ => {}
                }
            }
            Ok(established)
        })?;
        self.crowds[role].at_introducer.extend(established);
        Ok(())
    }
}

/// What an endpoint sends, with its addresses.
fn taken(endpoint: &mut Endpoint) -> Vec<(Address, Vec<u8>)> {
    let transmits = endpoint.transmits();
    let taken = transmits.iter().map(|transmit| (transmit.path.remote, transmit.bytes.to_vec())).collect();
    transmits.clear();
    taken
}
