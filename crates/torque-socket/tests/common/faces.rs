//! A socket behind any of its faces.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]

use std::net::SocketAddr;
use std::time::Duration;

use torque_socket::{Event, EventSocket, Socket, ThreadedSocket};

/// A face, how it waits, and the calls that [`EventSocket`] does not have.
pub trait Face: Send {
    fn address(&self) -> SocketAddr;
    fn calls(&mut self) -> &mut dyn EventSocket;
    fn wait(&mut self, timeout: Duration) -> Option<Event>;
    fn network_changed(&mut self);
}

impl Face for Socket {
    fn address(&self) -> SocketAddr {
        self.local_addr()
    }

    fn calls(&mut self) -> &mut dyn EventSocket {
        self
    }

    fn wait(&mut self, timeout: Duration) -> Option<Event> {
        self.wait_event(timeout)
    }

    fn network_changed(&mut self) {
        Socket::network_changed(self);
    }
}

impl Face for ThreadedSocket {
    fn address(&self) -> SocketAddr {
        self.local_addr()
    }

    fn calls(&mut self) -> &mut dyn EventSocket {
        self
    }

    fn wait(&mut self, timeout: Duration) -> Option<Event> {
        self.wait_event(timeout)
    }

    fn network_changed(&mut self) {
        ThreadedSocket::network_changed(self);
    }
}

#[cfg(feature = "tokio")]
struct InTokio(tokio::runtime::Runtime, torque_socket::AsyncSocket);

#[cfg(feature = "tokio")]
impl Face for InTokio {
    fn address(&self) -> SocketAddr {
        self.1.local_addr()
    }

    fn calls(&mut self) -> &mut dyn EventSocket {
        &mut self.1
    }

    fn wait(&mut self, timeout: Duration) -> Option<Event> {
        self.0.block_on(self.1.wait_event(timeout))
    }

    fn network_changed(&mut self) {
        self.1.network_changed();
    }
}

/// Makes a face of a socket.
pub type Wrap = fn(Socket) -> Box<dyn Face>;

/// Every face that drives one socket, by its name.
pub fn faces() -> Vec<(&'static str, Wrap)> {
    #[cfg_attr(not(feature = "tokio"), expect(unused_mut, reason = "one face less"))]
    let mut faces: Vec<(&'static str, Wrap)> = vec![
        ("Socket", |socket| Box::new(socket)),
        ("ThreadedSocket", |socket| Box::new(socket.spawn().unwrap())),
    ];
    #[cfg(feature = "tokio")]
    faces.push(("AsyncSocket", |socket| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let socket = runtime.block_on(async { torque_socket::AsyncSocket::new(socket).unwrap() });
        Box::new(InTokio(runtime, socket))
    }));
    faces
}
