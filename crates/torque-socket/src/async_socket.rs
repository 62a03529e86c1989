//! A socket in the tokio runtime.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::sync::{Notify, oneshot};
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;
use tokio::time::{Sleep, sleep_until};
use torque_netem::LinkConfig;
use torque_proto::{
    Address, CallError, CloseCode, ConnectOptions, ConnectionId, ConnectionStats, Delivery, Event,
    IntroducedOptions, IntroducerStats, IntroductionId, KeyPair, PartyStats, PathSearch, Peer, PublicKey,
    Relay, SendError, Sequence, Stats, Trust,
};

use crate::calls::calls_through_a_lock;
use crate::io::{IoStats, Udp};
use crate::socket::{Shutdown, Socket};
use crate::target::{ConnectError, ToTarget};

/// A [`Socket`] in a task of the tokio runtime (feature `tokio`). It waits for datagrams and for the protocol's
/// next deadline, never for an interval.
///
/// The calls are those of `Socket`, without the ones that block. Await [`wait_event`](Self::wait_event) again and again:
/// the socket receives, sends and runs its timers inside of it. It can be cancelled without losing anything, so it may
/// stand in a `select!` beside whatever else the task waits for.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use torque_socket::{AsyncSocket, Event, Socket, Trust};
///
/// let mut host = AsyncSocket::new(Socket::bind("127.0.0.1:0")?)?;
/// let mut client = AsyncSocket::new(Socket::client()?)?;
/// client.connect(host.local_addr(), Trust::Pinned(host.public_key()))?;
/// loop {
///     tokio::select! {
///         Some(event) = host.wait_event(None) => match event {
///             Event::ConnectRequest(request) => _ = host.accept_connection(request.connection, b""),
///             other => println!("host: {other:?}"),
///         },
///         Some(event) = client.wait_event(None) => match event {
///             Event::Established { .. } => break,
///             other => println!("client: {other:?}"),
///         },
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Other tasks send through an [`AsyncConnection`], and may await the verdict on each packet.
pub struct AsyncSocket {
    shared: Arc<Shared>,
    timer: Pin<Box<Sleep>>,
    /// When the timer rings.
    set_for: Option<torque_proto::Instant>,
    /// Set from when the runtime had its turn to the socket's next one. It outlives a wait that is cancelled: otherwise a branch
    /// of a `select!` that is always ready would keep the socket from its turn.
    has_yielded: bool,
}

struct Shared {
    state: Mutex<State>,
    /// An [`AsyncConnection`] has queued something to send.
    queued: Notify,
    /// Becomes readable when another thread wakes the socket, if a datagram to its port might not.
    bell: Option<tokio::net::UdpSocket>,
}

struct State {
    socket: Socket,
    /// Verdicts that an [`AsyncConnection`] was promised.
    promised: HashMap<(ConnectionId, Sequence), oneshot::Sender<Delivery>>,
    /// For each connection that has handles, whether its close was taken. From then on its id may name another one.
    handles: HashMap<ConnectionId, Arc<AtomicBool>>,
}

impl fmt::Debug for AsyncSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncSocket").field("local_addr", &self.local_addr()).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock, and if it did, the socket would be between two calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next event that is the application's: verdicts that were promised keep their promise.
    fn next_event(&mut self) -> Option<Event> {
        loop {
            let event = self.socket.next_event()?;
            if !self.promised.is_empty()
                && let Event::Verdict { connection, sequence, delivery } = event
                && let Some(promise) = self.promised.remove(&(connection, sequence))
            {
                // Perhaps nobody waits for it any more.
                let _ = promise.send(delivery);
                continue;
            }
            if let Event::Close { connection, .. } = event
                && let Some(is_over) = self.handles.remove(&connection)
            {
                is_over.store(true, Ordering::Relaxed);
            }
            return Some(event);
        }
    }

    /// Receives, runs timers, sends, and takes the next event.
    fn turn(&mut self) -> Option<Event> {
        if !self.socket.is_turn_due()
            && let Some(event) = self.next_event()
        {
            return Some(event);
        }
        self.socket.poll();
        let event = self.next_event();
        if event.is_none() {
            self.socket.flush();
        }
        event
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
        if socket.is_shard() {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "a shard is driven by a thread"));
        }
        socket.move_to_tokio()?;
        let bell = socket.take_bell().map(tokio::net::UdpSocket::from_std).transpose()?;
        let state = Mutex::new(State { socket, promised: HashMap::new(), handles: HashMap::new() });
        Ok(Self {
            shared: Arc::new(Shared { state, queued: Notify::new(), bell }),
            timer: Box::pin(sleep_until(tokio::time::Instant::now())),
            set_for: None,
            has_yielded: false,
        })
    }

    /// The address that the socket is bound to, with its real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.with(|socket| socket.local_addr())
    }

    /// A handle to send on one connection from any task. If there is no such connection, or its [`Event::Close`] was taken, the
    /// calls of the handle fail.
    pub fn connection(&self, id: ConnectionId) -> AsyncConnection {
        let mut state = self.shared.lock();
        let is_over = if state.socket.has_connection(id) {
            Arc::clone(state.handles.entry(id).or_default())
        } else {
            Arc::new(AtomicBool::new(true))
        };
        AsyncConnection { id, shared: Arc::downgrade(&self.shared), is_over }
    }

    calls_through_a_lock!();

    pub(crate) fn with<R>(&self, call: impl FnOnce(&mut Socket) -> R) -> R {
        call(&mut self.shared.lock().socket)
    }

    /// Queued datagrams leave with the next `wait_event`, to which the task comes back at once.
    fn with_flush<R>(&self, call: impl FnOnce(&mut Socket) -> R) -> R {
        self.with(call)
    }

    /// Takes the next event, if there is one. Never waits: [`wait_event`](Self::wait_event) brings new ones.
    pub fn next_event(&mut self) -> Option<Event> {
        self.shared.lock().next_event()
    }

    /// Waits for the next event, at most as long as `timeout` (`None`: without limit). Returns `None` when that time has
    /// passed. The socket receives, sends and runs its timers inside of this.
    pub async fn wait_event(&mut self, timeout: impl Into<Option<Duration>>) -> Option<Event> {
        let mut end = timeout.into().map(|timeout| Box::pin(tokio::time::sleep(timeout)));
        loop {
            // While events wait, neither other tasks nor the runtime's I/O, which tells of new datagrams, would have their
            // turn by themselves. Nothing is taken yet, so that cancelling loses nothing.
            if !self.has_yielded && self.with(|socket| socket.has_events() && socket.is_turn_due()) {
                self.has_yielded = true;
                yield_now().await;
            } else {
                consume_budget().await;
            }
            self.has_yielded = false;
            let event = self.shared.lock().turn();
            if event.is_some() {
                return event;
            }
            if self.ready_before(end.as_mut().map(Pin::as_mut)).await {
                return None;
            }
        }
    }

    /// As [`Socket::shutdown`]: closes all connections, and gives every event to `event` before it returns.
    pub async fn shutdown(mut self, limit: Duration, mut event: impl FnMut(Event)) -> Shutdown {
        self.with(Socket::begin_shutdown);
        let mut end = Box::pin(tokio::time::sleep(limit));
        loop {
            self.with(Socket::poll);
            while let Some(next) = self.next_event() {
                event(next);
            }
            self.flush();
            if self.with(Socket::has_shut_down) || end.is_elapsed() {
                return self.with(Socket::shutdown_result);
            }
            self.ready_before(Some(end.as_mut())).await;
        }
    }

    /// Waits as `ready` does, or until `end` has come. Returns whether it has.
    async fn ready_before(&mut self, mut end: Option<Pin<&mut Sleep>>) -> bool {
        let mut ready = pin!(self.ready());
        poll_fn(|context| {
            if let Some(end) = &mut end
                && end.as_mut().poll(context).is_ready()
            {
                return Poll::Ready(true);
            }
            ready.as_mut().poll(context).map(|()| false)
        })
        .await
    }

    /// Waits until there is something to do: datagrams, room to send if there was none, something to send, or the
    /// deadline.
    async fn ready(&mut self) {
        let Self { shared, timer, set_for, .. } = self;
        let deadline = {
            let socket = &shared.lock().socket;
            let deadline = socket.next_deadline();
            if deadline.is_some()
                && *set_for != deadline
                && let Some(at) = socket.deadline()
            {
                timer.as_mut().reset(at.into());
                *set_for = deadline;
            }
            deadline
        };
        let mut queued = pin!(shared.queued.notified());
        let rang = poll_fn(|context| {
            if queued.as_mut().poll(context).is_ready() || is_ready(shared, context) {
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
        shared.lock().socket.udp_mut().count_wake();
    }
}

/// Returns whether datagrams have come, a port has room to send after it had none, or another thread has woken the socket. If
/// not, the task is woken when it happens.
fn is_ready(shared: &Shared, context: &mut Context<'_>) -> bool {
    if let Some(bell) = &shared.bell
        && bell.poll_recv(context, &mut ReadBuf::new(&mut [0; 1])).is_ready()
    {
        return true;
    }
    let socket = &shared.lock().socket;
    // Each port by itself: one that is not blocked has room at any time.
    let is_ready = |port: &Udp| {
        port.tokio().is_none_or(|udp| {
            udp.poll_recv_ready(context).is_ready()
                || (port.is_blocked() && udp.poll_send_ready(context).is_ready())
        })
    };
    std::iter::once(socket.udp()).chain(socket.further_ports().iter()).any(is_ready)
}

/// One connection of an [`AsyncSocket`], to send on from any task. [`AsyncSocket::connection`] gives it; it is cheap to
/// clone. After the connection's [`Event::Close`] its calls fail, also when another connection has got the same id.
///
/// Packets leave, and verdicts come, while the socket's own task awaits [`AsyncSocket::wait_event`]. The verdict on a
/// packet goes to its sender, and not to `wait_event` as well.
///
/// **Await a verdict in another task than the one that awaits `wait_event`.** A task that awaits both one after the other
/// waits for ever: while it waits for the verdict, nothing drives the socket.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use torque_socket::{AsyncSocket, Delivery, Event, Socket, Trust};
///
/// let mut host = AsyncSocket::new(Socket::bind("127.0.0.1:0")?)?;
/// let mut client = AsyncSocket::new(Socket::client()?)?;
/// client.connect(host.local_addr(), Trust::Pinned(host.public_key()))?;
/// // Each socket has a task that goes on with its events.
/// tokio::spawn(async move {
///     while let Some(event) = host.wait_event(None).await {
///         if let Event::ConnectRequest(request) = event {
///             let _ = host.accept_connection(request.connection, b"");
///         }
///     }
/// });
/// let player = loop {
///     match client.wait_event(None).await {
///         Some(Event::Established { connection, .. }) => break client.connection(connection),
///         other => return Err(format!("not connected: {other:?}").into()),
///     }
/// };
/// tokio::spawn(async move { while client.wait_event(None).await.is_some() {} });
/// // So this task may wait for what becomes of its packets.
/// let delivery = player.send(b"shoot")?.await;
/// assert_eq!(delivery, Delivery::Delivered);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct AsyncConnection {
    id: ConnectionId,
    shared: Weak<Shared>,
    is_over: Arc<AtomicBool>,
}

impl fmt::Debug for AsyncConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncConnection").field(&self.id).finish()
    }
}

impl AsyncConnection {
    /// The connection's id.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Sends one packet, once, and returns the promise of its verdict. The packet is sealed before the call returns,
    /// whether or not the promise is awaited.
    ///
    /// # Errors
    /// [`SendError`], as [`Socket::send`]; [`SendError::Closed`] if the connection has ended or the socket is gone. Nothing
    /// was sent then.
    pub fn send(&self, payload: &[u8]) -> Result<PendingVerdict, SendError> {
        let (promise, verdict) = oneshot::channel();
        let sent = self.with(|state| {
            let sequence = state.socket.send(self.id, payload)?;
            state.promised.insert((self.id, sequence), promise);
            Ok(())
        });
        sent.ok_or(SendError::Closed)??;
        self.wake_task();
        Ok(PendingVerdict(verdict))
    }

    /// Ends the connection, as [`Socket::close`] does.
    ///
    /// # Errors
    /// The connection has ended already, the socket is gone, or the reason is too long.
    pub fn close(&self, reason: &[u8]) -> Result<(), CallError> {
        self.with(|state| state.socket.close(self.id, reason)).ok_or(CallError::Closed)??;
        self.wake_task();
        Ok(())
    }

    /// The other side, as [`Socket::peer`] tells it;
    /// `None` if the connection has ended or the socket is gone.
    pub fn peer(&self) -> Option<Peer> {
        self.with(|state| state.socket.peer(self.id))?
    }

    /// The largest payload that `send` takes, as [`Socket::max_packet_size`] tells it;
    /// `None` if the connection has ended or the socket is gone.
    pub fn max_packet_size(&self) -> Option<usize> {
        self.with(|state| state.socket.max_packet_size(self.id))?
    }

    /// Figures of the connection, as [`Socket::connection_stats`] tells them;
    /// `None` if the connection has ended or the socket is gone.
    pub fn connection_stats(&self) -> Option<ConnectionStats> {
        self.with(|state| state.socket.connection_stats(self.id))?
    }

    /// Calls `call`, unless the socket is gone or the connection's close was taken: its id may name another one by now.
    fn with<R>(&self, call: impl FnOnce(&mut State) -> R) -> Option<R> {
        let shared = self.shared.upgrade()?;
        let mut state = shared.lock();
        (!self.is_over.load(Ordering::Relaxed)).then(|| call(&mut state))
    }

    /// Has the socket's task send what has gathered.
    fn wake_task(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.queued.notify_one();
        }
    }
}

/// The verdict on one packet, to be awaited: a [`Delivery`], [`Unknown`](Delivery::Unknown) if the socket is dropped
/// before. Dropping it does no harm.
#[derive(Debug)]
pub struct PendingVerdict(oneshot::Receiver<Delivery>);

impl Future for PendingVerdict {
    type Output = Delivery;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Delivery> {
        Pin::new(&mut self.0).poll(context).map(|told| told.unwrap_or(Delivery::Unknown))
    }
}
