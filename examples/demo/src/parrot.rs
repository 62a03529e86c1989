//! A program that says what it hears, for the chat page: a lobby introduces it to the pages that ask for it. They begin by the lobby and
//! become direct, because a program punches and a page's gateway answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use torque_socket::{
    Config, ConnectOptions, ConnectionId, Event, IntroducedOptions, Relaying, Sequence, Socket,
};

use crate::arena::{Inbox, Letter, Outbox, Reader, put_letters};
use crate::failure::Failure;
use crate::lobby::APPLICATION;

/// Its name at the lobby.
const NAME: &str = "parrot";
/// Lines that may wait. What is said beyond them is not repeated.
const MAX_WAITING: usize = 32;
/// How often it looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The pause between attempts to reach the lobby.
const AGAIN: Duration = Duration::from_secs(1);
/// The time that closing may take.
const CLOSE_AT_MOST: Duration = Duration::from_secs(2);

/// The parrot.
pub struct Parrot {
    socket: Socket,
    /// Its connection with the lobby, established or not.
    lobby: Option<ConnectionId>,
    talks: BTreeMap<ConnectionId, Talk>,
}

/// A talk with a page, in letters as pages send them (js/demo/src/conversation.ts).
#[derive(Default)]
struct Talk {
    inbox: Inbox,
    outbox: Outbox,
    under_way: BTreeMap<Sequence, Vec<Letter>>,
}

impl Parrot {
    pub fn open() -> Result<Self, Failure> {
        let mut config = Config::default();
        config.application_id = APPLICATION.into();
        config.accept_incoming = false;
        let socket = Socket::builder().config(config).bind("127.0.0.1:0")?;
        Ok(Self { socket, lobby: None, talks: BTreeMap::new() })
    }

    /// How a link names it: its key and its name at the lobby.
    pub fn room(&self) -> String {
        format!("{}@{NAME}", self.socket.public_key())
    }

    /// Talks with those that ask the lobby at `lobby`, until it is stopped.
    pub fn run(mut self, lobby: &str, stop: &AtomicBool) {
        let mut next = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if self.lobby.is_none() && Instant::now() >= next {
                next = Instant::now() + AGAIN;
                let options = ConnectOptions::default().with_data(format!("torque lobby 1 host {NAME}"));
                // If this fails, a later turn tries again.
                self.lobby = self.socket.connect_with(lobby, options).ok();
            }
            if let Some(event) = self.socket.wait_event(LOOK_EVERY) {
                self.event(event);
            }
        }
        self.socket.shutdown(CLOSE_AT_MOST, |_| {});
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Packet { connection, payload, .. } if Some(connection) == self.lobby => {
                self.asked(connection, &payload);
            }
            // Only those come that the lobby has introduced.
            Event::ConnectRequest(request) => {
                let _ = self.socket.accept_connection(request.connection, b"The parrot");
            }
            Event::Established { connection, .. } if Some(connection) != self.lobby => {
                self.talks.insert(connection, Talk::default());
                self.say(
                    connection,
                    "I am a program, and say what I hear. Your page shows how it gets here.",
                );
            }
            Event::PathChanged { connection, remote, .. } => {
                let line = match remote.is_circuit() {
                    true => "Now the lobby is between us.",
                    false => "Now I hear you directly. The lobby could go.",
                };
                self.say(connection, line);
            }
            Event::Packet { connection, payload, .. } => self.repeat(connection, &payload),
            Event::Verdict { connection, sequence, delivery } => {
                if let Some(talk) = self.talks.get_mut(&connection)
                    && let Some(letters) = talk.under_way.remove(&sequence)
                {
                    talk.outbox.settle(letters, delivery.is_delivered());
                    self.send(connection);
                }
            }
            Event::Close { connection, .. } => {
                self.talks.remove(&connection);
                self.lobby.take_if(|lobby| *lobby == connection);
            }
            _ => {}
        }
    }

    /// The lobby says that somebody asks for the parrot.
    fn asked(&mut self, lobby: ConnectionId, message: &[u8]) {
        let mut words = str::from_utf8(message).unwrap_or_default().split(' ');
        if let (Some("asked"), Some(Ok(number))) = (words.next(), words.next().map(str::parse)) {
            let options = IntroducedOptions::host().with_relay(Relaying::AtOnce);
            // The other side is told why if this fails.
            let _ = self.socket.connect_introduced(lobby, number, options);
        }
    }

    /// Says what a packet says.
    fn repeat(&mut self, id: ConnectionId, packet: &[u8]) {
        let Some(talk) = self.talks.get_mut(&id) else { return };
        let mut input = Reader(packet);
        let Some(letters) = input.letters().and_then(|letters| input.end(letters)) else { return };
        for letter in letters {
            talk.inbox.take(letter);
        }
        while let Some((_, content)) = talk.inbox.next() {
            if talk.outbox.len() < MAX_WAITING {
                talk.outbox.push(content);
            }
        }
        self.send(id);
    }

    fn say(&mut self, id: ConnectionId, line: &str) {
        if let Some(talk) = self.talks.get_mut(&id) {
            talk.outbox.push(line.into());
            self.send(id);
        }
    }

    /// Sends what waits. What does not go goes with the next verdict.
    fn send(&mut self, id: ConnectionId) {
        let (Some(talk), Some(room)) = (self.talks.get_mut(&id), self.socket.max_packet_size(id)) else {
            return;
        };
        let letters = talk.outbox.take(room - 1);
        if letters.is_empty() {
            return;
        }
        let mut packet = Vec::new();
        put_letters(&mut packet, &letters);
        match self.socket.send(id, &packet) {
            Ok(sequence) => drop(talk.under_way.insert(sequence, letters)),
            Err(_) => talk.outbox.return_unsent(letters),
        }
    }
}
