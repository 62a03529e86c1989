//! What INTRODUCTIONS.md 9.1 says of an introducer.

use super::*;
use crate::crypto::testing::for_seeds;
use crate::wire::introduction::{MAX_TOKENS, ObserveToken};

const SECOND: &str = "203.0.113.9:28001";
const LOOK: u32 = 700;

fn opening(is_host: bool) -> PartyFlags {
    PartyFlags { opens_ports: true, ..flags(is_host) }
}

fn indirect(is_host: bool) -> PartyFlags {
    PartyFlags { takes_direct: false, ..flags(is_host) }
}

/// Where a NAT that is independent of the destination shows the tokens.
const INDEPENDENT: [u16; 6] = [1_001, 1_001, 5_000, 6_000, 7_000, 8_000];
/// A sequential one; others took one port meanwhile.
const SEQUENTIAL: [u16; 6] = [1_001, 30_000, 30_004, 30_002, 30_008, 30_006];
const UNPREDICTABLE: [u16; 6] = [1_001, 30_000, 12_000, 47_000, 3_000, 61_000];

impl World {
    fn observing(sockets: u32) -> Self {
        let mut world = Self::new(sockets);
        world.introducer.set_observing_address(socket_address(SECOND));
        world
    }

    fn ask_opening(&mut self, from: u32, to: u32, is_host: bool) {
        self.ask_with(from, to, opening(is_host), &[]);
    }

    /// Both ask and are introduced.
    fn opening_pair(&mut self) -> IntroductionId {
        let introduction = self.introduce(1, 2).unwrap();
        self.ask_opening(1, 2, false);
        self.ask_opening(2, 1, true);
        self.millis(30);
        introduction
    }

    fn want(&mut self, from: u32, attempt: u32, tokens: u8) {
        self.say(from, attempt, ReliableKind::TOKENS, &[tokens]);
    }

    fn tokens(&mut self, connection: u32, attempt: u32) -> Option<Tokens> {
        let mut found = self.heard(connection, attempt).into_iter().filter_map(|word| match word {
            Word::Tokens(tokens) => Some(tokens),
            _ => None,
        });
        let tokens = found.next();
        assert!(found.next().is_none(), "tokens came twice");
        tokens
    }

    fn nats(&mut self, connection: u32, attempt: u32) -> Vec<Nats> {
        let words = self.heard(connection, attempt).into_iter();
        words.filter_map(|word| if let Word::Nats(nats) = word { Some(nats) } else { None }).collect()
    }

    fn observed(&mut self, connection: u32, attempt: u32) -> Vec<Observed> {
        let words = self.heard(connection, attempt).into_iter();
        words.filter_map(|word| if let Word::Observed(told) = word { Some(told) } else { None }).collect()
    }

    fn observe(&mut self, from: impl Into<Address>, is_at_second: bool, token: &ObserveToken) {
        let from = from.into();
        self.step(|introducer, step| introducer.on_observe(step, from, is_at_second, token));
    }

    /// The token with this index comes from a port of the connection.
    fn show(&mut self, connection: u32, tokens: &Tokens, index: usize, port: u16) {
        let ip = self.sockets[&id(connection)].address.socket_addr().unwrap().ip();
        let is_at_second = tokens.second.is_some() && index == 1;
        self.observe(SocketAddr::new(ip, port), is_at_second, &tokens.tokens[index]);
    }

    fn show_all(&mut self, connection: u32, tokens: &Tokens, ports: &[u16]) {
        for (index, port) in ports.iter().enumerate().take(tokens.tokens.len()) {
            self.show(connection, tokens, index, *port);
        }
    }

    /// A party asks for another one, and shows its NAT.
    fn ask_behind(&mut self, from: u32, to: u32, is_host: bool, ports: &[u16]) {
        self.ask_opening(from, to, is_host);
        let tokens = self.tokens(from, to).unwrap();
        self.show_all(from, &tokens, ports);
    }

    fn live_tokens(&self) -> usize {
        self.introducer.looks.tokens()
    }

    fn address(&self, connection: u32) -> SocketAddr {
        self.sockets[&id(connection)].address.socket_addr().unwrap()
    }
}

#[test]
fn a_look_begins_when_a_party_asks_for_a_direct_path() {
    for (flags, count) in [(opening(false), 6), (flags(false), 2), (indirect(false), 0)] {
        let mut world = World::observing(2);
        world.ask_with(1, 2, flags, &[]);
        let tokens = world.tokens(1, 2);
        assert_eq!(tokens.as_ref().map_or(0, |tokens| tokens.tokens.len()), count);
        if let Some(mut tokens) = tokens {
            assert_eq!(tokens.second, Some(socket_address(SECOND)));
            tokens.tokens.sort_unstable();
            tokens.tokens.dedup();
            assert_eq!(tokens.tokens.len(), count, "each token is another one");
        }
        assert_eq!(world.introducer.stats().looks, u64::from(count > 0));
        assert_eq!(world.introducer.stats().tokens, count as u64);
    }
}

#[test]
fn the_second_address_must_be_one_to_which_the_party_can_send() {
    let addresses =
        [("0.0.0.0:9", true), ("[::]:9", true), ("[2001:db8::1]:9", false), ("[::ffff:1.2.3.4]:9", true)];
    for (second, looks) in addresses {
        let mut world = World::new(2);
        world.introducer.set_observing_address(socket_address(second));
        world.ask(1, 2, false);
        assert_eq!(world.tokens(1, 2).is_some(), looks, "{second}");
    }
    // A carrier without IP addresses has no NAT that could be seen.
    let mut world = World::observing(2);
    world.sockets.get_mut(&id(1)).unwrap().address = Address::from_virtual(7);
    world.ask(1, 2, false);
    assert!(world.tokens(1, 2).is_none());
    world.want(1, LOOK, 0);
    assert_eq!(world.nats(1, LOOK), [Nats { other: Nat::Unknown, own: Nat::Unknown, observed: None }]);
}

#[test]
fn what_the_tokens_show_whatever_their_order() {
    let cases: [(&[u16], Nat); 14] = [
        (&INDEPENDENT, Nat::Independent),
        (&SEQUENTIAL, Nat::Sequential(2)),
        (&UNPREDICTABLE, Nat::Unpredictable),
        (&[1_001, 30_000, 1, 2, 3, 4], Nat::Sequential(1)),
        (&[1_001, 30_000, 100, 300, 500, 700], Nat::Sequential(200)),
        (&[1_001, 30_000, 100, 301, 501, 701], Nat::Unpredictable),
        (&[1_001, 30_000, 700, 697, 500, 300], Nat::Sequential(3)),
        (&[1_001, 30_000, 100, 100, 101, 102], Nat::Unpredictable),
        (&[1_001, 30_000, 65_534, 65_535, 1_024, 1_025], Nat::Unpredictable),
        (&[1_001, 30_000, 65_532, 65_533, 65_534, 65_535], Nat::Sequential(1)),
        (&[1_001, 1_001, 30_000, 30_001, 30_002, 30_003], Nat::Independent),
        (&[1_001, 1_001], Nat::Independent),
        (&[1_001, 1_002], Nat::Unpredictable),
        (&[4_000, 4_000], Nat::Independent),
    ];
    for (ports, nat) in cases {
        for_seeds(20, |rng| {
            let mut world = World::observing(2);
            let flags = PartyFlags { opens_ports: ports.len() > 2, ..flags(false) };
            world.ask_with(1, 2, flags, &[]);
            let tokens = world.tokens(1, 2).unwrap();
            let mut order: Vec<usize> = (0..ports.len()).collect();
            for last in (1..order.len()).rev() {
                order.swap(last, rng.below(last as u64 + 1) as usize);
            }
            for index in order {
                world.show(1, &tokens, index, ports[index]);
            }
            let observed = Some(world.address(1));
            // The stride of the party's own NAT does not travel.
            let own = if matches!(nat, Nat::Sequential(_)) { Nat::Sequential(0) } else { nat };
            assert_eq!(world.nats(1, 2), [Nats { other: Nat::Unknown, own, observed }], "{ports:?}");
            assert_eq!(world.introducer.looks.nat(id(1)), nat, "{ports:?}");
        });
    }
}

#[test]
fn fresh_mappings_at_several_addresses_are_unpredictable() {
    let mut world = World::observing(2);
    world.sockets.get_mut(&id(1)).unwrap().others = vec![socket_address("198.51.0.200:7").into()];
    world.ask_opening(1, 2, false);
    let tokens = world.tokens(1, 2).unwrap();
    for (index, port) in SEQUENTIAL.into_iter().enumerate().take(5) {
        world.show(1, &tokens, index, port);
    }
    world.observe(socket_address("198.51.0.200:30006"), false, &tokens.tokens[5]);
    assert_eq!(world.nats(1, 2)[0].own, Nat::Unpredictable);
}

#[test]
fn a_conclusion_comes_as_soon_as_it_can_and_at_the_latest_after_two_seconds() {
    // Two that agree are enough.
    let mut world = World::observing(2);
    world.ask_opening(1, 2, false);
    let tokens = world.tokens(1, 2).unwrap();
    world.show(1, &tokens, 1, 1_001);
    assert!(world.nats(1, 2).is_empty());
    world.show(1, &tokens, 0, 1_001);
    assert_eq!(world.nats(1, 2).len(), 1);
    world.wait(Duration::from_secs(20));
    assert!(world.nats(1, 2).is_empty(), "it is told once");
    // One that is missing is waited for; of the first two ones it leaves the NAT unknown.
    for (missing, nat) in
        [(0, Nat::Unknown), (1, Nat::Unknown), (2, Nat::Unpredictable), (5, Nat::Unpredictable)]
    {
        let mut world = World::observing(2);
        world.ask_opening(1, 2, false);
        let tokens = world.tokens(1, 2).unwrap();
        (0..6)
            .filter(|index| *index != missing)
            .for_each(|index| world.show(1, &tokens, index, SEQUENTIAL[index]));
        world.millis(1_999);
        assert!(world.nats(1, 2).is_empty());
        world.millis(1);
        assert_eq!(world.nats(1, 2)[..].iter().map(|nats| nats.own).collect::<Vec<_>>(), [nat]);
        // One that comes late corrects it, while it counts.
        world.millis(3_000);
        world.show(1, &tokens, missing, SEQUENTIAL[missing]);
        assert_eq!(world.nats(1, 2)[0].own, Nat::Sequential(0));
        assert_eq!(world.introducer.looks.nat(id(1)), Nat::Sequential(2));
    }
    // Nothing came at all.
    let mut world = World::observing(2);
    world.ask_opening(1, 2, false);
    world.millis(2_000);
    assert_eq!(world.nats(1, 2)[0].own, Nat::Unknown);
    assert_eq!(world.introducer.stats().nats_unknown, 1);
}

#[test]
fn conclusions_are_counted_by_kind() {
    let mut world = World::observing(3);
    world.ask_behind(1, 9, false, &INDEPENDENT);
    world.ask_behind(2, 9, false, &SEQUENTIAL);
    world.ask_behind(3, 9, false, &UNPREDICTABLE);
    let stats = world.introducer.stats();
    assert_eq!(
        (stats.nats_independent, stats.nats_sequential, stats.nats_unpredictable, stats.nats_unknown),
        (1, 1, 1, 0)
    );
    assert_eq!((stats.looks, stats.tokens), (3, 18));
}

#[test]
fn status_0_says_what_is_known_of_both_nats_and_both_copies_say_the_same() {
    let mut world = World::observing(2);
    world.ask_behind(1, 2, false, &SEQUENTIAL);
    world.ask_opening(2, 1, true);
    let tokens = world.tokens(2, 1).unwrap();
    world.introduce(1, 2).unwrap();
    let told: Vec<_> = world.heard(2, 1);
    let [Word::Introduced(first)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((first.nat, first.own_nat), (Nat::Sequential(2), Nat::Unknown));
    // What becomes known after the first copy is told by itself.
    world.show_all(2, &tokens, &UNPREDICTABLE);
    world.millis(30);
    let told = world.heard(2, 1);
    let [Word::Nats(nats), Word::Introduced(second)] = &told[..] else { panic!("{told:?}") };
    assert_eq!((nats.other, nats.own), (Nat::Sequential(2), Nat::Unpredictable));
    assert_eq!((second.nat, second.own_nat), (Nat::Sequential(2), Nat::Unknown));
    let nats = world.nats(1, 2);
    assert_eq!(
        (nats.last().unwrap().other, nats.last().unwrap().own),
        (Nat::Unpredictable, Nat::Sequential(0))
    );
    // A later introduction of the same parties says all at once.
    world.introduce(1, 2).unwrap();
    world.ask_with(1, 50, flags(false), &[]);
    let nonce = [9; 16];
    let again = Request { remote: id(2).get(), flags: opening(false), nonce, candidates: vec![] };
    world.request(1, 60, &again);
    let again = Request { remote: id(1).get(), flags: opening(true), nonce, candidates: vec![] };
    world.request(2, 60, &again);
    world.millis(30);
    let introduced = world.introduced(1, 60);
    assert_eq!((introduced.nat, introduced.own_nat), (Nat::Unpredictable, Nat::Sequential(0)));
}

#[test]
fn a_nat_that_becomes_known_after_status_0_is_told_to_both() {
    let mut world = World::observing(2);
    world.opening_pair();
    let tokens = world.tokens(2, 1).unwrap();
    world.told.clear();
    world.show_all(2, &tokens, &SEQUENTIAL);
    let observed = [1, 2].map(|slot| Some(world.address(slot)));
    let told = Nats { other: Nat::Sequential(2), own: Nat::Unknown, observed: observed[0] };
    assert_eq!(world.nats(1, 2), [told]);
    let told = Nats { other: Nat::Unknown, own: Nat::Sequential(0), observed: observed[1] };
    assert_eq!(world.nats(2, 1), [told]);
}

#[test]
fn the_other_partys_nat_is_told_when_the_record_is_complete_and_both_take_direct_paths() {
    let mut world = World::observing(4);
    world.ask_behind(1, 2, false, &INDEPENDENT);
    world.ask_opening(2, 1, true);
    // Both have asked, and the application has not answered.
    let tokens = world.tokens(2, 1).unwrap();
    world.told.clear();
    world.show_all(2, &tokens, &UNPREDICTABLE);
    assert!(world.nats(1, 2).is_empty());
    assert_eq!(world.nats(2, 1)[0].other, Nat::Unknown);
    // One of the two takes no direct path.
    world.introduce(3, 4).unwrap();
    world.ask_opening(3, 4, false);
    let tokens = world.tokens(3, 4).unwrap();
    world.ask_with(4, 3, indirect(true), &[]);
    world.millis(30);
    assert!(world.tokens(4, 3).is_none());
    world.show_all(3, &tokens, &SEQUENTIAL);
    assert!(world.nats(4, 3).is_empty() && world.nats(3, 4).is_empty());
}

#[test]
fn a_wanted_look_needs_no_record_and_leaves_nothing_behind() {
    let mut world = World::observing(1);
    world.want(1, LOOK, 0);
    let tokens = world.tokens(1, LOOK).unwrap();
    assert_eq!((tokens.second, tokens.tokens.len()), (Some(socket_address(SECOND)), 6));
    world.show_all(1, &tokens, &SEQUENTIAL);
    let observed = Some(world.address(1));
    let told = Nats { other: Nat::Unknown, own: Nat::Sequential(0), observed };
    assert_eq!(world.nats(1, LOOK), [told]);
    // Soon after it is told what was found; later it is looked at again.
    world.want(1, LOOK + 1, 0);
    assert_eq!(world.nats(1, LOOK + 1), [told]);
    world.millis(10_000);
    world.want(1, LOOK + 2, 0);
    let tokens = world.tokens(1, LOOK + 2).unwrap();
    // One that is under way answers who asked last.
    world.want(1, LOOK + 3, 0);
    world.show_all(1, &tokens, &INDEPENDENT);
    assert_eq!((world.nats(1, LOOK + 2).len(), world.nats(1, LOOK + 3)[0].own), (0, Nat::Independent));
    assert!(!world.introducer.is_idle(), "the end of the connection must be told");
    world.end(1);
    assert!(world.introducer.is_idle() && world.introducer.kept() == 0);
    assert!(world.is_empty() && world.live_tokens() == 0);
}

#[test]
fn a_wanted_look_whose_tokens_are_lost_forgets_nothing() {
    let mut world = World::observing(1);
    world.want(1, LOOK, 0);
    let tokens = world.tokens(1, LOOK).unwrap();
    world.show_all(1, &tokens, &INDEPENDENT);
    world.millis(10_000);
    world.told.clear();
    world.want(1, LOOK + 1, 0);
    world.millis(2_000);
    assert_eq!(world.nats(1, LOOK + 1)[0].own, Nat::Independent);
}

#[test]
fn without_a_second_address_a_wanted_look_is_answered_at_once() {
    let mut world = World::new(2);
    world.want(1, LOOK, 0);
    let observed = Some(world.address(1));
    assert_eq!(world.nats(1, LOOK), [Nats { other: Nat::Unknown, own: Nat::Unknown, observed }]);
    world.opening_pair();
    assert!(world.tokens(1, 2).is_none());
    world.want(1, 2, 4);
    assert!(world.tokens(1, 2).is_none());
    assert_eq!((world.introducer.stats().looks, world.introducer.stats().tokens_refused), (0, 1));
}

#[test]
fn a_socket_that_introduces_nobody_looks_at_nobody() {
    let mut world = World::observing(1);
    world.config.introduces = false;
    world.want(1, LOOK, 0);
    assert!(world.told.is_empty() && world.introducer.kept() == 0);
}

#[test]
fn a_connection_is_looked_at_once_in_ten_seconds_and_later_looks_wait() {
    let mut world = World::observing(2);
    world.ask_opening(1, 2, false);
    assert!(world.tokens(1, 2).is_some());
    world.millis(2_500);
    for _ in 0..5 {
        world.ask_opening(1, 2, false);
    }
    assert!(world.tokens(1, 2).is_none());
    world.millis(7_499);
    assert!(world.tokens(1, 2).is_none());
    world.millis(1);
    let tokens = world.tokens(1, 2).unwrap();
    world.show_all(1, &tokens, &INDEPENDENT);
    // It is known now.
    world.wait(Duration::from_secs(11));
    world.ask_opening(1, 2, false);
    assert!(world.tokens(1, 2).is_none());
    // One that waits begins only while an attempt depends on it.
    let mut world = World::observing(2);
    world.ask_opening(1, 2, false);
    world.millis(2_500);
    world.ask_opening(1, 2, false);
    world.withdraw(1, 2);
    world.wait(Duration::from_secs(20));
    assert_eq!(world.introducer.stats().looks, 1);
    // Without another request nobody is looked at again.
    let mut world = World::observing(2);
    world.ask_opening(1, 2, false);
    world.wait(Duration::from_secs(29));
    assert_eq!(world.introducer.stats().looks, 1);
}

#[test]
fn the_attempt_that_asked_last_has_the_tokens() {
    let mut world = World::observing(4);
    world.ask_opening(1, 2, false);
    world.millis(2_500);
    world.ask_opening(1, 3, false);
    world.millis(100);
    world.ask(1, 4, false);
    world.millis(100);
    world.ask_with(1, 9, indirect(false), &[]);
    world.told.clear();
    world.wait(Duration::from_secs(8));
    let tokens = world.tokens(1, 4).unwrap();
    assert_eq!(tokens.tokens.len(), 2, "that one cannot open ports");
    // All that take direct paths are told.
    world.told.clear();
    world.show_all(1, &tokens, &INDEPENDENT);
    for (attempt, count) in [(2, 1), (3, 1), (4, 1), (9, 0)] {
        assert_eq!(world.nats(1, attempt).len(), count, "{attempt}");
    }
}

#[test]
fn what_is_known_is_forgotten_when_the_observed_address_changes() {
    let mut world = World::observing(2);
    world.introduce(1, 2).unwrap();
    world.ask_behind(1, 2, false, &INDEPENDENT);
    world.ask_opening(2, 1, true);
    world.millis(100);
    // Nothing changes: another path became valid.
    world.step(|introducer, step| introducer.on_address_changed(step, id(1)));
    assert_eq!(world.introducer.looks.nat(id(1)), Nat::Independent);
    world.told.clear();
    world.move_to(1, "198.51.0.1:7777");
    assert_eq!(world.introducer.looks.nat(id(1)), Nat::Unknown);
    let told = world.nats(2, 1);
    assert_eq!(told.iter().map(|nats| nats.other).collect::<Vec<_>>(), [Nat::Unknown]);
    // The next look begins when it may.
    world.millis(9_899);
    assert!(world.tokens(1, 2).is_none());
    world.millis(1);
    let tokens = world.tokens(1, 2).unwrap();
    world.told.clear();
    world.show_all(1, &tokens, &UNPREDICTABLE);
    assert_eq!(world.nats(2, 1)[0].other, Nat::Unpredictable);
    assert_eq!(world.nats(1, 2)[0].observed, Some(socket_address("198.51.0.1:7777")));
    // After the pause it begins at once; without a record it does not.
    world.wait(Duration::from_secs(10));
    world.move_to(1, "198.51.0.1:8888");
    assert!(world.tokens(1, 2).is_some());
    world.wait(Duration::from_secs(60));
    world.move_to(1, "198.51.0.1:9999");
    assert_eq!((world.introducer.stats().looks, world.live_tokens()), (4, 0));
}

#[test]
fn tokens_of_another_address_conclude_nothing() {
    let mut world = World::observing(1);
    world.want(1, LOOK, 0);
    let tokens = world.tokens(1, LOOK).unwrap();
    world.show(1, &tokens, 0, 1_001);
    world.move_to(1, "198.51.0.1:2002");
    // Who wanted to know is told that it is not known.
    assert_eq!(world.nats(1, LOOK)[0].own, Nat::Unknown);
    world.show(1, &tokens, 1, 2_002);
    world.wait(Duration::from_secs(20));
    assert!(world.told.is_empty() && world.is_empty());
    assert_eq!(world.introducer.stats().observes_refused, 1);
}

#[test]
fn a_token_counts_once_from_an_address_of_the_party_and_at_its_own_port() {
    let mut world = World::observing(3);
    world.ask_opening(1, 2, false);
    let tokens = world.tokens(1, 2).unwrap();
    // A victim's address, another party's, one of a carrier, the other port, and an unknown token.
    world.observe(socket_address("192.0.2.1:1001"), false, &tokens.tokens[0]);
    let other = world.address(3);
    world.observe(other, false, &tokens.tokens[0]);
    world.observe(Address::from_virtual(1), false, &tokens.tokens[0]);
    let own = world.address(1);
    world.observe(own, true, &tokens.tokens[0]);
    world.observe(own, false, &tokens.tokens[1]);
    world.observe(own, true, &tokens.tokens[2]);
    world.observe(own, false, &[0; 16]);
    let stats = world.introducer.stats();
    assert_eq!((stats.observes, stats.observes_repeated, stats.observes_refused), (0, 0, 7));
    assert!(world.told.is_empty(), "nothing is answered");
    // None of them has spent anything. What comes again, also from elsewhere, changes nothing.
    world.observe(own, false, &tokens.tokens[0]);
    for port in [5, 6, 7] {
        world.observe(SocketAddr::new(own.ip(), port), false, &tokens.tokens[0]);
    }
    world.observe(own, true, &tokens.tokens[1]);
    assert_eq!(world.nats(1, 2)[0].own, Nat::Independent);
    let stats = world.introducer.stats();
    assert_eq!((stats.observes, stats.observes_repeated, stats.observes_refused), (2, 3, 7));
}

#[test]
fn every_valid_path_of_the_party_counts_and_of_ipv6_its_64() {
    let cases = [
        ("198.51.100.7:1", true),
        ("[::ffff:198.51.100.7]:1", true),
        ("198.51.100.8:1", false),
        ("[2001:db8:1:2:3::4]:1", true),
        ("[2001:db8:1:3::4]:1", false),
        // Everybody's IPv4 address lies in this /64.
        ("[64:ff9b::c000:201]:1", true),
        ("[64:ff9b::c000:202]:1", false),
    ];
    for (from, counts) in cases {
        let mut world = World::observing(2);
        world.sockets.get_mut(&id(1)).unwrap().others =
            ["198.51.100.7:9", "[2001:db8:1:2::9]:9", "[64:ff9b::c000:201]:9"]
                .map(|other| socket_address(other).into())
                .into();
        world.ask_opening(1, 2, false);
        let tokens = world.tokens(1, 2).unwrap();
        world.observe(socket_address(from), false, &tokens.tokens[3]);
        assert_eq!(world.introducer.stats().observes, u64::from(counts), "{from}");
    }
}

#[test]
fn tokens_live_ten_seconds_and_those_that_were_asked_for_thirty() {
    let mut world = World::observing(2);
    world.ask_opening(1, 2, false);
    let tokens = world.tokens(1, 2).unwrap();
    world.millis(9_999);
    world.show(1, &tokens, 0, 1_001);
    world.millis(1);
    world.show(1, &tokens, 1, 1_001);
    assert_eq!((world.introducer.stats().observes, world.introducer.stats().observes_refused), (1, 1));
    let mut world = World::observing(2);
    world.opening_pair();
    world.told.clear();
    world.want(1, 2, 2);
    let tokens = world.tokens(1, 2).unwrap();
    world.millis(29_999);
    world.show(1, &tokens, 0, 1_001);
    world.millis(1);
    world.show(1, &tokens, 1, 1_001);
    assert_eq!((world.observed(1, 2).len(), world.live_tokens()), (1, 0));
}

#[test]
fn tokens_that_a_party_asks_for_are_told_to_both() {
    let mut world = World::observing(2);
    world.opening_pair();
    world.told.clear();
    world.want(1, 2, 8);
    let tokens = world.tokens(1, 2).unwrap();
    assert_eq!((tokens.second, tokens.tokens.len()), (None, 8));
    for (index, port) in [(3, 40_000), (0, 40_001), (7, 40_002)] {
        world.show(1, &tokens, index, port);
        // A copy is no news.
        world.show(1, &tokens, index, port + 1);
        let address = SocketAddr::new(world.address(1).ip(), port);
        let round = index as u8;
        assert_eq!(world.observed(1, 2), [Observed { is_other: false, round, address }]);
        assert_eq!(world.observed(2, 1), [Observed { is_other: true, round, address }]);
    }
    // They go where all packets go.
    world.observe(world.address(1), true, &tokens.tokens[5]);
    assert!(world.told.is_empty());
    // Those of the other party are others, and the next ones take the place of these.
    world.want(2, 1, 4);
    let others = world.tokens(2, 1).unwrap();
    world.show(2, &others, 1, 50_000);
    assert_eq!((world.observed(1, 2)[0].is_other, world.observed(2, 1)[0].is_other), (true, false));
    world.want(1, 2, 4);
    let next = world.tokens(1, 2).unwrap();
    world.show(1, &tokens, 1, 40_000);
    assert!(world.told.is_empty());
    world.show(1, &next, 1, 40_000);
    assert_eq!(world.observed(2, 1)[0].round, 1);
    // The introduction is over, as the introducer sees it.
    world.end(2);
    world.told.clear();
    world.show(1, &next, 2, 40_000);
    assert!(world.observed(1, 2).is_empty());
}

#[test]
fn tokens_are_given_only_in_a_complete_record_of_parties_that_take_direct_paths() {
    let mut world = World::observing(4);
    let refused = |world: &World| world.introducer.stats().tokens_refused;
    world.want(1, 2, 4);
    world.ask_opening(1, 2, false);
    world.ask_opening(2, 1, true);
    world.want(1, 2, 4);
    assert_eq!(refused(&world), 2);
    world.introduce(1, 2).unwrap();
    world.millis(30);
    world.want(1, 9, 4);
    assert_eq!(refused(&world), 3);
    world.told.clear();
    world.want(1, 2, 4);
    assert!(world.tokens(1, 2).is_some());
    world.say(1, 2, ReliableKind::TOKENS, &[9]);
    world.say(1, 2, ReliableKind::TOKENS, &[]);
    assert_eq!((refused(&world), world.introducer.stats().malformed), (3, 2));
    world.introduce(3, 4).unwrap();
    world.ask_opening(3, 4, false);
    world.ask_with(4, 3, indirect(true), &[]);
    world.millis(30);
    world.want(3, 4, 4);
    world.want(4, 3, 4);
    assert_eq!(refused(&world), 5);
}

/// As with candidates: a private address is told only to a party in the same place.
#[test]
fn where_a_party_was_observed_is_vetted_for_the_other_one() {
    for (other, hears) in [("198.51.0.2:9", false), ("10.0.0.7:9", true)] {
        let mut world = World::observing(2);
        world.sockets.get_mut(&id(1)).unwrap().address = socket_address("192.168.0.4:9").into();
        world.sockets.get_mut(&id(2)).unwrap().address = socket_address(other).into();
        world.opening_pair();
        world.told.clear();
        world.want(1, 2, 1);
        let tokens = world.tokens(1, 2).unwrap();
        world.show(1, &tokens, 0, 40_000);
        assert_eq!((world.observed(1, 2).len(), world.observed(2, 1).len()), (1, usize::from(hears)));
    }
}

#[test]
fn a_hostile_party_has_fourteen_tokens_at_most_and_takes_none_of_the_others() {
    let mut world = World::observing(3);
    world.opening_pair();
    world.ask_opening(3, 9, false);
    let tokens = world.tokens(3, 9).unwrap();
    let of_others = world.live_tokens() - 6;
    for round in 0..200 {
        world.want(1, LOOK + round, 0);
        world.want(1, 2, MAX_TOKENS as u8);
        world.ask_opening(1, 100 + round, false);
        world.move_to(1, &alloc::format!("198.51.0.1:{}", 1_000 + round));
        assert!(world.live_tokens() <= of_others + 6 + MAX_TOKENS);
        world.millis(5);
    }
    assert!(world.introducer.stats().too_many_requests > 0);
    assert!(world.introducer.looks.len() <= world.live_tokens() + 2 * 3);
    // A flood of false tokens changes nothing.
    let flood = world.address(1);
    for token in 0..1_000_u128 {
        world.observe(flood, token & 1 == 0, &token.to_be_bytes());
    }
    world.show_all(3, &tokens, &SEQUENTIAL);
    assert_eq!(world.introducer.looks.nat(id(3)), Nat::Sequential(2));
    (1..=3).for_each(|slot| world.end(slot));
    world.wait(Duration::from_secs(100));
    assert_eq!((world.introducer.kept(), world.live_tokens()), (0, 0));
}

#[test]
fn whatever_happens_what_is_found_is_true_and_nothing_is_left() {
    for_seeds(200, |rng| {
        let mut world = World::seeded(4, rng.array());
        world.introducer.set_observing_address(socket_address(SECOND));
        let mut given: Vec<(u32, Tokens)> = Vec::new();
        for _ in 0..rng.below(150) {
            let from = 1 + rng.below(4) as u32;
            let to = 1 + rng.below(5) as u32;
            let is_there = world.sockets.contains_key(&id(from));
            match rng.below(12) {
                0 | 1 if is_there => {
                    let flags = PartyFlags {
                        takes_direct: rng.below(4) > 0,
                        opens_ports: rng.below(2) == 0,
                        ..flags(from > to)
                    };
                    world.ask_with(from, to, flags, &[]);
                }
                2 => _ = world.introduce(from.min(to), from.max(to)),
                3 => world.want(from, LOOK + rng.below(3) as u32, 0),
                4 => world.want(from, to, rng.below(9) as u8),
                5 if is_there => {
                    let port = 1_000 + rng.below(3) as u16;
                    world.move_to(from, &alloc::format!("198.51.0.{from}:{port}"));
                }
                6 if rng.below(8) == 0 => world.end(from),
                7 => world.withdraw(from, to),
                8..=10 => {
                    // Socket 1's NAT is independent, that of the others is not.
                    if !given.is_empty() {
                        let (owner, tokens) = given[rng.below(given.len() as u64) as usize].clone();
                        let index = rng.below(tokens.tokens.len() as u64) as usize;
                        let port =
                            if owner == 1 && index < 2 { 900 } else { 900 + index as u16 * owner as u16 };
                        if world.sockets.contains_key(&id(owner)) {
                            world.show(owner, &tokens, index, port);
                        }
                    }
                }
                _ => world.millis(rng.below(4_000)),
            }
            let told = world.told.iter().filter(|(_, told)| told.kind == ReliableKind::TOKENS);
            given.extend(
                told.map(|(_, told)| (told.connection.slot() as u32, Tokens::parse(&told.body).unwrap())),
            );
            world.told.clear();
            assert!(world.live_tokens() <= 4 * (6 + MAX_TOKENS));
            for (slot, possible) in
                [(1, &[Nat::Independent][..]), (3, &[Nat::Sequential(3), Nat::Unpredictable])]
            {
                let nat = world.introducer.looks.nat(id(slot));
                assert!(nat == Nat::Unknown || possible.contains(&nat), "{slot}: {nat:?}");
            }
        }
        world.wait(Duration::from_secs(100));
        assert!(world.is_empty(), "something is left");
        (1..=4).for_each(|slot| world.end(slot));
        world.wait(Duration::from_secs(100));
        assert_eq!(world.introducer.kept(), 0);
    });
}

#[test]
fn what_asks_for_tokens_counts_like_a_request() {
    let mut world = World::observing(2);
    for attempt in 0..100 {
        world.want(1, LOOK + attempt, 0);
    }
    world.ask_opening(1, 2, false);
    let stats = world.introducer.stats();
    assert_eq!((stats.looks, stats.too_many_requests, stats.requests), (1, 37, 0));
    // The one that was taken last is answered, and others have their own rate.
    world.millis(2_000);
    assert_eq!(world.nats(1, LOOK + 63).len(), 1);
    world.want(2, LOOK, 0);
    assert!(world.tokens(2, LOOK).is_some());
}

#[test]
fn tokens_that_a_party_asks_for_have_a_rate() {
    let mut world = World::observing(2);
    world.opening_pair();
    world.told.clear();
    let mut ask = |times: usize| {
        let mut given = 0;
        for _ in 0..times {
            world.want(1, 2, 8);
            given += world.tokens(1, 2).map_or(0, |tokens| tokens.tokens.len());
        }
        world.millis(1_000);
        given
    };
    // Each is told to the other party, whose messages are few.
    assert_eq!((ask(40), ask(2), ask(2)), (32, 8, 0));
}
