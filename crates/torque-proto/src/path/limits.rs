//! What bounds and remembers the punches of one connection or introduction (PATHS.md 4 and 9).

use alloc::collections::VecDeque;

use super::Path;
use crate::crypto::rng::Rng;
use crate::instant::Instant;
use crate::micros::Micros;

/// Answers a second, and how many of them sources get.
pub(crate) const MAX_ANSWERS: u32 = 16;
pub(crate) const MAX_SOURCE_ANSWERS: u32 = 4;
/// Addresses from which authentic punches came, and which are no paths yet.
pub(crate) const MAX_SOURCES: usize = 4;
/// How long a source is remembered after its last punch.
pub(crate) const SOURCE_LIVES: Micros = Micros::from_secs(5);
/// How long a path is kept without an echo.
pub(crate) const PATH_LIVES: Micros = Micros::from_secs(30);
/// How long a number may be echoed.
const NUMBER_LIVES: Micros = Micros::from_secs(5);

/// Numbers that came from where no path is, and how long one is heeded after it first came: copies may outrun the original.
pub(super) const MAX_FOREIGN: usize = 64;
const HEEDED: Micros = Micros::from_secs(1);

/// A number of times in a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    since: Instant,
    used: u32,
}

impl Allowance {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, used: 0 }
    }

    pub(crate) fn takes(&mut self, now: Instant, limit: u32) -> bool {
        if now >= self.since + Micros::from_secs(1) {
            *self = Self::new(now);
        }
        let takes = self.used < limit;
        self.used += u32::from(takes);
        takes
    }
}

/// Numbers that the other side asked from where no path is, and when first; oldest first.
#[derive(Default)]
pub(crate) struct ForeignNumbers(VecDeque<(u64, Instant)>);

impl ForeignNumbers {
    /// Returns whether the number may be new. Otherwise somebody replays it, and would take the places of sources and their answers.
    pub(crate) fn heeds(&mut self, now: Instant, number: u64) -> bool {
        if let Some((_, first)) = self.0.iter().find(|(known, _)| *known == number) {
            return now <= *first + HEEDED;
        }
        if self.0.len() >= MAX_FOREIGN {
            self.0.pop_front();
        }
        self.0.push_back((number, now));
        true
    }
}

/// A number that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    number: u64,
    pub(crate) path: Path,
    pub(crate) at: Instant,
}

impl Asked {
    fn is_old(&self, now: Instant) -> bool {
        self.at + NUMBER_LIVES < now
    }
}

/// Numbers that wait for their echo, oldest first.
pub(crate) struct AskedNumbers {
    list: VecDeque<Asked>,
    most: usize,
}

impl AskedNumbers {
    /// Remembers `most` numbers.
    pub(crate) fn new(most: usize) -> Self {
        Self { list: VecDeque::new(), most }
    }

    /// Remembers so many from now on. What is remembered beyond that stays until it is too old.
    #[cfg(feature = "introductions")]
    pub(crate) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Draws a number for a punch on this path.
    pub(crate) fn draw(&mut self, now: Instant, rng: &mut Rng, path: Path) -> u64 {
        let number = rng.u64().max(1);
        while self.list.len() > self.most && self.list.front().is_some_and(|asked| asked.is_old(now)) {
            self.list.pop_front();
        }
        if self.list.len() <= self.most && self.list.capacity() > self.most * 4 {
            self.list.shrink_to(self.most);
        }
        if self.list.len() >= self.most {
            self.list.pop_front();
        }
        self.list.push_back(Asked { number, path, at: now });
        number
    }

    /// Returns whether a number was sent, and was not echoed.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.list.iter().any(|asked| asked.number == number)
    }

    /// An echo shows that the other side receives on the path where its number was sent, wherever the echo came from. Each counts
    /// once, and in time.
    pub(crate) fn take(&mut self, now: Instant, echo: u64) -> Option<Asked> {
        let index = self.list.iter().position(|asked| asked.number == echo)?;
        self.list.remove(index).filter(|asked| !asked.is_old(now))
    }
}
