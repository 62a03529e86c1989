//! Connections follow a side that moves, and learn that their host was restarted (PATHS.md). In virtual time, over seeds: for more of
//! them than the default, `TORQUE_SEEDS=10000`.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

#[path = "../common/mod.rs"]
mod common;

mod attacks;
mod moves;
mod rivals;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use common::{MS, SECOND};
use torque_proto::{Address, Config, ConnectionId, Instant};
use torque_sim::play::{Behaviour, Sending};
use torque_sim::{LinkConfig, NodeId, Play, SimRng, for_seeds};

const CLIENT: usize = 0;
const HOST: usize = 1;

/// Two sides of a connection, of which either may move.
struct Journey {
    play: Play,
    nodes: [NodeId; 2],
    ids: [ConnectionId; 2],
    /// The longest pause between two packets of each application.
    pauses: [Duration; 2],
    places: u8,
    moves: Vec<Instant>,
    /// The most that a side waited for an answer when one of them moved: twice the probe time (PATHS.md 6).
    patience: Duration,
}

/// A way that takes half the round trip.
fn way(round_trip: Duration) -> LinkConfig {
    let mut config = LinkConfig::perfect();
    config.delay = round_trip / 2;
    config
}

/// Sends steadily; `None`: nothing.
fn sends(pause: Option<Duration>) -> Behaviour {
    Behaviour { sending: pause.map(|pause| Sending::steady(pause, 100)), ..Behaviour::default() }
}

impl Journey {
    /// Establishes over a good network, which then becomes `link`.
    fn new(seed: u64, config: Config, pauses: [Option<Duration>; 2], link: LinkConfig) -> Self {
        let mut play = Play::new(seed);
        play.world.set_default_link(way(link.delay * 2));
        let nodes = [config.clone(), config].map(|config| play.add(config, Behaviour::default()));
        for (node, pause) in nodes.into_iter().zip(pauses) {
            play.set_behaviour(node, sends(pause));
        }
        let (client, host) = play.establish(nodes[CLIENT], nodes[HOST]);
        play.world.set_default_link(link);
        let pauses = pauses.map(Option::unwrap_or_default);
        Self {
            play,
            nodes,
            ids: [client, host],
            pauses,
            places: 0,
            moves: Vec::new(),
            patience: Duration::ZERO,
        }
    }

    fn address(&self, side: usize) -> Address {
        self.play.world.address(self.nodes[side])
    }

    /// Another IP address.
    fn elsewhere(&mut self) -> Address {
        self.places += 1;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(172, 16, 0, self.places)), 5_000).into()
    }

    fn go(&mut self, side: usize, address: Address) {
        self.note_move();
        self.play.world.set_address(self.nodes[side], address);
    }

    fn note_move(&mut self) {
        self.moves.push(self.play.world.now());
        for (node, id) in self.nodes.into_iter().zip(self.ids) {
            let Some(stats) = self.play.world.node(node).connection_stats(id) else { continue };
            let patience = (stats.rtt + stats.jitter * 4 + stats.settings.ack_delay) * 2;
            self.patience = self.patience.max(patience);
        }
    }

    /// A NAT gives the side another port.
    fn rebind(&mut self, side: usize) {
        self.note_move();
        self.play.world.rebind(self.nodes[side]);
    }

    /// The driver says that the network has changed.
    fn notice(&mut self, side: usize) {
        self.play.world.with(self.nodes[side], |endpoint, now| endpoint.network_changed(now));
    }

    /// For each move, how long the side received nothing, beside the pauses of the applications.
    fn interruptions(&self, side: usize) -> Vec<Duration> {
        let arrivals = self.play.arrivals(self.nodes[side]);
        let of = |from: Instant| {
            // Packets that were under way may come for a while.
            let until = (from + 9 * SECOND).min(self.play.world.now());
            let first = arrivals.partition_point(|at| *at <= from).saturating_sub(1);
            let last = arrivals.partition_point(|at| *at <= until);
            let mut times: Vec<_> = arrivals[first..last].to_vec();
            if let Some(first) = times.first_mut() {
                *first = (*first).max(from);
            }
            times.push(until);
            times.windows(2).map(|pair| pair[1].saturating_since(pair[0])).max().unwrap()
        };
        let pause = self.pauses.into_iter().sum();
        self.moves.iter().map(|from| of(*from).saturating_sub(pause)).collect()
    }

    /// The longest time of the last ones in which the side received nothing.
    fn longest_silence(&self, side: usize, last: Duration) -> Duration {
        let from = self.play.world.now().saturating_since(Instant::ZERO).saturating_sub(last);
        let times = self
            .play
            .arrivals(self.nodes[side])
            .iter()
            .filter(|at| at.saturating_since(Instant::ZERO) >= from);
        let times: Vec<_> = times.copied().chain([self.play.world.now()]).collect();
        times.windows(2).map(|pair| pair[1].saturating_since(pair[0])).max().unwrap_or(last)
    }

    fn assert_open(&self) {
        for (node, id) in self.nodes.into_iter().zip(self.ids) {
            assert_eq!(self.play.end(node, id).closed, None, "{node:?} lost its connection");
        }
    }

    /// Packets pass both ways; then everything is closed, and every packet has its verdict.
    fn ends_well(mut self) {
        self.assert_open();
        self.play.world.set_default_link(way(20 * MS));
        self.play.run_for(8 * SECOND);
        for side in [CLIENT, HOST] {
            let (node, id) = (self.nodes[side], self.ids[side]);
            let before = self.play.arrivals(self.nodes[1 - side]).len();
            self.play.send(node, id, b"are you there?").unwrap();
            self.play.run_for(SECOND);
            assert!(self.play.arrivals(self.nodes[1 - side]).len() > before, "{node:?} is not heard");
        }
        self.assert_open();
        self.play.close(self.nodes[CLIENT], self.ids[CLIENT], b"");
        self.play.finish(60 * SECOND);
        let tally = self.play.oracle.tally();
        assert_eq!(tally.sent, tally.delivered + tally.dropped + tally.unknown);
    }
}

/// The spread of many times, and what fraction of them is within a limit.
struct Spread(Vec<Duration>);

impl Spread {
    fn at(&mut self, share: f64) -> Duration {
        self.0.sort_unstable();
        let last = self.0.len() - 1;
        self.0[(last as f64 * share).round() as usize]
    }

    fn tell(&mut self, what: &str) {
        let [half, most, nearly, all] = [0.5, 0.9, 0.99, 1.0].map(|share| self.at(share));
        eprintln!("{what}: half {half:?}, 90 % {most:?}, 99 % {nearly:?}, all {all:?} ({})", self.0.len());
    }
}
