//! One endpoint with an application that keeps a ledger.

use core::time::Duration;
use std::net::SocketAddr;

use torque_proto::{
    Address, ChallengeResponse, Config, ConnectOptions, ConnectRequest, ConnectionId, Datagram, Endpoint,
    Event, Instant, Path, Setup, Trust,
};

use crate::ledger::Ledger;

/// The time at which everything begins.
pub const BEGIN: Instant = Instant::from_millis(1_000);

/// An address of this small world.
pub fn address(number: u8) -> Address {
    Address::from(SocketAddr::from(([10, 0, 0, number], 28_000)))
}

/// Figures small enough to be reached, and puzzles that cost nothing.
pub fn small_config() -> Config {
    let mut config = Config::default();
    config.limits.connections = 8;
    config.limits.pending = 6;
    config.limits.replay_tokens = 16;
    config.limits.queued_packets = 8;
    config.limits.queued_packets_total = 12;
    config.limits.queued_info_packets = 2;
    config.limits.queued_transmits = 32;
    config.min_tag_bytes = 4;
    config.puzzle.difficulty_min = 1;
    config.puzzle.difficulty_max = 3;
    config.puzzle.difficulty_limit = 5;
    config
}

/// An endpoint and what its application knows.
pub struct Side {
    pub endpoint: Endpoint,
    pub ledger: Ledger,
    /// Connections to send on, in the order of being established.
    pub established: Vec<ConnectionId>,
    /// Connections that wait for our word: whether it is a challenge.
    pub waiting: Vec<(ConnectionId, bool)>,
    pub now: Instant,
    next_number: u32,
    salt: u8,
}

impl Side {
    /// Side `number` at [`BEGIN`]; the number is its randomness.
    pub fn new(number: u8, config: Config) -> Self {
        let setup = Setup { config, key_pair: None, seed: [number; 32], unix_millis: 1_700_000_000_000 };
        Self {
            endpoint: Endpoint::new(BEGIN, setup).expect("figures in range"),
            ledger: Ledger::default(),
            established: Vec::new(),
            waiting: Vec::new(),
            now: BEGIN,
            next_number: 0,
            salt: number,
        }
    }

    /// Begins to connect.
    pub fn connect(&mut self, remote: Address, trust: Trust, connect_data: &[u8]) {
        let options = ConnectOptions::new(trust).with_data(connect_data);
        if let Ok(connection) = self.endpoint.connect(self.now, remote, options) {
            self.ledger.begun(connection);
        }
    }

    /// Begins to connect to a host whose addresses are told later.
    pub fn connect_unresolved(&mut self, trust: Trust, connect_data: &[u8]) -> Option<ConnectionId> {
        let options = ConnectOptions::new(trust).with_data(connect_data);
        let connection = self.endpoint.connect_unresolved(self.now, options).ok()?;
        self.ledger.begun(connection);
        Some(connection)
    }

    /// Sends a packet of at least eight bytes that tells its sender and number, if the connection takes it.
    pub fn send(&mut self, which: usize, extra: usize) {
        if self.established.is_empty() {
            return;
        }
        let connection = self.established[which % self.established.len()];
        let number = self.next_number;
        let mut payload = vec![self.salt; 8 + extra];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        if let Ok(sequence) = self.endpoint.send(self.now, connection, &payload) {
            self.next_number += 1;
            self.ledger.sent(connection, sequence.0, number);
        }
    }

    /// Takes events: all, or at most `limit`. Returns how many there were.
    pub fn take_events(&mut self, limit: usize) -> usize {
        let mut count = 0;
        while count < limit {
            let Some(event) = self.endpoint.poll_event() else { break };
            count += 1;
            self.ledger.told(&event);
            match event {
                Event::ChallengeResponse(ChallengeResponse { connection, .. }) => {
                    self.waiting.push((connection, true))
                }
                Event::ConnectRequest(ConnectRequest { connection, .. }) => {
                    self.waiting.push((connection, false))
                }
                Event::Established { connection, .. } => self.established.push(connection),
                Event::Close { connection, .. } => {
                    self.established.retain(|id| *id != connection);
                    self.waiting.retain(|(id, _)| *id != connection);
                }
                _ => {}
            }
        }
        count
    }

    /// Answers the oldest question with yes, or with one of the ways to say no.
    pub fn answer(&mut self, yes: bool, data: &[u8]) {
        if self.waiting.is_empty() {
            return;
        }
        let (connection, is_challenge) = self.waiting.remove(0);
        // The question may be void by now, which the call says.
        let _ = match (yes, is_challenge) {
            (false, false) if data.len().is_multiple_of(3) => {
                self.endpoint.refuse(self.now, connection, data)
            }
            (false, false) if data.len() % 3 == 1 => self.endpoint.ignore(connection),
            (false, _) => self.endpoint.close(self.now, connection, data),
            (true, true) => self.endpoint.accept_challenge(self.now, connection),
            (true, false) => self.endpoint.accept_connection(self.now, connection, data),
        };
    }

    /// Closes a connection, established or pending.
    pub fn close(&mut self, which: usize, reason: &[u8]) {
        if !self.established.is_empty() {
            let connection = self.established[which % self.established.len()];
            let _ = self.endpoint.close(self.now, connection, reason);
        }
    }

    /// Hands a datagram in. Answers to an address that is not proven are never longer than the question.
    pub fn hear(&mut self, remote: Address, bytes: &[u8], is_proven: bool) {
        let before: usize = self.waiting_for(remote);
        let count = self.endpoint.transmits().len();
        let mut copy = bytes.to_vec();
        self.endpoint.handle_datagram(self.now, Datagram { path: Path::to(remote), bytes: &mut copy });
        if !is_proven {
            let answer = self.waiting_for(remote) - before;
            assert!(answer <= bytes.len(), "{answer} bytes for {} to an unproven address", bytes.len());
        }
        assert!(self.endpoint.transmits().len() <= count + 4, "one datagram made more than four");
        self.check_bounds();
    }

    fn waiting_for(&mut self, remote: Address) -> usize {
        let transmits = self.endpoint.transmits();
        transmits
            .iter()
            .filter(|transmit| transmit.path.remote == remote)
            .map(|transmit| transmit.bytes.len())
            .sum()
    }

    /// Takes what is to be sent.
    pub fn take_transmits(&mut self) -> Vec<(Address, Vec<u8>)> {
        self.take_transmits_of_ports().into_iter().map(|(_, remote, bytes)| (remote, bytes)).collect()
    }

    /// The same, each with the local port that it leaves from.
    pub fn take_transmits_of_ports(&mut self) -> Vec<(u16, Address, Vec<u8>)> {
        let transmits = self.endpoint.transmits();
        let taken = transmits
            .iter()
            .map(|transmit| (transmit.path.port, transmit.path.remote, transmit.bytes.to_vec()))
            .collect();
        transmits.clear();
        taken
    }

    /// Lets time pass; timers run when it has, as under a caller that was held up.
    pub fn jump(&mut self, by: Duration) {
        self.now += by;
        self.run_timers();
    }

    /// Runs what is due, as often as it is.
    pub fn run_timers(&mut self) {
        for _ in 0..1_000 {
            match self.endpoint.poll_timeout() {
                Some((at, _)) if at <= self.now => self.endpoint.handle_timeout(self.now),
                _ => return self.check_bounds(),
            }
        }
        panic!("a timer that is due again and again: {:?} at {:?}", self.endpoint.poll_timeout(), self.now);
    }

    /// Whether a timer is due within the tick of the wheel.
    pub fn has_work(&self) -> bool {
        let next = self.endpoint.poll_timeout();
        next.is_some_and(|(at, _)| at <= self.now + Duration::from_millis(2))
    }

    /// Memory is bounded by the limits.
    pub fn check_bounds(&mut self) {
        let limits = self.endpoint.config().limits.clone();
        assert!(self.endpoint.slots_used() <= limits.connections, "more slots than the limit");
        assert!(
            self.endpoint.transmits().len() <= 2 * limits.queued_transmits,
            "more transmits than the limit"
        );
    }
}
