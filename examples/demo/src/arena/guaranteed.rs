//! Letters that arrive once and in order, on top of verdicts.
//!
//! A letter travels in a packet that is sent anyway. If that packet is dropped, the next one carries the letter again. The
//! verdict is the acknowledgment, so the letters need none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most letters in a packet.
pub const MAX_LETTERS: usize = 32;
/// The distance by which numbers may run ahead of the oldest missing letter: the most letters that an inbox keeps.
pub const AHEAD: u32 = 64;

/// A letter: content with a number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    pub number: u32,
    pub content: Vec<u8>,
}

/// The bytes that letters take in a packet, beyond one for their count.
pub fn letter_bytes(letter: &Letter) -> usize {
    // A number takes at most 5 bytes.
    letter.content.len() + 6
}

/// Outgoing letters.
#[derive(Debug, Default)]
pub struct Outbox {
    next: u32,
    /// Letters that are in no packet under way, by number.
    waiting: VecDeque<Letter>,
    /// Numbers of letters without a verdict *delivered*.
    open: BTreeSet<u32>,
}

impl Outbox {
    /// Adds a letter of at most 255 bytes.
    pub fn push(&mut self, content: Vec<u8>) {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.open.insert(number);
        self.waiting.push_back(Letter { number, content });
    }

    /// The number of letters that may not be delivered yet.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Takes letters for a packet with `room` bytes, beyond the byte for their count. Hand them to [`settle`](Self::settle)
    /// with the verdict.
    pub fn take(&mut self, mut room: usize) -> Vec<Letter> {
        let oldest = self.open.first().copied().unwrap_or(self.next);
        let mut taken = Vec::new();
        while taken.len() < MAX_LETTERS {
            let Some(letter) = self.waiting.front() else { break };
            if letter_bytes(letter) > room || letter.number.wrapping_sub(oldest) >= AHEAD {
                break;
            }
            room -= letter_bytes(letter);
            taken.extend(self.waiting.pop_front());
        }
        taken
    }

    /// Handles the verdict on a packet with these letters.
    pub fn settle(&mut self, letters: Vec<Letter>, delivered: bool) {
        for letter in letters {
            if delivered {
                self.open.remove(&letter.number);
            } else {
                self.put_back(letter);
            }
        }
    }

    /// Takes letters back from a packet that could not be sent.
    pub fn return_unsent(&mut self, letters: Vec<Letter>) {
        letters.into_iter().for_each(|letter| self.put_back(letter));
    }

    /// The oldest goes first.
    fn put_back(&mut self, letter: Letter) {
        let place = self.waiting.partition_point(|waiting| waiting.number < letter.number);
        self.waiting.insert(place, letter);
    }
}

/// Received letters, given out in order.
#[derive(Debug, Default)]
pub struct Inbox {
    next: u32,
    early: BTreeMap<u32, Vec<u8>>,
}

impl Inbox {
    /// Takes a letter. Returns `false` if no honest sender sends it: a second time, or far ahead.
    pub fn take(&mut self, letter: Letter) -> bool {
        let ahead = letter.number.wrapping_sub(self.next);
        ahead < AHEAD && self.early.insert(letter.number, letter.content).is_none()
    }

    /// The next letter in order, with its number, if it is here.
    pub fn next(&mut self) -> Option<(u32, Vec<u8>)> {
        let content = self.early.remove(&self.next)?;
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        Some((number, content))
    }
}

#[cfg(test)]
mod tests;
