//! The rules of the arena: shots hit, ships burst and return. No network, no clock.

use std::collections::BTreeMap;

use super::flight::{Control, HEIGHT, Motion, PILLARS, SHIP_RADIUS, WIDTH, direction, fly};
use super::state::{SCALE, ShipState, ShotState, State};
use torque_netem::SimRng;

/// The most players, bots included; their numbers are below it.
pub const MAX_PLAYERS: u8 = 24;
/// The most shots in the air, so that every snapshot fits a packet. One more replaces the oldest.
pub const MAX_SHOTS: usize = 64;
/// Ticks that a shot flies.
pub const SHOT_LIFE: u32 = 72;
pub const SHOT_RADIUS: f64 = 5.0;
/// Hits that a ship survives. The next one bursts it.
pub const SHIELD: u8 = 3;
/// Ticks between two shots of a ship.
pub const SHOT_EVERY: u32 = 12;
/// Shots that a ship may save up, so that shots are not refused because their packets were dropped and came late.
const SHOTS_SAVED: u32 = 3;
/// Ticks until a burst ship returns, for which it is then protected, and after which its shield regains one.
const AWAY: u32 = 90;
const PROTECTED: u32 = 90;
const MENDING: u32 = 240;

/// A ship that has burst.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Burst {
    /// The player who fired the shot.
    pub by: u8,
    /// The player whose ship burst.
    pub ship: u8,
}

#[derive(Debug)]
struct Ship {
    motion: Motion,
    shield: u8,
    protected_until: u32,
    mends_at: u32,
}

#[derive(Debug)]
struct Player {
    control: Control,
    /// `None` while it is away.
    ship: Option<Ship>,
    returns_at: u32,
    /// Ticks towards further shots.
    saved: u32,
}

/// The whole game.
#[derive(Debug)]
pub struct World {
    tick: u32,
    players: BTreeMap<u8, Player>,
    /// The shots, oldest first. The position of a shot follows from where and when it was fired.
    shots: Vec<ShotState>,
    next_shot: u16,
    chances: SimRng,
}

impl World {
    /// An empty arena; the seed decides where ships begin.
    pub fn new(seed: u64) -> Self {
        Self {
            tick: 0,
            players: BTreeMap::new(),
            shots: Vec::new(),
            next_shot: 0,
            chances: SimRng::new(seed),
        }
    }

    /// Adds a player, whose ship appears at the next tick.
    pub fn enter(&mut self, player: u8) {
        let newcomer = Player {
            control: Control::default(),
            ship: None,
            returns_at: self.tick,
            saved: SHOTS_SAVED * SHOT_EVERY,
        };
        self.players.insert(player, newcomer);
    }

    /// Removes a player and its shots.
    pub fn leave(&mut self, player: u8) {
        self.players.remove(&player);
        self.shots.retain(|shot| shot.owner != player);
    }

    /// Sets the control of a player's ship.
    pub fn steer(&mut self, player: u8, control: Control) {
        if let Some(player) = self.players.get_mut(&player) {
            player.control = control;
        }
    }

    /// Fires a shot, if the player has a ship and did not fire too often. The shot carries `deed`, so that its player
    /// recognises it.
    pub fn fire(&mut self, number: u8, aim: u16, deed: u8) -> bool {
        let Some(player) = self.players.get_mut(&number) else { return false };
        let Some(ship) = player.ship.as_mut().filter(|_| player.saved >= SHOT_EVERY) else { return false };
        player.saved -= SHOT_EVERY;
        // A ship that fires loses its protection.
        ship.protected_until = self.tick;
        let (x, y) = direction(aim);
        let (x, y) = (ship.motion.x + x * SHIP_RADIUS, ship.motion.y + y * SHIP_RADIUS);
        if self.shots.len() == MAX_SHOTS {
            self.shots.remove(0);
        }
        self.shots.push(ShotState {
            number: self.next_shot,
            owner: number,
            deed,
            x: coordinate(x),
            y: coordinate(y),
            aim,
            fired_at: self.tick,
        });
        self.next_shot = self.next_shot.wrapping_add(1);
        true
    }

    /// Advances one tick. Returns the ships that burst.
    pub fn step(&mut self) -> Vec<Burst> {
        self.tick += 1;
        for number in 0..MAX_PLAYERS {
            let Some(player) = self.players.get(&number) else { continue };
            let returned = (player.ship.is_none() && player.returns_at <= self.tick).then(|| self.new_ship());
            let Some(player) = self.players.get_mut(&number) else { continue };
            player.saved = (player.saved + 1).min(SHOTS_SAVED * SHOT_EVERY);
            if returned.is_some() {
                player.ship = returned;
            } else if let Some(ship) = &mut player.ship {
                fly(&mut ship.motion, player.control);
                if ship.shield < SHIELD && ship.mends_at <= self.tick {
                    ship.shield += 1;
                    ship.mends_at = self.tick + MENDING;
                }
            }
        }
        self.keep_apart();
        self.move_shots()
    }

    /// A ship at the emptiest of several random places.
    fn new_ship(&mut self) -> Ship {
        let (mut best, mut best_room) = (Motion::default(), f64::MIN);
        for _ in 0..12 {
            let (x, y) =
                (self.chances.uniform(60.0, WIDTH - 60.0), self.chances.uniform(60.0, HEIGHT - 60.0));
            let ships = self.players.values().filter_map(|player| player.ship.as_ref());
            let to_ships = ships.map(|ship| (ship.motion.x - x).hypot(ship.motion.y - y));
            let to_pillars =
                PILLARS.iter().map(|pillar| (pillar.x - x).hypot(pillar.y - y) - pillar.radius - 40.0);
            // A pillar nearby is worse than a ship nearby.
            let to_pillars = to_pillars.map(|room| if room < 0.0 { room - WIDTH } else { WIDTH });
            let room = to_ships.chain(to_pillars).fold(WIDTH, f64::min);
            if room > best_room {
                (best, best_room) = (Motion { x, y, ..Motion::default() }, room);
            }
        }
        Ship { motion: best, shield: SHIELD, protected_until: self.tick + PROTECTED, mends_at: 0 }
    }

    /// Pushes overlapping ships apart.
    fn keep_apart(&mut self) {
        let numbers: Vec<u8> = self.players.keys().copied().collect();
        let motion = |world: &Self, number: &u8| {
            world.players.get(number).and_then(|player| player.ship.as_ref()).map(|ship| ship.motion)
        };
        for (index, first) in numbers.iter().enumerate() {
            for second in &numbers[index + 1..] {
                let (Some(a), Some(b)) = (motion(self, first), motion(self, second)) else { continue };
                let (dx, dy) = (b.x - a.x, b.y - a.y);
                let distance = dx.hypot(dy);
                let overlap = 2.0 * SHIP_RADIUS - distance;
                if overlap <= 0.0 || distance == 0.0 {
                    continue;
                }
                let push = overlap / 2.0 / distance;
                for (number, side) in [(first, -push), (second, push)] {
                    let ship = self.players.get_mut(number).and_then(|player| player.ship.as_mut());
                    if let Some(ship) = ship {
                        ship.motion.x = (ship.motion.x + dx * side).clamp(SHIP_RADIUS, WIDTH - SHIP_RADIUS);
                        ship.motion.y = (ship.motion.y + dy * side).clamp(SHIP_RADIUS, HEIGHT - SHIP_RADIUS);
                    }
                }
            }
        }
    }

    fn move_shots(&mut self) -> Vec<Burst> {
        let mut bursts = Vec::new();
        let shots = std::mem::take(&mut self.shots);
        for shot in shots {
            let (x, y) = shot.position(self.tick);
            let outside = !(0.0..=WIDTH).contains(&x) || !(0.0..=HEIGHT).contains(&y);
            let stopped =
                PILLARS.iter().any(|pillar| (pillar.x - x).hypot(pillar.y - y) < pillar.radius + SHOT_RADIUS);
            if self.tick - shot.fired_at >= SHOT_LIFE || outside || stopped {
                continue;
            }
            match self.hit(&shot, x, y) {
                Some(Some(burst)) => bursts.push(burst),
                Some(None) => {}
                None => self.shots.push(shot),
            }
        }
        bursts
    }

    /// The effect of a shot at this position: `None` if no ship is there, `Some(None)` if a ship takes it and stays whole, or
    /// else the burst.
    fn hit(&mut self, shot: &ShotState, x: f64, y: f64) -> Option<Option<Burst>> {
        let tick = self.tick;
        let (number, player) = self.players.iter_mut().find(|(number, player)| {
            let near = |ship: &Ship| (ship.motion.x - x).hypot(ship.motion.y - y) < SHIP_RADIUS + SHOT_RADIUS;
            **number != shot.owner && player.ship.as_ref().is_some_and(near)
        })?;
        let ship = player.ship.as_mut()?;
        if ship.protected_until > tick {
            return Some(None);
        }
        if ship.shield > 0 {
            ship.shield -= 1;
            ship.mends_at = tick + MENDING;
            return Some(None);
        }
        player.ship = None;
        player.returns_at = tick + AWAY;
        Some(Some(Burst { by: shot.owner, ship: *number }))
    }

    /// The visible state.
    pub fn state(&self) -> State {
        let ships = self.players.iter().filter_map(|(number, player)| {
            let ship = player.ship.as_ref()?;
            let protected = if ship.protected_until > self.tick { ShipState::PROTECTED } else { 0 };
            let thrust = if player.control.throttle() == (0.0, 0.0) { 0 } else { ShipState::THRUST };
            let state = ShipState {
                x: coordinate(ship.motion.x),
                y: coordinate(ship.motion.y),
                vx: speed(ship.motion.vx),
                vy: speed(ship.motion.vy),
                aim: (player.control.aim >> 8) as u8,
                status: (ship.shield & ShipState::SHIELD) | protected | thrust,
            };
            Some((*number, state))
        });
        State { tick: self.tick, ships: ships.collect(), shots: self.shots.clone() }
    }
}

/// Converts a position to sixteenths. Casts of floats saturate.
fn coordinate(place: f64) -> u16 {
    (place * SCALE).round() as u16
}

fn speed(speed: f64) -> i16 {
    (speed * SCALE).round() as i16
}

#[cfg(test)]
mod tests;
