//! The host of the arena: one socket for pages and bots, the game at 60 ticks a second, snapshots at 30.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use torque_socket::{Config, ConnectRequest, ConnectionId, Event, Socket};

use super::board::{Board, Standing};
use super::flight::TICK_RATE;
use super::guest::Guest;
use super::rules::{MAX_PLAYERS, World};
use super::wire::{Deed, Hello, News, Welcome};
use super::{APPLICATION, CLOSE_AT_MOST, Turns};
use crate::failure::Failure;

/// Ticks between two snapshots.
const SNAPSHOT_EVERY: u32 = 2;
/// Ticks between two updates of the board.
const TELL_EVERY: u32 = 15;
/// The foreign packets after which a player is expelled.
const MALFORMED: u64 = 100;

/// An accepted connection.
struct Seat {
    guest: Guest,
    /// Set once it is established, and the player plays.
    playing: bool,
}

/// The host.
pub struct Arena {
    socket: Socket,
    world: World,
    seats: BTreeMap<ConnectionId, Seat>,
    tick: u32,
}

impl Arena {
    /// Opens an arena at a free port of this machine.
    pub fn open() -> Result<Self, Failure> {
        let mut config = Config::default();
        config.application_id = APPLICATION.into();
        let socket = Socket::builder().config(config).bind("127.0.0.1:0")?;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)
            .map_err(|error| Failure::new(format!("the operating system gave no random bytes: {error}")))?;
        let world = World::new(u64::from_le_bytes(seed));
        Ok(Self { socket, world, seats: BTreeMap::new(), tick: 0 })
    }

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// The URL for players, with the host's key.
    pub fn url(&self) -> String {
        format!("torque://{}@{}", self.socket.public_key(), self.socket.local_addr())
    }

    /// Runs the game until the board is stopped.
    pub fn run(mut self, board: &Board) {
        let mut turns = Turns::new(TICK_RATE);
        while !board.is_stopped() {
            self.socket.wait(turns.left());
            self.socket.poll();
            while let Some(event) = self.socket.next_event() {
                self.event(event);
            }
            for _ in 0..turns.due() {
                self.tick(board);
            }
            self.socket.flush();
        }
        // The game is over. Late packets do not change it.
        self.socket.shutdown(CLOSE_AT_MOST, |_| {});
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::ConnectRequest(ConnectRequest { connection, connect_data, .. }) => {
                self.request(connection, &connect_data)
            }
            Event::Established { connection, .. } => self.enter(connection),
            Event::Packet { connection, payload, .. } => self.packet(connection, &payload),
            Event::Verdict { connection, sequence, delivery } => {
                if let Some(seat) = self.seats.get_mut(&connection) {
                    seat.guest.verdict(sequence, delivery.is_delivered());
                }
            }
            Event::Close { connection, .. } => self.leave(connection),
            _ => {}
        }
    }

    /// Refuses a guest, who learns the reason, or has already gone.
    fn request(&mut self, connection: ConnectionId, connect_data: &[u8]) {
        let Some(Hello { bot, name }) = Hello::read(connect_data) else {
            let _ = self.socket.refuse(connection, b"connect_data is no name for the arena");
            return;
        };
        let is_free = |player: &u8| self.seats.values().all(|seat| seat.guest.player != *player);
        let Some(player) = (0..MAX_PLAYERS).find(is_free) else {
            let _ = self.socket.refuse(connection, b"the arena is full");
            return;
        };
        if self.socket.accept_connection(connection, &Welcome::write(player)).is_ok() {
            let guest = Guest::new(player, bot, name);
            self.seats.insert(connection, Seat { guest, playing: false });
        }
    }

    fn enter(&mut self, connection: ConnectionId) {
        let Some(seat) = self.seats.get_mut(&connection) else { return };
        seat.playing = true;
        self.world.enter(seat.guest.player);
        let newcomer = seat.guest.introduction();
        let others: Vec<News> = self.playing().map(|guest| guest.introduction()).collect();
        for (id, seat) in &mut self.seats {
            if *id == connection {
                others.iter().for_each(|news| seat.guest.tell(news));
            } else if seat.playing {
                seat.guest.tell(&newcomer);
            }
        }
    }

    fn leave(&mut self, connection: ConnectionId) {
        let Some(seat) = self.seats.remove(&connection) else { return };
        self.world.leave(seat.guest.player);
        if seat.playing {
            self.tell(&News::Left { player: seat.guest.player });
        }
    }

    fn packet(&mut self, connection: ConnectionId, payload: &[u8]) {
        let Some(seat) = self.seats.get_mut(&connection).filter(|seat| seat.playing) else { return };
        let (player, deeds) = (seat.guest.player, seat.guest.packet(payload));
        if seat.guest.malformed > MALFORMED {
            // It may have closed already.
            let _ = self.socket.close(connection, b"too many packets that are none of this game");
            return;
        }
        for (number, deed) in deeds {
            match deed {
                Deed::Fire { aim } => {
                    self.world.fire(player, aim, number);
                }
                Deed::Say { text } => self.tell(&News::Said { player, text }),
            }
        }
    }

    /// Tells all players.
    fn tell(&mut self, news: &News) {
        self.seats.values_mut().filter(|seat| seat.playing).for_each(|seat| seat.guest.tell(news));
    }

    fn playing(&self) -> impl Iterator<Item = &Guest> {
        self.seats.values().filter(|seat| seat.playing).map(|seat| &seat.guest)
    }

    fn tick(&mut self, board: &Board) {
        self.tick = self.tick.wrapping_add(1);
        for seat in self.seats.values_mut().filter(|seat| seat.playing) {
            self.world.steer(seat.guest.player, seat.guest.control());
        }
        for burst in self.world.step() {
            let mut guests = self.seats.values_mut().map(|seat| &mut seat.guest);
            if let Some(guest) = guests.find(|guest| guest.player == burst.by) {
                guest.points = guest.points.saturating_add(1);
            }
            self.tell(&News::Burst { by: burst.by, ship: burst.ship });
        }
        if self.tick.is_multiple_of(SNAPSHOT_EVERY) {
            self.send_snapshots();
        }
        if self.tick.is_multiple_of(TELL_EVERY) {
            let standing = |guest: &Guest| Standing {
                player: guest.player,
                name: guest.name.clone(),
                bot: guest.bot,
                points: guest.points,
            };
            board.tell(self.playing().map(standing).collect());
        }
    }

    fn send_snapshots(&mut self) {
        let state = Arc::new(self.world.state());
        for (connection, seat) in self.seats.iter_mut().filter(|(_, seat)| seat.playing) {
            if seat.guest.is_behind() {
                let _ = self.socket.close(*connection, b"too far behind");
                continue;
            }
            let Some(room) = self.socket.max_packet_size(*connection) else { continue };
            let packet = seat.guest.snapshot(&state, room);
            match self.socket.send(*connection, &packet.bytes) {
                Ok(sequence) => seat.guest.sent(packet, sequence),
                // The next snapshot is newer. If the connection has ended, its close event follows.
                Err(_) => seat.guest.unsent(packet),
            }
        }
    }
}

#[cfg(test)]
mod tests;
