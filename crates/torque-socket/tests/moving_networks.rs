//! A machine that leaves one network for another keeps its connections (PATHS.md 6, 7).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;
#[path = "common/own_network.rs"]
mod own_network;

use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{LIMIT, connect_at, skip};
use own_network::{OwnNetwork, in_own_network, ip};
use torque_socket::{Builder, Config, ConnectionId, Delivery, Event, SendError, Socket};

/// Within this time a connection works again.
const AGAIN: Duration = Duration::from_secs(4);
/// Where the host is, on both ways.
const HOST: &str = "10.92.9.1";

/// Another machine, at the other end of two cables.
struct Neighbour {
    leave: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Neighbour {
    /// Also gives the host there.
    fn new() -> Result<(Self, Socket), String> {
        let (to_here, tid) = channel();
        let (leave, left) = channel::<()>();
        let (made, from_there) = channel();
        let thread = std::thread::spawn(move || {
            let _network = OwnNetwork::enter().unwrap();
            // SAFETY: asks for a number.
            to_here.send(unsafe { libc::gettid() }).unwrap();
            for number in [1, 2] {
                // Comes with the cable.
                let end = Instant::now() + LIMIT;
                while ip(&format!("link set there{number} up")).is_err() {
                    if Instant::now() > end {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                ip(&format!("addr add 10.92.{number}.2/24 dev there{number}")).unwrap();
            }
            ip(&format!("addr add {HOST}/32 dev lo")).unwrap();
            let builder = Socket::builder().config(config()).watch_network(false);
            made.send(builder.bind("0.0.0.0:0").unwrap()).unwrap();
            // A test that has failed is gone.
            let _ = left.recv();
        });
        let tid = tid.recv_timeout(LIMIT).map_err(|error| error.to_string())?;
        for number in [1, 2] {
            ip(&format!("link add here{number} type veth peer name there{number} netns {tid}"))?;
            join(number)?;
        }
        let host = from_there.recv_timeout(LIMIT).map_err(|error| error.to_string())?;
        Ok((Self { leave, thread: Some(thread) }, host))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.leave.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes an address in a network, and the way to the host there. The first network is preferred.
fn join(number: u8) -> Result<(), String> {
    ip(&format!("link set here{number} up"))?;
    ip(&format!("addr add 10.92.{number}.1/24 dev here{number}"))?;
    ip(&format!("route add {HOST} via 10.92.{number}.2 metric {number}"))
}

/// Gives the address up, and with it every way there.
fn leave(number: u8) {
    ip(&format!("addr del 10.92.{number}.1/24 dev here{number}")).unwrap();
}

fn config() -> Config {
    let mut config = Config::default();
    config.ping_interval = Duration::from_millis(500);
    config.ping_limit = 20;
    config
}

fn in_two_networks(test: impl FnOnce(Socket) + Send + 'static) {
    in_own_network(|_network| match Neighbour::new() {
        Ok((_neighbour, host)) => test(host),
        Err(why) => skip(&format!("cables between two networks need iproute2: {why}")),
    });
}

/// A connection, from its two ends.
struct Talk {
    host: Socket,
    client: Socket,
    at_client: ConnectionId,
    at_host: ConnectionId,
    /// For each packet in the order of sending, from the client and from the host: when it was sent, and whether it is delivered.
    sent: [Vec<(Instant, Option<bool>)>; 2],
    received: [BTreeSet<u32>; 2],
    /// Where the host has found the client.
    moved_to: Vec<String>,
}

impl Talk {
    fn new(mut host: Socket, client: Builder) -> Self {
        let mut client = client.config(config()).client().unwrap();
        let address = (HOST.parse::<std::net::IpAddr>().unwrap(), host.local_addr().port()).into();
        let (at_client, at_host) = connect_at(address, &mut host, &mut client);
        let (sent, received) = ([vec![], vec![]], [BTreeSet::new(), BTreeSet::new()]);
        Self { host, client, at_client, at_host, sent, received, moved_to: Vec::new() }
    }

    fn turn(&mut self, traffic: bool) {
        for (index, (socket, id)) in
            [(&mut self.client, self.at_client), (&mut self.host, self.at_host)].into_iter().enumerate()
        {
            if traffic {
                let number = u32::try_from(self.sent[index].len()).unwrap();
                match socket.send(id, &number.to_be_bytes()) {
                    Ok(_) => self.sent[index].push((Instant::now(), None)),
                    Err(SendError::WindowFull | SendError::Blocked) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            while let Some(event) = socket.wait_event(Duration::from_millis(5)) {
                match event {
                    Event::Packet { payload, .. } => {
                        self.received[index].insert(u32::from_be_bytes(payload[..].try_into().unwrap()));
                    }
                    Event::Verdict { delivery, .. } => {
                        // They come in the order of sending.
                        let next = self.sent[index].iter_mut().find(|(_, told)| told.is_none()).unwrap();
                        next.1 = Some(delivery == Delivery::Delivered);
                    }
                    Event::PathChanged { remote, .. } if index == 1 => {
                        self.moved_to.push(remote.socket_addr().unwrap().ip().to_string());
                    }
                    Event::PathChanged { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn run(&mut self, time: Duration, traffic: bool) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn(traffic);
        }
    }

    /// Runs until packets that were sent after `since` are delivered in both directions. Returns the longest time without a
    /// packet that arrived.
    fn until_delivered(&mut self, since: Instant, traffic: bool) -> Duration {
        while self.moved_to.is_empty() {
            assert!(since.elapsed() < AGAIN, "the host does not find the client");
            self.turn(traffic);
        }
        let works = |sent: &[(Instant, Option<bool>)]| {
            sent.iter().find(|(at, told)| *at > since && *told == Some(true)).map(|(at, _)| *at)
        };
        loop {
            if let (Some(out), Some(back)) = (works(&self.sent[0]), works(&self.sent[1])) {
                return out.max(back) - since;
            }
            assert!(since.elapsed() < AGAIN, "nothing is delivered");
            self.turn(true);
        }
    }

    fn end(mut self) {
        self.run(Duration::from_millis(500), false);
        for (sender, receiver) in [(0, 1), (1, 0)] {
            let delivered: BTreeSet<u32> = (0..)
                .zip(&self.sent[sender])
                .filter(|(_, (_, told))| told.expect("each packet has its verdict"))
                .map(|(number, _)| number)
                .collect();
            assert_eq!(delivered, self.received[receiver]);
        }
    }
}

#[test]
fn a_client_whose_address_goes_away_uses_the_other_one() {
    for (traffic, watches) in [(true, true), (true, false), (false, true), (false, false)] {
        in_two_networks(move |host| {
            let mut talk = Talk::new(host, Socket::builder().watch_network(watches));
            talk.run(Duration::from_millis(500), traffic);
            let client = talk.host.peer(talk.at_host).unwrap().address;
            assert!(client.to_string().starts_with("10.92.1.1:"), "{client}");
            leave(1);
            let after = talk.until_delivered(Instant::now(), traffic);
            eprintln!(
                "traffic: {traffic}, watches: {watches}: packets are delivered that were sent after {after:?}"
            );
            assert_eq!(talk.moved_to, ["10.92.2.1"]);
            talk.end();
        });
    }
}

#[test]
fn a_client_without_any_network_for_a_while_is_found_when_it_is_back() {
    in_two_networks(|host| {
        let mut talk = Talk::new(host, Socket::builder());
        talk.run(Duration::from_millis(300), true);
        leave(1);
        leave(2);
        talk.run(Duration::from_millis(2_200), true);
        assert_eq!(talk.moved_to, [""; 0]);
        join(2).unwrap();
        let after = talk.until_delivered(Instant::now(), true);
        eprintln!("packets are delivered that were sent {after:?} after the return");
        assert!(talk.client.io_stats().network_changes > 0);
        talk.end();
    });
}
