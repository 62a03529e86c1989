//! The visible state of the arena at one tick, in the whole numbers of the wire.

use std::collections::BTreeMap;

use super::flight::{SHOT_SPEED, TICK_RATE, direction};

/// Positions and speeds are in sixteenths of a unit.
pub const SCALE: f64 = 16.0;

/// A ship.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShipState {
    /// Position, in sixteenths of a unit.
    pub x: u16,
    pub y: u16,
    /// Speed, in sixteenths of a unit per second.
    pub vx: i16,
    pub vy: i16,
    /// Its direction: 256 to a full turn, clockwise from the right.
    pub aim: u8,
    /// The remaining shield, and the flags below.
    pub status: u8,
}

impl ShipState {
    /// The bits of `status` that count the shield.
    pub const SHIELD: u8 = 0x03;
    /// Shots do it no harm.
    pub const PROTECTED: u8 = 0x04;
    /// Its throttle is open.
    pub const THRUST: u8 = 0x08;

    /// The position of the ship after `ticks` of straight flight.
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
    /// The number of the shot, which wraps at 65,536.
    pub number: u16,
    /// The player who fired it.
    pub owner: u8,
    /// The last byte of the number of its deed.
    pub deed: u8,
    /// The position where it was fired, in sixteenths of a unit.
    pub x: u16,
    pub y: u16,
    /// Its direction: 65,536 to a full turn.
    pub aim: u16,
    /// The tick at which it was fired.
    pub fired_at: u32,
}

impl ShotState {
    /// Its position at `tick`, in units.
    pub fn position(&self, tick: u32) -> (f64, f64) {
        let flown = SHOT_SPEED * f64::from(tick.saturating_sub(self.fired_at)) / f64::from(TICK_RATE);
        let (x, y) = direction(self.aim);
        (f64::from(self.x) / SCALE + x * flown, f64::from(self.y) / SCALE + y * flown)
    }
}

/// The visible state at a tick.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    pub tick: u32,
    /// The ships in the arena, by player.
    pub ships: BTreeMap<u8, ShipState>,
    /// Oldest first.
    pub shots: Vec<ShotState>,
}

impl State {
    /// A checksum of 16 bits. With it a player knows that the state that it assembled from differences is the host's.
    pub fn check(&self) -> u16 {
        let mut check = 0_u16;
        // Each step is one-to-one in each input, so a single different number is always detected.
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
