//! Two endpoints and a network between them. The input makes the network hold, lose, repeat, reorder, corrupt and
//! invent datagrams, and moves the time. Whatever happens, each packet gets one verdict, in order: `Delivered` exactly if
//! the other application got it. Nothing arrives twice.

use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};

use torque_proto::{Cipher, Config, Delivery, Trust};

use crate::input::Input;
use crate::side::{Side, address, small_config};

/// The host's and the initiator's place, and the last number of their addresses.
const HOST: usize = 0;
const OTHER: usize = 1;
/// An address that neither side has.
const STRANGER: u8 = 9;

/// Datagrams that the network holds back for one side; older ones are lost.
const MAX_HELD: usize = 256;
/// The limit on the steps of one input, so that none takes long.
const MAX_STEPS: usize = 2_000;

/// The two sides and what is under way.
struct Net {
    sides: [Side; 2],
    /// Datagrams on their way to each side.
    held: [VecDeque<Vec<u8>>; 2],
    /// Bytes that the stranger sent and got.
    stranger_sent: [usize; 2],
    stranger_got: [usize; 2],
}

/// The steps that the input can choose. Seeds are written in them, too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Step {
    /// Which side connects to which; a byte of the other side's.
    Connect,
    /// Answers the oldest question: side, yes or no.
    Answer,
    /// Side, which connection, how many, extra bytes.
    Send,
    /// Side, which connection.
    Close,
    /// Side, how many (0: all).
    TakeEvents,
    /// Hands everything over both ways until nothing is left, answering questions with yes.
    Settle,
    /// Side, index: hands a held datagram over.
    Deliver,
    /// Side, index.
    Lose,
    /// Side, index: hands it over and keeps it.
    Repeat,
    /// Side, index, place, value: hands a changed copy over.
    Bend,
    /// Side, index, length: hands a shortened copy over.
    Cut,
    /// Side, source, bytes: hands these over.
    Inject,
    /// Side, index: hands a copy over as if from the stranger.
    Spoof,
    /// Time in steps of what is due.
    Pass,
    /// Time at once.
    Jump,
    /// One side's clock alone.
    JumpAlone,
    /// Loses everything that is under way.
    LoseAll,
    /// Hands everything under way to one side over, in turned order.
    Reverse,
}

/// Every step, so that a byte can choose one.
const STEPS: [Step; 18] = [
    Step::Connect,
    Step::Answer,
    Step::Send,
    Step::Close,
    Step::TakeEvents,
    Step::Settle,
    Step::Deliver,
    Step::Lose,
    Step::Repeat,
    Step::Bend,
    Step::Cut,
    Step::Inject,
    Step::Spoof,
    Step::Pass,
    Step::Jump,
    Step::JumpAlone,
    Step::LoseAll,
    Step::Reverse,
];

/// Times that a step can choose, in milliseconds.
pub const TIMES: [u64; 16] = [0, 1, 2, 5, 10, 25, 50, 60, 100, 250, 500, 1_000, 2_500, 6_000, 15_000, 40_000];

/// Plays the input.
pub fn pair(data: &[u8]) {
    play(data);
}

/// Plays the input and returns the final state.
fn play(data: &[u8]) -> Net {
    let mut input = Input::new(data);
    let mut net = Net::new(&mut input);
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        net.step(&mut input);
        net.collect();
    }
    net.finish();
    net
}

fn config(input: &mut Input<'_>) -> Config {
    let mut config = small_config();
    config.settings.packet_window = input.pick([8, 16, 128, 129, 2_048]);
    config.settings.tag_bytes = input.pick([4, 8, 16]);
    config.ciphers = match input.below(4) {
        0 => Cipher::DEFAULT_OFFER.to_vec(),
        1 => vec![Cipher::ChaCha20Poly1305],
        2 => vec![Cipher::Aes128Gcm, Cipher::Aes128GcmSst],
        _ => vec![Cipher::Aes128GcmSst],
    };
    config.settings.ack_delay = Duration::from_millis(input.pick([50, 0, 5, 1_000]));
    config
}

impl Net {
    fn new(input: &mut Input<'_>) -> Self {
        let sides = [Side::new(1, config(input)), Side::new(2, config(input))];
        Self { sides, held: Default::default(), stranger_sent: [0; 2], stranger_got: [0; 2] }
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let step = STEPS[input.below(STEPS.len())];
        match step {
            Step::Settle => return self.settle(),
            Step::Pass => {
                let time = input.pick(TIMES);
                return self.pass(Duration::from_millis(time));
            }
            Step::Jump => {
                let time = Duration::from_millis(input.pick(TIMES));
                return self.sides.iter_mut().for_each(|side| side.jump(time));
            }
            Step::LoseAll => return self.held.iter_mut().for_each(VecDeque::clear),
            _ => {}
        }
        let to = input.below(2);
        let from = 1 - to;
        match step {
            Step::Connect => {
                let trust = if input.below(2) == 0 { Trust::Anyone } else { Trust::Ask };
                self.sides[from].connect(address(to as u8), trust, b"may I?");
            }
            Step::Answer => {
                let yes = input.below(4) != 3;
                self.sides[to].answer(yes, b"well");
            }
            Step::Send => {
                let (which, count, extra) = (input.below(4), input.below(40), input.u8());
                for _ in 0..=count {
                    self.sides[to].send(which, usize::from(extra) * 5);
                }
            }
            Step::Close => {
                let which = input.below(4);
                self.sides[to].close(which, b"bye");
            }
            Step::TakeEvents => {
                let limit = input.below(16);
                self.sides[to].take_events(if limit == 0 { usize::MAX } else { limit });
            }
            Step::Deliver => {
                if let Some(bytes) = self.take_held(to, input) {
                    self.hear(to, &bytes);
                }
            }
            Step::Lose => {
                self.take_held(to, input);
            }
            Step::Repeat => {
                if let Some(bytes) = self.copy_held(to, input) {
                    self.hear(to, &bytes);
                }
            }
            Step::Bend => {
                if let Some(mut bytes) = self.copy_held(to, input) {
                    let place = usize::from(input.u16()) % bytes.len();
                    // Never the same byte again.
                    bytes[place] ^= input.u8().max(1);
                    self.hear(to, &bytes);
                }
            }
            Step::Cut => {
                if let Some(mut bytes) = self.copy_held(to, input) {
                    bytes.truncate(usize::from(input.u16()) % bytes.len());
                    self.hear(to, &bytes);
                }
            }
            Step::Inject => {
                let is_stranger = input.below(2) == 1;
                let bytes = input.bytes(2_000);
                if is_stranger { self.hear_stranger(to, bytes) } else { self.hear(to, bytes) }
            }
            Step::Spoof => {
                if let Some(bytes) = self.copy_held(to, input) {
                    self.hear_stranger(to, &bytes);
                }
            }
            Step::JumpAlone => {
                let time = input.pick(TIMES);
                self.sides[to].jump(Duration::from_millis(time));
            }
            Step::Reverse => {
                for bytes in core::mem::take(&mut self.held[to]).into_iter().rev() {
                    self.hear(to, &bytes);
                }
            }
            Step::Settle | Step::Pass | Step::Jump | Step::LoseAll => {}
        }
    }

    fn take_held(&mut self, to: usize, input: &mut Input<'_>) -> Option<Vec<u8>> {
        let index = input.below(self.held[to].len());
        self.held[to].remove(index)
    }

    fn copy_held(&mut self, to: usize, input: &mut Input<'_>) -> Option<Vec<u8>> {
        let index = input.below(self.held[to].len());
        self.held[to].get(index).cloned()
    }

    fn hear(&mut self, to: usize, bytes: &[u8]) {
        self.sides[to].hear(address(1 - to as u8), bytes, true);
    }

    fn hear_stranger(&mut self, to: usize, bytes: &[u8]) {
        self.stranger_sent[to] += bytes.len();
        self.sides[to].hear(address(STRANGER), bytes, false);
    }

    /// Puts what both sides send under way. What the stranger gets is never more than it sent.
    fn collect(&mut self) {
        for from in [HOST, OTHER] {
            for (remote, bytes) in self.sides[from].take_transmits() {
                if remote == address(STRANGER) {
                    self.stranger_got[from] += bytes.len();
                    continue;
                }
                assert_eq!(remote, address(1 - from as u8), "a datagram to nobody");
                let held = &mut self.held[1 - from];
                held.push_back(bytes);
                if held.len() > MAX_HELD {
                    held.pop_front();
                }
            }
            assert!(self.stranger_got[from] <= self.stranger_sent[from], "more to a stranger than it sent");
        }
    }

    /// Hands everything over until nothing is left, with applications that say yes and take their events.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            self.collect();
            let mut idle = true;
            // Puzzles are solved after the timers have run.
            let works = self.sides.iter().any(Side::has_work);
            for to in [HOST, OTHER] {
                self.sides[to].jump(Duration::from_millis(if works { 2 } else { 0 }));
                while let Some(bytes) = self.held[to].pop_front() {
                    idle = false;
                    self.hear(to, &bytes);
                }
                self.sides[to].take_events(usize::MAX);
                while !self.sides[to].waiting.is_empty() {
                    idle = false;
                    self.sides[to].answer(true, b"yes");
                }
            }
            self.collect();
            if idle && !works && self.held.iter().all(VecDeque::is_empty) {
                return;
            }
        }
        panic!("two sides that never come to rest");
    }

    /// Lets time pass from one deadline to the next.
    fn pass(&mut self, by: Duration) {
        for side in &mut self.sides {
            let end = side.now + by;
            for _ in 0..1_000 {
                match side.endpoint.poll_timeout() {
                    Some((at, _)) if at < end => side.now = side.now.max(at),
                    _ => break,
                }
                side.run_timers();
            }
            side.now = end;
            side.run_timers();
        }
    }

    /// Closes everything on a good network, and compares what both sides were told.
    fn finish(&mut self) {
        for side in &mut self.sides {
            side.take_events(usize::MAX);
            side.endpoint.close_all(side.now);
        }
        for _ in 0..400 {
            self.settle();
            if self.sides.iter().all(|side| side.endpoint.slots_used() == 0) {
                break;
            }
            self.pass(Duration::from_millis(1_000));
        }
        for (end, side) in self.sides.iter().enumerate() {
            assert_eq!(side.endpoint.slots_used(), 0, "side {end} holds slots for ever");
            assert_eq!(side.ledger.open(), 0, "side {end} was not told of every close");
        }
        for from in [HOST, OTHER] {
            let mut got = BTreeSet::new();
            for payload in &self.sides[1 - from].ledger.received {
                let number = payload.first_chunk().map(|number| u32::from_be_bytes(*number));
                let number = number.expect("a payload that nobody sent");
                assert!(
                    payload[4..].iter().all(|byte| usize::from(*byte) == from + 1),
                    "a payload that changed"
                );
                assert!(got.insert(number), "packet {number} came twice");
            }
            for (number, delivery) in &self.sides[from].ledger.verdicts {
                match delivery {
                    Delivery::Delivered => assert!(got.contains(number), "packet {number} never came"),
                    Delivery::Dropped => assert!(!got.contains(number), "packet {number} came after all"),
                    Delivery::Unknown => {}
                }
            }
        }
    }
}

/// The byte that chooses a step.
pub fn byte_of(step: Step) -> u8 {
    step as u8
}

#[cfg(test)]
mod tests;
