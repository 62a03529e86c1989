//! What it costs an introducer to pass a circuit's datagram on, against a bare forwarder: a call of `recvmmsg`, a look into a table
//! of addresses, a call of `sendmmsg`. Real parties are introduced, and each initiator sends a packet by its circuit. Then its
//! datagram is sent again and again from the initiator's socket, so that the parties' work does not stand between two turns. Both
//! forwarders pass on the same datagrams between the same sockets in the same batches, in turns, on one thread. Only their own turns
//! are measured; on loopback a turn includes what the kernel does to deliver the datagrams.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use torque_socket::{
    Config, ConnectOptions, ConnectionId, Event, IntroducedOptions, Relay, Relaying, Socket, Trust,
};

use super::{Job, Scale};
use crate::failure::Result;
use crate::measure::cpu;
use crate::measure::figures::{Figures, micros_each};
use crate::peers::{Peer, plain};
use crate::sys::{self, BATCH, Space};

/// Pairs of parties, and packets that each initiator sends before the forwarder's turn.
const LOADS: [(usize, usize); 2] = [(1, 32), (64, 1)];
const SIZES: [usize; 2] = [100, 1_000];
/// Time in which messages have come and are acknowledged.
const SETTLE: Duration = Duration::from_millis(500);
/// How long something may take that comes at once.
const LIMIT: Duration = Duration::from_secs(10);
/// Bytes for one datagram that the bare forwarder receives.
const STRIDE: usize = 2_048;

pub fn jobs() -> Vec<Job> {
    let jobs = LOADS.into_iter().flat_map(|load| SIZES.map(|bytes| job(load, bytes)));
    jobs.collect()
}

fn job((pairs, batch): (usize, usize), bytes: usize) -> Job {
    let about = format!("an introducer passes on {batch} packets of {bytes} B for each of {pairs} pairs");
    let run: super::Run = Box::new(move |_: &Peer, scale| run(pairs, batch, bytes, scale));
    let name = format!("circuits-{bytes}x{batch}-{pairs}");
    Job { only: Some("torque"), ..Job::new(name, about, None, run) }
}

fn run(pairs: usize, batch: usize, bytes: usize, scale: Scale) -> Result<Figures> {
    cpu::pin()?;
    // One that is bound to all addresses, which is the default of `torque introduce`, has to say which one its answers come from.
    let mut lobbies = [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
        .into_iter()
        .map(|ip| Lobby::connect(ip, pairs))
        .collect::<Result<Vec<_>>>()?;
    lobbies.iter_mut().try_for_each(|lobby| lobby.record(bytes))?;
    let mut bare = Bare::new(&lobbies[0].pairs)?;
    let mut go = |time: Duration| -> Result<[Spent; 3]> {
        let mut spent = [Spent::default(); 3];
        let begin = Instant::now();
        while begin.elapsed() < time {
            for (spent, lobby) in spent.iter_mut().zip(&mut lobbies) {
                *spent += lobby.turn(batch)?;
            }
            spent[2] += bare.turn(&lobbies[0].pairs, batch)?;
        }
        Ok(spent)
    };
    go(scale.warm_up())?;
    let spent = go(2 * scale.measure())?;
    let [one, all, forwarder] = spent.map(|spent| micros_each(spent.cpu, spent.datagrams));
    let mut figures = Figures::default();
    figures.push("cpu per datagram, bare forwarder", "µs", forwarder);
    figures.push("cpu per datagram, introducer at one address", "µs", one);
    figures.push("cpu per datagram, introducer at all addresses", "µs", all);
    figures.push("introducer at one address against bare forwarder", "times", one / forwarder);
    figures.push("introducer at all addresses against bare forwarder", "times", all / forwarder);
    Ok(figures)
}

/// What a forwarder's turns took.
#[derive(Clone, Copy, Default)]
struct Spent {
    cpu: Duration,
    datagrams: u64,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, more: Self) {
        self.cpu += more.cpu;
        self.datagrams += more.datagrams;
    }
}

/// The sockets of two parties that talk by a circuit.
struct Pair {
    initiator: UdpSocket,
    host: UdpSocket,
    /// A datagram of the initiator for the host, as it goes to the introducer.
    datagram: Vec<u8>,
}

/// Sends the datagram of each pair `batch` times, lets a forwarder work, and has each host receive them.
fn turn(pairs: &[Pair], to: SocketAddr, batch: usize, forward: impl FnOnce() -> Result<()>) -> Result<Spent> {
    for pair in pairs {
        for _ in 0..batch {
            pair.initiator.send_to(&pair.datagram, to)?;
        }
    }
    let begin = cpu::thread();
    forward()?;
    let cpu = cpu::thread() - begin;
    let mut buffer = [0; 65_536];
    for pair in pairs {
        // The kernel may have joined them; and there may be something that the introducer says.
        let mut length = 0;
        while let Ok(more) = pair.host.recv(&mut buffer) {
            length += more;
        }
        while pair.initiator.recv(&mut buffer).is_ok() {}
        if length < batch * pair.datagram.len() {
            return Err("a datagram was lost".into());
        }
    }
    Ok(Spent { cpu, datagrams: (pairs.len() * batch) as u64 })
}

/// An introducer, and pairs of parties that it lends a circuit each.
struct Lobby {
    introducer: Socket,
    front: SocketAddr,
    /// Initiators and hosts in turns.
    parties: Vec<Party>,
    pairs: Vec<Pair>,
}

struct Party {
    socket: Socket,
    introducer: ConnectionId,
    other: Option<ConnectionId>,
    is_established: bool,
}

impl Lobby {
    /// An introducer that is bound to `ip`, and pairs that talk by its circuits.
    fn connect(ip: Ipv4Addr, pairs: usize) -> Result<Self> {
        let mut config = Config::default();
        config.introduction.introduces = true;
        config.introduction.circuits_rate = u64::MAX / (1 << 32);
        config.puzzle.quiet_rate = 100_000;
        let introducer = builder(config).bind((ip, 0))?;
        let front = SocketAddr::from((Ipv4Addr::LOCALHOST, introducer.local_addr().port()));
        let mut lobby = Self { introducer, front, parties: Vec::new(), pairs: Vec::new() };
        let mut known: Vec<ConnectionId> = Vec::new();
        while known.len() < 2 * pairs {
            let mut socket = builder(Config::default()).bind((Ipv4Addr::LOCALHOST, 0))?;
            let trust = Trust::Pinned(lobby.introducer.public_key());
            let introducer = socket.connect(front, trust)?;
            let party = Party { socket, introducer, other: None, is_established: false };
            lobby.parties.push(party);
            let begin = Instant::now();
            while known.len() < lobby.parties.len()
                || !lobby.parties.last().is_some_and(|party| party.is_established)
            {
                known.extend(lobby.work()?);
                lobby.parties.last_mut().map_or(Ok(()), |party| party.work())?;
                within(begin, "a party did not connect")?;
            }
        }
        lobby.parties.iter_mut().for_each(|party| party.is_established = false);
        // No bound that a job could reach.
        let mut relay = Relay::default();
        (relay.bytes_per_second, relay.datagrams_per_second) = (u32::MAX, u32::MAX);
        for (pair, ids) in lobby.parties.chunks_exact_mut(2).zip(known.chunks_exact(2)) {
            lobby.introducer.introduce(ids[0], ids[1], relay)?;
            let key = pair[1].socket.public_key();
            let initiator = IntroducedOptions::initiator(ConnectOptions::new(Trust::Pinned(key)));
            for ((party, other), mut options) in
                pair.iter_mut().zip([ids[1], ids[0]]).zip([initiator, IntroducedOptions::host()])
            {
                (options.direct, options.relay) = (false, Relaying::AtOnce);
                let begun = party.socket.connect_introduced(party.introducer, other.get(), options);
                party.other = Some(begun?);
            }
        }
        let begin = Instant::now();
        while lobby.parties.iter().any(|party| !party.is_established) {
            lobby.work()?;
            lobby.parties.iter_mut().try_for_each(|party| party.work())?;
            within(begin, "two parties were not introduced")?;
        }
        Ok(lobby)
    }

    /// Lets the introducer do all that there is. Returns the connections that were established.
    fn work(&mut self) -> Result<Vec<ConnectionId>> {
        let mut established = Vec::new();
        self.introducer.poll();
        while let Some(event) = self.introducer.next_event() {
            match event {
                Event::ConnectRequest(request) => {
                    self.introducer.accept_connection(request.connection, b"")?;
                }
                Event::Established { connection, .. } => established.push(connection),
                Event::Close { code, .. } => return Err(format!("the introducer: {code}").into()),
                _ => {}
            }
        }
        self.introducer.flush();
        Ok(established)
    }

    /// Takes the datagram of a packet of each initiator out of the introducer's socket.
    fn record(&mut self, bytes: usize) -> Result {
        self.settle()?;
        let tap = UdpSocket::from(self.introducer.as_fd().try_clone_to_owned()?);
        let payload = vec![0x5a; bytes];
        for pair in self.parties.chunks_exact_mut(2) {
            let [initiator, host] = pair else { continue };
            let Some(other) = initiator.other else { continue };
            initiator.socket.send(other, &payload)?;
            initiator.socket.flush();
            let mut datagram = vec![0; STRIDE];
            let length = tap.recv(&mut datagram)?;
            datagram.truncate(length);
            if length < bytes {
                return Err("the introducer got something else".into());
            }
            let [initiator, host] = [initiator, host].map(|party| party.socket.as_fd().try_clone_to_owned());
            self.pairs.push(Pair { initiator: initiator?.into(), host: host?.into(), datagram });
        }
        Ok(())
    }

    /// Lets all sockets work until what follows an introduction has been told.
    fn settle(&mut self) -> Result {
        let begin = Instant::now();
        while begin.elapsed() < SETTLE {
            self.work()?;
            self.parties.iter_mut().try_for_each(Party::work)?;
        }
        Ok(())
    }

    fn turn(&mut self, batch: usize) -> Result<Spent> {
        let pairs = std::mem::take(&mut self.pairs);
        let spent = turn(&pairs, self.front, batch, || self.work().map(drop));
        self.pairs = pairs;
        spent
    }
}

impl Party {
    /// Does all that there is.
    fn work(&mut self) -> Result {
        self.socket.poll();
        while let Some(event) = self.socket.next_event() {
            match event {
                Event::ConnectRequest(request) => self.socket.accept_connection(request.connection, b"")?,
                Event::Established { .. } => self.is_established = true,
                Event::Close { code, .. } => return Err(format!("a party: {code}").into()),
                _ => {}
            }
        }
        self.socket.flush();
        Ok(())
    }
}

fn builder(config: Config) -> torque_socket::Builder {
    let size = plain::SOCKET_BUFFER;
    Socket::builder().config(config).send_buffer_size(size).receive_buffer_size(size)
}

fn within(begin: Instant, what: &str) -> Result {
    if begin.elapsed() > LIMIT { Err(what.into()) } else { Ok(()) }
}

/// A forwarder without a protocol.
struct Bare {
    socket: UdpSocket,
    address: SocketAddr,
    to: HashMap<SocketAddrV4, SocketAddrV4>,
    buffer: Vec<u8>,
    heads: [(SocketAddrV4, usize); BATCH],
    space: Box<Space>,
}

impl Bare {
    fn new(pairs: &[Pair]) -> Result<Self> {
        let socket = plain::bind_nonblocking()?;
        let mut to = HashMap::new();
        for pair in pairs {
            to.insert(plain::address_of(&pair.initiator)?, plain::address_of(&pair.host)?);
        }
        Ok(Self {
            address: plain::address_of(&socket)?.into(),
            socket,
            to,
            buffer: vec![0; STRIDE * BATCH],
            heads: [(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), 0); BATCH],
            space: Space::new(),
        })
    }

    fn turn(&mut self, pairs: &[Pair], batch: usize) -> Result<Spent> {
        turn(pairs, self.address, batch, || self.forward())
    }

    /// Passes on all that has come.
    fn forward(&mut self) -> Result {
        let Self { socket, to, buffer, heads, space, .. } = self;
        let socket = socket.as_fd();
        loop {
            let count = match sys::receive_many(socket, space, buffer, STRIDE, heads, libc::MSG_DONTWAIT) {
                Ok(count) => count,
                Err(error) => return Ok(plain::unless_idle(error)?),
            };
            let mut done = 0;
            while done < count {
                done += sys::send_many(socket, space, |index| {
                    let (from, length) = heads[..count].get(done + index)?;
                    Some((*to.get(from)?, &buffer[(done + index) * STRIDE..][..*length]))
                })?;
            }
            if count < BATCH {
                return Ok(());
            }
        }
    }
}
