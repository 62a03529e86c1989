//! A native host that echoes packets, and a plain UDP socket.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use torque_proto::wire::{ChallengeRequest, Offers};
use torque_socket::{Config, ConnectRequest, Event, PublicKey, Socket};

/// A host on a thread: accepts everybody, echoes every packet.
pub struct Host {
    pub address: SocketAddr,
    pub public_key: PublicKey,
    /// The attested origin of each connect request.
    pub origins: Receiver<Option<String>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    pub fn start(bind: &str) -> Self {
        Self::with_config(bind, Config::default())
    }

    pub fn with_config(bind: &str, config: Config) -> Self {
        let mut socket = Socket::builder().config(config).bind(bind).unwrap();
        let (address, public_key) = (socket.local_addr(), socket.public_key());
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, origins) = channel();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                socket.wait(Duration::from_millis(5));
                socket.poll();
                while let Some(event) = socket.next_event() {
                    match event {
                        Event::ConnectRequest(ConnectRequest { connection, origin, .. }) => {
                            let _ = sender.send(origin);
                            socket.accept_connection(connection, b"welcome").unwrap();
                        }
                        Event::Packet { connection, payload, .. } => drop(socket.send(connection, &payload)),
                        _ => {}
                    }
                }
                socket.flush();
            }
        });
        Self { address, public_key, origins, stop, thread: Some(thread) }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// Counts what reaches it and answers nothing.
pub struct Sink {
    pub address: SocketAddr,
    socket: UdpSocket,
    datagrams: AtomicU64,
}

impl Sink {
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { address: socket.local_addr().unwrap(), socket, datagrams: AtomicU64::new(0) }
    }

    /// The datagrams since the last call.
    pub fn take(&self) -> Vec<Vec<u8>> {
        let mut buffer = [0; 2_048];
        let mut taken = Vec::new();
        while let Ok(length) = self.socket.recv(&mut buffer) {
            taken.push(buffer[..length].to_vec());
        }
        self.datagrams.fetch_add(taken.len() as u64, Ordering::Relaxed);
        taken
    }

    pub fn send(&self, datagram: &[u8], to: SocketAddr) {
        self.socket.send_to(datagram, to).unwrap();
    }
}

/// A greeting, which passes without consent.
pub fn challenge_request() -> Vec<u8> {
    let offers = Offers::from_bytes([1, 0, 0, 0]).unwrap();
    let request =
        ChallengeRequest { initiator_nonce: [1; 16], application_tag: [2; 8], offers, introduction_id: 0 };
    let mut bytes = Vec::new();
    request.write(&mut bytes);
    bytes
}
