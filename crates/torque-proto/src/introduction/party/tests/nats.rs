//! Looks at the party's NAT, and runs against NATs that depend on the destination.

use super::*;
use crate::introduction::{HardNat, PortRequest};
use crate::wire::introduction::{Nats, ObserveToken, Observed, Tokens, observe};

const OTHER: &str = "203.0.113.1:40000";

fn body(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::new();
    write(&mut body);
    body
}

impl Side {
    fn hears_tokens(&mut self, number: u32, second: Option<&str>, count: u8) -> Wants {
        let tokens: Vec<ObserveToken> = (0..count).map(|token| [token; 16]).collect();
        let tokens = Tokens { second: second.map(address), tokens };
        self.hears(number, ReliableKind::TOKENS, &body(|out| tokens.write(out)))
    }

    fn hears_nats(&mut self, number: u32, own: Nat, other: Nat) -> Wants {
        let nats = Nats { own, other, observed: Some(address("192.0.2.1:1")) };
        self.hears(number, ReliableKind::NATS, &body(|out| nats.write(out)))
    }

    fn calls(&mut self) -> Option<u32> {
        let ((), wants) = self.step(|party, step| party.look_at_nat(step, introducer(), false));
        let [message] = &wants.messages[..] else { return None };
        assert_eq!((message.kind, &message.body[..]), (ReliableKind::TOKENS, &[0][..]));
        Some(message.attempt)
    }

    /// Is introduced to a party that the introducer sees at this address, and behind these NATs.
    fn meets(&mut self, other: &str, own: Nat, other_nat: Nat) -> (u32, Wants) {
        self.is_introduced_as(&[], |told| {
            (told.own_nat, told.nat, told.circuit) = (own, other_nat, 5);
            told.candidates = vec![Candidate { kind: CandidateKind::Observed, address: address(other) }];
        })
    }

    fn asks_for_ports(&mut self) -> (usize, usize) {
        let all: Vec<_> = core::iter::from_fn(|| self.party.poll_port_request()).collect();
        let opened = all.iter().filter(|request| matches!(request, PortRequest::Open(_))).count();
        (opened, all.len() - opened)
    }

    /// When the first run began in this time, and how many punches there were of runs.
    fn runs(&mut self, millis: u64) -> (Option<u64>, u64) {
        let (runs, before) = (self.party.counters().runs, self.party.counters().run_punches);
        let mut began = None;
        for passed in 1..=millis {
            self.run(1);
            if began.is_none() && self.party.counters().runs > runs {
                began = Some(passed);
            }
        }
        (began, self.party.counters().run_punches - before)
    }
}

fn found(wants: &Wants) -> Vec<Nat> {
    let nats = wants.events.iter().filter_map(|event| match event {
        PartyEvent::NatFound { introducer: from, nat, .. } if *from == introducer() => Some(*nat),
        _ => None,
    });
    nats.collect()
}

fn always(is_host: bool) -> Side {
    let mut side = Side::new(is_host);
    side.config.hard_nat = HardNat::Always;
    side
}

#[test]
fn a_look_sends_each_token_from_its_port() {
    let mut side = Side::new(false);
    let (number, request) = side.begin();
    assert!(request.flags.opens_ports);
    // A look has six, whatever an introducer names.
    let wants = side.hears_tokens(number, Some("0.0.0.0:900"), 8);
    let mut sent: Vec<(u64, ObserveOut)> = wants.observes.into_iter().map(|send| (0, send)).collect();
    let all = side.run(2_000);
    sent.extend(all.iter().flat_map(|(at, wants)| wants.observes.iter().map(|send| (*at, *send))));
    for token in 0..6u8 {
        let own: Vec<_> = sent.iter().filter(|(_, send)| send.bytes == observe(&[token; 16])).collect();
        let began = u64::from(token.saturating_sub(2)) * 20;
        let times: Vec<_> = own.iter().map(|(at, _)| *at - began).collect();
        assert_eq!(times, [0, 100, 300, 700], "{token}");
        let port = u16::from(token.saturating_sub(1));
        let to = (token == 1).then(|| address("0.0.0.0:900"));
        assert!(
            own.iter().all(|(_, send)| send.port == port && send.to == to && send.introducer == introducer())
        );
    }
    assert_eq!((sent.len(), side.asks_for_ports()), (24, (4, 4)));
    // An introducer has one look in five seconds, which ends with its connection.
    assert!(side.hears_tokens(number, Some("0.0.0.0:900"), 6).observes.is_empty());
    side.run(3_000);
    assert_eq!(side.hears_tokens(number, Some("0.0.0.0:900"), 6).observes.len(), 3);
    side.run(50);
    assert_eq!(side.asks_for_ports(), (4, 0));
    side.step(|party, step| party.on_introducer_ended(step, introducer()));
    assert_eq!(side.asks_for_ports(), (0, 4));
    assert!(side.run(2_000).is_empty() && side.party.is_empty());
}

#[test]
fn a_party_that_opens_no_ports_says_so_and_shows_only_its_own() {
    let mut side = Side::new(false);
    side.config.further_ports = 0;
    let (number, request) = side.begin();
    assert!(!request.flags.opens_ports);
    let first = side.hears_tokens(number, Some("0.0.0.0:900"), 6);
    let later = side.run(2_000);
    let sent: Vec<_> = later.iter().flat_map(|(_, wants)| &wants.observes).chain(&first.observes).collect();
    assert!(sent.len() == 8 && sent.iter().all(|send| send.port == 0), "{sent:?}");
    assert_eq!(side.asks_for_ports(), (0, 0));
}

#[test]
fn a_token_goes_to_another_address_only_as_a_punch_may() {
    let mut side = Side::new(false);
    for nowhere in ["224.0.0.1:5", "255.255.255.255:5", "169.254.1.1:5", "0.0.0.0:5", "203.0.113.1:0"] {
        assert!(!side.party.may_observe_at(side.now, introducer(), address(nowhere).into()), "{nowhere}");
    }
    let sent = (0..200).filter(|port| {
        let victim = SocketAddr::new([203, 0, 113, 1].into(), 1 + port);
        side.party.may_observe_at(side.now, introducer(), victim.into())
    });
    assert_eq!(sent.count(), 40);
}

#[test]
fn a_party_that_only_answers_shows_and_tries_nothing() {
    let mut side = always(false);
    side.config.answers_only = true;
    let (number, request) = side.begin();
    assert!(!request.flags.opens_ports);
    assert!(side.hears_tokens(number, Some("0.0.0.0:900"), 6).observes.is_empty());
    side.step(|party, step| party.withdraw(step, connection(), CloseCode::Closed));
    side.meets(OTHER, Nat::Independent, Nat::Unpredictable);
    assert_eq!((side.runs(5_000), side.asks_for_ports()), ((None, 0), (0, 0)));
}

#[test]
fn an_application_hears_once_what_was_found() {
    let mut side = Side::new(false);
    let number = side.calls().unwrap();
    assert_eq!(side.calls(), None, "it waits already");
    assert_eq!(side.hears_tokens(number, Some("0.0.0.0:900"), 6).observes.len(), 3);
    assert_eq!(found(&side.hears_nats(number, Nat::Independent, Nat::Unknown)), [Nat::Independent]);
    assert!(found(&side.hears_nats(number, Nat::Unpredictable, Nat::Unknown)).is_empty());
    assert!(side.run(10_000).iter().all(|(_, wants)| found(wants).is_empty()) && side.party.is_empty());
    // Without an answer it hears that, and after the end of the connection nothing.
    side.calls().unwrap();
    let [(4_000, wants)] = &side.run(20_000)[..] else { panic!() };
    assert_eq!(found(wants), [Nat::Unknown]);
    side.calls().unwrap();
    side.step(|party, step| party.on_introducer_ended(step, introducer()));
    assert!(side.run(20_000).is_empty() && side.party.is_empty());
    let ignored = side.party.counters().messages_ignored;
    assert!(side.hears_tokens(number, Some("0.0.0.0:900"), 6).observes.is_empty());
    assert_eq!(side.party.counters().messages_ignored, ignored + 1);
}

#[test]
fn a_run_in_an_attempt_begins_after_a_second_and_waits_for_nats() {
    let (own, other) = (Nat::Independent, Nat::Unpredictable);
    let mut side = always(false);
    side.meets(OTHER, own, other);
    assert_eq!(side.runs(3_000), (Some(1_000), 501));
    let mut side = always(false);
    side.meets(OTHER, Nat::Unknown, other);
    assert_eq!(side.runs(3_000).0, Some(2_500));
    let mut side = always(false);
    let (number, _) = side.meets(OTHER, own, Nat::Unknown);
    assert_eq!(side.runs(1_200).0, None);
    side.hears_nats(number, own, other);
    assert_eq!(side.party.counters().runs, 1);
}

#[test]
fn runs_are_not_begun_where_they_are_of_no_use_or_not_allowed() {
    let (own, other) = (Nat::Independent, Nat::Unpredictable);
    for hard_nat in [HardNat::Never, HardNat::Verified] {
        let mut side = Side::new(false);
        side.config.hard_nat = hard_nat;
        side.meets(OTHER, own, other);
        assert_eq!(side.runs(5_000), (None, 0));
    }
    // The same NAT, private, carriers' and other addresses, none, and NATs that are too hard.
    let nowhere =
        ["192.0.2.1:7", "10.0.0.1:7", "100.64.0.1:7", "224.0.0.1:7", "127.0.0.1:7", "[2001:db8::1]:7"];
    for address in nowhere.into_iter().chain(["169.254.1.1:7", "203.0.113.1:0"]) {
        let mut side = always(false);
        side.meets(address, own, other);
        assert_eq!(side.runs(5_000), (None, 0), "{address}");
    }
    let mut side = always(false);
    side.meets(OTHER, other, other);
    assert_eq!(side.runs(5_000), (None, 0));
    let mut side = always(false);
    let (_, wants) = side.meets(OTHER, own, other);
    side.becomes_valid(&wants);
    assert_eq!(side.runs(5_000), (None, 0));
}

#[test]
fn a_path_at_a_further_port_is_found_and_the_run_ends() {
    let mut side = always(true);
    side.meets(OTHER, Nat::Unpredictable, Nat::Independent);
    let all = side.run(2_000);
    let punches = all.iter().flat_map(|(_, wants)| &wants.punches);
    let of_run: Vec<_> = punches.filter(|punch| punch.path.port != 0).copied().collect();
    assert_eq!(of_run.len(), 251);
    // The echo of an early one counts, though hundreds were sent since.
    let (punch, _) = Punch::parse(&of_run[3].bytes).unwrap();
    let answer = side.punch_of_other(9, punch.number);
    let arrived = of_run[3].path;
    let (is_authentic, wants) = side.punched(arrived, &answer);
    assert!(is_authentic);
    let [PartyEvent::PathReady { path: found, .. }] = wants.events[..] else { panic!("{wants:?}") };
    assert_eq!((found, wants.punches[0].path), (arrived, arrived));
    assert!(side.party.is_path(connection(), arrived));
    assert!(!side.party.is_path(connection(), Path { port: 0, ..arrived }));
    let counters = side.party.counters();
    assert_eq!((counters.runs, counters.runs_met, counters.ports_opened), (1, 1, 251));
    assert_eq!(side.runs(5_000), (None, 0));
    // A handshake may still begin on another port. When the connection is there, the others are closed after a while.
    assert_eq!(side.asks_for_ports(), (251, 0));
    side.step(|party, step| party.established(step, connection(), arrived));
    let events: Vec<_> = side.run(6_000).into_iter().flat_map(|(_, wants)| wants.events).collect();
    assert_eq!(events, [PartyEvent::PortsIdle { connection: connection() }]);
    side.party.close_ports(connection(), |port| port == arrived.port);
    assert_eq!(side.asks_for_ports(), (0, 250));
    side.party.forget(side.now, connection());
    // Its last words leave from there.
    assert_eq!(side.asks_for_ports(), (0, 0));
    side.run(6_000);
    side.party.close_ports(connection(), |_| false);
    assert_eq!((side.asks_for_ports(), side.party.kept()), ((0, 1), 0));
}

#[test]
fn an_attempt_without_a_path_says_if_a_nat_is_to_blame() {
    for (own, other, code) in [
        (Nat::Independent, Nat::Unknown, CloseCode::NoPath),
        (Nat::Unknown, Nat::Unpredictable, CloseCode::HardNat),
        (Nat::Sequential(0), Nat::Independent, CloseCode::HardNat),
    ] {
        let mut side = Side::new(false);
        side.options.takes_circuit = false;
        side.meets(OTHER, own, other);
        let all = side.run(25_000);
        let Some((25_000, wants)) = all.last() else { panic!("{all:?}") };
        assert_eq!(wants.events, [PartyEvent::Ended { connection: connection(), code }]);
    }
}

#[test]
fn a_source_at_a_further_port_is_answered_from_there() {
    let mut side = always(true);
    side.meets(OTHER, Nat::Unpredictable, Nat::Independent);
    side.run(1_500);
    let arrived = Path { port: 7, ..path("203.0.113.1:555") };
    let bytes = side.punch_of_other(9, 0);
    let (_, wants) = side.punched(arrived, &bytes);
    assert_eq!((wants.punches.len(), wants.punches[0].path), (1, arrived));
    let (answer, _) = Punch::parse(&wants.punches[0].bytes).unwrap();
    assert!(answer.echo == 9 && answer.number != 0);
    let bytes = side.punch_of_other(0, answer.number);
    let (_, wants) = side.punched(arrived, &bytes);
    assert!(matches!(wants.events[..], [PartyEvent::PathReady { path, .. }] if path == arrived));
    side.step(|party, step| party.withdraw(step, connection(), CloseCode::Closed));
    let (opened, closed) = side.asks_for_ports();
    assert!(opened > 0 && closed == 0);
    let events: Vec<_> = side.run(6_000).into_iter().flat_map(|(_, wants)| wants.events).collect();
    assert_eq!(events, [PartyEvent::PortsIdle { connection: connection() }]);
    side.party.close_ports(connection(), |_| false);
    let (_, closed) = side.asks_for_ports();
    assert!(opened == closed && side.party.kept() == 0);
}

#[test]
fn tokens_and_observations_reach_the_run() {
    let mut side = always(false);
    let (number, _) = side.meets(OTHER, Nat::Sequential(0), Nat::Sequential(3));
    let all = side.run(1_000);
    let asked: Vec<_> = all.iter().flat_map(|(_, wants)| &wants.messages).collect();
    let [message] = asked[..] else { panic!("{asked:?}") };
    assert_eq!((message.kind, &message.body[..]), (ReliableKind::TOKENS, &[4][..]));
    let wants = side.hears_tokens(number, None, 4);
    let [sent] = wants.observes[..] else { panic!("{wants:?}") };
    assert_eq!((sent.port, sent.to, sent.bytes), (1, None, observe(&[0; 16])));
    for (is_other, address_of) in [(false, "192.0.2.1:50000"), (true, OTHER)] {
        let observed = Observed { is_other, round: 0, address: address(address_of) };
        side.hears(number, ReliableKind::OBSERVED, &body(|out| observed.write(out)));
    }
    assert_eq!(side.runs(100), (None, 64));
}

#[test]
fn an_address_gets_one_run_in_ten_minutes_unless_the_network_changes() {
    let mut side = always(false);
    let (own, other) = (Nat::Independent, Nat::Unpredictable);
    let again = |side: &mut Side, other_at: &str| {
        side.meets(other_at, own, other);
        let (began, _) = side.runs(2_000);
        side.step(|party, step| party.withdraw(step, connection(), CloseCode::Closed));
        began.is_some()
    };
    assert!(
        again(&mut side, OTHER)
            && !again(&mut side, "203.0.113.1:50000")
            && again(&mut side, "203.0.113.2:1")
    );
    // An introducer's word changes nothing, and what a router maps neither. A network does.
    side.step(|party, step| party.set_candidates(step, candidates(&["198.51.100.7:5"])));
    assert!(!again(&mut side, OTHER));
    side.party.network_changed(side.now);
    assert!(again(&mut side, OTHER) && !again(&mut side, OTHER));
    side.run(600_000);
    assert!(again(&mut side, OTHER));
    side.run(600_000);
    assert!(side.party.is_empty());
}

#[test]
fn a_relayed_connection_that_is_verified_runs_every_ten_minutes() {
    for is_verified in [false, true] {
        let mut side = Side::new(false);
        side.options.is_verified = is_verified;
        side.meets(OTHER, Nat::Independent, Nat::Unpredictable);
        let circuit = circuit_path_of(&side);
        side.run(500);
        side.step(|party, step| party.established(step, connection(), circuit));
        let all = side.run(1_300_000);
        let punches = |from: u64, to: u64| {
            let wanted = all.iter().filter(|(at, _)| (from..to).contains(at));
            let events = wanted.flat_map(|(_, wants)| &wants.events);
            events
                .map(|event| match event {
                    PartyEvent::Punch { punches, .. } => punches.len(),
                    _ => 0,
                })
                .sum::<usize>()
        };
        let counters = side.party.counters();
        if !is_verified {
            assert_eq!((counters.runs, punches(0, 1_300_000)), (0, 0));
            continue;
        }
        assert_eq!((counters.runs, counters.runs_met), (3, 0));
        assert_eq!((punches(0, 1_000), punches(1_000, 32_000), punches(32_000, 600_000)), (0, 3_072, 0));
        assert_eq!(punches(600_000, 700_000), 3_072);
    }
}

#[test]
fn a_run_goes_on_when_its_connection_is_relayed_and_ends_when_it_is_direct() {
    let mut side = always(false);
    side.meets(OTHER, Nat::Independent, Nat::Unpredictable);
    side.run(1_500);
    let circuit = circuit_path_of(&side);
    side.step(|party, step| party.established(step, connection(), circuit));
    let all = side.run(1_000);
    let events = all.iter().flat_map(|(_, wants)| &wants.events);
    assert_eq!(events.filter(|event| matches!(event, PartyEvent::Punch { .. })).count(), 250);
    assert!(all.iter().all(|(_, wants)| wants.punches.is_empty()));
    side.step(|party, step| party.became_direct(step, connection()));
    assert_eq!((side.party.counters().runs, side.party.counters().runs_met), (1, 1));
    assert_eq!(side.runs(700_000), (None, 0));
    side.party.forget(side.now, connection());
    assert_eq!(side.party.kept(), 0);
}

fn circuit_path_of(side: &Side) -> Path {
    let meeting = side.party.attempts[0].meeting().unwrap();
    Path::to(meeting.circuit.as_ref().unwrap().address)
}

#[test]
fn what_overtakes_the_word_about_the_other_party_counts_after_it() {
    let mut side = always(false);
    let (number, _) = side.begin();
    // Both copies of status 0 are lost, and come later than what was sent after them.
    // Of these only what the word itself does not know counts.
    side.hears_nats(number, Nat::Unknown, Nat::Unpredictable);
    side.hears_candidates(number, &["203.0.113.9:1"]);
    let observed = [Candidate { kind: CandidateKind::Observed, address: address(OTHER) }];
    side.hears(number, ReliableKind::CANDIDATES, &body(|out| write_candidates(&observed, out)));
    let mut told = told(&Side::new(true), &["203.0.113.8:1"]);
    (told.circuit, told.own_nat) = (5, Nat::Independent);
    let wants = side.hears_introduction(number, &Introduction::Complete(Box::new(told)));
    let punched: Vec<_> = wants.punches.iter().map(|punch| punch.path).collect();
    assert_eq!(punched.last(), Some(&path(OTHER)), "{punched:?}");
    let (began, punches) = side.runs(2_000);
    assert_eq!((began, punches), (Some(1_000), 251), "sprays at once, as both NATs are known");
}
