//! Circuits: connections that the introducer carries until there is a direct path, and what it may not do with them
//! (INTRODUCTIONS.md 10).

use torque_proto::{
    Address, CloseCode, ConnectOptions, Event, IntroducedOptions, IntroductionResult, Relay, Relaying, Trust,
};

use super::*;

pub(super) fn config() -> Config {
    let mut config = Config::default();
    config.introduction.introduces = true;
    config
}

/// Introduces the parties with a circuit, and waits until both are established or one has failed.
pub(super) fn introduce(lobby: &mut Lobby, options: [IntroducedOptions; 2]) -> [(NodeId, ConnectionId); 2] {
    let play = &mut lobby.play;
    let [initiator, host] = lobby.at_introducer;
    let relay = Relay::default();
    play.world.with(lobby.introducer, |endpoint, now| {
        endpoint.introduce(now, initiator, host, Some(relay)).unwrap();
    });
    let [for_initiator, for_host] = options;
    let at_host = play
        .wait_with(lobby.parties[HOST], |endpoint, now| {
            endpoint.connect_introduced(now, lobby.at_party[HOST], initiator.get(), for_host)
        })
        .unwrap();
    let at_initiator = play
        .connect_with(lobby.parties[INITIATOR], ConnectOptions::new(Trust::Ask), |endpoint, now, connect| {
            let mut with = IntroducedOptions::initiator(connect).with_relay(for_initiator.relay);
            with.direct = for_initiator.direct;
            endpoint.connect_introduced(now, lobby.at_party[INITIATOR], host.get(), with)
        })
        .unwrap();
    let ends = [(lobby.parties[INITIATOR], at_initiator), (lobby.parties[HOST], at_host)];
    let is_over = |play: &Play, (node, id): (NodeId, ConnectionId)| {
        play.end(node, id).established || play.end(node, id).closed.is_some()
    };
    play.run_until(|play| ends.iter().all(|end| is_over(play, *end)), 60 * SECOND);
    ends
}

pub(super) fn address(play: &Play, (node, id): (NodeId, ConnectionId)) -> Option<Address> {
    play.world.node(node).remote_address(id)
}

pub(super) fn results(play: &Play, introducer: NodeId) -> Vec<IntroductionResult> {
    let results = play.history(introducer).iter().filter_map(|(_, event)| match event {
        Event::Introduced { result, .. } => Some(*result),
        _ => None,
    });
    results.collect()
}

pub(super) fn talk(play: &mut Play, ends: [(NodeId, ConnectionId); 2], seconds: u32) {
    for (side, (node, id)) in ends.into_iter().enumerate() {
        let before = play.arrivals(ends[1 - side].0).len();
        for _ in 0..seconds * 10 {
            play.send(node, id, b"hello").unwrap();
            play.run_for(100 * MS);
        }
        assert!(play.arrivals(ends[1 - side].0).len() >= before + seconds as usize * 9, "side {side}");
    }
}

pub(super) fn both(options: &IntroducedOptions) -> [IntroducedOptions; 2] {
    [options.clone(), options.clone()]
}

/// Two NATs between which nothing direct works, whatever is tried.
pub(super) fn hopeless() -> [Access; 2] {
    [Access::named("APD/APD r").unwrap(); 2]
}

#[test]
fn parties_that_no_direct_path_joins_are_connected_by_a_circuit() {
    for_seeds(5, |seed| {
        let mut lobby = Lobby::apart(seed, &config(), hopeless());
        let ends = introduce(&mut lobby, both(&IntroducedOptions::host()));
        assert!(ends.iter().all(|end| address(&lobby.play, *end).unwrap().is_circuit()));
        talk(&mut lobby.play, ends, 5);
        lobby.play.run_for(200 * SECOND);
        talk(&mut lobby.play, ends, 5);
        assert_eq!(results(&lobby.play, lobby.introducer), [IntroductionResult::Relayed]);
        // What was begun and has not ended is what is there: shutdowns wait for as many.
        for party in lobby.parties {
            let stats = lobby.play.stats(party);
            let begun = stats.connections_started + stats.connections_requested;
            assert_eq!(begun - stats.connections_closed, 2);
            // What comes by its own circuit is nothing that it was asked to relay.
            assert_eq!(lobby.play.world.node(party).introducer_stats().unknown_circuit, 0);
        }
        let stats = lobby.play.world.node(lobby.introducer).introducer_stats().clone();
        assert!(stats.relayed >= 200 && stats.throttled == 0, "{stats:?}");
        lobby.play.close_all_and_finish(30 * SECOND);
    });
}

#[test]
fn a_connection_by_a_circuit_becomes_direct_without_a_loss() {
    for_seeds(10, |seed| {
        let home = Access::named("EI/APD").unwrap();
        let mut lobby = Lobby::apart(seed, &config(), [home, home]);
        let at_once = IntroducedOptions::host().with_relay(Relaying::AtOnce);
        let ends = introduce(&mut lobby, both(&at_once));
        let relayed = ends.map(|end| address(&lobby.play, end).unwrap().is_circuit());
        assert_eq!(relayed, [true, true]);
        talk(&mut lobby.play, ends, 5);
        assert!(ends.iter().all(|end| !address(&lobby.play, *end).unwrap().is_circuit()));
        let told = results(&lobby.play, lobby.introducer);
        assert_eq!(told, [IntroductionResult::Relayed, IntroductionResult::BecameDirect]);
        lobby.play.close_all_and_finish(30 * SECOND);
    });
}

#[test]
fn a_party_that_takes_no_direct_paths_shows_its_address_to_nobody() {
    for_seeds(5, |seed| {
        let home = Access::named("EI/EI").unwrap();
        let mut lobby = Lobby::apart(seed, &config(), [home, home]);
        let hidden = IntroducedOptions::host().without_direct_paths();
        let ends = introduce(&mut lobby, [IntroducedOptions::host(), hidden]);
        talk(&mut lobby.play, ends, 5);
        lobby.play.run_for(120 * SECOND);
        assert!(ends.iter().all(|end| address(&lobby.play, *end).unwrap().is_circuit()));
        for party in lobby.parties {
            assert_eq!(lobby.play.stats(party).punches_refused, 0);
            assert_eq!(lobby.play.world.node(party).party_stats().punches_sent, 0);
        }
        lobby.play.close_all_and_finish(30 * SECOND);
    });
}

#[test]
fn a_direct_connection_outlives_its_introducer_and_a_relayed_one_does_not() {
    for_seeds(5, |seed| {
        let home = Access::named("EI/APD").unwrap();
        for kinds in [[home, home], hopeless()] {
            let is_direct = kinds[0].meets_at_once(&kinds[1]);
            let mut lobby = Lobby::apart(seed, &config(), kinds);
            let ends = introduce(&mut lobby, both(&IntroducedOptions::host()));
            lobby.play.run_for(SECOND);
            lobby.play.crash(lobby.introducer);
            lobby.play.run_for(120 * SECOND);
            for (node, id) in ends {
                assert_eq!(lobby.play.end(node, id).closed.is_none(), is_direct);
            }
        }
    });
}

#[test]
fn without_a_circuit_parties_that_cannot_meet_are_told() {
    for_seeds(3, |seed| {
        let mut lobby = Lobby::apart(seed, &config(), hopeless());
        let never = IntroducedOptions::host().with_relay(Relaying::Never);
        let ends = introduce(&mut lobby, both(&never));
        for (node, id) in ends {
            let closes = lobby.play.history(node).iter().filter_map(|(_, event)| match event {
                Event::Close { connection, code, .. } if *connection == id => Some(*code),
                _ => None,
            });
            assert_eq!(closes.collect::<Vec<_>>(), [CloseCode::NoPath]);
        }
        lobby.play.run_for(5 * SECOND);
        assert_eq!(results(&lobby.play, lobby.introducer), [IntroductionResult::Failed(CloseCode::NoPath)]);
    });
}

/// How often the application of a party was asked about the other one's key.
fn asked(play: &Play, (party, id): (NodeId, ConnectionId)) -> usize {
    let events = play.history(party).iter();
    let asks = events.filter(|(_, event)| match event {
        Event::ChallengeResponse(asked) => asked.connection == id,
        Event::ConnectRequest(asked) => asked.connection == id,
        _ => false,
    });
    asks.count()
}

/// The host has answered on the circuit, which then swallows the requests, or the answers to them: the direct path carries them. Nobody
/// is asked twice.
#[test]
fn a_request_that_stays_without_an_answer_on_a_circuit_goes_by_the_direct_path() {
    for_seeds(10, |seed| {
        let home = Access::named("EI/APD").unwrap();
        for swallowed in [0x03, 0x04] {
            let mut lobby = Lobby::apart(seed, &config(), [home, home]);
            lobby.play.world.set_tap(move |passing| {
                let is_lost = passing.bytes[0] == 0x0e && passing.bytes[5] == swallowed;
                if is_lost { torque_sim::world::Fate::Drop } else { torque_sim::world::Fate::Pass }
            });
            let at_once = IntroducedOptions::host().with_relay(Relaying::AtOnce);
            let ends = introduce(&mut lobby, both(&at_once));
            for (node, id) in ends {
                assert!(lobby.play.end(node, id).established, "{:?}", lobby.play.history(node));
                assert!(!address(&lobby.play, (node, id)).unwrap().is_circuit());
                assert_eq!(asked(&lobby.play, (node, id)), 1);
            }
            talk(&mut lobby.play, ends, 5);
            lobby.play.world.clear_tap();
            lobby.play.close_all_and_finish(30 * SECOND);
        }
    });
}

/// Punches pass on the direct path, and nothing that is longer: the circuit carries the handshake.
#[test]
fn a_direct_path_that_carries_punches_only_does_not_keep_parties_from_their_circuit() {
    for_seeds(10, |seed| {
        let home = Access::named("EI/APD").unwrap();
        let mut lobby = Lobby::apart(seed, &config(), [home, home]);
        let introducer = lobby.play.world.address(lobby.introducer);
        for stuck_at in [0x01, 0x03] {
            lobby.play.world.set_tap(move |passing| {
                let is_direct = passing.from != introducer && passing.to != introducer;
                let is_lost = is_direct && (stuck_at..=0x07).contains(&passing.bytes[0]);
                if is_lost { torque_sim::world::Fate::Drop } else { torque_sim::world::Fate::Pass }
            });
            let ends = introduce(&mut lobby, both(&IntroducedOptions::host()));
            for (node, id) in ends {
                assert!(lobby.play.end(node, id).established, "{:?}", lobby.play.history(node));
            }
            talk(&mut lobby.play, ends, 5);
            for (node, id) in ends {
                lobby.play.close(node, id, b"");
            }
            lobby.play.run_for(10 * SECOND);
        }
        lobby.play.world.clear_tap();
        lobby.play.close_all_and_finish(30 * SECOND);
    });
}
