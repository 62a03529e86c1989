//! An endpoint and a peer that holds the keys and breaks every other rule: its packets authenticate, and the input chooses their
//! content. Each packet still gets one verdict, in order; memory stays bounded; nothing panics.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use torque_proto::wire::control::ControlMessage;
use torque_proto::wire::control::reliable::{PART_BYTES, ReliableKind, ReliableMessage};
use torque_proto::wire::header::{Header, HeaderSize, PacketKind};
use torque_proto::{Cipher, Trust};

use crate::input::Input;
use crate::pair::TIMES;
use crate::seal::Sealer;
use crate::side::{Side, address, small_config};

const MAX_STEPS: usize = 2_000;

/// The steps that the input can choose. Seeds are written in them, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Step {
    /// Kind, sequence, ack, form, bytes: sealed as they are.
    Packet,
    /// Sequence, ack, form, ack bytes, then messages of the control protocol.
    Control,
    /// Which: an earlier packet again.
    Again,
    /// Many data packets in a row: sequence step, count.
    Run,
    /// Our side sends: count, size.
    Send,
    /// Our side closes.
    Close,
    /// Our side takes events.
    TakeEvents,
    /// Time from deadline to deadline.
    Pass,
    /// Time at once.
    Jump,
    /// Bytes without keys.
    Raw,
    /// Sequence, ack, then reliable control messages.
    Reliable,
}

const STEPS: [Step; 11] = [
    Step::Packet,
    Step::Control,
    Step::Again,
    Step::Run,
    Step::Send,
    Step::Close,
    Step::TakeEvents,
    Step::Pass,
    Step::Jump,
    Step::Raw,
    Step::Reliable,
];

/// What the key log told, once.
#[derive(Clone, Copy)]
struct Secrets {
    initiator: [u8; 32],
    initiator_sequence: u64,
    host_sequence: u64,
}

struct World {
    us: Side,
    sealer: Sealer,
    size: HeaderSize,
    /// The highest sequence and control counter that were sealed, and the other side's first sequence.
    sequence: u64,
    counter: u64,
    host_sequence: u64,
    sent: Vec<Vec<u8>>,
    /// What reliable control messages told.
    control_events: usize,
}

/// Plays the input.
pub fn insider(data: &[u8]) {
    play(data);
}

/// Plays the input and returns the final state.
fn play(data: &[u8]) -> World {
    let mut input = Input::new(data);
    let window = input.pick([8, 128, 129, 2_048, 32_768]);
    let Some(mut world) = World::new(window) else { panic!("a plain handshake comes to nothing") };
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
        world.use_control();
        world.us.take_transmits();
    }
    world.finish();
    world
}

impl World {
    /// Connects an honest peer, and takes over its keys.
    fn new(window: u16) -> Option<Self> {
        let mut config = small_config();
        config.settings.packet_window = window;
        config.ciphers = vec![Cipher::ChaCha20Poly1305];
        let mut us = Side::new(1, config.clone());
        let mut peer = Side::new(2, config);
        let secrets: Arc<Mutex<Option<Secrets>>> = Arc::default();
        let told = Arc::clone(&secrets);
        peer.endpoint.set_key_log(Box::new(move |entry| {
            let secrets = Secrets {
                initiator: *entry.from_initiator,
                initiator_sequence: entry.initiator_sequence,
                host_sequence: entry.host_sequence,
            };
            if let Ok(mut told) = told.lock() {
                *told = Some(secrets);
            }
        }));
        peer.connect(address(1), Trust::Anyone, b"");
        // Up to the peer's first packet, which is not handed over: the first is to be the input's.
        for _ in 0..8 {
            for (_, bytes) in peer.take_transmits() {
                us.hear(address(2), &bytes, true);
            }
            us.take_events(usize::MAX);
            us.answer(true, b"yes");
            for (_, bytes) in us.take_transmits() {
                peer.hear(address(1), &bytes, true);
            }
            // Puzzles are solved after the timers have run.
            peer.jump(Duration::from_millis(2));
            let found = *secrets.lock().ok()?;
            if let Some(secrets) = found {
                return Some(Self {
                    us,
                    sealer: Sealer::new(secrets.initiator),
                    size: HeaderSize::for_window(window),
                    sequence: secrets.initiator_sequence,
                    counter: 0,
                    host_sequence: secrets.host_sequence,
                    sent: Vec::new(),
                    control_events: 0,
                });
            }
        }
        None
    }

    /// Reads reliable control messages, and sends one, once the connection is established.
    fn use_control(&mut self) {
        let connection = self.us.endpoint.connections().next();
        if let Some(connection) = connection.filter(|id| self.us.endpoint.control_stats(*id).is_none()) {
            let _ = self.us.endpoint.send_control(self.us.now, connection, 1, ReliableKind::CANDIDATES, b"?");
        }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match STEPS[input.below(STEPS.len())] {
            Step::Packet => {
                let kinds = [PacketKind::Data, PacketKind::Report, PacketKind::Ack, PacketKind::Control];
                let kind = input.pick(kinds);
                let (step, ack, form) = (input.u16(), input.u16(), input.u8());
                let text = input.bytes(2_000);
                self.packet(kind, step, ack, form, text);
            }
            Step::Control => {
                let (step, ack, form) = (input.u16(), input.u16(), input.u8());
                let mut text = input.bytes(300).to_vec();
                for _ in 0..input.below(4) {
                    message(input).write(&mut text);
                }
                self.packet(PacketKind::Control, step, ack, form, &text);
            }
            Step::Reliable => {
                let (step, ack) = (input.u16(), input.u16());
                let mut text = Vec::new();
                for _ in 0..=input.below(4) {
                    reliable(input).write(&mut text);
                }
                self.packet(PacketKind::Control, step, ack, 0, &text);
            }
            Step::Again => {
                if !self.sent.is_empty() {
                    let bytes = self.sent[input.below(self.sent.len())].clone();
                    self.us.hear(address(2), &bytes, true);
                }
            }
            Step::Run => {
                let (step, count, ack) = (input.u16(), input.u8(), input.u16());
                for _ in 0..=count {
                    self.packet(PacketKind::Data, step, ack, 0, b"x");
                }
            }
            Step::Send => {
                let (count, size) = (input.below(40), input.u8());
                for _ in 0..=count {
                    self.us.send(0, usize::from(size) * 5);
                }
            }
            Step::Close => self.us.close(0, b"bye"),
            Step::TakeEvents => {
                let limit = input.below(16);
                self.us.take_events(if limit == 0 { usize::MAX } else { limit });
                while self.us.endpoint.poll_control().is_some() {
                    self.control_events += 1;
                }
            }
            Step::Pass => {
                let time = Duration::from_millis(input.pick(TIMES));
                self.pass(time);
            }
            Step::Jump => {
                let time = Duration::from_millis(input.pick(TIMES));
                self.us.jump(time);
            }
            Step::Raw => {
                let bytes = input.bytes(2_000);
                self.us.hear(address(2), bytes, true);
            }
        }
    }

    /// Seals and hands over. The sequence rises by `step` (for a sequenced packet by one more); `ack` is how far
    /// above the other side's first sequence.
    fn packet(&mut self, kind: PacketKind, step: u16, ack: u16, form: u8, text: &[u8]) {
        let sequence = self.sequence + u64::from(step) + u64::from(kind.is_sequenced());
        let ack = self.host_sequence + u64::from(ack);
        let counter = (!kind.is_sequenced()).then(|| {
            self.counter += 1;
            self.counter
        });
        let header = Header { kind, sequence_low: sequence, ack_low: ack, form: form & 7 };
        let bytes = self.sealer.packet(self.size, &header, sequence, ack, counter, text);
        if sequence < self.sequence + u64::from(u16::MAX) {
            self.sequence = sequence;
        }
        self.us.hear(address(2), &bytes, true);
        if self.sent.len() == 8 {
            self.sent.remove(0);
        }
        self.sent.push(bytes);
    }

    fn pass(&mut self, by: Duration) {
        let end = self.us.now + by;
        for _ in 0..1_000 {
            match self.us.endpoint.poll_timeout() {
                Some((at, _)) if at < end => self.us.now = self.us.now.max(at),
                _ => break,
            }
            self.us.run_timers();
        }
        self.us.now = end;
        self.us.run_timers();
    }

    /// Checks that our side, left alone, ends the connection and keeps nothing.
    fn finish(&mut self) {
        self.us.endpoint.close_all(self.us.now);
        for _ in 0..200 {
            self.us.take_events(usize::MAX);
            self.us.take_transmits();
            if self.us.endpoint.slots_used() == 0 {
                break;
            }
            self.pass(Duration::from_secs(2));
        }
        assert_eq!(self.us.endpoint.slots_used(), 0, "slots held for ever");
        assert_eq!(self.us.ledger.open(), 0, "closes that were not told");
    }
}

/// A message of the right shape that says anything.
fn message<'a>(input: &mut Input<'a>) -> ControlMessage<'a> {
    match input.below(4) {
        0 => ControlMessage::Ping { id: u32::from(input.u16()), settled: settled(input) },
        1 => ControlMessage::Pong { id: u32::from(input.u16()), settled: settled(input) },
        2 => ControlMessage::Close {
            is_final: input.below(2) == 1,
            settled: settled(input),
            code: input.u16(),
            reason: input.bytes(511),
        },
        _ => ControlMessage::CloseAck { is_final: input.below(2) == 1, settled: settled(input) },
    }
}

/// A reliable message that says anything, of the right shape or nearly.
fn reliable<'a>(input: &mut Input<'a>) -> ReliableMessage<'a> {
    let (attempt, serial) = (u32::from(input.u8()), input.u16());
    let kind = ReliableKind::from_number(input.u8()).unwrap_or(ReliableKind::CANDIDATES);
    match input.below(3) {
        0 => ReliableMessage::Received { attempt, serial },
        1 => ReliableMessage::Whole { kind, attempt, serial, body: input.bytes(100) },
        _ => {
            let (length, part) = (input.u16() % 4_000, input.below(5) * PART_BYTES);
            let left = usize::from(length).saturating_sub(part).min(PART_BYTES);
            let (offset, bytes) = (part as u16, &[7; PART_BYTES][..left]);
            ReliableMessage::Part { kind, attempt, serial, length, offset, bytes }
        }
    }
}

/// Small, or very large.
fn settled(input: &mut Input<'_>) -> u64 {
    let number = u64::from(input.u16());
    if input.below(4) == 3 { u64::MAX - number } else { number }
}

#[cfg(test)]
mod tests;
