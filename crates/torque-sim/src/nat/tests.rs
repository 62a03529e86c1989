use std::net::Ipv4Addr;
use std::time::Duration;

use super::*;
use crate::for_seeds;

const SECOND: Duration = Duration::from_secs(1);
const START: Instant = Instant::from_millis(5_000);
const OUTSIDE: [u8; 4] = [45, 80, 0, 1];
const KINDS: [Dependence; 3] =
    [Dependence::EndpointIndependent, Dependence::AddressDependent, Dependence::AddressAndPortDependent];

fn at(ip: [u8; 4], port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::from(ip).into(), port)
}

/// Two hosts inside; a remote address, another port of it, and another address.
const INSIDE: [[u8; 4]; 2] = [[192, 168, 1, 1], [192, 168, 1, 2]];

fn remotes() -> [SocketAddr; 3] {
    [at([45, 80, 0, 7], 700), at([45, 80, 0, 7], 701), at([45, 80, 0, 8], 700)]
}

fn start(middlebox: Middlebox, seed: u64) -> Box<dyn Translate> {
    middlebox.start(Ipv4Addr::from(OUTSIDE).into(), SimRng::new(seed))
}

fn nat(mapping: Dependence, filtering: Dependence, ports: PortAssignment) -> Nat {
    Nat::new(mapping, filtering, ports)
}

#[test]
fn a_mapping_depends_on_as_much_of_the_remote_address_as_it_says() {
    for_seeds(50, |seed| {
        for (mapping, expected) in KINDS.into_iter().zip([[true, true], [true, false], [false, false]]) {
            let mut translator = start(Middlebox::Nat(nat(mapping, KINDS[0], PortAssignment::Random)), seed);
            let ports = remotes().map(|remote| translator.outward(START, at(INSIDE[0], 4_000), remote));
            assert!(ports.iter().all(|outside| outside.ip() == Ipv4Addr::from(OUTSIDE)));
            assert_eq!([ports[0] == ports[1], ports[0] == ports[2]], expected, "{mapping:?}");
            assert_ne!(ports[0], translator.outward(START, at(INSIDE[1], 4_000), remotes()[0]));
            assert_ne!(ports[0], translator.outward(START, at(INSIDE[0], 4_001), remotes()[0]));
        }
    });
}

#[test]
fn a_filter_lets_in_those_like_one_to_whom_something_went() {
    for_seeds(50, |seed| {
        let inside = at(INSIDE[0], 4_000);
        for (filtering, expected) in
            KINDS.into_iter().zip([[true, true, true], [true, true, false], [true, false, false]])
        {
            let boxes = KINDS.map(|mapping| Middlebox::Nat(nat(mapping, filtering, PortAssignment::Random)));
            let firewall = Middlebox::Firewall(Firewall { filtering, ..Firewall::new(false) });
            for middlebox in boxes.into_iter().chain([firewall]) {
                let mut translator = start(middlebox, seed);
                let outside = translator.outward(START, inside, remotes()[0]);
                let in_again = remotes().map(|remote| translator.inward(START, remote, outside));
                assert_eq!(in_again, expected.map(|is_let_in| is_let_in.then_some(inside)), "{middlebox:?}");
                let unused = SocketAddr::new(outside.ip(), outside.port() ^ 1);
                assert_eq!(translator.inward(START, remotes()[0], unused), None);
            }
        }
    });
}

#[test]
fn ports_are_preserved_sequential_or_random() {
    for_seeds(50, |seed| {
        let ports = |assignment, noise| {
            let config = Nat { other_traffic: noise, ..nat(KINDS[2], KINDS[0], assignment) };
            let mut translator = start(Middlebox::Nat(config), seed);
            let first =
                [0, 1, 2].map(|n| translator.outward(START, at(INSIDE[0], 4_000), remotes()[n]).port());
            let later = translator.outward(START + SECOND, at(INSIDE[1], 4_000), remotes()[0]).port();
            (first, later)
        };
        // The first one has its own port; the others collide with it.
        let (first, _) = ports(PortAssignment::Preserved, 0.0);
        assert_eq!((first[0], first[2]), (4_000, first[1].checked_add(1).unwrap_or(1_024)));
        assert_ne!(first[1], 4_000);

        for stride in [1, 2, 7] {
            let (first, later) = ports(PortAssignment::Sequential(stride), 0.0);
            let steps = [(first[0], first[1]), (first[1], first[2]), (first[2], later)];
            for (port, next) in steps.into_iter().filter(|(port, next)| next > port) {
                assert_eq!(next - port, stride);
            }
            assert!(
                steps.iter().filter(|(port, next)| next < port).count() <= 1,
                "the lowest follows the highest"
            );
        }
        // Others take about a hundred ports in a second.
        let (first, later) = ports(PortAssignment::Sequential(1), 100.0);
        let passed = later.checked_sub(first[2]).unwrap_or_else(|| later - 1_024 + (u16::MAX - first[2]));
        assert!((40..180).contains(&passed), "{passed}");

        let (first, later) = ports(PortAssignment::Random, 0.0);
        assert!(first.iter().all(|port| *port >= 1_024 && *port != later));
        assert_ne!(first[1].wrapping_sub(first[0]), 1);
    });
}

#[test]
fn a_nat_gives_each_port_once() {
    let mut translator = start(Middlebox::Nat(nat(KINDS[2], KINDS[0], PortAssignment::Random)), 1);
    let mut ports = std::collections::BTreeSet::new();
    for port in 0..2_000 {
        ports.insert(translator.outward(START, at(INSIDE[0], 4_000), at([45, 80, 0, 9], port)));
    }
    assert_eq!(ports.len(), 2_000);
}

#[test]
fn silence_ends_a_mapping_and_what_it_lets_in() {
    for_seeds(50, |seed| {
        let idle = 20 * SECOND;
        let inside = at(INSIDE[0], 4_000);
        let [remote, _, other] = remotes();
        for middlebox in [
            Middlebox::Nat(Nat { idle, ..nat(KINDS[0], KINDS[2], PortAssignment::Random) }),
            Middlebox::Masquerade(Masquerade { idle, rejects: false }),
            Middlebox::Firewall(Firewall { idle, ..Firewall::new(true) }),
        ] {
            let mut translator = start(middlebox, seed);
            let outside = translator.outward(START, inside, remote);
            let soon = START + (idle - SECOND);
            assert_eq!(translator.inward(soon, remote, outside), Some(inside));
            // What comes in does not keep it open. What goes to another address keeps the mapping, not the remote address.
            translator.outward(soon, inside, other);
            let late = START + idle;
            assert_eq!(translator.inward(late, remote, outside), None, "{middlebox:?}");
            let at_late = translator.outward(late, inside, remote);
            assert_eq!(at_late, outside, "{middlebox:?}: the mapping is still in use");
            assert_eq!(translator.inward(late, remote, outside), Some(inside));
        }
        let mut translator =
            start(Middlebox::Nat(Nat { idle, ..nat(KINDS[0], KINDS[0], PortAssignment::Random) }), seed);
        let outside = translator.outward(START, inside, remote);
        let late = START + idle;
        assert_eq!(translator.inward(late, remote, outside), None);
        assert_ne!(translator.outward(late, inside, remote), outside);
    });
}

#[test]
fn a_lifetime_ends_a_mapping_in_use() {
    let config =
        Nat { lifetime: Some(50 * SECOND), ..nat(KINDS[0], KINDS[0], PortAssignment::Sequential(1)) };
    let mut translator = start(Middlebox::Nat(config), 1);
    let ports =
        (0..51).map(|second| translator.outward(START + second * SECOND, at(INSIDE[0], 4_000), remotes()[0]));
    let ports: Vec<_> = ports.collect();
    assert!(ports[..50].iter().all(|port| *port == ports[0]));
    assert_ne!(ports[50], ports[0]);
}

#[test]
fn a_restart_forgets_all_and_gives_other_ports() {
    for_seeds(50, |seed| {
        let inside = at(INSIDE[0], 4_000);
        for middlebox in [Middlebox::Nat(Nat::HOME), Middlebox::Masquerade(Masquerade::new(true))] {
            let mut translator = start(middlebox, seed);
            let outside = translator.outward(START, inside, remotes()[0]);
            assert_eq!(outside.port(), 4_000);
            translator.restart();
            assert_eq!(translator.inward(START, remotes()[0], outside), None);
            assert_ne!(translator.outward(START, inside, remotes()[0]), outside);
        }
    });
}

#[test]
fn linux_preserves_ports_unless_another_flow_has_them() {
    for_seeds(50, |seed| {
        let mut router = start(Middlebox::Masquerade(Masquerade::new(false)), seed);
        let [first, second] = INSIDE.map(|ip| at(ip, 4_000));
        let outside = at(OUTSIDE, 4_000);
        for remote in remotes() {
            assert_eq!(
                router.outward(START, first, remote),
                outside,
                "it is the same for all remote addresses"
            );
            assert_eq!(router.inward(START, remote, outside), Some(first));
        }
        let other = router.outward(START, second, remotes()[0]);
        assert_ne!(other, outside, "the port is taken for this remote address");
        assert_eq!(router.inward(START, remotes()[0], other), Some(second));
        assert_eq!(router.inward(START, remotes()[1], other), None);
        assert_eq!(
            router.outward(START, second, at([45, 80, 0, 9], 700)),
            outside,
            "it is free for another one"
        );
    });
}

#[test]
fn linux_that_rejects_remembers_what_came_early() {
    for_seeds(50, |seed| {
        let inside = at(INSIDE[0], 4_000);
        let outside = at(OUTSIDE, 4_000);
        let [early, other, _] = remotes();
        for rejects in [false, true] {
            let mut router = start(Middlebox::Masquerade(Masquerade::new(rejects)), seed);
            assert_eq!(router.inward(START, early, outside), None);
            assert_eq!(router.outward(START + SECOND, inside, early) == outside, !rejects);
            assert_eq!(router.outward(START + SECOND, inside, other), outside);
        }
        let mut router = start(Middlebox::Masquerade(Masquerade::new(true)), seed);
        router.inward(START, early, outside);
        assert_eq!(router.outward(START + 30 * SECOND, inside, early), outside, "it has forgotten");
        // What was expected is not remembered.
        assert_eq!(router.inward(START + 31 * SECOND, early, outside), Some(inside));
        assert_eq!(router.outward(START + 32 * SECOND, inside, early), outside);
    });
}

#[test]
fn by_a_port_that_was_asked_for_everybody_gets_in() {
    for_seeds(50, |seed| {
        for mapping in KINDS {
            let mut translator = start(Middlebox::Nat(nat(mapping, KINDS[2], PortAssignment::Random)), seed);
            let [server, other, third] = remotes();
            let inside = at(INSIDE[0], 4_000);
            let before = translator.outward(START, inside, server);
            let asked = translator.map(START, inside).unwrap();
            assert_ne!(asked, before);
            for remote in remotes() {
                assert_eq!(translator.inward(START, remote, asked), Some(inside));
            }
            assert_eq!(translator.outward(START, inside, server), before, "what is in use stays");
            let independent = mapping == Dependence::EndpointIndependent;
            assert_eq!(translator.outward(START, inside, third) == asked, !independent);
            assert_eq!(translator.inward(START + 100 * SECOND, other, asked), Some(inside));
            assert_ne!(translator.outward(START, at(INSIDE[1], 4_000), other), asked);
            translator.restart();
            assert_eq!(translator.inward(START, other, asked), None);
        }
        let mut linux = start(Middlebox::Masquerade(Masquerade::new(false)), seed);
        assert_eq!(linux.map(START, at(INSIDE[0], 4_000)), None);
    });
}
