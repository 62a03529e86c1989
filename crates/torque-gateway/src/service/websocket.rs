//! Sessions over WebSocket (GATEWAY.md 1, 2).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use bytes::{Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::time::{Interval, MissedTickBehavior, interval_at, timeout};

use crate::metrics::{CarrierKind, DropReason, Ending};
use crate::service::carrier::{Carrier, MAX_WAITING_BYTES, Received, TOO_LONG};
use crate::wire::control::MAX_MESSAGE_BYTES;

/// The interval of pings. After two without an answer the page is gone.
const PING_EVERY: Duration = Duration::from_secs(10);
const MISSED: u32 = 2;
/// The time in which a page must read the last messages.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The approximate memory of a message beyond its bytes.
const MESSAGE_BYTES: usize = 64;
/// Buffers are small, because there are many sessions, and messages are short.
const BUFFER: usize = 4_096;

/// Sets the limits of a WebSocket.
pub fn bounded(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .max_message_size(1 + MAX_MESSAGE_BYTES)
        .max_frame_size(1 + MAX_MESSAGE_BYTES)
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(2 * MAX_WAITING_BYTES)
}

/// One page's WebSocket.
pub struct WebSocketCarrier {
    socket: WebSocket,
    waiting: Waiting,
    pings: Interval,
    unanswered: u32,
}

impl WebSocketCarrier {
    /// Takes over a new WebSocket.
    pub fn new(socket: WebSocket) -> Self {
        let mut pings = interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { socket, waiting: Waiting::default(), pings, unanswered: 0 }
    }

    /// Sends what waits, as far as the page reads it.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        while !self.waiting.messages.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(|_| Ending::Left)?;
            let Some(message) = self.waiting.pop() else { break };
            Pin::new(&mut self.socket).start_send(message).map_err(|_| Ending::Left)?;
        }
        Pin::new(&mut self.socket).poll_flush(context).map_err(|_| Ending::Left)
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Ending>> {
        if self.pings.poll_tick(context).is_ready() {
            if self.unanswered >= MISSED {
                return Poll::Ready(Err(Ending::Stuck));
            }
            self.unanswered += 1;
            // At most two wait at a time, so they need no bound.
            self.waiting.push(Message::Ping(Bytes::new()), usize::MAX);
            // So that the next tick is polled.
            context.waker().wake_by_ref();
        }
        if let Poll::Ready(Err(ending)) = self.poll_send(context) {
            return Poll::Ready(Err(ending));
        }
        loop {
            let message = match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(message)) => message,
                Some(Err(error)) if is_too_long(&error) => {
                    return Poll::Ready(Ok(Received::Malformed(TOO_LONG)));
                }
                Some(Err(_)) | None => return Poll::Ready(Err(Ending::Left)),
            };
            self.unanswered = 0;
            return Poll::Ready(match message {
                Message::Binary(mut bytes) => match bytes.first() {
                    Some(0) => Ok(Received::Control(bytes.split_off(1))),
                    _ => Ok(Received::Datagram(bytes)),
                },
                Message::Text(_) => Ok(Received::Malformed("a WebSocket carries binary messages only")),
                Message::Close(_) => Err(Ending::Left),
                Message::Ping(_) | Message::Pong(_) => continue,
            });
        }
    }
}

/// Returns whether a message was too long.
fn is_too_long(error: &axum::Error) -> bool {
    let inner = std::error::Error::source(error).and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(tungstenite::Error::Capacity(_)))
}

/// The messages that wait, and their size.
#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Waiting {
    /// Queues `message` unless that would exceed `limit` bytes. Returns whether it was queued.
    fn push(&mut self, message: Message, limit: usize) -> bool {
        let fits = self.bytes + size(&message) <= limit;
        if fits {
            self.bytes += size(&message);
            self.messages.push_back(message);
        }
        fits
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= size(&message);
        Some(message)
    }
}

/// The memory of a message that waits. A small one takes more than its bytes.
fn size(message: &Message) -> usize {
    match message {
        Message::Binary(bytes) => MESSAGE_BYTES + bytes.len(),
        _ => MESSAGE_BYTES,
    }
}

impl Carrier for WebSocketCarrier {
    const KIND: CarrierKind = CarrierKind::WebSocket;

    async fn receive(&mut self) -> Result<Received, Ending> {
        poll_fn(|context| self.poll_receive(context)).await
    }

    fn send_control(&mut self, message: &[u8]) -> Result<(), Ending> {
        let mut framed = BytesMut::with_capacity(1 + message.len());
        framed.extend_from_slice(&[0]);
        framed.extend_from_slice(message);
        // Datagrams may use half of this, so control messages find space.
        let fits = self.waiting.push(Message::Binary(framed.freeze()), 2 * MAX_WAITING_BYTES);
        fits.then_some(()).ok_or(Ending::Stuck)
    }

    fn send_datagram(&mut self, frame: &[u8]) -> Result<(), DropReason> {
        let message = Message::Binary(Bytes::copy_from_slice(frame));
        self.waiting.push(message, MAX_WAITING_BYTES).then_some(()).ok_or(DropReason::SlowPage)
    }

    async fn finish(mut self) {
        let last_words = async {
            if poll_fn(|context| self.poll_send(context)).await.is_ok() {
                let _ = self.socket.send(Message::Close(None)).await;
                // Wait until the page has answered, or is gone.
                loop {
                    match poll_fn(|context| Pin::new(&mut self.socket).poll_next(context)).await {
                        Some(Ok(_)) => {}
                        // Closing a connection with unread input would discard the last messages.
                        Some(Err(error)) if is_too_long(&error) => std::future::pending().await,
                        Some(Err(_)) | None => break,
                    }
                }
            }
        };
        // After that they are lost.
        let _ = timeout(LAST_WORDS, last_words).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_messages_that_wait_are_bounded_too() {
        let mut waiting = Waiting::default();
        let message = || Message::Binary(Bytes::from_static(&[1]));
        let pushed = (0..100_000).filter(|_| waiting.push(message(), 64 * 1_024)).count();
        assert_eq!(pushed, 64 * 1_024 / 65);
        assert!(waiting.push(message(), 65 * 1_024), "control messages still find space");
        while waiting.pop().is_some() {}
        assert_eq!(waiting.bytes, 0);
    }
}
