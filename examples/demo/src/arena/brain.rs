//! The decisions of a bot: it circles the nearest ship at a distance, shoots where it will be, and misses now and then.

use std::f64::consts::{PI, TAU};

use super::flight::{Control, HEIGHT, PILLARS, SHOT_SPEED, TICK_RATE, WIDTH};
use super::state::{SCALE, ShipState, State};
use torque_netem::SimRng;

/// The distance that it sees, and the one that it keeps.
const SIGHT: f64 = 620.0;
const LIKED: f64 = 260.0;
/// The largest error of its aim, and its turn per tick, in radians.
const OFF: f64 = 0.2;
const TURN: f64 = 0.12;
/// The chance of a shot in a tick in which it could shoot.
const EAGERNESS: f64 = 1.3 / TICK_RATE as f64;
/// The distance at which it starts to avoid pillars.
const WAY: f64 = 70.0;

/// The mind of a bot.
#[derive(Debug)]
pub struct Brain {
    chances: SimRng,
    /// Its direction.
    heading: f64,
    /// The side around which it circles: 1 or -1.
    side: f64,
    error: f64,
    /// Its destination while nobody is near.
    goal: (f64, f64),
}

impl Brain {
    pub fn new(seed: u64) -> Self {
        let mut chances = SimRng::new(seed);
        let goal = place(&mut chances);
        Self { heading: chances.uniform(-PI, PI), chances, side: 1.0, error: 0.0, goal }
    }

    /// Its control for this tick, and whether it fires.
    pub fn decide(&mut self, me: u8, state: &State) -> (Control, bool) {
        let Some(ship) = state.ships.get(&me) else { return (Control::default(), false) };
        let (x, y) = spot(ship);
        if self.chances.chance(0.6 / f64::from(TICK_RATE)) {
            self.side = -self.side;
        }
        if self.chances.chance(2.0 / f64::from(TICK_RATE)) {
            self.error = self.chances.uniform(-OFF, OFF);
        }
        let others = state.ships.iter().filter(|(number, _)| **number != me).map(|(_, other)| other);
        let target = others
            .map(|other| (other, (spot(other).0 - x).hypot(spot(other).1 - y)))
            .filter(|(_, distance)| *distance < SIGHT)
            .min_by(|a, b| a.1.total_cmp(&b.1));

        let (mut right, mut down, wanted, may_fire) = match target {
            Some((other, distance)) => self.fight((x, y), other, distance),
            None => self.wander((x, y)),
        };
        for pillar in PILLARS {
            let (dx, dy) = (x - pillar.x, y - pillar.y);
            let distance = dx.hypot(dy).max(1.0);
            let room = (distance - pillar.radius) / WAY;
            if room < 1.0 {
                right += dx / distance * 2.0 * (1.0 - room);
                down += dy / distance * 2.0 * (1.0 - room);
            }
        }
        let turn = (wanted - self.heading + PI).rem_euclid(TAU) - PI;
        self.heading += turn.clamp(-TURN, TURN);
        let length = right.hypot(down).max(1.0);
        let control = Control {
            right: (right / length * 127.0) as i8,
            down: (down / length * 127.0) as i8,
            aim: (self.heading.rem_euclid(TAU) / TAU * 65_536.0) as u16,
        };
        let fires = may_fire && turn.abs() < 2.0 * TURN && self.chances.chance(EAGERNESS);
        (control, fires)
    }

    /// The throttle, the direction, and whether a shot could hit.
    fn fight(&self, (x, y): (f64, f64), other: &ShipState, distance: f64) -> (f64, f64, f64, bool) {
        let flight = distance / SHOT_SPEED;
        let (ox, oy) = spot(other);
        let ahead = (ox + f64::from(other.vx) / SCALE * flight, oy + f64::from(other.vy) / SCALE * flight);
        let (dx, dy) = ((ox - x) / distance.max(1.0), (oy - y) / distance.max(1.0));
        let nearer = ((distance - LIKED) / 120.0).clamp(-1.0, 1.0);
        let (right, down) = (dx * nearer - dy * self.side * 0.8, dy * nearer + dx * self.side * 0.8);
        let wanted = (ahead.1 - y).atan2(ahead.0 - x) + self.error;
        let hidden = PILLARS.iter().any(|pillar| {
            // The pillar's distance from the line between both ships, where it lies between them.
            let along = (pillar.x - x) * dx + (pillar.y - y) * dy;
            let aside = (pillar.x - x) * -dy + (pillar.y - y) * dx;
            (0.0..distance).contains(&along) && aside.abs() < pillar.radius
        });
        (right, down, wanted, !hidden && other.status & ShipState::PROTECTED == 0)
    }

    fn wander(&mut self, (x, y): (f64, f64)) -> (f64, f64, f64, bool) {
        let (dx, dy) = (self.goal.0 - x, self.goal.1 - y);
        let distance = dx.hypot(dy);
        if distance < 80.0 || self.chances.chance(0.1 / f64::from(TICK_RATE)) {
            self.goal = place(&mut self.chances);
        }
        (dx / distance.max(1.0) * 0.7, dy / distance.max(1.0) * 0.7, dy.atan2(dx), false)
    }
}

fn spot(ship: &ShipState) -> (f64, f64) {
    (f64::from(ship.x) / SCALE, f64::from(ship.y) / SCALE)
}

fn place(chances: &mut SimRng) -> (f64, f64) {
    (chances.uniform(100.0, WIDTH - 100.0), chances.uniform(100.0, HEIGHT - 100.0))
}
