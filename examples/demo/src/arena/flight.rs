//! The motion of ships and shots. No network, no clock.
//!
//! Lengths are units of the arena, x to the right and y downwards; times are ticks. Pages move their own ship by the same
//! code before the host answers (js/demo/src/rules.ts), so [`fly`] uses no operation that another language rounds
//! differently.

use std::f64::consts::TAU;

/// Ticks a second.
pub const TICK_RATE: u32 = 60;
/// The arena's size.
pub const WIDTH: f64 = 1_600.0;
pub const HEIGHT: f64 = 900.0;
/// Units per second.
pub const SHOT_SPEED: f64 = 640.0;
pub const SHIP_RADIUS: f64 = 22.0;
/// Units per second per second at full throttle.
pub const ACCELERATION: f64 = 1_300.0;
/// The factor of a ship's speed per tick.
pub const GLIDE: f64 = 0.935;
/// The factor of a ship's speed when it bounces off a wall.
pub const BOUNCE: f64 = 0.5;

const TICK: f64 = 1.0 / TICK_RATE as f64;

/// A round obstacle.
#[derive(Clone, Copy, Debug)]
pub struct Pillar {
    pub x: f64,
    pub y: f64,
    pub radius: f64,
}

/// The obstacles for ships and shots.
pub const PILLARS: [Pillar; 5] = [
    Pillar { x: 800.0, y: 450.0, radius: 88.0 },
    Pillar { x: 380.0, y: 260.0, radius: 52.0 },
    Pillar { x: 1_220.0, y: 640.0, radius: 52.0 },
    Pillar { x: 1_170.0, y: 220.0, radius: 36.0 },
    Pillar { x: 430.0, y: 680.0, radius: 36.0 },
];

/// A player's control of the ship. The newest counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Control {
    /// Throttle to the right and downwards, -127 to 127.
    pub right: i8,
    pub down: i8,
    /// The direction of the ship: 65,536 to a full turn, clockwise from the right.
    pub aim: u16,
}

impl Control {
    /// The throttle as a vector no longer than 1.
    pub fn throttle(self) -> (f64, f64) {
        let (x, y) = (f64::from(self.right) / 127.0, f64::from(self.down) / 127.0);
        let length = (x * x + y * y).sqrt();
        if length > 1.0 { (x / length, y / length) } else { (x, y) }
    }
}

/// An angle on the wire as a vector of length 1.
pub fn direction(aim: u16) -> (f64, f64) {
    let angle = f64::from(aim) / 65_536.0 * TAU;
    (angle.cos(), angle.sin())
}

/// The position and speed of a ship.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Motion {
    pub x: f64,
    pub y: f64,
    pub vx: f64,
    pub vy: f64,
}

/// Moves a ship by one tick.
pub fn fly(motion: &mut Motion, control: Control) {
    let (right, down) = control.throttle();
    motion.vx = (motion.vx + right * ACCELERATION * TICK) * GLIDE;
    motion.vy = (motion.vy + down * ACCELERATION * TICK) * GLIDE;
    motion.x += motion.vx * TICK;
    motion.y += motion.vy * TICK;
    (motion.x, motion.vx) = within(motion.x, motion.vx, WIDTH);
    (motion.y, motion.vy) = within(motion.y, motion.vy, HEIGHT);
    for pillar in PILLARS {
        push_out(motion, pillar);
    }
}

fn within(place: f64, speed: f64, size: f64) -> (f64, f64) {
    if place < SHIP_RADIUS {
        (SHIP_RADIUS, speed.abs() * BOUNCE)
    } else if place > size - SHIP_RADIUS {
        (size - SHIP_RADIUS, -speed.abs() * BOUNCE)
    } else {
        (place, speed)
    }
}

fn push_out(motion: &mut Motion, pillar: Pillar) {
    let (dx, dy) = (motion.x - pillar.x, motion.y - pillar.y);
    let distance = (dx * dx + dy * dy).sqrt();
    let least = pillar.radius + SHIP_RADIUS;
    if distance >= least || distance == 0.0 {
        return;
    }
    let (nx, ny) = (dx / distance, dy / distance);
    (motion.x, motion.y) = (pillar.x + nx * least, pillar.y + ny * least);
    let inwards = motion.vx * nx + motion.vy * ny;
    if inwards < 0.0 {
        motion.vx -= inwards * (1.0 + BOUNCE) * nx;
        motion.vy -= inwards * (1.0 + BOUNCE) * ny;
    }
}

#[cfg(test)]
mod tests;
