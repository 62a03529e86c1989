//! Parties behind NATs of every kind, and their introducer in the core (INTRODUCTIONS.md). In virtual time, over seeds: for more of them
//! than the default, `TORQUE_SEEDS=1000`.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

#[path = "../common/mod.rs"]
mod common;

mod deceit;
mod hostile;
mod matrix;
mod nats;
mod relay;
mod states;
mod watching;

use std::time::Duration;

use common::{MS, SECOND};
use torque_proto::{Config, ConnectionId};
use torque_sim::nat::{Middlebox, Nat};
use torque_sim::play::Behaviour;
use torque_sim::{Access, LinkConfig, NetworkId, NodeId, Play, SimRng, for_seeds};

/// The places of the two parties.
const INITIATOR: usize = 0;
const HOST: usize = 1;

/// Two parties that are connected to an introducer.
struct Lobby {
    play: Play,
    introducer: NodeId,
    parties: [NodeId; 2],
    /// The ids of the parties' connections with the introducer, as they know them, and as it does.
    at_party: [ConnectionId; 2],
    at_introducer: [ConnectionId; 2],
}

/// Every node's link in a world with this seed, which loses this part.
fn link(seed: u64, loss: f64) -> LinkConfig {
    let mut link = LinkConfig::perfect();
    (link.delay, link.loss) = (5 * MS + SimRng::new(seed).duration(100 * MS), loss);
    link
}

impl Lobby {
    /// Each party has access of its own.
    fn apart(seed: u64, config: &Config, kinds: [Access; 2]) -> Self {
        let mut play = Play::new(seed);
        let networks = kinds.map(|kind| kind.build(&mut play.world));
        Self::in_networks(play, config, networks)
    }

    /// Both are behind one NAT; with `homes`, each has another one between that and itself.
    fn together(seed: u64, config: &Config, shared: Nat, homes: bool) -> Self {
        let mut play = Play::new(seed);
        let shared = play.world.add_network(NetworkId::CORE, Middlebox::Nat(shared));
        let networks = [(); 2].map(|()| match homes {
            true => play.world.add_network(shared, Middlebox::Nat(Nat::HOME)),
            false => shared,
        });
        Self::in_networks(play, config, networks)
    }

    fn in_networks(mut play: Play, config: &Config, networks: [NetworkId; 2]) -> Self {
        play.world.set_default_link(link(play.world.seed(), 0.0));
        let introducer = play.add_in(NetworkId::CORE, config.clone(), Behaviour::default());
        let parties = networks.map(|network| play.add_in(network, config.clone(), Behaviour::default()));
        let ids = parties.map(|party| play.establish(party, introducer));
        Self {
            play,
            introducer,
            parties,
            at_party: ids.map(|(id, _)| id),
            at_introducer: ids.map(|(_, id)| id),
        }
    }

    fn is_open(&self, at: NodeId, connection: ConnectionId) -> bool {
        self.play.end(at, connection).closed.is_none()
    }
}

/// A connection lasts behind every kind of access, however quiet it is.
#[test]
fn a_party_stays_connected_to_its_introducer_behind_every_kind_of_access() {
    for_seeds(3, |seed| {
        for access in Access::ALL {
            let mut lobby = Lobby::apart(seed, &Config::default(), [access, access]);
            lobby.play.run_for(300 * SECOND);
            for side in [INITIATOR, HOST] {
                let (party, connection) = (lobby.parties[side], lobby.at_introducer[side]);
                assert!(lobby.is_open(party, lobby.at_party[side]), "{}", access.name);
                // What the introducer says arrives, though the party has not spoken for long.
                let before = lobby.play.arrivals(party).len();
                lobby.play.send(lobby.introducer, connection, b"are you there?").unwrap();
                lobby.play.run_for(SECOND);
                assert_eq!(lobby.play.arrivals(party).len(), before + 1, "{}", access.name);
            }
            lobby.play.close_all_and_finish(30 * SECOND);
        }
    });
}

/// The introducer sees the addresses that NATs give, which differ even if parties have the same private one.
#[test]
fn the_introducer_sees_the_addresses_that_the_outermost_boxes_give() {
    for_seeds(10, |seed| {
        let home = Access::named("EI/APD").unwrap();
        let apart = Lobby::apart(seed, &Config::default(), [home, home]);
        let inside = apart.parties.map(|party| apart.play.world.address(party));
        assert_eq!(inside[0], inside[1]);
        let together = [false, true].map(|homes| Lobby::together(seed, &Config::default(), Nat::HOME, homes));
        for (lobby, have_same_ip) in
            [apart].into_iter().map(|lobby| (lobby, false)).chain(together.map(|lobby| (lobby, true)))
        {
            let introducer = lobby.play.world.node(lobby.introducer);
            let seen =
                lobby.at_introducer.map(|id| introducer.peer(id).unwrap().address.socket_addr().unwrap());
            assert_ne!(seen[0], seen[1]);
            assert_eq!(seen[0].ip() == seen[1].ip(), have_same_ip);
        }
    });
}
