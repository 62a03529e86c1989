//! For debugging tools: opens the packets of a connection that somebody else has, with the secrets that a key
//! log told ([`KeyLogEntry`](crate::KeyLogEntry)).
//!
//! An observer sees packets of both directions, late ones and copies too, may have missed any of them, and
//! judges nothing: it only tells what was said. It is no part of any connection.

use alloc::vec::Vec;

use crate::connection::Report;
use crate::connection::packets::{Numbers, SealedPacket};
use crate::crypto::Cipher;
use crate::crypto::keys::{ReceiveKeys, generation_of};
use crate::crypto::secret::TrafficSecret;
use crate::wire::header::{Header, HeaderSize, PacketKind};

/// Turns of the header's low bits that are tried around what is expected.
const NEAR: u64 = 2;
/// The same for the first packet of a direction, which may come from anywhere in a connection.
const FAR: u64 = 48;

/// One connection's entry in a key log.
#[derive(Clone)]
pub struct LoggedSecrets {
    /// Number of the packet cipher.
    pub cipher: u8,
    /// Bytes of tag on data packets.
    pub tag_bytes: u8,
    /// The packet window.
    pub packet_window: u16,
    /// The initiator's initial sequence.
    pub initiator_sequence: u64,
    /// The host's initial sequence.
    pub host_sequence: u64,
    /// `traffic[0, 0]` (PROTOCOL.md 3.3).
    pub from_initiator: [u8; 32],
    /// `traffic[0, 1]`.
    pub from_host: [u8; 32],
}

/// A packet that was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InspectedPacket {
    /// The kind of packet.
    pub kind: PacketKind,
    /// The full sequence.
    pub sequence: u64,
    /// The generation of keys that the sequence belongs to (PROTOCOL.md 6.5).
    pub generation: u64,
    /// The full ack.
    pub ack: u64,
    /// The ack form.
    pub form: u8,
    /// The full control counter of acks and control packets.
    pub counter: Option<u64>,
    /// The ack bytes, without the count byte of form 7.
    pub ack_bytes: Vec<u8>,
    /// The bytes after them: the payload, or control messages.
    pub body: Vec<u8>,
}

impl InspectedPacket {
    /// Returns whether the report says that `sequence` was delivered; `None` if it says nothing about it (form 0 covers
    /// everything since the report before).
    pub fn reports(&self, sequence: u64) -> Option<bool> {
        let back = self.ack.checked_sub(sequence)?;
        let byte = self.ack_bytes.get(usize::try_from(back / 8).ok()?)?;
        Some(byte >> (back % 8) & 1 == 1)
    }
}

/// The known state of one direction.
struct Direction {
    keys: ReceiveKeys,
    sequence: u64,
    ack: u64,
    counter: u64,
    seen: bool,
}

/// Opens packets of one connection, in the order in which they were captured.
pub struct Inspector {
    size: HeaderSize,
    from_initiator: Direction,
    from_host: Direction,
}

impl Inspector {
    /// `None` if the cipher is not known to this version.
    pub fn new(secrets: &LoggedSecrets) -> Option<Self> {
        let cipher = Cipher::from_number(secrets.cipher)?;
        let direction = |traffic: &[u8; 32], sequence: u64, ack: u64| Direction {
            keys: ReceiveKeys::new(TrafficSecret::from_log(*traffic), cipher, secrets.tag_bytes),
            sequence,
            ack,
            counter: 0,
            seen: false,
        };
        let (initiator, host) = (secrets.initiator_sequence, secrets.host_sequence);
        Some(Self {
            size: HeaderSize::for_window(secrets.packet_window),
            from_initiator: direction(&secrets.from_initiator, initiator, host),
            from_host: direction(&secrets.from_host, host, initiator),
        })
    }

    /// Opens a datagram that went in the given direction; `None` if it is not authentic, or too far from
    /// what was seen before to be numbered.
    pub fn open(&mut self, from_initiator: bool, datagram: &[u8]) -> Option<InspectedPacket> {
        let size = self.size;
        let direction = if from_initiator { &mut self.from_initiator } else { &mut self.from_host };
        let packet = SealedPacket::parse(size, &direction.keys, datagram)?;
        let Header { kind, sequence_low, ack_low, form } = packet.header;
        let [near, far] = match packet.counter_low {
            None => [None, None],
            Some(low) => counters(direction.counter, low),
        };
        let counters = if kind.is_sequenced() { &[near][..] } else { &[near, far] };

        let reach = if direction.seen { NEAR } else { FAR };
        for sequence in around(direction.sequence, sequence_low, size.modulus(), reach) {
            for ack in around(direction.ack, ack_low, size.modulus(), reach) {
                for &counter in counters {
                    let numbers = Numbers { sequence, ack, counter };
                    let mut bytes = datagram.to_vec();
                    if packet.open(&mut direction.keys, numbers, &mut bytes).is_err() {
                        continue;
                    }
                    direction.seen = true;
                    direction.sequence = direction.sequence.max(sequence);
                    direction.ack = direction.ack.max(ack);
                    direction.counter = direction.counter.max(counter.unwrap_or(0));
                    let generation = generation_of(sequence);
                    let (ack_bytes, body) = Report::split(form, packet.text(&bytes))?;
                    let (ack_bytes, body) = (ack_bytes.to_vec(), body.to_vec());
                    return Some(InspectedPacket {
                        kind,
                        sequence,
                        generation,
                        ack,
                        form,
                        counter,
                        ack_bytes,
                        body,
                    });
                }
            }
        }
        None
    }
}

/// Full numbers with these low bits: the next one at or after `expected`, the one before it, then further ones.
fn around(expected: u64, low: u64, modulus: u64, reach: u64) -> impl Iterator<Item = u64> {
    let next = expected.saturating_add(low.wrapping_sub(expected) & (modulus - 1));
    let before = next.checked_sub(modulus);
    let further = (1..=reach).map(move |turns| next.saturating_add(turns * modulus));
    core::iter::once(next).chain(before).chain(further)
}

/// The two full counters with these low bits that are nearest to the last one.
fn counters(last: u64, low: u16) -> [Option<u64>; 2] {
    let next = last + u64::from(low.wrapping_sub(last as u16));
    let before = next.checked_sub(1 << 16);
    // A packet is rather 1,000 late than 64,000 early.
    if next - last < 1 << 15 { [Some(next), before] } else { [before.or(Some(next)), Some(next)] }
}

#[cfg(test)]
mod tests;
