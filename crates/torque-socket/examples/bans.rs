//! A host that bans players by their key, which they keep from visit to visit, whatever address they come from.
//!
//! A key costs nothing to make, so a ban by key alone keeps out only players who want to stay the same person: with friends,
//! a rank, possessions. Where every player needs an account, see the example `credentials`.
//!
//! Run it: `cargo run --example bans`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use torque_socket::{BanSet, CloseCode, Event, Generate, KeyPair, SendError, Socket};

type Failure = Box<dyn Error + Send + Sync>;

/// How long a socket may take to end.
const END: Duration = Duration::from_secs(10);

fn main() -> Result<(), Failure> {
    let host = Socket::bind("127.0.0.1:0")?;
    let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
    static DONE: AtomicBool = AtomicBool::new(false);
    let host = thread::spawn(move || run_host(host, &DONE));
    // A real player's key comes from a file (`key_file`), so that it is the same the next day.
    let (ada, bob) = (KeyPair::generate()?, KeyPair::generate()?);
    let first = visit(&url, &ada, b"hello")?;
    let banned = visit(&url, &bob, b"buy cheap ducks")?;
    let again = visit(&url, &bob, b"hello")?;
    let friend = visit(&url, &ada, b"hello again")?;
    DONE.store(true, Ordering::Relaxed);
    let bans = host.join().map_err(|_| "the host has stopped")??;
    for (name, end) in [("Ada", &first), ("Bob", &banned), ("Bob", &again), ("Ada", &friend)] {
        println!("{name}'s visit ended with: {end}");
    }
    assert_eq!((first.as_str(), friend.as_str()), ("a good visit", "a good visit"));
    assert!(banned.contains("closed") && again.contains("refused"), "{banned}; {again}");
    assert!(bans.contains(&bob.public()) && !bans.contains(&ada.public()));
    Ok(())
}

pub(crate) fn run_host(mut socket: Socket, done: &AtomicBool) -> Result<BanSet, Failure> {
    // A real host keeps this in a file: keys are written `tk1…`, and read by `parse`.
    let mut bans = BanSet::new();
    while !done.load(Ordering::Relaxed) {
        let Some(event) = socket.wait_event(Duration::from_millis(20)) else { continue };
        match event {
            // The request has paid the puzzle and proven its address. Its key is proven when the connection is established.
            Event::ConnectRequest(request) => {
                // The client may be gone by now; `Close` will say so.
                let _ = if bans.contains(&request.public_key) {
                    socket.refuse(request.connection, b"banned: advertising")
                } else {
                    socket.accept_connection(request.connection, b"")
                };
            }
            // The ban may have come between the request and now.
            Event::Established { connection, .. }
                if socket.peer(connection).is_some_and(|player| bans.contains(&player.public_key)) =>
            {
                let _ = socket.close(connection, b"banned: advertising");
            }
            Event::Packet { connection, payload, .. } => {
                let Some(player) = socket.peer(connection) else { continue };
                if payload.windows(5).any(|word| word == b"cheap") {
                    bans.insert(player.public_key);
                    // Everywhere where this player is, not only on this connection.
                    let all: Vec<_> = socket.connections().collect();
                    for other in all {
                        if socket.peer(other).is_some_and(|other| bans.contains(&other.public_key)) {
                            let _ = socket.close(other, b"banned: advertising");
                        }
                    }
                    continue;
                }
                match socket.send(connection, b"heard") {
                    Ok(_) | Err(SendError::WindowFull | SendError::Blocked | SendError::Closed) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            _ => {}
        }
    }
    socket.shutdown(END, |_| {});
    Ok(bans)
}

/// Says one thing, and returns how that went.
fn visit(url: &str, player: &KeyPair, says: &[u8]) -> Result<String, Failure> {
    let mut socket = Socket::builder().key_pair(player.clone()).client()?;
    // The key in the URL says which host it is.
    let id = socket.connect(url, None)?;
    loop {
        match socket.wait_event(Duration::from_secs(10)).ok_or("nothing happens")? {
            Event::Established { .. } => drop(socket.send(id, says)?),
            Event::Packet { .. } => {
                socket.shutdown(END, |_| {});
                return Ok("a good visit".into());
            }
            Event::Close { code: code @ (CloseCode::Closed | CloseCode::Refused), reason, .. } => {
                return Ok(format!("{} ({})", code.name(), String::from_utf8_lossy(&reason)));
            }
            Event::Close { code, .. } => return Err(code.to_string().into()),
            _ => {}
        }
    }
}
