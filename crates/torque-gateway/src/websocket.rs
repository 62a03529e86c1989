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

use crate::carrier::{Carrier, MAX_WAITING_BYTES, Received};
use crate::control::MAX_MESSAGE_BYTES;
use crate::metrics::{CarrierKind, DropReason, Ending};

/// How often a page is asked whether it is there. Two questions without an answer are enough.
const PING_EVERY: Duration = Duration::from_secs(10);
const MISSED: u32 = 2;
/// How long a page has to take the last words.
const LAST_WORDS: Duration = Duration::from_secs(1);
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
    /// Messages that wait, and their bytes.
    waiting: VecDeque<Message>,
    waiting_bytes: usize,
    pings: Interval,
    unanswered: u32,
}

impl WebSocketCarrier {
    /// Takes over a WebSocket that was just opened.
    pub fn new(socket: WebSocket) -> Self {
        let mut pings = interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { socket, waiting: VecDeque::new(), waiting_bytes: 0, pings, unanswered: 0 }
    }

    fn push(&mut self, message: Message) {
        self.waiting_bytes += size(&message);
        self.waiting.push_back(message);
    }

    /// Hands on what waits, as far as the page takes it.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Ending>> {
        while !self.waiting.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(|_| Ending::Left)?;
            let Some(message) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= size(&message);
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
            self.push(Message::Ping(Bytes::new()));
            // For the next tick.
            context.waker().wake_by_ref();
        }
        if let Poll::Ready(Err(ending)) = self.poll_send(context) {
            return Poll::Ready(Err(ending));
        }
        loop {
            let message = match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(message)) => message,
                Some(Err(_)) | None => return Poll::Ready(Err(Ending::Left)),
            };
            self.unanswered = 0;
            return Poll::Ready(match message {
                Message::Binary(mut bytes) => match bytes.first() {
                    Some(0) => Ok(Received::Control(bytes.split_off(1))),
                    _ => Ok(Received::Datagram(bytes)),
                },
                Message::Text(_) => Err(Ending::Protocol),
                Message::Close(_) => Err(Ending::Left),
                Message::Ping(_) | Message::Pong(_) => continue,
            });
        }
    }
}

fn size(message: &Message) -> usize {
    match message {
        Message::Binary(bytes) => bytes.len(),
        _ => 0,
    }
}

impl Carrier for WebSocketCarrier {
    const KIND: CarrierKind = CarrierKind::WebSocket;

    async fn receive(&mut self) -> Result<Received, Ending> {
        poll_fn(|context| self.poll_receive(context)).await
    }

    fn send_control(&mut self, message: &[u8]) -> Result<(), Ending> {
        // Datagrams leave room for them.
        if self.waiting_bytes + message.len() > 2 * MAX_WAITING_BYTES {
            return Err(Ending::Stuck);
        }
        let mut framed = BytesMut::with_capacity(1 + message.len());
        framed.extend_from_slice(&[0]);
        framed.extend_from_slice(message);
        self.push(Message::Binary(framed.freeze()));
        Ok(())
    }

    fn send_datagram(&mut self, frame: &[u8]) -> Result<(), DropReason> {
        if self.waiting_bytes + frame.len() > MAX_WAITING_BYTES {
            return Err(DropReason::SlowPage);
        }
        self.push(Message::Binary(Bytes::copy_from_slice(frame)));
        Ok(())
    }

    async fn finish(mut self) {
        let last_words = async {
            if poll_fn(|context| self.poll_send(context)).await.is_ok() {
                let _ = self.socket.send(Message::Close(None)).await;
                // Until the page has answered, or is gone.
                while poll_fn(|context| Pin::new(&mut self.socket).poll_next(context))
                    .await
                    .is_some_and(|m| m.is_ok())
                {}
            }
        };
        // Too late: then they are lost.
        let _ = timeout(LAST_WORDS, last_words).await;
    }
}
