//! What introducers and parties are told of NATs (INTRODUCTIONS.md 9.1).

use std::net::SocketAddr;

use torque_proto::control::ControlEvent;
use torque_proto::wire::control::reliable::ReliableKind;
use torque_proto::wire::introduction::{Introduction, Nats, PartyFlags, Request};
use torque_proto::{Address, Event, IntroducedOptions, Nat as Seen};
use torque_sim::world::Fate;

use super::relay::{both, config, introduce};
use super::*;

const OBSERVE: u8 = 0x0d;

/// A lobby whose introducer looks at NATs, on links that lose this part.
fn lobby(seed: u64, kinds: [Access; 2], own_ip: bool, loss: f64) -> Lobby {
    let mut lobby = Lobby::apart(seed, &config(), kinds);
    lobby.play.observe(lobby.introducer, own_ip);
    lobby.play.world.set_default_link(link(seed, loss));
    lobby
}

/// Asks how the NAT of a party behaves, and waits for the answer.
fn look(lobby: &mut Lobby, side: usize) -> (Seen, Option<SocketAddr>) {
    let (party, at_party) = (lobby.parties[side], lobby.at_party[side]);
    let told = |play: &Play| -> Vec<_> {
        let found = play.history(party).iter().filter_map(|(_, event)| match event {
            Event::NatFound { introducer, nat, observed } if *introducer == at_party => {
                Some((*nat, *observed))
            }
            _ => None,
        });
        found.collect()
    };
    let before = told(&lobby.play).len();
    lobby.play.world.with(party, |endpoint, now| endpoint.look_at_nat(now, at_party)).unwrap();
    lobby.play.run_for(12 * SECOND);
    let found = told(&lobby.play);
    assert_eq!(found.len(), before + 1, "each look is answered once");
    found[before]
}

/// Strides do not matter: others take ports meanwhile, and one's own does not travel.
fn is_like(seen: Seen, expected: Seen) -> bool {
    match (seen, expected) {
        (Seen::Sequential(_), Seen::Sequential(_)) => true,
        _ => seen == expected,
    }
}

/// The ports of a sequential NAT begin again at the lowest one: then nobody can tell.
fn has_wrapped(observed: Option<SocketAddr>) -> bool {
    observed.is_some_and(|address| !(1_200..65_300).contains(&address.port()))
}

#[test]
fn a_party_learns_how_its_nat_behaves() {
    for_seeds(3, |seed| {
        for own_ip in [false, true] {
            for kind in Access::ALL {
                for loss in [0.0, 0.1] {
                    let mut lobby = lobby(seed, [kind, kind], own_ip, loss);
                    for side in [INITIATOR, HOST] {
                        let (nat, observed) = look(&mut lobby, side);
                        let introducer = lobby.play.world.node(lobby.introducer);
                        let seen = introducer.peer(lobby.at_introducer[side]).unwrap().address;
                        assert_eq!(observed, seen.socket_addr());
                        let expected = kind.seen_nat(own_ip);
                        let told = format!("{} with a second address {own_ip}: {nat:?}", kind.name);
                        assert!(is_like(nat, expected) || has_wrapped(observed), "{told}");
                        // The ports for it are closed again.
                        assert_eq!(lobby.play.world.further_ports(lobby.parties[side]), 0);
                    }
                    lobby.play.close_all_and_finish(30 * SECOND);
                }
            }
        }
    });
}

#[test]
fn who_looks_at_no_nats_says_so() {
    let home = Access::named("EI/APD").unwrap();
    let mut without_second = Lobby::apart(1, &config(), [home, home]);
    let found = look(&mut without_second, HOST);
    assert_eq!(found.0, Seen::Unknown);
    let mut nobody = Lobby::apart(1, &Config::default(), [home, home]);
    assert_eq!(look(&mut nobody, HOST), (Seen::Unknown, None));
}

/// A party that speaks by itself, in the core, is introduced to a host, and hears what the introducer knows of its NAT.
fn heard_of_host(lobby: &mut Lobby, attempt: u32) -> (Seen, Option<Nats>) {
    let [asker, host] = lobby.parties;
    let [at_introducer, host_at_introducer] = lobby.at_introducer;
    let play = &mut lobby.play;
    play.world.with(lobby.introducer, |endpoint, now| {
        endpoint.introduce(now, at_introducer, host_at_introducer, None).unwrap();
    });
    let at_host = lobby.at_party[HOST];
    let options = IntroducedOptions::host();
    let ended = play.wait_with(host, |endpoint, now| {
        endpoint.connect_introduced(now, at_host, at_introducer.get(), options)
    });
    let mut body = Vec::new();
    let flags = PartyFlags { takes_direct: true, ..PartyFlags::default() };
    let remote = host_at_introducer.get();
    Request { remote, flags, nonce: [attempt as u8; 16], candidates: Vec::new() }.write(&mut body);
    let at_asker = lobby.at_party[INITIATOR];
    play.world.with(asker, |endpoint, now| {
        endpoint.enable_control(at_asker).unwrap();
        endpoint.send_control(now, at_asker, attempt, ReliableKind::REQUEST, &body).unwrap();
    });
    play.run_for(12 * SECOND);
    let events: Vec<_> =
        play.world.with(asker, |endpoint, _| std::iter::from_fn(|| endpoint.poll_control()).collect());
    let (mut first, mut last) = (None, None);
    for (_, event) in events {
        let ControlEvent::Message { attempt: of, kind, body, .. } = event else { continue };
        match kind {
            ReliableKind::INTRODUCTION if of == attempt => {
                if let Ok(Introduction::Complete(told)) = Introduction::parse(&body) {
                    first.get_or_insert(told.nat);
                }
            }
            ReliableKind::NATS if of == attempt => last = Some(Nats::parse(&body).unwrap()),
            _ => {}
        }
    }
    play.close(host, ended.unwrap(), b"");
    play.run_for(SECOND);
    (first.expect("the introduction is complete"), last)
}

/// The other party hears of it, at once if it is known and else when it is.
#[test]
fn the_other_party_learns_how_a_nat_behaves() {
    for_seeds(3, |seed| {
        let open = Access::named("public").unwrap();
        for own_ip in [false, true] {
            for kind in Access::ALL {
                let mut lobby = lobby(seed, [open, kind], own_ip, 0.0);
                let host = lobby.at_introducer[HOST];
                let seen = lobby.play.world.node(lobby.introducer).peer(host).unwrap().address;
                let expected = kind.seen_nat(own_ip);
                let (first, last) = heard_of_host(&mut lobby, 1);
                let told = format!("{} with a second address {own_ip}: {first:?}, {last:?}", kind.name);
                if has_wrapped(seen.socket_addr()) {
                    continue;
                }
                assert!(first == Seen::Unknown || is_like(first, expected), "{told}");
                let last = last.expect("the NATs are told");
                assert!(is_like(last.other, expected), "{told}");
                if let Seen::Sequential(stride) = last.other {
                    assert!((1..4).contains(&stride), "{told}");
                }
                let asker = lobby.at_introducer[INITIATOR];
                let at = lobby.play.world.node(lobby.introducer).peer(asker).unwrap().address;
                assert_eq!(last.observed, at.socket_addr());
                let (known, _) = heard_of_host(&mut lobby, 2);
                assert!(is_like(known, expected), "{told}, then {known:?}");
            }
        }
    });
}

/// What the introducer receives at both its ports, replayed from elsewhere at once, counts for nothing, and nobody answers it.
#[test]
fn an_observe_that_is_replayed_from_elsewhere_shows_nothing() {
    for_seeds(10, |seed| {
        for name in ["EI/APD", "APD/APD s", "APD/APD r"] {
            let kind = Access::named(name).unwrap();
            let mut lobby = lobby(seed, [kind, kind], true, 0.0);
            let victim: Address = "203.0.113.7:5000".parse::<SocketAddr>().unwrap().into();
            lobby.play.world.open_mailbox(victim);
            lobby.play.world.set_tap(move |passing| {
                if passing.bytes[0] == OBSERVE {
                    // Before, with, and long after the true one.
                    for wait in [Duration::ZERO, 50 * MS, SECOND, 8 * SECOND, 40 * SECOND] {
                        passing.inject(wait, victim, passing.to, passing.bytes.clone());
                    }
                }
                Fate::Pass
            });
            let (nat, observed) = look(&mut lobby, HOST);
            assert!(is_like(nat, kind.seen_nat(true)) || has_wrapped(observed), "{name}: {nat:?}");
            lobby.play.run_for(60 * SECOND);
            assert!(lobby.play.world.take_mail(victim).is_empty());
        }
    });
}

/// A party that sends its tokens in a victim's name shows nothing, and the victim hears nothing.
#[test]
fn a_party_that_observes_in_a_victims_name_shows_nothing() {
    for_seeds(10, |seed| {
        let kind = Access::named("EI/EI").unwrap();
        let mut lobby = lobby(seed, [kind, kind], true, 0.0);
        let victim: Address = "203.0.113.7:5000".parse::<SocketAddr>().unwrap().into();
        lobby.play.world.open_mailbox(victim);
        lobby.play.world.set_capture(true);
        lobby.play.world.set_tap(move |passing| {
            if passing.bytes[0] != OBSERVE {
                return Fate::Pass;
            }
            passing.inject(MS, victim, passing.to, passing.bytes.clone());
            Fate::Drop
        });
        let (nat, _) = look(&mut lobby, HOST);
        assert_eq!(nat, Seen::Unknown);
        introduce(&mut lobby, both(&IntroducedOptions::host()));
        lobby.play.run_for(20 * SECOND);
        assert!(lobby.play.world.take_mail(victim).is_empty());
        assert!(lobby.play.world.captured().iter().all(|sent| sent.to != victim));
    });
}
