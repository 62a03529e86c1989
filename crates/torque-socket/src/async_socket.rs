//! A socket in the tokio runtime.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};
use torque_proto::Event;

use crate::socket::{Shutdown, Socket};

/// A [`Socket`] in a task of the tokio runtime (feature `tokio`). It waits for datagrams and for the protocol's
/// next deadline, never for an interval.
///
/// All calls of `Socket` are there. Await [`next_event`](Self::next_event) again and again: the socket receives,
/// sends and runs its timers inside of it. It can be cancelled without losing anything, so it may stand in a
/// `select!` beside whatever else the task waits for.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use torque_socket::{AsyncSocket, ConnectOptions, Event, Socket, Trust};
///
/// let mut host = AsyncSocket::new(Socket::bind("127.0.0.1:0")?)?;
/// let mut client = AsyncSocket::new(Socket::client()?)?;
/// client.connect(host.local_addr(), Trust::Pinned(host.public_key()))?;
/// loop {
///     tokio::select! {
///         event = host.next_event() => match event {
///             Event::ConnectRequest(request) => _ = host.accept_connection(request.connection, b""),
///             other => println!("host: {other:?}"),
///         },
///         event = client.next_event() => match event {
///             Event::Established { .. } => break,
///             other => println!("client: {other:?}"),
///         },
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AsyncSocket {
    socket: Socket,
    timer: Pin<Box<Sleep>>,
    /// When the timer rings.
    set_for: Option<torque_proto::Instant>,
}

impl fmt::Debug for AsyncSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncSocket").field(&self.socket).finish()
    }
}

impl AsyncSocket {
    /// Gives a socket to the runtime of the calling task, which needs its I/O and time drivers enabled.
    ///
    /// # Errors
    /// The operating system does not let the runtime watch the socket, or it is one shard of several.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(mut socket: Socket) -> io::Result<Self> {
        if socket.bell().1.is_some() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a shard is driven by a thread"));
        }
        socket.udp_mut().move_to_tokio()?;
        Ok(Self { socket, timer: Box::pin(sleep_until(tokio::time::Instant::now())), set_for: None })
    }

    /// The next event, for which it waits as long as it takes.
    pub async fn next_event(&mut self) -> Event {
        loop {
            // Events first, unless a timer is due: an application that is given much must not miss its pings.
            let due = self.socket.deadline().is_some_and(|at| at <= Instant::now());
            if !due && let Some(event) = self.socket.next_event() {
                return event;
            }
            self.socket.poll();
            if let Some(event) = self.socket.next_event() {
                return event;
            }
            self.socket.flush();
            if !self.socket.has_events() {
                self.ready().await;
            }
        }
    }

    /// Drives the socket for some time, without taking events.
    pub async fn drive_for(&mut self, time: Duration) {
        let mut end = Box::pin(tokio::time::sleep(time));
        loop {
            self.socket.poll();
            if self.ready_before(end.as_mut()).await {
                return;
            }
        }
    }

    /// As [`Socket::shutdown`]: closes all connections, and gives every event to `event` before it returns.
    pub async fn shutdown(mut self, limit: Duration, mut event: impl FnMut(Event)) -> Shutdown {
        self.socket.begin_shutdown();
        let mut end = Box::pin(tokio::time::sleep(limit));
        loop {
            self.socket.poll();
            while let Some(next) = self.socket.next_event() {
                event(next);
            }
            self.socket.flush();
            if self.socket.has_shut_down() || end.is_elapsed() {
                return self.socket.shutdown_result();
            }
            self.ready_before(end.as_mut()).await;
        }
    }

    /// Waits as `ready` does, or until `end` has come: whether it has.
    async fn ready_before(&mut self, mut end: Pin<&mut Sleep>) -> bool {
        let mut ready = std::pin::pin!(self.ready());
        poll_fn(|context| {
            if end.as_mut().poll(context).is_ready() {
                return Poll::Ready(true);
            }
            ready.as_mut().poll(context).map(|()| false)
        })
        .await
    }

    /// Waits until there is something to do: datagrams, room to send if that was wanting, or the deadline.
    async fn ready(&mut self) {
        let deadline = self.socket.next_deadline();
        if deadline.is_some()
            && self.set_for != deadline
            && let Some(at) = self.socket.deadline()
        {
            self.timer.as_mut().reset(at.into());
            self.set_for = deadline;
        }
        let blocked = self.socket.is_blocked();
        let Self { socket, timer, set_for } = self;
        let Some(udp) = socket.udp().tokio() else { return };
        let rang = poll_fn(|context| {
            if udp.poll_recv_ready(context).is_ready() || (blocked && udp.poll_send_ready(context).is_ready())
            {
                return Poll::Ready(false);
            }
            if deadline.is_some() && timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(true);
            }
            Poll::Pending
        })
        .await;
        if rang {
            *set_for = None;
        }
        socket.udp_mut().count_wake();
    }
}

impl Deref for AsyncSocket {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl DerefMut for AsyncSocket {
    fn deref_mut(&mut self) -> &mut Socket {
        &mut self.socket
    }
}
