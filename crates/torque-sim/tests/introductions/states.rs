//! Parties and introducers leave at any moment: each side comes to one end, the introducer's application is told once, and nothing is
//! left behind.

use torque_proto::{
    CloseCode, ConnectOptions, Event, HardNat, IntroducedOptions, IntroductionResult, Relay, Relaying, Trust,
};
use torque_sim::play::Answer;

use super::*;

/// What happens to one introduction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Incident {
    /// A party closes the connection to come, or that has come.
    Withdraws(usize),
    /// A party closes its connection with the introducer.
    Leaves(usize),
    /// The introducer closes its connection with a party.
    Dismisses(usize),
    /// The introducer is gone, without a word.
    Crash,
    /// A party is gone, without a word.
    PartyCrash(usize),
    /// A party hears nothing for a while.
    CutOff(usize),
}

fn incident(rng: &mut SimRng) -> Incident {
    let side = rng.index(2);
    match rng.index(6) {
        0 => Incident::Withdraws(side),
        1 => Incident::Leaves(side),
        2 => Incident::Dismisses(side),
        3 => Incident::Crash,
        4 => Incident::PartyCrash(side),
        _ => Incident::CutOff(side),
    }
}

fn behaviour(rng: &mut SimRng) -> Behaviour {
    let answer = |rng: &mut SimRng| match rng.index(10) {
        0 => Answer::Never,
        1 => Answer::Close(rng.duration(3 * SECOND)),
        2..5 => Answer::Accept(rng.duration(4 * SECOND)),
        _ => Answer::Accept(Duration::ZERO),
    };
    Behaviour { challenge: answer(rng), request: answer(rng), ..Behaviour::default() }
}

fn options(rng: &mut SimRng) -> IntroducedOptions {
    let relay = [Relaying::Never, Relaying::Fallback, Relaying::AtOnce][rng.index(3)];
    let options = IntroducedOptions::host().with_relay(relay);
    if rng.chance(0.15) { options.without_direct_paths() } else { options }
}

/// What one run is to do, and when: times are from the beginning of the introduction.
struct Plan {
    /// When the application of the introducer says yes or no, and when the parties ask; `None` for never.
    decision: Option<(Duration, bool)>,
    asks: [Option<Duration>; 2],
    incidents: Vec<(Duration, Incident)>,
}

impl Plan {
    fn new(rng: &mut SimRng) -> Self {
        let early =
            |rng: &mut SimRng| if rng.chance(0.5) { Duration::ZERO } else { rng.duration(3 * SECOND) };
        let rarely = |rng: &mut SimRng| !rng.chance(0.07);
        let decision = rarely(rng).then(|| (early(rng), rarely(rng)));
        let asks = [(); 2].map(|()| rarely(rng).then(|| early(rng)));
        let count = rng.index(3);
        let span = if rng.chance(0.7) { 4 } else { 60 };
        let incidents = (0..count).map(|_| (rng.duration(span * SECOND), incident(rng))).collect();
        Self { decision, asks, incidents }
    }
}

/// One introduction, and the ids of the connection to come at both parties, as far as they asked.
struct Run {
    lobby: Lobby,
    ends: [Option<ConnectionId>; 2],
    introductions: Vec<u64>,
}

impl Run {
    fn new(seed: u64, rng: &mut SimRng) -> Self {
        let kinds = ["EI/APD", "EI/EI", "APD/APD r", "APD/APD s"].map(|name| Access::named(name).unwrap());
        let kinds = [(); 2].map(|()| kinds[rng.index(4)]);
        let mut config = Config::default();
        config.introduction.introduces = true;
        let mut own = SimRng::new(!seed);
        config.introduction.hard_nat = [HardNat::Verified, HardNat::Always, HardNat::Never][own.index(3)];
        config.introduction.further_ports = [0, 3, 256][own.index(3)];
        let mut lobby = Lobby::apart(seed, &config, kinds);
        if own.chance(0.8) {
            lobby.play.observe(lobby.introducer, own.chance(0.5));
        }
        let loss = if rng.chance(0.5) { rng.unit() * 0.3 } else { 0.0 };
        let mut link = LinkConfig::perfect();
        (link.delay, link.loss) = (5 * MS + rng.duration(100 * MS), loss);
        lobby.play.world.set_default_link(link);
        for party in lobby.parties {
            lobby.play.set_behaviour(party, behaviour(rng));
        }
        Self { lobby, ends: [None; 2], introductions: Vec::new() }
    }

    fn decide(&mut self, says_yes: bool, relay: Option<Relay>) {
        let [initiator, host] = self.lobby.at_introducer;
        let made = self.lobby.play.world.try_with(self.lobby.introducer, |endpoint, now| {
            if says_yes {
                return endpoint.introduce(now, initiator, host, relay).ok();
            }
            for (from, to) in [(initiator, host), (host, initiator)] {
                let _ = endpoint.refuse_introduction(now, from, to);
            }
            None
        });
        self.introductions.extend(made.flatten().map(|id| id.get()));
    }

    fn ask(&mut self, side: usize, mut options: IntroducedOptions) {
        let (party, at_party) = (self.lobby.parties[side], self.lobby.at_party[side]);
        let remote = self.lobby.at_introducer[1 - side].get();
        let play = &mut self.lobby.play;
        if !play.world.is_running(party) {
            return;
        }
        let asked = if side == HOST {
            play.wait_with(party, |endpoint, now| endpoint.connect_introduced(now, at_party, remote, options))
        } else {
            play.connect_with(party, ConnectOptions::new(Trust::Ask), |endpoint, now, connect| {
                (options.is_host, options.connect) = (false, connect);
                endpoint.connect_introduced(now, at_party, remote, options)
            })
        };
        self.ends[side] = asked.ok();
    }

    fn suffer(&mut self, incident: Incident) {
        let Lobby { play, introducer, parties, at_party, at_introducer } = &mut self.lobby;
        match incident {
            Incident::Withdraws(side) => {
                if let Some(id) = self.ends[side] {
                    play.close(parties[side], id, b"changed my mind");
                }
            }
            Incident::Leaves(side) => play.close(parties[side], at_party[side], b""),
            Incident::Dismisses(side) => play.close(*introducer, at_introducer[side], b""),
            Incident::Crash if play.world.is_running(*introducer) => play.crash(*introducer),
            Incident::PartyCrash(side) if play.world.is_running(parties[side]) => play.crash(parties[side]),
            Incident::CutOff(side) => play.world.set_partition(parties[side], *introducer, true),
            _ => {}
        }
    }

    fn results(&self) -> Vec<IntroductionResult> {
        let results = self.lobby.play.history(self.lobby.introducer).iter();
        let results = results.filter_map(|(_, event)| match event {
            Event::Introduced { result, introduction, .. } => {
                assert_eq!(self.introductions, [introduction.get()]);
                Some(*result)
            }
            _ => None,
        });
        results.collect()
    }

    /// How often the application of a party was told that the connection to come has ended, and why.
    fn closes(&self, side: usize) -> Vec<CloseCode> {
        let closes = self.lobby.play.history(self.lobby.parties[side]).iter();
        let closes = closes.filter_map(|(_, event)| match event {
            Event::Close { connection, code, .. } if Some(*connection) == self.ends[side] => Some(*code),
            _ => None,
        });
        closes.collect()
    }
}

fn play(seed: u64) {
    let mut rng = SimRng::new(seed ^ 0x5a5a);
    let plan = Plan::new(&mut rng);
    let mut run = Run::new(seed, &mut rng);
    let relay = rng.chance(0.6).then(Relay::default);
    let options = [(); 2].map(|()| options(&mut rng));
    let begin = run.lobby.play.world.now();
    let mut agenda: Vec<(Duration, usize)> = Vec::new();
    agenda.extend(plan.decision.map(|(at, _)| (at, 0)));
    agenda.extend(plan.asks.iter().enumerate().filter_map(|(side, at)| Some(((*at)?, 1 + side))));
    agenda.extend(plan.incidents.iter().enumerate().map(|(index, (at, _))| (*at, 3 + index)));
    agenda.sort();
    for (at, what) in agenda {
        let wait = (begin + at).saturating_since(run.lobby.play.world.now());
        run.lobby.play.run_for(wait);
        match what {
            0 => run.decide(plan.decision.unwrap().1, relay),
            1 | 2 => run.ask(what - 1, options[what - 1].clone()),
            _ => run.suffer(plan.incidents[what - 3].1),
        }
    }
    run.lobby.play.run_for(240 * SECOND);
    let Lobby { introducer, parties, .. } = run.lobby;
    let all = [introducer, parties[0], parties[1]];
    // Each side that asked is connected, or was told once that it is not, and why.
    let mut is_settled = true;
    for side in [INITIATOR, HOST] {
        let Some(id) = run.ends[side].filter(|_| run.lobby.play.world.is_running(parties[side])) else {
            continue;
        };
        let closes = run.closes(side);
        let end = run.lobby.play.end(parties[side], id);
        assert!(closes.len() == 1 || end.established && closes.is_empty(), "{side}: {closes:?}");
        is_settled &= !closes.is_empty() || end.established;
    }
    assert!(is_settled);
    if run.lobby.play.world.is_running(introducer) {
        let results = run.results();
        let became = [IntroductionResult::Relayed, IntroductionResult::BecameDirect];
        assert!(results.len() == run.introductions.len() || results == became, "{results:?}");
    } else {
        run.lobby.play.restart(introducer);
    }
    for node in all {
        if !run.lobby.play.world.is_running(node) {
            run.lobby.play.restart(node);
        }
    }
    run.lobby.play.close_all_and_finish(150 * SECOND);
    run.lobby.play.run_for(180 * SECOND);
    for node in all {
        let endpoint = run.lobby.play.world.node(node);
        assert_eq!((endpoint.slots_used(), endpoint.kept_for_introductions()), (0, 0), "{node:?}");
        assert_eq!(run.lobby.play.world.further_ports(node), 0, "{node:?}");
    }
    // No timer spins.
    let mut steps = 0;
    run.lobby.play.run_until(
        |_| {
            steps += 1;
            false
        },
        60 * SECOND,
    );
    assert!(steps < 50, "{steps}");
}

#[test]
fn each_side_comes_to_one_end_and_nothing_is_left_behind() {
    for_seeds(60, play);
}

/// The refusal may be lost: the initiator is told all the same, and not that there was no answer.
#[test]
fn a_refusal_that_is_lost_is_repeated() {
    for_seeds(10, |seed| {
        let mut rng = SimRng::new(seed);
        let mut run = Run::new(seed, &mut rng);
        let home = Access::named("EI/APD").unwrap();
        let mut config = Config::default();
        config.introduction.introduces = true;
        run.lobby = Lobby::apart(seed, &config, [home, home]);
        let host = run.lobby.parties[HOST];
        let refuses = Behaviour { request: Answer::Close(100 * MS), ..Behaviour::default() };
        run.lobby.play.set_behaviour(host, refuses);
        let mut lost = 0;
        run.lobby.play.world.set_tap(move |passing| {
            // The first three refusals.
            let is_refusal = passing.bytes[0] == 0x05;
            lost += u32::from(is_refusal);
            if is_refusal && lost <= 3 {
                torque_sim::world::Fate::Drop
            } else {
                torque_sim::world::Fate::Pass
            }
        });
        run.decide(true, None);
        for side in [HOST, INITIATOR] {
            run.ask(side, IntroducedOptions::host());
        }
        run.lobby.play.run_for(60 * SECOND);
        assert_eq!(run.closes(INITIATOR), [CloseCode::Refused]);
        assert_eq!(run.closes(HOST), [CloseCode::Refused]);
        assert_eq!(run.results(), [IntroductionResult::Failed(CloseCode::Refused)]);
    });
}

/// Two introducers bring the same two together at the same time: one of the two connections may be there, and each has an end or is open.
#[test]
fn two_introductions_of_the_same_parties_at_once_leave_nobody_waiting() {
    for_seeds(20, |seed| {
        let mut config = Config::default();
        config.introduction.introduces = true;
        let home = Access::named("EI/APD").unwrap();
        let mut lobby = Lobby::apart(seed, &config, [home, home]);
        let play = &mut lobby.play;
        let other = play.add_in(NetworkId::CORE, config, Behaviour::default());
        let with_other = lobby.parties.map(|party| play.establish(party, other));
        let at_other = with_other.map(|(_, id)| id);
        let both = [
            (lobby.introducer, lobby.at_party, lobby.at_introducer),
            (other, with_other.map(|(id, _)| id), at_other),
        ];
        let mut ends = Vec::new();
        for (introducer, at_party, [initiator, host]) in both {
            play.world.with(introducer, |endpoint, now| {
                endpoint.introduce(now, initiator, host, None).unwrap();
            });
            let options = IntroducedOptions::host();
            let at_host = play.wait_with(lobby.parties[HOST], |endpoint, now| {
                endpoint.connect_introduced(now, at_party[HOST], initiator.get(), options)
            });
            let at_initiator = play.connect_with(
                lobby.parties[INITIATOR],
                ConnectOptions::new(Trust::Ask),
                |endpoint, now, connect| {
                    let options = IntroducedOptions::initiator(connect);
                    endpoint.connect_introduced(now, at_party[INITIATOR], host.get(), options)
                },
            );
            ends.extend([
                (lobby.parties[HOST], at_host.unwrap()),
                (lobby.parties[INITIATOR], at_initiator.unwrap()),
            ]);
        }
        play.run_for(20 * SECOND);
        let initiators = [ends[1], ends[3]];
        assert!(initiators.iter().any(|(node, id)| play.end(*node, *id).established));
        for (node, id) in initiators {
            let end = play.end(node, id);
            assert!(end.established || end.closed.is_some(), "{:?}", play.history(node));
        }
        // The host of the other one waits for two minutes at most.
        play.run_for(150 * SECOND);
        for (node, id) in ends {
            let end = play.end(node, id);
            assert!(end.established || end.closed.is_some(), "{:?}", play.history(node));
        }
        play.close_all_and_finish(60 * SECOND);
        play.run_for(180 * SECOND);
        for party in lobby.parties {
            let endpoint = play.world.node(party);
            assert_eq!((endpoint.slots_used(), endpoint.kept_for_introductions()), (0, 0));
        }
    });
}
