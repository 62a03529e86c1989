//! One face of all shards.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use torque_netem::LinkConfig;
use torque_proto::{
    Address, CallError, ConnectOptions, ConnectionId, ConnectionStats, Event, IntroducedOptions,
    IntroductionId, Peer, PublicKey, Relay, SendError, Sequence, Stats, Trust,
};

use super::announcer::Announcer;
use super::binding::Steering;
use super::rule::Rule;
use crate::error::BindError;
use crate::io::IoStats;
use crate::metrics::{Gauges, add_introductions};
use crate::socket::{Shutdown, Socket};
use crate::target::{ConnectError, Place, ToTarget};
use crate::threaded::ThreadedSocket;

/// Events that are taken from a shard in its turn: few enough to be fair, many enough to be cheap.
const EVENTS_PER_TURN: usize = 64;
/// How often a host that shuts down looks whether it may go.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A host on many cores: several shards at one address and port, each with an endpoint, a thread, and part of the
/// remotes. To those it is one host: one address, one key.
///
/// Made by [`Builder::shards`](crate::Builder::shards). All calls take `&self` and may come from any thread; they
/// have the names and meanings of those of [`ThreadedSocket`], and find the shard of a connection in its id. It has no
/// `stop`, and no `network_changed`, because several shards do not follow other sides that move
/// ([`ShardedBuilder::bind`](crate::ShardedBuilder::bind)); `set_key_pair`, `attempt_problem`, `introducer_stats` and `with` are calls of each of its [`shards`](Self::shards).
///
/// [`next_event`](Self::next_event) gives the events of all shards, so one thread may serve them all. An application
/// that itself fills a core takes the events of each shard on a separate thread:
/// [`shards`](Self::shards) are [`ThreadedSocket`]s, which share no lock. Do one or the other, not both: an event
/// is given once. Where the application's threads drive the shards themselves
/// ([`ShardedBuilder::bind_each`](crate::ShardedBuilder::bind_each)), there is no lock at all.
///
/// Which shard a remote belongs to follows from its address and port alone. Datagrams of one remote, and so the
/// events of one connection, keep their order; between connections there is none. Limits of the configuration are
/// those of each shard.
///
/// ```
/// use torque_socket::Socket;
///
/// let host = Socket::builder().shards(2).bind("127.0.0.1:0")?;
/// println!("torque://{}@{}", host.public_key(), host.local_addr());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```
#[doc = include_str!("../guide/shards_loop.rs")]
/// ```
pub struct ShardedSocket {
    shards: Vec<ThreadedSocket>,
    rule: Rule,
    steering: Steering,
    announcer: Arc<Announcer>,
    turn: Mutex<Turn>,
}

/// The shard whose events are taken now.
#[derive(Default)]
struct Turn {
    shard: usize,
    /// Events taken in this turn.
    taken: usize,
}

impl fmt::Debug for ShardedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardedSocket")
            .field("local_addr", &self.local_addr())
            .field("shards", &self.shards.len())
            .field("steering", &self.steering)
            .finish_non_exhaustive()
    }
}

impl ShardedSocket {
    pub(super) fn from_shards(
        sockets: Vec<Socket>,
        rule: Rule,
        steering: Steering,
    ) -> Result<Self, BindError> {
        let announcer = Arc::new(Announcer::default());
        let mut shards = Vec::new();
        for socket in sockets {
            let address = socket.local_addr();
            let spawned = socket.spawn_with(Some(Arc::clone(&announcer)));
            shards.push(spawned.map_err(|error| BindError::System {
                doing: "starting a thread for",
                address,
                error,
            })?);
        }
        Ok(Self { shards, rule, steering, announcer, turn: Mutex::default() })
    }

    /// The shards, each to be used from a separate thread: [`next_event`](ThreadedSocket::next_event) of a shard
    /// gives the events of that shard only, and a connection is used at the shard whose number is in its id.
    pub fn shards(&self) -> &[ThreadedSocket] {
        &self.shards
    }

    /// The shard to which datagrams from `remote` belong: an index of [`shards`](Self::shards).
    pub fn shard_of(&self, remote: impl Into<Address>) -> usize {
        self.rule.owner(remote.into())
    }

    /// How datagrams get to their shards on this system.
    pub fn steering(&self) -> Steering {
        self.steering
    }

    /// The address that all shards are bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.shards[0].local_addr()
    }

    /// The host's identity, which all shards share.
    pub fn public_key(&self) -> PublicKey {
        self.shards[0].public_key()
    }

    /// As [`Socket::set_challenge_response_data`], in all shards.
    ///
    /// # Errors
    /// The data is too long.
    pub fn set_challenge_response_data(&self, data: &[u8]) -> Result<(), CallError> {
        self.shards.iter().try_for_each(|shard| shard.set_challenge_response_data(data))
    }

    /// As [`Socket::set_simulated_link`], in all shards.
    pub fn set_simulated_link(&self, link: impl Into<Option<LinkConfig>>) {
        let link = link.into();
        self.shards.iter().for_each(|shard| shard.set_simulated_link(link));
    }

    /// As [`Socket::connect`], from the shard that the answers will reach.
    ///
    /// The addresses of a name may belong to several shards. So the attempt is made by one shard, the same each time for the
    /// same name and port, from a further UDP port that only this shard has. The shard opens it at its first such attempt, at
    /// the local address of [`local_addr`](Self::local_addr); nobody may connect to it.
    ///
    /// # Errors
    /// Those of [`Socket::connect_with`].
    pub fn connect(
        &self,
        target: impl ToTarget,
        trust: impl Into<Option<Trust>>,
    ) -> Result<ConnectionId, ConnectError> {
        self.connect_with(target, ConnectOptions::default().with_trust(trust))
    }

    /// As [`Socket::connect_with`], from the shard that the answers will reach.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect).
    pub fn connect_with(
        &self,
        target: impl ToTarget,
        options: ConnectOptions,
    ) -> Result<ConnectionId, ConnectError> {
        let target = target.to_target()?;
        let shard = match target.place()? {
            Place::Address(remote) => self.shard_of(remote),
            Place::Name { name, port } => self.shard_of_name(&name, port),
        };
        self.shards[shard].connect_with(target, options)
    }

    /// As [`Socket::accept_challenge`].
    ///
    /// # Errors
    /// The connection has ended, or does not wait for this.
    pub fn accept_challenge(&self, connection: ConnectionId) -> Result<(), CallError> {
        self.shard(connection).ok_or(CallError::Closed)?.accept_challenge(connection)
    }

    /// As [`Socket::accept_connection`].
    ///
    /// # Errors
    /// The connection has ended, does not wait for this, or the data is too long.
    pub fn accept_connection(&self, connection: ConnectionId, accept_data: &[u8]) -> Result<(), CallError> {
        self.shard(connection).ok_or(CallError::Closed)?.accept_connection(connection, accept_data)
    }

    /// As [`Socket::refuse`].
    ///
    /// # Errors
    /// Those of [`Socket::refuse`].
    pub fn refuse(&self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
        self.shard(connection).ok_or(CallError::Closed)?.refuse(connection, reason)
    }

    /// As [`Socket::ignore`].
    ///
    /// # Errors
    /// Those of [`Socket::ignore`].
    pub fn ignore(&self, connection: ConnectionId) -> Result<(), CallError> {
        self.shard(connection).ok_or(CallError::Closed)?.ignore(connection)
    }

    /// As [`Socket::close`].
    ///
    /// # Errors
    /// The connection has ended already, or the reason is too long.
    pub fn close(&self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
        self.shard(connection).ok_or(CallError::Closed)?.close(connection, reason)
    }

    /// As [`Socket::close_all`].
    pub fn close_all(&self) {
        self.shards.iter().for_each(ThreadedSocket::close_all);
    }

    /// As [`Socket::send`]: sealed at once by the calling thread.
    ///
    /// # Errors
    /// [`SendError`]; no sequence is taken then.
    pub fn send(&self, connection: ConnectionId, payload: &[u8]) -> Result<Sequence, SendError> {
        self.shard(connection).ok_or(SendError::Closed)?.send(connection, payload)
    }

    /// As [`Socket::send_to_all`], to connections of any shards.
    pub fn send_to_all(
        &self,
        connections: impl IntoIterator<Item = ConnectionId>,
        payload: &[u8],
    ) -> Vec<(ConnectionId, Result<Sequence, SendError>)> {
        connections.into_iter().map(|connection| (connection, self.send(connection, payload))).collect()
    }

    /// As [`Socket::send_info`].
    ///
    /// # Errors
    /// The packet is not an info packet, or too much is queued.
    pub fn send_info(&self, remote: impl Into<Address>, payload: &[u8]) -> Result<(), CallError> {
        self.send_info_from(None, remote, payload)
    }

    /// As [`Socket::send_info_from`].
    ///
    /// # Errors
    /// The packet is not an info packet, or too much is queued.
    pub fn send_info_from(
        &self,
        local: Option<IpAddr>,
        remote: impl Into<Address>,
        payload: &[u8],
    ) -> Result<(), CallError> {
        let remote = remote.into();
        self.shards[self.shard_of(remote)].send_info_from(local, remote, payload)
    }

    /// Hands all queued datagrams of all shards to the operating system.
    pub fn flush(&self) {
        self.shards.iter().for_each(ThreadedSocket::flush);
    }

    /// Waits for the next event of any shard, at most as long as `timeout` (`None`: without limit). Returns `None` when
    /// that time has passed.
    pub fn wait_event(&self, timeout: impl Into<Option<Duration>>) -> Option<Event> {
        // The first look costs no clock and tells nobody.
        self.next_event().or_else(|| {
            let end = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
            self.announcer.wait_until(end, || self.next_event())
        })
    }

    /// Takes the next event of any shard, if there is one. Never waits. The shards take turns.
    pub fn next_event(&self) -> Option<Event> {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // One event at a time: an event that the application has not seen keeps its place in the shard, and the last
        // one its connection. Each shard may be asked, and the first one again.
        for _ in 0..=self.shards.len() {
            if turn.taken < EVENTS_PER_TURN
                && let Some(event) = self.shards[turn.shard].next_event()
            {
                turn.taken += 1;
                return Some(event);
            }
            *turn = Turn { shard: (turn.shard + 1) % self.shards.len(), taken: 0 };
        }
        None
    }

    /// As [`Socket::max_packet_size`].
    pub fn max_packet_size(&self, connection: ConnectionId) -> Option<usize> {
        self.shard(connection)?.max_packet_size(connection)
    }

    /// As [`Socket::peer`].
    pub fn peer(&self, connection: ConnectionId) -> Option<Peer> {
        self.shard(connection)?.peer(connection)
    }

    /// As [`Socket::set_user_data`].
    ///
    /// # Errors
    /// The connection has ended.
    pub fn set_user_data(&self, connection: ConnectionId, user_data: u64) -> Result<(), CallError> {
        self.shard(connection).ok_or(CallError::Closed)?.set_user_data(connection, user_data)
    }

    /// As [`Socket::introduce`], if both are connected to the same shard.
    ///
    /// # Errors
    /// Those of [`Socket::introduce`].
    pub fn introduce(
        &self,
        initiator: ConnectionId,
        host: ConnectionId,
        relay: impl Into<Option<Relay>>,
    ) -> Result<IntroductionId, CallError> {
        self.shard(initiator).ok_or(CallError::Closed)?.introduce(initiator, host, relay)
    }

    /// As [`Socket::refuse_introduction`].
    ///
    /// # Errors
    /// Nothing was asked.
    pub fn refuse_introduction(&self, from: ConnectionId, to: ConnectionId) -> Result<(), CallError> {
        self.shard(from).ok_or(CallError::NotWaiting)?.refuse_introduction(from, to)
    }

    /// As [`Socket::connect_introduced`], which one of several shards cannot do.
    ///
    /// # Errors
    /// Those of [`Socket::connect_introduced`].
    pub fn connect_introduced(
        &self,
        introducer: ConnectionId,
        remote: u32,
        options: IntroducedOptions,
    ) -> Result<ConnectionId, CallError> {
        self.shard(introducer).ok_or(CallError::Closed)?.connect_introduced(introducer, remote, options)
    }

    /// As [`Socket::look_at_nat`], which one of several shards cannot do.
    ///
    /// # Errors
    /// Those of [`Socket::look_at_nat`].
    pub fn look_at_nat(&self, introducer: ConnectionId) -> Result<(), CallError> {
        self.shard(introducer).ok_or(CallError::Closed)?.look_at_nat(introducer)
    }

    /// The counters of the protocol, of all shards together.
    pub fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        self.shards.iter().for_each(|shard| sum.add(&shard.stats()));
        sum
    }

    /// The counters of the driver, of all shards together.
    pub fn io_stats(&self) -> IoStats {
        let mut sum = IoStats::default();
        self.shards.iter().for_each(|shard| sum.add(&shard.io_stats()));
        sum
    }

    /// As [`Socket::connection_stats`].
    pub fn connection_stats(&self, connection: ConnectionId) -> Option<ConnectionStats> {
        self.shard(connection)?.connection_stats(connection)
    }

    /// The established connections.
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.shards.iter().flat_map(ThreadedSocket::connections).collect()
    }

    /// The counters and connections of all shards together, and the greatest difficulty, as text that Prometheus
    /// reads.
    pub fn metrics(&self) -> String {
        let (mut gauges, mut introductions) = (Gauges::default(), Vec::new());
        for shard in &self.shards {
            gauges.add(&shard.with(Socket::gauges));
            add_introductions(&mut introductions, shard.with(|socket| socket.introduction_counters()));
        }
        crate::metrics::text(&self.stats(), &self.io_stats(), &introductions, gauges)
    }

    /// As [`Socket::shutdown`]: closes the connections of all shards, and gives every event to `event` before it
    /// returns.
    pub fn shutdown(self, limit: Duration, mut event: impl FnMut(Event)) -> Shutdown {
        self.shards.iter().for_each(|shard| shard.with(Socket::begin_shutdown));
        let begun = Instant::now();
        loop {
            while let Some(next) = self.next_event() {
                event(next);
            }
            let has_ended = self.shards.iter().all(|shard| shard.with(Socket::has_shut_down));
            let left = limit.saturating_sub(begun.elapsed());
            // The last to end may have been told since. No event tells that nobody asks any more.
            let wait = if has_ended { Duration::ZERO } else { left.min(LOOK_EVERY) };
            match self.wait_event(wait) {
                Some(next) => event(next),
                None if has_ended || left.is_zero() => break,
                None => {}
            }
        }
        let mut sum = Shutdown::default();
        for shard in &self.shards {
            let Shutdown { unfinished, stats, io_stats } = shard.with(Socket::shutdown_result);
            sum.unfinished += unfinished;
            sum.stats.add(&stats);
            sum.io_stats.add(&io_stats);
        }
        sum
    }

    /// The shard that connects to a name. Always the same one, so that it sees if the host is connected already.
    fn shard_of_name(&self, name: &str, port: u16) -> usize {
        let mut hasher = DefaultHasher::new();
        (name.to_ascii_lowercase(), port).hash(&mut hasher);
        (hasher.finish() % self.shards.len() as u64) as usize
    }

    /// The shard of a connection; `None` for an id of another socket.
    fn shard(&self, connection: ConnectionId) -> Option<&ThreadedSocket> {
        self.shards.get(usize::from(connection.shard()))
    }
}
