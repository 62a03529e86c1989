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

/// How often a page is asked whether it is there. Two questions without an answer are enough.
const PING_EVERY: Duration = Duration::from_secs(10);
const MISSED: u32 = 2;
/// How long a page has to take the last words.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// What a message takes beside its bytes, about.
const MESSAGE_BYTES: usize = 64;
/// Sessions are many, and messages small.
const BUFFER: usize = 4_096;

/// What is allowed of a WebSocket.
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
    /// Takes over a WebSocket that was just opened.
    pub fn new(socket: WebSocket) -> Self {
        let mut pings = interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { socket, waiting: Waiting::default(), pings, unanswered: 0 }
    }

    /// Hands on what waits, as far as the page takes it.
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
            // One in ten seconds, and no more than two: they need no bound.
            self.waiting.push(Message::Ping(Bytes::new()), usize::MAX);
            // For the next tick.
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

/// Whether what came is a message that is longer than is allowed.
fn is_too_long(error: &axum::Error) -> bool {
    let inner = std::error::Error::source(error).and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(tungstenite::Error::Capacity(_)))
}

/// Messages that wait, and what they take.
#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Waiting {
    /// Adds a message if not more than so many bytes are taken then. Whether it was.
    fn push(&mut self, message: Message, most: usize) -> bool {
        let is_room = self.bytes + size(&message) <= most;
        if is_room {
            self.bytes += size(&message);
            self.messages.push_back(message);
        }
        is_room
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes -= size(&message);
        Some(message)
    }
}

/// What a message takes while it waits: a small one, more than its bytes.
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
        // Datagrams leave room for them.
        let is_room = self.waiting.push(Message::Binary(framed.freeze()), 2 * MAX_WAITING_BYTES);
        is_room.then_some(()).ok_or(Ending::Stuck)
    }

    fn send_datagram(&mut self, frame: &[u8]) -> Result<(), DropReason> {
        let message = Message::Binary(Bytes::copy_from_slice(frame));
        self.waiting.push(message, MAX_WAITING_BYTES).then_some(()).ok_or(DropReason::SlowPage)
    }

    async fn finish(mut self) {
        let last_words = async {
            if poll_fn(|context| self.poll_send(context)).await.is_ok() {
                let _ = self.socket.send(Message::Close(None)).await;
                // Until the page has answered, or is gone.
                loop {
                    match poll_fn(|context| Pin::new(&mut self.socket).poll_next(context)).await {
                        Some(Ok(_)) => {}
                        // Closing a connection with something unread in it would take the last words back.
                        Some(Err(error)) if is_too_long(&error) => std::future::pending().await,
                        Some(Err(_)) | None => break,
                    }
                }
            }
        };
        // Too late: then they are lost.
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
        assert!(waiting.push(message(), 65 * 1_024), "there is room left for those that may have more");
        while waiting.pop().is_some() {}
        assert_eq!(waiting.bytes, 0);
    }
}
