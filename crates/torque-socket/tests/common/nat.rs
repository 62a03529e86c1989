//! A router between a client and a host, which may give either of them another port at any time.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Forwards what the client sends to its inner port to the host, from its outer port, and back.
pub struct Nat {
    inner: Port,
    outer: Port,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A port that can become another one. What is sent to the old one is lost.
#[derive(Clone)]
struct Port(Arc<Mutex<UdpSocket>>);

impl Port {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Self::open())))
    }

    fn open() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn address(&self) -> SocketAddr {
        self.0.lock().unwrap().local_addr().unwrap()
    }

    fn change(&self) -> SocketAddr {
        // Open while the old one is, so that it is another one.
        let new = Self::open();
        let address = new.local_addr().unwrap();
        *self.0.lock().unwrap() = new;
        address
    }

    fn receive(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.0.lock().unwrap().recv_from(buffer).ok()
    }

    fn send(&self, bytes: &[u8], to: SocketAddr) {
        let _ = self.0.lock().unwrap().send_to(bytes, to);
    }
}

impl Nat {
    pub fn to(host: SocketAddr) -> Self {
        let (inner, outer, stop) = (Port::new(), Port::new(), Arc::new(AtomicBool::new(false)));
        let (inside, outside, stopped) = (inner.clone(), outer.clone(), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let (mut client, mut buffer) = (None, [0; 2_048]);
            while !stopped.load(Ordering::Relaxed) {
                let out = inside.receive(&mut buffer);
                if let Some((length, from)) = out {
                    client = Some(from);
                    outside.send(&buffer[..length], host);
                }
                let back = outside.receive(&mut buffer);
                if let (Some((length, _)), Some(client)) = (back, client) {
                    inside.send(&buffer[..length], client);
                }
                if out.is_none() && back.is_none() {
                    thread::sleep(Duration::from_micros(200));
                }
            }
        });
        Self { inner, outer, stop, thread: Some(thread) }
    }

    /// Where the client finds the host.
    pub fn inner(&self) -> SocketAddr {
        self.inner.address()
    }

    /// Has the client's packets come from another port.
    pub fn rebind(&self) -> SocketAddr {
        self.outer.change()
    }

    /// Has the host's packets come from another port.
    pub fn rebind_host(&self) -> SocketAddr {
        self.inner.change()
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
