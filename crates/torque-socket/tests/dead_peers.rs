//! Machines of the local network that are switched off hold nobody else up.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;
#[path = "common/own_network.rs"]
mod own_network;

use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{LIMIT, skip, turns};
use own_network::{OwnNetwork, in_own_network};
use torque_socket::{Config, ConnectOptions, ConnectionId, Event, Settings, Socket, Trust};

const DEAD: [&str; 3] = ["10.91.0.11", "10.91.0.12", "10.91.0.13"];

/// Runs `ip`, in the network of the calling thread.
fn ip(arguments: &str) -> Result<(), String> {
    let output =
        Command::new("ip").args(arguments.split(' ')).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn config() -> Config {
    let mut config = Config::default();
    config.settings = Settings { packet_window: 4_096, ..Settings::default() };
    config
}

/// Connects `client`; the id at the host.
fn join(host: &mut Socket, client: &mut Socket, address: String) -> ConnectionId {
    client.connect(address, ConnectOptions { trust: Trust::Anyone, ..Default::default() }).unwrap();
    let mut at_host = None;
    turns(&mut [host, client], |socket, index, event| {
        match (index, event) {
            (0, Event::ConnectRequest { connection, .. }) => {
                socket.accept_connection(connection, b"").unwrap();
            }
            (0, Event::Established { connection, .. }) => at_host = Some(connection),
            (_, Event::Close { code, .. }) => panic!("{code}"),
            _ => {}
        }
        at_host.is_some()
    });
    at_host.unwrap()
}

#[test]
fn who_answers_is_sent_to_while_datagrams_wait_for_those_who_are_gone() {
    in_own_network(|_network| {
        // A second machine, with a cable to this one.
        let (to_here, tid) = channel();
        let (leave, left) = channel::<()>();
        let (clients, from_there) = channel();
        let other = std::thread::spawn(move || {
            let _network = OwnNetwork::enter().unwrap();
            // SAFETY: asks for a number.
            to_here.send(unsafe { libc::gettid() }).unwrap();
            // Has come with the cable.
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
            let socket = |address: &str| Socket::builder().config(config()).bind((address, 0)).unwrap();
            clients.send(DEAD.map(socket)).unwrap();
            left.recv().unwrap();
            ip("addr flush dev v1").unwrap();
        });
        let cable = ip(&format!("link add v0 type veth peer name v1 netns {}", tid.recv().unwrap()))
            .and_then(|()| ip("addr add 10.91.0.1/24 dev v0"))
            .and_then(|()| ip("link set v0 up"));
        if let Err(why) = cable {
            return skip(&format!("a cable between two networks needs iproute2: {why}"));
        }
        let mut dead: [Socket; 3] = from_there.recv_timeout(LIMIT).unwrap();

        let mut host =
            Socket::builder().config(config()).send_buffer_size(212_992).bind("0.0.0.0:0").unwrap();
        let port = host.local_addr().port();
        let gone = dead.each_mut().map(|client| join(&mut host, client, format!("10.91.0.1:{port}")));
        let mut live = Socket::builder().config(config()).bind("127.0.0.1:0").unwrap();
        let at_host = join(&mut host, &mut live, format!("127.0.0.1:{port}"));
        leave.send(()).unwrap();
        other.join().unwrap();
        ip("neigh flush dev v0").unwrap();

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
            let sent = host.send(at_host, b"still there").unwrap();
            turns(&mut [&mut host, &mut live], |_, index, event| {
                matches!((index, event), (0, Event::PacketDeliveryNotify { sequence, delivery, .. })
                    if sequence == sent && delivery.is_delivered())
            });
            assert_eq!(host.io_stats().would_block, 0, "the send buffer is full in round {rounds}");
            if packets == 1 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        assert!(host.io_stats().held_from_silent > 0);
    });
}
