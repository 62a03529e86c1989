//! Letters that arrive once and in order, on top of verdicts.
//!
//! A letter rides in a packet that goes anyway. If that packet is dropped, the letter goes again with the next; if it is
//! delivered, never again. Nothing is acknowledged here: the verdict is the acknowledgment.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The most letters that one packet brings.
pub const MAX_LETTERS: usize = 32;
/// How far numbers may run ahead of the oldest letter that has not arrived: what an inbox has to keep at most.
pub const AHEAD: u32 = 64;

/// Content with its number.
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

/// Letters on their way out.
#[derive(Debug, Default)]
pub struct Outbox {
    next: u32,
    /// Not in any packet that is under way, by number.
    waiting: VecDeque<Letter>,
    /// Not known to be delivered.
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

    /// Letters that are not known to be delivered.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Takes out what goes into a packet with so much room, beyond the byte for their count. It comes back by
    /// [`settle`](Self::settle).
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

    /// The verdict on a packet with these letters.
    pub fn settle(&mut self, letters: Vec<Letter>, delivered: bool) {
        for letter in letters {
            if delivered {
                self.open.remove(&letter.number);
            } else {
                self.put_back(letter);
            }
        }
    }

    /// Letters that were taken out for a packet that could not be sent.
    pub fn return_unsent(&mut self, letters: Vec<Letter>) {
        letters.into_iter().for_each(|letter| self.put_back(letter));
    }

    /// The oldest goes first.
    fn put_back(&mut self, letter: Letter) {
        let place = self.waiting.partition_point(|waiting| waiting.number < letter.number);
        self.waiting.insert(place, letter);
    }
}

/// Letters that have come, given out in order.
#[derive(Debug, Default)]
pub struct Inbox {
    next: u32,
    early: BTreeMap<u32, Vec<u8>>,
}

impl Inbox {
    /// Takes a letter. `false` if no honest sender would have sent it: it was here already, or is far ahead.
    pub fn take(&mut self, letter: Letter) -> bool {
        let ahead = letter.number.wrapping_sub(self.next);
        ahead < AHEAD && self.early.insert(letter.number, letter.content).is_none()
    }

    /// The next in order, with its number, if it is here.
    pub fn next(&mut self) -> Option<(u32, Vec<u8>)> {
        let content = self.early.remove(&self.next)?;
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        Some((number, content))
    }
}

#[cfg(test)]
mod tests;
