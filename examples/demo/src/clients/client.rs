//! A client of the demo: a thread with a socket behind the lossy link.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use torque_socket::{ChallengeResponse, ConnectOptions, ConnectionId, Event, PublicKey, Socket, Trust};

use super::CLOSE_WAIT;
use super::board::Board;
use super::record::Record;
use super::traffic::{self, End, Sender, Traffic};
use crate::args::Args;
use crate::failure::Failure;
use crate::units::millis;

/// The interval at which the figures on the board are renewed.
const TELL_EVERY: Duration = Duration::from_millis(50);
/// The longest time for closing.
const CLOSE_AT_MOST: Duration = CLOSE_WAIT.saturating_add(Duration::from_secs(5));

/// The record of a client's end.
pub struct Client {
    pub number: u16,
    pub record: Record,
}

pub fn open(args: &Args, number: u16) -> Result<Socket, Failure> {
    let mut config = args.config();
    config.close_wait = CLOSE_WAIT;
    let mut builder = Socket::builder().config(config).simulated_link(args.link());
    if let Some(seed) = args.seed {
        builder = builder.simulated_link_seed(seed.wrapping_add(u64::from(number) << 32));
    }
    Ok(builder.bind("127.0.0.1:0")?)
}

/// `host`: where the host is, and the key that it has to show.
pub fn run(
    mut socket: Socket,
    number: u16,
    host: (SocketAddr, PublicKey),
    board: &Board,
    traffic: Traffic,
) -> Client {
    let mut client =
        Running { number, board, traffic, record: Record::default(), key: host.1, id: None, sender: None };
    client.play(&mut socket, host.0);
    Client { number, record: client.record }
}

struct Running<'a> {
    number: u16,
    board: &'a Board,
    traffic: Traffic,
    record: Record,
    key: PublicKey,
    id: Option<ConnectionId>,
    sender: Option<Sender>,
}

impl Running<'_> {
    fn play(&mut self, socket: &mut Socket, host: SocketAddr) {
        let options = ConnectOptions::new(Trust::Ask).with_data(self.number.to_be_bytes());
        let begun = Instant::now();
        match socket.connect_with(host, options) {
            Ok(id) => self.id = Some(id),
            Err(error) => return self.end(error.to_string(), false),
        }
        self.step("asked".into());
        let mut closing: Option<Instant> = None;
        let mut told = begun;
        while self.record.ended.is_none() {
            if closing.is_none() && self.board.is_stopped() {
                closing = Some(Instant::now());
                self.close(socket);
            }
            if closing.is_some_and(|since| since.elapsed() > CLOSE_AT_MOST) {
                return self.end("it did not close".into(), false);
            }
            let mut until = Instant::now() + TELL_EVERY;
            if closing.is_none()
                && let (Some(id), Some(sender)) = (self.id, &mut self.sender)
            {
                // The close event tells why, if it cannot send any more.
                let _ = sender.run(socket, id, &mut self.record);
                until = until.min(sender.next());
            }
            socket.wait(until.saturating_duration_since(Instant::now()));
            socket.poll();
            self.take_figures(socket);
            while let Some(event) = socket.next_event() {
                self.event(socket, event, begun);
            }
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                self.tell();
            }
        }
        self.tell();
        self.linger(socket);
    }

    /// Goes on answering the host's last repeats, until it has everything too.
    fn linger(&self, socket: &mut Socket) {
        let end = Instant::now() + CLOSE_WAIT;
        while self.sender.is_some() && !self.board.has_ended_at_host(self.number) && Instant::now() < end {
            socket.wait(TELL_EVERY);
            socket.poll();
            while socket.next_event().is_some() {}
        }
    }

    fn event(&mut self, socket: &mut Socket, event: Event, begun: Instant) {
        match event {
            Event::ChallengeResponse(ChallengeResponse { connection, public_key, difficulty, .. }) => {
                if public_key != self.key {
                    return self.end("another key than the host's".into(), false);
                }
                self.step(format!("challenge {}", millis(begun.elapsed())));
                self.step(format!("puzzle {difficulty} bits"));
                if let Err(error) = socket.accept_challenge(connection) {
                    self.end(error.to_string(), false);
                }
            }
            Event::Established { connection, .. } => {
                if let Some(stats) = socket.connection_stats(connection) {
                    let handshake = stats.handshake;
                    self.step(format!("{} tries {}", handshake.puzzle_tries, millis(handshake.puzzle_time)));
                    self.step(format!("established {}", millis(handshake.total_time)));
                    self.board.tell(self.number, |shown| {
                        shown.established = true;
                        shown.handshake = Some(handshake.total_time);
                    });
                    self.record.stats = Some(stats);
                }
                self.sender = Some(Sender::new(self.traffic, self.number, End::Client));
            }
            Event::Packet { sequence, payload, .. } => {
                self.record.received(sequence, traffic::read(&payload, self.number, End::Host));
            }
            Event::Verdict { sequence, delivery, .. } => {
                self.record.verdict(sequence, delivery);
                self.board.tell(self.number, |shown| shown.verdict(delivery));
            }
            Event::Close { code, .. } => {
                // Before the client has begun to close there is no reason to end.
                let proper = self.board.is_stopped() && code == torque_socket::CloseCode::Closed;
                self.take_figures(socket);
                self.end(code.name().into(), proper);
            }
            _ => {}
        }
    }

    fn close(&mut self, socket: &mut Socket) {
        self.take_figures(socket);
        let closed = self.id.map(|id| socket.close(id, b"the demo is over"));
        if let Some(Err(_)) | None = closed
            && self.record.ended.is_none()
            && self.sender.is_none()
        {
            self.end("never established".into(), false);
        }
    }

    fn take_figures(&mut self, socket: &Socket) {
        if let Some(stats) = self.id.and_then(|id| socket.connection_stats(id)) {
            self.record.stats = Some(stats);
        }
    }

    fn step(&self, text: String) {
        self.board.tell(self.number, |shown| shown.steps.push(text));
    }

    fn end(&mut self, how: String, proper: bool) {
        self.board.tell(self.number, |shown| shown.ended = Some(how.clone()));
        self.record.ended = Some((how, proper));
    }

    fn tell(&self) {
        let held_back = self.sender.as_ref().map_or(0, |sender| sender.held_back);
        self.board.tell(self.number, |shown| {
            shown.client.clone_from(&self.record.stats);
            shown.held_back = held_back;
        });
    }
}
