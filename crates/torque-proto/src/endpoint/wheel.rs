//! A hierarchical timer wheel: arming, moving and firing a timer cost the same however many there are.
//!
//! A timer that is postponed stays where it is, and moves when its place is reached. So postponing one again and
//! again, as connections do with each packet, costs one write each time, and the wheel does not look at its owner.
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
    /// Its time in microseconds; it may have been put off. Exact, so that one that was put off by less than a tick
    /// does not wake its owner twice.
    due: u64,
    /// The tick of its place: not after the tick in which it is due.
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
        let tick = tick_of(at.as_micros());
        if slot as usize >= self.nodes.len() {
            let empty = Node { due: 0, tick: 0, previous: NONE, next: NONE, place: None };
            self.nodes.resize(slot as usize + 1, empty);
        }
        let node = &mut self.nodes[slot as usize];
        node.due = at.as_micros();
        if node.place.is_none() || tick < node.tick {
            self.unlink(slot);
            self.link(slot, tick);
        }
    }

    pub(super) fn disarm(&mut self, slot: u32) {
        if (slot as usize) < self.nodes.len() {
            self.unlink(slot);
        }
    }

    /// The time of the timer of `slot`.
    pub(super) fn due(&self, slot: u32) -> Option<Instant> {
        let node = self.nodes.get(slot as usize).filter(|node| node.place.is_some())?;
        Some(Instant::from_micros(node.due))
    }

    /// A time before which no timer is due, and the slot of one that may be due then.
    pub(super) fn next(&self) -> Option<(Instant, u32)> {
        let (_, bucket) = self.first_bucket()?;
        let node = self.nodes[bucket.first as usize];
        if node.next != NONE {
            return Some((Instant::from_micros(bucket.earliest << TICK_BITS), bucket.first));
        }
        // One that is alone, and was put off by less than a tick: all others are in later ticks.
        let place = node.tick << TICK_BITS;
        let at = node.due.clamp(place, place.saturating_add(1 << TICK_BITS));
        Some((Instant::from_micros(at), bucket.first))
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
            // Move on what was put off, and spread the buckets of higher levels over the lower ones.
            let mut slot = bucket.first;
            while slot != NONE {
                let Node { due: exactly, next, .. } = self.nodes[slot as usize];
                // The tick that is not over yet has those that are due in its first part.
                let tick = if exactly <= now.as_micros() { due } else { tick_of(exactly) };
                let tick = self.within_reach(tick);
                self.unlink(slot);
                if level == 0 && tick <= due {
                    return Some(slot);
                }
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

    /// A timer beyond the wheel's reach fires early, and its owner arms it again.
    fn within_reach(&self, tick: u64) -> u64 {
        tick.clamp(self.now, self.now | ((1 << (DIGIT_BITS * LEVELS as u32)) - 1))
    }

    fn link(&mut self, slot: u32, tick: u64) {
        let tick = self.within_reach(tick);
        let level = (tick ^ self.now).checked_ilog2().unwrap_or(0) / DIGIT_BITS;
        let digit = (tick >> (DIGIT_BITS * level)) as usize % BUCKETS;
        let level_content = &mut self.levels[level as usize];
        level_content.occupied |= 1 << digit;
        let bucket = &mut level_content.buckets[digit];
        let next = bucket.first;
        bucket.first = slot;
        bucket.earliest = bucket.earliest.min(tick);
        let node = &mut self.nodes[slot as usize];
        (node.tick, node.previous, node.next) = (tick, NONE, next);
        node.place = Some((level as u8, digit as u8));
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

/// The first tick that does not begin before a time in microseconds.
fn tick_of(micros: u64) -> u64 {
    micros.div_ceil(1 << TICK_BITS)
}

#[cfg(test)]
mod tests;
