//! Two endpoints in one program, with nothing between them.

use std::net::SocketAddr;
use std::time::Duration;

use torque_proto::{
    Address, ChallengeResponse, Cipher, Config, ConnectOptions, ConnectRequest, ConnectionId, Datagram,
    Delivery, Endpoint, Event, Instant, KeyPair, Path, PuzzleProgress, Setup, Trust,
};

/// A host and an initiator that are connected with each other.
pub struct Pair {
    pub now: Instant,
    pub host: Endpoint,
    pub initiator: Endpoint,
    /// The connection, as each side names it.
    pub at_host: ConnectionId,
    pub at_initiator: ConnectionId,
    buffer: Vec<u8>,
}

pub fn host_address() -> Address {
    SocketAddr::from(([127, 0, 0, 1], 4_000)).into()
}

pub fn initiator_address() -> Address {
    SocketAddr::from(([127, 0, 0, 1], 5_000)).into()
}

/// An endpoint with keys of its own, made from `name`.
pub fn endpoint(now: Instant, name: u8, config: Config) -> Endpoint {
    let (seed, key_pair) = ([name; 32], KeyPair::from_seed([name; 32]));
    let setup = Setup { config, key_pair: Some(key_pair), seed, unix_millis: 1_700_000_000_000 };
    Endpoint::new(now, setup).expect("the configuration is in range")
}

impl Pair {
    /// Connects the two with that cipher.
    pub fn connect(cipher: Cipher) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut config = Config::default();
        config.ciphers = vec![cipher];
        let host = endpoint(now, 1, config.clone());
        let initiator = endpoint(now, 2, config);
        Self::connect_these(now, host, initiator)
    }

    /// Connects the two from the first datagram to the host's knowing that it is established.
    pub fn connect_these(now: Instant, host: Endpoint, mut initiator: Endpoint) -> Self {
        let options = ConnectOptions::new(Trust::Pinned(host.public_key()));
        let at_initiator = initiator.connect(now, host_address(), options).expect("there is room");
        let mut pair = Self { now, host, initiator, at_host: at_initiator, at_initiator, buffer: Vec::new() };
        let mut established = 0;
        while established < 2 {
            pair.exchange();
            while let Some(event) = pair.initiator.poll_event() {
                match event {
                    Event::ChallengeResponse(ChallengeResponse { connection, .. }) => {
                        pair.initiator.accept_challenge(now, connection).expect("it was asked");
                    }
                    Event::Established { .. } => established += 1,
                    other => panic!("at the initiator: {other:?}"),
                }
            }
            while let Some(mut job) = pair.initiator.poll_puzzle() {
                while job.solve(1 << 20) != PuzzleProgress::Solved {}
                pair.initiator.puzzle_solved(now, job);
            }
            while let Some(event) = pair.host.poll_event() {
                match event {
                    Event::ConnectRequest(ConnectRequest { connection, .. }) => {
                        pair.at_host = connection;
                        pair.host.accept_connection(now, connection, b"").expect("it was asked");
                    }
                    Event::Established { .. } => established += 1,
                    other => panic!("at the host: {other:?}"),
                }
            }
            let due = [&pair.host, &pair.initiator]
                .into_iter()
                .filter_map(Endpoint::poll_timeout)
                .map(|(at, _)| at);
            if let Some(at) = due.min().filter(|at| *at <= pair.now + Duration::from_millis(1)) {
                pair.now = pair.now.max(at);
            }
            pair.host.handle_timeout(pair.now);
            pair.initiator.handle_timeout(pair.now);
        }
        pair.exchange();
        pair
    }

    /// Carries all that waits, both ways.
    pub fn exchange(&mut self) {
        while !self.host.transmits().is_empty() || !self.initiator.transmits().is_empty() {
            self.carry_to_initiator();
            self.carry_to_host();
        }
    }

    /// Carries what the initiator sent.
    pub fn carry_to_host(&mut self) {
        carry(self.now, &mut self.initiator, initiator_address(), &mut self.host, &mut self.buffer);
    }

    /// Carries what the host sent.
    pub fn carry_to_initiator(&mut self) {
        carry(self.now, &mut self.host, host_address(), &mut self.initiator, &mut self.buffer);
    }

    /// Loses all that the initiator has sent but for a ping, by which it hears so, and takes the verdicts.
    pub fn drop_and_report(&mut self, count: usize) -> usize {
        self.initiator.transmits().clear();
        let mut told = 0;
        while told < count {
            self.now += Duration::from_millis(10);
            self.initiator.handle_timeout(self.now);
            self.exchange();
            while let Some(event) = self.initiator.poll_event() {
                told += usize::from(matches!(event, Event::Verdict { .. }));
            }
        }
        told
    }

    /// One turn of a game: `count` packets from the initiator, which the host takes, the same back, and all verdicts.
    pub fn turn(&mut self, count: usize, payload: &[u8]) -> usize {
        for _ in 0..count {
            self.initiator.send(self.now, self.at_initiator, payload).expect("the window has room");
        }
        self.carry_to_host();
        let mut seen = 0;
        while let Some(event) = self.host.poll_event() {
            seen += usize::from(matches!(&event, Event::Packet { .. }));
        }
        for _ in 0..count {
            self.host.send(self.now, self.at_host, payload).expect("the window has room");
        }
        self.carry_to_initiator();
        while let Some(event) = self.initiator.poll_event() {
            match event {
                Event::Packet { .. } => seen += 1,
                Event::Verdict { delivery, .. } => assert_eq!(delivery, Delivery::Delivered),
                other => panic!("{other:?}"),
            }
        }
        self.now += Duration::from_millis(1);
        self.host.handle_timeout(self.now);
        self.initiator.handle_timeout(self.now);
        seen
    }
}

fn carry(now: Instant, from: &mut Endpoint, source: Address, to: &mut Endpoint, buffer: &mut Vec<u8>) {
    let transmits = from.transmits();
    for index in 0..transmits.len() {
        let Some(transmit) = transmits.get(index) else { break };
        buffer.clear();
        buffer.extend_from_slice(transmit.bytes);
        to.handle_datagram(now, Datagram { path: Path::to(source), bytes: buffer });
    }
    transmits.clear();
}
