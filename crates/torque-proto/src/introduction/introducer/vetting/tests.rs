use alloc::format;
use alloc::vec;

use super::*;
use crate::crypto::testing::for_seeds;

const NAMED: [CandidateKind; 2] = [CandidateKind::Interface, CandidateKind::Mapped];

fn socket(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), 4_000)
}

fn seen(ips: &[&str]) -> Seen {
    let [first, others @ ..] = ips else { panic!("no address") };
    let others: Vec<Address> = others.iter().map(|ip| socket(ip).into()).collect();
    Seen::new(&socket(first).into(), &others).unwrap()
}

/// Returns whether a party seen at `of` may name `ip` to a party seen at `to`.
fn passes_named(of: &[&str], ip: &str, to: &[&str]) -> bool {
    let candidate = |kind| Candidate { kind, address: SocketAddr::new(ip.parse().unwrap(), 5_000) };
    let passed = NAMED.map(|kind| {
        let told = vet(Some(&seen(of)), &[candidate(kind)], Some(&seen(to)));
        told.iter().any(|told| told.kind == kind)
    });
    assert_eq!(passed[0], passed[1]);
    passed[0]
}

#[test]
fn a_public_ipv4_address_passes_if_the_party_is_seen_there_with_any_port() {
    for to in ["198.51.100.9", "2001:db8:5::1", "192.168.1.9", "127.0.0.1"] {
        assert!(passes_named(&["198.51.100.1"], "198.51.100.1", &[to]));
        assert!(passes_named(&["2001:db8::1", "198.51.100.1"], "198.51.100.1", &[to]), "another valid path");
        assert!(passes_named(&["198.51.100.1"], "::ffff:198.51.100.1", &[to]), "IPv4-mapped");
        assert!(!passes_named(&["198.51.100.1"], "198.51.100.2", &[to]));
        assert!(!passes_named(&["192.168.1.1"], "198.51.100.2", &[to]));
    }
    // Seeing the victim itself helps nobody.
    assert!(!passes_named(&["198.51.100.1"], "198.51.100.9", &["198.51.100.9"]));
}

#[test]
fn an_ipv6_address_passes_in_a_64_of_an_observed_one() {
    for to in ["198.51.100.9", "2001:db8:5::1"] {
        assert!(passes_named(&["2001:db8:1:2::1"], "2001:db8:1:2:ffff::7", &[to]));
        assert!(passes_named(&["198.51.100.1", "2001:db8:1:2::1"], "2001:db8:1:2:ffff::7", &[to]));
        assert!(!passes_named(&["2001:db8:1:2::1"], "2001:db8:1:3::1", &[to]));
        assert!(!passes_named(&["198.51.100.1"], "2001:db8:1:3::1", &[to]));
        // A /64 that holds the whole Internet is nobody's.
        for (own, other) in [
            ("64:ff9b::c633:6401", "64:ff9b::c633:6402"),
            ("64:ff9b:1::1", "64:ff9b:1::2"),
            ("2001:0:1:2::1", "2001:0:1:2::2"),
        ] {
            assert!(passes_named(&[own], own, &[to]));
            assert!(!passes_named(&[own], other, &[to]), "{other}");
        }
    }
}

#[test]
fn private_addresses_pass_to_a_party_with_the_same_public_one_and_among_local_parties() {
    let private = [
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.1",
        "192.168.7.7",
        "100.64.0.1",
        "100.127.255.1",
        "fd00::1",
        "fc12::9",
    ];
    for ip in private {
        for to in ["198.51.100.1", "::ffff:198.51.100.1"] {
            assert!(passes_named(&["198.51.100.1"], ip, &[to]), "{ip}: same IPv4 address");
        }
        assert!(passes_named(&["2001:db8::1"], ip, &["2001:db8::2"]), "{ip}: same /64");
        assert!(
            passes_named(&["2001:db8::1", "198.51.100.1"], ip, &["198.51.100.1"]),
            "{ip}: another valid path"
        );
        assert!(
            passes_named(&["198.51.100.1"], ip, &["2001:db8::1", "198.51.100.1"]),
            "{ip}: another valid path"
        );
        for local in ["127.0.0.1", "::1", "10.0.0.1", "192.168.0.1", "100.64.7.7", "fd11::1"] {
            for other in ["127.0.0.1", "::1", "10.0.0.9", "192.168.9.1", "100.64.7.8", "fd99::1"] {
                assert!(passes_named(&[local], ip, &[other]), "{ip}: {local} and {other}");
            }
            assert!(!passes_named(&[local], ip, &["198.51.100.1"]), "{ip}: only one is local");
            assert!(!passes_named(&["198.51.100.1"], ip, &[local]), "{ip}: only one is local");
        }
        assert!(!passes_named(&["198.51.100.1"], ip, &["198.51.100.2"]), "{ip}");
        assert!(!passes_named(&["2001:db8::1"], ip, &["2001:db8:0:1::2"]), "{ip}");
        assert!(!passes_named(&["64:ff9b::1"], ip, &["64:ff9b::2"]), "{ip}: a shared /64");
        // Two parties may have the same private address in different houses.
        assert!(!passes_named(&["198.51.100.1", "10.0.0.1"], ip, &["198.51.100.2", "10.0.0.1"]), "{ip}");
    }
    for ip in ["172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "fb00::1"] {
        assert!(!passes_named(&["198.51.100.1"], ip, &["198.51.100.1"]), "{ip} is public");
    }
}

#[test]
fn loopback_passes_only_among_local_parties() {
    for ip in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert!(passes_named(&["127.0.0.1"], ip, &["127.0.0.1"]), "{ip}");
        assert!(passes_named(&["::1"], ip, &["127.0.0.1"]), "{ip}");
        assert!(passes_named(&["192.168.0.1"], ip, &["127.0.0.1"]), "{ip}");
        assert!(!passes_named(&["198.51.100.1"], ip, &["198.51.100.1"]), "{ip}: same public address");
        assert!(!passes_named(&["127.0.0.1"], ip, &["198.51.100.1"]), "{ip}");
        assert!(!passes_named(&["198.51.100.1"], ip, &["127.0.0.1"]), "{ip}");
    }
}

#[test]
fn addresses_that_no_party_has_never_pass_even_if_it_is_seen_there() {
    let never = [
        "0.0.0.0",
        "0.1.2.3",
        "169.254.1.1",
        "224.0.0.251",
        "239.1.2.3",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::7",
        "::10.0.0.1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "::ffff:0.0.0.0",
        "::ffff:224.0.0.1",
        "::ffff:169.254.1.1",
    ];
    for ip in never {
        for place in ["198.51.100.1", "2001:db8::1", "127.0.0.1", "::1", "192.168.0.1", ip] {
            assert!(!passes_named(&[place], ip, &[place]), "{ip} of {place}");
            assert!(!passes_named(&["198.51.100.1", place], ip, &["198.51.100.1"]), "{ip} of {place}");
        }
    }
}

#[test]
fn a_port_of_0_and_the_introducers_own_kinds_are_taken_from_no_party() {
    let (of, to) = (seen(&["198.51.100.1"]), seen(&["198.51.100.2"]));
    let observed = Candidate { kind: CandidateKind::Observed, address: socket("198.51.100.1") };
    let named = |kind, port| Candidate { kind, address: SocketAddr::new(observed.address.ip(), port) };
    for candidate in [
        named(CandidateKind::Interface, 0),
        named(CandidateKind::Mapped, 0),
        named(CandidateKind::Observed, 5_000),
    ] {
        assert_eq!(vet(Some(&of), &[candidate], Some(&to)), [observed], "{candidate:?}");
    }
    let no_port = Seen::new(&SocketAddr::new(observed.address.ip(), 0).into(), &[]).unwrap();
    assert_eq!(vet(Some(&no_port), &[], Some(&to)), []);
}

#[test]
fn the_observed_address_comes_first_and_nothing_comes_twice_or_beyond_eight() {
    let (of, to) = (seen(&["198.51.100.1"]), seen(&["198.51.100.2"]));
    let named = |port| Candidate {
        kind: CandidateKind::Mapped,
        address: SocketAddr::new("198.51.100.1".parse().unwrap(), port),
    };
    let twice = [named(4_000), named(4_001), named(4_001)];
    let told = vet(Some(&of), &twice, Some(&to));
    assert_eq!(told, [Candidate { kind: CandidateKind::Observed, ..named(4_000) }, named(4_001)]);
    let many: Vec<_> = (1..=8).map(named).collect();
    let told = vet(Some(&of), &many, Some(&to));
    assert_eq!(told.len(), MAX_CANDIDATES);
    assert_eq!(told[0].kind, CandidateKind::Observed);
    assert_eq!(told[1..], many[..7]);
}

#[test]
fn an_observed_address_goes_only_where_it_is_of_use() {
    let is_told = |of: &str, to: &str| {
        let told = vet(Some(&seen(&[of])), &[], Some(&seen(&[to])));
        assert!(told.iter().all(|told| told.address == plain(socket(of))));
        !told.is_empty()
    };
    for to in ["198.51.100.2", "2001:db8::1", "127.0.0.1", "192.168.0.1", "169.254.1.1"] {
        assert!(is_told("198.51.100.1", to));
        assert!(is_told("2001:db8:9::1", to));
        assert!(!is_told("fe80::1", to));
        assert!(!is_told("224.0.0.1", to));
        assert!(!is_told("169.254.1.9", to));
        assert_eq!(is_told("192.168.0.9", to), ["127.0.0.1", "192.168.0.1"].contains(&to));
        assert_eq!(is_told("127.0.0.1", to), ["127.0.0.1", "192.168.0.1"].contains(&to));
    }
}

#[test]
fn a_party_without_an_ip_address_names_none_and_is_named_none() {
    assert!(Seen::new(&Address::from_virtual(7), &[]).is_none());
    assert!(Seen::new(&Address::from_circuit(7), &[socket("198.51.100.1").into()]).is_none());
    let (of, named) = (
        seen(&["198.51.100.1"]),
        [Candidate { kind: CandidateKind::Mapped, address: socket("198.51.100.1") }],
    );
    assert_eq!(vet(None, &named, Some(&of)), []);
    assert_eq!(vet(Some(&of), &named, None), []);
}

#[test]
fn whatever_is_named_only_the_observed_public_networks_pass_to_a_stranger() {
    for_seeds(200, |rng| {
        let ip = |rng: &mut crate::crypto::rng::Rng| -> IpAddr {
            match rng.below(3) {
                0 => rng.array::<4>().into(),
                1 => rng.array::<16>().into(),
                // Near the interesting limits.
                _ => {
                    let first = [0, 10, 100, 127, 169, 172, 192, 198, 223, 224, 255][rng.below(11) as usize];
                    let second = [0, 15, 16, 31, 32, 51, 63, 64, 127, 128, 168, 254][rng.below(12) as usize];
                    [first, second, 100, 1].into()
                }
            }
        };
        let named: Vec<_> = (0..8)
            .map(|_| Candidate {
                kind: NAMED[rng.below(2) as usize],
                address: SocketAddr::new(ip(rng), rng.below(3) as u16),
            })
            .collect();
        let (of, to) = (seen(&["198.51.100.1", "2001:db8:1:2::1"]), seen(&["203.0.113.1"]));
        for told in &vet(Some(&of), &named, Some(&to))[1..] {
            let text = format!("{}", told.address.ip());
            assert!(text == "198.51.100.1" || text.starts_with("2001:db8:1:2:"), "{told:?}");
            assert_ne!(told.address.port(), 0);
        }
    });
}

#[test]
fn what_is_passed_on_has_no_scope() {
    let scoped =
        |scope| SocketAddr::V6(core::net::SocketAddrV6::new("2001:db8::1".parse().unwrap(), 4_000, 3, scope));
    let of = Seen::new(&scoped(2).into(), &[]).unwrap();
    let named = vec![Candidate { kind: CandidateKind::Interface, address: scoped(9) }];
    let told = vet(Some(&of), &named, Some(&seen(&["198.51.100.2"])));
    assert_eq!(told, [Candidate { kind: CandidateKind::Observed, address: socket("2001:db8::1") }]);
}
