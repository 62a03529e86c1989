//! Machines of the local network that are switched off hold nobody else up.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;
#[path = "common/own_network.rs"]
mod own_network;

use std::net::UdpSocket;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{LIMIT, skip, turns};
use own_network::{OwnNetwork, in_own_network, ip};
use torque_socket::{Config, ConnectionId, Event, Settings, Socket, Trust};

const DEAD: [&str; 3] = ["10.91.0.11", "10.91.0.12", "10.91.0.13"];

fn config() -> Config {
    let mut config = Config::default();
    config.settings = Settings { packet_window: 4_096, ..Settings::default() };
    config
}

/// Connects `client`; the id at the host.
fn join(host: &mut Socket, client: &mut Socket, address: String) -> ConnectionId {
    client.connect(address, Trust::Anyone).unwrap();
    let mut at_host = None;
    turns(&mut [host, client], |socket, index, event| {
        match (index, event) {
            (0, Event::ConnectRequest(request)) => {
                socket.accept_connection(request.connection, b"").unwrap();
            }
            (0, Event::Established { connection, .. }) => at_host = Some(connection),
            (_, Event::Close { code, .. }) => panic!("{code}"),
            _ => {}
        }
        at_host.is_some()
    });
    at_host.unwrap()
}

/// A second machine with the addresses of [`DEAD`], and a cable to this one, which is 10.91.0.1 there.
struct Neighbour {
    leave: Sender<()>,
    thread: JoinHandle<()>,
}

impl Neighbour {
    /// Also gives what `make` makes on that machine.
    fn new<T: Send + 'static>(make: impl FnOnce() -> T + Send + 'static) -> Result<(Self, T), String> {
        let (to_here, tid) = channel();
        let (leave, left) = channel::<()>();
        let (made, from_there) = channel();
        let thread = std::thread::spawn(move || {
            let _network = OwnNetwork::enter().unwrap();
            // SAFETY: asks for a number.
            to_here.send(unsafe { libc::gettid() }).unwrap();
            // Comes with the cable.
            let end = Instant::now() + LIMIT;
            while ip("link set v1 up").is_err() {
                if Instant::now() > end {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            for address in DEAD {
                ip(&format!("addr add {address}/24 dev v1")).unwrap();
            }
            made.send(make()).unwrap();
            left.recv().unwrap();
            ip("addr flush dev v1").unwrap();
        });
        ip(&format!("link add v0 type veth peer name v1 netns {}", tid.recv().unwrap()))?;
        ip("addr add 10.91.0.1/24 dev v0")?;
        ip("link set v0 up")?;
        let made = from_there.recv_timeout(LIMIT).map_err(|error| error.to_string())?;
        Ok((Self { leave, thread }, made))
    }

    /// From now on nobody answers for its addresses.
    fn switch_off(self) {
        self.leave.send(()).unwrap();
        self.thread.join().unwrap();
        ip("neigh flush dev v0").unwrap();
    }
}

fn no_cable(why: &str) {
    skip(&format!("a cable between two networks needs iproute2: {why}"));
}

/// A host with the send buffer of a common Linux.
fn host() -> Socket {
    let builder = Socket::builder().config(config()).send_buffer_size(212_992);
    builder.receive_buffer_size(8 << 20).bind("0.0.0.0:0").unwrap()
}

/// A packet of `host` to the client at its own machine arrives.
fn reaches(host: &mut Socket, live: &mut Socket, at_host: ConnectionId) {
    let sent = host.send(at_host, b"still there").unwrap();
    turns(&mut [host, live], |_, index, event| {
        matches!((index, event), (0, Event::Verdict { sequence, delivery, .. })
            if sequence == sent && delivery.is_delivered())
    });
}

#[test]
fn clients_that_answer_are_sent_to_while_datagrams_wait_for_those_that_are_gone() {
    in_own_network(|_network| {
        let socket = |address: &str| Socket::builder().config(config()).bind((address, 0)).unwrap();
        let (neighbour, mut dead) = match Neighbour::new(move || DEAD.map(socket)) {
            Ok(made) => made,
            Err(why) => return no_cable(&why),
        };
        let mut host = host();
        let port = host.local_addr().port();
        let gone = dead.each_mut().map(|client| join(&mut host, client, format!("10.91.0.1:{port}")));
        let mut live = Socket::builder().config(config()).bind("127.0.0.1:0").unwrap();
        let at_host = join(&mut host, &mut live, format!("127.0.0.1:{port}"));
        neighbour.switch_off();

        // They are silent for a while, and then a lot is sent to everybody.
        let silent_from = Instant::now() + Duration::from_millis(1_200);
        let mut rounds = 0;
        while rounds < 60 {
            let packets = if Instant::now() < silent_from { 1 } else { 30 };
            rounds += usize::from(packets > 1);
            for id in gone {
                for _ in 0..packets {
                    host.send(id, &[7; 100]).unwrap();
                }
            }
            reaches(&mut host, &mut live, at_host);
            assert_eq!(host.io_stats().would_block, 0, "the send buffer is full in round {rounds}");
            if packets == 1 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        assert!(host.io_stats().held_back > 0);
    });
}

#[test]
fn strangers_whom_nobody_can_answer_hold_nobody_up() {
    in_own_network(|_network| {
        let socket = |address: &str| UdpSocket::bind((address, 0)).unwrap();
        let (neighbour, strangers) = match Neighbour::new(move || DEAD.map(socket)) {
            Ok(made) => made,
            Err(why) => return no_cable(&why),
        };
        let mut host = host();
        host.set_challenge_response_data(&[7; 511]).unwrap();
        let port = host.local_addr().port();
        let mut live = Socket::builder().config(config()).bind("127.0.0.1:0").unwrap();
        let at_host = join(&mut host, &mut live, format!("127.0.0.1:{port}"));

        // A request as a client makes it, and many of it from each of them, who are gone when the host looks.
        let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut client = Socket::client().unwrap();
        client.connect(listener.local_addr().unwrap(), Trust::Anyone).unwrap();
        client.flush();
        let mut request = [0; 2_048];
        let length = listener.recv(&mut request).unwrap();
        for _ in 0..300 {
            for stranger in &strangers {
                stranger.send_to(&request[..length], ("10.91.0.1", port)).unwrap();
            }
        }
        neighbour.switch_off();
        for _ in 0..30 {
            reaches(&mut host, &mut live, at_host);
            assert_eq!(host.io_stats().would_block, 0, "the send buffer is full");
        }
        assert!(host.io_stats().held_back > 0);
    });
}
