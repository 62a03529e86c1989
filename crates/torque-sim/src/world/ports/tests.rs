use std::time::Duration;

use super::*;
use crate::for_seeds;
use crate::nat::{Dependence, Middlebox, Nat, PortAssignment};
use crate::world::NetworkId;
use crate::world::probe::{ANSWER, Probe, QUESTION, world};

const MS: Duration = Duration::from_millis(1);

fn open(world: &mut World<Probe>, node: NodeId, ports: &[u16]) {
    world.with(node, |probe, _| ports.iter().for_each(|port| probe.ask(PortRequest::Open(*port))));
}

fn close(world: &mut World<Probe>, node: NodeId, port: u16) {
    world.with(node, |probe, _| probe.ask(PortRequest::Close(port)));
}

fn send(world: &mut World<Probe>, from: NodeId, port: u16, to: Address, bytes: &[u8]) {
    world.with(from, |probe, _| probe.send_from(port, to, bytes));
    world.run_for(100 * MS);
}

fn received(world: &mut World<Probe>, node: NodeId) -> Vec<(Address, Vec<u8>)> {
    std::iter::from_fn(|| world.next_event(node)).collect()
}

fn ports(world: &mut World<Probe>, node: NodeId) -> Vec<u16> {
    world.with(node, |probe, _| std::mem::take(&mut probe.ports))
}

/// Asks from a port, and returns the address under which the server saw it.
fn ask(world: &mut World<Probe>, from: NodeId, port: u16, server: NodeId) -> Option<Address> {
    let to = world.address(server);
    send(world, from, port, to, QUESTION);
    received(world, server).pop().map(|(source, _)| source)
}

#[test]
fn a_further_port_has_an_address_of_its_own_until_it_is_closed() {
    for_seeds(20, |seed| {
        for boxes in [&[][..], &[Middlebox::Nat(Nat::HOME)]] {
            let mut world = world(seed);
            let server = world.add_in(NetworkId::CORE, Probe::new);
            let network = boxes
                .iter()
                .fold(NetworkId::CORE, |outside, middlebox| world.add_network(outside, *middlebox));
            let node = world.add_in(network, Probe::new);
            assert_eq!(ask(&mut world, node, 7, server), None, "it is not open yet");
            open(&mut world, node, &[7, 8]);
            assert_eq!(world.further_ports(node), 2);
            let seen = [0, 7, 8].map(|port| ask(&mut world, node, port, server).unwrap());
            assert!(seen[0] != seen[1] && seen[0] != seen[2] && seen[1] != seen[2]);
            assert!(seen.iter().all(|address| {
                address.socket_addr().unwrap().ip() == seen[0].socket_addr().unwrap().ip()
            }));
            assert_eq!(received(&mut world, node).len(), 3);
            assert_eq!(ports(&mut world, node), [0, 7, 8]);
            close(&mut world, node, 7);
            assert_eq!(world.further_ports(node), 1);
            send(&mut world, server, 0, seen[1], ANSWER);
            assert_eq!(ask(&mut world, node, 7, server), None);
            assert!(received(&mut world, node).is_empty());
            // The number may be used again, for another port of the machine.
            open(&mut world, node, &[7]);
            assert_ne!(ask(&mut world, node, 7, server), Some(seen[1]));
            assert_eq!(ask(&mut world, node, 8, server), Some(seen[2]));
        }
    });
}

/// Each further port has a mapping. A NAT with sequential ports gives the next ones, as far as others leave them.
#[test]
fn nats_give_further_ports_what_they_give_others() {
    for_seeds(50, |seed| {
        let steps = |assignment, other_traffic| {
            let mut world = world(seed);
            let server = world.add_in(NetworkId::CORE, Probe::new);
            let independent = Dependence::EndpointIndependent;
            let nat = Nat { other_traffic, ..Nat::new(independent, independent, assignment) };
            let home = world.add_network(NetworkId::CORE, Middlebox::Nat(nat));
            let node = world.add_in(home, Probe::new);
            open(&mut world, node, &[1, 2, 3, 4]);
            let seen = [1, 2, 3, 4].map(|port| {
                let address = ask(&mut world, node, port, server).unwrap();
                i32::from(address.socket_addr().unwrap().port())
            });
            [seen[1] - seen[0], seen[2] - seen[1], seen[3] - seen[2]]
        };
        let wraps = |step: &i32| *step < 0;
        assert!(steps(PortAssignment::Sequential(3), 0.0).iter().all(|step| *step == 3 || wraps(step)));
        // A tenth of a second lies between two of them.
        let busy = steps(PortAssignment::Sequential(1), 1_000.0);
        assert!(busy.iter().all(|step| (50..160).contains(step) || wraps(step)), "{busy:?}");
        let random = steps(PortAssignment::Random, 0.0);
        assert!(random.iter().any(|step| step.abs() > 200), "{random:?}");
    });
}

#[test]
fn an_observing_port_is_one_of_the_same_address_or_of_another_one() {
    for own_ip in [false, true] {
        let mut world = world(1);
        let [server, client] = [(); 2].map(|()| world.add_in(NetworkId::CORE, Probe::new));
        let bound = world.address(server).socket_addr().unwrap();
        let second = world.add_observing_port(server, own_ip);
        assert!(second != bound && (second.ip() == bound.ip()) != own_ip);
        send(&mut world, client, 0, second.into(), QUESTION);
        assert_eq!(ports(&mut world, server), [OBSERVING_PORT]);
        assert_eq!(received(&mut world, client), [(second.into(), ANSWER.to_vec())]);
        assert_eq!(world.further_ports(server), 0, "nobody asked for it");
        world.crash(server);
        world.restart(server, Probe::new);
        send(&mut world, client, 0, second.into(), QUESTION);
        assert_eq!(received(&mut world, client).len(), 1, "it outlives the process");
    }
}

#[test]
fn further_ports_move_with_their_machine_and_end_with_their_process() {
    for_seeds(20, |seed| {
        let mut world = world(seed);
        let [server, node] = [(); 2].map(|()| world.add_in(NetworkId::CORE, Probe::new));
        open(&mut world, node, &[1]);
        let old = ask(&mut world, node, 1, server).unwrap();
        let home = world.add_network(NetworkId::CORE, Middlebox::Nat(Nat::HOME));
        world.move_to_network(node, home);
        received(&mut world, node);
        send(&mut world, server, 0, old, ANSWER);
        assert!(received(&mut world, node).is_empty());
        let at_home = ask(&mut world, node, 1, server).unwrap();
        assert_eq!(Some(at_home.socket_addr().unwrap().ip()), world.external_ip(home));
        assert_eq!(at_home.socket_addr().unwrap().port(), old.socket_addr().unwrap().port());
        assert_eq!(received(&mut world, node).len(), 1);
        world.move_to_network(node, NetworkId::CORE);
        let before = ask(&mut world, node, 1, server).unwrap();
        world.rebind(node);
        assert_ne!(ask(&mut world, node, 1, server).unwrap(), before);
        world.crash(node);
        world.restart(node, Probe::new);
        assert_eq!(world.further_ports(node), 0);
        assert_eq!(ask(&mut world, node, 1, server), None);
        open(&mut world, node, &[1]);
    });
}

#[test]
#[should_panic(expected = "opens port 1 twice")]
fn a_node_that_opens_a_port_twice_is_found() {
    let mut world = world(1);
    let node = world.add_in(NetworkId::CORE, Probe::new);
    open(&mut world, node, &[1, 1]);
}

#[test]
#[should_panic(expected = "closes port 1")]
fn a_node_that_closes_what_is_not_open_is_found() {
    let mut world = world(1);
    let node = world.add_in(NetworkId::CORE, Probe::new);
    close(&mut world, node, 1);
}
