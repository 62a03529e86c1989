//! What carries a session between page and gateway: the same for WebTransport and WebSocket.

use std::future::Future;

use bytes::Bytes;

use crate::metrics::{CarrierKind, DropReason, Ending};

/// What a page sends.
#[derive(Debug)]
pub enum Received {
    /// A datagram with its context.
    Datagram(Bytes),
    /// A control message.
    Control(Bytes),
    /// What the protocol does not know, and what is wrong with it; nothing can be read after it.
    Malformed(&'static str),
}

/// What is wrong with a control message that is longer than [`MAX_MESSAGE_BYTES`](crate::wire::control::MAX_MESSAGE_BYTES).
pub const TOO_LONG: &str = "a control message is longer than 4,096 bytes";

/// The most bytes of control messages, and on a WebSocket of anything, that wait for a page to take them.
pub const MAX_WAITING_BYTES: usize = 64 * 1_024;

/// One page's way to the gateway.
pub trait Carrier: Send {
    /// Which.
    const KIND: CarrierKind;

    /// The next thing that the page sends; also sends what waits. May be cancelled without losing anything.
    fn receive(&mut self) -> impl Future<Output = Result<Received, Ending>> + Send;

    /// Has a control message sent. It fails if far too many wait.
    fn send_control(&mut self, message: &[u8]) -> Result<(), Ending>;

    /// Sends a context and the datagram after it, now or soon; never waits.
    fn send_datagram(&mut self, frame: &[u8]) -> Result<(), DropReason>;

    /// Sends what waits, if the page takes it within a short time, and ends the session.
    fn finish(self) -> impl Future<Output = ()> + Send;
}
