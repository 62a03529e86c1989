//! Bots: players behind a lossy link, each with its own socket. They know only what the host tells them.

use torque_socket::{Builder, ConnectOptions, ConnectionId, Event, LinkConfig, Socket};

use super::board::Board;
use super::brain::Brain;
use super::flight::TICK_RATE;
use super::view::View;
use super::wire::{Deed, Hello, Welcome};
use super::{APPLICATION, CLOSE_AT_MOST, Turns};
use crate::failure::Failure;

/// People who studied motion.
const NAMES: [&str; 12] = [
    "Euler",
    "Noether",
    "Hooke",
    "Kepler",
    "Somerville",
    "Lagrange",
    "Galileo",
    "Kovalevskaya",
    "Huygens",
    "Coriolis",
    "Germain",
    "Archimedes",
];

/// All bots of an arena.
pub struct Bots(Vec<Bot>);

struct Bot {
    socket: Socket,
    connection: Option<ConnectionId>,
    name: String,
    /// Its number, once the host accepted it.
    player: Option<u8>,
    view: View,
    brain: Brain,
}

impl Bots {
    /// Opens bots that will connect to the arena over `link`.
    pub fn open(count: u8, link: LinkConfig, seed: u64) -> Result<Self, Failure> {
        (0..count).map(|number| Bot::open(number, link, seed)).collect::<Result<_, _>>().map(Self)
    }

    /// Plays at `arena` until the board is stopped. A bot whose connection ends connects again.
    pub fn run(mut self, arena: &str, board: &Board) {
        let mut turns = Turns::new(TICK_RATE);
        while !board.is_stopped() {
            std::thread::sleep(turns.left());
            let due = turns.due();
            for bot in &mut self.0 {
                bot.turn(arena, due > 0);
            }
        }
        std::thread::scope(|threads| {
            for bot in self.0 {
                threads.spawn(|| bot.socket.shutdown(CLOSE_AT_MOST, |_| {}));
            }
        });
    }
}

impl Bot {
    fn open(number: u8, link: LinkConfig, seed: u64) -> Result<Self, Failure> {
        let seed = seed.wrapping_add(u64::from(number) << 32);
        let socket = builder().simulated_link(link).simulated_link_seed(seed).bind("127.0.0.1:0")?;
        let (name, round) = (NAMES[usize::from(number) % NAMES.len()], usize::from(number) / NAMES.len() + 1);
        let name = if round == 1 { name.to_owned() } else { format!("{name} {round}") };
        let brain = Brain::new(seed);
        Ok(Self { socket, connection: None, name, player: None, view: View::default(), brain })
    }

    fn turn(&mut self, arena: &str, is_due: bool) {
        self.socket.poll();
        while let Some(event) = self.socket.next_event() {
            self.event(event);
        }
        match (self.connection, self.player) {
            (None, _) => {
                let hello = Hello { bot: true, name: self.name.clone() };
                let options = ConnectOptions::default().with_data(hello.write());
                // If this fails, the next turn tries again.
                self.connection = self.socket.connect_with(arena, options).ok();
            }
            (Some(connection), Some(player)) if is_due => self.play(connection, player),
            _ => {}
        }
        self.socket.flush();
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Established { accept_data, .. } => self.player = Welcome::player(&accept_data),
            Event::Packet { payload, .. } => drop(self.view.packet(&payload)),
            Event::Verdict { sequence, delivery, .. } => {
                self.view.verdict(sequence, delivery.is_delivered());
            }
            Event::Close { .. } => {
                (self.connection, self.player, self.view) = (None, None, View::default());
            }
            _ => {}
        }
    }

    fn play(&mut self, connection: ConnectionId, player: u8) {
        let Some(room) = self.socket.max_packet_size(connection) else { return };
        let Some(state) = self.view.state() else { return };
        let (control, fires) = self.brain.decide(player, state);
        if fires {
            self.view.do_once(&Deed::Fire { aim: control.aim });
        }
        let (packet, letters) = self.view.input(control, room);
        match self.socket.send(connection, &packet) {
            Ok(sequence) => self.view.sent(letters, sequence),
            Err(_) => self.view.unsent(letters),
        }
    }
}

/// A socket of a player.
fn builder() -> Builder {
    let mut config = torque_socket::Config::default();
    config.application_id = APPLICATION.into();
    config.accept_incoming = false;
    Socket::builder().config(config)
}
