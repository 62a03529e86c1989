//! puzzle.json: the client puzzle (PROTOCOL.md 5.3).

use std::format;
use std::vec::Vec;

use super::json::{Json, object};
use super::rng;
use crate::crypto::hash::sha256;
use crate::crypto::rng::Rng;
use crate::handshake::internals::{is_solution, puzzle_digest};
use crate::handshake::{PuzzleJob, PuzzleProgress};
use crate::id::ConnectionId;
use crate::wire::{ConnectRequest, Offers};

pub(super) fn vectors() -> Vec<Json> {
    let mut rng = rng("puzzle");
    let mut vectors = Vec::new();
    for difficulty in [0, 1, 4, 7, 8, 9, 12, 16] {
        vectors.push(solved(difficulty, &mut rng));
    }
    for difficulty in [4, 8, 9] {
        vectors.push(one_bit_short(difficulty, &mut rng));
    }
    vectors.push(anything(20, &mut rng));
    vectors
}

/// A request but for its solution, with a Noise message of random bytes.
fn unsolved(difficulty: u8, rng: &mut Rng) -> Vec<u8> {
    let mut noise = [0; ConnectRequest::MIN_NOISE];
    rng.fill(&mut noise);
    let mut request = Vec::new();
    ConnectRequest {
        initiator_nonce: rng.array(),
        epoch_tag: rng.array(),
        identity_token: rng.array(),
        difficulty,
        cipher: 3,
        offers: Offers::from_bytes([3, 1, 2, 0]).unwrap(),
        introduction_id: 0,
        noise: &noise,
        solution: [0; 8],
    }
    .write(&mut request);
    request.truncate(request.len() - ConnectRequest::SOLUTION_BYTES);
    request
}

fn vector(name: &str, mut request: Vec<u8>, x: [u8; 8], difficulty: u8) -> Json {
    let body_hash = puzzle_digest(&request);
    request.extend_from_slice(&x);
    object! {
        "name": name,
        "kind": "puzzle",
        "request": request,
        "body_hash": body_hash,
        "x": x,
        "digest": sha256(&[&body_hash, &x]),
        "difficulty": difficulty,
        "solved": is_solution(&body_hash, &x, difficulty),
    }
}

fn solved(difficulty: u8, rng: &mut Rng) -> Json {
    let request = unsolved(difficulty, rng);
    let connection = ConnectionId::from_u32(1).unwrap();
    let mut job = PuzzleJob::new(connection, puzzle_digest(&request), difficulty, rng.u64());
    while job.solve(1_000) == PuzzleProgress::Working {}
    vector(&format!("difficulty_{difficulty}"), request, job.solution().unwrap(), difficulty)
}

fn one_bit_short(difficulty: u8, rng: &mut Rng) -> Json {
    let request = unsolved(difficulty, rng);
    let digest = puzzle_digest(&request);
    let is_short =
        |x: &[u8; 8]| is_solution(&digest, x, difficulty - 1) && !is_solution(&digest, x, difficulty);
    let x = (0..u64::MAX).map(u64::to_be_bytes).find(is_short).unwrap();
    vector(&format!("difficulty_{difficulty}_one_bit_short"), request, x, difficulty)
}

fn anything(difficulty: u8, rng: &mut Rng) -> Json {
    let request = unsolved(difficulty, rng);
    let x = rng.array();
    vector(&format!("difficulty_{difficulty}_not_tried"), request, x, difficulty)
}
