//! The adversary on the path: sees every datagram as it leaves its sender, and may do anything to it.

use core::time::Duration;

use torque_proto::{Address, Instant};

/// A datagram that passes the tap.
pub struct Passing<'a> {
    /// The world's time.
    pub now: Instant,
    /// Where it claims to come from.
    pub from: Address,
    /// Where it goes.
    pub to: Address,
    /// Its content, which may be changed.
    pub bytes: &'a mut Vec<u8>,
    pub(super) injected: &'a mut Vec<Injected>,
}

impl Passing<'_> {
    /// Sends another datagram, from whatever address, to arrive after `delay`. It passes no link and no tap.
    pub fn inject(&mut self, delay: Duration, from: Address, to: Address, bytes: Vec<u8>) {
        self.injected.push(Injected { due: self.now + delay, from, to, bytes });
    }
}

/// What becomes of a datagram that passed the tap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It goes on to its link.
    Pass,
    /// It is gone.
    Drop,
    /// It arrives after this time, whatever its link would have done.
    Hold(Duration),
}

/// Looks at every datagram and decides.
pub type Tap = Box<dyn FnMut(&mut Passing<'_>) -> Fate>;

pub(super) struct Injected {
    pub(super) due: Instant,
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) bytes: Vec<u8>,
}
