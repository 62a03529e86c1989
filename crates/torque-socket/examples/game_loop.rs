//! A host with a game at 60 turns a second that sends again only what still matters.
//!
//! Positions are sent when they change. When a packet with a position is dropped, that position is sent again
//! only if no newer one was sent meanwhile, and then the present one: nobody wants to know where a duck was. A
//! quack has to arrive, once: it goes again until it does. The verdicts tell which is which.
//!
//! Run it: `cargo run --example game_loop`
#![allow(clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use torque_socket::{ConnectionId, Event, LinkConfig, SendError, Sequence, Socket};

type Failure = Box<dyn Error + Send + Sync>;

const DUCKS: usize = 12;
const TURNS: u32 = 240;
const TURN: Duration = Duration::from_nanos(1_000_000_000 / 60);
/// How long a socket may take to end: enough to answer the other side while it may ask.
const END: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Duck {
    x: i16,
    y: i16,
}

/// The content of one packet.
struct Carried {
    ducks: Vec<usize>,
    quacks: Vec<u32>,
}

/// One player: the state that was sent, and the state that it has.
#[derive(Default)]
struct View {
    /// Ducks that the player does not have as they are now.
    dirty: BTreeSet<usize>,
    /// The packet that last carried each duck.
    last_sent_in: BTreeMap<usize, Sequence>,
    /// Quacks that are not delivered and not under way.
    quacks: BTreeSet<u32>,
    under_way: BTreeMap<Sequence, Carried>,
    sent_again: u32,
    let_go: u32,
}

impl View {
    fn send(
        &mut self,
        socket: &mut Socket,
        player: ConnectionId,
        ducks: &[Duck; DUCKS],
    ) -> Result<(), SendError> {
        if self.dirty.is_empty() && self.quacks.is_empty() {
            return Ok(());
        }
        let carried = Carried {
            ducks: self.dirty.iter().copied().collect(),
            quacks: self.quacks.iter().copied().take(32).collect(),
        };
        let mut packet = vec![carried.ducks.len() as u8];
        for &index in &carried.ducks {
            packet.push(index as u8);
            packet.extend_from_slice(&ducks[index].x.to_be_bytes());
            packet.extend_from_slice(&ducks[index].y.to_be_bytes());
        }
        carried.quacks.iter().for_each(|quack| packet.extend_from_slice(&quack.to_be_bytes()));
        match socket.send(player, &packet) {
            Ok(sequence) => {
                self.dirty.clear();
                self.quacks.retain(|quack| !carried.quacks.contains(quack));
                carried.ducks.iter().for_each(|&index| {
                    self.last_sent_in.insert(index, sequence);
                });
                self.under_way.insert(sequence, carried);
                Ok(())
            }
            // The player is behind: what is dirty stays so, and goes as it will be then.
            Err(SendError::WindowFull | SendError::Blocked) => Ok(()),
            // It is leaving, and its `Close` comes.
            Err(SendError::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn verdict(&mut self, sequence: Sequence, delivered: bool) {
        let Some(carried) = self.under_way.remove(&sequence).filter(|_| !delivered) else { return };
        for index in carried.ducks {
            if self.last_sent_in.get(&index) == Some(&sequence) {
                self.dirty.insert(index);
                self.sent_again += 1;
            } else {
                self.let_go += 1;
            }
        }
        self.quacks.extend(carried.quacks);
    }
}

fn main() -> Result<(), Failure> {
    let link: LinkConfig = "delay=25,jitter=5,loss=12%".parse()?;
    let host = Socket::builder().simulated_link(link).bind("127.0.0.1:0")?;
    let url = format!("torque://{}@{}", host.public_key(), host.local_addr());
    let host = thread::spawn(move || run_host(host));
    let seen = run_player(&url)?;
    let (ducks, quacks) = host.join().map_err(|_| "the host has stopped")??;
    assert_eq!(seen.0, ducks, "the player sees the ducks where they are");
    assert_eq!(seen.1, quacks, "and has heard every quack, once");
    println!("the player sees all {DUCKS} ducks where they are, and has heard all {} quacks", quacks.len());
    Ok(())
}

type Pond = ([Duck; DUCKS], BTreeSet<u32>);

fn run_host(mut socket: Socket) -> Result<Pond, Failure> {
    let (mut ducks, mut quacks, mut turn) = ([Duck::default(); DUCKS], BTreeSet::new(), 0_u32);
    let mut views: BTreeMap<ConnectionId, View> = BTreeMap::new();
    let mut next_turn = Instant::now();
    loop {
        // Network first: everything that has come, timers, verdicts.
        socket.poll();
        while let Some(event) = socket.next_event() {
            match event {
                Event::ConnectRequest(request) => {
                    // The client may be gone by now; `Close` will say so.
                    let _ = socket.accept_connection(request.connection, b"");
                }
                Event::Established { connection, .. } => {
                    let view = views.entry(connection).or_default();
                    view.dirty.extend(0..DUCKS);
                }
                Event::Verdict { connection, sequence, delivery } => {
                    if let Some(view) = views.get_mut(&connection) {
                        view.verdict(sequence, delivery.is_delivered());
                    }
                }
                Event::Close { connection, .. } => {
                    if let Some(view) = views.remove(&connection) {
                        println!("positions sent again: {}, let go: {}", view.sent_again, view.let_go);
                    }
                    // The player may have missed the answer to its close, so the host stays a while.
                    socket.shutdown(END, |_| {});
                    return Ok((ducks, quacks));
                }
                _ => {}
            }
        }
        // Then the game, once there is somebody to see it.
        if !views.is_empty() && turn < TURNS {
            turn += 1;
            let mover = (turn * 7 % DUCKS as u32) as usize;
            for index in [mover, (mover + 1) % DUCKS] {
                ducks[index].x += 1 + (turn % 5) as i16;
                ducks[index].y -= (turn % 3) as i16;
                views.values_mut().for_each(|view| {
                    view.dirty.insert(index);
                });
            }
            if turn.is_multiple_of(10) {
                quacks.insert(turn);
                views.values_mut().for_each(|view| {
                    view.quacks.insert(turn);
                });
            }
        }
        for (player, view) in &mut views {
            view.send(&mut socket, *player, &ducks)?;
            let is_done = view.dirty.is_empty() && view.quacks.is_empty() && view.under_way.is_empty();
            // All is delivered: the player may stop. If this cannot be sent now, it is in the next turn.
            if turn == TURNS
                && is_done
                && let Ok(sequence) = socket.send(*player, b"")
            {
                view.under_way.insert(sequence, Carried { ducks: vec![], quacks: vec![] });
            }
        }
        socket.flush();
        // After a stall the next turn is due now, and those that were missed are left out.
        next_turn = (next_turn + TURN).max(Instant::now());
        thread::sleep(next_turn.saturating_duration_since(Instant::now()));
    }
}

fn run_player(url: &str) -> Result<Pond, Failure> {
    let mut socket = Socket::client()?;
    socket.connect(url, None)?;
    let (mut ducks, mut quacks) = ([Duck::default(); DUCKS], BTreeSet::new());
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        match socket.wait_event(Duration::from_millis(100)) {
            Some(Event::Packet { payload, .. }) => {
                // An empty packet says that there is no more.
                let Some((count, rest)) = payload.split_first() else {
                    socket.shutdown(END, |_| {});
                    return Ok((ducks, quacks));
                };
                let (positions, rest) =
                    rest.split_at_checked(usize::from(*count) * 5).ok_or("a short packet")?;
                for bytes in positions.chunks_exact(5) {
                    let duck = ducks.get_mut(usize::from(bytes[0])).ok_or("no such duck")?;
                    duck.x = i16::from_be_bytes([bytes[1], bytes[2]]);
                    duck.y = i16::from_be_bytes([bytes[3], bytes[4]]);
                }
                for bytes in rest.chunks_exact(4) {
                    let new = quacks.insert(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
                    assert!(
                        new,
                        "a quack is heard once: it was sent again only after its packet was dropped"
                    );
                }
            }
            Some(Event::Close { code, .. }) => return Err(format!("the connection ended: {code}").into()),
            _ => {}
        }
    }
    Err("it takes too long".into())
}
