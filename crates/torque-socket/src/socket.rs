//! A socket that its owner drives.

mod connecting;
mod ending;
mod interfaces;
mod introducing;
mod network;
mod own_addresses;
#[cfg(feature = "port-mapping")]
mod port_mapping;
mod ports;
mod receiving;
mod sending;

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant as StdInstant};

use torque_netem::{LinkConfig, SimulatedPaths};
use torque_proto::{
    Address, CallError, CloseCode, ClosedBy, ConnectionId, ConnectionStats, Endpoint, Event, Instant,
    KeyLogEntry, KeyPair, Peer, PublicKey, SendError, Sequence, Stats,
};

use crate::builder::Builder;
use crate::clock::Clock;
use crate::error::BindError;
use crate::further_ports::FurtherPorts;
use crate::io::wait::{self, Watch};
use crate::io::{IoStats, ReceiveBuffer, Udp};
use crate::metrics::{Counter, Gauges};
use crate::puzzles::Puzzles;
use crate::resolver::{Answer, Lookup, Resolver};
use crate::sharded::Shard;
use crate::waker::{Waker, get_waker};
use ending::Endings;
use network::NetworkWatch;
use own_addresses::OwnAddresses;

pub use ending::Shutdown;

/// Datagrams that are queued before `send` hands them to the operating system by itself.
const FLUSH_AT: usize = 256;

/// How long `wait_event` may give out events before it looks at the network again: other sides wait for answers.
const LOOK_AFTER: Duration = Duration::from_millis(10);

/// The reason why a [`Socket::wait`] ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wake {
    /// Events are there to be taken.
    Events,
    /// Datagrams have come, or there is room to send again, or another thread has a result: call `poll`.
    Ready,
    /// A timer of the protocol is due: call `poll`.
    Deadline,
    /// The caller's time has passed.
    TimedOut,
}

/// A UDP socket with a key pair and any number of connections, driven by its owner.
///
/// The turn of a program is always the same:
///
/// ```
#[doc = include_str!("guide/echo_loop.rs")]
/// ```
///
/// End with [`shutdown`](Self::shutdown). A socket that is dropped tells its connections once that it goes away, and loses
/// the events that were not taken: also packets that the other side was told are delivered.
pub struct Socket {
    endpoint: Endpoint,
    udp: Udp,
    further: FurtherPorts,
    buffer: ReceiveBuffer,
    clock: Clock,
    resolver: Resolver,
    puzzles: Puzzles,
    simulated: Option<Box<SimulatedPaths>>,
    /// The seed of a simulated link's chances.
    link_seed: u64,
    /// From its first use on; with a bell if a datagram to this socket's port might not wake it.
    waker: Option<(Waker, Option<UdpSocket>)>,
    /// Set if this socket is one shard of several.
    shard: Option<Box<Shard>>,
    /// When the first packet was queued of those that wait for a flush.
    batch_began: Option<Instant>,
    /// Datagrams were left in the kernel until there is room for their packets.
    held_back: bool,
    /// When the last `poll` began.
    polled_at: Instant,
    endings: Endings,
    /// `None` if the program looks after it, or nothing can change.
    network: Option<NetworkWatch>,
    own_addresses: OwnAddresses,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("local_addr", &self.local_addr())
            .field("public_key", &self.public_key())
            .finish_non_exhaustive()
    }
}

impl Socket {
    /// A socket that others may connect to, with the default configuration and a fresh key pair.
    ///
    /// `0.0.0.0` and `[::]` both mean all addresses of this machine, IPv4 and IPv6; port 0 is a free one.
    ///
    /// # Errors
    /// [`BindError`] says what to do.
    pub fn bind(address: impl ToSocketAddrs + fmt::Debug) -> Result<Self, BindError> {
        Self::builder().bind(address)
    }

    /// A socket that only connects to others: a free port, both families, nobody may connect to it.
    ///
    /// # Errors
    /// [`BindError`] says what to do.
    pub fn client() -> Result<Self, BindError> {
        Self::builder().client()
    }

    /// Begins a socket with a configuration, a key pair, a simulated link or other buffer sizes.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_parts(
        endpoint: Endpoint,
        udp: Udp,
        further: FurtherPorts,
        clock: Clock,
        link_seed: u64,
        lookup: Lookup,
        own_shard: Option<Box<Shard>>,
    ) -> Self {
        Self {
            endpoint,
            udp,
            further,
            buffer: ReceiveBuffer::default(),
            polled_at: clock.now(),
            clock,
            resolver: Resolver::new(lookup),
            puzzles: Puzzles::default(),
            simulated: None,
            link_seed,
            waker: own_shard.as_ref().map(|shard| (shard.waker(), None)),
            shard: own_shard,
            batch_began: None,
            held_back: false,
            endings: Endings::default(),
            network: None,
            own_addresses: OwnAddresses::default(),
        }
    }

    /// The address that the socket is bound to, with its real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.udp.local_addr()
    }

    /// The socket's identity.
    pub fn public_key(&self) -> PublicKey {
        self.endpoint.public_key()
    }

    /// Changes the identity, while there are no connections.
    ///
    /// # Errors
    /// [`CallError::ConnectionsExist`].
    pub fn set_key_pair(&mut self, key_pair: KeyPair) -> Result<(), CallError> {
        self.endpoint.set_key_pair(key_pair)
    }

    /// Sets the data that this socket, as host, shows everybody who asks, at most 511 bytes.
    ///
    /// # Errors
    /// [`CallError::TooLarge`].
    pub fn set_challenge_response_data(&mut self, data: &[u8]) -> Result<(), CallError> {
        self.endpoint.set_challenge_response_data(data)
    }

    /// Puts a simulated link between this socket and the network, changes it, or takes it away (`None`), at any time.
    /// Datagrams under way arrive as they would have. See [`Builder::simulated_link`].
    pub fn set_simulated_link(&mut self, link: impl Into<Option<LinkConfig>>) {
        match (&mut self.simulated, link.into()) {
            (Some(simulated), Some(link)) => simulated.set_config(link),
            // A perfect link stays for what is under way.
            (Some(simulated), None) if simulated.deadline().is_some() => {
                simulated.set_config(LinkConfig::default());
            }
            (simulated, link) => {
                *simulated = link.map(|link| Box::new(SimulatedPaths::new(link, self.link_seed)));
            }
        }
    }

    /// Sends one packet: numbers and seals it at once, and leaves it for the next `flush`, `poll` or `wait` to
    /// hand on together with others. Its verdict is told by [`Event::Verdict`].
    ///
    /// # Errors
    /// [`SendError`]; no sequence is taken then.
    pub fn send(&mut self, connection: ConnectionId, payload: &[u8]) -> Result<Sequence, SendError> {
        // One look at the clock for all that leaves together.
        let now = *self.batch_began.get_or_insert_with(|| self.clock.now());
        let sequence = self.endpoint.send(now, connection, payload)?;
        if self.endpoint.transmits().len() >= FLUSH_AT {
            self.flush();
        }
        Ok(sequence)
    }

    /// Sends the same packet on several connections, and tells for each what [`send`](Self::send) would.
    ///
    /// ```
    /// # use torque_socket::{ConnectionId, SendError, Socket};
    /// # fn tick(socket: &mut Socket, players: &[ConnectionId], state: &[u8]) -> Result<(), SendError> {
    /// for (player, sent) in socket.send_to_all(players.iter().copied(), state) {
    ///     match sent {
    ///         Ok(_) => {}
    ///         Err(SendError::TooLarge { max }) => return Err(SendError::TooLarge { max }),
    ///         // No room, or leaving: this player sees a later state.
    ///         Err(error) => println!("{player}: {error}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_to_all(
        &mut self,
        connections: impl IntoIterator<Item = ConnectionId>,
        payload: &[u8],
    ) -> Vec<(ConnectionId, Result<Sequence, SendError>)> {
        connections.into_iter().map(|connection| (connection, self.send(connection, payload))).collect()
    }

    /// Sends a datagram outside any connection: not encrypted, not confirmed. Its first byte is 0x20 to 0x7f.
    ///
    /// # Errors
    /// [`CallError::NotAnInfoPacket`] or [`CallError::Blocked`].
    pub fn send_info(&mut self, remote: impl Into<Address>, payload: &[u8]) -> Result<(), CallError> {
        self.send_info_from(None, remote, payload)
    }

    /// As [`send_info`](Self::send_info), from an address of this machine: an answer leaves from the one that was
    /// asked, which [`Event::InfoPacket`] names as `local`.
    ///
    /// # Errors
    /// Those of `send_info`.
    pub fn send_info_from(
        &mut self,
        local: Option<IpAddr>,
        remote: impl Into<Address>,
        payload: &[u8],
    ) -> Result<(), CallError> {
        self.endpoint.send_info_from(local, remote.into(), payload)?;
        if self.endpoint.transmits().len() >= FLUSH_AT {
            self.flush();
        }
        Ok(())
    }

    /// The largest payload that `send` takes on a connection, in bytes; `None` before it is established.
    pub fn max_packet_size(&self, connection: ConnectionId) -> Option<usize> {
        self.endpoint.max_packet_size(connection)
    }

    /// Takes the next event, if there is one. Never waits: [`poll`](Self::poll), [`wait`](Self::wait) and
    /// [`wait_event`](Self::wait_event) bring new ones.
    ///
    /// Take events until there are none: an event that is not taken keeps its place in the packet window or the queue
    /// of received packets.
    pub fn next_event(&mut self) -> Option<Event> {
        if self.endings.is_shutting_down() {
            return self.last_event();
        }
        self.take_event()
    }

    fn take_event(&mut self) -> Option<Event> {
        let event = self.endpoint.poll_event();
        if let Some(Event::Close { connection, by: ClosedBy::Remote, .. }) = &event {
            self.endings.closed_by_remote(*connection, &self.endpoint);
        }
        event
    }

    /// Returns whether `next_event` has something.
    pub fn has_events(&self) -> bool {
        self.endpoint.has_events()
    }

    /// Receives all that has come, runs the timers that are due, and hands on all that is to be sent. Never blocks.
    pub fn poll(&mut self) {
        self.receive_and_run();
        self.flush();
    }

    pub(crate) fn receive_and_run(&mut self) {
        // Handling the datagrams took no time that timers know of.
        let now = self.receive().unwrap_or_else(|| self.clock.now());
        self.look_at_network(now);
        #[cfg(feature = "port-mapping")]
        self.take_mapped_address(now);
        self.polled_at = now;
        self.run_background(now);
        self.run_timers(now);
    }

    /// Hands on what is queued, then blocks until there is something to do: events, datagrams, a timer of the
    /// protocol, or until `timeout` has passed (`None`: no limit). Call [`poll`](Self::poll) after it.
    /// In a runtime, which waits by itself, it returns at once.
    pub fn wait(&mut self, timeout: impl Into<Option<Duration>>) -> Wake {
        self.take_puzzles();
        self.flush();
        if self.has_events() {
            return Wake::Events;
        }
        let own = self.next_deadline().map(|at| at.saturating_since(self.clock.now()));
        let callers = timeout.into();
        let (limit, wake) = match (own, callers) {
            (Some(own), Some(callers)) if own > callers => (Some(callers), Wake::TimedOut),
            (Some(own), _) => (Some(own), Wake::Deadline),
            (None, callers) => (callers, Wake::TimedOut),
        };
        if !self.begin_sleep() {
            return Wake::Ready;
        }
        let (receives, wake_socket) = self.wake_socket();
        let ready = match self.udp.plain() {
            Some(socket) => {
                let udp = Watch { socket, readable: receives, writable: self.udp.is_blocked() };
                wait::sleep(udp, wake_socket, &self.further.watches(), limit)
            }
            // A runtime owns the socket, and waits for it.
            None => return Wake::Ready,
        };
        self.udp.count_wake();
        match ready {
            Ok(true) => Wake::Ready,
            Ok(false) => wake,
            Err(_) => {
                // The system cannot wait, so at least do not spin.
                std::thread::sleep(Duration::from_millis(1));
                Wake::Ready
            }
        }
    }

    /// Waits for the next event, at most as long as `timeout` (`None`: without limit), and receives, sends and runs
    /// timers meanwhile. Returns `None` when that time has passed. For programs that have nothing else to do.
    pub fn wait_event(&mut self, timeout: impl Into<Option<Duration>>) -> Option<Event> {
        let end = timeout.into().and_then(|timeout| StdInstant::now().checked_add(timeout));
        let mut polled = false;
        loop {
            if self.is_turn_due() {
                self.poll();
            }
            if let Some(event) = self.next_event() {
                return Some(event);
            }
            let left = end.map(|end| end.saturating_duration_since(StdInstant::now()));
            if polled && left.is_some_and(|left| left.is_zero()) {
                return None;
            }
            self.wait(left);
            self.poll();
            polled = true;
        }
    }

    /// Returns whether to `poll` although events may wait: an application that is given much, or that takes its time, must
    /// miss no timer, and answers pings.
    pub(crate) fn is_turn_due(&self) -> bool {
        let now = self.clock.now();
        now.saturating_since(self.polled_at) >= LOOK_AFTER || self.next_deadline().is_some_and(|at| at <= now)
    }

    /// The time by which `poll` has to be called, for programs with their own loop.
    pub fn deadline(&self) -> Option<StdInstant> {
        self.next_deadline().and_then(|at| self.clock.to_std(at))
    }

    /// This moment by the socket's own clock.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// `deadline` by the socket's own clock, which goes on while the machine sleeps.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let endpoint = self.endpoint.poll_timeout().map(|(at, _)| at);
        let simulated = self.simulated.as_ref().and_then(|simulated| simulated.deadline());
        [endpoint, simulated].into_iter().flatten().min()
    }

    /// Returns whether datagrams wait for room in the operating system's buffer: wait for writability too.
    pub fn is_blocked(&self) -> bool {
        self.udp.is_blocked() || self.further.iter().any(Udp::is_blocked)
    }

    /// Counters of the protocol: datagrams, bytes, and what was dropped and why.
    pub fn stats(&mut self) -> &Stats {
        self.endpoint.stats()
    }

    /// Counters of the driver: system calls and their errors.
    pub fn io_stats(&self) -> &IoStats {
        self.udp.stats()
    }

    /// Figures of one connection; `None` if there is no such connection (yet).
    pub fn connection_stats(&self, connection: ConnectionId) -> Option<ConnectionStats> {
        self.endpoint.connection_stats(connection)
    }

    /// The fault of the answers to an attempt that goes on: the code that it would end with if nothing better came,
    /// for example `KeyMismatch` or `ApplicationMismatch`. A hint: anybody can send such an answer.
    pub fn attempt_problem(&self, connection: ConnectionId) -> Option<CloseCode> {
        self.endpoint.attempt_problem(connection)
    }

    /// The established connections.
    pub fn connections(&self) -> impl Iterator<Item = ConnectionId> + '_ {
        self.endpoint.connections()
    }

    /// The other side of a connection: address, key, origin, and the number that the application noted. From its request
    /// or its establishment until its [`Event::Close`] is taken, else `None`.
    pub fn peer(&self, connection: ConnectionId) -> Option<Peer> {
        self.endpoint.peer(connection)
    }

    /// Returns whether the id names a connection whose [`Event::Close`] was not taken.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_connection(&self, connection: ConnectionId) -> bool {
        self.endpoint.has_connection(connection)
    }

    /// Notes a number with a connection, for example an index of the application's own tables. [`peer`](Self::peer)
    /// tells it.
    ///
    /// # Errors
    /// [`CallError::Closed`].
    pub fn set_user_data(&mut self, connection: ConnectionId, user_data: u64) -> Result<(), CallError> {
        self.endpoint.set_user_data(connection, user_data)
    }

    /// Bits of client puzzle that a connect request is asked for now (PROTOCOL.md 5.7).
    pub fn difficulty(&mut self) -> u8 {
        self.endpoint.difficulty(self.clock.now())
    }

    /// All counters, the established connections and the difficulty as text that Prometheus reads. Those of the driver begin with
    /// `torque_io_`, those of introductions with `torque_introducer_` and `torque_party_`.
    pub fn metrics(&mut self) -> String {
        let (io, introductions, gauges) = (*self.udp.stats(), self.introduction_counters(), self.gauges());
        crate::metrics::text(self.stats(), &io, &introductions, gauges)
    }

    pub(crate) fn introduction_counters(&self) -> Vec<Counter> {
        crate::metrics::introductions(self.introducer_stats(), &self.party_stats())
    }

    pub(crate) fn gauges(&mut self) -> Gauges {
        Gauges { connections: self.connections().count(), difficulty: self.difficulty() }
    }

    /// Calls `log` with the traffic secrets of each new connection, for debugging tools. Anybody who has them can
    /// read the connection; nothing calls this by itself.
    pub fn set_key_log(&mut self, log: impl FnMut(KeyLogEntry<'_>) + Send + 'static) {
        self.endpoint.set_key_log(Box::new(log));
    }

    /// Takes what other threads have done.
    fn run_background(&mut self, now: Instant) {
        while let Some(job) = self.puzzles.finished() {
            self.endpoint.puzzle_solved(now, job);
        }
        while let Some(Answer { connection, addresses }) = self.resolver.answer() {
            let (found, said) = match addresses {
                Ok(found) => (found, String::new()),
                Err(error) => (Vec::new(), error.to_string()),
            };
            let found: Vec<_> = found.into_iter().map(Address::from).collect();
            // The attempt may have been closed meanwhile.
            if self.endpoint.add_candidates(now, connection, &found).is_ok() {
                let _ = self.endpoint.end_candidates(now, connection, CloseCode::NameNotFound, &said);
            }
        }
        self.take_puzzles();
    }

    /// Gives puzzles to the thread that solves them.
    fn take_puzzles(&mut self) {
        while let Some(job) = self.endpoint.poll_puzzle() {
            let (waker, udp) = (&mut self.waker, &mut self.udp);
            if let Some(solved) = self.puzzles.take(job, || get_waker(waker, udp)) {
                self.endpoint.puzzle_solved(self.clock.now(), solved);
            }
        }
    }

    fn run_timers(&mut self, now: Instant) {
        if self.endpoint.poll_timeout().is_some_and(|(due, _)| due <= now) {
            self.endpoint.handle_timeout(now);
            self.take_puzzles();
        }
    }

    /// The waker of this socket for other threads.
    pub(crate) fn waker(&mut self) -> Option<Waker> {
        get_waker(&mut self.waker, &mut self.udp)
    }

    pub(crate) fn udp(&self) -> &Udp {
        &self.udp
    }

    pub(crate) fn udp_mut(&mut self) -> &mut Udp {
        &mut self.udp
    }

    /// Returns whether other shards have put nothing into this socket's inbox. Until the next `poll` they wake it.
    pub(crate) fn begin_sleep(&self) -> bool {
        self.shard.as_ref().is_none_or(|shard| shard.begin_sleep())
    }

    /// Returns whether the socket receives by itself, and the other socket to wait for, if it is woken by one.
    pub(crate) fn wake_socket(&self) -> (bool, Option<&UdpSocket>) {
        match (&self.shard, &self.waker) {
            (Some(shard), _) => (shard.receives(), Some(shard.wake_socket())),
            (None, Some((_, Some(bell)))) => (true, Some(bell)),
            (None, _) => (true, None),
        }
    }

    /// Makes the waker, and takes its bell, if it has one: for a runtime, which waits for it.
    #[cfg(feature = "tokio")]
    pub(crate) fn take_bell(&mut self) -> Option<UdpSocket> {
        self.waker();
        self.waker.as_mut()?.1.take()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn is_shard(&self) -> bool {
        self.shard.is_some()
    }

    /// Returns whether the last turn left datagrams in the kernel, until events have been taken.
    pub(crate) fn holds_back(&self) -> bool {
        self.held_back
    }

    pub(crate) fn queued(&mut self) -> usize {
        self.endpoint.transmits().len()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.endpoint.close_all(self.clock.now());
        self.flush();
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Socket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.udp.fd()
    }
}

#[cfg(windows)]
impl std::os::windows::io::AsSocket for Socket {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.udp.socket()
    }
}
