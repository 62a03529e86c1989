//! The packets that tell hosts that they are registered and who asks for them, until each is delivered.

use std::collections::{HashMap, VecDeque};

use torque_socket::{ConnectionId, Delivery, SendError, Sequence, Socket};

/// The most times that a notice is sent.
const TRIES: u8 = 8;

/// A notice for a host.
#[derive(Debug)]
struct Notice {
    host: ConnectionId,
    /// The connection that asks for the host, if it is about one.
    asks: Option<ConnectionId>,
    text: String,
    tries: u8,
}

/// The notices that are not known to be delivered: one at most about each connection.
#[derive(Default)]
pub struct Notices {
    waiting: VecDeque<Notice>,
    sent: HashMap<(ConnectionId, Sequence), Notice>,
}

impl Notices {
    /// Adds a notice for a host, about a connection that asks for it or about the host itself.
    pub fn add(&mut self, host: ConnectionId, asks: Option<ConnectionId>, text: String) {
        self.waiting.push_back(Notice { host, asks, text, tries: 0 });
    }

    /// Sends what waits. What has no room in its window waits on. Call it in every turn.
    pub fn send(&mut self, socket: &mut Socket) {
        for _ in 0..self.waiting.len() {
            let Some(mut notice) = self.waiting.pop_front() else { return };
            match socket.send(notice.host, notice.text.as_bytes()) {
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
        let concerns = |notice: &Notice| notice.host == connection || notice.asks == Some(connection);
        self.waiting.retain(|notice| !concerns(notice));
        self.sent.retain(|_, notice| !concerns(notice));
    }
}
