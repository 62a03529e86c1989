//! Every kind of access with every other one: is there a connection, on a direct path, and in time?

use std::collections::BTreeMap;
use std::fmt;

use torque_proto::wire::introduction::{Candidate, CandidateKind};
use torque_proto::{
    CloseCode, ConnectOptions, Event, HardNat, IntroducedOptions, IntroductionResult, Nat as Seen, Relay,
    Trust,
};
use torque_sim::nat::{Dependence, PortAssignment};

use super::*;

/// What became of an introduction.
struct Outcome {
    /// The results that the introducer's application was told.
    results: Vec<IntroductionResult>,
    /// From the calls until the initiator was established.
    took: Option<Duration>,
    /// Whether the connection carries packets both ways.
    carries: bool,
    /// From the calls until the introducer's application was told that a circuit had become a direct path.
    became_direct: Option<Duration>,
}

/// What the parties may do, and what the introducer has.
#[derive(Clone, Copy, Debug)]
struct Conditions {
    hard_nat: HardNat,
    /// The introducer carries the connection until there is a direct path.
    relays: bool,
    /// The introducer observes at a second IP address, not only at a second port.
    own_ip: bool,
    loss: f64,
}

impl Conditions {
    const PLAIN: Self = Self { hard_nat: HardNat::Never, relays: false, own_ip: false, loss: 0.0 };

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.introduction.introduces = true;
        config.introduction.hard_nat = self.hard_nat;
        config
    }

    fn lobby(&self, seed: u64, kinds: [Access; 2]) -> Lobby {
        let mut lobby = Lobby::apart(seed, &self.config(), kinds);
        lobby.play.observe(lobby.introducer, self.own_ip);
        lobby
    }

    /// Whether a direct path is promised.
    fn is_promised(&self, kinds: [Access; 2]) -> bool {
        let [first, second] = kinds;
        if self.hard_nat == HardNat::Never || kinds.iter().any(Access::has_ipv6) {
            return first.meets_at_once(&second);
        }
        // A burst expects a new mapping for each port: one that depends on the address only meets it when chance helps.
        let are_sequential = kinds.iter().all(|kind| matches!(kind.seen_nat(false), Seen::Sequential(_)));
        first.meets(&second) || are_sequential
    }
}

impl Lobby {
    /// Introduces the two parties, whose applications learn each other's ids from the introducer's, and waits for what comes of it:
    /// with a circuit, until it has become a direct path, or as long as one is looked for.
    fn introduce(&mut self, with: &Conditions) -> Outcome {
        let play = &mut self.play;
        play.world.set_default_link(link(play.world.seed(), with.loss));
        let [initiator, host] = self.at_introducer;
        play.world.with(self.introducer, |endpoint, now| {
            endpoint.introduce(now, initiator, host, with.relays.then(Relay::default)).unwrap();
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
        let mut carries = true;
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
                carries &= play.arrivals(ends[1 - side].0).len() > before;
            }
        }
        play.run_for(5 * SECOND);
        let told = |play: &Play| -> Vec<_> {
            let events = play.history(self.introducer).iter();
            let results = events.filter_map(|(at, event)| match event {
                Event::Introduced { result, .. } => Some((*result, at.saturating_since(begin))),
                _ => None,
            });
            results.collect()
        };
        let has_become_direct =
            |play: &Play| told(play).iter().any(|(result, _)| *result == IntroductionResult::BecameDirect);
        if told(play).first().is_some_and(|(result, _)| *result == IntroductionResult::Relayed) {
            play.run_until(|play| has_become_direct(play), 40 * SECOND);
        }
        if has_become_direct(play) {
            // With losses a path may be doubted and found again.
            let are_direct = |play: &Play| {
                ends.iter()
                    .all(|(node, id)| !play.world.node(*node).remote_address(*id).unwrap().is_circuit())
            };
            assert!(play.run_until(|play| are_direct(play), 90 * SECOND));
        }
        let results = told(play);
        let became = results.iter().find(|(result, _)| *result == IntroductionResult::BecameDirect);
        Outcome {
            carries,
            took: established.map(|at| at.saturating_since(begin)),
            became_direct: became.map(|(_, after)| *after),
            results: results.into_iter().map(|(result, _)| result).collect(),
        }
    }
}

/// What came of the pairs of one class.
#[derive(Default)]
struct Figures {
    direct: usize,
    times: Vec<Duration>,
}

impl Figures {
    fn count(&mut self, outcome: &Outcome) {
        let direct = [IntroductionResult::Direct, IntroductionResult::BecameDirect];
        if outcome.results.last().is_some_and(|result| direct.contains(result)) {
            self.direct += 1;
        }
        self.times.extend(outcome.became_direct.or(outcome.took));
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.times.clone();
        times.sort();
        let at = |part: f64| times.get((times.len() as f64 * part) as usize);
        write!(f, "{} direct; half within {:?}, 95 % within {:?}", self.direct, at(0.5), at(0.95))
    }
}

/// What came of all pairs, by conditions and class; printed at the end.
#[derive(Default)]
struct Table(BTreeMap<String, (usize, Figures)>);

impl Drop for Table {
    fn drop(&mut self) {
        for (class, (count, figures)) in &self.0 {
            eprintln!("{class}: {count}, {figures}");
        }
    }
}

/// Introduces the parties of every pair that `chosen` takes, each in both roles, and looks at what came of it.
fn all_pairs(seed: u64, with: &Conditions, table: &mut Table, chosen: impl Fn([Access; 2]) -> bool) {
    use IntroductionResult::{BecameDirect, Direct, Failed, Relayed};
    for first in Access::ALL {
        for second in Access::ALL {
            let kinds = [first, second];
            if !chosen(kinds) {
                continue;
            }
            let mut lobby = with.lobby(seed, kinds);
            let outcome = lobby.introduce(with);
            let told = format!("{:?}, {with:?}: {:?}", kinds.map(|kind| kind.name), outcome.results);
            let is_promised = with.is_promised(kinds);
            // Where both depend on the destination, each may have to hear first from where the other one sends.
            assert!(outcome.carries || !first.meets(&second), "{told}");
            match outcome.results[..] {
                [Direct] => assert!(outcome.took.is_some(), "{told}"),
                // The second word of one party may come before the first one of the other.
                [Relayed, BecameDirect] | [BecameDirect] => {
                    assert!(with.relays && outcome.took.is_some(), "{told}");
                    // Three requests in a row may be lost on the direct path: then the handshake goes on by the circuit.
                    assert!(!first.meets_at_once(&second) || with.loss > 0.0, "{told}");
                }
                [Relayed] => assert!(with.relays && outcome.took.is_some() && !is_promised, "{told}"),
                // A path that one side alone knows is no path.
                [Failed(CloseCode::NoPath | CloseCode::HardNat | CloseCode::NoAnswer)] => {
                    assert!(!with.relays && !is_promised, "{told}");
                }
                _ => panic!("{told}"),
            }
            // Both filter ports, and one has a port that the other one cannot know.
            if !is_promised && with.hard_nat == HardNat::Never && first.is_strict() && second.is_strict() {
                assert!(!matches!(outcome.results[..], [.., Direct | BecameDirect]), "{told}");
            }
            let nats = kinds.map(|kind| kind.seen_nat(with.own_ip));
            let class = match (first.meets_at_once(&second), nats) {
                (true, _) => "at once",
                _ if !is_promised => "not promised",
                (false, [Seen::Sequential(_), Seen::Sequential(_)]) => "both sequential",
                (false, nats) if nats.iter().any(|nat| matches!(nat, Seen::Sequential(_))) => {
                    "one sequential"
                }
                (false, nats) if nats.contains(&Seen::Unpredictable) => "one unpredictable",
                _ => "misjudged",
            };
            let (count, figures) = table.0.entry(format!("{with:?}, {class}")).or_default();
            *count += 1;
            figures.count(&outcome);
            lobby.play.close_all_and_finish(30 * SECOND);
            // Nothing is left behind.
            lobby.play.run_for(180 * SECOND);
            for party in lobby.parties {
                let endpoint = lobby.play.world.node(party);
                assert_eq!((endpoint.slots_used(), endpoint.kept_for_introductions()), (0, 0), "{told}");
                assert_eq!(lobby.play.world.further_ports(party), 0, "{told}");
            }
        }
    }
}

/// The pairs of a short run: one in so many. With `TORQUE_SEEDS` all of them, with each seed.
const SHORT_PART: u64 = 4;

/// Takes one pair in so many, other ones with each seed.
fn one_in(seed: u64, part: u64) -> impl Fn([Access; 2]) -> bool {
    let part = if std::env::var_os("TORQUE_SEEDS").is_some() { 1 } else { part };
    let offset = seed % part;
    move |kinds| {
        let places = kinds.map(|kind| Access::ALL.iter().position(|other| *other == kind).unwrap() as u64);
        (places[0] * 5 + places[1] + offset).is_multiple_of(part)
    }
}

#[test]
fn pairs_that_meet_are_connected_directly() {
    let mut table = Table::default();
    for_seeds(2, |seed| all_pairs(seed, &Conditions::PLAIN, &mut table, |_| true));
}

#[test]
fn pairs_that_meet_are_connected_directly_with_losses() {
    let mut table = Table::default();
    for_seeds(3, |seed| {
        all_pairs(seed, &Conditions { loss: 0.1, ..Conditions::PLAIN }, &mut table, |_| true)
    });
}

/// A pair that only tries of many ports can join.
fn is_hard([first, second]: [Access; 2]) -> bool {
    !first.meets_at_once(&second)
}

/// If that is always allowed, every pair of which one side has the same address for all is connected directly, also where both filter
/// ports, and so is every pair with ports that follow each other.
#[test]
fn hard_pairs_are_connected_directly_on_the_introducers_word() {
    let mut table = Table::default();
    for_seeds(1, |seed| {
        for (place, (own_ip, loss)) in [(true, 0.0), (false, 0.1), (true, 0.1)].into_iter().enumerate() {
            let with = Conditions { hard_nat: HardNat::Always, relays: false, own_ip, loss };
            let part = one_in(seed + place as u64, SHORT_PART);
            all_pairs(seed, &with, &mut table, |kinds| is_hard(kinds) && part(kinds));
        }
    });
}

/// Otherwise they are connected by a circuit first, and directly on the word of their connection.
#[test]
fn hard_pairs_are_relayed_and_then_connected_directly() {
    let mut table = Table::default();
    for_seeds(1, |seed| {
        for (place, (own_ip, loss)) in [(true, 0.0), (false, 0.1), (true, 0.1)].into_iter().enumerate() {
            let with = Conditions { hard_nat: HardNat::Verified, relays: true, own_ip, loss };
            let part = one_in(seed + place as u64, SHORT_PART);
            all_pairs(seed, &with, &mut table, |kinds| is_hard(kinds) && part(kinds));
        }
    });
}

/// Pairs that meet at once are connected as fast as without tries.
#[test]
fn pairs_that_meet_at_once_need_no_tries() {
    let mut table = Table::default();
    for_seeds(1, |seed| {
        let with = Conditions { hard_nat: HardNat::Always, relays: true, own_ip: true, loss: 0.1 };
        let part = one_in(seed, SHORT_PART);
        all_pairs(seed, &with, &mut table, |kinds| !is_hard(kinds) && part(kinds));
    });
}

/// Without losses it takes three round trips after the introducer has been asked, which takes one.
#[test]
fn without_losses_a_connection_takes_four_round_trips() {
    for_seeds(20, |seed| {
        let home = Access::named("EI/APD").unwrap();
        let with = Conditions::PLAIN;
        let took = with.lobby(seed, [home, home]).introduce(&with).took.unwrap();
        let round_trip = 2 * link(seed, 0.0).delay;
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
            let with = Conditions { loss: 0.05, ..Conditions::PLAIN };
            let shared = Nat { hairpinning: true, ..shared };
            let outcome = Lobby::together(seed, &with.config(), shared, homes).introduce(&with);
            assert_eq!(outcome.results, [IntroductionResult::Direct], "homes: {homes}");
        }
    });
}

/// A party whose router maps a port is reached by everybody, whatever the other NAT does.
#[test]
fn a_party_with_a_mapped_port_is_connected_directly_to_everybody() {
    for_seeds(3, |seed| {
        let hard = Access::named("APD/APD r").unwrap();
        for kind in Access::ALL {
            for (side, kinds) in [[hard, kind], [kind, hard]].into_iter().enumerate() {
                let with = Conditions { loss: 0.1, ..Conditions::PLAIN };
                let mut lobby = with.lobby(seed, kinds);
                let mapped = lobby.play.world.map_port(lobby.parties[side]).unwrap();
                let candidate = Candidate { kind: CandidateKind::Mapped, address: mapped };
                lobby.play.world.with(lobby.parties[side], |endpoint, now| {
                    endpoint.set_own_candidates(now, &[candidate]);
                });
                let outcome = lobby.introduce(&with);
                assert_eq!(outcome.results, [IntroductionResult::Direct], "{}", kind.name);
                lobby.play.close_all_and_finish(30 * SECOND);
            }
        }
    });
}
