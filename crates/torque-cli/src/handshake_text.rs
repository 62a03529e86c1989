//! The steps of a handshake, as text and as JSON.

use serde_json::{Value, json};
use torque_socket::{ConnectionStats, PublicKey};

use crate::units::{millis, millis_number};

/// `challenge 1.20 ms, puzzle 4 bits (9 tries, 0.01 ms), established after 2.31 ms`
pub fn steps(stats: &ConnectionStats) -> String {
    let handshake = &stats.handshake;
    format!(
        "challenge {}, puzzle {} bits ({} tries, {}), established after {}",
        millis(handshake.challenge_time),
        handshake.difficulty,
        handshake.puzzle_tries,
        millis(handshake.puzzle_time),
        millis(handshake.total_time),
    )
}

/// The same for programs.
pub fn steps_json(stats: &ConnectionStats) -> Value {
    let handshake = &stats.handshake;
    json!({
        "challenge_ms": millis_number(handshake.challenge_time),
        "difficulty": handshake.difficulty,
        "puzzle_tries": handshake.puzzle_tries,
        "puzzle_ms": millis_number(handshake.puzzle_time),
        "total_ms": millis_number(handshake.total_time),
        "restarts": handshake.restarts,
    })
}

/// A key shortened for a line. The beginning distinguishes keys, but proves nothing.
pub fn short_key(key: &PublicKey) -> String {
    let mut text = key.to_string();
    // The first characters after the prefix hold the key type and are the same in all keys.
    text.truncate(16);
    text.push('…');
    text
}
