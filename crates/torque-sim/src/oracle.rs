//! Holds the two ends of each connection against each other: what one application sent and was told, and
//! what the other got.
//!
//! It panics as soon as something is wrong, or in [`Oracle::check`] for what only the end shows:
//!
//! - each packet gets one verdict, in the order of sending;
//! - a packet was delivered exactly if the other application got it: once, intact, in order;
//! - nothing surfaces twice, late, after its connection's close or before it was established;
//! - a close is told once, as the last event, when every verdict has been told.

use std::collections::BTreeMap;

use torque_proto::{ChallengeResponse, CloseCode, ClosedBy, ConnectRequest, ConnectionId, Delivery, Event};

use crate::world::NodeId;

/// Names one end of one connection, also after its `ConnectionId` has been used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EndId(usize);

/// What is known of one end of a connection.
#[derive(Debug)]
pub struct End {
    /// Whose end it is.
    pub node: NodeId,
    /// How its application calls the connection.
    pub connection: ConnectionId,
    /// The other end, if it is watched too.
    pub peer: Option<EndId>,
    /// Whether the application was told that it is established.
    pub established: bool,
    /// How it ended, if its application was told.
    pub closed: Option<Closed>,
    /// Whether it disappeared without a word.
    pub crashed: bool,
    /// Verdicts and arrivals, counted.
    pub tally: Tally,
    sent: BTreeMap<u64, Sent>,
    /// Everything below has its verdict.
    first_open: u64,
    last_received: Option<u64>,
}

/// How a connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed {
    /// Why.
    pub code: CloseCode,
    /// Who ended it.
    pub by: ClosedBy,
    /// What the other application said.
    pub reason: Vec<u8>,
}

/// Packets of one end, or of all, counted.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Sent by the application.
    pub sent: u64,
    /// Told to be delivered.
    pub delivered: u64,
    /// Told to be dropped.
    pub dropped: u64,
    /// Told that nobody knows.
    pub unknown: u64,
    /// Got from the other end.
    pub received: u64,
}

#[derive(Debug)]
struct Sent {
    payload: Vec<u8>,
    verdict: Option<Delivery>,
    received: bool,
}

/// Watches the applications of one world.
#[derive(Debug)]
pub struct Oracle {
    seed: u64,
    ends: Vec<End>,
    current: BTreeMap<(NodeId, ConnectionId), EndId>,
}

impl Oracle {
    /// An oracle that names `seed` when something is wrong.
    pub fn new(seed: u64) -> Self {
        Self { seed, ends: Vec::new(), current: BTreeMap::new() }
    }

    /// A connection was asked for (by `connect`) or announced (by a connect request event).
    pub fn begin(&mut self, node: NodeId, connection: ConnectionId) -> EndId {
        let id = EndId(self.ends.len());
        if let Some(old) = self.current.insert((node, connection), id) {
            let end = &self.ends[old.0];
            self.ensure(end.crashed || end.closed.is_some(), || {
                format!("{node:?} uses {connection} again, which has not ended")
            });
        }
        self.ends.push(End {
            node,
            connection,
            peer: None,
            established: false,
            closed: None,
            crashed: false,
            tally: Tally::default(),
            sent: BTreeMap::new(),
            first_open: 0,
            last_received: None,
        });
        id
    }

    /// Says which end is the other one of `end`.
    pub fn set_peer(&mut self, end: EndId, peer: EndId) {
        let old = self.ends[end.0].peer.replace(peer);
        self.ensure(old.is_none_or(|old| old == peer), || {
            format!("{end:?} of {:?} is confirmed to two other ends", self.ends[end.0].node)
        });
    }

    /// The application sent a packet.
    pub fn sent(&mut self, node: NodeId, connection: ConnectionId, sequence: u64, payload: &[u8]) {
        let id = self.find(node, connection);
        let end = &mut self.ends[id.0];
        let last = end.sent.last_key_value().map(|(last, _)| *last);
        end.tally.sent += 1;
        end.sent.insert(sequence, Sent { payload: payload.to_vec(), verdict: None, received: false });
        let ready = end.established && end.closed.is_none();
        self.ensure(last.is_none_or(|last| sequence > last), || {
            format!("{node:?} {connection}: packet {sequence} follows packet {last:?}")
        });
        self.ensure(ready, || {
            format!("{node:?} {connection}: took packet {sequence} while it was not established")
        });
    }

    /// The application was told something.
    pub fn event(&mut self, node: NodeId, event: &Event) {
        match event {
            Event::ConnectRequest(ConnectRequest { connection, .. }) => {
                self.begin(node, *connection);
            }
            Event::ChallengeResponse(ChallengeResponse { connection, .. }) => {
                let end = self.open_end(node, *connection, "a challenge response");
                let established = self.ends[end.0].established;
                self.ensure(!established, || {
                    format!("{node:?} {connection}: asked after it was established")
                });
            }
            Event::Established { connection, .. } => {
                let end = self.open_end(node, *connection, "established");
                let before = std::mem::replace(&mut self.ends[end.0].established, true);
                self.ensure(!before, || format!("{node:?} {connection}: established twice"));
                // Only the host has had a request and so knows its peer by now. The initiator's knowledge
                // of the host's end begins here: earlier requests of one attempt come to nothing.
                if let Some(peer) = self.ends[end.0].peer.filter(|_| self.ends[end.0].closed.is_none()) {
                    self.set_peer(peer, end);
                }
            }
            Event::Packet { connection, sequence, payload } => {
                let end = self.open_end(node, *connection, "a packet");
                self.packet(end, sequence.0, payload);
            }
            Event::Verdict { connection, sequence, delivery } => {
                let end = self.open_end(node, *connection, "a verdict");
                self.verdict(end, sequence.0, *delivery);
            }
            Event::Close { connection, code, by, reason } => {
                let end = self.open_end(node, *connection, "a close");
                let closed = Closed { code: *code, by: *by, reason: reason.clone() };
                self.ends[end.0].closed = Some(closed);
                self.ensure_all_told(end);
            }
            _ => {}
        }
    }

    /// The node disappeared; nothing more is told there.
    pub fn crashed(&mut self, node: NodeId) {
        for end in self.ends.iter_mut().filter(|end| end.node == node && end.closed.is_none()) {
            end.crashed = true;
        }
    }

    /// One end.
    pub fn end(&self, id: EndId) -> &End {
        &self.ends[id.0]
    }

    /// Every end, in the order in which they began.
    pub fn ends(&self) -> impl Iterator<Item = &End> {
        self.ends.iter()
    }

    /// The end that an application calls `connection` now.
    ///
    /// # Panics
    /// If there never was one.
    pub fn find(&self, node: NodeId, connection: ConnectionId) -> EndId {
        match self.current.get(&(node, connection)) {
            Some(end) => *end,
            None => self.fail(&format!("{node:?} was told of {connection}, which was never begun")),
        }
    }

    /// All packets of all ends.
    pub fn tally(&self) -> Tally {
        self.ends.iter().fold(Tally::default(), |sum, end| Tally {
            sent: sum.sent + end.tally.sent,
            delivered: sum.delivered + end.tally.delivered,
            dropped: sum.dropped + end.tally.dropped,
            unknown: sum.unknown + end.tally.unknown,
            received: sum.received + end.tally.received,
        })
    }

    /// Whether every end has been closed or has crashed.
    pub fn all_ended(&self) -> bool {
        self.ends.iter().all(|end| end.crashed || end.closed.is_some())
    }

    /// Checks what only shows when every application has taken all its events: delivered means that the
    /// other one got it. With ends still open, packets without a verdict are no fault.
    ///
    /// # Panics
    /// If a promise was broken.
    pub fn check(&self) {
        for end in &self.ends {
            let Some(peer) = end.peer.map(|peer| &self.ends[peer.0]) else { continue };
            for (sequence, sent) in &end.sent {
                let got = sent.received || peer.crashed;
                self.ensure(sent.verdict != Some(Delivery::Delivered) || got, || {
                    format!(
                        "{:?} {}: packet {sequence} was told to be delivered; {:?} never got it",
                        end.node, end.connection, peer.node
                    )
                });
            }
        }
    }

    fn packet(&mut self, id: EndId, sequence: u64, payload: &[u8]) {
        let end = &mut self.ends[id.0];
        let (node, connection, peer, established) = (end.node, end.connection, end.peer, end.established);
        let last = end.last_received.replace(sequence);
        end.tally.received += 1;
        let at = || format!("{node:?} {connection}: packet {sequence}");
        self.ensure(established, || format!("{} came before the connection was established", at()));
        self.ensure(last.is_none_or(|last| sequence > last), || format!("{} came after {last:?}", at()));
        let Some(peer) = peer else { return };
        let Some(sent) = self.ends[peer.0].sent.get_mut(&sequence) else {
            self.fail(&format!("{} was never sent", at()))
        };
        let intact = sent.payload == payload;
        let verdict = sent.verdict;
        sent.received = true;
        self.ensure(intact, || format!("{} is not what was sent", at()));
        self.ensure(verdict != Some(Delivery::Dropped), || format!("{} had been told to be dropped", at()));
    }

    fn verdict(&mut self, id: EndId, sequence: u64, delivery: Delivery) {
        let end = &mut self.ends[id.0];
        let (node, connection) = (end.node, end.connection);
        let next = end.sent.range(end.first_open..).next().map(|(next, _)| *next);
        end.first_open = sequence + 1;
        match delivery {
            Delivery::Delivered => end.tally.delivered += 1,
            Delivery::Dropped => end.tally.dropped += 1,
            Delivery::Unknown => end.tally.unknown += 1,
        }
        let received = end.sent.get_mut(&sequence).is_some_and(|sent| {
            sent.verdict = Some(delivery);
            sent.received
        });
        self.ensure(next == Some(sequence), || {
            format!("{node:?} {connection}: a verdict on packet {sequence}; that on {next:?} was next")
        });
        self.ensure(!(received && delivery == Delivery::Dropped), || {
            format!(
                "{node:?} {connection}: packet {sequence} was told to be dropped; the other side had got it"
            )
        });
    }

    /// The end that something is told about, which must not have been closed.
    fn open_end(&self, node: NodeId, connection: ConnectionId, what: &str) -> EndId {
        let id = self.find(node, connection);
        self.ensure(self.ends[id.0].closed.is_none(), || {
            format!("{node:?} {connection}: told of {what} after its close")
        });
        id
    }

    fn ensure_all_told(&self, id: EndId) {
        let end = &self.ends[id.0];
        let open = end.sent.iter().find(|(_, sent)| sent.verdict.is_none()).map(|(sequence, _)| *sequence);
        self.ensure(open.is_none(), || {
            format!("{:?} {}: closed without a verdict on packet {open:?}", end.node, end.connection)
        });
    }

    fn ensure(&self, good: bool, what: impl FnOnce() -> String) {
        if !good {
            self.fail(&what());
        }
    }

    fn fail(&self, what: &str) -> ! {
        panic!("seed {}: {what} (TORQUE_SEED={} runs it again)", self.seed, self.seed)
    }
}

#[cfg(test)]
mod tests;
