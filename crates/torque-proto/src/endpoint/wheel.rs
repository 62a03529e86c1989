//! A hierarchical timer wheel: arming, moving and firing a timer cost the same however many there are.
//!
//! Time is cut into ticks. A timer lies on the level of the highest base-64 digit in which its tick differs from
//! the wheel's, in the bucket of that digit; so every timer of a level is due before those of the next.

use alloc::vec::Vec;

use crate::instant::Instant;

/// A tick is 1,024 microseconds.
const TICK_BITS: u32 = 10;
const DIGIT_BITS: u32 = 6;
const BUCKETS: usize = 1 << DIGIT_BITS;
/// 64^6 ticks are over two years.
const LEVELS: usize = 6;
const NONE: u32 = u32::MAX;

pub(super) struct Wheel {
    now: u64,
    levels: [Level; LEVELS],
    nodes: Vec<Node>,
}

struct Level {
    /// One bit for each bucket that is not empty.
    occupied: u64,
    buckets: [Bucket; BUCKETS],
}

#[derive(Clone, Copy)]
struct Bucket {
    first: u32,
    /// No timer in it is due before; exact unless some were taken out.
    earliest: u64,
}

#[derive(Clone, Copy)]
struct Node {
    tick: u64,
    previous: u32,
    next: u32,
    /// Level and bucket, if armed.
    place: Option<(u8, u8)>,
}

impl Wheel {
    pub(super) fn new(now: Instant) -> Self {
        let bucket = Bucket { first: NONE, earliest: u64::MAX };
        Self {
            now: now.as_micros() >> TICK_BITS,
            levels: core::array::from_fn(|_| Level { occupied: 0, buckets: [bucket; BUCKETS] }),
            nodes: Vec::new(),
        }
    }

    /// Arms the timer of `slot` for `at`, or moves it there.
    pub(super) fn arm(&mut self, slot: u32, at: Instant) {
        let tick = at.as_micros().div_ceil(1 << TICK_BITS).max(self.now);
        if slot as usize >= self.nodes.len() {
            let empty = Node { tick: 0, previous: NONE, next: NONE, place: None };
            self.nodes.resize(slot as usize + 1, empty);
        }
        let node = &self.nodes[slot as usize];
        if node.place.is_some() {
            if node.tick == tick {
                return;
            }
            self.unlink(slot);
        }
        self.link(slot, tick);
    }

    /// The time for which the timer of `slot` is armed.
    pub(super) fn armed(&self, slot: u32) -> Option<Instant> {
        let node = self.nodes.get(slot as usize)?;
        node.place.map(|_| Instant::from_micros(node.tick << TICK_BITS))
    }

    pub(super) fn disarm(&mut self, slot: u32) {
        if self.armed(slot).is_some() {
            self.unlink(slot);
        }
    }

    /// A time before which no timer is due, and the slot of one that may be due then.
    pub(super) fn next(&self) -> Option<(Instant, u32)> {
        let (_, bucket) = self.first_bucket()?;
        Some((Instant::from_micros(bucket.earliest << TICK_BITS), bucket.first))
    }

    /// Takes out one timer that is due at `now`.
    pub(super) fn expire(&mut self, now: Instant) -> Option<u32> {
        let due = now.as_micros() >> TICK_BITS;
        loop {
            let Some(((level, digit), bucket)) = self.first_bucket() else {
                self.now = self.now.max(due);
                return None;
            };
            let shift = DIGIT_BITS * level as u32;
            let start = (self.now >> (shift + DIGIT_BITS) << DIGIT_BITS | digit as u64) << shift;
            if start > due {
                self.now = self.now.max(due);
                return None;
            }
            self.now = self.now.max(start);
            let first = bucket.first;
            if level == 0 {
                self.unlink(first);
                return Some(first);
            }
            // Spread the bucket over the lower levels.
            let mut slot = first;
            while slot != NONE {
                let Node { tick, next, .. } = self.nodes[slot as usize];
                self.unlink(slot);
                self.link(slot, tick);
                slot = next;
            }
        }
    }

    /// The bucket with the earliest timers: the first one of the lowest level that has any.
    fn first_bucket(&self) -> Option<((usize, usize), Bucket)> {
        let (level, content) = self.levels.iter().enumerate().find(|(_, level)| level.occupied != 0)?;
        let digit = content.occupied.trailing_zeros() as usize;
        Some(((level, digit), content.buckets[digit]))
    }

    fn link(&mut self, slot: u32, tick: u64) {
        // A timer beyond the wheel's reach fires early, and is armed again by whoever finds it so.
        let tick = tick.clamp(self.now, self.now | ((1 << (DIGIT_BITS * LEVELS as u32)) - 1));
        let level = (tick ^ self.now).checked_ilog2().unwrap_or(0) / DIGIT_BITS;
        let digit = (tick >> (DIGIT_BITS * level)) as usize % BUCKETS;
        let level_content = &mut self.levels[level as usize];
        level_content.occupied |= 1 << digit;
        let bucket = &mut level_content.buckets[digit];
        let next = bucket.first;
        bucket.first = slot;
        bucket.earliest = bucket.earliest.min(tick);
        self.nodes[slot as usize] =
            Node { tick, previous: NONE, next, place: Some((level as u8, digit as u8)) };
        if next != NONE {
            self.nodes[next as usize].previous = slot;
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Node { previous, next, place, .. } = self.nodes[slot as usize];
        let Some((level, digit)) = place else { return };
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
        let level = &mut self.levels[usize::from(level)];
        let bucket = &mut level.buckets[usize::from(digit)];
        if previous != NONE {
            self.nodes[previous as usize].next = next;
        } else {
            bucket.first = next;
            if next == NONE {
                bucket.earliest = u64::MAX;
                level.occupied &= !(1 << digit);
            }
        }
        self.nodes[slot as usize].place = None;
    }
}

#[cfg(test)]
#[path = "wheel_tests.rs"]
mod tests;
