//! What a program can show of the search for paths while it goes on.

use torque_proto::{ConnectOptions, IntroducedOptions, PathSearch, Relay, Relaying, SearchStage, Trust};

use super::relay::{config, introduce};
use super::*;

fn search(lobby: &Lobby, side: usize, id: ConnectionId) -> Option<PathSearch> {
    lobby.play.world.node(lobby.parties[side]).path_search(id)
}

#[test]
fn a_search_shows_its_stages_candidates_and_paths() {
    for_seeds(10, |seed| {
        let home = Access::named("EI/APD").unwrap();
        let mut lobby = Lobby::apart(seed, &config(), [home, home]);
        let numbers = lobby.at_introducer.map(ConnectionId::get);
        let outside = lobby.at_introducer.map(|id| {
            lobby.play.world.node(lobby.introducer).peer(id).unwrap().address.socket_addr().unwrap()
        });
        let at_initiator = lobby
            .play
            .connect_with(
                lobby.parties[INITIATOR],
                ConnectOptions::new(Trust::Ask),
                |endpoint, now, connect| {
                    let options = IntroducedOptions::initiator(connect);
                    endpoint.connect_introduced(now, lobby.at_party[INITIATOR], numbers[HOST], options)
                },
            )
            .unwrap();
        let stage = |lobby: &Lobby| search(lobby, INITIATOR, at_initiator).unwrap().stage;
        assert_eq!(stage(&lobby), SearchStage::Asking);
        lobby.play.run_for(SECOND);
        assert_eq!(stage(&lobby), SearchStage::Waiting);

        let [initiator, host] = lobby.at_introducer;
        lobby.play.world.with(lobby.introducer, |endpoint, now| {
            endpoint.introduce(now, initiator, host, Some(Relay::default())).unwrap();
        });
        let at_host = lobby.play.wait_with(lobby.parties[HOST], |endpoint, now| {
            let options = IntroducedOptions::host();
            endpoint.connect_introduced(now, lobby.at_party[HOST], numbers[INITIATOR], options)
        });
        let ends = [at_initiator, at_host.unwrap()];
        let all = |play: &Play, want: &dyn Fn(PathSearch) -> bool| {
            let search = |side: usize| play.world.node(lobby.parties[side]).path_search(ends[side]);
            [INITIATOR, HOST].into_iter().all(|side| search(side).is_some_and(want))
        };
        assert!(
            lobby
                .play
                .run_until(|play| all(play, &|search| search.stage == SearchStage::Meeting), 5 * SECOND)
        );
        for side in [INITIATOR, HOST] {
            let search = search(&lobby, side, ends[side]).unwrap();
            assert_eq!(search.candidates, [outside[1 - side]]);
            assert!(search.has_circuit);
        }
        assert!(lobby.play.run_until(|play| all(play, &|search| !search.working.is_empty()), 5 * SECOND));
        for side in [INITIATOR, HOST] {
            assert_eq!(search(&lobby, side, ends[side]).unwrap().working, [outside[1 - side].into()]);
        }
        let is_established = |search: PathSearch| search.stage == SearchStage::Established;
        assert!(lobby.play.run_until(|play| all(play, &is_established), 5 * SECOND));
        lobby.play.run_for(10 * SECOND);
        for side in [INITIATOR, HOST] {
            let search = search(&lobby, side, ends[side]).unwrap();
            assert_eq!(search.working, [outside[1 - side].into()]);
            assert_eq!(search.candidates, []);
        }
        // The connection with the introducer did not begin so.
        assert_eq!(search(&lobby, INITIATOR, lobby.at_party[INITIATOR]), None);
        lobby.play.close_all_and_finish(30 * SECOND);
        assert_eq!(search(&lobby, INITIATOR, ends[INITIATOR]), None);
    });
}

#[test]
fn a_relayed_connection_shows_where_it_looks_for_a_direct_path() {
    for_seeds(10, |seed| {
        let home = Access::named("EI/APD").unwrap();
        let mut lobby = Lobby::apart(seed, &config(), [home, home]);
        let at_once = IntroducedOptions::host().with_relay(Relaying::AtOnce);
        let ends = introduce(&mut lobby, [at_once.clone(), at_once]);
        for (side, (_, id)) in ends.into_iter().enumerate() {
            let relayed = search(&lobby, side, id).unwrap();
            assert_eq!(relayed.stage, SearchStage::Established);
            assert!(relayed.has_circuit && relayed.candidates.len() == 1, "{relayed:?}");
        }
        // A candidate that punches is no other source.
        for _ in 0..50 {
            lobby.play.run_for(100 * MS);
            for (side, (_, id)) in ends.into_iter().enumerate() {
                assert_eq!(search(&lobby, side, id).unwrap().sources, []);
            }
        }
        for (side, (node, id)) in ends.into_iter().enumerate() {
            let active = lobby.play.world.node(node).remote_address(id).unwrap();
            assert_eq!(search(&lobby, side, id).unwrap().working, [active]);
        }
        lobby.play.close_all_and_finish(30 * SECOND);
    });
}
