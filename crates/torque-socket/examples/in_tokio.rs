//! A host and clients in the tokio runtime: one task owns the socket, others send through handles and await verdicts.
//!
//! The task that owns the socket does nothing long: it waits for events and hands packets on. The game, and what a player
//! waits for, are other tasks.
//!
//! Run it: `cargo run --features tokio --example in_tokio`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Duration;

use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::oneshot;
use torque_socket::{AsyncConnection, AsyncSocket, Event, Socket};

type Failure = Box<dyn Error + Send + Sync>;

/// How long a socket may take to end.
const END: Duration = Duration::from_secs(10);

/// Lines that wait for the game. While it does not keep up, further lines are lost.
const MOST_LINES: usize = 64;
const PLAYERS: usize = 3;

fn main() -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let host = Socket::bind("127.0.0.1:0")?;
        let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
        let (lines, mut heard) = channel(MOST_LINES);
        let (stop, stopped) = oneshot::channel();
        let host = tokio::spawn(own(host, lines, stopped));
        let players: Vec<_> = (0..PLAYERS).map(|number| tokio::spawn(play(url.clone(), number))).collect();

        // The game hears everybody, tells everybody, and learns whom its packet has reached.
        let mut guests = Vec::new();
        for _ in 0..PLAYERS {
            let (guest, line) = heard.recv().await.ok_or("the socket's task has ended")?;
            println!("{} says {line}", guest.id());
            guests.push(guest);
        }
        let sent: Vec<_> = guests.iter().map(|guest| guest.send(b"the game begins")).collect();
        for (guest, verdict) in guests.iter().zip(sent) {
            println!("{}: {:?}", guest.id(), verdict?.await);
        }
        for player in players {
            println!("{}", player.await??);
        }
        let _ = stop.send(());
        host.await?
    })
}

/// The task that owns the socket.
async fn own(
    socket: Socket,
    lines: Sender<(AsyncConnection, String)>,
    mut stopped: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    let mut socket = AsyncSocket::new(socket)?;
    loop {
        tokio::select! {
            Some(event) = socket.wait_event(None) => match event {
                Event::ConnectRequest(request) => {
                    // The client may be gone by now; `Close` will say so.
                    let _ = socket.accept_connection(request.connection, b"");
                }
                Event::Packet { connection, payload, .. } => {
                    // Without waiting: a task that does not keep up must not stop the socket.
                    let line = String::from_utf8_lossy(&payload).into_owned();
                    let _ = lines.try_send((socket.connection(connection), line));
                }
                _ => {}
            },
            _ = &mut stopped => break,
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
