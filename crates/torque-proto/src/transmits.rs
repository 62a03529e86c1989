//! Datagrams on their way to the driver.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::num::NonZeroU8;

use crate::address::Address;
use crate::id::ConnectionId;
use crate::path::Path;
use crate::sorted::SortedMap;
use crate::stats::Stats;
use crate::wire::{MAX_RELAYED, relayed_head};

/// One datagram to send.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'a> {
    /// The path that it takes.
    pub path: Path,
    /// The most routers that it may pass, as its IP header is to say it (TTL, *hop limit*), from 1; `None` for the system's
    /// own value, as nearly all datagrams have it. A driver that cannot set it sends the datagram without.
    pub hop_limit: Option<u8>,
    /// All of it.
    pub bytes: &'a [u8],
}

/// Several datagrams on one path, with one hop limit, that lie one after another, all of the same size but the last, which
/// may be shorter: what generic segmentation offload takes in one call.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The path that it takes.
    pub path: Path,
    /// The hop limit of each of them ([`Transmit::hop_limit`]).
    pub hop_limit: Option<u8>,
    /// Bytes of each datagram but the last.
    pub segment_size: usize,
    /// The number of datagrams.
    pub count: usize,
    /// All of them.
    pub bytes: &'a [u8],
}

/// The cause of a datagram. Datagrams that others elicit have places apart, so that they take none from the
/// application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cause {
    /// This side: its application, its timers, its own attempts.
    Own,
    /// The other side of a connection: acknowledgments of many packets, pongs, answers to its close.
    Peer,
    /// A datagram outside any connection, which anybody can send.
    Stranger,
}

/// Datagrams that wait, by cause.
#[derive(Clone, Copy, Default)]
struct Waiting {
    datagrams: usize,
    bytes: usize,
}

/// The most bytes of forgotten datagrams before those that wait.
const COMPACT_AT: usize = 1 << 16;

/// The outgoing datagrams of an endpoint, in one contiguous buffer that packets are sealed into.
#[derive(Default)]
pub struct Transmits {
    bytes: Vec<u8>,
    entries: VecDeque<Entry>,
    /// Indexed by cause.
    waiting: [Waiting; 3],
    max_datagrams: usize,
    max_bytes: usize,
    /// By the number of their address here.
    circuits: SortedMap<u64, Circuit>,
    sent: u64,
    sent_bytes: u64,
    dropped: u64,
}

/// The way of a circuit's datagrams (INTRODUCTIONS.md 10).
struct Circuit {
    /// The connection whose datagrams take it.
    connection: ConnectionId,
    introducer: ConnectionId,
    /// To the introducer.
    path: Path,
    /// The circuit's number there.
    number: u32,
}

#[derive(Clone, Copy)]
struct Entry {
    path: Path,
    start: usize,
    end: usize,
    cause: Cause,
    hop_limit: Option<NonZeroU8>,
}

impl Entry {
    fn hop_limit(&self) -> Option<u8> {
        self.hop_limit.map(NonZeroU8::get)
    }
}

/// A connection's view of the buffer, with the path that its datagrams take.
pub(crate) struct Outbox<'a> {
    transmits: &'a mut Transmits,
    cause: Cause,
    path: &'a mut Path,
}

impl Outbox<'_> {
    /// Sends what follows from where `arrived` came in.
    pub(crate) fn follow(&mut self, arrived: Path) {
        self.path.follow(arrived);
    }

    /// Appends a datagram that `write` appends to the buffer; an empty one is not sent.
    pub(crate) fn push<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.transmits.push(self.cause, *self.path, write)
    }
}

impl Transmits {
    /// An empty buffer. Once `max_datagrams`, or `max_bytes`, wait that this side sends of itself, `is_full` says so, and at
    /// twice that more are dropped. Peers and strangers have a quarter of both each beside that.
    pub(crate) fn new(max_datagrams: usize, max_bytes: usize) -> Self {
        Self { max_datagrams, max_bytes, ..Self::default() }
    }

    /// Returns whether the buffer is so full that no more data should be sent.
    pub(crate) fn is_full(&self) -> bool {
        let Waiting { datagrams, bytes } = self.waiting[Cause::Own as usize];
        datagrams >= self.max_datagrams || bytes >= self.max_bytes
    }

    /// Returns whether an answer to a stranger would be sent. If not, there is no point in making it.
    pub(crate) fn takes_answers(&self) -> bool {
        self.has_room(Cause::Stranger)
    }

    fn has_room(&self, cause: Cause) -> bool {
        let Waiting { datagrams, bytes } = self.waiting[cause as usize];
        match cause {
            Cause::Own => {
                datagrams < self.max_datagrams.saturating_mul(2) && bytes < self.max_bytes.saturating_mul(2)
            }
            Cause::Peer | Cause::Stranger => {
                datagrams < self.max_datagrams.div_ceil(4) && bytes < self.max_bytes.div_ceil(4)
            }
        }
    }

    /// The number of datagrams that wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether no datagram waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The datagram at `index`, 0 being the oldest.
    pub fn get(&self, index: usize) -> Option<Transmit<'_>> {
        self.entries.get(index).map(|entry| self.transmit(entry))
    }

    /// All that wait, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Transmit<'_>> {
        self.entries.iter().map(|entry| self.transmit(entry))
    }

    /// The datagrams from `index` on that can go in one call with segmentation offload: at most
    /// `max_segments` of them and `max_bytes` together, but always one.
    pub fn run(&self, index: usize, max_segments: usize, max_bytes: usize) -> Option<Run<'_>> {
        let first = *self.entries.get(index)?;
        let segment_size = first.end - first.start;
        let (mut count, mut end, mut is_last) = (1, first.end, false);
        for next in self.entries.iter().skip(index + 1) {
            let fits = !is_last
                && count < max_segments
                && next.path == first.path
                && next.hop_limit == first.hop_limit
                && next.start == end
                && next.end - next.start <= segment_size
                && next.end - first.start <= max_bytes;
            if !fits {
                break;
            }
            is_last = next.end - next.start < segment_size;
            end = next.end;
            count += 1;
        }
        let bytes = &self.bytes[first.start..end];
        Some(Run { path: first.path, hop_limit: first.hop_limit(), segment_size, count, bytes })
    }

    /// Forgets the oldest `count` datagrams.
    pub fn consume(&mut self, count: usize) {
        if count >= self.entries.len() {
            self.entries.clear();
            self.waiting = [Waiting::default(); 3];
            return self.bytes.clear();
        }
        for entry in self.entries.drain(..count) {
            let waiting = &mut self.waiting[entry.cause as usize];
            waiting.datagrams -= 1;
            waiting.bytes -= entry.end - entry.start;
        }
        let Some(first) = self.entries.front() else { return };
        // A socket that is never quite free would let the buffer grow for ever.
        let start = first.start;
        if start >= COMPACT_AT && start >= self.bytes.len() / 2 {
            self.bytes.drain(..start);
            for entry in &mut self.entries {
                entry.start -= start;
                entry.end -= start;
            }
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.consume(usize::MAX);
    }

    /// Appends a datagram that `write` appends to the buffer; an empty one is not sent.
    pub(crate) fn push<T>(&mut self, cause: Cause, path: Path, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.push_with_hop_limit(cause, path, None, write)
    }

    /// Does the same for a datagram with a hop limit ([`Transmit::hop_limit`]). A limit of 0 is none.
    #[inline]
    pub(crate) fn push_with_hop_limit<T>(
        &mut self,
        cause: Cause,
        mut path: Path,
        hop_limit: Option<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> T,
    ) -> T {
        let start = self.bytes.len();
        let content = if path.remote.is_circuit() { self.enter_circuit(&mut path) } else { start };
        let result = write(&mut self.bytes);
        let end = self.bytes.len();
        if end == content {
            self.bytes.truncate(start);
            return result;
        }
        let fits = content == start || fits_circuit(path, end - content);
        if fits && self.has_room(cause) {
            self.entries.push_back(Entry {
                path,
                start,
                end,
                cause,
                hop_limit: hop_limit.and_then(NonZeroU8::new),
            });
            let waiting = &mut self.waiting[cause as usize];
            waiting.datagrams += 1;
            waiting.bytes += end - start;
            self.sent += 1;
            self.sent_bytes += (end - start) as u64;
        } else {
            self.bytes.truncate(start);
            self.dropped += 1;
        }
        result
    }

    /// What follows goes to the introducer, with the circuit's number before it. Returns where it begins. The path of a circuit that has
    /// ended stays as it is.
    #[cold]
    fn enter_circuit(&mut self, path: &mut Path) -> usize {
        let circuit = path.remote.circuit_number().and_then(|number| self.circuits.get(&number));
        // Circuits do not go through circuits.
        let circuit = circuit.filter(|circuit| !circuit.path.remote.is_circuit());
        let number = circuit.map_or(0, |circuit| {
            *path = circuit.path;
            circuit.number
        });
        self.bytes.extend_from_slice(&relayed_head(number));
        self.bytes.len()
    }

    /// From now on datagrams to the circuit with this address go to its introducer, where it has a number of its own.
    pub(crate) fn add_circuit(
        &mut self,
        address: Address,
        connection: ConnectionId,
        introducer: ConnectionId,
        path: Path,
        number: u32,
    ) {
        if let Some(own) = address.circuit_number() {
            self.circuits.insert(own, Circuit { connection, introducer, path, number });
        }
    }

    /// The introducer is reached on another path.
    pub(crate) fn move_circuits(&mut self, introducer: ConnectionId, path: Path) {
        let circuits = self.circuits.values_mut();
        circuits.filter(|circuit| circuit.introducer == introducer).for_each(|circuit| circuit.path = path);
    }

    /// The circuit of a connection has ended, or the connection has; or that with the introducer of circuits.
    pub(crate) fn remove_circuits_of(&mut self, id: ConnectionId) {
        self.circuits.retain(|_, circuit| circuit.connection != id && circuit.introducer != id);
    }

    /// The address of a connection's circuit.
    pub(crate) fn circuit_of(&self, connection: ConnectionId) -> Option<Address> {
        let mut circuits = self.circuits.iter();
        let found = circuits.find(|(_, circuit)| circuit.connection == connection);
        found.map(|(own, _)| Address::from_circuit(*own))
    }

    /// The address of the circuit that has this number at this introducer.
    pub(crate) fn circuit_from(&self, introducer: ConnectionId, number: u32) -> Option<Address> {
        let mut circuits = self.circuits.iter();
        let is_it = |circuit: &Circuit| circuit.introducer == introducer && circuit.number == number;
        circuits.find(|(_, circuit)| is_it(circuit)).map(|(own, _)| Address::from_circuit(*own))
    }

    /// How many circuits there are.
    pub(crate) fn circuits(&self) -> usize {
        self.circuits.len()
    }

    /// The outbox of one connection.
    pub(crate) fn outbox<'a>(&'a mut self, cause: Cause, path: &'a mut Path) -> Outbox<'a> {
        Outbox { transmits: self, cause, path }
    }

    /// Counts an answer that was not made because [`takes_answers`](Self::takes_answers) said no.
    pub(crate) fn count_unanswered(&mut self) {
        self.dropped += 1;
    }

    /// Adds what was pushed and dropped since the last call to the counters.
    pub(crate) fn count_into(&mut self, stats: &mut Stats) {
        stats.datagrams_sent += core::mem::take(&mut self.sent);
        stats.bytes_sent += core::mem::take(&mut self.sent_bytes);
        stats.transmits_dropped += core::mem::take(&mut self.dropped);
    }

    fn transmit(&self, entry: &Entry) -> Transmit<'_> {
        Transmit {
            path: entry.path,
            hop_limit: entry.hop_limit(),
            bytes: &self.bytes[entry.start..entry.end],
        }
    }
}

/// Returns whether a datagram of that many bytes can be sent on a circuit, whose path leads to its introducer.
#[cold]
fn fits_circuit(path: Path, bytes: usize) -> bool {
    !path.remote.is_circuit() && bytes <= MAX_RELAYED
}

#[cfg(test)]
mod tests;
