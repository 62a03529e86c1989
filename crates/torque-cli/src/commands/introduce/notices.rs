//! The packets that tell hosts who asks for them, until each is delivered.

use std::collections::{HashMap, VecDeque};

use torque_socket::{ConnectionId, Delivery, SendError, Sequence, Socket};

use crate::lobby::Other;

/// The most times that a notice is sent.
const TRIES: u8 = 8;

/// A notice for a host.
#[derive(Clone, Copy, Debug)]
struct Notice {
    host: ConnectionId,
    /// The connection that asks, and its key.
    asks: ConnectionId,
    other: Other,
    tries: u8,
}

/// The notices that are not known to be delivered: one at most for each connection that asks.
#[derive(Default)]
pub struct Notices {
    waiting: VecDeque<Notice>,
    sent: HashMap<(ConnectionId, Sequence), Notice>,
}

impl Notices {
    /// Tells a host about the connection that asks for it.
    pub fn add(&mut self, host: ConnectionId, asks: ConnectionId, other: Other) {
        self.waiting.push_back(Notice { host, asks, other, tries: 0 });
    }

    /// Sends what waits. What has no room in its window waits on. Call it in every turn.
    pub fn send(&mut self, socket: &mut Socket) {
        for _ in 0..self.waiting.len() {
            let Some(mut notice) = self.waiting.pop_front() else { return };
            match socket.send(notice.host, notice.other.to_packet().as_bytes()) {
                Ok(sequence) => {
                    notice.tries += 1;
                    self.sent.insert((notice.host, sequence), notice);
                }
                Err(SendError::WindowFull | SendError::Blocked) => self.waiting.push_back(notice),
                // The host has left: the introducer tells the one that asks.
                Err(_) => {}
            }
        }
    }

    /// Takes a verdict. A notice that was dropped is sent again.
    pub fn verdict(&mut self, host: ConnectionId, sequence: Sequence, delivery: Delivery) {
        if let Some(notice) = self.sent.remove(&(host, sequence))
            && delivery == Delivery::Dropped
            && notice.tries < TRIES
        {
            self.waiting.push_back(notice);
        }
    }

    /// Forgets a connection that has ended.
    pub fn forget(&mut self, connection: ConnectionId) {
        let concerns = |notice: &Notice| notice.host == connection || notice.asks == connection;
        self.waiting.retain(|notice| !concerns(notice));
        self.sent.retain(|_, notice| !concerns(notice));
    }
}
