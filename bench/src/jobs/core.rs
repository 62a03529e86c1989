//! The protocol core of TorqueSocket without sockets: two endpoints in one process and datagrams handed from one to the
//! other, in a time of their own.

use std::time::{Duration, SystemTime};

use torque_proto::{
    Address, Config, ConnectOptions, ConnectionId, Datagram, Endpoint, Event, Instant, Path, PuzzleProgress,
    Setup, Trust,
};

use crate::failure::Result;

/// An endpoint for `connections`, whose puzzles have `difficulty` bits however many come.
pub fn endpoint(connections: usize, difficulty: u8, seed: u8) -> Result<Endpoint> {
    let mut config = Config::default();
    config.limits.connections = connections.max(16);
    config.limits.pending = connections.max(16);
    config.limits.replay_tokens = connections.max(config.limits.replay_tokens);
    config.puzzle.difficulty_min = difficulty;
    config.puzzle.quiet_rate = u32::MAX;
    let unix_millis = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as u64;
    Ok(Endpoint::new(Instant::ZERO, Setup { config, key_pair: None, seed: [seed; 32], unix_millis })?)
}

/// Two endpoints with any number of connections between them. Each connection has an address of its own on both
/// sides: connection n is `Address::from_virtual(n)` to both.
pub struct Core {
    pub host: Endpoint,
    pub client: Endpoint,
    pub now: Instant,
    /// Nanoseconds of the time that are not in `now` yet.
    nanos: u64,
    /// A datagram is opened in place, so it is copied to where it may be changed, as by a receive call.
    buffer: Vec<u8>,
    /// Ids of the established connections, in the order of their addresses.
    pub at_client: Vec<ConnectionId>,
    pub at_host: Vec<ConnectionId>,
}

/// What the events of an exchange were.
#[derive(Clone, Copy, Default, Debug)]
pub struct Seen {
    pub packets: u64,
    pub delivered: u64,
    pub dropped: u64,
}

impl Core {
    pub fn new(connections: usize) -> Result<Self> {
        Ok(Self {
            host: endpoint(connections, 4, 1)?,
            client: endpoint(connections, 4, 2)?,
            now: Instant::ZERO,
            nanos: 0,
            buffer: Vec::new(),
            at_client: Vec::new(),
            at_host: Vec::new(),
        })
    }

    /// Lets time pass, and timers run.
    pub fn pass(&mut self, nanos: u64) -> Result<Seen> {
        self.nanos += nanos;
        self.now += Duration::from_micros(self.nanos / 1_000);
        self.nanos %= 1_000;
        for endpoint in [&mut self.host, &mut self.client] {
            if endpoint.poll_timeout().is_some_and(|(due, _)| due <= self.now) {
                endpoint.handle_timeout(self.now);
            }
        }
        self.exchange()
    }

    /// Connects one more.
    pub fn connect(&mut self) -> Result {
        let number = self.at_client.len();
        let trust = Trust::Pinned(self.host.public_key());
        let options = ConnectOptions::new(trust);
        self.client.connect(self.now, Address::from_virtual(number as u64), options)?;
        self.exchange()?;
        if self.at_client.len() == number + 1 && self.at_host.len() == number + 1 {
            return Ok(());
        }
        Err("the endpoints did not connect".into())
    }

    /// Hands datagrams back and forth until there are none, and takes the events.
    pub fn exchange(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        loop {
            let there = hand_over(&mut self.client, &mut self.host, self.now, &mut self.buffer);
            take_events(&mut self.host, self.now, &mut self.at_host, &mut seen)?;
            let back = hand_over(&mut self.host, &mut self.client, self.now, &mut self.buffer);
            take_events(&mut self.client, self.now, &mut self.at_client, &mut seen)?;
            let mut solved = false;
            while let Some(mut job) = self.client.poll_puzzle() {
                while job.solve(u64::MAX) == PuzzleProgress::Working {}
                self.client.puzzle_solved(self.now, job);
                solved = true;
            }
            if !there && !back && !solved {
                return Ok(seen);
            }
        }
    }
}

/// Whether there was anything to hand over.
fn hand_over(from: &mut Endpoint, to: &mut Endpoint, now: Instant, buffer: &mut Vec<u8>) -> bool {
    let transmits = from.transmits();
    if transmits.is_empty() {
        return false;
    }
    for transmit in transmits.iter() {
        buffer.clear();
        buffer.extend_from_slice(transmit.bytes);
        to.handle_datagram(now, Datagram { path: Path::to(transmit.path.remote), bytes: buffer });
    }
    transmits.clear();
    true
}

fn take_events(
    endpoint: &mut Endpoint,
    now: Instant,
    established: &mut Vec<ConnectionId>,
    seen: &mut Seen,
) -> Result {
    while let Some(event) = endpoint.poll_event() {
        match event {
            Event::Packet { .. } => seen.packets += 1,
            Event::Verdict { delivery, .. } => {
                if delivery.is_delivered() {
                    seen.delivered += 1;
                } else {
                    seen.dropped += 1;
                }
            }
            Event::ConnectRequest(request) => endpoint.accept_connection(now, request.connection, b"")?,
            Event::Established { connection, .. } => established.push(connection),
            Event::Close { code, .. } => return Err(format!("closed: {code}").into()),
            _ => {}
        }
    }
    Ok(())
}
