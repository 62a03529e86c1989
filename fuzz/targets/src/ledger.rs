//! Checks the events of one application against the promises: one verdict for each packet, in order; packets with
//! rising numbers; one close for each connection, as its last event.

use std::collections::{BTreeMap, VecDeque};

use torque_proto::{ChallengeResponse, ConnectRequest, ConnectionId, Delivery, Event};

/// One connection's part.
#[derive(Default)]
struct Line {
    established: bool,
    asked: bool,
    /// Sequences and our own numbers of packets without a verdict.
    outstanding: VecDeque<(u64, u32)>,
    last_received: Option<u64>,
}

/// The events of one application.
#[derive(Default)]
pub struct Ledger {
    lines: BTreeMap<ConnectionId, Line>,
    /// The verdicts on our packets, by our own number.
    pub verdicts: BTreeMap<u32, Delivery>,
    /// The packets that came, in order.
    pub received: Vec<Vec<u8>>,
}

impl Ledger {
    /// A connection that this side began.
    pub fn begun(&mut self, connection: ConnectionId) {
        let before = self.lines.insert(connection, Line::default());
        assert!(before.is_none(), "{connection:?} is the id of two connections");
    }

    /// A packet was sent.
    pub fn sent(&mut self, connection: ConnectionId, sequence: u64, number: u32) {
        let line = self.line(connection);
        if let Some((last, _)) = line.outstanding.back() {
            assert!(*last < sequence, "sequence {sequence} after {last}");
        }
        line.outstanding.push_back((sequence, number));
    }

    /// An event was taken.
    pub fn told(&mut self, event: &Event) {
        match event {
            Event::ChallengeResponse(ChallengeResponse { connection, .. }) => {
                assert!(!self.line(*connection).established, "asked after being established");
            }
            Event::ConnectRequest(ConnectRequest { connection, introduced_by, .. }) => {
                // One that begins with an introduction was begun here, too.
                if introduced_by.is_none() {
                    self.begun(*connection);
                }
                self.line(*connection).asked = true;
            }
            Event::Established { connection, .. } => {
                let line = self.line(*connection);
                assert!(!line.established, "established twice");
                line.established = true;
            }
            Event::Packet { connection, sequence, payload } => {
                let line = self.line(*connection);
                assert!(line.established, "a packet before the connection is established");
                assert!(line.last_received < Some(sequence.0), "packet numbers that do not rise");
                line.last_received = Some(sequence.0);
                self.received.push(payload.to_vec());
            }
            Event::Verdict { connection, sequence, delivery } => {
                let first = self.line(*connection).outstanding.pop_front();
                let (expected, number) = first.expect("a verdict on nothing");
                assert_eq!(sequence.0, expected, "verdicts in the order of sending");
                let before = self.verdicts.insert(number, *delivery);
                assert!(before.is_none(), "two verdicts on packet {number}");
            }
            Event::Close { connection, .. } => {
                let line = self.lines.remove(connection).expect("a close of a connection that is not there");
                assert!(line.outstanding.is_empty(), "closed with {} verdicts open", line.outstanding.len());
            }
            _ => {}
        }
    }

    /// Returns the connections that have had no close event.
    pub fn open(&self) -> usize {
        self.lines.len()
    }

    fn line(&mut self, connection: ConnectionId) -> &mut Line {
        self.lines.get_mut(&connection).expect("an event or packet of a connection that is not there")
    }
}
