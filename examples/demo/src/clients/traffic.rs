//! The packets of the demo: their timing and content.

use std::time::{Duration, Instant};

use torque_socket::{ConnectionId, SendError, Socket};

use super::record::Record;
use crate::args::Args;

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Client,
    Host,
}

/// The traffic of every connection.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    pub period: Duration,
    size: usize,
}

impl Traffic {
    pub fn new(args: &Args) -> Self {
        Self { period: args.period(), size: usize::from(args.size) }
    }
}

/// Sends the packets of one end of a connection on time.
#[derive(Debug)]
pub struct Sender {
    traffic: Traffic,
    connection: u16,
    end: End,
    next: Instant,
    number: u32,
    buffer: Vec<u8>,
    pub held_back: u64,
}

impl Sender {
    /// Starts now.
    pub fn new(traffic: Traffic, connection: u16, end: End) -> Self {
        let (next, buffer) = (Instant::now(), Vec::with_capacity(traffic.size));
        Self { traffic, connection, end, next, number: 0, buffer, held_back: 0 }
    }

    /// The time of the next packet.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Sends what is due. If the window is full, the packet is skipped, as a game would do.
    pub fn run(
        &mut self,
        socket: &mut Socket,
        id: ConnectionId,
        record: &mut Record,
    ) -> Result<(), SendError> {
        let now = Instant::now();
        // After a long pause of the machine, continue from here instead of sending everything at once.
        if now.saturating_duration_since(self.next) > Duration::from_millis(500) {
            self.next = now;
        }
        while self.next <= now {
            self.next += self.traffic.period;
            fill(&mut self.buffer, self.traffic.size, self.connection, self.end, self.number);
            match socket.send(id, &self.buffer) {
                Ok(sequence) => {
                    record.sent(sequence, self.number);
                    self.number = self.number.wrapping_add(1);
                }
                Err(SendError::WindowFull | SendError::Blocked) => self.held_back += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Writes the payload of a packet: its sender and number, then bytes that follow from them.
fn fill(buffer: &mut Vec<u8>, size: usize, connection: u16, end: End, number: u32) {
    buffer.clear();
    buffer.extend_from_slice(&connection.to_be_bytes());
    buffer.extend_from_slice(&[end as u8, 0]);
    buffer.extend_from_slice(&number.to_be_bytes());
    let mut state = number.wrapping_mul(0x9e37_79b9) ^ u32::from(connection) << 1 ^ end as u32;
    while buffer.len() < size {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        buffer.push((state >> 24) as u8);
    }
    buffer.truncate(size);
}

/// The number of a payload that this end of the connection sent; `None` if it is anything else.
pub fn read(payload: &[u8], connection: u16, end: End) -> Option<u32> {
    let number = u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?);
    let mut expected = Vec::with_capacity(payload.len());
    fill(&mut expected, payload.len(), connection, end, number);
    (payload == expected).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_read_as_what_it_was_sent_as_and_as_nothing_else() {
        let mut payload = Vec::new();
        for size in [8, 9, 100, 1_150] {
            fill(&mut payload, size, 3, End::Client, 77);
            assert_eq!(payload.len(), size);
            assert_eq!(read(&payload, 3, End::Client), Some(77));
            assert_eq!(read(&payload, 4, End::Client), None);
            assert_eq!(read(&payload, 3, End::Host), None);
            for index in (0..4).chain(8..size) {
                let mut changed = payload.clone();
                changed[index] ^= 1;
                assert_eq!(read(&changed, 3, End::Client), None, "byte {index}");
            }
        }
        assert_eq!(read(b"short", 3, End::Client), None);
    }
}
