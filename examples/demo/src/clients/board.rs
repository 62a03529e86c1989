//! The board on which the threads of the demo post their state.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use torque_socket::{ConnectionStats, Delivery};

use crate::args::Args;

/// The verdicts of each connection that the view can show.
const RECENT: usize = 240;

/// The state of one connection, from both of its ends.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The steps of the handshake so far, as text.
    pub steps: Vec<String>,
    /// Set once the client may send.
    pub established: bool,
    /// The end at the client, as text.
    pub ended: Option<String>,
    /// Set once it has ended at the host.
    pub ended_at_host: bool,
    /// Figures of the client's end.
    pub client: Option<ConnectionStats>,
    /// Figures of the host's end.
    pub host: Option<ConnectionStats>,
    /// The latest verdicts that the client was told, oldest first.
    pub recent: std::collections::VecDeque<Delivery>,
    /// Packets that the client did not send because the window was full.
    pub held_back: u64,
    /// The duration of the handshake.
    pub handshake: Option<Duration>,
}

impl Connection {
    /// Adds a verdict for the view.
    pub fn verdict(&mut self, delivery: Delivery) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(delivery);
    }
}

/// The board of a demo.
pub struct Board {
    connections: Mutex<Vec<Connection>>,
    /// The address of the page, if there is one.
    pub page: Option<String>,
    stop: AtomicBool,
    clients_done: AtomicBool,
}

impl Board {
    pub fn new(args: &Args, page: Option<String>) -> Self {
        Self {
            page,
            connections: Mutex::new(vec![Connection::default(); usize::from(args.clients)]),
            stop: AtomicBool::new(false),
            clients_done: AtomicBool::new(false),
        }
    }

    /// Changes the state of one connection.
    pub fn tell(&self, number: u16, change: impl FnOnce(&mut Connection)) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get_mut(usize::from(number)) {
            change(connection);
        }
    }

    /// All connections as they are now.
    pub fn snapshot(&self) -> Vec<Connection> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns whether a connection has ended at the host.
    pub fn has_ended_at_host(&self, number: u16) -> bool {
        let mut ended = false;
        self.tell(number, |connection| ended = connection.ended_at_host);
        ended
    }

    /// Asks the clients to close.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Tells the host that no client is left.
    pub fn clients_are_done(&self) {
        self.clients_done.store(true, Ordering::Relaxed);
    }

    pub fn are_clients_done(&self) -> bool {
        self.clients_done.load(Ordering::Relaxed)
    }

    /// Returns whether any connection is, or was, established.
    pub fn any_established(&self) -> bool {
        self.snapshot().iter().any(|connection| connection.established)
    }

    /// Returns whether every connection has ended.
    pub fn all_over(&self) -> bool {
        self.snapshot().iter().all(|connection| connection.ended.is_some())
    }
}
