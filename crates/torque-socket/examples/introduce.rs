//! A lobby introduces two players, who then talk to each other directly. Between real machines it works through most NATs; the
//! lobby needs an address that both reach.
//!
//! Run it: `cargo run --example introduce`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::thread;
use std::time::Duration;

use torque_socket::{Config, ConnectOptions, ConnectionId, Event, IntroducedOptions, Relay, Socket, Trust};

type Failure = Box<dyn Error + Send + Sync>;

/// How long a socket may take to end.
const END: Duration = Duration::from_secs(10);

fn main() -> Result<(), Failure> {
    let mut config = Config::default();
    // Without this, nobody who is connected may ask.
    config.introduction.introduces = true;
    let lobby = Socket::builder().config(config).bind("127.0.0.1:0")?;
    let url = format!("torque://{}@{}", lobby.public_key(), lobby.local_addr());
    let lobby = thread::spawn(move || run_lobby(lobby));
    let players = ["Ann", "Ben"].map(|name| {
        let url = url.clone();
        thread::spawn(move || play(name, &url))
    });
    for thread in players.into_iter().chain([lobby]) {
        thread.join().map_err(|_| "a thread has panicked")??;
    }
    Ok(())
}

/// Introduces the first two who come, and stays until they have left.
fn run_lobby(mut lobby: Socket) -> Result<(), Failure> {
    let (mut here, mut left) = (Vec::new(), 0);
    while left < 2 {
        match lobby.wait_event(None) {
            Some(Event::ConnectRequest(request)) => {
                // The player may be gone by now; `Close` will say so.
                let _ = lobby.accept_connection(request.connection, b"");
            }
            Some(Event::Established { connection, .. }) => {
                here.push(connection);
                if let [ann, ben] = here[..] {
                    introduce(&mut lobby, ann, ben)?;
                }
            }
            // A packet was lost. A real lobby remembers which; here they are told again, all of it.
            Some(Event::Verdict { delivery, .. }) if !delivery.is_delivered() && left == 0 => {
                introduce(&mut lobby, here[0], here[1])?;
            }
            Some(Event::Introduced { result, took, .. }) => {
                println!("the lobby hears: {result:?} after {took:?}")
            }
            Some(Event::Close { .. }) => left += 1,
            _ => {}
        }
    }
    lobby.shutdown(END, |_| {});
    Ok(())
}

/// Two of the lobby's clients are to play with each other. A circuit helps where no direct path works.
fn introduce(lobby: &mut Socket, ann: ConnectionId, ben: ConnectionId) -> Result<(), Failure> {
    lobby.introduce(ann, ben, Relay::default())?;
    // Each is told, in a packet, its role, and the other's number and key at the lobby.
    for (to, role, other) in [(ann, "initiator", ben), (ben, "host", ann)] {
        let key = lobby.peer(other).ok_or("it has left")?.public_key;
        lobby.send(to, format!("{role} {} {key}", other.get()).as_bytes())?;
    }
    Ok(())
}

/// A player, who meets the one that the lobby names, and exchanges a greeting.
fn play(name: &str, lobby: &str) -> Result<(), Failure> {
    let mut socket = Socket::client()?;
    let lobby = socket.connect(lobby, None)?;
    let (mut friend, mut key) = (None, None);
    let (mut greeted, mut heard) = (false, false);
    while !(greeted && heard) {
        match socket.wait_event(END).ok_or("nothing happens")? {
            Event::Packet { connection, payload, .. } if connection == lobby => {
                let told = std::str::from_utf8(&payload)?;
                let [role, number, its_key] = told.split(' ').collect::<Vec<_>>()[..] else {
                    return Err("the lobby says something else".into());
                };
                if friend.is_some() {
                    continue;
                }
                let its_key = its_key.parse()?;
                let options = match role {
                    "host" => IntroducedOptions::host(),
                    _ => IntroducedOptions::initiator(ConnectOptions::new(Trust::Pinned(its_key))),
                };
                friend = Some(socket.connect_introduced(lobby, number.parse()?, options)?);
                key = Some(its_key);
            }
            // Only at the host, which compares the key as well.
            Event::ConnectRequest(request) => {
                if Some(request.public_key) == key {
                    socket.accept_connection(request.connection, b"")?;
                } else {
                    socket.refuse(request.connection, b"I wait for somebody else")?;
                }
            }
            Event::Established { connection, .. } if Some(connection) == friend => {
                let address = socket.peer(connection).ok_or("it has left")?.address;
                println!("{name} is connected with {address}");
                socket.send(connection, format!("{name} says hello").as_bytes())?;
            }
            Event::Packet { payload, .. } => {
                println!("{name} hears: {}", String::from_utf8_lossy(&payload));
                heard = true;
            }
            // The first packet of a connection; a lost one is sent again.
            Event::Verdict { connection, delivery, .. } if Some(connection) == friend => {
                greeted = delivery.is_delivered();
                if !greeted {
                    socket.send(connection, format!("{name} says hello").as_bytes())?;
                }
            }
            Event::Close { code, .. } => return Err(format!("{name}: {code}").into()),
            _ => {}
        }
    }
    socket.shutdown(END, |_| {});
    Ok(())
}
