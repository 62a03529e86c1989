//! A socket that a background thread drives.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant as StdInstant};

use torque_netem::LinkConfig;
use torque_proto::{
    Address, CallError, CloseCode, ConnectOptions, ConnectionId, ConnectionStats, Event, Instant,
    IntroducedOptions, IntroducerStats, IntroductionId, KeyPair, PartyStats, PathSearch, Peer, PublicKey,
    Relay, SendError, Sequence, Stats, Trust,
};

use crate::calls::calls_through_a_lock;
use crate::io::IoStats;
use crate::io::wait::{self, Watch};
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
/// [`Socket::spawn`] makes one. All calls take `&self` and may come from any thread; they have the names and
/// meanings of those of `Socket`. Packets leave with [`flush`](Self::flush), when
/// [`next_event`](Self::next_event) or [`wait_event`](Self::wait_event) finds no event, or after a millisecond.
///
/// ```
/// use std::time::Duration;
/// use torque_socket::{ConnectOptions, Event, Socket, Trust};
///
/// let host = Socket::bind("127.0.0.1:0")?.spawn()?;
/// let client = Socket::client()?.spawn()?;
/// client.connect(host.local_addr(), Trust::Pinned(host.public_key()))?;
/// while let Some(event) = host.wait_event(Duration::from_secs(5)) {
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
    /// First, because it ends before what it drives.
    thread: Thread,
    shared: Arc<Shared>,
    local_addr: SocketAddr,
}

/// The background thread, which ends when this is dropped.
struct Thread {
    handle: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        if let Some(handle) = self.handle.take() {
            // It does not panic, and if it did, the socket would still be in order.
            let _ = handle.join();
        }
    }
}

struct Shared {
    state: Mutex<State>,
    /// Told when there are events and somebody waits for them.
    events: Condvar,
    announcer: Option<Arc<Announcer>>,
    stop: Arc<AtomicBool>,
    waker: Waker,
}

struct State {
    socket: Socket,
    /// Until when the thread sleeps, if it does and nothing comes; `None` inside: without limit. By the socket's clock, as
    /// `flush_at`: the same deadline read through two clocks would never be quite the same.
    asleep: Option<Option<Instant>>,
    /// The changes of further ports that the sleeping thread knows of.
    ports_seen: u64,
    /// When packets that the application has queued leave by themselves.
    flush_at: Option<Instant>,
    /// Threads that wait in `wait_event`.
    readers: usize,
}

/// The sockets that the thread waits for.
struct Watched {
    udp: Arc<UdpSocket>,
    receives: bool,
    wake_socket: Option<UdpSocket>,
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
            Some(socket) => Arc::clone(socket),
            None => return Err(io::Error::other("a runtime owns this socket")),
        };
        let (receives, wake_socket) = self.wake_socket();
        let watched =
            Watched { udp, receives, wake_socket: wake_socket.map(UdpSocket::try_clone).transpose()? };
        let stop = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                socket: self,
                asleep: None,
                ports_seen: 0,
                flush_at: None,
                readers: 0,
            }),
            events: Condvar::new(),
            announcer,
            stop: Arc::clone(&stop),
            waker: waker.clone(),
        });
        let for_thread = Arc::clone(&shared);
        let handle =
            thread::Builder::new().name("torque-socket".into()).spawn(move || for_thread.run(&watched))?;
        Ok(ThreadedSocket { thread: Thread { handle: Some(handle), stop, waker }, shared, local_addr })
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
            let Turn { blocked, further, held_back, limit } = state.turn();
            self.tell(state);
            let Watched { udp, receives, wake_socket } = watched;
            let udp = Watch { socket: udp, readable: *receives && !held_back, writable: blocked };
            let further: Vec<_> = further
                .iter()
                .map(|(socket, blocked)| Watch { socket, readable: !held_back, writable: *blocked })
                .collect();
            if wait::sleep(udp, wake_socket.as_ref(), &further, limit).is_err() {
                // The system cannot wait, so at least do not spin.
                thread::sleep(Duration::from_millis(1));
            }
            let mut state = self.lock();
            state.asleep = None;
            state.socket.udp_mut().count_wake();
        }
    }

    /// Calls `call` with the socket, and wakes the thread if it would sleep past what the call brought about.
    fn with<R>(&self, call: impl FnOnce(&mut Socket) -> R) -> R {
        let mut state = self.lock();
        let result = call(&mut state.socket);
        self.nudge(&mut state);
        self.tell(state);
        result
    }

    /// The next event. If there is none, what is queued is sent.
    fn take_event(&self, state: &mut State) -> Option<Event> {
        let event = state.socket.next_event();
        if event.is_none() {
            state.socket.flush();
            self.nudge(state);
        }
        event
    }

    /// Wakes the thread if it would sleep past the socket's next deadline, or does not know of a further port.
    fn nudge(&self, state: &mut State) {
        let socket = &mut state.socket;
        if socket.queued() > 0 {
            state.flush_at.get_or_insert_with(|| socket.now() + FLUSH_AFTER);
        } else {
            state.flush_at = None;
        }
        // A thread that is awake will look for itself.
        let Some(until) = state.asleep else { return };
        let next = earlier(socket.next_deadline(), state.flush_at);
        let watches_others = socket.further_ports().changes() != state.ports_seen;
        if watches_others || next.is_some_and(|next| until.is_none_or(|until| next < until)) {
            // Once is enough.
            state.asleep = None;
            self.waker.wake();
        }
    }

    /// Wakes the threads that wait for events, if there are events. The lock is released first, because they need it.
    fn tell(&self, state: MutexGuard<'_, State>) {
        let has_events = state.socket.has_events();
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
    fn turn(&mut self) -> Turn {
        let socket = &mut self.socket;
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
        self.ports_seen = socket.further_ports().changes();
        let mut limit = until.map(|until| until.saturating_since(now));
        if held_back {
            limit = Some(limit.map_or(HOLD_BACK, |limit| limit.min(HOLD_BACK)));
        }
        Turn {
            blocked: socket.udp().is_blocked(),
            further: socket.further_ports().watched(),
            held_back,
            limit,
        }
    }
}

/// How the thread sleeps after a turn.
struct Turn {
    /// Waits for room to send, too.
    blocked: bool,
    /// The further ports, and whether to wait for room to send there, too.
    further: Vec<(Arc<UdpSocket>, bool)>,
    /// Does not wait for datagrams.
    held_back: bool,
    /// Sleeps at most as long as this.
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

    /// Makes any call of [`Socket`] while the thread waits. Do not block in it.
    pub fn with<R>(&self, call: impl FnOnce(&mut Socket) -> R) -> R {
        self.shared.with(call)
    }

    calls_through_a_lock!();

    /// Takes the next event, if there is one. Never waits. If there is none, what is queued is sent.
    pub fn next_event(&self) -> Option<Event> {
        self.shared.take_event(&mut self.shared.lock())
    }

    /// Waits for the next event, at most as long as `timeout` (`None`: without limit). Returns `None` when that time has
    /// passed. Nothing else ends the wait: a thread that the program has to end waits with a timeout.
    pub fn wait_event(&self, timeout: impl Into<Option<Duration>>) -> Option<Event> {
        let mut state = self.shared.lock();
        // The first look costs no clock.
        if let Some(event) = self.shared.take_event(&mut state) {
            return Some(event);
        }
        let end = timeout.into().and_then(|timeout| StdInstant::now().checked_add(timeout));
        loop {
            let left = end.map(|end| end.saturating_duration_since(StdInstant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            state.readers += 1;
            let events = &self.shared.events;
            state = match left {
                Some(left) => events.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => events.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
            state.readers -= 1;
            if let Some(event) = self.shared.take_event(&mut state) {
                return Some(event);
            }
        }
    }

    /// As [`Socket::shutdown`]: closes all connections, and gives every event to `event` before it returns.
    pub fn shutdown(self, limit: Duration, event: impl FnMut(Event)) -> Shutdown {
        self.stop().shutdown(limit, event)
    }

    /// Ends the thread and gives the socket back, connections and all.
    pub fn stop(self) -> Socket {
        let Self { thread, mut shared, .. } = self;
        // Waits for the thread, which lets go of its half.
        drop(thread);
        loop {
            match Arc::try_unwrap(shared) {
                Ok(Shared { state, .. }) => {
                    return state.into_inner().unwrap_or_else(PoisonError::into_inner).socket;
                }
                Err(still_shared) => shared = still_shared,
            }
            thread::yield_now();
        }
    }

    fn with_flush<R>(&self, call: impl FnOnce(&mut Socket) -> R) -> R {
        self.with(|socket| {
            let result = call(socket);
            socket.flush();
            result
        })
    }
}
