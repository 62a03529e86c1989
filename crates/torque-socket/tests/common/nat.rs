//! A router between a client and a host, which may give the client another port at any time.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Forwards what comes to its inner port to the host, from its outer port, and back what comes to that.
pub struct Nat {
    inner: SocketAddr,
    outer: Arc<Mutex<UdpSocket>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

fn port() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

impl Nat {
    pub fn to(host: SocketAddr) -> Self {
        let (inside, outer) = (port(), Arc::new(Mutex::new(port())));
        let inner = inside.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (outside, stopped) = (Arc::clone(&outer), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let (mut client, mut buffer) = (None, [0; 2_048]);
            while !stopped.load(Ordering::Relaxed) {
                let mut is_idle = true;
                if let Ok((length, from)) = inside.recv_from(&mut buffer) {
                    (client, is_idle) = (Some(from), false);
                    let _ = outside.lock().unwrap().send_to(&buffer[..length], host);
                }
                let received = outside.lock().unwrap().recv_from(&mut buffer);
                if let (Ok((length, _)), Some(client)) = (received, client) {
                    is_idle = false;
                    let _ = inside.send_to(&buffer[..length], client);
                }
                if is_idle {
                    thread::sleep(Duration::from_micros(200));
                }
            }
        });
        Self { inner, outer, stop, thread: Some(thread) }
    }

    /// Where the client finds the host.
    pub fn inner(&self) -> SocketAddr {
        self.inner
    }

    /// Where the host finds the client.
    pub fn outer(&self) -> SocketAddr {
        self.outer.lock().unwrap().local_addr().unwrap()
    }

    /// Gives the client another port. What is sent to the old one is lost.
    pub fn rebind(&self) -> SocketAddr {
        let new = port();
        let address = new.local_addr().unwrap();
        *self.outer.lock().unwrap() = new;
        address
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
