//! Every kind of access with every other one: is there a connection, on a direct path, and in time?

use torque_proto::{CloseCode, ConnectOptions, Event, IntroducedOptions, IntroductionResult, Trust};
use torque_sim::nat::{Dependence, PortAssignment};

use super::*;

/// What became of an introduction.
struct Outcome {
    /// The results that the introducer's application was told.
    results: Vec<IntroductionResult>,
    /// From the calls until the initiator was established.
    took: Option<Duration>,
}

fn config() -> Config {
    let mut config = Config::default();
    config.introduction.introduces = true;
    config
}

impl Lobby {
    /// Introduces the two parties, whose applications learn each other's ids from the introducer's, and waits for what comes of it.
    fn introduce(&mut self, loss: f64) -> Outcome {
        let play = &mut self.play;
        let mut link = LinkConfig::perfect();
        link.delay = 5 * MS + SimRng::new(play.world.seed()).duration(100 * MS);
        link.loss = loss;
        play.world.set_default_link(link);
        let [initiator, host] = self.at_introducer;
        play.world.with(self.introducer, |endpoint, now| {
            endpoint.introduce(now, initiator, host, None).unwrap();
        });
        let begin = play.world.now();
        let at_host = play
            .wait_with(self.parties[HOST], |endpoint, now| {
                endpoint.connect_introduced(
                    now,
                    self.at_party[HOST],
                    initiator.get(),
                    IntroducedOptions::host(),
                )
            })
            .unwrap();
        let at_initiator = play
            .connect_with(
                self.parties[INITIATOR],
                ConnectOptions::new(Trust::Ask),
                |endpoint, now, options| {
                    let options = IntroducedOptions::initiator(options);
                    endpoint.connect_introduced(now, self.at_party[INITIATOR], host.get(), options)
                },
            )
            .unwrap();
        let ends = [(self.parties[INITIATOR], at_initiator), (self.parties[HOST], at_host)];
        let is_over = |play: &Play, (node, id): (NodeId, ConnectionId)| {
            let end = play.end(node, id);
            end.established || end.closed.is_some()
        };
        play.run_until(|play| ends.iter().all(|end| is_over(play, *end)), 60 * SECOND);
        let established = play.history(ends[0].0).iter().find_map(|(at, event)| match event {
            Event::Established { connection, introduced_by, .. } if *connection == at_initiator => {
                assert_eq!(*introduced_by, Some(self.at_party[INITIATOR]));
                Some(*at)
            }
            _ => None,
        });
        if established.is_some() {
            // The connection carries packets both ways.
            for (side, (node, id)) in ends.into_iter().enumerate() {
                let before = play.arrivals(ends[1 - side].0).len();
                for _ in 0..20 {
                    // What came from an address that was not asked has to be heard there first.
                    let _ = play.send(node, id, b"hello");
                    play.run_for(50 * MS);
                }
                play.run_for(SECOND);
                assert!(play.arrivals(ends[1 - side].0).len() > before);
            }
        }
        play.run_for(5 * SECOND);
        let results = play.history(self.introducer).iter().filter_map(|(_, event)| match event {
            Event::Introduced { result, .. } => Some(*result),
            _ => None,
        });
        Outcome { results: results.collect(), took: established.map(|at| at.saturating_since(begin)) }
    }
}

/// Pairs that meet are always connected, on a direct path, within the 25 s that an attempt takes at most.
fn all_pairs(seed: u64, loss: f64) {
    for (place, first) in Access::ALL.into_iter().enumerate() {
        for second in Access::ALL.into_iter().skip(place) {
            for kinds in [[first, second], [second, first]] {
                let mut lobby = Lobby::apart(seed, &config(), kinds);
                let outcome = lobby.introduce(loss);
                let names = kinds.map(|kind| kind.name);
                if first.meets(&second) {
                    assert!(outcome.took.is_some(), "{names:?}: {:?}", outcome.results);
                    assert_eq!(outcome.results, [IntroductionResult::Direct], "{names:?}");
                } else if first.is_strict() && second.is_strict() {
                    let [IntroductionResult::Failed(code)] = outcome.results[..] else {
                        panic!("{names:?}: {:?}", outcome.results)
                    };
                    assert!(matches!(code, CloseCode::NoPath | CloseCode::HardNat), "{names:?}: {code:?}");
                }
                lobby.play.close_all_and_finish(30 * SECOND);
            }
        }
    }
}

#[test]
fn pairs_that_meet_are_connected_directly() {
    for_seeds(2, |seed| all_pairs(seed, 0.0));
}

#[test]
fn pairs_that_meet_are_connected_directly_with_losses() {
    for_seeds(3, |seed| all_pairs(seed, 0.1));
}

/// Without losses it takes three round trips after the introducer has been asked, which takes one.
#[test]
fn without_losses_a_connection_takes_four_round_trips() {
    for_seeds(20, |seed| {
        let home = Access::named("EI/APD").unwrap();
        let mut lobby = Lobby::apart(seed, &config(), [home, home]);
        let took = lobby.introduce(0.0).took.unwrap();
        let round_trip = 2 * (5 * MS + SimRng::new(seed).duration(100 * MS));
        // The first punch dies on its way; the second one leaves 30 ms later.
        assert!(took < 4 * round_trip + 100 * MS, "{took:?} with a round trip of {round_trip:?}");
    });
}

/// Behind one NAT that hairpins, the outside addresses lead from one party to the other.
#[test]
fn parties_behind_one_nat_that_hairpins_are_connected() {
    for_seeds(20, |seed| {
        for homes in [false, true] {
            let shared = Nat::new(
                Dependence::EndpointIndependent,
                Dependence::EndpointIndependent,
                PortAssignment::Random,
            );
            let mut lobby = Lobby::together(seed, &config(), Nat { hairpinning: true, ..shared }, homes);
            let outcome = lobby.introduce(0.05);
            assert_eq!(outcome.results, [IntroductionResult::Direct], "homes: {homes}");
        }
    });
}
