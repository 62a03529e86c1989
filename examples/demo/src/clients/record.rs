//! The record of every packet at one end of a connection, and the comparison of both ends.

use std::collections::HashMap;

use torque_socket::{ConnectionStats, Delivery, Sequence};

/// A packet that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    sequence: u64,
    /// The sender's count, which the payload contains.
    number: u32,
    verdict: Option<Delivery>,
}

/// The record of one end of a connection.
#[derive(Debug, Default)]
pub struct Record {
    sent: Vec<Sent>,
    /// The index of the next packet to get its verdict. They come in order.
    next_verdict: usize,
    /// The number in the payload of each received packet, by sequence.
    received: HashMap<u64, u32>,
    /// The number of faulty events: a verdict twice, out of order or on no packet; a packet twice or damaged.
    pub faults: u64,
    /// The last figures before the connection ended.
    pub stats: Option<ConnectionStats>,
    /// The code's name, and whether it is the expected one, once the connection has ended.
    pub ended: Option<(String, bool)>,
}

impl Record {
    /// Records a sent packet.
    pub fn sent(&mut self, sequence: Sequence, number: u32) {
        self.sent.push(Sent { sequence: sequence.0, number, verdict: None });
    }

    /// Records a verdict.
    pub fn verdict(&mut self, sequence: Sequence, delivery: Delivery) {
        match self.sent.get_mut(self.next_verdict) {
            Some(sent) if sent.sequence == sequence.0 => {
                sent.verdict = Some(delivery);
                self.next_verdict += 1;
            }
            _ => self.faults += 1,
        }
    }

    /// Records a received packet. `number` is `None` if the payload is damaged.
    pub fn received(&mut self, sequence: Sequence, number: Option<u32>) {
        match number {
            Some(number) if self.received.insert(sequence.0, number).is_none() => {}
            _ => self.faults += 1,
        }
    }
}

/// The result for one direction of a connection, or the sum of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets sent.
    pub sent: u64,
    /// Packets reported as delivered.
    pub delivered: u64,
    /// Packets reported as dropped.
    pub dropped: u64,
    /// Packets without a certain verdict.
    pub unknown: u64,
    /// Verdicts that disagree with the other end, and other faults.
    pub mismatches: u64,
}

impl Tally {
    /// Compares the verdicts on packets of one end with what the other end received.
    pub fn compare(sender: &Record, receiver: &Record) -> Self {
        let mut tally = Self { sent: sender.sent.len() as u64, ..Self::default() };
        let mut matched = 0;
        for sent in &sender.sent {
            let received = receiver.received.get(&sent.sequence);
            matched += usize::from(received.is_some());
            let arrived = received == Some(&sent.number);
            match sent.verdict {
                Some(Delivery::Delivered) => {
                    tally.delivered += 1;
                    tally.mismatches += u64::from(!arrived);
                }
                Some(Delivery::Dropped) => {
                    tally.dropped += 1;
                    tally.mismatches += u64::from(received.is_some());
                }
                Some(Delivery::Unknown) => tally.unknown += 1,
                // Every packet gets a verdict, at the latest when its connection ends.
                None if sender.ended.is_some() => tally.mismatches += 1,
                None => tally.unknown += 1,
            }
        }
        // Packets that arrived without having been sent.
        tally.mismatches += (receiver.received.len() - matched) as u64;
        tally.mismatches += sender.faults;
        tally
    }

    /// Adds another result.
    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.dropped += other.dropped;
        self.unknown += other.unknown;
        self.mismatches += other.mismatches;
    }
}

#[cfg(test)]
mod tests;
