//! A chat room: three players with a socket on a background thread each, and a host that passes lines on.
//!
//! A line that was dropped is sent again; each player's own lines stay in order because the next one waits for the
//! verdict on the one before. Also shows names, known hosts, and saying no.
//!
//! Run it: `cargo run --example chat`
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::trust::{Judge, Judgement, KnownHosts};
use torque_socket::{
    ChallengeResponse, CloseCode, ConnectOptions, ConnectRequest, ConnectionId, Event, LinkConfig, SendError,
    Sequence, Socket, ThreadedSocket, Trust,
};

type Failure = Box<dyn Error + Send + Sync>;

const WAIT: Duration = Duration::from_secs(20);
/// Lines that wait for one player.
const MOST_LINES: usize = 100;
/// Bytes of a player's name, and of one line. Together they fit into a packet.
const MOST_NAME: usize = 32;
const MOST_LINE: usize = 1_000;
const LINES: [&str; 4] = ["hello", "nice pond", "have you seen the duck?", "good night"];

/// Lines for one other side: one under way at a time, again until it arrives.
#[derive(Default)]
struct Lines {
    waiting: VecDeque<String>,
    under_way: Option<Sequence>,
}

impl Lines {
    fn send(&mut self, socket: &ThreadedSocket, to: ConnectionId) -> Result<(), SendError> {
        if let (None, Some(line)) = (self.under_way, self.waiting.front()) {
            match socket.send(to, line.as_bytes()) {
                Ok(sequence) => self.under_way = Some(sequence),
                // No room now: with the next event.
                Err(SendError::WindowFull | SendError::Blocked) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Queues one more line. A player who does not keep up misses the oldest, so that a silent one cannot fill the host's memory.
    fn push(&mut self, line: String) {
        if self.waiting.len() == MOST_LINES {
            // The first one is under way.
            self.waiting.remove(1);
        }
        self.waiting.push_back(line);
    }

    fn verdict(&mut self, sequence: Sequence, delivered: bool) {
        if self.under_way == Some(sequence) {
            self.under_way = None;
            if delivered {
                self.waiting.pop_front();
            }
        }
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty()
    }
}

fn main() -> Result<(), Failure> {
    let link: LinkConfig = "delay=10,jitter=5,loss=10%".parse()?;
    let host = Socket::builder().simulated_link(link).bind("127.0.0.1:0")?.spawn()?;
    let address = host.local_addr().to_string();
    let room = thread::spawn(move || run_room(host));
    let players: Vec<_> = ["Ada", "Ben", "Cleo"]
        .map(|name| {
            let address = address.clone();
            thread::spawn(move || run_player(name, &address))
        })
        .into_iter()
        .collect();
    let refused = run_player("", &address);
    println!("somebody without a name: {}", refused.err().map_or("let in".into(), |error| error.to_string()));
    for player in players {
        player.join().map_err(|_| "a player has stopped")??;
    }
    room.join().map_err(|_| "the room has stopped")?
}

pub(crate) fn run_room(socket: ThreadedSocket) -> Result<(), Failure> {
    let mut names: BTreeMap<ConnectionId, String> = BTreeMap::new();
    let mut lines: BTreeMap<ConnectionId, Lines> = BTreeMap::new();
    let mut left = 0;
    while left < 3 {
        match socket.wait_event(WAIT).ok_or("nothing happens in the room")? {
            Event::ConnectRequest(ConnectRequest { connection, connect_data, .. }) => {
                match String::from_utf8(connect_data) {
                    Ok(name) if (1..=MOST_NAME).contains(&name.len()) => {
                        names.insert(connection, name);
                        // The client may be gone by now; `Close` will say so.
                        let _ = socket.accept_connection(connection, b"");
                    }
                    _ => {
                        let _ = socket.refuse(connection, b"a name of 1 to 32 bytes, please");
                    }
                }
            }
            Event::Established { connection, .. } => {
                lines.insert(connection, Lines::default());
            }
            Event::Packet { connection, payload, .. } => {
                let Some(name) = names.get(&connection) else { continue };
                let Some(line) = str::from_utf8(&payload).ok().filter(|line| line.len() <= MOST_LINE) else {
                    // What the others could not be sent must not end the room.
                    let _ = socket.close(connection, b"a line is at most 1,000 bytes of UTF-8");
                    continue;
                };
                let line = format!("{name}: {line}");
                println!("{line}");
                for (_, others) in lines.iter_mut().filter(|(other, _)| **other != connection) {
                    others.push(line.clone());
                }
            }
            Event::Verdict { connection, sequence, delivery } => {
                if let Some(lines) = lines.get_mut(&connection) {
                    lines.verdict(sequence, delivery.is_delivered());
                }
            }
            Event::Close { connection, .. } => {
                names.remove(&connection);
                left += u32::from(lines.remove(&connection).is_some());
            }
            _ => {}
        }
        for (player, lines) in &mut lines {
            match lines.send(&socket, *player) {
                // Somebody who is leaving; the close event is on its way.
                Ok(()) | Err(SendError::Closed) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    // Everybody has left. A player that has missed the answer to that asks again, so the room stays a while.
    socket.shutdown(WAIT, |_| {});
    Ok(())
}

/// Says the lines, listens until nobody says anything any more, and returns how many lines it heard.
fn run_player(name: &str, address: &str) -> Result<usize, Failure> {
    let mut known_hosts = KnownHosts::in_memory();
    let socket = Socket::client()?.spawn()?;
    let options = ConnectOptions::new(Trust::Ask).with_data(name.as_bytes());
    let room = socket.connect_with(address, options)?;
    let mut lines = Lines { waiting: LINES.iter().map(ToString::to_string).collect(), under_way: None };
    let (mut up, mut heard, mut last) = (false, 0, Instant::now());
    loop {
        match socket.wait_event(Duration::from_millis(100)) {
            Some(Event::ChallengeResponse(ChallengeResponse {
                connection,
                public_key,
                challenge_response_data,
                ..
            })) => {
                let judge = Judge { known_hosts: Some(&known_hosts), ..Judge::default() };
                match judge.judge(address, public_key, &challenge_response_data) {
                    Judgement::Trusted(_) => {}
                    // The first visit: a real program would ask its player here.
                    Judgement::Unknown => known_hosts.remember(address, public_key)?,
                    Judgement::Mismatch { .. } => return Err("the room has another key than before".into()),
                }
                socket.accept_challenge(connection)?;
            }
            Some(Event::Established { .. }) => up = true,
            Some(Event::Packet { .. }) => (heard, last) = (heard + 1, Instant::now()),
            Some(Event::Verdict { sequence, delivery, .. }) => {
                lines.verdict(sequence, delivery.is_delivered());
            }
            Some(Event::Close { code: CloseCode::Refused, reason, .. }) => {
                return Err(format!("not let in: {}", String::from_utf8_lossy(&reason)).into());
            }
            Some(Event::Close { code, .. }) => return Err(format!("the connection ended: {code}").into()),
            _ => {}
        }
        if up {
            lines.send(&socket, room)?;
        }
        if up && lines.is_done() && last.elapsed() > Duration::from_secs(1) {
            break;
        }
    }
    socket.close(room, b"good night")?;
    // Lines that came before the close are given out too.
    socket.shutdown(WAIT, |event| heard += usize::from(matches!(event, Event::Packet { .. })));
    println!("({name} heard {heard} lines of others)");
    Ok(heard)
}
