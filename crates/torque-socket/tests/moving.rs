//! Connections follow a client whose address changes under them (PATHS.md 7).
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;
#[path = "common/faces.rs"]
mod faces;
#[path = "common/nat.rs"]
mod nat;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use common::LIMIT;
use faces::{Face, faces};
use nat::Nat;
use torque_socket::{
    CloseCode, Config, ConnectOptions, ConnectionId, Delivery, Event, SendError, Sequence, Socket, Trust,
};

/// Within this time a connection works again. Without roaming it would not before its time-out, and so never.
const AGAIN: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

fn config() -> Config {
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(500);
    config
}

/// One end of a connection, and what it knows of its packets.
#[derive(Default)]
struct End {
    id: Option<ConnectionId>,
    /// The number in each packet that was sent, and when.
    sent: BTreeMap<Sequence, (u32, Instant)>,
    next: u32,
    received: BTreeSet<u32>,
    delivered: BTreeSet<u32>,
    dropped: BTreeSet<u32>,
    /// When the newest packet was sent that is known to be delivered.
    last_delivered: Option<Instant>,
    moved_to: Vec<SocketAddr>,
    closed: Option<CloseCode>,
}

impl End {
    fn send(&mut self, face: &mut dyn Face) {
        match face.calls().send(self.id.unwrap(), &self.next.to_be_bytes()) {
            Ok(sequence) => {
                self.sent.insert(sequence, (self.next, Instant::now()));
                self.next += 1;
            }
            Err(SendError::WindowFull | SendError::Blocked) => {}
            Err(error) => panic!("{error}"),
        }
        face.calls().flush();
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Packet { payload, .. } => {
                let number = u32::from_be_bytes(payload[..].try_into().unwrap());
                assert!(self.received.insert(number), "packet {number} came twice");
            }
            Event::Verdict { sequence, delivery, .. } => {
                let (number, at) = self.sent[&sequence];
                match delivery {
                    Delivery::Delivered => {
                        self.delivered.insert(number);
                        self.last_delivered = self.last_delivered.max(Some(at));
                    }
                    Delivery::Dropped => _ = self.dropped.insert(number),
                    Delivery::Unknown => panic!("the verdict on packet {number} is unknown"),
                }
            }
            Event::PathChanged { remote, .. } => self.moved_to.push(remote.socket_addr().unwrap()),
            Event::Close { code, .. } => self.closed = Some(code),
            other => panic!("{other:?}"),
        }
    }
}

/// A host with two clients: one behind a router, and another one that stays where it is.
struct World {
    host: Box<dyn Face>,
    clients: [Box<dyn Face>; 2],
    /// Of each client: its end, and the host's.
    ends: [(End, End); 2],
    nat: Nat,
}

impl World {
    fn new(wrap: faces::Wrap) -> Self {
        let mut host = wrap(Socket::builder().config(config()).bind("127.0.0.1:0").unwrap());
        let address = host.calls().local_addr();
        let nat = Nat::to(address);
        let clients = [(); 2].map(|()| wrap(Socket::builder().config(config()).client().unwrap()));
        let mut world = Self { host, clients, ends: Default::default(), nat };
        world.connect(0, world.nat.inner());
        world.connect(1, address);
        world
    }

    fn connect(&mut self, index: usize, address: SocketAddr) {
        let options = ConnectOptions::default().with_trust(Trust::Pinned(self.host.calls().public_key()));
        self.ends[index].0.id = Some(self.clients[index].calls().connect_with(&address, options).unwrap());
        let (begun, mut is_established) = (Instant::now(), false);
        while !is_established || self.ends[index].1.id.is_none() {
            assert!(begun.elapsed() < LIMIT, "no connection");
            match self.host.wait(Duration::from_millis(1)) {
                Some(Event::ConnectRequest(request)) => {
                    self.host.calls().accept_connection(request.connection, b"").unwrap();
                }
                Some(Event::Established { connection, .. }) => self.ends[index].1.id = Some(connection),
                None => {}
                other => panic!("{other:?}"),
            }
            match self.clients[index].wait(Duration::from_millis(1)) {
                Some(Event::Established { .. }) => is_established = true,
                None => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Drives everything for `PAUSE`.
    fn turn(&mut self) {
        let end = Instant::now() + PAUSE;
        while Instant::now() < end {
            while let Some(event) = self.host.wait(Duration::from_millis(1)) {
                let id = event.connection();
                let of = self.ends.iter_mut().find(|(_, at_host)| at_host.id == id);
                of.unwrap().1.note(event);
            }
            for (client, (end, _)) in self.clients.iter_mut().zip(&mut self.ends) {
                while let Some(event) = client.wait(Duration::from_millis(1)) {
                    end.note(event);
                }
            }
        }
    }

    fn run(&mut self, time: Duration, traffic: bool) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.exchange(traffic);
        }
    }

    fn exchange(&mut self, traffic: bool) {
        if traffic {
            for (client, (at_client, at_host)) in self.clients.iter_mut().zip(&mut self.ends) {
                at_client.send(client.as_mut());
                at_host.send(self.host.as_mut());
            }
        }
        self.turn();
    }

    /// Runs until `is_done`, which has to be soon.
    fn soon(&mut self, what: &str, traffic: bool, mut is_done: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !is_done(self) {
            assert!(begun.elapsed() < AGAIN, "not soon enough: {what}");
            self.exchange(traffic);
        }
    }

    fn end(mut self) {
        // Every verdict, and no false one.
        self.run(Duration::from_millis(400), false);
        for (at_client, at_host) in &self.ends {
            for (sender, receiver) in [(at_client, at_host), (at_host, at_client)] {
                assert_eq!(sender.delivered, receiver.received);
                assert_eq!(sender.delivered.len() + sender.dropped.len(), sender.sent.len());
                assert_eq!(sender.closed, None);
            }
        }
        let (at_client, at_host) = &self.ends[1];
        assert!(at_client.moved_to.is_empty() && at_host.moved_to.is_empty());
        assert!(at_client.dropped.is_empty() && at_host.dropped.is_empty(), "the other client lost packets");
    }
}

/// Has the router give another port three times.
fn follow(wrap: faces::Wrap, traffic: bool) {
    let mut world = World::new(wrap);
    for change in 1..=3 {
        world.run(Duration::from_millis(300), traffic);
        let (new, at) = (world.nat.rebind(), Instant::now());
        world.soon("the host follows", traffic, |world| world.ends[0].1.moved_to.len() == change);
        assert_eq!(world.ends[0].1.moved_to.last(), Some(&new));
        let id = world.ends[0].1.id.unwrap();
        assert_eq!(world.host.calls().peer(id).unwrap().address, new.into());
        // Packets sent after the change are delivered, in both directions.
        world.soon("packets are delivered", true, |world| {
            let (at_client, at_host) = &world.ends[0];
            at_client.last_delivered > Some(at) && at_host.last_delivered > Some(at)
        });
    }
    // The client still finds the host where it always was.
    assert_eq!(world.ends[0].0.moved_to, []);
    world.end();
}

#[test]
fn a_client_whose_port_changes_under_traffic_is_followed() {
    for (name, wrap) in faces() {
        eprintln!("{name}");
        follow(wrap, true);
    }
}

#[test]
fn a_client_whose_port_changes_while_it_is_silent_is_followed() {
    for (name, wrap) in faces() {
        eprintln!("{name}");
        follow(wrap, false);
    }
}

#[test]
fn a_host_whose_port_changes_is_followed_by_its_client_alone() {
    for (name, wrap) in faces() {
        eprintln!("{name}");
        let mut world = World::new(wrap);
        for change in 1..=2 {
            world.run(Duration::from_millis(300), true);
            let (new, at) = (world.nat.rebind_host(), Instant::now());
            world.soon("the client follows", true, |world| world.ends[0].0.moved_to.len() == change);
            assert_eq!(world.ends[0].0.moved_to.last(), Some(&new));
            world.soon("packets are delivered", true, |world| {
                let (at_client, at_host) = &world.ends[0];
                at_client.last_delivered > Some(at) && at_host.last_delivered > Some(at)
            });
        }
        world.end();
    }
}

#[test]
fn a_program_that_tells_of_a_change_is_found_before_its_next_ping() {
    for (name, wrap) in faces() {
        eprintln!("{name}");
        let mut patient = config();
        patient.ping_interval = Duration::from_secs(600);
        let mut host = wrap(Socket::builder().config(patient.clone()).bind("127.0.0.1:0").unwrap());
        let nat = Nat::to(host.calls().local_addr());
        let client = wrap(Socket::builder().config(patient).client().unwrap());
        let ends = Default::default();
        let idle = wrap(Socket::client().unwrap());
        let inner = nat.inner();
        let mut world = World { host, clients: [client, idle], ends, nat };
        world.connect(0, inner);
        world.run(Duration::from_millis(300), false);
        let new = world.nat.rebind();
        world.run(Duration::from_millis(300), false);
        assert_eq!(world.ends[0].1.moved_to, []);
        world.clients[0].network_changed();
        world.soon("the host follows", false, |world| world.ends[0].1.moved_to == [new]);
    }
}
