//! The common interface of WebTransport and WebSocket, which carry a session between page and gateway.

use std::future::Future;

use bytes::Bytes;

use crate::metrics::{CarrierKind, DropReason, Ending};

/// Input from a page.
#[derive(Debug)]
pub enum Received {
    /// A datagram after its context.
    Datagram(Bytes),
    /// A control message.
    Control(Bytes),
    /// Input that breaks the protocol, with the reason. Nothing can be read after it.
    Malformed(&'static str),
}

/// The reason for refusing a control message that is longer than [`MAX_MESSAGE_BYTES`](crate::wire::control::MAX_MESSAGE_BYTES).
pub const TOO_LONG: &str = "a control message is longer than 4,096 bytes";

/// The most bytes that wait for a page to read them: of control messages, and on a WebSocket of all messages.
pub const MAX_WAITING_BYTES: usize = 64 * 1_024;

/// The connection of one page to the gateway.
pub trait Carrier: Send {
    /// The kind of the carrier.
    const KIND: CarrierKind;

    /// Waits for the next input from the page, and sends what waits meanwhile. Cancelling it loses nothing.
    fn receive(&mut self) -> impl Future<Output = Result<Received, Ending>> + Send;

    /// Queues a control message. Fails if far too many wait.
    fn send_control(&mut self, message: &[u8]) -> Result<(), Ending>;

    /// Sends a context and the datagram after it, now or soon. Never waits.
    fn send_datagram(&mut self, frame: &[u8]) -> Result<(), DropReason>;

    /// Sends what waits, if the page reads it within a short time, and ends the session.
    fn finish(self) -> impl Future<Output = ()> + Send;
}
