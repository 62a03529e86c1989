//! A socket with a thread of its own.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant as StdInstant};

use torque_proto::{
    Address, CallError, CloseCode, ConnectOptions, ConnectionId, ConnectionStats, Event, Instant, PublicKey,
    SendError, Sequence, Stats, Trust,
};

use crate::io::{IoStats, wait};
use crate::sharded::Announcer;
use crate::socket::{Shutdown, Socket};
use crate::target::{ConnectError, ToTarget};
use crate::waker::Waker;

/// How long packets wait for a `flush` before the thread sends them: long enough to collect those of one frame.
const FLUSH_AFTER: Duration = Duration::from_millis(1);

/// How long the thread leaves datagrams in the kernel for which there is no room, so that the application can take events.
const HOLD_BACK: Duration = Duration::from_millis(1);

/// A [`Socket`] that a background thread drives: it receives, answers pings and runs timers while the
/// application is busy with something else, so that long frames cost neither round-trip time nor connections.
///
/// Made by [`Socket::spawn`]. All calls take `&self` and may come from any thread; they have the names and
/// meanings of those of `Socket`. Packets leave with [`flush`](Self::flush), when
/// [`next_event`](Self::next_event) has nothing left to give, or after a millisecond.
///
/// ```
/// use std::time::Duration;
/// use torque_socket::{ConnectOptions, Event, Socket, Trust};
///
/// let host = Socket::bind("127.0.0.1:0")?.spawn()?;
/// let client = Socket::client()?.spawn()?;
/// client.connect(host.local_addr(), Trust::Pinned(host.public_key()))?;
/// while let Some(event) = host.next_event(Duration::from_secs(5)) {
///     match event {
///         Event::ConnectRequest(request) => _ = host.accept_connection(request.connection, b"welcome"),
///         Event::Established { .. } => break,
///         other => panic!("{other:?}"),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// End with [`shutdown`](Self::shutdown): dropping it ends the thread, tells the connections so once, and loses
/// events that were not taken.
pub struct ThreadedSocket {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    local_addr: SocketAddr,
}

struct Shared {
    state: Mutex<State>,
    /// Told when there are events and somebody waits for them.
    events: Condvar,
    announcer: Option<Arc<Announcer>>,
    stop: AtomicBool,
    waker: Waker,
}

struct State {
    /// Taken only by `stop`.
    socket: Option<Socket>,
    /// Until when the thread sleeps, if it does and nothing comes; `None` inside: without limit. By the socket's clock, as
    /// `flush_at`: the same deadline read through two clocks would never be quite the same.
    asleep: Option<Option<Instant>>,
    /// When packets that the application has queued leave by themselves.
    flush_at: Option<Instant>,
    /// Threads that wait in `next_event`.
    readers: usize,
}

/// What the thread sleeps on.
struct Watched {
    udp: UdpSocket,
    receives: bool,
    bell: Option<UdpSocket>,
}

impl fmt::Debug for ThreadedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadedSocket").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

impl Socket {
    /// Gives the socket to a background thread.
    ///
    /// # Errors
    /// The operating system has no thread, or no descriptor, for it.
    pub fn spawn(self) -> io::Result<ThreadedSocket> {
        self.spawn_with(None)
    }

    /// `announcer` is told of events as well: somebody may wait for those of several sockets.
    pub(crate) fn spawn_with(mut self, announcer: Option<Arc<Announcer>>) -> io::Result<ThreadedSocket> {
        let local_addr = self.local_addr();
        let waker =
            self.waker().ok_or_else(|| io::Error::other("no local socket to wake the thread with"))?;
        let udp = match self.udp().plain() {
            Some(socket) => socket.try_clone()?,
            None => return Err(io::Error::other("a runtime owns this socket")),
        };
        let (receives, bell) = self.bell();
        let watched = Watched { udp, receives, bell: bell.map(UdpSocket::try_clone).transpose()? };
        let shared = Arc::new(Shared {
            state: Mutex::new(State { socket: Some(self), asleep: None, flush_at: None, readers: 0 }),
            events: Condvar::new(),
            announcer,
            stop: AtomicBool::new(false),
            waker,
        });
        let for_thread = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("torque-socket".into()).spawn(move || for_thread.run(&watched))?;
        Ok(ThreadedSocket { shared, thread: Some(thread), local_addr })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of an application's closure leaves the socket in order: it is only ever between two calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: one turn, then asleep until there is something to do.
    fn run(&self, watched: &Watched) {
        while !self.stop.load(Ordering::Acquire) {
            let mut state = self.lock();
            let Some(Turn { blocked, held_back, limit }) = state.turn() else { return };
            self.tell(state);
            let Watched { udp, receives, bell } = watched;
            if wait::sleep(udp, *receives && !held_back, blocked, bell.as_ref(), limit).is_err() {
                // The system cannot wait, so at least do not spin.
                thread::sleep(Duration::from_millis(1));
            }
            let mut state = self.lock();
            state.asleep = None;
            if let Some(socket) = &mut state.socket {
                socket.udp_mut().count_wake();
            }
        }
    }

    /// Calls `call` with the socket, and wakes the thread if it would sleep past what the call brought about.
    fn with<R>(&self, call: impl FnOnce(&mut Socket) -> R) -> Option<R> {
        let mut state = self.lock();
        let result = call(state.socket.as_mut()?);
        self.nudge(&mut state);
        self.tell(state);
        Some(result)
    }

    fn nudge(&self, state: &mut State) {
        let Some(socket) = &mut state.socket else { return };
        if socket.queued() > 0 {
            state.flush_at.get_or_insert_with(|| socket.now() + FLUSH_AFTER);
        } else {
            state.flush_at = None;
        }
        // A thread that is awake will look for itself.
        let Some(until) = state.asleep else { return };
        let next = earlier(socket.next_deadline(), state.flush_at);
        if next.is_some_and(|next| until.is_none_or(|until| next < until)) {
            // Once is enough.
            state.asleep = None;
            self.waker.wake();
        }
    }

    /// Tells those who wait that there are events, if there are both. The lock is released first: whoever is woken
    /// needs it.
    fn tell(&self, state: MutexGuard<'_, State>) {
        let has_events = state.socket.as_ref().is_some_and(Socket::has_events);
        let has_readers = state.readers > 0;
        drop(state);
        if has_events && has_readers {
            self.events.notify_all();
        }
        if has_events && let Some(announcer) = &self.announcer {
            announcer.announce();
        }
    }
}

impl State {
    fn turn(&mut self) -> Option<Turn> {
        let socket = self.socket.as_mut()?;
        socket.receive_and_run();
        if self.flush_at.is_none_or(|at| at <= socket.now()) {
            socket.flush();
            self.flush_at = None;
        }
        let (now, held_back) = (socket.now(), socket.holds_back());
        let mut until = earlier(socket.next_deadline(), self.flush_at);
        if !socket.begin_sleep() {
            until = Some(now);
        }
        self.asleep = Some(until);
        let mut limit = until.map(|until| until.saturating_since(now));
        if held_back {
            limit = Some(limit.map_or(HOLD_BACK, |limit| limit.min(HOLD_BACK)));
        }
        Some(Turn { blocked: socket.is_blocked(), held_back, limit })
    }
}

/// What the thread does after a turn.
struct Turn {
    /// Waits for room to send, too.
    blocked: bool,
    /// Does not wait for datagrams.
    held_back: bool,
    /// Sleeps so long at most.
    limit: Option<Duration>,
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl ThreadedSocket {
    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The socket's identity.
    pub fn public_key(&self) -> PublicKey {
        self.with(|socket| socket.public_key())
    }

    /// Any call of [`Socket`], made while the thread waits. Do not block in it.
    pub fn with<R>(&self, call: impl FnOnce(&mut Socket) -> R) -> R {
        match self.shared.with(call) {
            Some(result) => result,
            // Only `stop` takes the socket, and it takes `self` too.
            None => unreachable!("a stopped socket has no owner"),
        }
    }

    /// As [`Socket::set_challenge_response_data`].
    ///
    /// # Errors
    /// The data is too long.
    pub fn set_challenge_response_data(&self, data: &[u8]) -> Result<(), CallError> {
        self.with(|socket| socket.set_challenge_response_data(data))
    }

    /// As [`Socket::connect`].
    ///
    /// # Errors
    /// Those of [`Socket::connect_with`].
    pub fn connect(
        &self,
        target: impl ToTarget,
        trust: impl Into<Option<Trust>>,
    ) -> Result<ConnectionId, ConnectError> {
        self.with_flush(|socket| socket.connect(target, trust))
    }

    /// As [`Socket::connect_with`].
    ///
    /// # Errors
    /// Those of [`Socket::connect_with`].
    pub fn connect_with(
        &self,
        target: impl ToTarget,
        options: ConnectOptions,
    ) -> Result<ConnectionId, ConnectError> {
        self.with_flush(|socket| socket.connect_with(target, options))
    }

    /// As [`Socket::accept_challenge`].
    ///
    /// # Errors
    /// The connection has ended, or does not wait for this.
    pub fn accept_challenge(&self, connection: ConnectionId) -> Result<(), CallError> {
        self.with_flush(|socket| socket.accept_challenge(connection))
    }

    /// As [`Socket::accept_connection`].
    ///
    /// # Errors
    /// The connection has ended, does not wait for this, or the data is too long.
    pub fn accept_connection(&self, connection: ConnectionId, accept_data: &[u8]) -> Result<(), CallError> {
        self.with_flush(|socket| socket.accept_connection(connection, accept_data))
    }

    /// As [`Socket::refuse`].
    ///
    /// # Errors
    /// Those of [`Socket::refuse`].
    pub fn refuse(&self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
        self.with_flush(|socket| socket.refuse(connection, reason))
    }

    /// As [`Socket::ignore`].
    ///
    /// # Errors
    /// Those of [`Socket::ignore`].
    pub fn ignore(&self, connection: ConnectionId) -> Result<(), CallError> {
        self.with_flush(|socket| socket.ignore(connection))
    }

    /// As [`Socket::close`].
    ///
    /// # Errors
    /// The connection has ended already, or the reason is too long.
    pub fn close(&self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
        self.with_flush(|socket| socket.close(connection, reason))
    }

    /// As [`Socket::close_all`].
    pub fn close_all(&self) {
        self.with_flush(Socket::close_all);
    }

    /// As [`Socket::send`]: sealed at once by the calling thread.
    ///
    /// # Errors
    /// [`SendError`]; no sequence is taken then.
    pub fn send(&self, connection: ConnectionId, payload: &[u8]) -> Result<Sequence, SendError> {
        self.with(|socket| socket.send(connection, payload))
    }

    /// As [`Socket::send_info`].
    ///
    /// # Errors
    /// It is no info packet, or too much is queued.
    pub fn send_info(&self, remote: impl Into<Address>, payload: &[u8]) -> Result<(), CallError> {
        self.send_info_from(None, remote, payload)
    }

    /// As [`Socket::send_info_from`].
    ///
    /// # Errors
    /// It is no info packet, or too much is queued.
    pub fn send_info_from(
        &self,
        local: Option<IpAddr>,
        remote: impl Into<Address>,
        payload: &[u8],
    ) -> Result<(), CallError> {
        self.with(|socket| socket.send_info_from(local, remote, payload))
    }

    /// Hands all queued datagrams to the operating system.
    pub fn flush(&self) {
        self.with(Socket::flush);
    }

    /// The next event, for which it waits up to `timeout` (zero: not at all).
    pub fn next_event(&self, timeout: Duration) -> Option<Event> {
        let mut state = self.shared.lock();
        let mut end = None;
        loop {
            let socket = state.socket.as_mut()?;
            if let Some(event) = socket.next_event() {
                return Some(event);
            }
            socket.flush();
            self.shared.nudge(&mut state);
            let now = StdInstant::now();
            let end = *end.get_or_insert_with(|| now.checked_add(timeout).unwrap_or(now));
            let left = end.saturating_duration_since(now);
            if left.is_zero() {
                return None;
            }
            state.readers += 1;
            state = self.shared.events.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.readers -= 1;
        }
    }

    /// Appends up to `max` events to `events`, without waiting. If there are none, what is queued is sent.
    pub(crate) fn take_events(&self, max: usize, events: &mut VecDeque<Event>) {
        let mut state = self.shared.lock();
        let Some(socket) = &mut state.socket else { return };
        let before = events.len();
        while events.len() - before < max
            && let Some(event) = socket.next_event()
        {
            events.push_back(event);
        }
        if events.len() == before {
            socket.flush();
            self.shared.nudge(&mut state);
        }
    }

    /// As [`Socket::max_packet_size`].
    pub fn max_packet_size(&self, connection: ConnectionId) -> Option<usize> {
        self.with(|socket| socket.max_packet_size(connection))
    }

    /// A copy of the counters of the protocol.
    pub fn stats(&self) -> Stats {
        self.with(|socket| socket.stats().clone())
    }

    /// A copy of the counters of the driver.
    pub fn io_stats(&self) -> IoStats {
        self.with(|socket| *socket.io_stats())
    }

    /// As [`Socket::connection_stats`].
    pub fn connection_stats(&self, connection: ConnectionId) -> Option<ConnectionStats> {
        self.with(|socket| socket.connection_stats(connection))
    }

    /// As [`Socket::attempt_problem`].
    pub fn attempt_problem(&self, connection: ConnectionId) -> Option<CloseCode> {
        self.with(|socket| socket.attempt_problem(connection))
    }

    /// As [`Socket::metrics`].
    pub fn metrics(&self) -> String {
        self.with(|socket| socket.metrics())
    }

    /// As [`Socket::shutdown`]: closes all connections, and gives every event to `event` before it returns.
    pub fn shutdown(self, limit: Duration, event: impl FnMut(Event)) -> Shutdown {
        self.stop().map_or_else(Shutdown::default, |socket| socket.shutdown(limit, event))
    }

    /// Ends the thread and gives the socket back, connections and all.
    pub fn stop(mut self) -> Option<Socket> {
        self.end_thread();
        self.shared.lock().socket.take()
    }

    fn with_flush<R>(&self, call: impl FnOnce(&mut Socket) -> R) -> R {
        self.with(|socket| {
            let result = call(socket);
            socket.flush();
            result
        })
    }

    fn end_thread(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for ThreadedSocket {
    fn drop(&mut self) {
        self.end_thread();
    }
}
