//! A host whose answers come from another port than the one that was asked, as behind some NATs.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

mod common;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{LIMIT, loopback, pinned, turns};
use torque_socket::{Event, SendError};

/// Forwards to a host what comes to either of two ports, and to the client, from the second one, what the host answers.
struct Relay {
    asked: SocketAddr,
    answers: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Relay {
    fn new(host: SocketAddr, client: SocketAddr) -> Self {
        let [front, back] = [(); 2].map(|()| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            socket
        });
        let (asked, answers) = (front.local_addr().unwrap(), back.local_addr().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let threads = [(front.try_clone().unwrap(), back.try_clone().unwrap()), (back, front)]
            .map(|(receives, other)| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    let mut buffer = [0; 2_048];
                    while !stop.load(Ordering::Relaxed) {
                        let Ok((length, from)) = receives.recv_from(&mut buffer) else { continue };
                        let bytes = &buffer[..length];
                        // The host knows the client by the first port, and the client hears from the second.
                        let is_first = receives.local_addr().unwrap() == asked;
                        let (first, second) =
                            if is_first { (&receives, &other) } else { (&other, &receives) };
                        let (socket, to) = if from == host { (second, client) } else { (first, host) };
                        let _ = socket.send_to(bytes, to);
                    }
                })
            })
            .into();
        Self { asked, answers, stop, threads }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

#[test]
fn a_host_that_answers_from_another_port_is_connected_there() {
    let (mut host, mut client) = (loopback(), loopback());
    let relay = Relay::new(host.local_addr(), client.local_addr());
    let id = client.connect(relay.asked, pinned(&host)).unwrap();
    turns(&mut [&mut host, &mut client], |socket, index, event| match (index, event) {
        (0, Event::ConnectRequest(request)) => {
            assert_eq!(request.remote, relay.asked.into());
            socket.accept_connection(request.connection, b"").unwrap();
            false
        }
        (1, Event::Established { connection, remote, .. }) => {
            assert_eq!((connection, remote), (id, relay.answers.into()));
            true
        }
        (1, Event::Close { code, .. }) => panic!("{code:?}"),
        _ => false,
    });
    // Data waits until the host is heard at that port.
    let end = Instant::now() + LIMIT;
    while let Err(error) = client.send(id, b"hello") {
        assert_eq!(error, SendError::Blocked);
        assert!(Instant::now() < end, "the host is never heard at its other port");
        host.poll();
        client.poll();
    }
    turns(&mut [&mut host, &mut client], |_, index, event| match (index, event) {
        (1, Event::Verdict { delivery, .. }) => {
            assert!(delivery.is_delivered());
            true
        }
        (1, Event::Close { code, .. }) => panic!("{code:?}"),
        _ => false,
    });
    assert_eq!(client.peer(id).unwrap().address, relay.answers.into());
}
