//! A host that bans players by their key, which they keep from visit to visit, whatever address they come from.
//!
//! A key costs nothing to make, so a ban by key alone keeps out who wants to stay the same person: with friends, a
//! rank, things of their own. Where every player needs an account, see the example `credentials`.
//!
//! Run it: `cargo run --example bans`
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use torque_socket::{
    CloseCode, ConnectRequest, ConnectionId, Event, KeyPair, PublicKey, SendError, Socket, Trust,
};

type Failure = Box<dyn Error + Send + Sync>;

/// What a socket may take to end.
const END: Duration = Duration::from_secs(10);

/// Who may not come in, and why. A real host keeps this in a file: keys are written `tk1…`, and read by `parse`.
#[derive(Default)]
struct Bans(Vec<(PublicKey, String)>);

impl Bans {
    /// Two keys can be one identity, so they are not compared with `==`.
    fn reason(&self, key: &PublicKey) -> Option<&str> {
        let ban = self.0.iter().find(|(banned, _)| banned.same_identity(key));
        ban.map(|(_, reason)| reason.as_str())
    }

    fn add(&mut self, key: PublicKey, reason: &str) {
        if self.reason(&key).is_none() {
            self.0.push((key, reason.to_owned()));
        }
    }
}

fn main() -> Result<(), Failure> {
    let host = Socket::bind("127.0.0.1:0")?;
    let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
    static DONE: AtomicBool = AtomicBool::new(false);
    let host = thread::spawn(move || run_host(host, &DONE));
    // Keys from fixed seeds only here: a real player's comes from `key_file`.
    let (ada, bob) = (KeyPair::from_seed([1; 32]), KeyPair::from_seed([2; 32]));
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
    assert!(bans.reason(&bob.public()).is_some() && bans.reason(&ada.public()).is_none());
    Ok(())
}

fn run_host(mut socket: Socket, done: &AtomicBool) -> Result<Bans, Failure> {
    let mut bans = Bans::default();
    let mut players: BTreeMap<ConnectionId, PublicKey> = BTreeMap::new();
    while !done.load(Ordering::Relaxed) {
        let Some(event) = socket.wait_event(Duration::from_millis(20)) else { continue };
        match event {
            // The request has paid the puzzle and proven its address. Its key is proven when the connection is established.
            Event::ConnectRequest(ConnectRequest { connection, public_key, .. }) => {
                let _ = match bans.reason(&public_key) {
                    Some(reason) => socket.refuse(connection, format!("banned: {reason}").as_bytes()),
                    None => socket.accept_connection(connection, b""),
                };
            }
            Event::Established { connection, public_key, .. } => drop(players.insert(connection, public_key)),
            Event::Close { connection, .. } => drop(players.remove(&connection)),
            Event::Packet { connection, payload, .. } => {
                let Some(key) = players.get(&connection) else { continue };
                if payload.windows(5).any(|word| word == b"cheap") {
                    bans.add(*key, "advertising");
                    // Everywhere where this key is, not only on this connection.
                    for (other, _) in players.iter().filter(|(_, other)| other.same_identity(key)) {
                        let _ = socket.close(*other, b"banned: advertising");
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
fn visit(url: &str, who: &KeyPair, says: &[u8]) -> Result<String, Failure> {
    let mut socket = Socket::builder().key_pair(who.clone()).client()?;
    let id = socket.connect(url, Trust::Ask)?;
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
