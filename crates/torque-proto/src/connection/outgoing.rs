//! The sending half of the packet window: which sequences are open, and their verdicts
//! (PROTOCOL.md 7.1, 7.3).

use alloc::collections::VecDeque;

use crate::event::Delivery;

/// What was sent and has no verdict yet, or one that the application has not taken.
#[derive(Debug)]
pub(crate) struct Outgoing {
    window: u16,
    /// A_last: the highest sequence that has its verdict.
    settled: u64,
    /// Those after `settled`, in order.
    unsettled: VecDeque<Sent>,
    /// Data packets among them.
    unsettled_data: u16,
    /// Verdicts told that the application has not taken.
    untaken: u16,
    /// The time of what is sent next.
    time: u32,
    /// When the last packet that got its verdict was sent, if it is data and was delivered.
    delivered_at: Option<u32>,
}

/// A sequenced packet without a verdict.
#[derive(Clone, Copy, Debug)]
struct Sent {
    /// The low 31 bits of the ack that it carried, which is known to the other side once the packet is reported
    /// delivered; and in the lowest bit whether it is data.
    ack_and_kind: u32,
    /// When it was sent: the low bits of the microseconds, which last an hour.
    at: u32,
}

impl Sent {
    fn new(ack: u64, is_data: bool, at: u32) -> Self {
        Self { ack_and_kind: (ack as u32) << 1 | u32::from(is_data), at }
    }

    fn ack_low(self) -> u32 {
        self.ack_and_kind >> 1
    }

    fn is_data(self) -> bool {
        self.ack_and_kind & 1 == 1
    }
}

/// One verdict, and what follows from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Settled {
    pub sequence: u64,
    pub delivery: Delivery,
    /// Whether an application waits for it (it does not for reports).
    pub is_data: bool,
    /// The low 31 bits of the ack that the packet carried.
    pub ack_low: u32,
}

impl Outgoing {
    pub(crate) fn new(window: u16, initial: u64) -> Self {
        Self {
            window,
            settled: initial,
            unsettled: VecDeque::new(),
            unsettled_data: 0,
            untaken: 0,
            time: 0,
            delivered_at: None,
        }
    }

    /// The last sequence sent.
    pub(crate) fn last(&self) -> u64 {
        self.settled + self.unsettled.len() as u64
    }

    /// A_last.
    pub(crate) fn settled(&self) -> u64 {
        self.settled
    }

    /// Sequences that hold a place in the window.
    pub(crate) fn open(&self) -> usize {
        self.unsettled.len() + usize::from(self.untaken)
    }

    /// Data packets that have no verdict.
    pub(crate) fn unsettled_data(&self) -> usize {
        usize::from(self.unsettled_data)
    }

    /// Returns whether a packet may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.open() < usize::from(self.window)
    }

    /// Returns whether a report may be sent as a sequenced packet.
    pub(crate) fn has_room_for_report(&self) -> bool {
        self.open() < usize::from(self.window / 2)
    }

    /// Notes the packet with sequence `last() + 1` as sent.
    pub(crate) fn sent(&mut self, ack: u64, is_data: bool) {
        self.unsettled.push_back(Sent::new(ack, is_data, self.time));
        self.unsettled_data += u16::from(is_data);
    }

    /// What is sent from now on is sent at this time, in the low bits of the microseconds.
    pub(crate) fn set_time(&mut self, at: u32) {
        self.time = at;
    }

    /// Returns when the last packet that got its verdict was sent, as [`set_time`](Self::set_time) was told; `None` if that is no
    /// data, or was not delivered.
    pub(crate) fn delivered_at(&self) -> Option<u32> {
        self.delivered_at
    }

    /// Returns when the packet after the last one that has its verdict was sent, if it is data.
    pub(crate) fn next_sent_at(&self) -> Option<u32> {
        self.unsettled.front().filter(|sent| sent.is_data()).map(|sent| sent.at)
    }

    /// Returns when the oldest data packet without a verdict was sent.
    pub(crate) fn oldest_data_sent_at(&self) -> Option<u32> {
        if self.unsettled_data == 0 {
            return None;
        }
        self.unsettled.iter().find(|sent| sent.is_data()).map(|sent| sent.at)
    }

    /// Settles the next sequence, if there is one.
    pub(crate) fn settle_next(&mut self, delivery: Delivery) -> Option<Settled> {
        let sent = self.unsettled.pop_front()?;
        let is_data = sent.is_data();
        self.settled += 1;
        self.unsettled_data -= u16::from(is_data);
        self.untaken += u16::from(is_data);
        self.delivered_at = (is_data && delivery.is_delivered()).then_some(sent.at);
        Some(Settled { sequence: self.settled, delivery, is_data, ack_low: sent.ack_low() })
    }

    /// Gives back the memory of windows that were full once.
    pub(crate) fn rest(&mut self) {
        self.unsettled.shrink_to_fit();
    }

    /// The application has taken one verdict.
    pub(crate) fn verdict_taken(&mut self) {
        self.untaken = self.untaken.saturating_sub(1);
    }
}

/// The bit of a report for `sequence`: whether it was delivered (7.2).
pub(crate) fn reported(ack: u64, ack_bytes: &[u8], sequence: u64) -> Delivery {
    if ack_bytes.is_empty() {
        return Delivery::Delivered;
    }
    let back = ack - sequence;
    let bit = ack_bytes.get((back / 8) as usize).map_or(0, |byte| byte >> (back % 8) & 1);
    if bit == 1 { Delivery::Delivered } else { Delivery::Dropped }
}

#[cfg(test)]
mod tests;
