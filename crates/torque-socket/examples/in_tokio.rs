//! A host and clients in the tokio runtime: one task owns the socket, others talk to it through channels.
//!
//! One task owns the socket and does nothing long: it waits for events and for
//! commands. What the game does, and what a player waits for, is in other tasks.
//!
//! Run it: `cargo run --features tokio --example in_tokio`
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use torque_socket::{AsyncSocket, ConnectionId, Event, SendError, Socket};

type Failure = Box<dyn Error + Send + Sync>;

/// How long a socket may take to end.
const END: Duration = Duration::from_secs(10);

/// Lines that wait for a task; who does not keep up loses the next.
const MOST_LINES: usize = 64;
const PLAYERS: usize = 3;

/// A request of another task to the one that owns the socket.
enum Command {
    SendToAll(Vec<u8>),
    Stop,
}

fn main() -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let host = Socket::bind("127.0.0.1:0")?;
        let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
        let (commands, inbox) = channel(MOST_LINES);
        let (lines, mut heard) = channel(MOST_LINES);
        let host = tokio::spawn(own(host, inbox, lines));
        let players: Vec<_> = (0..PLAYERS).map(|number| tokio::spawn(play(url.clone(), number))).collect();

        // The game: hears everybody, and tells everybody.
        for _ in 0..PLAYERS {
            let (player, line) = heard.recv().await.ok_or("the socket's task has ended")?;
            println!("{player} says {line}");
        }
        commands.send(Command::SendToAll(b"the game begins".to_vec())).await?;
        for player in players {
            println!("{}", player.await??);
        }
        commands.send(Command::Stop).await?;
        host.await?
    })
}

/// The task that owns the socket.
async fn own(
    socket: Socket,
    mut commands: Receiver<Command>,
    lines: Sender<(ConnectionId, String)>,
) -> Result<(), Failure> {
    let mut socket = AsyncSocket::new(socket)?;
    let mut players: BTreeMap<ConnectionId, u32> = BTreeMap::new();
    loop {
        tokio::select! {
            Some(event) = socket.wait_event(None) => match event {
                Event::ConnectRequest(request) => {
                    // The client may be gone by now; `Close` will say so.
                    let _ = socket.accept_connection(request.connection, b"");
                }
                Event::Established { connection, .. } => drop(players.insert(connection, 0)),
                Event::Close { connection, .. } => drop(players.remove(&connection)),
                Event::Packet { connection, payload, .. } => {
                    // Without waiting: a task that does not keep up must not stop the socket.
                    let line = String::from_utf8_lossy(&payload).into_owned();
                    let _ = lines.try_send((connection, line));
                }
                _ => {}
            },
            command = commands.recv() => match command {
                Some(Command::SendToAll(line)) => {
                    for (player, missed) in &mut players {
                        match socket.send(*player, &line) {
                            Ok(_) => {}
                            Err(SendError::WindowFull | SendError::Blocked | SendError::Closed) => *missed += 1,
                            Err(error) => return Err(error.into()),
                        }
                    }
                    socket.flush();
                }
                Some(Command::Stop) | None => break,
            },
        }
    }
    // The other sides are told, and the last verdicts come in.
    socket.shutdown(END, |_| {}).await;
    Ok(())
}

async fn play(url: String, number: usize) -> Result<String, Failure> {
    let mut socket = AsyncSocket::new(Socket::client()?)?;
    let id = socket.connect(url, None)?;
    let limit = tokio::time::sleep(Duration::from_secs(20));
    tokio::pin!(limit);
    loop {
        tokio::select! {
            Some(event) = socket.wait_event(None) => match event {
                Event::Established { .. } => {
                    socket.send(id, format!("\"player {number} is here\"").as_bytes())?;
                    socket.flush();
                }
                Event::Packet { payload, .. } => {
                    socket.shutdown(END, |_| {}).await;
                    return Ok(format!("player {number} heard: {}", String::from_utf8_lossy(&payload)));
                }
                Event::Close { code, .. } => return Err(code.to_string().into()),
                _ => {}
            },
            () = &mut limit => return Err("it takes too long".into()),
        }
    }
}
