//! Compares the two ends of each connection: the packets and verdicts of one application with the packets that
//! the other received.
//!
//! It panics as soon as a promise is broken, or in [`Oracle::check`] if only the end shows it:
//!
//! - each packet gets one verdict, in the order of sending;
//! - a packet is delivered exactly if the other application received it: once, intact, in order;
//! - no packet arrives twice, late, after the close or before its connection was established;
//! - a close is reported once, as the last event, after every verdict.

use std::collections::BTreeMap;

use torque_proto::{ChallengeResponse, CloseCode, ClosedBy, ConnectRequest, ConnectionId, Delivery, Event};

use crate::world::NodeId;

/// Names one end of one connection, also after its `ConnectionId` has been used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct EndId(usize);

/// The record of one end of a connection.
#[derive(Debug)]
pub struct End {
    /// The node that it belongs to.
    pub node: NodeId,
    /// The id that its application uses.
    pub connection: ConnectionId,
    /// The other end, if the oracle knows it.
    pub peer: Option<EndId>,
    /// Set once the application was told that the connection is established.
    pub established: bool,
    /// The close that its application was told, if any.
    pub closed: Option<Closed>,
    /// Set if its node crashed.
    pub crashed: bool,
    /// Counts of verdicts and arrivals.
    pub tally: Tally,
    sent: BTreeMap<u64, Sent>,
    /// The packets below this index have their verdict.
    first_open: u64,
    last_received: Option<u64>,
    /// Its request is yet to come.
    awaits_request: bool,
}

/// The end of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Closed {
    /// The reason.
    pub code: CloseCode,
    /// The side that ended it.
    pub by: ClosedBy,
    /// The message of the other application.
    pub reason: Vec<u8>,
}

/// Counts of packets, of one end or of all.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// Sent by the application.
    pub sent: u64,
    /// Reported as delivered.
    pub delivered: u64,
    /// Reported as dropped.
    pub dropped: u64,
    /// Reported as unknown.
    pub unknown: u64,
    /// Received from the other end.
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
    /// Makes an oracle that names `seed` when it panics.
    pub fn new(seed: u64) -> Self {
        Self { seed, ends: Vec::new(), current: BTreeMap::new() }
    }

    /// Records a new end: the application called `connect`, or was told of a connect request.
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
            awaits_request: false,
        });
        id
    }

    /// Records a new end whose application knows the connection before its request comes.
    pub fn begin_waiting(&mut self, node: NodeId, connection: ConnectionId) -> EndId {
        let id = self.begin(node, connection);
        self.ends[id.0].awaits_request = true;
        id
    }

    /// Pairs `end` with its other end.
    pub fn set_peer(&mut self, end: EndId, peer: EndId) {
        let old = self.ends[end.0].peer.replace(peer);
        self.ensure(old.is_none_or(|old| old == peer), || {
            format!("{end:?} of {:?} is confirmed to two other ends", self.ends[end.0].node)
        });
    }

    /// Records a packet that the application sent.
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

    /// Records an event that the application was told.
    pub fn event(&mut self, node: NodeId, event: &Event) {
        match event {
            Event::ConnectRequest(ConnectRequest { connection, .. }) => {
                let waiting = self.current.get(&(node, *connection)).map(|end| &mut self.ends[end.0]);
                match waiting.filter(|end| end.awaits_request && end.closed.is_none()) {
                    Some(end) => end.awaits_request = false,
                    None => {
                        self.begin(node, *connection);
                    }
                }
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
                // The host knows its peer since the request. The initiator learns its peer here, because earlier
                // requests of the same attempt led nowhere.
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

    /// Records that a node crashed.
    pub fn crashed(&mut self, node: NodeId) {
        for end in self.ends.iter_mut().filter(|end| end.node == node && end.closed.is_none()) {
            end.crashed = true;
        }
    }

    /// The record of an end.
    pub fn end(&self, id: EndId) -> &End {
        &self.ends[id.0]
    }

    /// All ends, in order of their beginning.
    pub fn ends(&self) -> impl Iterator<Item = &End> {
        self.ends.iter()
    }

    /// The end that an application currently calls `connection`.
    ///
    /// # Panics
    /// If there is none.
    pub fn find(&self, node: NodeId, connection: ConnectionId) -> EndId {
        match self.current.get(&(node, connection)) {
            Some(end) => *end,
            None => self.fail(&format!("{node:?} was told of {connection}, which was never begun")),
        }
    }

    /// The counts of all ends together.
    pub fn tally(&self) -> Tally {
        self.ends.iter().fold(Tally::default(), |sum, end| Tally {
            sent: sum.sent + end.tally.sent,
            delivered: sum.delivered + end.tally.delivered,
            dropped: sum.dropped + end.tally.dropped,
            unknown: sum.unknown + end.tally.unknown,
            received: sum.received + end.tally.received,
        })
    }

    /// Returns whether every end was closed or crashed.
    pub fn all_ended(&self) -> bool {
        self.ends.iter().all(|end| end.crashed || end.closed.is_some())
    }

    /// Checks what shows only after every application has taken all of its events: each delivered packet was received.
    /// Packets without a verdict are allowed on open ends.
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

    /// The end of an event. It must not be closed yet.
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
