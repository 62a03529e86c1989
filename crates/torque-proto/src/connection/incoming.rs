//! The receiving half of the packet window: what is known of the other side's sequences, and the report
//! on it (PROTOCOL.md 7.2).

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// What has been received, and how far the other side is known to know it.
#[derive(Debug)]
pub(crate) struct Incoming {
    window: u16,
    /// R: the highest sequence received or closed.
    known: u64,
    /// B: everything up to here is known to be settled at the other side.
    base: u64,
    /// The highest sequence up to R that was not delivered.
    last_gap: u64,
    /// The highest ack written in any packet.
    reported: u64,
    /// One bit for each of the last `window` sequences, as a ring.
    bits: Bits,
}

/// Windows up to the default lie within the connection: one place less to fetch for each packet.
#[derive(Debug)]
enum Bits {
    Few([u64; 2]),
    Many(Box<[u64]>),
}

impl Bits {
    fn new(window: u16) -> Self {
        match usize::from(window).div_ceil(64) {
            0..=2 => Self::Few([0; 2]),
            words => Self::Many(vec![0; words].into_boxed_slice()),
        }
    }
}

impl Deref for Bits {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        match self {
            Self::Few(words) => words,
            Self::Many(words) => words,
        }
    }
}

impl DerefMut for Bits {
    fn deref_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Few(words) => words,
            Self::Many(words) => words,
        }
    }
}

/// How a report will be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    /// The highest sequence that it covers.
    pub ack: u64,
    /// Ack bytes, without the count byte of form 7.
    pub bytes: usize,
}

/// The most ack bytes that a form without a count byte can say.
pub(crate) const MAX_SHORT_REPORT: usize = 6;
/// The most ack bytes of any packet.
pub(crate) const MAX_REPORT: usize = 255;

impl Report {
    /// The header's ack form.
    pub(crate) fn form(&self) -> u8 {
        self.bytes.min(MAX_SHORT_REPORT + 1) as u8
    }

    /// Splits an opened text into ack bytes and body; `None` if there are fewer ack bytes than the form says.
    pub(crate) fn split(form: u8, text: &[u8]) -> Option<(&[u8], &[u8])> {
        if usize::from(form) <= MAX_SHORT_REPORT {
            return text.split_at_checked(usize::from(form));
        }
        match text.split_first()? {
            (0, _) => None,
            (count, rest) => rest.split_at_checked(usize::from(*count)),
        }
    }
}

impl Incoming {
    pub(crate) fn new(window: u16, initial: u64) -> Self {
        Self {
            window,
            known: initial,
            base: initial,
            last_gap: initial,
            reported: initial,
            bits: Bits::new(window),
        }
    }

    /// R.
    pub(crate) fn known(&self) -> u64 {
        self.known
    }

    /// B.
    #[cfg(test)]
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Sequences that came to be known since the last report.
    pub(crate) fn unreported(&self) -> u64 {
        self.known - self.reported
    }

    /// Returns whether the longest report would say more than was ever said.
    pub(crate) fn has_news(&self) -> bool {
        self.report(MAX_REPORT).ack > self.reported
    }

    /// Makes `sequence`, which is above R, known as delivered or not; those skipped are not.
    pub(crate) fn advance(&mut self, sequence: u64, delivered: bool) {
        debug_assert!(sequence > self.known);
        let ring = self.ring();
        if sequence - self.known >= ring {
            self.bits.fill(0);
        } else {
            self.clear(self.known + 1, sequence);
        }
        self.set(sequence, delivered);
        if !delivered {
            self.last_gap = sequence;
        } else if sequence - self.known > 1 {
            self.last_gap = sequence - 1;
        }
        self.known = sequence;
        self.base = self.base.max(sequence.saturating_sub(u64::from(self.window)));
    }

    /// Closes the book up to `sequence`: what has not come by now is not delivered.
    pub(crate) fn close_book(&mut self, sequence: u64) {
        if sequence > self.known {
            self.advance(sequence, false);
        }
    }

    /// The other side has read a report with this ack. Beyond R it cannot have.
    pub(crate) fn report_was_read(&mut self, ack: u64) {
        if ack <= self.known {
            self.base = self.base.max(ack);
        }
    }

    /// As [`report_was_read`](Self::report_was_read), for an ack of which the low 31 bits are known: it is the highest such
    /// number up to R. A peer that withholds reports while it sends 2^31 packets spoils the verdicts on those alone.
    pub(crate) fn report_with_low_bits_was_read(&mut self, ack_low: u32) {
        let back = (self.known as u32).wrapping_sub(ack_low) & (u32::MAX >> 1);
        self.report_was_read(self.known.saturating_sub(u64::from(back)));
    }

    /// The report to write where at most `max_bytes` ack bytes fit.
    pub(crate) fn report(&self, max_bytes: usize) -> Report {
        if self.last_gap <= self.base {
            return Report { ack: self.known, bytes: 0 };
        }
        let bytes = ((self.known - self.base) as usize).div_ceil(8);
        if bytes <= max_bytes {
            Report { ack: self.known, bytes }
        } else {
            Report { ack: self.base + 8 * max_bytes as u64, bytes: max_bytes }
        }
    }

    /// Appends the ack bytes of a report, with the count of form 7, and notes it as told.
    pub(crate) fn write_report(&mut self, report: Report, out: &mut Vec<u8>) {
        if report.bytes > MAX_SHORT_REPORT {
            out.push(report.bytes as u8);
        }
        for byte in 0..report.bytes as u64 {
            let mut value = 0;
            for bit in 0..8 {
                let delivered = report
                    .ack
                    .checked_sub(8 * byte + bit)
                    .is_some_and(|sequence| sequence > self.base && self.delivered(sequence));
                value |= u8::from(delivered) << bit;
            }
            out.push(value);
        }
        self.reported = self.reported.max(report.ack);
    }

    fn ring(&self) -> u64 {
        self.bits.len() as u64 * 64
    }

    fn delivered(&self, sequence: u64) -> bool {
        let at = sequence % self.ring();
        self.bits[(at / 64) as usize] >> (at % 64) & 1 == 1
    }

    /// Marks those from `first` up to but not including `end` as not delivered, a word at a time: a peer may skip as many
    /// as the window has with each packet.
    fn clear(&mut self, first: u64, end: u64) {
        let (ring, mut next) = (self.ring(), first);
        while next < end {
            let (at, left) = (next % ring, end - next);
            let bit = at % 64;
            let count = left.min(64 - bit);
            let mask = if count == 64 { u64::MAX } else { ((1 << count) - 1) << bit };
            self.bits[(at / 64) as usize] &= !mask;
            next += count;
        }
    }

    fn set(&mut self, sequence: u64, delivered: bool) {
        let at = sequence % self.ring();
        let (word, bit) = ((at / 64) as usize, at % 64);
        if delivered {
            self.bits[word] |= 1 << bit;
        } else {
            self.bits[word] &= !(1 << bit);
        }
    }
}

#[cfg(test)]
mod tests;
