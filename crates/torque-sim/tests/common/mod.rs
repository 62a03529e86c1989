//! What the tests share.
#![allow(clippy::unwrap_used, reason = "that is how a test fails")]
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Duration;

use torque_proto::{Cipher, Config, Settings};
use torque_sim::play::{Behaviour, Draining, Sending};
use torque_sim::{LinkConfig, SimRng};

pub const MS: Duration = Duration::from_millis(1);
pub const SECOND: Duration = Duration::from_secs(1);

/// A link from its text.
pub fn link(text: &str) -> LinkConfig {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// Any link whose round trip is well below a second and that loses up to `loss`.
pub fn random_link(rng: &mut SimRng, loss: f64) -> LinkConfig {
    let mut config = LinkConfig::perfect();
    let sometimes = |rng: &mut SimRng, most: f64| if rng.chance(0.5) { rng.unit() * most } else { 0.0 };
    config.delay = rng.duration(150 * MS);
    config.jitter = if rng.chance(0.7) { rng.duration(80 * MS) } else { Duration::ZERO };
    config.loss = sometimes(rng, loss);
    if rng.chance(0.2) {
        let (enter, leave) = (rng.unit() * 0.05, 0.1 + rng.unit() * 0.4);
        config.burst = Some(torque_sim::Burst { enter, leave, loss: rng.unit() });
    }
    config.reorder = sometimes(rng, 0.3);
    config.reorder_delay = rng.duration(300 * MS);
    config.duplicate = sometimes(rng, 0.3);
    config.corrupt = sometimes(rng, 0.1);
    config.truncate = sometimes(rng, 0.05);
    if rng.chance(0.2) {
        config.rate = rng.between(200_000, 5_000_000);
    }
    config
}

/// Any settings; `window` is the largest window.
pub fn random_settings(rng: &mut SimRng, window: u16) -> Settings {
    // Each power of two is as likely as any other, and so are the figures beside it.
    let exponent = rng.between(3, 15);
    let around = (1u64 << exponent).saturating_add(rng.between(0, 2)).saturating_sub(1);
    Settings {
        packet_window: around.clamp(8, u64::from(window)) as u16,
        tag_bytes: rng.between(4, 16) as u8,
        ack_delay: Duration::from_millis(rng.between(0, 200)),
        max_packet_size: 1_150,
    }
}

/// A configuration with any settings, any cipher and, sometimes, short queues.
pub fn random_config(rng: &mut SimRng) -> Config {
    let mut config = Config::default();
    config.settings = random_settings(rng, 32_768);
    config.min_tag_bytes = 4;
    let first = rng.index(3);
    config.ciphers = Cipher::DEFAULT_OFFER.to_vec();
    config.ciphers.rotate_left(first);
    config.puzzle.difficulty_min = rng.between(0, 6) as u8;
    if rng.chance(0.2) {
        config.limits.queued_packets = rng.between(1, 64) as usize;
    }
    config
}

/// Sending in any manner, for `packets` packets.
pub fn random_sending(rng: &mut SimRng, packets: u64) -> Sending {
    let pause = rng.duration(60 * MS);
    let size = if rng.chance(0.2) { 1_150 } else { rng.between(0, 200) as usize };
    Sending {
        pause: (pause / 4, pause),
        burst: (1, if rng.chance(0.3) { rng.between(1, 60) } else { 2 }),
        size: (0, size),
        packets,
    }
}

/// An application that accepts everything, perhaps sends, and drains at once or in bursts.
pub fn random_behaviour(rng: &mut SimRng, packets: u64) -> Behaviour {
    let draining = if rng.chance(0.25) {
        Draining::Every(rng.duration(400 * MS).max(MS), rng.between(1, 200) as usize)
    } else {
        Draining::Always
    };
    Behaviour { sending: Some(random_sending(rng, packets)), draining, ..Behaviour::default() }
}
