//! All randomness of an endpoint: ChaCha20 from the seed that was handed in, with fast key erasure. Whoever
//! steals the state learns nothing of what was drawn before.

use core::fmt;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use zeroize::{Zeroize, Zeroizing};

/// Bytes drawn from one key; with the next key they are four blocks of ChaCha20.
const POOL: usize = 224;

/// The random numbers of one endpoint. The same seed gives the same numbers.
pub(crate) struct Rng {
    key: Zeroizing<[u8; 32]>,
    pool: Zeroizing<[u8; POOL]>,
    used: usize,
}

impl Rng {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { key: Zeroizing::new(seed), pool: Zeroizing::new([0; POOL]), used: POOL }
    }

    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        let mut out = out;
        while !out.is_empty() {
            if self.used == POOL {
                // The stream's first bytes are the next key; the key that made them is overwritten.
                let mut stream = ChaCha20Rng::from_seed(*self.key);
                stream.fill_bytes(&mut *self.key);
                stream.fill_bytes(&mut *self.pool);
                self.used = 0;
            }
            let count = out.len().min(POOL - self.used);
            let (now, rest) = out.split_at_mut(count);
            let drawn = &mut self.pool[self.used..self.used + count];
            now.copy_from_slice(drawn);
            drawn.zeroize();
            self.used += count;
            out = rest;
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number below `n`, each equally likely; 0 if `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        // Numbers of the last, incomplete run of n would be likelier than others: draw again.
        let excess = (u64::MAX % n + 1) % n;
        loop {
            let drawn = self.u64();
            if drawn <= u64::MAX - excess {
                return drawn % n;
            }
        }
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng")
    }
}

#[cfg(test)]
mod tests;
