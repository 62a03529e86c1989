//! The lobby of the chat page: it introduces the page that hosts a room to the one that asks for it, and relays for them. It speaks the
//! protocol of `torque introduce` (docs/introductions.md), without what strangers make necessary there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use torque_socket::{
    Config, ConnectRequest, ConnectionId, Delivery, Event, PublicKey, Relay, Sequence, Socket,
};

use crate::failure::Failure;

/// The application id of the chat: its pages have it, too.
pub const APPLICATION: &str = "torque chat 1";
/// The time that closing may take.
const CLOSE_AT_MOST: Duration = Duration::from_secs(2);
/// How often the lobby looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A connection that was let in.
struct Guest {
    key: PublicKey,
    wish: Wish,
    is_established: bool,
}

/// What a guest wants.
enum Wish {
    /// To be found by this name.
    Host(String),
    /// To be introduced to this host.
    Ask(ConnectionId),
}

/// The lobby.
pub struct Lobby {
    socket: Socket,
    guests: BTreeMap<ConnectionId, Guest>,
    /// What hosts are to know, until they do.
    told: BTreeMap<(ConnectionId, Sequence), Vec<u8>>,
}

impl Lobby {
    /// Opens a lobby at a free port of this machine.
    pub fn open() -> Result<Self, Failure> {
        let mut config = Config::default();
        config.application_id = APPLICATION.into();
        config.introduction.introduces = true;
        let socket = Socket::builder().config(config).bind("127.0.0.1:0")?;
        Ok(Self { socket, guests: BTreeMap::new(), told: BTreeMap::new() })
    }

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// The URL for pages, with its key.
    pub fn url(&self) -> String {
        format!("torque://{}@{}", self.socket.public_key(), self.socket.local_addr())
    }

    /// Introduces until it is stopped.
    pub fn run(mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            if let Some(event) = self.socket.wait_event(LOOK_EVERY) {
                self.event(event);
            }
        }
        self.socket.shutdown(CLOSE_AT_MOST, |_| {});
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::ConnectRequest(request) => self.request(&request),
            Event::Established { connection, .. } => self.established(connection),
            Event::Verdict { connection, sequence, delivery } => {
                let told = self.told.remove(&(connection, sequence));
                if let Some(message) = told.filter(|_| delivery == Delivery::Dropped) {
                    self.tell(connection, message);
                }
            }
            Event::Close { connection, .. } => {
                self.guests.remove(&connection);
            }
            _ => {}
        }
    }

    fn request(&mut self, request: &ConnectRequest) {
        let id = request.connection;
        // The request may have been given up meanwhile; its close event tells.
        match self.judge(&request.connect_data) {
            Ok((wish, answer)) => {
                let guest = Guest { key: request.public_key, wish, is_established: false };
                self.guests.insert(id, guest);
                let _ = self.socket.accept_connection(id, answer.as_bytes());
            }
            Err(reason) => {
                let _ = self.socket.refuse(id, reason.as_bytes());
            }
        }
    }

    /// Reads what a guest wants, and decides what to say to that.
    fn judge(&self, connect_data: &[u8]) -> Result<(Wish, String), &'static str> {
        let text = str::from_utf8(connect_data).map_err(|_| "this is a lobby")?;
        match text.strip_prefix("torque lobby 1 ").and_then(|wish| wish.split_once(' ')) {
            Some(("host", name)) => match self.holder(name) {
                Some(_) => Err("somebody else hosts a room of this name"),
                None => Ok((Wish::Host(name.to_owned()), "torque lobby 1".to_owned())),
            },
            Some(("ask", name)) => {
                let (id, host) = self.holder(name).ok_or("nobody hosts this room any more")?;
                Ok((Wish::Ask(id), format!("{} {}", id.get(), host.key)))
            }
            _ => Err("this is a lobby"),
        }
    }

    /// The host with this name.
    fn holder(&self, name: &str) -> Option<(ConnectionId, &Guest)> {
        let holds = |guest: &Guest| matches!(&guest.wish, Wish::Host(held) if held == name);
        self.guests.iter().find(|(_, guest)| holds(guest)).map(|(id, guest)| (*id, guest))
    }

    fn established(&mut self, id: ConnectionId) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        guest.is_established = true;
        match guest.wish {
            Wish::Host(_) => self.tell(id, b"registered".to_vec()),
            Wish::Ask(host) => {
                let message = format!("asked {} {}", id.get(), guest.key);
                // The host may have gone. Then the one that asked is told by its attempt.
                if self.guests.get(&host).is_some_and(|host| host.is_established)
                    && self.socket.introduce(id, host, Relay::default()).is_ok()
                {
                    self.tell(host, message.into_bytes());
                }
            }
        }
    }

    fn tell(&mut self, to: ConnectionId, message: Vec<u8>) {
        if let Ok(sequence) = self.socket.send(to, &message) {
            self.told.insert((to, sequence), message);
        }
    }
}
