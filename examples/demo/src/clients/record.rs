//! What one end of a connection keeps of every packet, and what the records of both ends say together.

use std::collections::HashMap;

use torque_socket::{ConnectionStats, Delivery, Sequence};

/// A packet that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    sequence: u64,
    /// Counted by the sending application, and written into the payload.
    number: u32,
    verdict: Option<Delivery>,
}

/// Everything that one end knows of one connection.
#[derive(Debug, Default)]
pub struct Record {
    sent: Vec<Sent>,
    /// The next packet that is to get its verdict: they come in order.
    next_verdict: usize,
    /// By sequence, the number that the payload of the packet carried.
    received: HashMap<u64, u32>,
    /// Events that should not be: a verdict twice, out of order or on nothing; a packet twice or damaged.
    pub faults: u64,
    /// The last figures before the connection was gone.
    pub stats: Option<ConnectionStats>,
    /// How it ended: the code's name, and whether that is how it should end.
    pub ended: Option<(String, bool)>,
}

impl Record {
    /// A packet went out.
    pub fn sent(&mut self, sequence: Sequence, number: u32) {
        self.sent.push(Sent { sequence: sequence.0, number, verdict: None });
    }

    /// A verdict came.
    pub fn verdict(&mut self, sequence: Sequence, delivery: Delivery) {
        match self.sent.get_mut(self.next_verdict) {
            Some(sent) if sent.sequence == sequence.0 => {
                sent.verdict = Some(delivery);
                self.next_verdict += 1;
            }
            _ => self.faults += 1,
        }
    }

    /// A packet came in. `number` is `None` if its payload is not what anybody sent.
    pub fn received(&mut self, sequence: Sequence, number: Option<u32>) {
        match number {
            Some(number) if self.received.insert(sequence.0, number).is_none() => {}
            _ => self.faults += 1,
        }
    }
}

/// One direction of a connection, or many, after both ends have told everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets sent.
    pub sent: u64,
    /// Of those, told to be delivered.
    pub delivered: u64,
    /// Of those, told to be dropped.
    pub dropped: u64,
    /// Of those, left without a certain verdict.
    pub unknown: u64,
    /// Verdicts that are not what the other end got, and everything else that should not be.
    pub mismatches: u64,
}

impl Tally {
    /// Holds what was told of the packets sent at one end against what the other end received.
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
        // What arrived without having been sent.
        tally.mismatches += (receiver.received.len() - matched) as u64;
        tally.mismatches += sender.faults;
        tally
    }

    /// Both together.
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
