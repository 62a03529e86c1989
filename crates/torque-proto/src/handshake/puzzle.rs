//! The client puzzle (PROTOCOL.md 5.3).

use core::fmt;

use crate::crypto::hash::sha256;
use crate::id::ConnectionId;

/// Hashes in one slice of solving, where no worker takes the job: about a millisecond on a slow machine.
pub(crate) const SLICE_TRIES: u64 = 2_048;

/// The digest that a solution belongs to: SHA-256 of the connect_request without its last 8 bytes.
pub(crate) fn puzzle_digest(request_without_solution: &[u8]) -> [u8; 32] {
    sha256(&[request_without_solution])
}

/// Returns whether `solution` makes the hash begin with `difficulty` zero bits.
pub(crate) fn is_solution(digest: &[u8; 32], solution: &[u8; 8], difficulty: u8) -> bool {
    leading_zeros(&sha256(&[digest, solution])) >= u32::from(difficulty)
}

fn leading_zeros(hash: &[u8; 32]) -> u32 {
    let mut zeros = 0;
    for byte in hash {
        zeros += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    zeros
}

/// The progress of a [`PuzzleJob`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PuzzleProgress {
    /// The solution is found: hand the job back with `puzzle_solved`.
    Solved,
    /// More tries are needed.
    Working,
}

/// A client puzzle to solve, wherever there is time for it (PROTOCOL.md 5.3). Owned and `Send`.
///
/// On average 2^difficulty tries are needed; one in twenty puzzles takes three times as many.
pub struct PuzzleJob {
    connection: ConnectionId,
    digest: [u8; 32],
    difficulty: u8,
    candidate: u64,
    tries: u64,
    solved: bool,
}

impl PuzzleJob {
    /// `start` is random, so that two attempts do not walk the same candidates.
    pub(crate) fn new(connection: ConnectionId, digest: [u8; 32], difficulty: u8, start: u64) -> Self {
        Self { connection, digest, difficulty, candidate: start, tries: 0, solved: false }
    }

    /// The pending connection that this work is for.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// The number of zero bits that are asked for.
    pub fn difficulty(&self) -> u8 {
        self.difficulty
    }

    /// The number of hashes computed so far.
    pub fn tries(&self) -> u64 {
        self.tries
    }

    /// Computes at most `max_tries` hashes. Call it again, in slices of your choice, until it says
    /// [`PuzzleProgress::Solved`]; a solved job does no more work.
    pub fn solve(&mut self, max_tries: u64) -> PuzzleProgress {
        for _ in 0..max_tries {
            if self.solved {
                break;
            }
            self.tries = self.tries.saturating_add(1);
            if is_solution(&self.digest, &self.candidate.to_be_bytes(), self.difficulty) {
                self.solved = true;
            } else {
                self.candidate = self.candidate.wrapping_add(1);
            }
        }
        if self.solved { PuzzleProgress::Solved } else { PuzzleProgress::Working }
    }

    /// The solution, once it is found.
    pub(crate) fn solution(&self) -> Option<[u8; 8]> {
        self.solved.then(|| self.candidate.to_be_bytes())
    }

    /// The digest of the job's puzzle, which tells an outdated job from the present one.
    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl fmt::Debug for PuzzleJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PuzzleJob")
            .field("connection", &self.connection)
            .field("difficulty", &self.difficulty)
            .field("tries", &self.tries)
            .field("solved", &self.solved)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
