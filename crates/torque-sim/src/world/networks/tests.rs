use std::time::Duration;

use super::*;
use crate::nat::{Dependence, Firewall, Masquerade, Nat, PortAssignment};
use crate::world::Fate;
use crate::world::World;
use crate::world::probe::{ANSWER, Probe, QUESTION, world};
use crate::{LinkConfig, for_seeds};

const MS: Duration = Duration::from_millis(1);

/// An open NAT: everybody reaches its nodes.
const OPEN: Nat =
    Nat::new(Dependence::EndpointIndependent, Dependence::EndpointIndependent, PortAssignment::Random);

fn send(world: &mut World<Probe>, from: NodeId, to: Address, hop_limit: Option<u8>, bytes: &[u8]) {
    world.with(from, |probe, _| probe.send(to, hop_limit, bytes));
    world.run_for(100 * MS);
}

/// The sources of all that a node received, and its contents.
fn received(world: &mut World<Probe>, node: NodeId) -> Vec<(Address, Vec<u8>)> {
    std::iter::from_fn(|| world.next_event(node)).collect()
}

/// The address under which a server in the core sees the node.
fn observed(world: &mut World<Probe>, node: NodeId, server: NodeId) -> Address {
    let to = world.address(server);
    send(world, node, to, None, b"who am I");
    received(world, server).pop().expect("the server is reached").0
}

fn ip(address: Address) -> IpAddr {
    address.socket_addr().unwrap().ip()
}

#[test]
fn a_question_from_behind_boxes_is_answered() {
    for_seeds(20, |seed| {
        let mut world = world(seed);
        let server = world.add_in(NetworkId::CORE, Probe::new);
        let to = world.address(server);
        let nat = Middlebox::Nat(Nat::HOME);
        for boxes in [
            vec![],
            vec![nat],
            vec![nat, nat, nat],
            vec![Middlebox::Masquerade(Masquerade::new(true)), nat],
            vec![Middlebox::Firewall(Firewall::new(false)), nat, Middlebox::Firewall(Firewall::new(false))],
            vec![Middlebox::Firewall(Firewall::new(true)), Middlebox::Firewall(Firewall::new(true))],
        ] {
            let network = boxes
                .iter()
                .fold(NetworkId::CORE, |outside, middlebox| world.add_network(outside, *middlebox));
            let node = world.add_in(network, Probe::new);
            send(&mut world, node, to, None, QUESTION);
            assert_eq!(received(&mut world, node), [(to, ANSWER.to_vec())], "{boxes:?}");
            let seen = received(&mut world, server).pop().unwrap().0;
            let translated = boxes.iter().any(Middlebox::translates);
            assert_eq!(seen == world.address(node), !translated, "{boxes:?}");
            assert_eq!(world.owner(world.address(node)).is_some(), boxes.is_empty());
        }
    });
}

#[test]
fn homes_have_the_same_private_addresses() {
    let mut world = world(1);
    let homes = [0, 1].map(|_| world.add_network(NetworkId::CORE, Middlebox::Nat(OPEN)));
    let nodes = homes.map(|home| world.add_in(home, Probe::new));
    assert_eq!(world.address(nodes[0]), world.address(nodes[1]));
    assert_ne!(world.external_ip(homes[0]), world.external_ip(homes[1]));
    let server = world.add_in(NetworkId::CORE, Probe::new);
    let seen = nodes.map(|node| observed(&mut world, node, server));
    for (node, other) in [(0, 1), (1, 0)] {
        send(&mut world, nodes[node], seen[other], None, b"hello");
        assert_eq!(received(&mut world, nodes[other]), [(seen[node], b"hello".to_vec())]);
    }
    // Nobody is at a private address in the core, and the sender does not hear itself.
    let private = Address::from(SocketAddr::new(Ipv4Addr::new(192, 168, 9, 9).into(), 4_000));
    send(&mut world, nodes[0], private, None, b"hello");
    assert!(nodes.iter().all(|node| received(&mut world, *node).is_empty()));
}

#[test]
fn nodes_of_one_network_reach_each_other_without_its_box() {
    let mut world = world(2);
    let home = world.add_network(NetworkId::CORE, Middlebox::Nat(Nat::HOME));
    let [one, other] = [0, 1].map(|_| world.add_in(home, Probe::new));
    let addresses = [one, other].map(|node| world.address(node));
    world.with(one, |probe, _| probe.send(addresses[1], Some(1), b"hello"));
    world.run_for(MS);
    assert_eq!(received(&mut world, other), [(addresses[0], b"hello".to_vec())], "within a millisecond");
}

#[test]
fn a_box_that_hairpins_leads_back_in_with_outside_addresses() {
    for_seeds(20, |seed| {
        for hairpinning in [false, true] {
            for carrier in [false, true] {
                let mut world = world(seed);
                let server = world.add_in(NetworkId::CORE, Probe::new);
                let shared = world.add_network(NetworkId::CORE, Middlebox::Nat(Nat { hairpinning, ..OPEN }));
                // With a carrier's NAT each node has a home.
                let nodes = [0, 1].map(|_| {
                    let network = match carrier {
                        true => world.add_network(shared, Middlebox::Nat(OPEN)),
                        false => shared,
                    };
                    world.add_in(network, Probe::new)
                });
                let seen = nodes.map(|node| observed(&mut world, node, server));
                assert_eq!(ip(seen[0]), ip(seen[1]));
                send(&mut world, nodes[0], seen[1], None, b"hello");
                let expected = if hairpinning { vec![(seen[0], b"hello".to_vec())] } else { vec![] };
                assert_eq!(received(&mut world, nodes[1]), expected, "carrier: {carrier}");
            }
        }
    });
}

#[test]
fn each_router_takes_a_hop() {
    let mut world = world(3);
    world.set_core_hops(4);
    let server = world.add_in(NetworkId::CORE, Probe::new);
    let to = world.address(server);
    let networks = [0, 1].map(|_| {
        let outer = world.add_network(NetworkId::CORE, Middlebox::Nat(OPEN));
        world.add_network(outer, Middlebox::Nat(OPEN))
    });
    let nodes = networks.map(|network| world.add_in(network, Probe::new));
    // Two boxes and four routers of the core are on the way to the server; two boxes more to the other node.
    for limit in 1..12 {
        send(&mut world, nodes[0], to, Some(limit), b"hello");
        assert_eq!(received(&mut world, server).len(), usize::from(limit > 6), "hop limit {limit}");
    }
    let there = observed(&mut world, nodes[1], server);
    for limit in 1..12 {
        send(&mut world, nodes[0], there, Some(limit), b"hello");
        assert_eq!(received(&mut world, nodes[1]).len(), usize::from(limit > 8), "hop limit {limit}");
    }
    send(&mut world, server, there, Some(5), b"hello");
    assert!(received(&mut world, nodes[1]).is_empty(), "it came to the first box, and not further");
}

#[test]
fn a_hop_limit_opens_the_boxes_that_a_datagram_passes() {
    for_seeds(20, |seed| {
        let mut world = world(seed);
        let strict = Nat { filtering: Dependence::AddressAndPortDependent, ..OPEN };
        let [carrier, home] = [strict, strict].map(Middlebox::Nat);
        let carrier = world.add_network(NetworkId::CORE, carrier);
        let home = world.add_network(carrier, home);
        let node = world.add_in(home, Probe::new);
        let [server, other] = [0, 1].map(|_| world.add_in(NetworkId::CORE, Probe::new));
        let seen = observed(&mut world, node, server);
        let to = world.address(other);
        // One hop opens nothing, two open the home's NAT alone, three open both; none of them arrives.
        for (limit, is_open) in [(1, false), (2, false), (3, true)] {
            send(&mut world, node, to, Some(limit), b"");
            assert!(received(&mut world, other).is_empty());
            send(&mut world, other, seen, None, b"hello");
            assert_eq!(received(&mut world, node).len(), usize::from(is_open), "hop limit {limit}");
        }
    });
}

#[test]
fn nodes_move_between_networks_and_boxes_restart() {
    for_seeds(20, |seed| {
        let mut world = world(seed);
        let server = world.add_in(NetworkId::CORE, Probe::new);
        let node = world.add_in(NetworkId::CORE, Probe::new);
        let public = observed(&mut world, node, server);
        assert_eq!(public, world.address(node));
        let home = world.add_network(NetworkId::CORE, Middlebox::Nat(Nat::HOME));
        world.move_to_network(node, home);
        let at_home = observed(&mut world, node, server);
        assert_eq!(Some(ip(at_home)), world.external_ip(home));
        world.restart_box(home);
        send(&mut world, server, at_home, None, b"hello");
        send(&mut world, server, public, None, b"hello");
        assert!(received(&mut world, node).is_empty());
        assert_ne!(observed(&mut world, node, server), at_home);
        world.move_to_network(node, NetworkId::CORE);
        let back = observed(&mut world, node, server);
        assert!(back == world.address(node) && back != public);
    });
}

#[test]
fn links_partitions_and_the_tap_apply_to_nodes_behind_boxes() {
    let mut world = world(4);
    let server = world.add_in(NetworkId::CORE, Probe::new);
    let home = world.add_network(NetworkId::CORE, Middlebox::Nat(Nat::HOME));
    let node = world.add_in(home, Probe::new);
    let (to, private) = (world.address(server), world.address(node));
    let seen = observed(&mut world, node, server);
    let mut slow = LinkConfig::perfect();
    slow.delay = 300 * MS;
    world.set_link(server, node, slow);
    send(&mut world, server, seen, None, b"hello");
    assert!(received(&mut world, node).is_empty());
    world.run_for(210 * MS);
    assert_eq!(received(&mut world, node).len(), 1);
    world.set_partition(server, node, true);
    send(&mut world, server, seen, None, b"hello");
    send(&mut world, node, to, None, b"hello");
    world.run_for(300 * MS);
    assert!(received(&mut world, node).is_empty() && received(&mut world, server).is_empty());
    world.set_partition(server, node, false);
    world.set_tap(move |passing| {
        assert!(passing.from != private && passing.to != private);
        Fate::Hold(50 * MS)
    });
    send(&mut world, server, seen, None, QUESTION);
    assert_eq!(received(&mut world, node).len(), 1);
    assert_eq!(received(&mut world, server), [(seen, ANSWER.to_vec())]);
}
