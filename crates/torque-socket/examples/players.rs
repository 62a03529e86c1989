//! Several players in one world: the host takes what each of them does, and shows all of them the whole, 30 times a second.
//!
//! One of them stalls, one leaves without a word, one sends what it must not. The others notice nothing.
//!
//! Run it: `cargo run --example players`
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::{ConnectionId, Event, LinkConfig, SendError, Sequence, Socket};

type Failure = Box<dyn Error + Send + Sync>;

/// How long a socket may take to end.
const END: Duration = Duration::from_secs(10);

pub(crate) const MOST_PLAYERS: usize = 16;
const TURN: Duration = Duration::from_nanos(1_000_000_000 / 30);
/// Steps that one player may take in a turn; more of them come from a program that cheats or is broken.
const MOST_STEPS: u32 = 8;

/// A player, as the host knows it.
#[derive(Default)]
struct Player {
    number: u8,
    position: i32,
    steps_in_turn: u32,
    /// Turns of which it was shown nothing, because there was no room.
    missed: u32,
}

pub(crate) static DONE: AtomicBool = AtomicBool::new(false);

fn main() -> Result<(), Failure> {
    let link: LinkConfig = "delay=15,jitter=5,loss=5%".parse()?;
    let host = Socket::builder().simulated_link(link).bind("127.0.0.1:0")?;
    let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
    let host = thread::spawn(move || run_host(host));
    let stalling = join(&url)?;
    // Forgotten, not dropped: from now on it says nothing, not even good bye.
    std::mem::forget(join(&url)?);
    let rude = join(&url)?;
    let walkers: Vec<_> = (0..3_i32)
        .map(|number| {
            let url = url.clone();
            thread::spawn(move || walk(&url, 20 + 10 * number))
        })
        .collect();
    let (mut rude, id) = rude;
    rude.send(id, b"let me win")?;
    for walker in walkers {
        println!("{}", walker.join().map_err(|_| "a player has stopped")??);
    }
    let reason = loop {
        match rude.wait_event(Duration::from_secs(5)).ok_or("the rude player is still in")? {
            Event::Close { reason, .. } => break reason,
            // It was lost on the way; once more.
            Event::Verdict { delivery, .. } if !delivery.is_delivered() => {
                rude.send(id, b"let me win")?;
            }
            _ => continue,
        }
    };
    assert_eq!(reason, b"a step is -1 or 1");
    DONE.store(true, Ordering::Relaxed);
    let (turns, missed) = host.join().map_err(|_| "the host has stopped")??;
    println!("{turns} turns; players that did not keep up missed {missed} of them");
    drop(stalling);
    Ok(())
}

pub(crate) fn run_host(mut socket: Socket) -> Result<(u32, u32), Failure> {
    let mut players: BTreeMap<ConnectionId, Player> = BTreeMap::new();
    let (mut turns, mut missed, mut next_turn) = (0, 0, Instant::now());
    while !DONE.load(Ordering::Relaxed) {
        socket.poll();
        while let Some(event) = socket.next_event() {
            match event {
                Event::ConnectRequest(request) => {
                    // These calls fail if the client has gone meanwhile, which `Close` tells.
                    let _ = if players.len() < MOST_PLAYERS {
                        socket.accept_connection(request.connection, b"")
                    } else {
                        socket.refuse(request.connection, b"full")
                    };
                }
                Event::Established { connection, .. } => {
                    // More requests may be accepted at the same time than there are places.
                    if players.len() >= MOST_PLAYERS {
                        let _ = socket.close(connection, b"full");
                        continue;
                    }
                    let taken = |number: &u8| players.values().any(|player| player.number == *number);
                    let number = (0..=u8::MAX).find(|number| !taken(number)).unwrap_or_default();
                    players.insert(connection, Player { number, ..Player::default() });
                }
                Event::Packet { connection, payload, .. } => {
                    let Some(player) = players.get_mut(&connection) else { continue };
                    player.steps_in_turn += 1;
                    match payload.first().map(|step| *step as i8) {
                        Some(step @ (-1 | 1)) if player.steps_in_turn <= MOST_STEPS => {
                            player.position += i32::from(step);
                        }
                        Some(-1 | 1) => {} // Too many in this turn: it is ignored.
                        _ => drop(socket.close(connection, b"a step is -1 or 1")),
                    }
                }
                Event::Close { connection, .. } => {
                    missed += players.remove(&connection).map_or(0, |player| player.missed);
                }
                _ => {}
            }
        }
        // The world in one packet: number and position of each player.
        let mut world = Vec::new();
        for player in players.values_mut() {
            player.steps_in_turn = 0;
            world.push(player.number);
            world.extend_from_slice(&player.position.to_be_bytes());
        }
        for (connection, player) in &mut players {
            let mut view = vec![player.number];
            view.extend_from_slice(&world);
            match socket.send(*connection, &view) {
                Ok(_) => {}
                Err(SendError::WindowFull | SendError::Blocked) => player.missed += 1,
                Err(SendError::Closed) => {} // Its `Close` comes.
                Err(error) => return Err(error.into()),
            }
        }
        socket.flush();
        turns += 1;
        // After a stall the next turn is due now, and those that were missed are left out.
        next_turn = (next_turn + TURN).max(Instant::now());
        thread::sleep(next_turn.saturating_duration_since(Instant::now()));
    }
    missed += players.values().map(|player| player.missed).sum::<u32>();
    socket.shutdown(END, |_| {});
    Ok((turns, missed))
}

fn join(url: &str) -> Result<(Socket, ConnectionId), Failure> {
    let mut socket = Socket::client()?;
    let id = socket.connect(url, None)?;
    loop {
        match socket.wait_event(Duration::from_secs(10)).ok_or("nobody answers")? {
            Event::Established { .. } => return Ok((socket, id)),
            Event::Close { code, .. } => return Err(code.to_string().into()),
            _ => {}
        }
    }
}

/// Walks to `target`: one step at a time, again if it was lost.
fn walk(url: &str, target: i32) -> Result<String, Failure> {
    let (mut socket, id) = join(url)?;
    let (mut left, mut under_way): (i32, Option<Sequence>) = (target, None);
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        match socket.wait_event(Duration::from_millis(10)) {
            Some(Event::Verdict { sequence, delivery, .. }) if under_way == Some(sequence) => {
                under_way = None;
                left -= i32::from(delivery.is_delivered());
            }
            Some(Event::Packet { payload, .. }) => {
                let (own, world) = payload.split_first().ok_or("an empty world")?;
                let mine = world.chunks_exact(5).find(|player| player[0] == *own).ok_or("not in it")?;
                let position = i32::from_be_bytes([mine[1], mine[2], mine[3], mine[4]]);
                if position == target {
                    let others = world.len() / 5 - 1;
                    socket.shutdown(END, |_| {});
                    return Ok(format!("a player is at {position}, and sees {others} others"));
                }
            }
            Some(Event::Close { code, .. }) => return Err(code.to_string().into()),
            _ => {}
        }
        if left > 0 && under_way.is_none() {
            // No room now: with the next turn.
            under_way = socket.send(id, &[1]).ok();
        }
    }
    Err("it takes too long".into())
}
