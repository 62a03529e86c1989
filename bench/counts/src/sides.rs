//! A handshake that is played once, and each of its sides again by itself.

use std::time::Duration;

use torque_proto::{
    Address, Config, ConnectOptions, ConnectRequest, Datagram, Endpoint, Event, Instant, KeyPair, Path,
    PuzzleProgress, Setup, Trust,
};

use crate::pair::{host_address, initiator_address};

/// An endpoint that accepts whatever it is asked. The same datagrams make it say the same each time.
struct Side {
    now: Instant,
    endpoint: Endpoint,
    other: Address,
    established: bool,
}

impl Side {
    fn new(name: u8, key_pair: &KeyPair, other: Address) -> Self {
        let now = Instant::from_micros(1_000_000);
        let (config, key_pair) = (Config::default(), Some(key_pair.clone()));
        let setup = Setup { config, key_pair, seed: [name; 32], unix_millis: 1_700_000_000_000 };
        let endpoint = Endpoint::new(now, setup).expect("the configuration is in range");
        Self { now, endpoint, other, established: false }
    }

    fn host(key_pair: &KeyPair) -> Self {
        Self::new(1, key_pair, initiator_address())
    }

    /// One that has begun to connect.
    fn initiator(key_pair: &KeyPair, host: &KeyPair) -> Self {
        let mut side = Self::new(2, key_pair, host_address());
        let options = ConnectOptions::new(Trust::Pinned(host.public()));
        side.endpoint.connect(side.now, host_address(), options).expect("there is room");
        side
    }

    fn hear(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let datagram = Datagram { path: Path::to(self.other), bytes: &mut bytes };
        self.endpoint.handle_datagram(self.now, datagram);
        while let Some(mut job) = self.endpoint.poll_puzzle() {
            while job.solve(1 << 20) != PuzzleProgress::Solved {}
            self.endpoint.puzzle_solved(self.now, job);
        }
        while let Some(event) = self.endpoint.poll_event() {
            match event {
                Event::ConnectRequest(ConnectRequest { connection, .. }) => {
                    self.endpoint.accept_connection(self.now, connection, b"").expect("it was asked");
                }
                Event::Established { .. } => self.established = true,
                other => panic!("{other:?}"),
            }
        }
        // The first ping is due at once.
        self.now += Duration::from_millis(1);
        self.endpoint.handle_timeout(self.now);
    }

    fn take_said(&mut self) -> Vec<Vec<u8>> {
        let transmits = self.endpoint.transmits();
        let said = (0..transmits.len()).filter_map(|index| Some(transmits.get(index)?.bytes.to_vec()));
        let said = said.collect();
        transmits.clear();
        said
    }
}

struct Recording {
    keys: [KeyPair; 2],
    to_host: Vec<Vec<u8>>,
    to_initiator: Vec<Vec<u8>>,
}

impl Recording {
    fn new() -> Self {
        let keys = [1, 2].map(|name| KeyPair::from_seed([name; 32]));
        let (mut host, mut initiator) = (Side::host(&keys[0]), Side::initiator(&keys[1], &keys[0]));
        let (mut to_host, mut to_initiator) = (Vec::new(), Vec::new());
        while !(host.established && initiator.established) {
            for datagram in initiator.take_said() {
                host.hear(&datagram);
                to_host.push(datagram);
            }
            for datagram in host.take_said() {
                initiator.hear(&datagram);
                to_initiator.push(datagram);
            }
        }
        Self { keys, to_host, to_initiator }
    }
}

/// The host's part, with the making of its epoch.
pub fn host(times: usize) {
    let Recording { keys, to_host, .. } = Recording::new();
    for _ in 0..times {
        let mut host = Side::host(&keys[0]);
        to_host.iter().for_each(|datagram| host.hear(datagram));
        assert!(host.established);
    }
}

/// The initiator's part, with the solving of an easy puzzle.
pub fn initiator(times: usize) {
    let Recording { keys, to_initiator, .. } = Recording::new();
    for _ in 0..times {
        let mut initiator = Side::initiator(&keys[1], &keys[0]);
        to_initiator.iter().for_each(|datagram| initiator.hear(datagram));
        assert!(initiator.established);
    }
}
