//! The adversary on the path. It sees every datagram that has left its sender's boxes, and may do anything with it.

use core::time::Duration;

use torque_proto::{Address, Instant};

use super::networks::Route;

/// A datagram at the tap.
pub struct Passing<'a> {
    /// The world's time.
    pub now: Instant,
    /// Its source address, which a NAT may have given it, and which may be forged.
    pub from: Address,
    /// Its destination.
    pub to: Address,
    /// Its content, which may be changed.
    pub bytes: &'a mut Vec<u8>,
    pub(super) injected: &'a mut Vec<Injected>,
}

impl Passing<'_> {
    /// Sends another datagram through the core from any address, to arrive after `delay`. It bypasses links and tap.
    pub fn inject(&mut self, delay: Duration, from: Address, to: Address, bytes: Vec<u8>) {
        self.injected.push(Injected { due: self.now + delay, route: Route::core(from, to), bytes });
    }
}

/// The fate of a datagram at the tap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It goes on to its link.
    Pass,
    /// It is lost.
    Drop,
    /// It arrives after this time, and bypasses its link.
    Hold(Duration),
}

/// The function of the adversary, which decides about every datagram.
pub type Tap = Box<dyn FnMut(&mut Passing<'_>) -> Fate>;

pub(super) struct Injected {
    pub(super) due: Instant,
    pub(super) route: Route,
    pub(super) bytes: Vec<u8>,
}
