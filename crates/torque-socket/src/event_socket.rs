//! One trait over the faces of a socket.

use std::net::SocketAddr;

use torque_proto::{
    CallError, ConnectOptions, ConnectionId, ConnectionStats, Event, IntroducedOptions, IntroductionId, Peer,
    PublicKey, Relay, SendError, Sequence,
};

#[cfg(feature = "tokio")]
use crate::async_socket::AsyncSocket;
use crate::sharded::ShardedSocket;
use crate::socket::Socket;
use crate::target::{ConnectError, ToTarget};
use crate::threaded::ThreadedSocket;

/// The calls that a server needs, which all faces of a socket share: [`Socket`], [`ThreadedSocket`], [`ShardedSocket`] and `AsyncSocket`.
///
/// Write what a server does with its events against this trait, and choose later who drives the socket. None of its
/// calls waits. The faces differ in how a program waits: each has another `wait_event`. Further calls (`connect`,
/// `connections`, `stats`, `metrics`, `send_info`, …) are those of each face.
///
/// [`ThreadedSocket`] and [`ShardedSocket`], whose calls take `&self`, are faces by reference too: `&mut &socket`.
///
/// ```
/// use std::time::Duration;
/// use torque_socket::{Event, EventSocket, SendError, Socket, Trust};
///
/// /// A server that sends back what comes, for any face.
/// fn handle(socket: &mut impl EventSocket, event: Event) -> Result<(), SendError> {
///     match event {
///         Event::ConnectRequest(request) => {
///             // The client may be gone by now; `Close` will say so.
///             let _ = socket.accept_connection(request.connection, b"welcome");
///         }
///         Event::Packet { connection, payload, .. } => match socket.send(connection, &payload) {
///             // Too slow, or leaving: the others go on.
///             Ok(_) | Err(SendError::WindowFull | SendError::Blocked | SendError::Closed) => {}
///             Err(error) => return Err(error),
///         },
///         _ => {}
///     }
///     Ok(())
/// }
///
/// /// A client that is welcome at the server, and whose packet comes back.
/// fn visit(key: torque_socket::PublicKey, address: std::net::SocketAddr) {
///     let mut client = Socket::client().unwrap();
///     let id = client.connect(address, Trust::Pinned(key)).unwrap();
///     loop {
///         match client.wait_event(Duration::from_secs(10)).expect("the server is silent") {
///             Event::Established { .. } => drop(client.send(id, b"quack").unwrap()),
///             Event::Packet { payload, .. } => break assert_eq!(&*payload, b"quack"),
///             _ => {}
///         }
///     }
///     client.shutdown(Duration::from_secs(5), |_| {});
/// }
///
/// // Driven by the caller,
/// let mut socket = Socket::bind("127.0.0.1:0")?;
/// let (key, address) = (socket.public_key(), socket.local_addr());
/// let client = std::thread::spawn(move || visit(key, address));
/// while !client.is_finished() {
///     if let Some(event) = socket.wait_event(Duration::from_millis(10)) {
///         handle(&mut socket, event)?;
///     }
/// }
/// client.join().unwrap();
///
/// // by a thread,
/// let mut socket = Socket::bind("127.0.0.1:0")?.spawn()?;
/// let (key, address) = (socket.public_key(), socket.local_addr());
/// let client = std::thread::spawn(move || visit(key, address));
/// while !client.is_finished() {
///     if let Some(event) = socket.wait_event(Duration::from_millis(10)) {
///         handle(&mut socket, event)?;
///     }
/// }
/// client.join().unwrap();
///
/// // by several threads,
/// let mut socket = Socket::builder().shards(2).bind("127.0.0.1:0")?;
/// let (key, address) = (socket.public_key(), socket.local_addr());
/// let client = std::thread::spawn(move || visit(key, address));
/// while !client.is_finished() {
///     if let Some(event) = socket.wait_event(Duration::from_millis(10)) {
///         handle(&mut socket, event)?;
///     }
/// }
/// client.join().unwrap();
///
/// // or by tokio.
/// # #[cfg(feature = "tokio")]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # use torque_socket::AsyncSocket;
/// let mut socket = AsyncSocket::new(Socket::bind("127.0.0.1:0")?)?;
/// let (key, address) = (socket.public_key(), socket.local_addr());
/// let client = std::thread::spawn(move || visit(key, address));
/// while !client.is_finished() {
///     if let Some(event) = socket.wait_event(Duration::from_millis(10)).await {
///         handle(&mut socket, event)?;
///     }
/// }
/// client.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Each call means what the call of this name of [`Socket`] means. The trait can be a trait object.
pub trait EventSocket {
    /// The address that the socket is bound to, with its real port.
    fn local_addr(&self) -> SocketAddr;

    /// The socket's identity.
    fn public_key(&self) -> PublicKey;

    /// As [`Socket::next_event`]: takes the next event, if there is one. Never waits.
    fn next_event(&mut self) -> Option<Event>;

    /// As [`Socket::connect_with`].
    ///
    /// # Errors
    /// Those of [`Socket::connect_with`].
    fn connect_with(
        &mut self,
        target: &dyn ToTarget,
        options: ConnectOptions,
    ) -> Result<ConnectionId, ConnectError>;

    /// As [`Socket::accept_challenge`].
    ///
    /// # Errors
    /// Those of [`Socket::accept_challenge`].
    fn accept_challenge(&mut self, connection: ConnectionId) -> Result<(), CallError>;

    /// As [`Socket::accept_connection`].
    ///
    /// # Errors
    /// Those of [`Socket::accept_connection`].
    fn accept_connection(&mut self, connection: ConnectionId, accept_data: &[u8]) -> Result<(), CallError>;

    /// As [`Socket::refuse`].
    ///
    /// # Errors
    /// Those of [`Socket::refuse`].
    fn refuse(&mut self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError>;

    /// As [`Socket::ignore`].
    ///
    /// # Errors
    /// Those of [`Socket::ignore`].
    fn ignore(&mut self, connection: ConnectionId) -> Result<(), CallError>;

    /// As [`Socket::close`].
    ///
    /// # Errors
    /// Those of [`Socket::close`].
    fn close(&mut self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError>;

    /// As [`Socket::close_all`].
    fn close_all(&mut self);

    /// As [`Socket::send`].
    ///
    /// # Errors
    /// [`SendError`]; no sequence is taken then.
    fn send(&mut self, connection: ConnectionId, payload: &[u8]) -> Result<Sequence, SendError>;

    /// As [`Socket::send_to_all`].
    fn send_to_all(
        &mut self,
        connections: &[ConnectionId],
        payload: &[u8],
    ) -> Vec<(ConnectionId, Result<Sequence, SendError>)>;

    /// As [`Socket::introduce`].
    ///
    /// # Errors
    /// Those of [`Socket::introduce`].
    fn introduce(
        &mut self,
        initiator: ConnectionId,
        host: ConnectionId,
        relay: Option<Relay>,
    ) -> Result<IntroductionId, CallError>;

    /// As [`Socket::refuse_introduction`].
    ///
    /// # Errors
    /// Those of [`Socket::refuse_introduction`].
    fn refuse_introduction(&mut self, from: ConnectionId, to: ConnectionId) -> Result<(), CallError>;

    /// As [`Socket::connect_introduced`].
    ///
    /// # Errors
    /// Those of [`Socket::connect_introduced`].
    fn connect_introduced(
        &mut self,
        introducer: ConnectionId,
        remote: u32,
        options: IntroducedOptions,
    ) -> Result<ConnectionId, CallError>;

    /// As [`Socket::look_at_nat`].
    ///
    /// # Errors
    /// Those of [`Socket::look_at_nat`].
    fn look_at_nat(&mut self, introducer: ConnectionId) -> Result<(), CallError>;

    /// As [`Socket::flush`].
    fn flush(&mut self);

    /// As [`Socket::max_packet_size`].
    fn max_packet_size(&self, connection: ConnectionId) -> Option<usize>;

    /// As [`Socket::peer`].
    fn peer(&self, connection: ConnectionId) -> Option<Peer>;

    /// As [`Socket::set_user_data`].
    ///
    /// # Errors
    /// Those of [`Socket::set_user_data`].
    fn set_user_data(&mut self, connection: ConnectionId, user_data: u64) -> Result<(), CallError>;

    /// As [`Socket::connection_stats`].
    fn connection_stats(&self, connection: ConnectionId) -> Option<ConnectionStats>;
}

/// Each face has these calls under the same names: `$calls` is the type that has them.
macro_rules! impl_event_socket {
    ($face:ty, $calls:ty) => {
        impl EventSocket for $face {
            fn local_addr(&self) -> SocketAddr {
                <$calls>::local_addr(self)
            }

            fn public_key(&self) -> PublicKey {
                <$calls>::public_key(self)
            }

            fn next_event(&mut self) -> Option<Event> {
                <$calls>::next_event(self)
            }

            fn connect_with(
                &mut self,
                target: &dyn ToTarget,
                options: ConnectOptions,
            ) -> Result<ConnectionId, ConnectError> {
                <$calls>::connect_with(self, target, options)
            }

            fn accept_challenge(&mut self, connection: ConnectionId) -> Result<(), CallError> {
                <$calls>::accept_challenge(self, connection)
            }

            fn accept_connection(
                &mut self,
                connection: ConnectionId,
                accept_data: &[u8],
            ) -> Result<(), CallError> {
                <$calls>::accept_connection(self, connection, accept_data)
            }

            fn refuse(&mut self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
                <$calls>::refuse(self, connection, reason)
            }

            fn ignore(&mut self, connection: ConnectionId) -> Result<(), CallError> {
                <$calls>::ignore(self, connection)
            }

            fn close(&mut self, connection: ConnectionId, reason: &[u8]) -> Result<(), CallError> {
                <$calls>::close(self, connection, reason)
            }

            fn close_all(&mut self) {
                <$calls>::close_all(self);
            }

            fn send(&mut self, connection: ConnectionId, payload: &[u8]) -> Result<Sequence, SendError> {
                <$calls>::send(self, connection, payload)
            }

            fn send_to_all(
                &mut self,
                connections: &[ConnectionId],
                payload: &[u8],
            ) -> Vec<(ConnectionId, Result<Sequence, SendError>)> {
                <$calls>::send_to_all(self, connections.iter().copied(), payload)
            }

            fn introduce(
                &mut self,
                initiator: ConnectionId,
                host: ConnectionId,
                relay: Option<Relay>,
            ) -> Result<IntroductionId, CallError> {
                <$calls>::introduce(self, initiator, host, relay)
            }

            fn refuse_introduction(&mut self, from: ConnectionId, to: ConnectionId) -> Result<(), CallError> {
                <$calls>::refuse_introduction(self, from, to)
            }

            fn connect_introduced(
                &mut self,
                introducer: ConnectionId,
                remote: u32,
                options: IntroducedOptions,
            ) -> Result<ConnectionId, CallError> {
                <$calls>::connect_introduced(self, introducer, remote, options)
            }

            fn look_at_nat(&mut self, introducer: ConnectionId) -> Result<(), CallError> {
                <$calls>::look_at_nat(self, introducer)
            }

            fn flush(&mut self) {
                <$calls>::flush(self);
            }

            fn max_packet_size(&self, connection: ConnectionId) -> Option<usize> {
                <$calls>::max_packet_size(self, connection)
            }

            fn peer(&self, connection: ConnectionId) -> Option<Peer> {
                <$calls>::peer(self, connection)
            }

            fn set_user_data(&mut self, connection: ConnectionId, user_data: u64) -> Result<(), CallError> {
                <$calls>::set_user_data(self, connection, user_data)
            }

            fn connection_stats(&self, connection: ConnectionId) -> Option<ConnectionStats> {
                <$calls>::connection_stats(self, connection)
            }
        }
    };
}

impl_event_socket!(Socket, Socket);
impl_event_socket!(ThreadedSocket, ThreadedSocket);
// For one shard of several: `&mut &sharded.shards()[0]`.
impl_event_socket!(&ThreadedSocket, ThreadedSocket);
impl_event_socket!(ShardedSocket, ShardedSocket);
impl_event_socket!(&ShardedSocket, ShardedSocket);
#[cfg(feature = "tokio")]
impl_event_socket!(AsyncSocket, AsyncSocket);
