//! The host of the demo: a thread with one socket for all clients.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use torque_socket::{CloseCode, ConnectRequest, ConnectionId, Event, Socket};

use super::CLOSE_WAIT;
use super::board::Board;
use super::record::Record;
use super::traffic::{self, End, Sender, Traffic};
use crate::args::Args;
use crate::failure::Failure;

const TELL_EVERY: Duration = Duration::from_millis(50);
/// The longest time for closing after the last client is done.
const CLOSE_AT_MOST: Duration = CLOSE_WAIT.saturating_add(Duration::from_secs(5));

/// The records of the host's ends, by the client's number.
pub type Hosted = HashMap<u16, Record>;

pub fn open(args: &Args) -> Result<Socket, Failure> {
    let mut config = args.config();
    config.close_wait = CLOSE_WAIT;
    config.puzzle.difficulty_min = args.difficulty;
    config.puzzle.difficulty_max = config.puzzle.difficulty_max.max(args.difficulty);
    Ok(Socket::builder().config(config).bind("127.0.0.1:0")?)
}

pub fn run(mut socket: Socket, board: &Board, traffic: Traffic) -> Hosted {
    let mut host = Host { board, traffic, hosted: Hosted::new(), open: HashMap::new() };
    let mut told = Instant::now();
    let mut ending: Option<Instant> = None;
    loop {
        if ending.is_none() && board.are_clients_done() {
            ending = Some(Instant::now());
        }
        let all_closed = host.hosted.values().all(|record| record.ended.is_some());
        if ending.is_some_and(|since| all_closed || since.elapsed() > CLOSE_AT_MOST) {
            return host.hosted;
        }
        let mut until = Instant::now() + TELL_EVERY;
        for (id, open) in &mut host.open {
            if let (Some(sender), Some(record)) = (&mut open.sender, host.hosted.get_mut(&open.number)) {
                // The close event tells why, if it cannot send any more.
                let _ = sender.run(&mut socket, *id, record);
                until = until.min(sender.next());
            }
        }
        socket.wait(until.saturating_duration_since(Instant::now()));
        socket.poll();
        host.take_figures(&socket);
        while let Some(event) = socket.next_event() {
            host.event(&mut socket, event);
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            host.tell();
        }
    }
}

struct Open {
    number: u16,
    sender: Option<Sender>,
}

struct Host<'a> {
    board: &'a Board,
    traffic: Traffic,
    hosted: Hosted,
    open: HashMap<ConnectionId, Open>,
}

impl Host<'_> {
    fn event(&mut self, socket: &mut Socket, event: Event) {
        match event {
            Event::ConnectRequest(ConnectRequest { connection, connect_data, .. }) => {
                let number = <[u8; 2]>::try_from(&connect_data[..]).map(u16::from_be_bytes);
                let Ok(number) = number else {
                    // This is not a client of the demo. If it has gone already, it needs no answer.
                    let _ = socket.refuse(connection, b"this is a demo");
                    return;
                };
                if socket.accept_connection(connection, b"welcome").is_ok() {
                    self.open.insert(connection, Open { number, sender: None });
                    self.hosted.insert(number, Record::default());
                }
            }
            Event::Established { connection, .. } => {
                if let Some(open) = self.open.get_mut(&connection) {
                    open.sender = Some(Sender::new(self.traffic, open.number, End::Host));
                }
            }
            Event::Packet { connection, sequence, payload } => {
                if let Some((number, record)) = self.record(connection) {
                    record.received(sequence, traffic::read(&payload, number, End::Client));
                }
            }
            Event::Verdict { connection, sequence, delivery } => {
                if let Some((_, record)) = self.record(connection) {
                    record.verdict(sequence, delivery);
                }
            }
            Event::Close { connection, code, .. } => {
                self.take_figures(socket);
                let stopped = self.board.is_stopped();
                let board = self.board;
                if let Some((number, record)) = self.record(connection) {
                    board.tell(number, |shown| shown.ended_at_host = true);
                    record.ended = Some((code.name().into(), stopped && code == CloseCode::Closed));
                }
                self.tell();
                self.open.remove(&connection);
            }
            _ => {}
        }
    }

    fn record(&mut self, connection: ConnectionId) -> Option<(u16, &mut Record)> {
        let number = self.open.get(&connection)?.number;
        Some((number, self.hosted.get_mut(&number)?))
    }

    fn take_figures(&mut self, socket: &Socket) {
        for (id, open) in &self.open {
            if let (Some(stats), Some(record)) =
                (socket.connection_stats(*id), self.hosted.get_mut(&open.number))
            {
                record.stats = Some(stats);
            }
        }
    }

    fn tell(&self) {
        for open in self.open.values() {
            if let Some(record) = self.hosted.get(&open.number) {
                self.board.tell(open.number, |shown| shown.host.clone_from(&record.stats));
            }
        }
    }
}
