//! What can be seen of the arena at one tick, in the whole numbers that go over the wire.

use std::collections::BTreeMap;

use super::flight::{SHOT_SPEED, TICK_RATE, direction};

/// Places and speeds are told in sixteenths of a unit.
pub const SCALE: f64 = 16.0;

/// A ship.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShipState {
    /// Place, in sixteenths of a unit.
    pub x: u16,
    pub y: u16,
    /// Speed, in sixteenths of a unit per second.
    pub vx: i16,
    pub vy: i16,
    /// Where it points: 256 to a full turn, clockwise from the right.
    pub aim: u8,
    /// The shield that is left, and the flags below.
    pub status: u8,
}

impl ShipState {
    /// The bits of `status` that count the shield.
    pub const SHIELD: u8 = 0x03;
    /// Nothing can hit it.
    pub const PROTECTED: u8 = 0x04;
    /// Its throttle is open.
    pub const THRUST: u8 = 0x08;

    /// Where the ship would be after so many ticks if it flew straight on.
    pub fn after(self, ticks: u32) -> (i64, i64) {
        let glide = |place: u16, speed: i16| {
            i64::from(place) + i64::from(speed) * i64::from(ticks) / i64::from(TICK_RATE)
        };
        (glide(self.x, self.vx), glide(self.y, self.vy))
    }
}

/// A shot, as it was fired.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShotState {
    /// Counts shots, and begins again after 65,536.
    pub number: u16,
    /// Whose it is.
    pub owner: u8,
    /// The last byte of the number under which its player asked for it.
    pub deed: u8,
    /// Where it was fired, in sixteenths of a unit.
    pub x: u16,
    pub y: u16,
    /// Where to: 65,536 to a full turn.
    pub aim: u16,
    /// When.
    pub fired_at: u32,
}

impl ShotState {
    /// Where it is, in units.
    pub fn position(&self, tick: u32) -> (f64, f64) {
        let flown = SHOT_SPEED * f64::from(tick.saturating_sub(self.fired_at)) / f64::from(TICK_RATE);
        let (x, y) = direction(self.aim);
        (f64::from(self.x) / SCALE + x * flown, f64::from(self.y) / SCALE + y * flown)
    }
}

/// Everything that can be seen at a tick.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    pub tick: u32,
    /// The ships that are there, by their players.
    pub ships: BTreeMap<u8, ShipState>,
    /// Oldest first.
    pub shots: Vec<ShotState>,
}

impl State {
    /// A number that tells two states apart as far as 16 bits can: with it a player knows that what was put together from
    /// differences is what the host has.
    pub fn check(&self) -> u16 {
        let mut check = 0_u16;
        // A step is one-to-one in each of its inputs, so one number that differs is always seen.
        let mut add = |number: u16| check = (check ^ number).wrapping_mul(40_503).wrapping_add(1);
        add((self.tick >> 16) as u16);
        add(self.tick as u16);
        for (number, ship) in &self.ships {
            let ShipState { x, y, vx, vy, aim, status } = *ship;
            let rest = [x, y, vx as u16, vy as u16, u16::from(aim), u16::from(status)];
            add(u16::from(*number));
            rest.into_iter().for_each(&mut add);
        }
        for shot in &self.shots {
            let whose = u16::from(shot.owner) << 8 | u16::from(shot.deed);
            let age = self.tick.saturating_sub(shot.fired_at) as u16;
            [shot.number, whose, shot.x, shot.y, shot.aim, age].into_iter().for_each(&mut add);
        }
        check
    }
}
